"""Reading the cases: rows given, optionally rows of earlier, rows expected.

A value is read by its column's type, so that text needs no quotes and `no` or `1:30` stay what is
written; `null` is NULL. A required column that a given row leaves out gets a default.
"""

import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from sparkify_dagster.loading.refresh import sources
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row
from sparkify_dagster.warehouse.columns import Column
from sparkify_dagster.warehouse.statements import SQL_ROOT

FOLDER = SQL_ROOT / "tests"

Rows = list[dict[str, Any]]
State = dict[str, Rows]  # what source tables hold, by name

_READ: dict[str, Callable[[str], Any]] = {
    "VARCHAR": str,
    "INTEGER": int,
    "BIGINT": int,
    "DOUBLE PRECISION": float,
    "TIMESTAMP": dt.datetime.fromisoformat,
    "DATE": dt.date.fromisoformat,
}
_PARTS = {"case", "earlier", "given", "expect"}
_SOME_DAY = dt.datetime(2018, 11, 1, 12)


class CaseError(Exception):
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


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a file, which is named after its table.

    Raises:
        CaseError: the file names what there is not, or can be understood in two ways.
    """
    table = TABLES.get(path.stem)
    if table is None or not sources(table):
        raise CaseError(f"{os.path.relpath(path)}:1: no table that SQL builds is so called")
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
    for name in parts.keys() ^ _PARTS:
        if name in parts:
            _refuse(node, f"{name!r} is none of: case, earlier, given, expect")
        if name != "earlier":
            _refuse(node, f"{name!r} is missing")
    earlier = _state(table, parts["earlier"]) if "earlier" in parts else None
    given = _state(table, parts["given"])
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


def _state(table: Table, node: yaml.Node) -> State:
    state = {}
    for name, rows in _mapping(node).items():
        if name not in all_sources(table):
            _refuse(rows, f"{table.name} is not built from {name!r}")
        state[name] = [
            _filled(TABLES[name], row, number) for number, row in enumerate(_items(rows))
        ]
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
        "ts": moment,
        "start_time": moment,
        "file_day": moment.date(),
        "songplay_id": f"play {number}",
        "source_file": f"song_data/{number}.json",
    }
    for column in table.columns:
        default = defaults.get(column.name) if column.required else None
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
