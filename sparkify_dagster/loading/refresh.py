"""Bringing a table up to date from the changes of the tables it is built from."""

from dataclasses import dataclass

from sparkify_dagster.loading.ledger import (
    EVERY_DAY,
    STORED,
    Ledger,
    Span,
    counting,
    kept,
    record_load,
)
from sparkify_dagster.loading.schema import prepare
from sparkify_dagster.loading.sharing import take_over
from sparkify_dagster.loading.version import read_version
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session, WarehouseError


@dataclass(frozen=True)
class RefreshResult:
    """What a refresh did."""

    is_full: bool
    changed: bool  # False: nothing new upstream, nothing touched
    load_id: int  # the table's latest load


def sources(table: Table) -> tuple[Table, ...]:
    """Return the tables that a table is built from; the lake's folders are none."""
    return tuple(TABLES[name] for name in table.built_from if name in TABLES)


class RebuildRefused(WarehouseError):
    """A table larger than may go unasked would be built anew; nothing was changed."""


def refresh(
    session: Session,
    table: Table,
    full_refresh: bool,
    run_id: str,
    rebuild_limit: int | None = None,
) -> RefreshResult:
    """Bring `table` up to date in the open transaction.

    Only what changed upstream is touched. Everything is built anew where asked for, where the SQL
    has changed, and where a source was built anew: everything is pending then.

    Raises:
        RebuildRefused: it would be built anew, unasked, and has more than `rebuild_limit` rows.
    """
    ledger = prepare(session)
    entry, above = ledger.of(table), [ledger.of(source) for source in sources(table)]
    starts_afresh = any(source.full_load_id > entry.load_id for source in above)
    is_full = full_refresh or entry.version != read_version(table) or starts_afresh
    if not is_full and all(source.load_id <= entry.load_id for source in above):
        return RefreshResult(is_full=False, changed=False, load_id=entry.load_id)
    if is_full and not full_refresh:
        refuse_rebuild(session, table, rebuild_limit)
    take_over(session, ledger, table, with_rows=not is_full)
    if load := table.section("load"):  # a view may have nothing to fill
        span = _make_pending(session, table, is_full, ledger)
        days = {"first_day": span.first_day, "last_day": span.last_day}
        changes = None if is_full else table.section("changes")
        # What leaves is noted before the rows are exchanged, what comes after.
        for section in filter(None, (changes, load, changes)):
            session.execute(section, load_id=ledger.next_id, **days)
    load_id = record_load(session, ledger, table, is_full, run_id)
    return RefreshResult(is_full, changed=True, load_id=load_id)


def stored_rows(session: Session, table: Table) -> int:
    """Return the rows that a table and its helpers hold."""
    count = f"SELECT {counting(table)}"
    return kept(session, (STORED, table.name), lambda found: found.run(count)[0][0] or 0)


def refuse_rebuild(session: Session, table: Table, limit: int | None) -> None:
    """Stop a load that builds a table of more than `limit` rows anew; with None, none.

    Raises:
        RebuildRefused: saying how large it is, and how to confirm it.
    """
    if limit is None or (rows := stored_rows(session, table)) <= limit:
        return
    raise RebuildRefused(
        f"{table.qualified_name}: this run would build it anew, as its SQL or that of a source has "
        f"changed, or it was changed by hand: {rows:,} rows, more than may go unasked ({limit:,}, "
        "SPARKIFY_REBUILD_LIMIT_ROWS); nothing was changed. `sparkify plan` shows why. If that is "
        "meant, confirm it with `sparkify run --yes`, or accept_rebuild: true in the run config of "
        "this asset and of those built from it."
    )


def empty(session: Session, table: Table) -> None:
    """Take all rows out, before a load that builds the table anew."""
    for stored in table.stored:
        session.run(f"DELETE FROM {stored}")  # noqa: S608 - own names


def _make_pending(session: Session, table: Table, is_full: bool, ledger: Ledger) -> Span:
    """Create the temporary table `pending`: what changed upstream; return its days."""
    upstream, load_id = sources(table), ledger.of(table).load_id
    # Written as a list, which is never empty: no source has an empty name.
    names = ("", *(source.name for source in upstream if not is_full))
    session.execute("bookkeeping/pending", sources=names, load_id=load_id)
    if not is_full:
        return ledger.changed_since(load_id, upstream)
    empty(session, table)
    for source in upstream:
        if everything := source.section("all_changes"):
            session.execute(everything)
    return EVERY_DAY
