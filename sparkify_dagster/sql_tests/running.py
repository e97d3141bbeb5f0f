"""Running the cases: the sources are filled, the tables refreshed as a run does, rows compared."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparkify_dagster.loading.findings import find, look
from sparkify_dagster.loading.ledger import record_load
from sparkify_dagster.loading.refresh import empty, refresh, sources
from sparkify_dagster.loading.schema import prepare
from sparkify_dagster.sql_tests.cases import Case, Rows, State, shown_rows
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row, Session
from sparkify_dagster.warehouse.duckdb.engine import DuckDBSession, connect_in_memory

_RUN = "test-sql"
_SOME_TIME = dt.datetime(2018, 11, 1, 12)
_TEMPORARY = "SELECT table_name FROM information_schema.tables WHERE table_type = 'LOCAL TEMPORARY'"
# What staging.load_changes is told of a changed row of a star table; of the others, nothing.
_NOTES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "songplays": lambda row: {"changed_day": row["start_time"].date()},
    "songs": lambda row: {"title": row["title"], "artist_name": row["artist_name"]},
}


@dataclass(frozen=True)
class Difference:
    """How a table differs from what a case expects."""

    way: str  # how it came to be: incrementally or built anew
    columns: tuple[str, ...]
    rows: list[Row]  # the first column tells whether the row is missing or unexpected


def run_cases(cases: Sequence[Case]) -> Iterator[tuple[Case, list[Difference]]]:
    """Run cases on DuckDB in memory, each on empty tables; yield each with what differs."""
    with connect_in_memory() as connection:
        session = DuckDBSession(connection)
        prepare(session)
        for case in cases:
            connection.execute("BEGIN TRANSACTION")
            differences = run_case(session, case)
            connection.execute("ROLLBACK")
            yield case, differences


def run_case(session: Session, case: Case) -> list[Difference]:
    """Run a case in the open transaction, on empty tables; return what differs.

    Where there is an earlier state, the table is compared as it comes from it, and built anew.
    """
    if case.asks != "expect":
        told = _compared(f"what {case.asks}", case, _told(session, case))
        return [told] if told.rows else []
    built, filled = _tables(case)
    state: State = {table.name: [] for table in filled}
    found = []
    for number, step in enumerate((case.earlier, case.given)):
        if step is None:
            continue
        for table in filled:
            rows = step.get(table.name, state[table.name])
            _fill(session, table, state[table.name], rows, is_full=not number or not case.earlier)
            state[table.name] = rows
        _refresh(session, built, full_refresh=False)
    if case.earlier is not None:
        found.append(_difference(session, case, "incrementally"))
        _refresh(session, built, full_refresh=True)
    found.append(_difference(session, case, "built anew"))
    return [difference for difference in found if difference.rows]


def _tables(case: Case) -> tuple[list[Table], list[Table]]:
    """Return what has to be built from what is given, and what is filled for that, in order."""
    built: set[str] = set()
    filled = {*case.given} if case.asks != "expect" else set()

    def walk(table: Table) -> None:
        is_given = table.name in case.given or table.name in (case.earlier or {})
        (filled if is_given or not sources(table) else built).add(table.name)
        for source in sources(table) if table.name in built else ():
            walk(source)

    walk(case.table)
    both = ([TABLES[name] for name in TABLES if name in names] for names in (built, filled))
    return next(both), next(both)


def _refresh(session: Session, tables: Sequence[Table], full_refresh: bool) -> None:
    for table in tables:
        refresh(session, table, full_refresh, _RUN)
        _drop_temporary(session)


def _drop_temporary(session: Session) -> None:
    """Do what the end of a connection does: each load has one of its own."""
    for (name,) in session.run(_TEMPORARY):
        session.run(f"DROP TABLE {name}")


def _fill(session: Session, table: Table, before: Rows, now: Rows, is_full: bool) -> None:
    """Bring a source table from the rows of before to those of now, noting what has changed."""
    counts = [Counter((_part(table, row), *row.values()) for row in rows) for rows in (before, now)]
    changed = {part for part, *_ in (counts[0] - counts[1]) + (counts[1] - counts[0])}
    gone, come = ([row for row in rows if _part(table, row) in changed] for rows in (before, now))
    if not (is_full or gone or come):
        return
    ledger = prepare(session)
    load_id = None if is_full else ledger.next_id
    if table.group == "staging":
        _exchange_files(session, table, gone, come, load_id)
    else:
        empty(session, table)
        _insert(session, table.qualified_name, now)
        if load_id and table.name in _NOTES:
            # What its load would have noted of the rows that changed.
            head = {"table_name": table.name, "load_id": load_id}
            notes = [head | _NOTES[table.name](row) for row in gone + come]
            _insert(session, "staging.load_changes", notes)
    record_load(session, ledger, table, is_full, _RUN)
    _drop_temporary(session)


def _exchange_files(
    session: Session, table: Table, gone: Rows, come: Rows, load_id: int | None
) -> None:
    """Exchange files of a staging table, by the statements that its load runs around COPY."""
    session.execute("bookkeeping/files_of_load")
    session.insert("replaced_files", ("file_name", "file_day"), _files(table, gone))
    if load_id:
        session.execute(f"{table.file}/changes", load_id=load_id)
    if before_copy := table.section("before_copy"):
        session.execute(before_copy)
    session.execute(f"{table.file}/remove")
    _insert(session, table.qualified_name, come)
    columns = ("file_name", "file_day", "size_bytes", "version")
    session.insert("new_files", columns, [(*file, 0, "") for file in _files(table, come)])
    if after_copy := table.section("after_copy"):
        session.execute(after_copy)
    if load_id:
        session.execute(f"{table.file}/changes", load_id=load_id)
    session.execute(f"{table.file}/remember_files", run_id=_RUN, loaded_at=_SOME_TIME)


def _insert(session: Session, name: str, rows: Rows) -> None:
    if rows:
        session.insert(name, tuple(rows[0]), [tuple(row.values()) for row in rows])


def _files(table: Table, rows: Rows) -> list[Row]:
    return sorted({(str(_part(table, row)), row.get("file_day")) for row in rows})


def _part(table: Table, row: dict[str, Any]) -> Any:
    """Return what a row is exchanged with: its file in staging, else alone."""
    if table.group == "staging":
        return row.get("source_file") or row["file_day"]
    return tuple(row.values())


def _told(session: Session, case: Case) -> list[Row]:
    """Return the checks that fail on given rows, or the queries asked for, with what each shows."""
    built, given = _tables(case)
    for table in given:
        if not table.is_view:
            _fill(session, table, [], case.given.get(table.name, []), is_full=True)
    _refresh(session, built, full_refresh=True)
    # What views would show is given, as if they were tables; those on others go first.
    views = [table for table in given if table.is_view]
    for name in [table.qualified_name for table in reversed(views)]:
        session.run(f"CREATE TEMP TABLE shown AS SELECT * FROM {name} LIMIT 0")  # noqa: S608
        session.run(f"DROP VIEW {name} CASCADE")
        session.run(f"CREATE TABLE {name} AS SELECT * FROM shown")  # noqa: S608
        session.run("DROP TABLE shown")
    for table in views:
        _insert(session, table.qualified_name, case.given.get(table.name, []))
    if case.asks == "shows":
        asked = [(name, session.query(f"{case.table.file}/{name}")) for name, _ in case.expect]
        return [(name, shown_rows(rows)) for name, rows in asked]
    numbers = look(session, case.table, case.days)
    failed = (check for check in case.table.checks if not check.passes(numbers))
    findings = [(check.name, find(session, case.table, check)) for check in failed]
    return [
        (name, shown_rows([dict(zip(one.columns, row, strict=True)) for row in one.rows]))
        for name, one in findings
    ]


def _difference(session: Session, case: Case, way: str) -> Difference:
    names = ", ".join(case.columns)
    rows = session.run(f"SELECT {names} FROM {case.table.qualified_name}")  # noqa: S608 - own names
    return _compared(way, case, rows)


def _compared(way: str, case: Case, rows: list[Row]) -> Difference:
    found, expected = Counter(map(tuple, rows)), Counter(case.expect)
    missing = [("missing", *row) for row in (expected - found).elements()]
    unexpected = [("unexpected", *row) for row in (found - expected).elements()]
    rows = sorted(missing, key=repr) + sorted(unexpected, key=repr)
    return Difference(way, ("", *case.columns), rows)
