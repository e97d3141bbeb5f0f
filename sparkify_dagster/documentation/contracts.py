"""What readers of `analytics` rely on: columns, types, their order, and keys, version by version.

A column more at the end breaks nobody. Everything else has to be declared: in `tables.yaml` as the
table's `contract`, the next version and the day, or in `tables.py` in DROPPED.
`contracts.json` has the history.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypedDict

import click

from sparkify_dagster.table import Table
from sparkify_dagster.warehouse.columns import definition

CONTRACTS_FILE = Path(__file__).with_name("contracts.json")


class Contract(TypedDict):
    """One version of a table's contract."""

    version: int
    since: str  # a day; of the first version empty
    columns: list[str]  # name and type
    key: list[str]


Contracts = dict[str, list[Contract]]  # by table, the versions in order


class ContractError(click.ClickException):
    """A table breaks its contract, or declares a change that cannot be told."""


def read_contracts() -> Contracts:
    """Return the contracts as they are kept."""
    return json.loads(CONTRACTS_FILE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def agree_contracts(
    tables: Iterable[Table], kept: Contracts, dropped: Mapping[str, str]
) -> Contracts:
    """Return the contracts with what the tables add to them.

    Raises:
        ContractError: naming the table, what has changed and how to declare it.
    """
    offered = {table.name: table for table in tables if table.schema == "analytics"}
    agreed = {name: _agree(table, kept.get(name, [])) for name, table in offered.items()}
    for name in kept.keys() - offered.keys():
        if name not in dropped:
            raise ContractError(
                f"analytics.{name}: has gone, and people rely on it. Put it back, or declare it "
                f'in tables.py: DROPPED = {{"{name}": "<the day>"}}'
            )
        versions = [one for one in kept[name] if one["columns"]]
        number = versions[-1]["version"] + 1
        last = Contract(version=number, since=dropped[name], columns=[], key=[])
        agreed[name] = [*versions, last]
    return agreed


def _agree(table: Table, kept: list[Contract]) -> list[Contract]:
    number, since = table.contract[0], str(table.contract[1])  # YAML has a day as a date
    columns = [definition((column,)) for column in table.columns]
    now = Contract(version=number, since=since, columns=columns, key=list(table.key))
    if not kept:
        return [now]
    last = kept[-1]
    is_kept = columns[: len(last["columns"])] == last["columns"] and now["key"] == last["key"]
    if number == last["version"] and is_kept:
        return [*kept[:-1], now]
    if number != last["version"] + 1 or not _is_day(since):
        changes = "; ".join(_differences(last, now)) or "nothing"
        raise ContractError(
            f"{table.qualified_name}: what people rely on has changed ({changes}). Undo that in "
            f"sql/{table.file}.sql, or declare it in the table's entry in tables.yaml: "
            f"contract: [{last['version'] + 1}, <the day, as 2018-11-30>]"
        )
    return [*kept, now]


def describe_changes(versions: list[Contract]) -> Iterator[str]:
    """Yield a line for each version after the first: when, and what has changed."""
    for before, now in pairwise(versions):
        changes = "; ".join(_differences(before, now)) if now["columns"] else "the table has gone"
        yield f"version {now['version']}, {now['since']}: {changes}"


def _differences(before: Contract, now: Contract) -> Iterator[str]:
    old, new = (dict(one.split(" ", 1) for one in part["columns"]) for part in (before, now))
    yield from (f"`{name}` has gone" for name in old if name not in new)
    yield from (f"`{name}` is new" for name in new if name not in old)
    yield from (
        f"`{name}` was {old[name]}, is {kind}"
        for name, kind in new.items()
        if old.get(name, kind) != kind
    )
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield f"the order is {', '.join(new)}"
    elif list(new)[: len(old)] != list(old) and old.keys() <= new.keys():
        yield "a column was put between others"
    if before["key"] != now["key"]:
        yield f"the key was {', '.join(before['key'])}, is {', '.join(now['key'])}"


def _is_day(text: str) -> bool:
    try:
        return bool(dt.date.fromisoformat(text))
    except ValueError:
        return False
