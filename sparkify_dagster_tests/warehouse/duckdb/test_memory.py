"""What a run holds in memory while its checks look at the tables."""

from pathlib import Path

from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse

_HELD = "SELECT CAST(SUM(memory_usage_bytes) AS BIGINT) FROM duckdb_memory()"


def test_blocks_that_a_load_has_read_are_let_go_before_a_check(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb", 0)

    def fill(session: Session) -> None:
        session.run(
            "CREATE TABLE analytics.t AS SELECT MD5(range::VARCHAR) AS v FROM range(200000)"
        )

    def look(session: Session) -> int:
        session.run("SELECT MAX(v) FROM analytics.t")
        return held(session)

    def held(session: Session) -> int:
        return int(session.run(_HELD)[0][0])

    warehouse.transaction(fill, "test", "test")
    with warehouse.kept_open():
        assert warehouse.transaction(look, "test", "test") > 1_000_000
        assert warehouse.read(held, "test", "test") < 1_000_000
