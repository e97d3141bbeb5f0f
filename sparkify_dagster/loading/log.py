"""Who changed what: the loads of a table and how far its readers have taken them in."""

import datetime as dt
from dataclasses import dataclass

from sparkify_dagster.warehouse.base import Session


@dataclass(frozen=True)
class Load:
    """One transaction that changed a table."""

    load_id: int
    is_full: bool


@dataclass(frozen=True)
class Unseen:
    """How far a table has seen the loads of another, and what it has to catch up with."""

    seen_id: int
    latest_id: int
    is_full: bool  # one of the unseen loads replaced everything, or none was ever seen

    def __bool__(self) -> bool:
        """Tell whether there is anything to catch up with."""
        return self.is_full or self.latest_id > self.seen_id


def last_load(session: Session, table: str) -> Load:
    """Return a table's latest load; before the first, one numbered 0 that counts as full."""
    rows = session.query("bookkeeping/last_load", table_name=table)
    return Load(int(rows[0]["load_id"]), bool(rows[0]["is_full"])) if rows else Load(0, True)


def record_load(session: Session, table: str, load: Load, run_id: str) -> None:
    """Write a load down; the readers of the table will see it."""
    session.execute("bookkeeping/forget_changes", table_name=table)
    session.execute("bookkeeping/forget_loads", table_name=table)
    session.insert(
        "staging.loads",
        ("table_name", "load_id", "is_full", "run_id", "loaded_at"),
        [(table, load.load_id, load.is_full, run_id, utc_now())],
    )


def unseen(session: Session, reader: str, source: str) -> Unseen:
    """Return what `reader` has not taken in of the loads of `source`."""
    latest = last_load(session, source).load_id
    seen = session.query("bookkeeping/seen_load", table_name=reader, source_table=source)
    if not seen:
        return Unseen(0, latest, is_full=True)
    seen_id = int(seen[0]["load_id"])
    rows = session.query("bookkeeping/loads_since", table_name=source, seen_id=seen_id)
    return Unseen(seen_id, latest, is_full=any(row["is_full"] for row in rows))


def record_seen(session: Session, reader: str, source: str, load_id: int) -> None:
    """Write down how far `reader` has taken in the loads of `source`."""
    session.execute("bookkeeping/forget_seen", table_name=reader, source_table=source)
    session.insert(
        "staging.loads_seen",
        ("table_name", "source_table", "load_id"),
        [(reader, source, load_id)],
    )


def utc_now() -> dt.datetime:
    """Return the time in UTC, without a time zone as the warehouse keeps it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
