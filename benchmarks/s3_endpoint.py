"""An S3 endpoint on loopback that answers as fast as Python can: a lake's files from memory.

    python -m benchmarks.s3_endpoint LAKE

Prints its port. It knows ListObjectsV2 and GetObject of the one bucket `lake`, and checks no
signature.
"""

import asyncio
import sys
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

_PAGE = 1000  # objects of one page of a listing, as S3 has it
_ETAG = '"0"'  # the files stay as they are
_MODIFIED = "Thu, 01 Nov 2018 00:00:00 GMT"


class Endpoint(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request; none that is made here has a body."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, self._received = self._received.split(b"\r\n\r\n", 1)
            self._transport.write(self._answer(head.split(b" ", 2)[1].decode()))

    def _answer(self, target: str) -> bytes:
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        if "list-type" in query:
            return _response(self._listing(query["prefix"][0], query))
        content = self._objects.get(unquote(parts.path.removeprefix("/lake/")))
        if content is None:
            return _response(b"<Error><Code>NoSuchKey</Code></Error>", "404 Not Found")
        return _response(content)

    def _listing(self, prefix: str, query: dict[str, list[str]]) -> bytes:
        keys = [key for key in self._objects if key.startswith(prefix)]
        start = int(query.get("continuation-token", ["0"])[0])
        end = start + _PAGE
        more = end < len(keys)
        contents = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>2018-11-01T00:00:00.000Z"
            f"</LastModified><ETag>{_ETAG}</ETag><Size>{len(self._objects[key])}</Size></Contents>"
            for key in keys[start:end]
        )
        token = f"<NextContinuationToken>{end}</NextContinuationToken>" * more
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"<EncodingType>url</EncodingType>{contents}</ListBucketResult>"
        ).encode()


def _response(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nETag: {_ETAG}\r\nLast-Modified: {_MODIFIED}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _serve(lake: Path) -> None:
    files = sorted(path for path in lake.rglob("*.json") if path.is_file())
    objects = {path.relative_to(lake).as_posix(): path.read_bytes() for path in files}
    server = await asyncio.get_running_loop().create_server(
        lambda: Endpoint(objects), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
