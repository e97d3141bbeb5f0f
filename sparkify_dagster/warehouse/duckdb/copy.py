"""COPY on DuckDB, by Redshift's rules.

The fast way reads all files in one statement with DuckDB's own JSON reader and refuses whatever is
not plainly right. What it refuses is looked at line by line (`copy_checked`), which has the last
word: it loads the files, or names every bad line. Source of the rules: AWS Redshift Database
Developer Guide, "COPY from JSON format", "Data conversion parameters", "Load error reference".
"""

import datetime as dt
import gzip
import json
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from sparkify_dagster.lake.base import LakeError, event_day
from sparkify_dagster.lake.combine import without_prefix
from sparkify_dagster.lake.jsonpaths import path_steps
from sparkify_dagster.lake.objects import chunks, count_lines, decompress, split_objects
from sparkify_dagster.warehouse.base import (
    BadLine,
    CopyResult,
    CopySource,
    CopyStep,
    LoadError,
    WarehouseError,
)
from sparkify_dagster.warehouse.columns import Column, read_columns
from sparkify_dagster.warehouse.copy_statement import CopyStatement, parse_copy
from sparkify_dagster.warehouse.duckdb.dialect import COPIED_TYPES, literal
from sparkify_dagster.warehouse.statements import read_statement, render

if TYPE_CHECKING:
    from sparkify_dagster.warehouse.duckdb.engine import DuckDBSession

_OBJECT_BYTES = 4 * 1024 * 1024  # Redshift's limit for one JSON object
_INTEGERS = ("INTEGER", "BIGINT")
_SEPARATOR = "\x01"  # between the fields of a spooled record; not allowed in JSON text
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
# Milliseconds since 1970 of the first and last moment that Python's datetime can say as well.
_FIRST_MOMENT, _LAST_MOMENT = -62_135_596_800_000, 253_402_300_799_999
# How an object, a list and what DuckDB takes for a number, though JSON does not, look as text.
_NO_TEXT = r"'^([{\[]|(?i:-?(nan|inf|infinity))$)'"
# A comma before the closing brace, or blanks that may hide one.
_DOUBTFUL_ENDINGS = ("',}'", "' }'", "chr(9) || '}'", "chr(13) || '}'")
_SINCE = re.compile(r"since (\d{4}-\d\d-\d\d)")  # a column's comment in landing.sql
_SHOWN_BYTES = 400  # of a malformed text
_SHOWN_CHARACTERS = 100
_KEY_TWICE = (
    "CASE WHEN len(json_keys(object)) <> len(list_distinct(json_keys(object))) THEN "
    "struct_pack(column_name := '', reason := 'a key appears twice', value := '') END"
)


class FastCopyRefused(Exception):
    """The fast way met something that is not plainly right."""


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
    def path(self) -> str:
        """Return the place as a JSONPath of DuckDB."""
        return "$" + "".join(
            f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in self.steps
        )


@dataclass(frozen=True)
class _Plan:
    """What the statements ask for."""

    landing: str
    columns: list[CopiedColumn]
    statement: CopyStatement
    stamps_file: bool  # source_file is not in the objects: the reader adds it


def copy_fast(
    session: "DuckDBSession", step: CopyStep, source: CopySource, max_errors: int, folder: Path
) -> CopyResult:
    """Load all files in one statement.

    Raises:
        FastCopyRefused: something needs a closer look; the transaction is void.
    """
    plan = _plan(step, source, max_errors)
    if any(len(column.steps) != 1 for column in plan.columns):
        raise FastCopyRefused("nested JSONPaths")
    paths = _paths(source, folder)
    if not paths:
        return CopyResult()
    try:
        session.run(f"CREATE TEMP VIEW {plan.landing} AS {_fast_select(plan, paths)}")
        rows = session.execute(step.insert)
    except (duckdb.DataError, duckdb.InvalidInputException, duckdb.IOException) as error:
        raise FastCopyRefused(str(error)) from error
    session.run(f"DROP VIEW {plan.landing}")
    # No file can make up for another: two objects on a line are refused, so each row is a line.
    if rows == _line_count(source, paths):
        return CopyResult(rows=rows)
    objects = _object_counts(source, paths)
    # Of several files, DuckDB 2.0 now and then skips a malformed last line without a word.
    if rows != sum(objects.values()):
        raise FastCopyRefused("not every object gave a row")
    return CopyResult(rows=rows, objects=objects)


def copy_checked(
    session: "DuckDBSession", step: CopyStep, source: CopySource, max_errors: int, folder: Path
) -> CopyResult:
    """Load the files with a look at every line.

    Raises:
        LoadError: more lines than MAXERROR allows do not fit, or a key is in no line of a file.
    """
    plan = _plan(step, source, max_errors)
    files = _spool(source, folder / "spool.csv")
    # To read objects of several megabytes takes a multiple of that, which cannot be spilled.
    session.run("RESET memory_limit")
    session.run(
        # json_valid has the last word: what it refuses, the functions below would fail on.
        "CREATE TEMP TABLE spooled AS SELECT file, line, text, "
        "CASE WHEN malformed IS NULL AND json_valid(text) THEN text END AS object, "
        "CASE WHEN malformed IS NOT NULL THEN malformed "
        "WHEN NOT json_valid(text) THEN 'malformed JSON' END AS malformed "
        f"FROM read_csv({literal(str(folder / 'spool.csv'))}, delim = '{_SEPARATOR}', quote = '', "
        "escape = '', header = false, auto_detect = false, strict_mode = false, "
        f"max_line_size = {_OBJECT_BYTES + 1000}, columns = "
        "{file: 'INTEGER', line: 'BIGINT', malformed: 'VARCHAR', text: 'VARCHAR'})"
    )
    checked = [_checked(column) for column in plan.columns]
    values = ", ".join(
        f'{item.value} AS "{column.name}"'
        for column, item in zip(plan.columns, checked, strict=True)
    )
    faults = ", ".join([_KEY_TWICE, *(item.fault for item in checked)])
    session.run(
        "CREATE TEMP TABLE checked AS SELECT file, line, malformed, "
        "CASE WHEN malformed IS NOT NULL THEN text END AS bad, json_keys(object) AS keys, "
        f"{values}, CASE WHEN malformed IS NULL THEN "
        f"list_filter([{faults}], lambda fault : fault IS NOT NULL) ELSE [] END AS faults "
        "FROM spooled"
    )
    bad_lines, count = _bad_lines(session, files)
    if count >= max(1, plan.statement.max_errors):
        raise LoadError(step.table, bad_lines, count)
    _refuse_vanished_keys(session, step.table, plan, files)
    known = _list([str(column.steps[0]) for column in plan.columns])
    unknown = session.run(
        "SELECT DISTINCT key FROM (SELECT unnest(keys) AS key FROM checked) "
        f"WHERE NOT list_contains({known}, key) ORDER BY key"
    )
    counted = session.run("SELECT file, COUNT(*) FROM checked GROUP BY file")
    names = ", ".join(f'"{column.name}"' for column in plan.columns)
    stamp = f", {_list(files)}[file + 1] AS source_file" if plan.stamps_file else ""
    session.run(
        f"CREATE TEMP VIEW {plan.landing} AS SELECT {names}{stamp} FROM checked "
        "WHERE malformed IS NULL AND len(faults) = 0"
    )
    rows = session.execute(step.insert)
    session.run(f"DROP VIEW {plan.landing}")
    session.run("DROP TABLE checked")
    session.run("DROP TABLE spooled")
    return CopyResult(
        rows,
        bad_lines,
        {key for (key,) in unknown},
        {files[file]: count for file, count in counted},
    )


def _plan(step: CopyStep, source: CopySource, max_errors: int) -> _Plan:
    place = {
        "manifest": source.lake.root,
        "iam_role": "default",
        "jsonpaths": source.lake.url("log_json_path.json"),
        "max_errors": max_errors,
    }
    statement = parse_copy(render(read_statement(step.copy), place))
    types = {column.name: column for column in read_columns(step.landing)}
    if statement.json_source == "auto":
        steps: list[tuple[str | int, ...]] = [(name,) for name in statement.columns]
    else:
        paths = source.lake.read_jsonpaths()
        if len(paths) != len(statement.columns):
            raise WarehouseError(
                f"{statement.json_source}: {len(paths)} JSONPaths for {len(statement.columns)} "
                f"columns of {step.table}; they belong together by position"
            )
        steps = [tuple(path_steps(statement.json_source, path)) for path in paths]
    columns = [
        _column(types[name], at, statement)
        for name, at in zip(statement.columns, steps, strict=True)
    ]
    return _Plan(
        landing=statement.target,
        columns=columns,
        statement=statement,
        stamps_file="source_file" in types and "source_file" not in statement.columns,
    )


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


def _paths(source: CopySource, folder: Path) -> list[Path]:
    """Return the files to read, each as plain text."""
    if source.parts is not None:
        return [part.path for part in source.parts if part.line_count]
    paths = source.lake.local_paths(source.files, folder)
    return [
        _unpacked(file.name, path, folder)
        for file, path in zip(source.files, paths, strict=True)
        if file.size
    ]


def _unpacked(name: str, path: Path, folder: Path) -> Path:
    """Unpack a compressed file: DuckDB does so itself, but lets wrong checksums pass.

    Raises:
        FastCopyRefused: the compressed data is damaged.
    """
    if not name.endswith(".gz"):
        return path
    target = folder / "unpacked" / name.removesuffix(".gz")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(path, "rb") as packed, target.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    except (OSError, EOFError, zlib.error) as error:
        raise FastCopyRefused(f"{name}: {error}") from error
    return target


# --- the fast way


def _line_count(source: CopySource, paths: Sequence[Path]) -> int:
    """Return the number of lines: an object each, unless files are written otherwise."""
    if source.parts is not None:
        return sum(part.line_count for part in source.parts)
    read = [file for file in source.files if file.size]
    return sum(
        _lines_in(path) if file.line_count is None else file.line_count
        for file, path in zip(read, paths, strict=True)
    )


def _lines_in(path: Path) -> int:
    with path.open("rb") as stream:
        return count_lines(chunks(stream))


def _object_counts(source: CopySource, paths: Sequence[Path]) -> dict[str, int]:
    """Return the number of objects in each file, which takes longer than to load them."""
    if source.parts is not None:
        raise FastCopyRefused("not every line of a part gave a row")
    read = [file for file in source.files if file.size]
    return {
        file.name: sum(1 for _ in split_objects(decompress(path.name, path.read_bytes())))
        for file, path in zip(read, paths, strict=True)
    }


def _fast_select(plan: _Plan, paths: Sequence[Path]) -> str:
    structure = {
        str(column.steps[0]): "DOUBLE" if column.type == "DOUBLE" else "VARCHAR"
        for column in plan.columns
    }
    fine = " AND ".join(
        [
            f"key_count = {len(structure)}",
            *(_fast_test(column) for column in plan.columns),
            # DuckDB takes a comma before the closing brace; no other brace or bracket is left.
            *(f"NOT ends_with(json, {ending})" for ending in _DOUBTFUL_ENDINGS),
            # Redshift's text has no U+0000. With the backslash, the search takes ten times as long.
            "NOT contains(json, 'u0000')",
        ]
    )
    # The test stands in the list of columns: as a filter it would be pushed below the parsing of
    # the object, which then runs twice.
    first, *others = plan.columns
    values = [f"CASE WHEN {fine} THEN {_fast_value(first)} ELSE error('look closer') END"]
    values += [_fast_value(column) for column in others]
    named = ", ".join(
        f'{value} AS "{column.name}"' for value, column in zip(values, plan.columns, strict=True)
    )
    stamp = ", filename AS source_file" if plan.stamps_file else ""
    return (
        f"SELECT {named}{stamp} FROM ("
        f"SELECT from_json_strict(json, {literal(json.dumps(structure))}) AS fields, "
        "len(json_keys(json)) AS key_count, json, filename "
        f"FROM read_json_objects({_list([_literal_path(path) for path in paths])}, "
        f"format = 'newline_delimited', filename = true, maximum_object_size = {_OBJECT_BYTES}))"
    )


def _literal_path(path: Path) -> str:
    """Return a path in which DuckDB finds no pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _fast_value(column: CopiedColumn) -> str:
    field = f"fields[{literal(str(column.steps[0]))}]"
    if column.type in _INTEGERS:
        return f"CAST({field} AS {column.type})"
    if column.type == "TIMESTAMP":
        return f"make_timestamp(CAST({field} AS BIGINT) * 1000)"
    return field


def _fast_test(column: CopiedColumn) -> str:
    """Return a test that holds only for values that need no closer look; NULL counts as fine.

    The kind of the JSON value is asked for under CASE alone, which spares all other rows the
    second parsing; under OR, DuckDB would ask for it in every row.
    """
    field = f"fields[{literal(str(column.steps[0]))}]"
    kind = f"json_type(json, {literal(column.path)})"
    if column.type in _INTEGERS or column.type == "TIMESTAMP":
        target = "BIGINT" if column.type == "TIMESTAMP" else column.type
        test = f"CAST(CAST({field} AS {target}) AS VARCHAR) = {field}"
        if column.type == "TIMESTAMP":
            test += f" AND CAST({field} AS BIGINT) BETWEEN {_FIRST_MOMENT} AND {_LAST_MOMENT}"
    elif column.type == "DOUBLE":
        # true and false arrive as 1 and 0.
        is_number = f"CASE WHEN {field} IN (0, 1) THEN {kind} <> 'BOOLEAN' ELSE true END"
        test = f"isfinite({field}) AND {is_number}"
    else:
        # An object or a list arrives as its text; NaN, which is no JSON, as its name.
        is_text = (
            f"CASE WHEN regexp_matches({field}, {_NO_TEXT}) THEN {kind} = 'VARCHAR' ELSE true END"
        )
        test = f"strlen({field}) <= {column.limit} AND {is_text}"
    return f"({test})" if column.required else f"COALESCE({test}, true)"


# --- the way that looks at every line


@dataclass(frozen=True)
class _Checked:
    value: str
    fault: str


def _checked(column: CopiedColumn) -> _Checked:
    path = literal(column.path)
    text = f"json_extract_string(object, {path})"
    kind = f"json_type(object, {path})"
    name = literal(column.name)

    def fault(condition: str, reason: str) -> str:
        return (
            f"WHEN {condition} THEN struct_pack(column_name := {name}, "
            f"reason := {literal(reason)}, value := left({text}, 100))"
        )

    trimmed = f"trim({text})"
    filled = f"({trimmed} <> '')"
    if column.type == "VARCHAR":
        # Numbers are written as the fast way writes them.
        value = f"from_json(json_extract(object, {path}), '\"VARCHAR\"')"
        missing = f"{text} IS NULL"
        faults = [
            fault(f"{kind} IN ('OBJECT', 'ARRAY')", "text expected, not an object or list"),
            fault(f"contains({text}, chr(0))", "text with the character U+0000"),
            fault(
                f"strlen({text}) > {column.limit}",
                f"text longer than the column's {column.limit} bytes",
            ),
        ]
    elif column.type == "DOUBLE":
        value, missing = f"TRY_CAST({trimmed} AS DOUBLE)", f"COALESCE({trimmed}, '') = ''"
        # DuckDB casts more than that to a number: 1_000, inf, nan.
        is_number = f"regexp_full_match({trimmed}, {literal(_NUMBER)})"
        faults = [
            fault(f"{filled} AND NOT {is_number}", "number expected"),
            fault(f"{filled} AND NOT COALESCE(isfinite({value}), false)", "number too large"),
        ]
    else:
        target = "BIGINT" if column.type == "TIMESTAMP" else column.type
        value, missing = f"TRY_CAST({trimmed} AS {target})", f"COALESCE({trimmed}, '') = ''"
        what = (
            "milliseconds since 1970 expected"
            if column.type == "TIMESTAMP"
            else "whole number expected"
        )
        digits = f"regexp_full_match({trimmed}, '[+-]?[0-9]+')"
        faults = [
            fault(f"{filled} AND NOT {digits}", what),
            fault(f"{filled} AND {value} IS NULL", f"number too large for {target}"),
        ]
        value = f"CASE WHEN {digits} THEN {value} END"
        if column.type == "TIMESTAMP":
            in_range = f"{value} BETWEEN {_FIRST_MOMENT} AND {_LAST_MOMENT}"
            faults.append(fault(f"NOT {in_range}", "a moment of the years 1 to 9999 expected"))
            value = f"make_timestamp(CASE WHEN {in_range} THEN {value} END * 1000)"
    faults += [
        fault(
            f"json_extract(object, {outer}) IS NOT NULL AND json_type(object, {outer}) <> 'NULL' "
            f"AND json_extract(object, {inner}) IS NULL",
            "not an array or index out of range",
        )
        for outer, inner in _indexed(column)
    ]
    if column.required:
        faults.append(fault(missing, "a value is required"))
    return _Checked(value, f"CASE {' '.join(faults)} END")


def _indexed(column: CopiedColumn) -> list[tuple[str, str]]:
    """Return the paths of each array the column's value is in, and of the element."""
    paths = [replace(column, steps=column.steps[:end]).path for end in range(len(column.steps) + 1)]
    return [
        (literal(paths[at]), literal(paths[at + 1]))
        for at, step in enumerate(column.steps)
        if isinstance(step, int)
    ]


def _spool(source: CopySource, path: Path) -> list[str]:
    """Write every object as file number, line number, what is malformed, text.

    Return the files by number.
    """
    files: dict[str, int] = {}
    with path.open("wb") as output:
        for name, line, text in _objects(source, path.parent):
            number = files.setdefault(name, len(files))
            original = without_prefix(name, text)
            malformed = _malformed(original)
            kept = _shown(original) if malformed else text.replace(b"\r", b" ")
            output.write(b"%d\x01%d\x01%s\x01%s\n" % (number, line, malformed.encode(), kept))
    return list(files)


def _malformed(text: bytes) -> str:
    """Return what is wrong with the text of an object; empty where it is one JSON object.

    DuckDB takes a trailing comma and NaN for JSON, and Python takes half a surrogate pair.
    """
    if len(text) > _OBJECT_BYTES:
        return f"object longer than {_OBJECT_BYTES} bytes"
    try:
        value = json.loads(text.decode(), parse_constant=_refuse_constant)
        if b"\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        fault = f"not UTF-8 at byte {error.start + 1}"
    except UnicodeEncodeError:
        fault = "malformed JSON: half of a surrogate pair"
    except RecursionError:
        fault = "malformed JSON: nested too deeply"
    except json.JSONDecodeError as error:
        fault = f"malformed JSON at character {error.pos + 1}: {error.msg.removesuffix(' at')}"
    except ValueError as error:
        fault = f"malformed JSON: {error}"
    else:
        fault = "" if isinstance(value, dict) else "malformed JSON: an object expected"
    return fault


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _shown(text: bytes) -> bytes:
    """Return the beginning of a malformed text, fit for showing."""
    shown = text[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else " " for letter in shown).encode()


def _objects(source: CopySource, folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield each object with the file and line it is from."""
    if source.parts is not None:
        for part in source.parts:
            with part.path.open("rb") as stream:
                for (name, line), text in zip(part.origins, stream, strict=True):
                    yield name, line, text.rstrip(b"\n")
        return
    paths = source.lake.local_paths(source.files, folder)
    for file, path in zip(source.files, paths, strict=True):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LakeError(
                f"{file.name}: cannot be read ({error.strerror}); it was there when listed"
            ) from error
        for line, text in split_objects(decompress(file.name, content)):
            yield file.name, line, text


def _bad_lines(session: "DuckDBSession", files: Sequence[str]) -> tuple[list[BadLine], int]:
    """Return what is wrong with the bad lines, and the number of these lines."""
    found = session.run(
        "SELECT file, line, malformed, bad, faults FROM checked "
        "WHERE malformed IS NOT NULL OR len(faults) > 0 ORDER BY file, line"
    )
    lines: list[BadLine] = []
    for file, line, malformed, bad, faults in found:
        name = files[file]
        if malformed is not None:
            lines.append(BadLine(name, line, "", malformed, bad[:_SHOWN_CHARACTERS]))
        lines.extend(
            BadLine(name, line, fault["column_name"], fault["reason"], fault["value"] or "")
            for fault in faults or ()
        )
    return lines, len(found)


def _refuse_vanished_keys(
    session: "DuckDBSession", table: str, plan: _Plan, files: Sequence[str]
) -> None:
    """Refuse several objects among which a key is in none: its producer dropped it.

    A file is looked at on its own, or all of a part's files together, as each holds one object. A
    file of a day before the key came is fine.

    Raises:
        LoadError: naming the file and the key.
    """
    group, where, remedy = "", "files'", ""
    if plan.stamps_file:
        group, where = "GROUP BY file", "file's"
        remedy = "; if it came later, say so behind the column in landing.sql: -- since YYYY-MM-DD"
    vanished = []
    for column in plan.columns:
        key = str(column.steps[0])
        for file, lines, line in session.run(
            f"SELECT min(file), count(*), max(line) FROM checked {group} "
            f"HAVING count(*) > 1 AND NOT bool_or(list_contains(keys, {literal(key)})) "
            "ORDER BY 1"
        ):
            day = event_day(files[file])
            if column.since and day and day < column.since:
                continue
            reason = f"key {key!r} is in none of the {where} {lines} objects{remedy}"
            vanished.append(BadLine(files[file], line, column.name, reason))
    if vanished:
        raise LoadError(table, vanished)


def _list(values: Sequence[str]) -> str:
    """Return texts as a list of DuckDB's dialect."""
    return "[" + ", ".join(literal(value) for value in values) + "]"
