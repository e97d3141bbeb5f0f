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

_MOST_SHAPES = 8  # of a file's lines; one with more is looked at object by object
_BETWEEN = b'":'
_KEY = re.compile(rb'[{,]\s*"([^"\\]*)$')


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
        self.files: dict[str, FileKeys] = {}

    def plain_lines(self, name: str, content: bytes) -> bytes | None:
        """Take in a file of one object a line; return its lines, each with its end.

        None where a line is not plainly an object whose keys another showed: nothing is taken in.
        """
        text = decompress(name, content)
        text = text if text.endswith(b"\n") else text + b"\n"
        lines = text.split(b"\n")
        del lines[-1]
        shapes: dict[int, list[bytes]] = {}  # ends of the pieces before each colon, by their number
        counts: Counter[int] = Counter()
        keys: dict[int, tuple[str, ...]] = {}
        for line in lines:
            pieces = line.split(_BETWEEN)
            number = len(pieces)
            ends = shapes.get(number)
            if ends is None:
                found = _shape(line, pieces)
                if found is None or len(shapes) == _MOST_SHAPES:
                    return None
                keys[number], ends = found
                shapes[number] = ends
            if not line.endswith(b"}") or not all(map(bytes.endswith, pieces, ends)):
                return None
            counts[number] += 1
        if not lines:
            return None
        found_keys: Counter[str] = Counter()
        for number, count in counts.items():
            found_keys.update(dict.fromkeys(keys[number], count))
        self.files[name] = FileKeys(len(lines), 0, len(lines), found_keys)
        return text

    def add_objects(self, name: str, objects: Sequence[tuple[int, bytes]]) -> None:
        """Take in the objects of a file one by one, each with its line."""
        file = self.files[name] = FileKeys(len(objects))
        for line, text in objects:
            file.last_line = line
            try:
                file.keys.update(dict.fromkeys(json.loads(text), 1))
            except (ValueError, TypeError, RecursionError):
                file.malformed += 1


def _shape(line: bytes, pieces: Sequence[bytes]) -> tuple[tuple[str, ...], list[bytes]] | None:
    """Return the keys of an object and how the pieces before their colons end.

    None where it is none, holds another, or has a key twice or an escaped one.
    """
    found = [_KEY.search(piece) for piece in pieces[:-1]]
    try:
        keys = tuple(json.loads(line))
        names = [match[1].decode() for match in found if match]
    except (ValueError, TypeError, RecursionError):
        return None
    if not keys or list(keys) != names or len(names) != len(found) or line[:1] != b"{":
        return None
    return keys, [match[0] for match in found if match]
