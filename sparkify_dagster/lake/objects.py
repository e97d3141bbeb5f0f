"""Splitting a file into its JSON objects, whatever the line breaks between them."""

import gzip
import json
from collections.abc import Iterator

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder()


def decompress(name: str, content: bytes) -> bytes:
    """Return the content of a file, unpacked where its name ends in .gz, without a byte order mark.

    Raises:
        OSError, EOFError, zlib.error: the compressed data is damaged or cut off.
    """
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    return content.removeprefix(_BYTE_ORDER_MARK)


def split_objects(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each object as (number of its last line, its text on one line).

    Text that is no JSON object is yielded as well, line by line: COPY refuses it by name.
    """
    lines = [
        (number, stripped)
        for number, line in enumerate(content.split(b"\n"), start=1)
        if (stripped := line.strip())
    ]
    if all(line.startswith(b"{") and line.endswith(b"}") for _, line in lines):
        yield from lines
    else:
        yield from _decode_objects(content.decode("utf-8", "surrogateescape"))


def _decode_objects(text: str) -> Iterator[tuple[int, bytes]]:
    position, line = 0, 1
    while position < len(text):
        if text[position].isspace():
            line += text[position] == "\n"
            position += 1
            continue
        try:
            _, end = _DECODER.raw_decode(text, position)
        except ValueError:
            # The rest of the line goes with what is malformed; the next line starts afresh.
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
        found = text[position:end]
        line += found.count("\n")
        yield line, found.replace("\n", " ").replace("\r", " ").encode("utf-8", "surrogateescape")
        position = end
