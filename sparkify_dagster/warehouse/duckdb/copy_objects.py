"""COPY with a look at every object: it is loaded, or its bad line is named."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sparkify_dagster.lake.batches import batches
from sparkify_dagster.lake.combine import without_prefix
from sparkify_dagster.warehouse.base import BadLine, Session, WarehouseError
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import OBJECT_BYTES, CopiedColumn, Plan, Text
from sparkify_dagster.warehouse.duckdb.copy_sql import (
    RULES,
    faults_of,
    filled,
    places_of,
    take_keys,
    take_rows,
)
from sparkify_dagster.warehouse.duckdb.dialect import literal
from sparkify_dagster.warehouse.statements import Keyword

_CHUNK_BYTES = 2 * 1024 * 1024  # of objects looked at together; DuckDB takes a multiple
_RECORD_BYTES = 1000  # of a spooled object besides its text, at most
_SHOWN_BYTES = 400  # of a malformed text
_SHOWN_CHARACTERS = 100


def load_objects(
    session: Session,
    found: Found,
    text: Text,
    objects: Iterable[tuple[str, int, bytes]],
    folder: Path,
    fault_count: int | None = None,
) -> None:
    """Load objects of a file, its last to be loaded, with a look at each.

    With `fault_count`, they are counted, and loaded but for so many that have a fault.

    Raises:
        WarehouseError: not so many have one.
    """
    named = 0
    ((limit,),) = session.run("SELECT current_setting('memory_limit')")
    for looked_at in batches(objects, _spooled_size, _CHUNK_BYTES):
        # One object of 4 MB takes more than a load may have elsewhere. Of other chunks, what DuckDB
        # keeps of the tables that this transaction has dropped goes to disk beyond the limit.
        is_large = _spooled_size(looked_at[0]) > _CHUNK_BYTES
        if is_large:
            session.run("RESET memory_limit")
        files = _spool(looked_at, folder / "spool.csv")
        _check(session, found.plan, folder / "spool.csv")
        named += _take_bad_lines(session, found, files)
        if fault_count is None:
            _take_objects(session, found, files, text)
        session.run("DROP TABLE checked")
        if is_large:
            session.run(f"SET memory_limit = {literal(limit)}")
    if fault_count is not None and named != fault_count:
        raise WarehouseError(f"{text.name}: has changed while it was read; run again")
    if text.origins is None and fault_count is None:
        found.objects[text.name] = found.totals[text.name]


def _take_objects(session: Session, found: Found, files: Sequence[str], text: Text) -> None:
    name = f"{literal(files)}[file + 1]"
    kinds = f"SELECT {name} AS name, NULL AS shape, keys, 1 AS count FROM checked"
    take_keys(session, found, kinds)
    rows = session.run("SELECT file, count(*), count(malformed) FROM checked GROUP BY file")
    for file, count, malformed in rows:
        found.malformed[files[file]] += malformed
        if text.origins is None:
            found.totals[files[file]] += count
    take_rows(session, found, files, "checked WHERE malformed IS NULL AND len(faults) = 0")


def _check(session: Session, plan: Plan, spool: Path) -> None:
    values, faults = zip(*map(_checked, plan.columns), strict=True)
    places = {"values": Keyword(", ".join(values)), "faults": Keyword(", ".join(faults))}
    record_bytes = OBJECT_BYTES + _RECORD_BYTES
    session.run(filled(RULES["checked"], path=str(spool), record_bytes=record_bytes, **places))


def _checked(column: CopiedColumn) -> tuple[str, str]:
    """Return what gives a column's value, and what tells its fault."""
    places = places_of(column, name=column.name)
    faults: dict[Keyword, str] = {}
    for at, step in enumerate(column.steps):
        if isinstance(step, int):
            outer, inner = (
                replace(column, steps=column.steps[: at + more]).path for more in (0, 1)
            )
            condition = filled(RULES["no_element"], outer=outer, inner=inner)
            faults[condition] = "not an array or index out of range"
    told = [
        filled(RULES["fault"], condition=condition, reason=reason, **places)
        for condition, reason in (faults | faults_of(column, places)).items()
    ]
    value = filled(RULES["types"][column.type]["value"], **places)
    return f'{value} AS "{column.name}"', f"CASE {' '.join(told)} END"


def _spooled_size(found: tuple[str, int, bytes]) -> int:
    return len(found[2]) + _RECORD_BYTES


def _spool(objects: Sequence[tuple[str, int, bytes]], path: Path) -> list[str]:
    """Write every object as file number, line number, what is malformed, text.

    Return the files by number.
    """
    files: dict[str, int] = {}
    with path.open("wb") as output:
        for name, line, text in objects:
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
    if len(text) > OBJECT_BYTES:
        return f"object longer than {OBJECT_BYTES} bytes"
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


def _take_bad_lines(session: Session, found: Found, files: Sequence[str]) -> int:
    """Take in the objects with a fault; return how many they are."""
    steps = {column.name: column.steps for column in found.plan.columns}
    rows = session.run(
        "SELECT file, line, malformed, bad, faults FROM checked "
        "WHERE malformed IS NOT NULL OR len(faults) > 0 ORDER BY file, line"
    )
    for file, line, malformed, bad, faults in rows:
        lines = []
        if malformed is not None:
            lines.append(BadLine(files[file], line, "", malformed, bad[:_SHOWN_CHARACTERS]))
        for fault in faults or ():
            column = fault["column_name"]
            value = _as_written(bad, steps.get(column, ()), fault["value"] or "")
            lines.append(BadLine(files[file], line, column, fault["reason"], value))
        found.add_bad_line(lines)
    return len(rows)


def _as_written(text: str, steps: Sequence[str | int], value: str) -> str:
    """Return a number as it stands in the file: DuckDB says 1000000000000.0 for 1e12."""
    written = json.loads(text, parse_float=str, parse_int=str)
    try:
        for step in steps:
            written = written[step]
    except (KeyError, IndexError, TypeError):
        return value
    return written[:_SHOWN_CHARACTERS] if isinstance(written, str) else value
