"""Which keys the objects of files have, and numbers in quotes where a text is wanted, told and done
without parsing nearly any of them.

Objects of one producer have the same keys in the same order. The first is parsed; of the others it
is only seen whether each key ends where one has to, which a quote inside a text, being escaped,
cannot feign.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from sparkify_dagster.lake.objects import decompress

_BETWEEN = b'":'
_KEY = re.compile(rb'(?:^|,)\s*"([^"\\]*)$')
# What a value begins with that is no number; what else does not is looked at more closely.
_NO_NUMBER = (b'"', b' "', b"n", b" n")
_CHUNK = 1 << 20  # bytes looked at together
_NO_SHAPE: tuple[tuple[str, ...], list[bytes]] = ((), [b"{"])  # which no line begins with


@dataclass
class FileKeys:
    """What is known of the keys of a file's objects."""

    objects: int = 0
    malformed: int = 0  # objects whose keys cannot be told
    last_line: int = 0
    keys: Counter[str] = field(default_factory=Counter)  # how many objects have each


class Shapes:
    """The keys of each file's objects, file by file."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take the keys at which a number is put in quotes.

        COPY prints a number that goes into a text column with 17 digits, so 4.6 would become
        4.5999999999999996.
        """
        self._texts = frozenset(texts)
        # A quote inside a text is escaped, so a key cannot be found there.
        any_key = "|".join(map(re.escape, sorted(self._texts)))
        self._number = re.compile(rf'"({any_key})"\s*:\s*(-?\d[^,}}\s]*)'.encode())
        self.keys: set[str] = set()  # of all files
        self.files: dict[str, FileKeys] = {}  # those of several objects
        # By the number of pieces between the colons: the keys, how each piece ends, and which
        # pieces a text's value begins.
        self._known: dict[int, tuple[tuple[str, ...], list[bytes], Sequence[int]]] = {}

    def prefixed(self, name: str, content: bytes, start: bytes) -> tuple[int, bytes]:
        """Take in a file of one object a line; return their number, and them after `start`.

        That stands for their braces. 0 where a line is not plainly an object whose keys another
        showed: nothing is taken in.
        """
        seen: Counter[tuple[str, ...]] = Counter()
        texts: list[bytes] = []
        for chunk in _chunks(decompress(name, content).removesuffix(b"\n")):
            keys, count = self._alike(chunk)
            seen[keys] += count
            text = chunk[1:].replace(b"\n{", b"\n" + start)
            if not count:
                lines = self._one_by_one(chunk, seen)
                if not lines:
                    return 0, b""
                text = (b"\n" + start).join(lines)
            texts += start, text, b"\n"
        found: Counter[str] = Counter()
        for keys, count in seen.items():
            found.update(dict.fromkeys(keys, count))
        self._add(name, FileKeys(seen.total(), 0, seen.total(), found))
        return seen.total(), b"".join(texts)

    def _alike(self, chunk: bytes) -> tuple[tuple[str, ...], int]:
        """Return the keys and the number of lines that all have them, and nothing to be quoted.

        0 where it has to be looked at line by line.
        """
        width = chunk.partition(b"\n")[0].count(_BETWEEN)
        keys, ends, places = self._known.get(width + 1, (*_NO_SHAPE, ()))
        pieces = chunk.split(_BETWEEN)
        count, over = divmod(len(pieces) - 1, max(1, width))
        if (pieces[0], chunk[-1:], over) != (b"{" + ends[0], b"}", 0):
            return (), 0
        for at, end in enumerate((*ends[1:], b"}\n{" + ends[0]), 1):
            # One text of what follows a key in all lines, as to count in it is soon done; what they
            # are split by is in none of them.
            text = _BETWEEN.join((b"", *pieces[at::width], b""))
            if text.count(end + _BETWEEN) != count - (at == width):
                return (), 0
            starts = accumulate(text.count(_BETWEEN + start) for start in _NO_NUMBER)
            if at in places and count not in starts:
                return (), 0
        return (keys, count) if chunk.count(b"\n") == count - 1 else ((), 0)

    def _one_by_one(self, chunk: bytes, seen: Counter[tuple[str, ...]]) -> list[bytes]:
        """Return lines without their braces, numbers quoted; none where one is not plain."""
        lines = chunk.split(b"\n{")
        if lines[0][:1] != b"{":
            return []
        lines[0] = lines[0][1:]
        for at, line in enumerate(lines):
            pieces = line.split(_BETWEEN)
            keys, ends, places = self._known.get(len(pieces), (*_NO_SHAPE, ()))
            if pieces[0] != ends[0] or not all(map(bytes.endswith, pieces, ends)):
                keys, ends = _shape(line, pieces)
                if not keys:
                    return []
                # The first begins with a key.
                places = [number for number, key in enumerate(keys, 1) if key in self._texts]
                self._known[len(pieces)] = keys, ends, places
            if not all(pieces[place].startswith(_NO_NUMBER) for place in places):
                lines[at] = self.quoted(line)
            if line[-1:] != b"}" or b"\n" in line:
                return []
            seen[keys] += 1
        return lines

    def quoted(self, text: bytes) -> bytes:
        """Return objects with the numbers that go into text in quotes."""
        return self._number.sub(rb'"\1":"\2"', text)

    def add_objects(self, name: str, objects: Sequence[tuple[int, bytes]]) -> None:
        """Take in the objects of a file one by one, each with its line."""
        file = FileKeys(len(objects))
        for line, text in objects:
            file.last_line = line
            try:
                file.keys.update(dict.fromkeys(json.loads(text), 1))
            except (ValueError, TypeError, RecursionError):
                file.malformed += 1
        self._add(name, file)

    def _add(self, name: str, file: FileKeys) -> None:
        self.keys |= file.keys.keys()
        if file.objects > 1:
            self.files[name] = file


def _chunks(content: bytes) -> Iterator[bytes]:
    """Yield the lines of a file, some at a time."""
    start = 0
    while start <= len(content):
        end = content.find(b"\n{", start + _CHUNK)
        end = len(content) if end < 0 else end
        yield content[start:end]
        start = end + 1


def _shape(line: bytes, pieces: Sequence[bytes]) -> tuple[tuple[str, ...], list[bytes]]:
    """Return the keys of an object and how the pieces before their colons end.

    None of both where it is no object, holds another, or has a key twice or an escaped one.
    """
    found = [_KEY.search(piece) for piece in pieces[:-1]]
    try:
        keys = tuple(json.loads(b"{" + line))
        names = [match[1].decode() for match in found if match]
    except (ValueError, TypeError, RecursionError):
        return _NO_SHAPE
    if not keys or list(keys) != names or len(names) != len(found):
        return _NO_SHAPE
    return keys, [match[0] for match in found if match]
