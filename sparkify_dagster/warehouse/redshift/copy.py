"""COPY from S3 by manifest, into a landing table and from there into the staging table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparkify_dagster.lake.base import JSONPATHS_NAME, SourceFile
from sparkify_dagster.lake.combine import Part
from sparkify_dagster.lake.jsonpaths import path_steps
from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.warehouse.base import (
    BadLine,
    CopyResult,
    CopySource,
    CopyStep,
    LoadError,
    WarehouseError,
)
from sparkify_dagster.warehouse.copy_statement import CopyStatement, parse_copy
from sparkify_dagster.warehouse.redshift.connection import place_of
from sparkify_dagster.warehouse.redshift.errors import LOAD_FAILED, ServerError, failed_query
from sparkify_dagster.warehouse.redshift.load_errors import Origins, Steps
from sparkify_dagster.warehouse.redshift.uploads import PartSizes
from sparkify_dagster.warehouse.scratch import scratch_folder
from sparkify_dagster.warehouse.statements import Keyword, read_statement, render

if TYPE_CHECKING:
    from sparkify_dagster.warehouse.redshift.session import RedshiftSession


@dataclass(frozen=True)
class _Load:
    """What one COPY statement reads."""

    urls: list[str]
    is_compressed: bool
    region: str
    source_file: str | None = None  # stamped on each row, where the objects do not hold it


class Copier:
    """Loads the files of one source."""

    def __init__(
        self,
        session: "RedshiftSession",
        step: CopyStep,
        source: CopySource,
        folder: Path,
    ) -> None:
        if not isinstance(source.lake, S3Lake):
            raise WarehouseError(
                f"SPARKIFY_LAKE={source.lake.root!r}: Redshift reads from S3 only; copy the lake "
                "there and set SPARKIFY_LAKE=s3://bucket/prefix, or use SPARKIFY_TARGET=duckdb"
            )
        self._session = session
        self._step = step
        self._lake = source.lake
        self._folder = folder
        self._origins = Origins(source.lake, source.files, folder)
        self._result = CopyResult()

    def copy_files(self, files: Sequence[SourceFile], max_errors: int) -> CopyResult:
        """Load files as they are.

        COPY cannot tell a row the file it is from, so each file takes a COPY of its own, into a
        landing table whose default says it.
        """
        region = self._lake.objects.region
        if self._session.uploads.prefix.region != region:
            raise WarehouseError(
                f"SPARKIFY_MANIFEST_PREFIX={self._session.uploads.prefix.root!r}: COPY reads from "
                f"one region at a time, and the lake is in {region}; choose a bucket there"
            )
        for file in files:
            # COPY counts an empty file as no file at all.
            if file.size:
                load = _Load(
                    urls=[self._lake.url(file.name)],
                    is_compressed=file.name.endswith(".gz"),
                    region=region,
                    source_file=file.name,
                )
                self._load(load, max_errors)
        return self._result

    def copy_parts(self, parts: Sequence[Part], max_errors: int) -> CopyResult:
        """Load combined objects, which say themselves where they are from, in one COPY.

        Raises:
            WarehouseError: fewer or more objects were loaded than written.
        """
        uploaded = self._session.uploads.put_parts(
            parts,
            self._folder,
            self._text_columns(),
            PartSizes(self._session.settings.part_bytes, self._session.settings.slices),
        )
        if not uploaded:
            return self._result
        for part in uploaded:
            self._origins.add_part(part.url, part.origins)
        region = self._session.uploads.prefix.region
        self._load(_Load([part.url for part in uploaded], True, region), max_errors)
        written = sum(len(part.origins) for part in uploaded)
        found = self._result.rows + _line_count(self._result.rejected)
        if found != written:
            raise WarehouseError(
                f"{self._step.table}: COPY loaded {found} of the {written} objects written for it; "
                "nothing was changed. Run again."
            )
        return self._result

    def _load(self, load: _Load, max_errors: int) -> None:
        """Carry out one COPY: landing table, COPY, staging table."""
        # The limit is that of all files together; 0 and 1 both fail at the first bad line.
        left = max_errors - _line_count(self._result.rejected)
        text = self._render(load, left)
        statement = parse_copy(text)
        steps = self._steps(statement)
        self._session.execute(self._step.landing, source_file=load.source_file)
        try:
            self._session.send(place_of(self._step.copy), text)
        except ServerError as error:
            if LOAD_FAILED.search(error.message):
                raise self._load_error(error, steps, load.urls) from None
            raise
        copied = self._session.query("redshift/last_copy")[0]
        self._result.rows += int(copied["row_count"])
        self._session.execute(self._step.insert)
        self._session.run(f"DROP TABLE {statement.target}")
        if left > 1:
            found = self._session.load_errors(copied["query_id"])
            self._result.rejected += self._origins.bad_lines(found, steps, load.urls)

    def _load_error(
        self, error: ServerError, steps: dict[str, Steps], urls: list[str]
    ) -> WarehouseError:
        # What a transaction left in the views is shown once it has ended.
        self._session.end()
        found = self._session.load_errors(failed_query(error))
        bad_lines = self._origins.bad_lines(found, steps, urls)
        if bad_lines:
            bad_lines = [*self._result.rejected, *bad_lines]
            return LoadError(self._step.table, bad_lines, _line_count(bad_lines))
        return WarehouseError(
            f"{error}\nWhich lines cannot be told: SYS_LOAD_ERROR_DETAIL and STL_LOAD_ERRORS show "
            "nothing to this database user."
        )

    def _text_columns(self) -> list[str]:
        text = render(read_statement(self._step.landing), {"source_file": ""})
        return re.findall(r"^    (\w+) VARCHAR", text, re.MULTILINE)

    def _render(self, load: _Load, max_errors: int) -> str:
        role = self._session.settings.iam_role
        text = render(
            read_statement(self._step.copy),
            {
                "manifest": self._session.uploads.put_manifest(load.urls),
                "iam_role": Keyword(role) if role == "default" else role,
                "jsonpaths": self._lake.url(JSONPATHS_NAME),
                "max_errors": max_errors,
            },
        )
        # Where the files are and whether they are compressed is known here only.
        return f"{text}\nREGION '{load.region}'" + "\nGZIP" * load.is_compressed

    def _steps(self, statement: CopyStatement) -> dict[str, Steps]:
        """Return where in an object each column's value is.

        Raises:
            LakeError: the JSONPaths file is none. Redshift would load by key without a word.
            WarehouseError: its paths are not as many as the columns.
        """
        if statement.json_source == "auto":
            return {name: [name] for name in statement.columns}
        paths = self._lake.read_jsonpaths()
        if len(paths) != len(statement.columns):
            raise WarehouseError(
                f"{statement.json_source}: {len(paths)} JSONPaths for {len(statement.columns)} "
                f"columns of {self._step.table}; they belong together by position"
            )
        return {
            name: path_steps(statement.json_source, path)
            for name, path in zip(statement.columns, paths, strict=True)
        }


def copy(
    session: "RedshiftSession", step: CopyStep, source: CopySource, max_errors: int
) -> CopyResult:
    """Load the files or parts of a source into a staging table.

    Raises:
        LoadError: more lines than `max_errors` allows do not fit; the transaction has ended.
        LakeError, WarehouseError: COPY could not read them.
    """
    with scratch_folder() as folder:
        copier = Copier(session, step, source, folder)
        if source.parts is None:
            return copier.copy_files(source.files, max_errors)
        return copier.copy_parts(source.parts, max_errors)


def _line_count(bad_lines: Sequence[BadLine]) -> int:
    return len({(bad.file, bad.line) for bad in bad_lines})
