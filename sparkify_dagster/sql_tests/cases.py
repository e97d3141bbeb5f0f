"""Reading the cases: rows given, optionally rows of earlier; rows expected, or what is then told.

A table's checks and the report's queries are tried on rows that tables are simply given: `fails`
names the checks that fail, `shows` the queries of the table's file, each with the rows it shows.

A value is read by its column's type, so that text needs no quotes and `no` or `1:30` stay what is
written; `null` is NULL. A required column that a given row leaves out gets a default.
"""

import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
import yaml

from sparkify_dagster.loading.ledger import EVERY_DAY, Span
from sparkify_dagster.loading.refresh import sources
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row
from sparkify_dagster.warehouse.columns import Column
from sparkify_dagster.warehouse.statements import SQL_ROOT, section_names

FOLDER = SQL_ROOT / "tests"

Rows = list[dict[str, Any]]
State = dict[str, Rows]  # what source tables hold, by name

_READ: dict[str, Callable[[str], Any]] = {
    "VARCHAR": str,
    **dict.fromkeys(("INTEGER", "BIGINT"), int),
    "DOUBLE PRECISION": float,
    "TIMESTAMP": dt.datetime.fromisoformat,
    "DATE": dt.date.fromisoformat,
}
_PARTS = {
    "expect": ("case", "earlier", "given", "expect"),
    "fails": ("case", "days", "given", "fails"),
    "shows": ("case", "given", "shows"),
}
_A_DAY = Column("days", "DATE", required=True, description="")
_SOME_DAY = dt.datetime(2018, 11, 1, 12)


class CaseError(click.ClickException):
    """A case is not clear; the message names file, line and what is wrong."""


@dataclass(frozen=True)
class Case:
    """One case of one table."""

    table: Table
    name: str
    place: str  # file and line
    earlier: State | None  # None: the table has never been loaded
    given: State
    columns: tuple[str, ...]  # those compared
    expect: list[Row]
    asks: str = "expect"  # or of the checks that fail: fails; or of the report's queries: shows
    days: Span = EVERY_DAY  # those that the checks look at


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a file, which is named after its table.

    Raises:
        CaseError: the file names what there is not, or can be understood in two ways.
    """
    table = TABLES.get(path.stem)
    if table is None:
        raise CaseError(f"{os.path.relpath(path)}:1: no table is so called")
    try:
        with path.open(encoding="utf-8") as file:
            entries = _items(yaml.compose(file, yaml.SafeLoader) or _EMPTY)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CaseError(f"{os.path.relpath(path)}:{line}: {error.problem}") from error
    cases: dict[str, Case] = {}
    for entry in entries:
        case = _case(table, entry)
        if case.name in cases:
            _refuse(entry, f"a case of this name is at {cases[case.name].place}")
        cases[case.name] = case
    return list(cases.values())


def all_sources(table: Table) -> set[str]:
    """Return the names of the tables that a table is built from, directly or not."""
    direct = sources(table)
    return {source.name for source in direct}.union(*map(all_sources, direct))


_EMPTY = yaml.SequenceNode("", [])


def _case(table: Table, node: yaml.Node) -> Case:
    parts = _mapping(node)
    asks = next((one for one in _PARTS if one in parts), "expect" if sources(table) else "fails")
    for name in parts.keys() - {*_PARTS[asks]}:
        _refuse(node, f"{name!r} is none of: {', '.join(_PARTS[asks])}")
    for name in {*_PARTS[asks]} - parts.keys() - {"earlier", "days"}:
        _refuse(node, f"{name!r} is missing")
    if asks != "expect":
        return _asking_case(table, node, parts, asks)
    earlier = _state(parts["earlier"], table) if "earlier" in parts else None
    given = _state(parts["given"], table)
    for name in {**(earlier or {}), **given}:
        if twice := all_sources(TABLES[name]) & {*(earlier or {}), *given}:
            _refuse(node, f"{name} is given, and so is {min(twice)}, from which it is built")
    rows = [_row(table, row) for row in _items(parts["expect"])]
    columns = tuple(rows[0] if rows else (column.name for column in table.columns))
    for row, found in zip(rows, _items(parts["expect"]), strict=True):
        if not row or row.keys() != set(columns):
            _refuse(found, "each row of expect has to name the same columns as the first, and one")
    expect = [tuple(row[name] for name in columns) for row in rows]
    return Case(table, str(parts["case"].value), _place(node), earlier, given, columns, expect)


def _asking_case(table: Table, node: yaml.Node, parts: Mapping[str, yaml.Node], asks: str) -> Case:
    """Return a case of what a table's checks or the report's queries tell of given rows."""
    given, what, known = _state(parts["given"]), "check", [check.name for check in table.checks]
    if asks == "shows":
        sections = (name.rpartition("/")[2] for name in section_names(table.file))
        what, known = "query", [name for name in sections if name.startswith("report")]
    expect: list[Row] = []
    for name, rows in _mapping(parts[asks]).items():
        if name not in known:
            _refuse(rows, f"{table.name} has no {what} {name!r}; it has {', '.join(known)}")
        shown = [{key: one.value for key, one in _mapping(row).items()} for row in _items(rows)]
        expect.append((name, shown_rows(shown)))
    days = [_value(_A_DAY, one) for one in _items(parts.get("days", _EMPTY))]
    if "days" in parts and len(days) != 2:
        _refuse(parts["days"], "the first and last day expected, as [2018-11-01, 2018-11-02]")
    span = Span(*days) if days else EVERY_DAY
    name, columns = str(parts["case"].value), (asks, "rows")
    return Case(table, name, _place(node), None, given, columns, expect, asks, span)


def shown_rows(rows: Rows) -> str:
    """Return the rows that a failed check shows as one text, in order."""
    shown = [{key: "null" if row[key] is None else row[key] for key in row} for row in rows]
    return "; ".join(", ".join(f"{key} {row[key]}" for key in row) for row in shown)


def _state(node: yaml.Node, built: Table | None = None) -> State:
    """Return rows by table; where a table is built from them, of its sources only."""
    state = {}
    for name, rows in _mapping(node).items():
        if built and name not in all_sources(built):
            _refuse(rows, f"{built.name} is not built from {name!r}")
        if name not in TABLES:
            _refuse(rows, f"{name!r} is no table; there are {', '.join(TABLES)}")
        state[name] = [_filled(TABLES[name], row, at) for at, row in enumerate(_items(rows))]
    return state


def _row(table: Table, node: yaml.Node) -> dict[str, Any]:
    columns = {column.name: column for column in table.columns}
    row = {}
    for name, value in _mapping(node).items():
        if name not in columns:
            _refuse(value, f"{table.name} has no column {name!r}; it has {', '.join(columns)}")
        row[name] = _value(columns[name], value)
    return row


def _filled(table: Table, node: yaml.Node, number: int) -> dict[str, Any]:
    """Return a given row with all columns: NULL where it has none, or a default if required."""
    row = _row(table, node)
    moment = row.get("ts") or row.get("start_time") or _SOME_DAY
    if "file_day" in row and not {"ts", "start_time"} & row.keys():
        moment = dt.datetime.combine(row["file_day"], _SOME_DAY.time())
    defaults = {
        "page": "NextSong",
        "session_id": 1,
        "item_in_session": number,
        "songplay_id": f"play {number}",
        "source_file": f"song_data/{number}.json",
    }
    by_type = {"TIMESTAMP": moment, "DATE": moment.date(), "VARCHAR": ""}
    for column in table.columns:
        default = None
        if column.required:
            default = defaults.get(column.name, by_type.get(column.type.partition("(")[0], 0))
        if row.setdefault(column.name, default) is None and column.required:
            _refuse(node, f"{table.name} needs a {column.name}")
    return {column.name: row[column.name] for column in table.columns}


def _value(column: Column, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        _refuse(node, f"{column.name}: one value expected")
    if node.style is None and node.value in ("", "~", "null"):
        return None
    try:
        return _READ[column.type.partition("(")[0]](node.value)
    except ValueError:
        _refuse(node, f"{column.name}: {node.value!r} is no {column.type}")


def _mapping(node: yaml.Node) -> Mapping[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        _refuse(node, "names with values expected, as in {song_id: S1, title: Stairway}")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if str(key.value) in found:
            _refuse(key, f"{key.value!r} is named twice")
        found[str(key.value)] = value
    return found


def _items(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        _refuse(node, "a list expected")
    return list(node.value)


def _place(node: yaml.Node) -> str:
    return f"{os.path.relpath(node.start_mark.name)}:{node.start_mark.line + 1}"


def _refuse(node: yaml.Node, message: str) -> NoReturn:
    raise CaseError(f"{_place(node)}: {message}")
