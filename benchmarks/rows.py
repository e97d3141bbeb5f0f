"""Counts the rows that one run of the main job writes and scans, as DuckDB counts them.

    python -m benchmarks.rows OUTPUT.json

Writes {table: [written, scanned]}: written are rows inserted, deleted or updated, by the count each
statement returns; scanned are rows read from the table, by DuckDB's profiler, which leaves out what
zone maps spare it. Not timed: profiling costs.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb

_CHANGE = re.compile(
    r"\s*(?:INSERT INTO|DELETE FROM|UPDATE|CREATE (?:TEMP|TEMPORARY) TABLE)\s+([\w.]+)", re.I
)


class Recorder:
    """A DuckDB connection that counts as it goes."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, counts: dict[str, list[int]]) -> None:
        self._connection = connection
        self._counts = counts
        self._rows: list[Any] = []
        connection.execute("SET enable_profiling = 'no_output'")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: str, *parameters: Any) -> "Recorder":
        """Run a statement, count what it did, keep its rows."""
        self._rows = self._connection.execute(query, *parameters).fetchall()
        change = _CHANGE.match(query)
        if change and self._rows and isinstance(self._rows[0][0], int):
            self._counts[_bare(change[1])][0] += self._rows[0][0]
        profile = self._connection.get_profiling_information()
        if profile:
            self._count_scans(json.loads(profile).get("operator", []))
        return self

    def fetchall(self) -> list[Any]:
        """Return the rows of the last statement."""
        return self._rows

    def _count_scans(self, operators: list[dict[str, Any]]) -> None:
        for operator in operators:
            table = operator.get("extra_info", {}).get("Table")
            if table:
                self._counts[_bare(table)][1] += operator.get("rows_scanned", 0)
            self._count_scans(operator.get("children", []))


def _bare(name: str) -> str:
    return name.rsplit(".", maxsplit=1)[-1].strip('"').lower()


def main() -> None:
    """Run the main job and write the counts."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    connect = duckdb.connect
    duckdb.connect = lambda *a, **k: Recorder(connect(*a, **k), counts)  # type: ignore[assignment]

    from sparkify_dagster.definitions import defs

    defs.resolve_job_def("sparkify_etl").execute_in_process()
    Path(sys.argv[1]).write_text(json.dumps(counts, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
