"""Bringing a table up to date from the changes of the tables it is built from."""

import re
from dataclasses import dataclass

from sparkify_dagster.loading.log import Load, last_load, record_load, record_seen, unseen
from sparkify_dagster.loading.schema import is_current, mark_current, prepare
from sparkify_dagster.tables import Table
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.statements import has_statement, read_statement

_SEEN = re.compile(r":([a-z_]+)_seen\b")


@dataclass(frozen=True)
class RefreshResult:
    """What a refresh did."""

    is_full: bool
    changed: bool  # False: nothing new upstream, nothing touched


def sources(table: Table) -> tuple[str, ...]:
    """Return the tables whose loads a table takes in."""
    found = {
        name
        for statement in table.load_statements
        for name in _SEEN.findall(read_statement(statement))
    }
    return tuple(sorted(found.union(table.follows)))


def refresh(session: Session, table: Table, full_refresh: bool, run_id: str) -> RefreshResult:
    """Bring `table` up to date in the open transaction.

    Only what changed upstream is touched; everything is rebuilt where asked for, where the SQL has
    changed, and where a table upstream was replaced as a whole.
    """
    prepare(session)
    pending = unseen(session, table.name, sources(table))
    is_full = (
        full_refresh
        or not is_current(session, table)
        or any(found.is_full for found in pending.values())
    )
    if not is_full and not any(pending.values()):
        return RefreshResult(is_full=False, changed=False)
    load = Load(last_load(session, table.name).load_id + 1, is_full)
    parameters = {
        "is_full": is_full,
        "load_id": load.load_id,
        **{f"{source}_seen": found.seen_id for source, found in pending.items()},
    }
    changes = f"{table.folder}/changes"
    for statement in table.load_statements:
        # What leaves is noted before the rows are exchanged, what comes after.
        if statement.endswith("_delete") and has_statement(changes):
            session.execute(changes, **parameters)
        session.execute(statement, **parameters)
    if has_statement(changes):
        session.execute(changes, **parameters)
    record_seen(session, table.name, {source: found.latest_id for source, found in pending.items()})
    record_load(session, table.name, load, run_id)
    mark_current(session, table)
    return RefreshResult(is_full, changed=True)
