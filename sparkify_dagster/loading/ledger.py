"""The ledger: which load each table is as of, and what a load changed.

Writing transactions take turns, so one counter numbers the loads of the whole warehouse: a table is
behind if one of its sources has a higher load number than itself.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, cast

from sparkify_dagster.loading.version import decisive_statements, read_version
from sparkify_dagster.table import Table
from sparkify_dagster.tables import readers
from sparkify_dagster.warehouse.base import Row, Session
from sparkify_dagster.warehouse.statements import Keyword

Found = TypeVar("Found")

LEDGER = ("ledger", "")
STORED = "stored rows"  # what a run keeps of a table, its helpers included, until it loads it


@dataclass(frozen=True)
class Entry:
    """A table as the ledger has it."""

    definition: str  # names and types of its columns; of a view, a hash of its SQL
    version: str | None  # of the SQL that its latest load ran
    load_id: int  # its latest load; 0 before the first
    full_load_id: int  # its latest load that built it anew
    row_count: int | None = None  # that it left, its helpers' included; None where not known

    @property
    def is_full(self) -> bool:
        """Tell whether the latest load built the table anew."""
        return self.load_id == self.full_load_id


@dataclass(frozen=True)
class Span:
    """The days from the first to the last that a load changed; None where it changed no days."""

    first_day: dt.date | None
    last_day: dt.date | None


EVERY_DAY = Span(dt.date.min, dt.date.max)


@dataclass
class Ledger:
    """All entries, by schema.table, and the days that loads changed, by schema.table and load."""

    entries: dict[str, Entry]
    changes: dict[tuple[str, int], Span] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)  # of an environment: views on production's

    @property
    def next_id(self) -> int:
        """Return the number of the load to come."""
        return 1 + max((entry.load_id for entry in self.entries.values()), default=0)

    def of(self, table: Table) -> Entry:
        """Return a table's entry.

        Raises:
            KeyError: the table has not been created.
        """
        return self.entries[table.qualified_name]

    def define(self, name: str, text: str | None = None, version: str | None = None) -> None:
        """Note what a table or view now is; without a version its next load is a full one."""
        old = self.entries.get(name, Entry("", None, 0, 0))
        text = old.definition if text is None else text
        self.entries[name] = replace(old, definition=text, version=version, row_count=None)

    def changed_since(self, load_id: int, sources: Sequence[Table]) -> Span:
        """Return the days that loads of sources after a load changed."""
        names = {source.qualified_name for source in sources}
        spans = [
            span for (name, by), span in self.changes.items() if name in names and by > load_id
        ]
        first_days = [span.first_day for span in spans if span.first_day]
        last_days = [span.last_day for span in spans if span.last_day]
        return Span(min(first_days, default=None), max(last_days, default=None))


def kept(session: Session, key: tuple[str, str], find: Callable[[Session], Found]) -> Found:
    """Return what a run keeps under a key; the first time it has to be found."""
    if key not in session.kept:
        session.kept[key] = find(session)
    return cast("Found", session.kept[key])


def read_ledger(session: Session) -> Ledger:
    """Return the ledger, as the run knows it."""
    return kept(session, LEDGER, _find_ledger)


def _find_ledger(session: Session) -> Ledger:
    ledger = Ledger({})
    for row in session.query("bookkeeping/ledger"):
        name = row["table_name"]
        ledger.entries[name] = read_entry(row)
        if row["changed_by"] is not None:
            ledger.changes[name, row["changed_by"]] = Span(row["first_day"], row["last_day"])
    return ledger


def read_entry(row: Mapping[str, Any]) -> Entry:
    """Return an entry from its row: the columns are called as its fields."""
    return Entry(**{one.name: row[one.name] for one in fields(Entry) if one.name in row})


def record_load(
    session: Session, ledger: Ledger, table: Table, is_full: bool, run_id: str, rules: str = ""
) -> int:
    """Write a load down, for the tables that are built from this one; return its number.

    `rules` are what decides its rows besides the SQL.
    """
    name, old, load_id = table.qualified_name, ledger.of(table), ledger.next_id
    taken_in = load_id - 1
    if not is_full:
        # A reader that was never loaded starts afresh.
        loads = (ledger.of(reader).load_id for reader in readers(table.name))
        taken_in = min((number for number in loads if number), default=taken_in)
    if gone := [key for key in ledger.changes if key[0] == name and key[1] <= taken_in]:
        session.execute("bookkeeping/forget_changes", table_name=table.name, taken_in=taken_in)
        for key in gone:
            del ledger.changes[key]
    now = {
        "version": read_version(table, rules),
        "load_id": load_id,
        "full_load_id": load_id if is_full else old.full_load_id,
    }
    statements = None
    if now["version"] != old.version:
        texts = [*decisive_statements(table), *[rules] * bool(rules)]
        statements = json.dumps(texts, ensure_ascii=False)
    session.execute(
        "bookkeeping/record_load",
        table_name=name,
        run_id=run_id,
        loaded_at=utc_now(),
        row_count=Keyword(counting(table)),
        statements=statements,
        **now,
    )
    ledger.entries[name] = replace(old, row_count=None, **now)  # type: ignore[arg-type]
    for found in [found for found in session.kept if found[1] == table.name]:
        del session.kept[found]
    if not is_full and table.section("changes"):
        session.kept.pop(LEDGER, None)  # which days the load changed is not known here
    return load_id


def counting(table: Table) -> str:
    """Return the expression that counts the rows of a table and of its helpers."""
    counts = (f"(SELECT COUNT(*) FROM {name})" for name in table.stored)  # noqa: S608
    return " + ".join(counts) or "NULL"  # a view without helpers


def first_rows(session: Session, table: Table, limit: int) -> tuple[int, list[Row]]:
    """Return the number of rows of a table, and the first of them."""
    name, columns = table.qualified_name, ", ".join(column.name for column in table.columns)
    rows = session.run(
        f"SELECT {columns}, (SELECT COUNT(*) FROM {name}) FROM {name} LIMIT {limit}"  # noqa: S608
    )
    count = session.kept["rows", table.name] = int(rows[0][-1]) if rows else 0
    return count, [row[:-1] for row in rows]


def row_count(session: Session, table: Table) -> int:
    """Return the number of rows of a table; one that the run has counted is not counted again."""
    return kept(session, ("rows", table.name), lambda found: first_rows(found, table, 1)[0])


def utc_now() -> dt.datetime:
    """Return the time in UTC, without a time zone as the warehouse keeps it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
