"""What a COPY into a table asks for, and what there is to read."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.jsonpaths import path_steps
from sparkify_dagster.lake.objects import read_lines, read_objects, split_line
from sparkify_dagster.warehouse.base import CopySource, CopyStep, WarehouseError
from sparkify_dagster.warehouse.columns import Column, read_columns
from sparkify_dagster.warehouse.copy_statement import CopyStatement, parse_copy
from sparkify_dagster.warehouse.statements import read_statement, render

# What COPY fills, with what DuckDB calls it.
COPIED_TYPES = {
    "VARCHAR": "VARCHAR",
    "INTEGER": "INTEGER",
    "BIGINT": "BIGINT",
    "DOUBLE PRECISION": "DOUBLE",
    "TIMESTAMP": "TIMESTAMP",
}
OBJECT_BYTES = 4 * 1024 * 1024  # Redshift's limit for one JSON object
STAMP = "source_file"  # the column that COPY lists last: the file of each row
_BLANKS = b" \t\r"  # of a line
_SINCE = re.compile(r"since (\d{4}-\d\d-\d\d)")  # a column's comment in landing.sql


@dataclass(frozen=True)
class CopiedColumn:
    """A column that COPY fills, and where in the object its value is."""

    name: str
    type: str  # one of COPIED_TYPES'
    limit: int | None  # of a VARCHAR, in bytes
    required: bool  # NOT NULL
    steps: tuple[str | int, ...]  # keys and indices from the object's top
    since: dt.date | None  # files of earlier days do not have the key

    @property
    def key(self) -> str:
        """Return the key of the object that the value is in or below."""
        return str(self.steps[0])

    @property
    def path(self) -> str:
        """Return the place as a JSONPath of DuckDB."""
        return "$" + "".join(
            f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in self.steps
        )


@dataclass(frozen=True)
class Plan:
    """What the statements ask for."""

    step: CopyStep
    columns: list[CopiedColumn]  # with source_file where it is put into the objects
    statement: CopyStatement
    stamps_file: bool  # source_file is not in the objects: the reader adds it

    @property
    def known_keys(self) -> list[str]:
        """Return the keys of an object that the columns are filled from."""
        return list(dict.fromkeys(column.key for column in self.columns))


@dataclass(frozen=True)
class Text:
    """A file or part, and where it can be read on this machine.

    If not, or if its compressed data is damaged, that is a LakeError.
    """

    name: str
    path: Path
    line_count: int | None  # None where it has not been counted
    origins: Sequence[tuple[str, int]] | None = None  # of a part's lines: file, line in it

    def objects(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield each object with the file and line it is from."""
        with self.open() as stream:
            if self.origins is None:
                for line, text in read_objects(self.name, stream):
                    yield self.name, line, text
            else:
                for (name, line), text in zip(self.origins, stream, strict=True):
                    yield name, line, text.rstrip(b"\n")

    def objects_of(self, wanted: Set[bytes]) -> list[tuple[str, int, bytes]] | None:
        """Return the objects of some lines, as `objects` does.

        None where a line is not there, or its last object may go on in the next.
        """
        found, seen = [], set()
        with self.open() as stream:
            for at, line in read_lines("" if self.origins else self.name, stream):
                if (text := line.strip(_BLANKS)) not in wanted:
                    continue
                seen.add(text)
                if self.origins:
                    found.append((*self.origins[at - 1], line))
                elif (objects := split_line(at, line)) is not None:
                    found += [(self.name, number, each) for number, each in objects]
                else:
                    return None
        return found if seen == wanted else None

    def open(self) -> BufferedReader:
        """Open it as it is stored."""
        try:
            return self.path.open("rb")
        except OSError as error:
            raise LakeError(
                f"{self.name}: cannot be read ({error.strerror}); it was there when listed"
            ) from error


def plan_copy(step: CopyStep, source: CopySource, max_errors: int) -> Plan:
    """Return what the statements of a table ask for.

    Raises:
        LakeError: the JSONPaths file is none.
        WarehouseError: its paths are not as many as the columns, or a column cannot be filled.
    """
    place = {
        "manifest": source.lake.root,
        "iam_role": "default",
        "jsonpaths": source.lake.url("log_json_path.json"),
        "max_errors": max_errors,
    }
    statement = parse_copy(render(read_statement(step.copy), place))
    types = {column.name: column for column in read_columns(step.landing)}
    stamps_file = source.parts is None
    names = [name for name in statement.columns if name != STAMP or not stamps_file]
    steps: list[tuple[str | int, ...]] = [(name,) for name in names]
    if statement.json_source != "auto":
        paths = source.lake.read_jsonpaths()
        filled = [name for name in names if name != STAMP]
        if len(paths) != len(filled):
            raise WarehouseError(
                f"{statement.json_source}: {len(paths)} JSONPaths for {len(filled)} "
                f"columns of {step.table}; they belong together by position"
            )
        steps[: len(paths)] = [tuple(path_steps(statement.json_source, path)) for path in paths]
    columns = [_column(types[name], at, statement) for name, at in zip(names, steps, strict=True)]
    return Plan(step, columns, statement, stamps_file)


def _column(
    definition: Column, steps: tuple[str | int, ...], statement: CopyStatement
) -> CopiedColumn:
    name, _, size = definition.type.partition("(")
    if name not in COPIED_TYPES:
        raise WarehouseError(f"column {definition.name}: COPY does not fill columns of type {name}")
    if name == "TIMESTAMP" and statement.options.get("TIMEFORMAT") != "epochmillisecs":
        raise WarehouseError(f"column {definition.name}: TIMEFORMAT 'epochmillisecs' expected")
    since = _SINCE.fullmatch(definition.description)
    return CopiedColumn(
        name=definition.name,
        type=COPIED_TYPES[name],
        limit=int(size.rstrip(")")) if size else None,
        required=definition.required,
        steps=steps,
        since=dt.date.fromisoformat(since[1]) if since else None,
    )
