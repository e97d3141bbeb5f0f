"""Running the loads without Dagster: what an asset does, in the order of the job."""

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import duckdb

from sparkify_dagster.lake import open_lake
from sparkify_dagster.lake.base import Lake
from sparkify_dagster.loading.staging import load_events, load_songs
from sparkify_dagster.loading.star import refresh
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row, Session, Warehouse
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.star_model import read_tables


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
    days: Collection[dt.date] | None = None,
    full_refresh: bool = False,
    done: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the whole job; `done` hears of each table that has committed."""
    for table in TABLES:
        run_table(warehouse, lake, table, days, full_refresh)
        done(table)


def load_all(folder: Path, path: Path) -> DuckDBWarehouse:
    """Run the whole job on a lake's folder and a DuckDB file."""
    warehouse = DuckDBWarehouse(path, lock_timeout=10)
    run_all(warehouse, open_lake(str(folder)))
    return warehouse


def tables_of(warehouse: Warehouse) -> dict[str, list[Row]]:
    """Return every row of every table."""
    return warehouse.read(lambda session: read_tables(session.run), "test/read", "run")


def rebuilt(lake: Lake, path: Path) -> dict[str, list[Row]]:
    """Return what a full rebuild into a new DuckDB file gives."""
    path.unlink(missing_ok=True)
    warehouse = DuckDBWarehouse(path, 10)
    run_all(warehouse, lake)
    return tables_of(warehouse)


def rows_of(path: Path, table: str, columns: str = "*") -> list[Row]:
    """Return the rows of a table in a DuckDB file, in an order that their values alone decide."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
    return sorted(rows, key=repr)


def select(warehouse: Warehouse, text: str) -> Sequence[Row]:
    """Run a SELECT on committed data."""
    return warehouse.read(lambda session: session.run(text), "test/select", "run")
