"""Loads without Dagster, for tests of what the tables hold."""

from pathlib import Path
from typing import Any

import duckdb

from sparkify_dagster.lake import open_lake
from sparkify_dagster.loading.staging import load_events, load_songs
from sparkify_dagster.loading.star import refresh
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse


def load_all(lake: Path, path: Path) -> DuckDBWarehouse:
    """Bring every table up to date with the lake, each in a transaction of its own."""
    warehouse = DuckDBWarehouse(path, lock_timeout=10)
    source = open_lake(str(lake))
    warehouse.transaction(
        lambda session: load_events(session, source, None, False, 0, "test"), "events", "test"
    )
    warehouse.transaction(
        lambda session: load_songs(session, source, False, 0, "test"), "songs", "test"
    )
    for table in TABLES.values():
        if table.group != "staging":
            warehouse.transaction(
                lambda session, table=table: refresh(session, table, False, "test"),
                table.name,
                "test",
            )
    return warehouse


def rows_of(path: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Return the rows of a table, in an order that depends on their values alone."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
    return sorted(rows, key=repr)
