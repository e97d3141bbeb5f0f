"""What a transaction puts on S3 for COPY to read: manifests and parts."""

import json
import logging
from collections.abc import Iterable, Sequence
from io import BytesIO

from isal import igzip

from sparkify_dagster.lake.base import LakeError, SourceFile
from sparkify_dagster.lake.combine import Part
from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.lake.shapes import Shapes
from sparkify_dagster.warehouse.base import Row

_log = logging.getLogger(__name__)

_LEAST_PART = 4 << 20  # bytes; about 1 MB compressed, below which Redshift gains nothing
_GZIP_LEVEL = 1  # of ISA-L: as small as zlib's, at a fourth of its time


# Parts by their address on S3, the files in them with what reading these told, and their keys.
CombinedFiles = tuple[dict[str, Part], list[SourceFile], Shapes]


def part_count(total: int, most_bytes: int, slices: int) -> int:
    """Return into how many parts of at most `most_bytes` before compression `total` bytes are put.

    A multiple of the cluster's slices, unless the parts would be too small to gain by it.
    """
    wanted = -(-total // most_bytes)
    even = -(-wanted // slices) * slices
    return max(1, wanted, min(even, total // _LEAST_PART))


class Uploads:
    """The objects of one transaction, below a prefix of its own; tried again, it has them still."""

    def __init__(self, prefix: S3Prefix, folder: str, keep: bool) -> None:
        self.prefix = prefix
        self._folder = folder
        self._keep = keep
        self._names: list[str] = []
        self.combined: dict[tuple[SourceFile, ...], CombinedFiles] = {}  # what was last combined

    def put_manifest(self, urls: Sequence[str]) -> str:
        """Write a manifest; return its address.

        Every file is mandatory, or COPY would skip one that has gone.
        """
        manifest = {"entries": [{"url": url, "mandatory": True} for url in urls]}
        return self.put(f"{len(self._names):05d}.manifest", json.dumps(manifest).encode())

    def put_part(self, part: Part) -> str:
        """Compress and write a part, which leaves this host."""
        content = igzip.compress(part.path.read_bytes(), _GZIP_LEVEL)
        part.path.unlink()
        return self.put(f"{part.path.name}.gz", content)

    def put_rows(self, columns: Sequence[str], rows: Iterable[Row]) -> str:
        """Write rows, a JSON object a line; return their address."""
        packed = BytesIO()
        with igzip.open(packed, "wt", _GZIP_LEVEL, encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(dict(zip(columns, row, strict=True)), default=str) + "\n")
        return self.put(f"{len(self._names):05d}.rows.gz", packed.getvalue())

    def remove(self) -> None:
        """Remove what was written, unless it is to be kept."""
        if self._keep or not self._names:
            return
        try:
            self.prefix.delete(self._names)
        except LakeError as error:
            _log.warning("manifests are left behind: %s", error)
        self._names = []

    def put(self, name: str, content: bytes) -> str:
        """Write an object; return its address."""
        self._names.append(f"{self._folder}/{name}")
        return self.prefix.put(self._names[-1], content)
