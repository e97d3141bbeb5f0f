"""The ledger: which load each table is as of, and what a load changed.

Writing transactions take turns, so one counter numbers the loads of the whole warehouse: a table is
behind if one of its sources has a higher load number than itself.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sparkify_dagster.table import Table
from sparkify_dagster.tables import readers
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.statements import Keyword


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


@dataclass
class Ledger:
    """All entries, by schema.table."""

    entries: dict[str, Entry]

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

    def is_behind(self, table: Table, sources: Sequence[Table]) -> bool:
        """Tell whether a source has changed since the table's latest load."""
        return any(self.of(source).load_id > self.of(table).load_id for source in sources)

    def starts_afresh(self, table: Table, sources: Sequence[Table]) -> bool:
        """Tell whether a source was built anew since the table's latest load."""
        return any(self.of(source).full_load_id > self.of(table).load_id for source in sources)


def read_ledger(session: Session) -> Ledger:
    """Return the ledger as it is."""
    return Ledger(
        {
            row["table_name"]: Entry(
                row["definition"],
                row["version"],
                int(row["load_id"]),
                int(row["full_load_id"]),
                row["row_count"],
            )
            for row in session.query("bookkeeping/ledger")
        }
    )


def record_load(
    session: Session, ledger: Ledger, table: Table, version: str, is_full: bool, run_id: str
) -> int:
    """Write a load down, for the tables that are built from this one; return its number."""
    load_id = ledger.next_id
    taken_in = load_id - 1
    if not is_full:
        # A reader that was never loaded starts afresh.
        loads = (ledger.of(reader).load_id for reader in readers(table.name))
        taken_in = min((number for number in loads if number), default=taken_in)
    session.execute("bookkeeping/forget_changes", table_name=table.name, taken_in=taken_in)
    session.execute(
        "bookkeeping/record_load",
        table_name=table.qualified_name,
        version=version,
        load_id=load_id,
        full_load_id=load_id if is_full else ledger.of(table).full_load_id,
        run_id=run_id,
        loaded_at=utc_now(),
        row_count=Keyword(row_count(table)),
    )
    return load_id


def row_count(table: Table) -> str:
    """Return the expression that counts the rows of a table and of its helpers."""
    counts = (f"(SELECT COUNT(*) FROM {name})" for name in table.stored)  # noqa: S608
    return " + ".join(counts) or "NULL"  # a view without helpers


@dataclass(frozen=True)
class Span:
    """The days from the first to the last that a load changed; None where it changed no days."""

    first_day: dt.date | None
    last_day: dt.date | None


EVERY_DAY = Span(dt.date.min, dt.date.max)


def latest_span(session: Session, table: Table, load_id: int) -> Span:
    """Return the days that a load of a table changed."""
    (row,) = session.query("bookkeeping/latest_span", table_name=table.name, load_id=load_id)
    return Span(**row)


def utc_now() -> dt.datetime:
    """Return the time in UTC, without a time zone as the warehouse keeps it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
