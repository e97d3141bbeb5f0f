"""Splitting a file into its JSON objects, whatever the line breaks between them."""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedIOBase, FileIO

from sparkify_dagster.lake.base import LakeError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[ \t\r\n]+")
# Where one object may end and another begin on the same line.
_NEXT_OBJECT = re.compile(rb"}[ \t\r]*{")
_CHUNK = 4 << 20  # bytes
_DECODER = json.JSONDecoder()


def decompress(name: str, content: bytes) -> bytes:
    """Return the content of a file, unpacked where its name ends in .gz, without a byte order mark.

    Raises:
        LakeError: the compressed data is damaged or cut off.
    """
    if name.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(name, error) from error
    return content.removeprefix(_BYTE_ORDER_MARK)


def damaged(name: str, error: Exception) -> LakeError:
    """Return the error that says that a file's compressed data cannot be unpacked."""
    return LakeError(f"{name}: damaged gzip data ({error}); put the file into the lake again")


def chunks(stream: FileIO | BufferedIOBase) -> Iterator[bytes]:
    """Yield the content of a file piece by piece."""
    while chunk := stream.read(_CHUNK):
        yield chunk


def count_lines(content: Iterable[bytes]) -> int:
    """Return the number of lines, the last with or without a line break."""
    count, last = 0, b"\n"
    for chunk in content:
        count += chunk.count(b"\n")
        last = chunk[-1:]
    return count + (last != b"\n")


def split_objects(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each object as (number of its last line, its text on one line).

    Text that is no JSON object is yielded as well, line by line: COPY refuses it by name.
    """
    # As nearly all song files are, by their thousands: they are spared what follows.
    if content.find(b"\n", 0, -1) < 0 and _is_object(only := content.strip()):
        yield 1, only
        return
    lines = [
        (number, stripped)
        for number, line in enumerate(content.split(b"\n"), start=1)
        if (stripped := line.strip())
    ]
    if all(_is_object(line) for _, line in lines):
        yield from lines
    else:
        yield from _decode_objects(content.decode("utf-8", "surrogateescape"))


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}") and not _NEXT_OBJECT.search(line)


def _decode_objects(text: str) -> Iterator[tuple[int, bytes]]:
    position, line = 0, 1
    while position < len(text):
        if blank := _BLANK.match(text, position):
            line += blank[0].count("\n")
            position = blank.end()
            continue
        try:
            _, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            # The rest of the line goes with what is malformed; the next line starts afresh.
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
        found = text[position:end]
        line += found.count("\n")
        yield line, found.replace("\n", " ").strip().encode("utf-8", "surrogateescape")
        position = end
