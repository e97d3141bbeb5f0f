"""Splitting a file into its JSON objects, whatever the line breaks between them.

Compressed data that is damaged or cut off is a DamagedFileError.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase, FileIO

from sparkify_dagster.lake.base import DamagedFileError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[ \t\r\n]+")
# Where one object may end and another begin on the same line.
_NEXT_OBJECT = re.compile(rb"}[ \t\r]*{")
_LINE = re.compile(rb"[^\n]+")
_CHUNK = 4 << 20  # bytes
_LONGEST_LINE = 64 << 20  # bytes; sixteen times what any object may take
_DECODER = json.JSONDecoder()


def decompress(name: str, content: bytes) -> bytes:
    """Return the content of a file, unpacked if it is a .gz, without a byte order mark."""
    if name.endswith(".gz"):
        with unpacking(name):
            content = gzip.decompress(content)
    return content.removeprefix(_BYTE_ORDER_MARK)


@contextmanager
def unpacking(name: str) -> Iterator[None]:
    """Turn what gzip raises into the error that says that a file's data cannot be unpacked."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        reason = f"damaged gzip data ({error}); put the file into the lake again"
        raise DamagedFileError(name, reason) from error


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
    else:
        yield from _split(_filled_lines([content]))


def read_objects(name: str, stored: BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Yield the objects of an open file as `split_objects` does, holding a part of it at most."""
    return _split(read_lines(name, stored))


def read_lines(name: str, stored: BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of an open file that are not blank, with their numbers."""
    stream = gzip.GzipFile(fileobj=stored) if name.endswith(".gz") else stored
    with unpacking(name):
        yield from _filled_lines(chunks(stream))


def squeeze(content: bytes) -> bytes:
    """Return content without its empty lines."""
    while b"\n\n" in content:
        content = content.replace(b"\n\n", b"\n")
    return content


def count_filled_lines(content: Iterable[bytes]) -> int:
    """Return the number of lines that are not blank."""
    count, in_line = 0, False
    for chunk in content:
        filled = squeeze(chunk.translate(None, b" \t\r"))
        if filled:
            count += filled.count(b"\n", 1) + (filled[:1] == b"\n" and in_line)
            in_line = not filled.endswith(b"\n")
    return count + in_line


def split_line(line: int, text: bytes) -> list[tuple[int, bytes]] | None:
    """Return the objects of a line as `split_objects` does; None where the last may go on."""
    following = iter([(line + 1, b"")])  # is taken where the last asks for more
    found = list(_objects_from(line, text, following))
    return found if next(following, None) else None


def _split(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for line, text in lines:
        yield from _objects_from(line, text, lines)


def _objects_from(
    line: int, text: bytes, following: Iterator[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    if _is_object(stripped := text.strip()) and not _runs_on(stripped):
        yield line, stripped
    else:
        yield from _decode_objects(line, text, following)


def _filled_lines(content: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    number, rest = 1, b""
    for position, chunk in enumerate(content):
        block = rest + (chunk if position else chunk.removeprefix(_BYTE_ORDER_MARK))
        end = block.rfind(b"\n") + 1
        # A line without an end is not gathered for ever.
        end = len(block) if not end and len(block) > _LONGEST_LINE else end
        counted = 0
        for match in _LINE.finditer(block, 0, end):
            number += block.count(b"\n", counted, match.start())
            counted = match.start()
            if match[0].strip():
                yield number, match[0]
        number += block.count(b"\n", counted, end)
        rest = block[end:]
    if rest.strip():
        yield number, rest


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}") and not _NEXT_OBJECT.search(line)


def _runs_on(line: bytes) -> bool:
    """Tell whether an object that begins on a line may end on a later one."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.pos >= len(error.doc)
    except (ValueError, RecursionError):
        pass
    return False


def _decode_objects(
    line: int, content: bytes, following: Iterator[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    """Yield the objects of a line and of as many of those behind it as they reach into."""
    text, position = content.decode("utf-8", "surrogateescape"), 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            line += blank[0].count("\n")
            position = blank.end()
            continue
        try:
            _, end = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            # What it ends within may go on; at twice the length each time, as it is read anew.
            if error.pos >= len(text) and len(text) - position < _LONGEST_LINE:
                last = line + text.count("\n", position)
                if more := _more_lines(last, len(text) - position, following):
                    text, position = text[position:] + more, 0
                    continue
            end = -1
        except RecursionError:
            end = -1
        if end < 0:
            # The rest of the line goes with what is malformed; the next line starts afresh.
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
        found = text[position:end]
        line += found.count("\n")
        yield line, found.replace("\n", " ").strip().encode("utf-8", "surrogateescape")
        position = end


def _more_lines(last: int, length: int, following: Iterator[tuple[int, bytes]]) -> str:
    """Return about `length` characters of lines, each on its line as counted from `last`."""
    found, size = [], 0
    for number, line in following:
        found.append("\n" * (number - last) + line.decode("utf-8", "surrogateescape"))
        last, size = number, size + len(line)
        if size >= length:
            break
    return "".join(found)
