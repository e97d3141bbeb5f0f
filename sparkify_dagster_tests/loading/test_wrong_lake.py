"""A lake that is not the one meant, or not all of it, does not empty a warehouse."""

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sparkify_dagster.automation.schedules import build_nightly
from sparkify_dagster.automation.sensors import build_lake_sensors
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.loading.removals import EVERYTHING, RemovalRefused
from sparkify_dagster.loading.staging import StagingResult
from sparkify_dagster.resources import LakeResource
from sparkify_dagster.settings import load_settings
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.support.loads import load_events, load_songs, rows_of
from sparkify_dagster_tests.support.redshift_stage import Stage, change, s3_url, stage
from sparkify_dagster_tests.support.redshift_stage import events as events_step
from sparkify_dagster_tests.support.redshift_stage import songs as songs_step
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, event_file, song

__all__ = ["s3_url", "stage"]  # fixtures

DAYS = [dt.date(2018, 11, 1) + dt.timedelta(number) for number in range(20)]


class Platform:
    """A lake of twenty days and forty songs, loaded once, and what loads it again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = make_lake(folder / "lake")
        self.path = folder / "w.duckdb"
        self.warehouse = DuckDBWarehouse(self.path, 10)
        self.load()

    def load(
        self, lake: Path | None = None, limit: int = 10, full: bool = False
    ) -> tuple[StagingResult, StagingResult]:
        """Load events and songs, as the job does."""
        found = LocalLake(str(lake or self.source.folder))
        return (
            self.warehouse.transaction(
                lambda session: load_events(session, found, None, full, 0, "run", limit), "t", "r"
            ),
            self.warehouse.transaction(
                lambda session: load_songs(session, found, full, 0, "run", limit), "t", "r"
            ),
        )

    def rows(self) -> tuple[int, int]:
        """Return the number of rows of events and of songs."""
        return len(rows_of(self.path, "staging.staging_events")), len(
            rows_of(self.path, "staging.staging_songs")
        )


def make_lake(folder: Path, marker: bool = False) -> TinyLake:
    source = TinyLake(folder)
    for day in DAYS:
        write_day(source, day, 20)
    for number in range(40):
        source.write_songs(f"A/A/A/TR{number}", [song(song_id=f"S{number}")])
    if marker:
        (folder / "sample.json").write_text(
            json.dumps({"generator_version": 1, "start": "2018-11-01", "end": "2018-11-20"})
        )
    return source


def write_day(source: TinyLake, day: dt.date, count: int) -> None:
    events = [event(sessionId=day.day, itemInSession=number) for number in range(count)]
    source.write_events(day.isoformat(), events)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


def remove_days(count: int) -> Callable[[TinyLake], None]:
    def change(source: TinyLake) -> None:
        for day in DAYS[:count]:
            source.remove(event_file(day.isoformat()))

    return change


def remove_songs(count: int) -> Callable[[TinyLake], None]:
    def change(source: TinyLake) -> None:
        for number in range(count):
            source.remove(f"song_data/A/A/A/TR{number}.json")

    return change


def shrink_day(count: int) -> Callable[[TinyLake], None]:
    return lambda source: write_day(source, DAYS[3], count)


def compress_all(source: TinyLake) -> None:
    """The same days under other names."""
    for day in DAYS:
        content = source.files[event_file(day.isoformat())]
        source.remove(event_file(day.isoformat()))
        source.write(event_file(day.isoformat(), compressed=True), content)


# name, what happens to the lake, rows that are left, or what the error says
CHANGES: list[tuple[str, Callable[[TinyLake], None], tuple[int, int] | str]] = [
    ("nothing", lambda _: None, (400, 40)),
    ("two days of twenty", remove_days(2), (360, 40)),
    ("three days of twenty", remove_days(3), r"would take out 3 of 20 days and 60 of 400 rows"),
    ("all but one day", remove_days(19), r"staging_events: .* 19 of 20 days and 380 of 400 rows"),
    ("four songs of forty", remove_songs(4), (400, 36)),
    ("five songs of forty", remove_songs(5), r"staging_songs: .* 5 of 40 files and 5 of 40 rows"),
    ("a day that lost a quarter", shrink_day(15), (395, 40)),
    ("a day that lost more", shrink_day(14), r"0 of 20 days and 6 of 400 rows.*2018-11-04"),
    ("a day that lost all", shrink_day(0), r"0 of 20 days and 20 of 400 rows"),
    ("a day that grew", shrink_day(40), (420, 40)),
    ("all days compressed", compress_all, (400, 40)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_what_a_load_takes_out_unasked(
    platform: Platform, change: Callable[[TinyLake], None], expected: tuple[int, int] | str
) -> None:
    change(platform.source)
    for full in (False, True):
        if isinstance(expected, tuple):
            platform.load(full=full)
            assert platform.rows() == expected
        else:
            with pytest.raises(RemovalRefused, match=expected):
                platform.load(full=full)
            assert platform.rows() == (400, 40)
    if not isinstance(expected, tuple):
        events, songs = platform.load(limit=EVERYTHING)
        assert events.removal.rows_lost + songs.removal.rows_lost > 0
        assert sum(platform.rows()) == 440 - events.removal.rows_lost - songs.removal.rows_lost


def test_another_lake_is_refused_until_it_is_meant(platform: Platform) -> None:
    other = make_lake(platform.folder / "other")
    write_day(other, DAYS[0], 21)
    with pytest.raises(RemovalRefused, match=r"loaded from the lake \S+/lake, .* now \S+/other;"):
        platform.load(other.folder)
    assert platform.rows() == (400, 40)
    platform.load(other.folder, limit=EVERYTHING)
    assert platform.rows() == (401, 40)
    platform.load(other.folder)
    with pytest.raises(RemovalRefused, match=r"loaded from the lake \S+/other, .* now \S+/lake;"):
        platform.load()


def test_a_lake_meant_for_one_table_is_not_for_the_other(platform: Platform) -> None:
    other = make_lake(platform.folder / "other")
    write_day(other, DAYS[0], 21)
    other.write_songs("A/A/A/TR0", [song(song_id="S0", year=1999)])
    lake = LocalLake(str(other.folder))
    platform.warehouse.transaction(
        lambda session: load_events(session, lake, None, False, 0, "run", EVERYTHING), "t", "r"
    )
    with pytest.raises(RemovalRefused, match=r"staging_songs: .* loaded from the lake \S+/lake,"):
        platform.load(other.folder)


def test_a_lake_that_has_moved_is_the_same(platform: Platform) -> None:
    moved = platform.folder / "moved"
    shutil.move(platform.source.folder, moved)
    platform.load(moved)
    (platform.folder / "link").symlink_to(moved)
    platform.load(platform.folder / "link")
    assert platform.rows() == (400, 40)
    shutil.copytree(moved, platform.folder / "copy")  # keeps the times
    write_day(TinyLakeAt(platform.folder / "copy"), dt.date(2018, 12, 1), 5)
    platform.load(platform.folder / "copy")
    assert platform.rows() == (405, 40)


class TinyLakeAt(TinyLake):
    """A lake that is there already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {}


def test_a_sample_lake_never_goes_where_other_data_were(platform: Platform) -> None:
    sample = make_lake(platform.folder / "sample", marker=True)
    for limit in (10, EVERYTHING):
        with pytest.raises(RemovalRefused, match="which is sample data; nothing was changed"):
            platform.load(sample.folder, limit)
    assert platform.rows() == (400, 40)


def test_sample_data_give_way_to_others_when_that_is_meant(tmp_path: Path) -> None:
    sample = make_lake(tmp_path / "sample", marker=True)
    path = tmp_path / "w.duckdb"
    warehouse = DuckDBWarehouse(path, 10)
    real = make_lake(tmp_path / "real")
    write_day(real, DAYS[0], 7)

    def load(lake: TinyLake, limit: int) -> Any:
        return warehouse.transaction(
            lambda session: load_events(
                session, LocalLake(str(lake.folder)), None, False, 0, "run", limit
            ),
            "test",
            "run",
        )

    load(sample, 10)
    with pytest.raises(RemovalRefused, match="confirm it with `sparkify run --accept-removals`"):
        load(real, 10)
    load(real, EVERYTHING)
    with pytest.raises(RemovalRefused, match="which is sample data"):
        load(sample, EVERYTHING)


def test_the_job_stops_and_goes_on_when_it_is_confirmed(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_LAKE", str(platform.source.folder))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(platform.path))
    from sparkify_dagster.definitions import defs

    remove_days(5)(platform.source)
    job = defs.resolve_job_def("sparkify_etl")
    selection = [dg.AssetKey("staging_events")]
    stopped = job.execute_in_process(asset_selection=selection, raise_on_error=False)
    assert not stopped.success
    assert platform.rows() == (400, 40)
    confirmed = job.execute_in_process(
        asset_selection=selection,
        run_config={"ops": {"staging_events": {"config": {"accept_removals": True}}}},
    )
    assert platform.rows() == (300, 40)
    checks = {check.check_name: check for check in confirmed.get_asset_check_evaluations()}
    removed = checks["removed_files"]
    assert not removed.passed
    assert removed.severity == dg.AssetCheckSeverity.WARN
    numbers = {name: value.value for name, value in removed.metadata.items()}
    assert numbers == {"files_removed": 5, "rows_removed": 100, "rows_before": 400}
    assert "2018-11-01 to 2018-11-05" in str(removed.description)


def test_what_runs_by_itself_never_confirms(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_LAKE", str(platform.source.folder))
    remove_days(19)(platform.source)
    remove_songs(39)(platform.source)
    with dg.DagsterInstance.ephemeral() as instance:
        for sensor in build_lake_sensors(load_settings()):
            context = dg.build_sensor_context(instance, resources={"lake": LakeResource()})
            (request,) = sensor.evaluate_tick(context).run_requests or ()
            assert request.run_config == {}
        context = dg.build_schedule_context(instance, scheduled_execution_time=dt.datetime.now())
        (request,) = build_nightly(load_settings()).evaluate_tick(context).run_requests or ()
        assert request.run_config == {}


def test_sparkify_run_on_redshift_stops_until_removals_are_accepted(
    stage: Stage, tmp_path: Path
) -> None:
    source = make_lake(tmp_path / "lake")
    stage.bucket.put_folder(source.folder)
    for step in (events_step, songs_step):
        change(stage.warehouse(), step(stage.lake))
    for day in DAYS[:5]:
        stage.bucket.remove(event_file(day.isoformat()))
    for number in range(39):
        stage.bucket.remove(f"song_data/A/A/A/TR{number}.json")

    def sparkify(*words: str) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "-c", "from sparkify_dagster.cli import main; main()", *words],
            cwd=tmp_path,
            env=os.environ
            | stage.environment(DAGSTER_HOME=str(tmp_path), PYTHONPATH=str(REPOSITORY)),
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    def rows() -> tuple[int, int]:
        events, songs = "staging.staging_events", "staging.staging_songs"
        return len(stage.rows(events)), len(stage.rows(songs))

    code, said = sparkify("run")
    assert code == 1
    assert re.search(
        r"staging_events: this run would take out 5 of 20 days and 100 of 400 rows, .*; nothing "
        r"was changed\. Gone: 2018-11-01 to 2018-11-05 \(log_data/2018/11/2018-11-01-events\.json, "
        r".* and 2 more\)\..* confirm it with `sparkify run --accept-removals`",
        said,
    )
    assert re.search(r"staging_songs: .* 39 of 40 files .*Gone: song_data/A/A/A/TR0\.json, ", said)
    assert rows() == (400, 40)
    code, said = sparkify("run", "--accept-removals")
    assert code == 0, said
    assert rows() == (300, 1)
