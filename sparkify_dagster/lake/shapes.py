"""Which keys the objects of files have, and numbers in quotes where a text is wanted, told and done
without parsing nearly any of them.

Objects of one producer have the same keys in the same order. The first is parsed; of the others it
is only seen whether each key ends where one has to, which a quote inside a text, being escaped,
cannot feign.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import Any

from sparkify_dagster.lake.objects import decompress

_BETWEEN = b'":'
_KEY = re.compile(rb'(?:^|,)\s*"([^"\\]*)$')
# What a value begins with that is no number; what else does not is looked at more closely.
_NO_NUMBER = (b'"', b' "', b"n", b" n")
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
        # By the number of pieces between the colons: the keys, how each piece ends, and what takes
        # out those that a text's value begins.
        self._known: dict[int, tuple[tuple[str, ...], list[bytes], Any]] = {}

    def plain_lines(self, name: str, content: bytes) -> list[bytes]:
        """Take in a file of one object a line; return the lines without their opening braces.

        Empty where a line is not plainly an object whose keys another showed: nothing is taken in.
        """
        lines = decompress(name, content).removesuffix(b"\n").split(b"\n{")
        if lines[0][:1] != b"{":
            return []
        lines[0] = lines[0][1:]
        seen: list[tuple[str, ...]] = []
        for at, line in enumerate(lines):
            pieces = line.split(_BETWEEN)
            keys, ends, texts = self._known.get(len(pieces), (*_NO_SHAPE, None))
            if pieces[0] != ends[0] or not all(map(bytes.endswith, pieces, ends)):
                keys, ends = _shape(line, pieces)
                if not keys:
                    return []
                # The first begins with a key; it makes a tuple of what may be one text.
                places = (number for number, key in enumerate(keys, 1) if key in self._texts)
                texts = itemgetter(0, 0, *places)
                self._known[len(pieces)] = keys, ends, texts
            if not all(map(bytes.startswith, texts(pieces), repeat(_NO_NUMBER))):
                lines[at] = self.quoted(line)
            if line[-1:] != b"}" or b"\n" in line:
                return []
            seen.append(keys)
        # A shape's keys are one object, whose number is sooner counted than its hash.
        by_number = {id(keys): keys for keys in seen}
        found: Counter[str] = Counter()
        for number, count in Counter(map(id, seen)).items():
            found.update(dict.fromkeys(by_number[number], count))
        self._add(name, FileKeys(len(lines), 0, len(lines), found))
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
