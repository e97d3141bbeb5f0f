"""Hands in the warehouse: what counting tells is noticed by the next run, and built anew."""

import shutil
from pathlib import Path

import duckdb
import pytest

from sparkify_dagster.lake import open_lake
from sparkify_dagster.lake.base import Lake
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import run_all, run_table, tables_of
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

Rows = dict[str, list[Row]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by_hand")


@pytest.fixture(scope="module")
def lake(folder: Path) -> Lake:
    source = TinyLake(folder / "lake")
    source.write_songs("A/TR1", [song(song_id="S1"), song(song_id="S2", artist_id="A2")])
    for day in range(1, 4):
        moment = 1541030400000 + day * 86_400_000
        plays = [event(sessionId=day, itemInSession=n, userId=str(n), ts=moment) for n in range(4)]
        source.write_events(f"2018-11-{day + 1:02d}", plays)
    return open_lake(str(source.folder))


@pytest.fixture(scope="module")
def loaded(folder: Path, lake: Lake) -> DuckDBWarehouse:
    warehouse = DuckDBWarehouse(folder / "w.duckdb", 10)
    run_all(warehouse, lake, TABLES)
    return warehouse


@pytest.fixture
def warehouse(tmp_path: Path, loaded: DuckDBWarehouse) -> DuckDBWarehouse:
    return DuckDBWarehouse(Path(shutil.copy(loaded.place, tmp_path)), 10)


def _rows(warehouse: DuckDBWarehouse) -> Rows:
    return {name: sorted(rows, key=repr) for name, rows in tables_of(warehouse, TABLES).items()}


def _by_hand(warehouse: DuckDBWarehouse, *statements: str) -> None:
    with duckdb.connect(warehouse.place) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "warning"),
    [
        ("DELETE FROM analytics.users", "analytics.users was changed by hand: with its helpers"),
        ("DELETE FROM staging.user_days", "analytics.users was changed by hand"),
        ("DELETE FROM staging.song_months", "analytics.top_songs was changed by hand"),
        (
            "INSERT INTO analytics.songplays SELECT * REPLACE ('x' AS songplay_id) "
            "FROM analytics.songplays LIMIT 1",
            "analytics.songplays was changed by hand: with its helpers it has 13 rows, where its "
            "latest load left 12. It is built anew.",
        ),
        ("TRUNCATE staging.staging_events", "staging.staging_events was changed by hand"),
        ("TRUNCATE staging.staging_songs", "staging.staging_songs was changed by hand"),
        ("DROP TABLE analytics.songs CASCADE", "analytics.songs was dropped by hand"),
        ("DROP TABLE staging.load_changes", "staging.load_changes was dropped by hand"),
        ("DROP TABLE staging.loaded_files", ""),
        ("DROP TABLE staging.lakes", ""),
        ("DROP TABLE staging.ledger", ""),
    ],
)
def test_what_was_done_by_hand_is_undone_by_a_run_with_nothing_new(
    warehouse: DuckDBWarehouse,
    loaded: DuckDBWarehouse,
    lake: Lake,
    caplog: pytest.LogCaptureFixture,
    statement: str,
    warning: str,
) -> None:
    _by_hand(warehouse, statement)
    run_all(warehouse, lake, TABLES)
    assert caplog.text.count(warning) == 1 or not warning
    assert _rows(warehouse) == _rows(loaded)
    caplog.clear()
    run_all(warehouse, lake, TABLES)
    assert not caplog.text


def test_what_is_built_from_a_changed_table_is_built_anew_with_it(
    warehouse: DuckDBWarehouse, lake: Lake
) -> None:
    _by_hand(warehouse, "DELETE FROM analytics.songplays WHERE user_id = '1'")
    run_table(warehouse, lake, "songplays")
    assert run_table(warehouse, lake, "time").is_full  # type: ignore[attr-defined]
    assert not run_table(warehouse, lake, "users").changed  # type: ignore[attr-defined]


def test_warehouse_of_a_version_that_did_not_count_is_taken_on(
    warehouse: DuckDBWarehouse, lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    _by_hand(warehouse, "ALTER TABLE staging.ledger DROP COLUMN row_count")
    run_table(warehouse, lake, "users", full_refresh=True)
    _by_hand(warehouse, "DELETE FROM analytics.users")
    run_table(warehouse, lake, "users")
    assert "analytics.users was changed by hand" in caplog.text
