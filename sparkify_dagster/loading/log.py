"""Who changed what: the loads of a table and how far its readers have taken them in."""

import datetime as dt
from dataclasses import dataclass

from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.statements import literal


@dataclass(frozen=True)
class Load:
    """One transaction that changed a table."""

    load_id: int
    is_full: bool


def last_load_id(session: Session, table: str) -> int:
    """Return the number of a table's latest load, 0 before the first."""
    rows = session.run(
        "SELECT COALESCE(MAX(load_id), 0) FROM staging.loads "
        f"WHERE table_name = {literal(table)}"
    )
    return int(rows[0][0])


def last_load(session: Session, table: str) -> Load:
    """Return a table's latest load; before the first, one that counts as full."""
    rows = session.run(
        "SELECT load_id, is_full FROM staging.loads "
        f"WHERE table_name = {literal(table)} ORDER BY load_id DESC LIMIT 1"
    )
    return Load(int(rows[0][0]), bool(rows[0][1])) if rows else Load(0, True)


def record_load(session: Session, table: str, load: Load, run_id: str) -> None:
    """Write a load down; the readers of the table will see it."""
    session.execute("bookkeeping/forget_changes", table_name=table)
    session.run(
        f"DELETE FROM staging.loads WHERE table_name = {literal(table)} AND load_id < "
        "(SELECT MIN(load_id) FROM staging.loads_seen "
        f"WHERE source_table = {literal(table)})"
    )
    session.insert(
        "staging.loads",
        ("table_name", "load_id", "is_full", "run_id", "loaded_at"),
        [(table, load.load_id, load.is_full, run_id, utc_now())],
    )


def unseen(session: Session, reader: str, source: str) -> tuple[int, Load] | None:
    """Return how far `reader` has seen `source`, and the load it has to catch up with.

    The load counts as full where any of the unseen ones is, or where nothing was ever seen. None
    where there is nothing to catch up with.
    """
    seen = session.run(
        "SELECT load_id FROM staging.loads_seen "
        f"WHERE table_name = {literal(reader)} AND source_table = {literal(source)}"
    )
    if not seen:
        return 0, Load(last_load_id(session, source), is_full=True)
    seen_id = int(seen[0][0])
    rows = session.run(
        "SELECT load_id, is_full FROM staging.loads "
        f"WHERE table_name = {literal(source)} AND load_id > {seen_id}"
    )
    if not rows:
        return None
    return seen_id, Load(max(int(row[0]) for row in rows), any(row[1] for row in rows))


def record_seen(session: Session, reader: str, source: str, load_id: int) -> None:
    """Write down how far `reader` has taken in the loads of `source`."""
    session.run(
        "DELETE FROM staging.loads_seen "
        f"WHERE table_name = {literal(reader)} AND source_table = {literal(source)}"
    )
    session.insert(
        "staging.loads_seen",
        ("table_name", "source_table", "load_id"),
        [(reader, source, load_id)],
    )


def utc_now() -> dt.datetime:
    """Return the time in UTC, without a time zone as the warehouse keeps it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
