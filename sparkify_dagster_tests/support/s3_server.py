"""An S3 endpoint for tests that can be told to misbehave. It checks no signature."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 5  # objects of one page of a listing, so that every listing has several


@dataclass
class Fault:
    """What to answer instead, to requests of one kind."""

    kind: str  # LIST, GET, PUT, DELETE or HEAD
    status: int
    code: str
    times: int = 1_000_000
    headers: dict[str, str] = field(default_factory=dict)
    more: str = ""  # further XML of the answer

    def body(self) -> bytes:
        return (
            f"<Error><Code>{self.code}</Code><Message>as told</Message>{self.more}</Error>"
        ).encode()


@dataclass
class S3Server:
    """One bucket, `lake`, in memory."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    cut: int = 0  # how many GETs to break off in the middle of the body
    requests: list[tuple[str, str]] = field(default_factory=list)  # kind, key
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str) -> int:
        return sum(found == kind for found, _ in self.requests)

    def next_fault(self, kind: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.kind == kind and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@contextmanager
def s3_server() -> Iterator[S3Server]:
    state = S3Server()

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_state: S3Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        key = unquote(parts.path.removeprefix("/lake").removeprefix("/"))
        if "list-type" in query:
            if self.begin("LIST", query.get("prefix", [""])[0]):
                self.list_objects(query)
        elif self.begin("GET", key):
            self.get_object(key)

    def do_HEAD(self) -> None:
        if self.begin("HEAD", ""):
            self.answer(200, b"", {"x-amz-bucket-region": "eu-west-3"})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.begin("PUT", self.path):
            self.answer(200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.begin("DELETE", self.path):
            self.answer(200, b"<DeleteResult/>")

    def begin(self, kind: str, key: str) -> bool:
        state = self.server_state
        with state.lock:
            state.requests.append((kind, key))
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
        fault = state.next_fault(kind)
        if fault:
            body = b"" if kind == "HEAD" else fault.body()
            self.answer(fault.status, body, fault.headers)
        return fault is None

    def list_objects(self, query: dict[str, list[str]]) -> None:
        prefix = query.get("prefix", [""])[0]
        start = int(query.get("continuation-token", ["0"])[0])
        after = query.get("start-after", [""])[0]
        keys = sorted(
            key for key in self.server_state.objects if key.startswith(prefix) and key > after
        )
        shown = keys[start : start + PAGE]
        more = start + PAGE < len(keys)
        contents = "".join(
            f"<Contents><Key>{escape(quote(key))}</Key>"
            "<LastModified>2018-11-01T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(etag(self.server_state.objects[key]))}</ETag>"
            f"<Size>{len(self.server_state.objects[key])}</Size></Contents>"
            for key in shown
        )
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" * more
        self.answer(
            200,
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"<EncodingType>url</EncodingType>{contents}</ListBucketResult>".encode(),
        )

    def get_object(self, key: str) -> None:
        state = self.server_state
        content = state.objects.get(key)
        if content is None:
            self.answer(404, Fault("GET", 404, "NoSuchKey").body())
            return
        if self.headers.get("If-Match", etag(content)) != etag(content):
            self.answer(412, Fault("GET", 412, "PreconditionFailed").body())
            return
        status, headers = 200, {"ETag": etag(content), "Last-Modified": _MODIFIED}
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            end = int(last) if last else len(content) - 1
            headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
            content, status = content[int(first) : end + 1], 206
        with state.lock:
            cut, state.cut = state.cut > 0, max(0, state.cut - 1)
        self.answer(status, content, headers, cut)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut


_MODIFIED = "Thu, 01 Nov 2018 00:00:00 GMT"
