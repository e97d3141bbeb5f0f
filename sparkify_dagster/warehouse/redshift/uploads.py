"""What a transaction puts on S3 for COPY to read: manifests and parts."""

import gzip
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.combine import Part
from sparkify_dagster.lake.s3_prefix import S3Prefix

_log = logging.getLogger(__name__)

_LEAST_PART = 4 << 20  # bytes; about 1 MB compressed, below which Redshift gains nothing
# The real song objects, 4.6 MB, shrink to 1.3 MB in 0.03 s; level 9 gives 1.1 MB in 0.18 s.
_GZIP_LEVEL = 1


Origin = tuple[str, int]  # file, line in it


@dataclass(frozen=True)
class UploadedPart:
    """A compressed part on S3, and where each of its lines is from."""

    url: str
    origins: Sequence[Origin]  # of its lines


@dataclass(frozen=True)
class PartSizes:
    """Into how many parts objects are put."""

    most_bytes: int  # of a part, before compression
    slices: int  # of the cluster

    def count(self, total: int) -> int:
        """Return the number of parts for `total` bytes.

        A multiple of the slices, unless the parts would be too small to gain by it.
        """
        wanted = -(-total // self.most_bytes)
        even = -(-wanted // self.slices) * self.slices
        return max(1, wanted, min(even, total // _LEAST_PART))


class Uploads:
    """The objects of one transaction, below a prefix of its own."""

    def __init__(self, prefix: S3Prefix, folder: str, keep: bool) -> None:
        self.prefix = prefix
        self._folder = folder
        self._keep = keep
        self._names: list[str] = []

    def put_manifest(self, urls: Sequence[str]) -> str:
        """Write a manifest; return its address.

        Every file is mandatory, or COPY would skip one that has gone.
        """
        manifest = {"entries": [{"url": url, "mandatory": True} for url in urls]}
        return self._put(f"{len(self._names):05d}.manifest", json.dumps(manifest).encode())

    def put_parts(
        self, parts: Sequence[Part], folder: Path, texts: Sequence[str], sizes: PartSizes
    ) -> list[UploadedPart]:
        """Compress and write parts, about even in size and as many as keep all slices busy.

        A number at one of the keys `texts` is put in quotes: COPY prints a number that goes into
        a text column with 17 digits, so 4.6 would become 4.5999999999999996.
        """
        total = sum(part.path.stat().st_size for part in parts)
        uploaded: list[UploadedPart] = []
        for origins in _cut(parts, folder, texts, total / sizes.count(total)):
            path = _part_path(folder, len(uploaded))
            url = self._put(f"{len(self._names):05d}.json.gz", path)
            uploaded.append(UploadedPart(url, origins))
        return uploaded

    def remove(self) -> None:
        """Remove what was written, unless it is to be kept."""
        if self._keep or not self._names:
            return
        try:
            self.prefix.delete(self._names)
        except LakeError as error:
            _log.warning("manifests are left behind: %s", error)
        self._names = []

    def _put(self, name: str, content: bytes | Path) -> str:
        self._names.append(f"{self._folder}/{name}")
        return self.prefix.put(self._names[-1], content)


def _part_path(folder: Path, number: int) -> Path:
    return folder / f"upload-{number:05d}.json.gz"


def _cut(
    parts: Sequence[Part], folder: Path, texts: Sequence[str], part_bytes: float
) -> Iterator[list[Origin]]:
    """Write the lines into compressed files of about `part_bytes`; yield each one's origins."""
    # A quote inside a text is escaped, so the key cannot be found there.
    bare = re.compile(rf'"({"|".join(texts)})"\s*:\s*(-?\d[^,}}\s]*)'.encode())
    lines = _lines(parts)
    for number in count():
        origins: list[Origin] = []
        room = part_bytes
        with gzip.open(_part_path(folder, number), "wb", _GZIP_LEVEL) as output:
            for origin, line in lines:
                output.write(bare.sub(rb'"\1":"\2"', line))
                origins.append(origin)
                room -= len(line)
                if room <= 0:
                    break
        if not origins:
            return
        yield origins


def _lines(parts: Sequence[Part]) -> Iterator[tuple[Origin, bytes]]:
    for part in parts:
        with part.path.open("rb") as stream:
            yield from zip(part.origins, stream, strict=True)
