"""Telling whether two warehouses hold the same tables, row by row, in any order."""

from pathlib import Path

import duckdb

from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES


def differences(one: Path, other: Path, with_analytics: bool) -> list[str]:
    """Return what differs between two DuckDB files: rows and every column of the platform.

    Without the analysts' tables, unless both have them. Columns that only the other one has are not
    looked at; order of rows and types of columns do not count, values do.
    """
    with duckdb.connect() as connection:
        # Attached under their own names: views may hold the name of the file.
        for path in (one, other):
            connection.execute(f"ATTACH '{path}' (READ_ONLY)")
        return [
            f"{table.name}: {said}"
            for table in TABLES.values()
            if with_analytics or table.group != "analytics"
            if (said := _difference(connection, table, one.stem, other.stem))
        ]


def _difference(connection: duckdb.DuckDBPyConnection, table: Table, one: str, other: str) -> str:
    rows = [
        f"SELECT {', '.join(f'CAST({c.name} AS {c.type}) AS {c.name}' for c in table.columns)} "
        f'FROM "{catalog}".{table.qualified_name}'
        for catalog in (one, other)
    ]
    # A sum keeps what XOR would cancel out: a row that is there twice.
    sums = [
        connection.execute(
            f"SELECT count(*), sum(CAST(hash(t) AS HUGEINT)) FROM ({query}) AS t"
        ).fetchone()
        for query in rows
    ]
    if sums[0] == sums[1]:
        return ""
    only = [
        connection.execute(f"({a}) EXCEPT ALL ({b}) LIMIT 2").fetchall()
        for a, b in (rows, rows[::-1])
    ]
    return f"only in {one} {only[0]}, only in {other} {only[1]}"
