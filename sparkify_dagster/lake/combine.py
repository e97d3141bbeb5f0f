"""Combining many small files into a few larger ones, which is how engines like to read them.

A part is newline-delimited JSON: the objects of the files with the key `source_file` put first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import xxhash

from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.lake.objects import read_objects, split_objects

# Redshift likes 1 MB to 1 GB; this bounds what a retry repeats and still fills every slice.
PART_BYTES = 64 * 1024 * 1024


@dataclass
class Part:
    """One file of combined objects, and where each of its lines is from."""

    path: Path
    origins: list[tuple[str, int]] = field(default_factory=list)  # file, line in it

    @property
    def line_count(self) -> int:
        """Return the number of objects in the part."""
        return len(self.origins)


@dataclass(frozen=True)
class Combined:
    """The parts, and the files with what reading them told."""

    parts: list[Part]
    files: list[SourceFile]


def combine(
    lake: Lake, files: Sequence[SourceFile], folder: Path, part_bytes: int = PART_BYTES
) -> Combined:
    """Write the objects of `files` into parts of about `part_bytes` bytes below `folder`.

    Raises:
        LakeError: a file cannot be read, or its compressed data is damaged.
    """
    parts: list[Part] = []
    files_read: list[SourceFile] = []
    room = 0
    output = None

    def take(file: SourceFile, content: bytes) -> None:
        nonlocal room, output
        packed = file.name.endswith(".gz")
        read = read_objects(file.name, BytesIO(content)) if packed else split_objects(content)
        objects = list(read)
        if output is None or room <= 0:
            if output is not None:
                output.close()
            parts.append(Part(folder / f"part-{len(parts):04d}.json"))
            output = parts[-1].path.open("wb")
            room = part_bytes
        prefix = _prefix(file.name)
        for line, text in objects:
            record = _with_prefix(prefix, text) + b"\n"
            output.write(record)
            room -= len(record)
            parts[-1].origins.append((file.name, line))
        digest = xxhash.xxh3_128_hexdigest(content)
        # As `replace` would, in half its time.
        files_read.append(
            SourceFile(file.name, file.size, file.version, file.day, digest, len(objects))
        )

    try:
        lake.read_many(files, take)
    finally:
        if output is not None:
            output.close()
    return Combined(parts, files_read)


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
