"""Running the loads without Dagster: what an asset does, in the order of the job."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from sparkify_dagster.lake import open_lake
from sparkify_dagster.lake.base import Lake
from sparkify_dagster.loading.ledger import EVERY_DAY, read_ledger
from sparkify_dagster.loading.plan import EVERYTHING, Order, Refused
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.loading.staging import StagingResult, load_files
from sparkify_dagster.table import Table
from sparkify_dagster.tables import STAGING_EVENTS, STAGING_SONGS, TABLES
from sparkify_dagster.warehouse.base import Row, Session, Warehouse
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse

# The tables up to the star; what is summed up from it has tests of its own.
CORE = tuple(name for name, table in TABLES.items() if table.group != "analytics")


def load_events(
    session: Session,
    lake: Lake,
    days: Collection[dt.date] | None,
    full_refresh: bool,
    max_errors: int,
    run_id: str,
    removal_limit: int = EVERYTHING,
    **how: Any,
) -> StagingResult:
    order = (lake, run_id, full_refresh, max_errors, removal_limit)
    return load_files(session, Order(STAGING_EVENTS, *order, days=days, **how))


def load_songs(
    session: Session,
    lake: Lake,
    full_refresh: bool,
    max_errors: int,
    run_id: str,
    removal_limit: int = EVERYTHING,
    refused: Refused | None = None,
) -> StagingResult:
    order = (lake, run_id, full_refresh, max_errors, removal_limit)
    return load_files(session, Order(STAGING_SONGS, *order, refused=refused))


def run_table(
    warehouse: Warehouse,
    lake: Lake,
    table: str,
    days: Collection[dt.date] | None = None,
    full_refresh: bool = False,
    max_errors: int = 0,
) -> object:
    """Bring one table up to date, as its asset does; return what was done."""

    def body(session: Session) -> object:
        if table == "staging_events":
            return load_events(session, lake, days, full_refresh, max_errors, "run")
        if table == "staging_songs":
            return load_songs(session, lake, full_refresh, max_errors, "run")
        return refresh(session, TABLES[table], full_refresh, "run")

    return warehouse.transaction(body, f"test/{table}", "run")


def run_all(
    warehouse: Warehouse,
    lake: Lake,
    tables: Iterable[str] = CORE,
    done: Callable[[str], None] = lambda _: None,
) -> None:
    """Run tables as a job does; `done` hears of each table that has committed."""
    with warehouse.kept_open():
        run_each(warehouse, lake, tables, done)


def run_each(
    warehouse: Warehouse,
    lake: Lake,
    tables: Iterable[str] = CORE,
    done: Callable[[str], None] = lambda _: None,
) -> None:
    """Run tables in a warehouse that is kept open, or is not to be."""
    for table in tables:
        run_table(warehouse, lake, table)
        done(table)


def load_all(folder: Path, path: Path) -> DuckDBWarehouse:
    """Bring every table up to date with the lake in `folder`, those of analytics included."""
    warehouse = DuckDBWarehouse(path, 10)
    run_all(warehouse, open_lake(str(folder)), TABLES)
    return warehouse


def tables_of(warehouse: Warehouse, tables: Iterable[str] = CORE) -> dict[str, list[Row]]:
    """Return every row of tables, in any order of rows that is always the same."""

    def body(session: Session) -> dict[str, list[Row]]:
        return {
            table.qualified_name: sorted(
                (
                    tuple(row)
                    for row in session.run(
                        f"SELECT {', '.join(column.name for column in table.columns)} "
                        f"FROM {table.qualified_name}"
                    )
                ),
                key=repr,
            )
            for table in (TABLES[name] for name in tables)
        }

    return warehouse.read(body, "test/read", "run")


def check_numbers(session: Session, table: Table, whole: bool) -> dict[str, int]:
    """Return what the checks of a table find, in all of it or in what its latest load changed."""
    days_of = TABLES[table.days_of or table.name]
    ledger = read_ledger(session)
    entry = ledger.of(days_of)
    changed = ledger.changed_since(entry.load_id - 1, [days_of])
    span = EVERY_DAY if whole or entry.is_full else changed
    (found,) = session.query(
        f"{table.file}/check", first_day=span.first_day, last_day=span.last_day, least_rows=0
    )
    return {name: int(value or 0) for name, value in found.items()}


def stored_tables() -> list[str]:
    """Return the schema and name of every table and view that people or loads read."""
    helpers = [created_name(name) for table in TABLES.values() for name in table.helpers]
    return [*(table.qualified_name for table in TABLES.values()), *helpers]


def rebuilt(lake: Lake, path: Path, tables: Iterable[str] = CORE) -> dict[str, list[Row]]:
    """Return what a full rebuild into a new DuckDB file gives."""
    path.unlink(missing_ok=True)
    warehouse = DuckDBWarehouse(path, 10)
    run_all(warehouse, lake, tables)
    return tables_of(warehouse, tables)


def select(warehouse: Warehouse, text: str) -> Sequence[Row]:
    """Run a SELECT on committed data."""
    return warehouse.read(lambda session: session.run(text), "test/select", "run")


def rows_of(path: Path, table: str, columns: str = "*") -> list[Row]:
    """Return the rows of a table, in an order that depends on their values alone."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
    return sorted(rows, key=repr)
