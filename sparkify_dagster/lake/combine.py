"""Combining files into a few larger ones of even size, which is how engines like to read them.

A part is newline-delimited JSON: the objects of the files with the key `source_file` put first.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import xxhash

from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.lake.objects import read_objects, split_objects
from sparkify_dagster.lake.shapes import Shapes

# Redshift likes 1 MB to 1 GB; this bounds what a retry repeats and still fills every slice.
PART_BYTES = 64 * 1024 * 1024

Origin = tuple[str, int]  # file, line in it


class Origins(Sequence[Origin]):
    """Where each line of a part is from; a stretch of lines of a file takes no more than one."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._runs: list[tuple[str, Sequence[int]]] = []
        self._count = 0

    def add(self, name: str, lines: Sequence[int]) -> None:
        """Take in the next lines of a part: of a file, with their numbers there."""
        self._starts.append(self._count)
        self._runs.append((name, lines))
        self._count += len(lines)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Origin]:
        return ((name, line) for name, lines in self._runs for line in lines)

    def __getitem__(self, at: int) -> Origin:  # type: ignore[override]
        """Return the origin of a line, counted from 0."""
        run = bisect_right(self._starts, at) - 1
        name, lines = self._runs[run]
        return name, lines[at - self._starts[run]]


@dataclass
class Part:
    """One file of combined objects, and where each of its lines is from."""

    path: Path
    origins: Origins = field(default_factory=Origins)

    @property
    def line_count(self) -> int:
        """Return the number of objects in the part."""
        return len(self.origins)


@dataclass(frozen=True)
class Combined:
    """The parts, and the files with what reading them told."""

    parts: list[Part]
    files: list[SourceFile]


class _Writer:
    """Parts of about even size, each complete when the next is begun."""

    def __init__(self, folder: Path, part_bytes: float, done: Callable[[Part], None]) -> None:
        self.parts: list[Part] = []
        self._folder = folder
        self._part_bytes = part_bytes
        self._done = done
        self._room = 0.0
        self._output: BinaryIO | None = None

    def add(self, name: str, lines: Sequence[int], text: bytes, size: int) -> None:
        """Write records, a line each; `size` is what they took in their file."""
        share = size / max(1, len(text))
        start, first = 0, 0
        while start < len(text):
            if self._output is None or self._room <= 0:
                self._begin()
            # Where what is left is no more than that, it is not cut.
            end = text.find(b"\n", min(len(text), start + int(self._room / share) + 1) - 1) + 1
            count = text.count(b"\n", start, end) if start or end < len(text) else len(lines)
            self._output.write(memoryview(text)[start:end])  # type: ignore[union-attr]
            self.parts[-1].origins.add(name, lines[first : first + count])
            self._room -= (end - start) * share
            start, first = end, first + count

    def close(self) -> None:
        """End the last part."""
        if self._output:
            self._output.close()
            self._output = None
            self._done(self.parts[-1])

    def _begin(self) -> None:
        self.close()
        self.parts.append(Part(self._folder / f"part-{len(self.parts):04d}.json"))
        self._output = self.parts[-1].path.open("wb")
        self._room = self._part_bytes


def combine(
    lake: Lake,
    files: Sequence[SourceFile],
    folder: Path,
    part_bytes: float = PART_BYTES,
    shapes: Shapes | None = None,
    done: Callable[[Part], None] = lambda _: None,
) -> Combined:
    """Write the objects of `files` into parts of about `part_bytes` bytes below `folder`.

    `shapes` takes in which keys the objects have, and puts numbers in quotes; `done` is handed each
    part that is complete.
    """
    files_read: list[SourceFile] = []
    writer = _Writer(folder, part_bytes, done)

    def take(file: SourceFile, content: bytes) -> None:
        prefix = _prefix(file.name)
        count, text = shapes.prefixed(file.name, content, prefix + b",") if shapes else (0, b"")
        lines: Sequence[int] = range(1, count + 1)
        if not count:
            packed = file.name.endswith(".gz")
            read = read_objects(file.name, BytesIO(content)) if packed else split_objects(content)
            objects = list(read)
            lines = [line for line, _ in objects]
            text = b"".join(_with_prefix(prefix, one) + b"\n" for _, one in objects)
            if shapes:
                shapes.add_objects(file.name, objects)
                text = shapes.quoted(text)
        writer.add(file.name, lines, text, file.unpacked_size)
        digest = xxhash.xxh3_128_hexdigest(content)
        # As `replace` would, in half its time.
        files_read.append(
            SourceFile(file.name, file.size, file.version, file.day, digest, len(lines))
        )

    try:
        lake.read_many(files, take)
    finally:
        writer.close()
    return Combined(writer.parts, files_read)


def without_prefix(name: str, text: bytes) -> bytes:
    """Return an object of a part as it was in its file, spaces after the brace aside."""
    prefix = _prefix(name)
    if not text.startswith(prefix):
        return text
    return b"{" + text.removeprefix(prefix).removeprefix(b",")


def _prefix(name: str) -> bytes:
    return b'{"source_file":' + json.dumps(name).encode()


def _with_prefix(prefix: bytes, text: bytes) -> bytes:
    """Put the prefix before an object's own keys; what is no object stays as it is, malformed."""
    if not text.startswith(b"{"):
        return text
    rest = text[1:].lstrip()
    return prefix + (b"" if rest.startswith(b"}") else b",") + rest
