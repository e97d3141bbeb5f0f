"""Which song a play is of, where several have its title and artist."""

from pathlib import Path

import pytest

from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import run_all, select
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song


@pytest.mark.parametrize(
    ("length", "durations", "expected"),
    [
        (100.0, [99.0, 100.5, 250.0], "S1"),  # the closest
        (100.0, [99.0, 101.0], "S0"),  # as close as another: the lowest song_id
        (100.0, [None, 500.0], "S1"),  # any duration before an unknown one
        (100.0, [None, None], "S0"),
        (None, [300.0, 200.0, 100.0], "S0"),  # nothing to be close to: the lowest song_id
        (None, [None, 100.0], "S1"),
        (0.0, [0.5, 0.25], "S1"),
    ],
)
def test_the_closest_song_then_the_lowest_id(
    tmp_path: Path, length: float | None, durations: list[float | None], expected: str
) -> None:
    source = TinyLake(tmp_path / "lake")
    source.write_events("2018-11-01", [event(length=length)])
    for number, duration in enumerate(durations):
        source.write_songs(
            f"A/TR{number}",
            [song(song_id=f"S{number}", artist_id=f"A{number}", duration=duration)],
        )
    source.write_songs("A/TR8", [song(song_id="S!", title="t1")])  # titles are told by case
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", 10)
    run_all(warehouse, LocalLake(str(source.folder)))
    rows = select(warehouse, "SELECT song_id, artist_id FROM analytics.songplays")
    assert rows == [(expected, expected.replace("S", "A"))]


def test_trailing_blanks_do_not_tell_titles_apart(tmp_path: Path) -> None:
    """Redshift disregards them when it compares; the real data has such titles."""
    source = TinyLake(tmp_path / "lake")
    source.write_events("2018-11-01", [event(song="T1  ", userId="7 ", level="paid ")])
    source.write_songs("A/TR1", [song(song_id="S1 ", title="T1", artist_id="A1 ")])
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", 10)
    run_all(warehouse, LocalLake(str(source.folder)))
    columns = "user_id, level, song_id, artist_id, title"
    rows = select(warehouse, f"SELECT {columns} FROM analytics.songplays")
    assert rows == [("7", "paid", "S1", "A1", "T1")]
    assert select(warehouse, "SELECT song, user_id FROM staging.staging_events") == [("T1  ", "7 ")]
