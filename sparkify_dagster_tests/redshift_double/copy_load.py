"""COPY carried out: objects to records to checked rows, with the errors it lists.

Plain Python, one record after the other: slow but plainly Redshift's rules.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .catalog import Relation, TableColumn
from .copy_statement import Copy
from .errors import ServerError
from .jsonpaths import mapping
from .objects import S3Object, Store
from .values import FieldError, Number, convert

# Files are dealt to slices; each stops at its own MAXERROR, so more errors than one
# may be listed although the first is enough to fail.
SLICES = 2
_MAX_RECORD = 4 * 1024 * 1024
_SPACE = " \t\r\n"


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found


_DECODER = json.JSONDecoder(
    parse_float=Number,
    parse_int=Number,
    parse_constant=_no_constant,
    object_pairs_hook=_no_key_twice,
)
# What may follow a value: another, or the next line.
_FOLLOWS = re.compile(r"[ \t\r]*(?=[\n{\[]|\Z)")


@dataclass
class LoadError:
    """One refused record: where, which field and why."""

    file: str
    slice: int
    line: int
    column: TableColumn | None
    error: FieldError
    raw_line: str


@dataclass
class LoadedFile:
    """How one object was read."""

    item: S3Object
    lines: int = 0


@dataclass
class Load:
    """The outcome of reading a COPY's files: rows as text by column, errors, files."""

    columns: list[TableColumn]
    values: list[list[str | None]] = field(default_factory=list)
    errors: list[LoadError] = field(default_factory=list)
    files: list[LoadedFile] = field(default_factory=list)


@dataclass
class _Record:
    line: int
    raw: str
    value: dict[str, Any] | None


def _records(text: str) -> Iterator[_Record]:
    """Find the JSON objects of a file; the line is the last of the object.

    A malformed object costs its line; reading goes on with the next.
    """
    position, line, end = 0, 1, len(text)
    while True:
        start = position
        while position < end and text[position] in _SPACE:
            position += 1
        line += text.count("\n", start, position)
        if position >= end:
            return
        try:
            value, after = _DECODER.raw_decode(text, position)
            if not _FOLLOWS.match(text, after):
                raise ValueError("something else follows on the line")
        except (ValueError, RecursionError):
            value, after = None, text.find("\n", position)
            after = end if after < 0 else after
        line += text.count("\n", position, after)
        good = isinstance(value, dict) and after - position <= _MAX_RECORD
        yield _Record(line, text[position:after], value if good else None)
        position = after


def target_columns(copy: Copy, relation: Relation) -> list[TableColumn]:
    """Give the columns a COPY loads, in its order.

    Raises ServerError 42703 for an unknown one, 42701 for one named twice.
    """
    if copy.columns is None:
        return relation.columns
    columns = []
    for name in copy.columns:
        column = relation.column(name)
        if column is None:
            raise ServerError(
                "42703", f'column "{name}" of relation "{relation.name}" does not exist'
            )
        columns.append(column)
    if len(set(copy.columns)) != len(copy.columns):
        raise ServerError("42701", "column specified more than once")
    return columns


def _unfilled(relation: Relation, columns: list[TableColumn]) -> TableColumn | None:
    """Find a NOT NULL column that is neither listed nor has a default."""
    listed = {column.name for column in columns}
    return next(
        (
            column
            for column in relation.columns
            if column.name not in listed and not column.nullable and column.default is None
        ),
        None,
    )


class Loader:
    """Reads the files of one COPY into a Load."""

    def __init__(self, copy: Copy, relation: Relation, store: Store) -> None:
        self._copy = copy
        self._store = store
        self._columns = target_columns(copy, relation)
        self._unfilled = _unfilled(relation, self._columns)

    def load(self) -> Load:
        """Read everything and decide nothing.

        Raises ServerError XX000 where a file, the manifest or the JSONPaths file cannot
        be used at all.
        """
        copy = self._copy
        paths = None
        if copy.json.startswith("s3://"):
            paths = self._store.get(copy.json, copy.region).content
        elif copy.json.lower() not in ("auto", "auto ignorecase"):
            raise ServerError("XX000", f"Invalid JSON option '{copy.json}'")
        picks = mapping(copy.json, paths, self._columns)
        result = Load(self._columns)
        failures = [0] * SLICES
        limit = max(copy.maxerror, 1)
        for number, item in enumerate(self._store.read(copy)):
            slice_number = number % SLICES
            loaded = LoadedFile(item)
            result.files.append(loaded)
            text = item.content.decode("utf-8-sig", errors="surrogateescape")
            for record in _records(text):
                if failures[slice_number] >= limit and not copy.ignore_all_errors:
                    break
                loaded.lines += 1
                error = self._add(picks.pick, record, result)
                if error is not None:
                    error.file, error.slice = item.url, slice_number
                    result.errors.append(error)
                    failures[slice_number] += 1
        return result

    def _add(self, pick: Any, record: _Record, result: Load) -> LoadError | None:
        if record.value is None:
            return _load_error(record, None, FieldError(1216, "Invalid JSON object"))
        try:
            picked = pick(record.value)
        except FieldError as error:
            return _load_error(record, None, error)
        if self._unfilled is not None:
            missing = FieldError(1213, "Missing data for not-null field")
            return _load_error(record, self._unfilled, missing)
        row = []
        for value, column in zip(picked, self._columns, strict=True):
            try:
                row.append(convert(value, column, self._copy))
            except FieldError as error:
                return _load_error(record, column, error)
        result.values.append(row)
        return None


def _load_error(record: _Record, column: TableColumn | None, error: FieldError) -> LoadError:
    return LoadError("", 0, record.line, column, error, record.raw)
