"""Who changed what: the loads of a table and how far its readers have taken them in."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkify_dagster.warehouse.base import Session


@dataclass(frozen=True)
class Load:
    """One transaction that changed a table."""

    load_id: int
    is_full: bool


@dataclass(frozen=True)
class Change:
    """What a load changed."""

    is_full: bool  # the whole table was replaced
    first_day: dt.date | None  # None where no day changed, or all
    last_day: dt.date | None


@dataclass(frozen=True)
class Unseen:
    """How far a table has seen the loads of another, and what it has to catch up with."""

    seen_id: int
    latest_id: int
    is_full: bool  # one of the unseen loads replaced everything, or none was ever seen

    def __bool__(self) -> bool:
        """Tell whether there is anything to catch up with."""
        return self.is_full or self.latest_id > self.seen_id


_NEVER_LOADED = Unseen(0, 0, is_full=True)


def last_load(session: Session, table: str) -> Load:
    """Return a table's latest load; before the first, one numbered 0 that counts as full."""
    rows = session.query("bookkeeping/last_load", table_name=table)
    return Load(int(rows[0]["load_id"]), bool(rows[0]["is_full"])) if rows else Load(0, True)


def last_change(session: Session, table: str) -> Change:
    """Return what a table's latest load changed; before the first, that counts as full."""
    rows = session.query("bookkeeping/last_change", table_name=table)
    return Change(**rows[0]) if rows else Change(True, None, None)


def record_load(session: Session, table: str, load: Load, run_id: str) -> None:
    """Write a load down; the readers of the table will see it."""
    session.execute("bookkeeping/forget_changes", table_name=table)
    session.execute("bookkeeping/forget_loads", table_name=table)
    session.insert(
        "staging.loads",
        ("table_name", "load_id", "is_full", "run_id", "loaded_at"),
        [(table, load.load_id, load.is_full, run_id, utc_now())],
    )


def unseen(session: Session, reader: str, sources: Sequence[str]) -> dict[str, Unseen]:
    """Return what `reader` has not taken in of the loads of each of its sources."""
    found = {
        row["source_table"]: Unseen(
            int(row["seen_id"]), int(row["latest_id"]), is_full=bool(row["is_full"])
        )
        for row in session.query("bookkeeping/unseen_loads", table_name=reader)
    }
    return {source: found.get(source, _NEVER_LOADED) for source in sources}


def record_seen(session: Session, reader: str, loads: Mapping[str, int]) -> None:
    """Write down which load of each of its sources `reader` has taken in last."""
    session.execute("bookkeeping/forget_seen", table_name=reader)
    session.insert(
        "staging.loads_seen",
        ("table_name", "source_table", "load_id"),
        [(reader, source, load_id) for source, load_id in loads.items()],
    )


def utc_now() -> dt.datetime:
    """Return the time in UTC, without a time zone as the warehouse keeps it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
