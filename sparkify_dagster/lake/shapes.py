"""Which keys the objects of files have, told without parsing nearly any of them.

Objects of one producer have the same keys in the same order. The first is parsed; of the others it
is only seen whether each key ends where one has to, which a quote inside a text, being escaped,
cannot feign.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sparkify_dagster.lake.objects import decompress

_BETWEEN = b'":'
_KEY = re.compile(rb'[{,]\s*"([^"\\]*)$')
_NO_SHAPE: "tuple[tuple[str, ...], list[bytes]]" = ((), [b""])


@dataclass
class FileKeys:
    """What is known of the keys of a file's objects."""

    objects: int = 0
    malformed: int = 0  # objects whose keys cannot be told
    last_line: int = 0
    keys: Counter[str] = field(default_factory=Counter)  # how many objects have each


class Shapes:
    """The keys of each file's objects, file by file."""

    def __init__(self) -> None:
        self.keys: set[str] = set()  # of all files
        self.files: dict[str, FileKeys] = {}  # those of several objects
        # By the number of pieces between the colons: the keys, and how each piece ends.
        self._known: dict[int, tuple[tuple[str, ...], list[bytes]]] = {}

    def plain_lines(self, name: str, content: bytes) -> bytes | None:
        """Take in a file of one object a line; return its lines, each with its end.

        None where a line is not plainly an object whose keys another showed: nothing is taken in.
        """
        text = decompress(name, content)
        text = text if text.endswith(b"\n") else text + b"\n"
        lines = text.split(b"\n")
        del lines[-1]
        counts: Counter[tuple[str, ...]] = Counter()
        for line in lines:
            pieces = line.split(_BETWEEN)
            keys, ends = self._known.get(len(pieces), _NO_SHAPE)
            if pieces[0] != ends[0] or not all(map(bytes.endswith, pieces, ends)):
                keys, ends = _shape(line, pieces)
                if not keys:
                    return None
                self._known[len(pieces)] = keys, ends
            if line[-1:] != b"}":
                return None
            counts[keys] += 1
        found: Counter[str] = Counter()
        for keys, count in counts.items():
            found.update(dict.fromkeys(keys, count))
        self._add(name, FileKeys(len(lines), 0, len(lines), found))
        return text

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
        keys = tuple(json.loads(line))
        names = [match[1].decode() for match in found if match]
    except (ValueError, TypeError, RecursionError):
        return _NO_SHAPE
    if not keys or list(keys) != names or len(names) != len(found) or line[:1] != b"{":
        return _NO_SHAPE
    return keys, [match[0] for match in found if match]
