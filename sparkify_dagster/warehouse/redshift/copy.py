"""COPY from S3 by manifest, into a landing table and from there into the staging table.

One COPY for all files: it keeps every slice busy, and takes seconds however little it reads. As it
cannot tell a row the file it is from, the files are combined into parts on this host, which say so
themselves; what it cannot tell of keys that are new or have gone is seen on the way.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparkify_dagster.lake.base import SourceFile
from sparkify_dagster.lake.combine import Part, combine
from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.lake.shapes import Shapes
from sparkify_dagster.warehouse.base import (
    BadLine,
    CopyResult,
    CopySource,
    CopyStep,
    LoadError,
    WarehouseError,
)
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import STAMP, plan_copy
from sparkify_dagster.warehouse.redshift.connection import place_of
from sparkify_dagster.warehouse.redshift.errors import LOAD_FAILED, ServerError, failed_query
from sparkify_dagster.warehouse.redshift.load_errors import bad_lines
from sparkify_dagster.warehouse.redshift.uploads import CombinedFiles, part_count
from sparkify_dagster.warehouse.statements import read_statement, render

if TYPE_CHECKING:
    from sparkify_dagster.warehouse.redshift.session import RedshiftSession

_MOST_ERRORS = 100_000  # that MAXERROR can say
_THREADS = 2  # that compress and upload; compressing leaves Python to the others meanwhile
_WAITING = 4  # parts on this host's disk

Read = Mapping[str, Part] | Mapping[str, SourceFile]  # by address


class Copier:
    """Loads the files of a source."""

    def __init__(
        self,
        session: "RedshiftSession",
        step: CopyStep,
        source: CopySource,
        max_errors: int,
        folder: Path,
    ) -> None:
        if not isinstance(source.lake, S3Lake):
            raise WarehouseError(
                f"SPARKIFY_LAKE={source.lake.root!r}: Redshift reads from S3 only; copy the lake "
                "there and set SPARKIFY_LAKE=s3://bucket/prefix, or use SPARKIFY_TARGET=duckdb"
            )
        self._session = session
        self._step = step
        self._source = source
        self._lake = source.lake
        self._folder = folder
        self._plan = plan_copy(step, source, max_errors)
        self._found = Found(self._plan, replace(source, parts=[]) if source.are_small else source)

    def copy(self) -> CopyResult:
        """Load the files; those larger than a part as they lie in the lake."""
        files = self._source.files
        most = self._session.settings.part_mb << 20
        # COPY counts an empty file as no file at all.
        small = [f for f in files if f.size and (f.unpacked_size <= most or not self._step.stamp)]
        parts, combined, shapes = self._upload(small)
        self._take_keys(shapes)
        names = {file.name for file in small}
        others = [file for file in files if file.name not in names]
        self._session.execute(self._step.landing)
        self._jsonpaths = self._put_jsonpaths()
        if parts:
            # The limit is each file's: what one has more than its own shows in the views.
            limit = len(files) * max(0, self._plan.statement.max_errors - 1) + 1
            rows, bad = self._load(parts, limit)
            written = sum(part.line_count for part in parts.values())
            # What follows an object on its line may be an error beside the row.
            if not written - bad <= rows <= written:
                raise WarehouseError(
                    f"{self._step.table}: COPY loaded {rows} of the {written} objects "
                    "written for it; nothing was changed. Run again."
                )
        for file in filter(lambda file: file.size, others):
            limit = self._plan.statement.max_errors
            self._load({self._lake.url(file.name): file}, limit)
            self._session.execute(self._step.stamp, source_file=file.name)
        result = self._found.result()
        self._session.execute(self._step.insert)
        return replace(result, files=[*combined, *others])

    def _upload(self, files: Sequence[SourceFile]) -> CombinedFiles:
        """Combine files into parts on S3, unless the transaction has done so at its last try."""
        uploads, key = self._session.uploads, tuple(files)
        if key in uploads.combined:
            return uploads.combined[key]
        total = sum(file.unpacked_size for file in files)
        settings = self._session.settings
        count = part_count(total, settings.part_mb << 20, settings.slices)
        columns = self._plan.columns
        shapes = Shapes(column.key for column in columns if column.type == "VARCHAR")
        sent: list[Future[str]] = []
        with ThreadPoolExecutor(_THREADS) as pool:

            def send(part: Part) -> None:
                sent.append(pool.submit(uploads.put_part, part))
                if len(sent) > _WAITING:
                    sent[-_WAITING].result()

            combined = combine(self._lake, files, self._folder, total / count, shapes, send)
            urls = [future.result() for future in sent]
        parts = dict(zip(urls, combined.parts, strict=True))
        uploads.combined = {key: (parts, combined.files, shapes)}
        return uploads.combined[key]

    def _take_keys(self, shapes: Shapes) -> None:
        found, known = self._found, self._plan.known_keys
        found.unknown_keys = shapes.keys - set(known)
        for name, file in shapes.files.items():
            found.totals[name], found.last_lines[name] = file.objects, file.last_line
            found.malformed[name] = file.malformed
            for key in known:
                found.add_lacking(name, key, file.objects - file.malformed - file.keys[key])

    def _put_jsonpaths(self) -> str:
        """Write the lake's JSONPaths with that of the file behind; return their address.

        Dot and bracket notation cannot be mixed in a file.
        """
        if self._plan.statement.json_source == "auto":
            return ""
        paths = self._lake.read_jsonpaths()
        dotted = all(path.startswith("$.") for path in paths)
        paths = [*paths, f"$.{STAMP}" if dotted else f"$['{STAMP}']"]
        return self._session.uploads.put(
            "jsonpaths.json", json.dumps({"jsonpaths": paths}).encode()
        )

    def _load(self, read: Read, max_errors: int) -> tuple[int, int]:
        """Carry out one COPY, of parts or of a file; return how many rows and bad lines it had."""
        if self._source.find_all:
            max_errors = _MOST_ERRORS
        try:
            self._session.send(place_of(self._step.copy), self._render(read, max_errors))
        except ServerError as error:
            if not LOAD_FAILED.search(error.message):
                raise
            # What a transaction left in the views is shown once it has ended.
            self._session.end()
            if bad := self._bad_lines(failed_query(error), read):
                places = {(line.file, line.line) for line in bad}
                raise LoadError(self._step.table, bad, len(places)) from None
            raise WarehouseError(
                f"{error}\nWhich lines cannot be told: SYS_LOAD_ERROR_DETAIL and STL_LOAD_ERRORS "
                "show nothing to this database user."
            ) from None
        copied = self._session.query("redshift/last_copy")[0]
        self._found.rows += int(copied["row_count"])
        by_line = defaultdict(list)
        if max_errors > 1:
            for line in self._bad_lines(copied["query_id"], read):
                by_line[line.file, line.line].append(line)
            for lines in by_line.values():
                self._found.add_bad_line(lines)
        return int(copied["row_count"]), len(by_line)

    def _bad_lines(self, query_id: int | None, read: Read) -> list[BadLine]:
        steps = {column.name: column.steps for column in self._plan.columns}
        found = self._session.load_errors(query_id)
        return bad_lines(found, steps, read, self._source, self._folder)

    def _render(self, read: Read, max_errors: int) -> str:
        region = self._session.uploads.prefix.region
        file = next((file for file in read.values() if isinstance(file, SourceFile)), None)
        if file and self._lake.objects.region != region:
            raise WarehouseError(
                f"SPARKIFY_MANIFEST_PREFIX={self._session.uploads.prefix.root!r}: COPY reads from "
                f"one region at a time, and the lake is in {self._lake.objects.region}; choose a "
                f"bucket there, or raise SPARKIFY_PART_MB above the size of {file.name}"
            )
        text = render(
            read_statement(self._step.copy),
            {
                "manifest": self._session.uploads.put_manifest([*read]),
                "iam_role": self._session.settings.role,
                "jsonpaths": self._jsonpaths,
                # 0 and 1 both fail at the first bad line.
                "max_errors": min(_MOST_ERRORS, max_errors if max_errors > 1 else 0),
            },
        )
        # Where the files are and whether they are compressed is known here only.
        is_compressed = file is None or file.name.endswith(".gz")
        return f"{text}\nREGION '{region}'" + "\nGZIP" * is_compressed
