"""Creating the tables and views, and noticing where their definition has changed."""

import hashlib
import logging
from collections.abc import Collection, Iterator
from typing import Any

from sparkify_dagster.loading import sharing
from sparkify_dagster.loading.ledger import LEDGER, STORED, Entry, Ledger, counting, read_ledger
from sparkify_dagster.loading.sharing import MARK, RELATIONS, relations
from sparkify_dagster.loading.version import views
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import NoEnvironment, Session, WarehouseError
from sparkify_dagster.warehouse.columns import Column, created_name, definition, read_columns
from sparkify_dagster.warehouse.statements import read_statement, section_names

_log = logging.getLogger(__name__)

LOCK, LOCK_TABLE = "bookkeeping/create_load_lock", "staging.load_lock"
HASH = "; sha256 "  # in a view's definition, before the hash of its SQL
_TABLE = "BASE TABLE"  # as the catalog calls it
# What an older version of the platform kept instead of the ledger.
_FORMER = ("staging.table_versions", "staging.loads", "staging.loads_seen")


def bookkeeping() -> tuple[str, ...]:
    """Return the statements that create the bookkeeping tables."""
    return tuple(name for name in section_names("bookkeeping") if "/create_" in name)


def refuse_older(existing: Collection[str], column: str) -> None:
    """Make sure that the warehouse is one of this version, which has that column.

    Raises:
        WarehouseError: it is not.
    """
    if not {column, *map(created_name, bookkeeping())} <= set(existing):
        raise WarehouseError(
            "the warehouse was made by an older version, or parts of it were dropped: its next "
            "run brings it over, and this is possible from then on"
        )


def prepare(session: Session) -> Ledger:
    """Create or migrate what is missing; return the ledger.

    Raises:
        WarehouseError: a table differs from its definition in a way that needs a decision.
    """
    looked = session.kept.pop(RELATIONS, None)
    existing = looked or relations(session)
    before = set(existing)
    if session.environment and MARK not in existing:
        raise NoEnvironment(session.environment)
    _prepare_bookkeeping(session, existing)
    ledger = sharing.follow(session, existing) if session.environment else read_ledger(session)
    entries = dict(ledger.entries)
    migrated = False
    for table in TABLES.values():
        if existing.keys().isdisjoint(table.stored):
            session.kept[STORED, table.name] = 0
        made = [
            _prepare_table(session, table, statement, ledger, existing)
            for statement in table.creates
        ]
        migrated |= any(made)
        if any(made) and table.qualified_name in ledger.entries:
            ledger.define(table.qualified_name)
    if not looked:
        for table in _changed_by_hand(session, ledger, before):
            ledger.define(table.qualified_name)
    _prepare_views(session, ledger, existing, replace=migrated)
    defined = {n: entry for n, entry in ledger.entries.items() if entry != entries.get(n)}
    if defined:
        if known := tuple(defined.keys() & entries.keys()):
            session.execute("bookkeeping/forget_tables", table_names=known)
        _write_down(session, defined)
    session.kept[RELATIONS] = existing
    return ledger


def _prepare_bookkeeping(session: Session, existing: dict[str, str]) -> None:
    before = set(existing)
    for statement in bookkeeping():
        if created_name(statement) not in existing:
            session.execute(statement)
            existing[created_name(statement)] = _TABLE
    if before <= {LOCK_TABLE, "staging.commits"}:
        nothing: dict[tuple[str, str], Any] = {
            ("files", table.name): {} for table in TABLES.values()
        }
        session.kept |= {LEDGER: Ledger({}), sharing.LAKES: {}, sharing.REJECTS: [], **nothing}
    if "staging.ledger" not in before and _FORMER[0] in existing:
        _bring_over(session, existing)
    for column, kind in (("row_count", "BIGINT"), ("statements", "VARCHAR(65535)")):
        if "staging.ledger" in before and f"staging.ledger.{column}" not in existing:
            session.run(f"ALTER TABLE staging.ledger ADD COLUMN {column} {kind}")
        existing[f"staging.ledger.{column}"] = kind
    if existing.pop("staging.statements", None):
        session.execute("bookkeeping/move_statements")


def reset(session: Session) -> None:
    """Drop all tables and views of the platform, whatever their state, and create them anew.

    The lock stays: other runs may be waiting for it. The load numbers go on, as they are the data
    versions that Dagster remembers.

    Raises:
        WarehouseError: in an environment, which is dropped and made anew instead.
    """
    if session.environment:
        raise WarehouseError(
            f"SPARKIFY_ENVIRONMENT={session.environment}: an environment is not emptied; drop it "
            f"and make it anew: sparkify environments drop {session.environment}"
        )
    existing = relations(session)
    last = read_ledger(session).next_id - 1 if "staging.ledger" in existing else 0
    session.kept.clear()
    for view in reversed(views()):
        session.run(f"DROP VIEW IF EXISTS {created_name(view)} CASCADE")
    tables = [statement for table in TABLES.values() for statement in table.creates]
    for statement in (*tables, *bookkeeping()):
        if statement != LOCK:
            session.run(f"DROP TABLE IF EXISTS {created_name(statement)} CASCADE")
    prepare(session)
    session.execute("bookkeeping/number_on", last_load_id=last)
    session.kept.clear()


def _changed_by_hand(session: Session, ledger: Ledger, existing: set[str]) -> Iterator[Table]:
    """Yield the tables that do not hold what their latest load left, as far as counting tells."""
    known = {name for name, entry in ledger.entries.items() if entry.row_count is not None}
    loaded = [table for table in TABLES.values() if table.qualified_name in known]
    if not loaded:
        return
    if "staging.load_changes" not in existing:
        _log.warning("staging.load_changes was dropped by hand; every table is built anew.")
        yield from loaded
        return
    (counts,) = session.run(f"SELECT {', '.join(map(counting, loaded))}")
    for table, found in zip(loaded, counts, strict=True):
        session.kept[STORED, table.name] = found
        if found != (left := ledger.of(table).row_count):
            _log.warning(
                "%s was changed by hand: with its helpers it has %s rows, where its latest load "
                "left %s. It is built anew.",
                *(table.qualified_name, f"{found:,}", f"{left:,}"),
            )
            yield table


def _bring_over(session: Session, existing: dict[str, str]) -> None:
    """Take over a warehouse of an older version: its rows stay until each table is built anew."""
    _log.warning(
        "This warehouse was made by an older version. It is brought over now: every file is read "
        "again, and every table built anew."
    )
    rows = session.query("bookkeeping/former_versions")
    _write_down(session, {r["table_name"]: Entry(r["column_list"], None, 0, 0) for r in rows})
    session.run("DELETE FROM staging.load_changes")
    for name in _FORMER:
        if existing.pop(name, None):
            session.run(f"DROP TABLE {name}")


def _write_down(session: Session, entries: dict[str, Entry]) -> None:
    columns = ("definition", "version", "load_id", "full_load_id")
    session.insert(
        "staging.ledger",
        ("table_name", *columns),
        [(name, *(getattr(one, column) for column in columns)) for name, one in entries.items()],
    )


def _prepare_table(
    session: Session, table: Table, statement: str, ledger: Ledger, existing: dict[str, str]
) -> bool:
    """Create a table, or add its new columns; tell whether something was done."""
    name = created_name(statement)
    columns = read_columns(statement)
    wanted = definition(columns)
    entry = ledger.entries.get(name)
    if entry and entry.definition == wanted and name in existing:
        return False
    if name in ledger.shared:
        sharing.take_over(session, ledger, table, with_rows=False)
        existing.update(dict.fromkeys(table.stored, _TABLE))
    elif entry and name in existing:
        for column in new_columns(statement, entry):
            session.run(f"ALTER TABLE {name} ADD COLUMN {column.name} {column.type}")
    else:
        if entry:
            _log.warning("%s was dropped by hand; it is built anew.", name)
        session.execute(statement)
    existing[name] = _TABLE
    ledger.define(name, wanted)
    return True


def _prepare_views(
    session: Session, ledger: Ledger, existing: dict[str, str], replace: bool
) -> None:
    """Make all views anew where one is missing or has changed, as one may read another."""
    wanted = {created_name(view): _view_definition(view) for view in views()}
    there = {n: entry.definition for n, entry in ledger.entries.items() if n in existing}
    if not replace and wanted.items() <= there.items():
        return
    for name in reversed(wanted):
        if name in existing:
            session.run(f"DROP {'VIEW' if existing[name] == 'VIEW' else 'TABLE'} {name}")
    for view, (name, text) in zip(views(), wanted.items(), strict=True):
        session.execute(view)
        existing[name] = "VIEW"
        entry = ledger.entries.get(name)
        ledger.define(name, text, entry.version if entry else None)


def _view_definition(view: str) -> str:
    """Return what a view is: its columns, where the statement says them, and its SQL as a hash."""
    columns = tuple(column for column in read_columns(view) if column.type)
    of_sql = hashlib.sha256(read_statement(view).encode()).hexdigest()
    return f"{definition(columns)}{HASH}{of_sql}"


def new_columns(statement: str, entry: Entry) -> tuple[Column, ...]:
    """Return the columns that a table has been given at its end, and that may be NULL.

    Raises:
        WarehouseError: more has changed, and the existing table cannot take it on.
    """
    columns = read_columns(statement)
    for count in range(len(columns) + 1):
        if definition(columns[:count]) == entry.definition:
            if any(column.required for column in columns[count:]):
                break
            return columns[count:]
    raise WarehouseError(
        f"{created_name(statement)}: sql/{statement.rpartition('/')[0]}.sql has changed in a way "
        f"that cannot be applied to the existing table.\n  warehouse: {entry.definition}\n"
        f"  sql/: {definition(columns)}\nRun the job reset_warehouse, which drops and recreates "
        "all tables, then sparkify_etl."
    )
