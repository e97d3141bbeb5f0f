"""Bad files that are left out, and what is kept of bad lines."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.lake import open_lake
from sparkify_dagster.lake.base import Lake
from sparkify_dagster.loading.rejects import Refused, skipping
from sparkify_dagster.loading.staging import StagingResult
from sparkify_dagster.warehouse.base import LoadError
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import load_events, load_songs, select
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

DAY_MS = 86_400_000
FIRST = 1541030400000  # 2018-11-01


class Stage:
    """A lake of three days and two songs, and its warehouse."""

    def __init__(self, folder: Path) -> None:
        self.source = TinyLake(folder / "lake")
        self.source.write_songs("A/TR1", [song(song_id="S1")])
        self.source.write_songs("A/TR2", [song(song_id="S2")])
        for day in (1, 2, 3):
            self.write_day(day)
        self.lake: Lake = open_lake(str(self.source.folder))
        self.warehouse = DuckDBWarehouse(folder / "w.duckdb", 10)

    def path(self, day: int) -> Path:
        return self.source.folder / f"log_data/2018/11/2018-11-{day:02d}-events.json"

    def write_day(self, day: int, plays: int = 2, bad: bool = False) -> None:
        moment = FIRST + (day - 1) * DAY_MS
        events: list[dict[str, Any]] = [
            event(sessionId=day, itemInSession=n, ts=moment) for n in range(plays)
        ]
        if bad:
            events[1]["ts"] = "yesterday"
        self.source.write_events(f"2018-11-{day:02d}", events)

    def load(self, skip: bool = True, max_errors: int = 0, **how: Any) -> StagingResult:
        refused: Refused | None = {} if skip else None
        return skipping(
            lambda: self.warehouse.transaction(
                lambda session: load_events(
                    session,
                    self.lake,
                    how.get("days"),
                    how.get("full_refresh", False),
                    max_errors,
                    "run",
                    refused=refused,
                ),
                "test",
                "run",
            ),
            refused,
        )

    def load_songs(self) -> StagingResult:
        refused: Refused = {}
        return skipping(
            lambda: self.warehouse.transaction(
                lambda session: load_songs(session, self.lake, False, 0, "run", refused=refused),
                "test",
                "run",
            ),
            refused,
        )

    def days(self) -> list[tuple[str, int]]:
        return [
            (f"{day}", count)
            for day, count in select(
                self.warehouse,
                "SELECT file_day, count(*) FROM staging.staging_events GROUP BY 1 ORDER BY 1",
            )
        ]

    def rejected(self) -> list[tuple[Any, ...]]:
        return [
            tuple(row)
            for row in select(
                self.warehouse,
                "SELECT file_name, line, column_name, reason, raw_text "
                "FROM staging.rejected_lines ORDER BY ALL",
            )
        ]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


NAME = "log_data/2018/11/2018-11-02-events.json"


def test_good_files_are_loaded_and_bad_ones_listed(stage: Stage) -> None:
    stage.write_day(2, bad=True)
    with pytest.raises(LoadError):
        stage.load(skip=False)
    result = stage.load()
    assert stage.days() == [("2018-11-01", 2), ("2018-11-03", 2)]
    assert result.bad_files == {
        NAME: f"{NAME}, line 2, column ts: milliseconds since 1970 expected (value 'yesterday')"
    }
    text = stage.path(2).read_text().splitlines()[1]
    assert stage.rejected() == [(NAME, 2, "ts", "milliseconds since 1970 expected", text)]
    (row,) = select(stage.warehouse, "SELECT file_name, file_day FROM staging.rejected_files")
    assert (row[0], f"{row[1]}") == (NAME, "2018-11-02")


def test_bad_file_is_read_again_when_it_changes(stage: Stage) -> None:
    stage.write_day(2, bad=True)
    first = stage.load()
    noted = select(stage.warehouse, "SELECT * FROM staging.rejected_files")
    again = stage.load()
    assert (again.files_read, again.load_id) == (0, first.load_id)
    assert again.bad_files == first.bad_files
    assert select(stage.warehouse, "SELECT * FROM staging.rejected_files") == noted
    stage.write_day(2, plays=3)
    assert stage.load().bad_files == {}
    assert stage.days() == [("2018-11-01", 2), ("2018-11-02", 3), ("2018-11-03", 2)]
    assert stage.rejected() == []
    assert select(stage.warehouse, "SELECT count(*) FROM staging.rejected_files") == [(0,)]


def test_a_bad_file_that_is_mended_leaves_the_other_listed(stage: Stage) -> None:
    stage.write_day(2, bad=True)
    stage.write_day(3, bad=True)
    stage.load()
    stage.write_day(3)
    stage.load()
    assert select(stage.warehouse, "SELECT file_name FROM staging.rejected_files") == [(NAME,)]
    assert [name for name, *_ in stage.rejected()] == [NAME]


def test_good_rows_stay_where_a_bad_file_takes_the_place_of_a_good_one(stage: Stage) -> None:
    stage.load()
    stage.write_day(2, plays=5, bad=True)
    stage.write_day(3, plays=4)
    result = stage.load()
    assert list(result.bad_files) == [NAME]
    assert stage.days() == [("2018-11-01", 2), ("2018-11-02", 2), ("2018-11-03", 4)]
    stage.path(2).unlink()
    assert stage.load().bad_files == {}
    assert stage.days() == [("2018-11-01", 2), ("2018-11-03", 4)]


def test_what_allows_more_reads_it_again(stage: Stage) -> None:
    stage.write_day(2, bad=True)
    stage.load()
    result = stage.load(max_errors=2)
    assert result.bad_files == {}
    assert [f"{line}" for line in result.rejected] == [
        f"{NAME}, line 2, column ts: milliseconds since 1970 expected (value 'yesterday')"
    ]
    assert stage.days() == [("2018-11-01", 2), ("2018-11-02", 1), ("2018-11-03", 2)]


def test_lines_left_out_are_kept_until_the_file_changes(stage: Stage) -> None:
    stage.write_day(2, bad=True)
    text = stage.path(2).read_text().splitlines()[1]
    kept = [(NAME, 2, "ts", "milliseconds since 1970 expected", text)]
    stage.load(skip=False, max_errors=2)
    assert stage.rejected() == kept
    stage.write_day(3, plays=4)
    stage.load(skip=False, max_errors=2)
    assert stage.rejected() == kept
    stage.load(skip=False, max_errors=2, full_refresh=True)
    assert stage.rejected() == kept
    stage.write_day(2)
    stage.load(skip=False, max_errors=2)
    assert stage.rejected() == []


def test_lines_left_out_are_forgotten_beside_a_bad_file(stage: Stage) -> None:
    stage.write_day(2, bad=True)
    text = "\n".join(["no object"] * 3)
    stage.source.write("log_data/2018/11/2018-11-03-events.json", text.encode())
    assert len(stage.load(max_errors=2).bad_files) == 1
    assert [line for _, line, *_ in stage.rejected()] == [2, 1, 2, 3]
    stage.write_day(2)
    stage.load(max_errors=2)
    assert [line for _, line, *_ in stage.rejected()] == [1, 2, 3]


def test_switched_back_a_bad_file_stops_the_load(stage: Stage) -> None:
    stage.write_day(2, bad=True)
    stage.load()
    with pytest.raises(LoadError, match="line 2, column ts"):
        stage.load(skip=False)


def test_file_that_cannot_be_unpacked(stage: Stage) -> None:
    packed = stage.path(2).with_suffix(".json.gz")
    packed.write_bytes(gzip.compress(stage.path(2).read_bytes())[:-9])
    stage.path(2).unlink()
    (reason,) = stage.load().bad_files.values()
    assert reason.startswith(f"{NAME}.gz: damaged gzip data")
    assert stage.days() == [("2018-11-01", 2), ("2018-11-03", 2)]
    ((name, line, *_),) = stage.rejected()
    assert (name, line) == (f"{NAME}.gz", 0)


def test_all_files_of_a_day_count_as_one(stage: Stage) -> None:
    more = stage.path(2).with_suffix(".json.gz")
    more.write_bytes(gzip.compress(b"no json\n"))
    assert list(stage.load().bad_files) == [f"{NAME}.gz"]
    assert stage.days() == [("2018-11-01", 2), ("2018-11-03", 2)]


def test_day_that_is_asked_for_and_bad(stage: Stage) -> None:
    stage.load()
    stage.write_day(2, bad=True)
    (day,) = {file.day for file in stage.lake.list_events() if file.name == NAME}
    assert list(stage.load(days={day}).bad_files) == [NAME]
    assert list(stage.load(days={day}, full_refresh=True).bad_files) == [NAME]
    assert stage.days() == [("2018-11-01", 2), ("2018-11-02", 2), ("2018-11-03", 2)]


def test_bad_songs(stage: Stage) -> None:
    bad = stage.source.folder / "song_data/A/TR2.json"
    stage.load_songs()
    bad.write_text('{"song_id": ')
    stage.source.write_songs("A/TR3", [song(song_id="S3")])
    assert list(stage.load_songs().bad_files) == ["song_data/A/TR2.json"]
    ids = select(stage.warehouse, "SELECT song_id FROM staging.staging_songs ORDER BY 1")
    assert ids == [("S1",), ("S2",), ("S3",)]
    assert stage.rejected()[0][-1] == '{"song_id":'
