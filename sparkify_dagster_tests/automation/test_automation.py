import datetime as dt
import itertools
import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from sparkify_dagster.assets.lake import FAIL_AFTER, daily_freshness
from sparkify_dagster.automation import sensors
from sparkify_dagster.automation.schedules import build_nightly
from sparkify_dagster.automation.sensors import build_lake_sensors
from sparkify_dagster.definitions import defs
from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.changes import (
    CursorError,
    DaysSeen,
    SongsSeen,
    Total,
    compare_days,
    day_marks,
    describe_days,
    look_through,
    pack_days,
    pack_songs,
    unpack_days,
    unpack_songs,
)
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.resources import LakeResource
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.settings import SettingError, load_settings
from sparkify_dagster_tests.support.s3_server import PAGE, Fault, S3Server, s3_server

new_log_files, new_song_files = build_lake_sensors(load_settings({}))

FIRST = dt.date(2018, 11, 1)
SECOND = 1_541_030_400_000_000_000  # ns, one and the same for all files of a test
SPEC = SampleSpec(days=3, events_per_day=30, songs=25, users=6)


def put_day(root: Path, day: dt.date, text: str = "{}", mtime: int = SECOND) -> Path:
    path = root / f"log_data/{day:%Y/%m}/{day}-events.json"
    return put(path, text, mtime)


def put_song(root: Path, name: str, text: str = "{}", mtime: int = SECOND) -> Path:
    return put(root / "song_data" / name, text, mtime)


def put(path: Path, text: str, mtime: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "ascii")
    os.utime(path, ns=(mtime, mtime))
    return path


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number - 1)


class Ticks:
    """A sensor's ticks, one after the other; what lasts in between is the cursor alone."""

    def __init__(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> None:
        self.sensor = sensor
        self.cursor = cursor

    def tick(self) -> dg.SensorResult:
        # A new instance each time: a restart happens between any two ticks.
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(
                instance=instance, cursor=self.cursor, resources={"lake": LakeResource()}
            )
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        return result

    def requests(self) -> list[dg.RunRequest]:
        return list(self.tick().run_requests or [])

    def request(self) -> dg.RunRequest:
        (request,) = self.requests()
        return request

    def skip_reason(self) -> str:
        result = self.tick()
        assert not result.run_requests
        assert result.skip_reason is not None
        return str(result.skip_reason.skip_message)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARKIFY_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "sparkify.duckdb"))
    return tmp_path / "lake"


@pytest.fixture
def days(root: Path) -> Ticks:
    for number in range(1, 31):
        put_day(root, day(number))
    return Ticks(new_log_files)


def test_first_tick_on_an_existing_lake_requests_one_run(days: Ticks) -> None:
    assert days.request().tags == {"sparkify/days_new": "2018-11-01 to 2018-11-30"}
    assert days.skip_reason() == (
        "No change since the last request: 30 day files, the newest of 2018-11-30."
    )


def test_a_request_names_no_partition_so_that_one_run_loads_all(days: Ticks) -> None:
    request = days.request()
    assert request.partition_key is None
    assert not any(tag.startswith("dagster/") for tag in request.tags)


def test_files_of_the_same_second_are_seen(days: Ticks, root: Path) -> None:
    days.tick()
    put_day(root, day(31))
    assert days.request().tags == {"sparkify/days_new": "2018-12-01"}
    put_day(root, day(32))
    put_day(root, day(34))
    assert days.request().tags == {"sparkify/days_new": "2018-12-02, 2018-12-04"}


def test_a_late_file_with_an_old_time_is_seen(days: Ticks, root: Path) -> None:
    days.tick()
    put_day(root, day(-100), mtime=SECOND // 2)
    assert days.request().tags == {"sparkify/days_new": str(day(-100))}


def test_a_replaced_a_grown_and_a_removed_file_are_seen(days: Ticks, root: Path) -> None:
    days.tick()
    put_day(root, day(2), mtime=SECOND + 1)
    put_day(root, day(5), text="{}\n{}")
    put_day(root, day(9)).unlink()
    assert days.request().tags == {
        "sparkify/days_changed": "2018-11-02, 2018-11-05",
        "sparkify/days_removed": "2018-11-09",
    }


def test_a_second_file_of_a_day_is_a_change_of_that_day(days: Ticks, root: Path) -> None:
    days.tick()
    put(root / f"log_data/2018/11/{day(3)}-events.json.gz", "", SECOND)
    assert days.request().tags == {"sparkify/days_changed": "2018-11-03"}


def test_what_is_no_day_file_is_not_seen(days: Ticks, root: Path) -> None:
    days.tick()
    put(root / "log_data/2018/11/notes.txt", "", SECOND)
    put(root / "log_data/2018/11/2018-13-01-events.json", "", SECOND)
    assert "No change" in days.skip_reason()


def test_a_tick_repeated_after_a_crash_asks_under_the_same_key(days: Ticks, root: Path) -> None:
    days.tick()
    before = days.cursor
    put_day(root, day(31))
    assert days.request().run_key == Ticks(new_log_files, before).request().run_key
    put_day(root, day(32))
    assert days.request().run_key != Ticks(new_log_files, before).request().run_key


def test_a_file_changed_back_is_asked_for_again(days: Ticks, root: Path) -> None:
    keys = [days.request().run_key]
    for mtime in (SECOND + 1, SECOND, SECOND + 1, SECOND):
        put_day(root, day(4), mtime=mtime)
        keys.append(days.request().run_key)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "cursor", ["1541030400.0", "{}", '{"v":1,"n":1,"months":{"2018-13":"abcde"}}', "[", '{"v":0}']
)
def test_a_cursor_that_cannot_be_read_begins_afresh(days: Ticks, cursor: str) -> None:
    days.cursor = cursor
    assert days.request().tags == {"sparkify/days_new": "2018-11-01 to 2018-11-30"}
    assert "No change" in days.skip_reason()


@pytest.mark.parametrize("sensor", [new_log_files, new_song_files])
def test_a_missing_lake_is_a_reason_to_skip(root: Path, sensor: dg.SensorDefinition) -> None:
    ticks = Ticks(sensor)
    assert f"SPARKIFY_LAKE={str(root)!r}: holds no folder" in ticks.skip_reason()
    for folder in ("log_data", "song_data"):
        (root / folder).mkdir(parents=True)
    assert "no" in ticks.skip_reason()
    assert "file" in ticks.skip_reason()
    put_day(root, FIRST)
    put_song(root, "A/B/C/TRABC.json")
    assert ticks.request()


def test_a_lake_out_of_reach_for_a_while_is_not_taken_for_empty(days: Ticks, root: Path) -> None:
    days.tick()
    songs = Ticks(new_song_files)
    put_song(root, "A/B/C/TRABC.json")
    songs.tick()
    root.rename(root.with_name("away"))
    assert "holds no folder" in days.skip_reason()
    assert "holds no folder" in songs.skip_reason()
    root.with_name("away").rename(root)
    assert "No change" in days.skip_reason()
    assert "No change" in songs.skip_reason()


def test_arrival_is_reported_where_yesterday_has_come(root: Path) -> None:
    today = dt.datetime.now(dt.UTC).date()
    ticks = Ticks(new_log_files)

    def reported() -> list[dg.AssetKey]:
        return [event.asset_key for event in ticks.tick().asset_events]

    put_day(root, today - dt.timedelta(days=9))
    assert reported() == [dg.AssetKey("log_data")], "the first look starts the clock"
    put_day(root, today - dt.timedelta(days=5))
    assert reported() == [], "later than any, but yesterday is still missing"
    put_day(root, today - dt.timedelta(days=1))
    assert reported() == [dg.AssetKey("log_data")]
    put_day(root, today - dt.timedelta(days=1), mtime=SECOND + 1)
    assert reported() == [], "a correction is not another day"
    put_day(root, today - dt.timedelta(days=20))
    assert reported() == [], "an old gap is not yesterday"


def test_song_files_new_changed_and_removed_are_seen(root: Path) -> None:
    paths = [put_song(root, f"A/{letter}/A/TRA{letter}.json") for letter in "ABCD"]
    ticks = Ticks(new_song_files)
    assert ticks.request().tags == {
        "sparkify/song_files": "4",
        "sparkify/song_files_before": "0",
    }
    assert ticks.skip_reason() == "No change since the last request: 4 song files."
    put_song(root, "A/E/A/TRAE.json", mtime=SECOND // 2)
    assert ticks.request().tags["sparkify/song_files"] == "5"
    put(paths[0], "{}", SECOND + 1)
    assert ticks.request().tags["sparkify/song_files_before"] == "5"
    paths[1].unlink()
    assert ticks.request().tags["sparkify/song_files"] == "4"
    assert "No change" in ticks.skip_reason()


def test_a_name_that_a_sensor_tells_is_escaped(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "SONGS_PER_TICK", 1)
    for name in ("A/TR\n12:00 all is well\x1b[2J.json", "B/TRB.json"):
        put_song(root, name)
    said = Ticks(new_song_files).skip_reason()
    assert said.endswith(r"up to song_data/A/TR\n12:00 all is well\x1b[2J.json.")


def test_a_renamed_song_file_and_two_that_swap_are_seen(root: Path) -> None:
    one, two = (
        put_song(root, f"A/A/A/{name}.json", mtime=SECOND + at)
        for at, name in enumerate(("TRA", "TRB"))
    )
    ticks = Ticks(new_song_files)
    ticks.tick()
    one.rename(one.with_name("TRC.json"))
    assert ticks.requests()
    os.utime(one.with_name("TRC.json"), ns=(SECOND + 1, SECOND + 1))
    os.utime(two, ns=(SECOND, SECOND))
    assert ticks.requests()


def test_a_long_song_listing_is_gone_through_in_bounded_steps(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "SONGS_PER_TICK", 7)
    for number in range(19):
        put_song(root, f"A/{number % 3}/TR{number:02d}.json")
    ticks = Ticks(new_song_files)
    reasons = [ticks.skip_reason(), ticks.skip_reason()]
    assert reasons[0].startswith("Looked through 7 song files so far, up to song_data/A/0/")
    assert reasons[1].startswith("Looked through 14 song files so far")
    keys = [ticks.request().run_key]
    # Behind the place that the second round has come to: the third round sees it.
    ticks.skip_reason()
    put_song(root, "A/0/TR00a.json")
    assert "Looked" in ticks.skip_reason()
    assert "No change" in ticks.skip_reason()
    assert "Looked" in ticks.skip_reason()
    assert "Looked" in ticks.skip_reason()
    keys.append(ticks.request().run_key)
    assert keys[0] != keys[1]
    # 21 files: the last page is full, and what follows it is empty.
    put_song(root, "A/0/TR00b.json")
    for _ in range(3):
        assert "Looked" in ticks.skip_reason()
    assert ticks.request()
    for _ in range(3):
        assert "Looked" in ticks.skip_reason()
    assert ticks.skip_reason() == "No change since the last request: 21 song files."


def test_song_pages_are_the_whole_listing_in_order(tmp_path: Path) -> None:
    names = [
        *("A.json", "A-/B.json", "A/A.json", "A/A/TR1.json", "A/A/TR2.json", "A/A-.json"),
        *("A/B/C/TRX.json.gz", "AA/x.json", "Z.json", "a/b.json", "é/ü.json", "A/A/readme.txt"),
    ]
    for name in names:
        put_song(tmp_path, name)
    (tmp_path / "song_data/B/empty").mkdir(parents=True)
    (tmp_path / "song_data/A/dangling.json").symlink_to(tmp_path / "nowhere")
    lake = LocalLake(str(tmp_path))
    whole = lake.list_songs()
    assert len(whole) == len(names) - 1
    for limit in range(1, len(names) + 3):
        found, after = [], ""
        for _ in range(len(names) + 2):
            page = lake.list_songs_page(after, limit)
            assert len(page.files) <= limit
            found += page.files
            if page.resume_after is None:
                break
            after = page.resume_after
        assert page.resume_after is None
        assert found == whole
    # The place to go on from may have gone meanwhile.
    rest = lake.list_songs_page("song_data/A/A/TR1a.json", 100).files
    assert rest == [file for file in whole if file.name > "song_data/A/A/TR1a.json"]


def test_what_cannot_be_listed_is_named(tmp_path: Path) -> None:
    for name in ("log_data", "song_data"):
        loop = tmp_path / name / "loop"
        loop.parent.mkdir()
        loop.symlink_to(loop)
    lake = LocalLake(str(tmp_path))
    for listing in (lake.list_events, lake.list_songs, lambda: lake.list_songs_page("", 10)):
        with pytest.raises(LakeError, match=r"_data/loop: cannot be listed \(Too many levels"):
            listing()
    with pytest.raises(LakeError, match="holds no folder"):
        LocalLake(str(tmp_path / "none")).list_songs_page("", 10)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SPARKIFY_LAKE", "s3://lake/of/songs")
    with s3_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


def test_day_files_on_s3_are_told_apart_by_their_etags(bucket: S3Server) -> None:
    names = [f"of/songs/log_data/2018/11/{day(number)}-events.json" for number in range(1, 9)]
    ticks = Ticks(new_log_files)
    assert "holds no file" in ticks.skip_reason()
    bucket.objects |= dict.fromkeys(names, b"{}")
    assert ticks.request().tags == {"sparkify/days_new": "2018-11-01 to 2018-11-08"}
    bucket.objects[names[1]] = b"[]"
    assert ticks.request().tags == {"sparkify/days_changed": "2018-11-02"}
    # The same bytes uploaded anew give the same ETag: there is nothing to load.
    bucket.objects[names[1]] = b"[]"
    assert "No change" in ticks.skip_reason()
    bucket.faults.append(Fault("LIST", 403, "AccessDenied"))
    assert "s3:ListBucket" in ticks.skip_reason()


def test_a_song_page_on_s3_asks_for_no_more_than_its_names(
    bucket: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "SONGS_PER_TICK", 2 * PAGE)
    names = [f"of/songs/song_data/A/{letter}/TR+ %{letter}.json" for letter in "ABCDEFGHIJKLMNOPQ"]
    bucket.objects |= dict.fromkeys(names, b"{}")
    bucket.objects |= dict.fromkeys(["of/songs/song_data/", "of/songs/zzz.json"], b"")
    ticks = Ticks(new_song_files)
    assert "Looked through 9 song files so far" in ticks.skip_reason()
    assert bucket.count("LIST") == 2
    assert ticks.request().tags["sparkify/song_files"] == "17"
    assert bucket.count("LIST") == 4
    bucket.objects[names[3]] = b"[]"
    assert "Looked" in ticks.skip_reason()
    assert ticks.requests()
    assert LakeResource().open().list_songs_page("", 100).files == (
        LakeResource().open().list_songs()
    )


def test_cursors_survive_packing_and_stay_small(tmp_path: Path) -> None:
    for number in range(1, 3651):
        put_day(tmp_path, day(number))
    marks = day_marks(LocalLake(str(tmp_path)).list_events())
    del marks[day(5)], marks[day(40)]
    seen = DaysSeen(7, marks)
    assert unpack_days(pack_days(seen)) == seen
    assert len(pack_days(seen)) < 22_000
    songs = SongsSeen(3, "song_data/é\udcff.json", Total(4, 2**127), Total(1_000_000, 5))
    assert unpack_songs(pack_songs(songs)) == songs
    assert unpack_songs(pack_songs(SongsSeen())) == SongsSeen()
    assert len(pack_songs(songs)) < 300
    with pytest.raises(CursorError):
        unpack_songs(pack_days(seen))
    with pytest.raises(CursorError):
        unpack_days(pack_songs(songs))


def test_every_order_and_portion_gives_the_same_total(tmp_path: Path) -> None:
    for number in range(4):
        put_song(tmp_path, f"{number}.json", mtime=SECOND + number)
    files = LocalLake(str(tmp_path)).list_songs()
    totals = {
        Total().plus(order[:cut]).plus(order[cut:])
        for order in itertools.permutations(files)
        for cut in range(5)
    }
    assert len(totals) == 1
    changes = ({"version": "1"}, {"size": 1}, {"name": "x"})
    others = [replace(files[0], **change) for change in changes]
    assert not totals & {Total().plus([other, *files[1:]]) for other in others}


def test_an_empty_song_listing_is_not_a_change(tmp_path: Path) -> None:
    path = put_song(tmp_path, "A.json")
    lake = LocalLake(str(tmp_path))
    seen = look_through(SongsSeen(), lake.list_songs_page("", 10))
    path.unlink()
    assert look_through(seen, lake.list_songs_page("", 10)) == seen


def test_days_in_words() -> None:
    numbers = [1, 2, 3, 5, 8, 9]
    assert describe_days(map(day, reversed(numbers))) == (
        "2018-11-01 to 2018-11-03, 2018-11-05, 2018-11-08 to 2018-11-09"
    )
    assert describe_days(map(day, numbers), most=1) == "2018-11-01 to 2018-11-03 and 2 more"
    assert describe_days([]) == ""
    assert not compare_days({FIRST: "a"}, {FIRST: "a"})


def test_requests_run_the_job_and_load_what_was_seen(root: Path) -> None:
    """The whole way: files arrive, the sensors ask, the job loads."""
    write_sample_lake(root, SPEC)
    job = defs.resolve_job_def("sparkify_etl")
    logs, songs = Ticks(new_log_files), Ticks(new_song_files)

    def run(request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(
                instance=instance,
                tags=dict(request.tags),
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            )
        assert result.success
        return result

    def files_read(result: dg.ExecuteInProcessResult) -> dict[str, object]:
        return {
            event.asset_key.to_user_string(): event.materialization.metadata["files_read"].value
            for event in result.all_events
            if event.is_step_materialization
            and event.asset_key is not None
            and "files_read" in event.materialization.metadata
        }

    first = run(logs.request())
    assert files_read(first) == {"staging_events": 3, "staging_songs": 25}
    # The songs were loaded along with the days: their own request finds nothing left to do.
    assert files_read(run(songs.request())) == {"staging_events": 0, "staging_songs": 0}
    marker = json.loads((root / "sample.json").read_text("ascii"))
    assert count(root, "staging.staging_events") == marker["events"]
    assert count(root, "analytics.songplays") == marker["plays"]

    newest = root / f"log_data/2018/11/{day(3)}-events.json"
    lines = newest.read_text("ascii").splitlines()
    newest.write_text("\n".join(lines[:-2]), "ascii")
    os.utime(newest, ns=(SECOND, SECOND))
    gone = root / f"log_data/2018/11/{day(1)}-events.json"
    gone_lines = gone.read_text("ascii").splitlines()
    gone.unlink()
    request = logs.request()
    assert request.tags == {
        "sparkify/days_changed": "2018-11-03",
        "sparkify/days_removed": "2018-11-01",
    }
    assert files_read(run(request)) == {"staging_events": 1, "staging_songs": 0}
    assert count(root, "staging.staging_events") == marker["events"] - 2 - len(gone_lines)
    assert "No change" in logs.skip_reason()


def count(root: Path, table: str) -> int:
    with duckdb.connect(str(root.with_name("sparkify.duckdb")), read_only=True) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_everything_starts_stopped() -> None:
    repository = defs.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} >= {"new_log_files", "new_song_files"}
    assert {sensor.default_status for sensor in repository.sensor_defs} == {
        dg.DefaultSensorStatus.STOPPED
    }
    (nightly,) = repository.schedule_defs
    assert nightly.default_status == dg.DefaultScheduleStatus.STOPPED
    assert (nightly.cron_schedule, nightly.execution_timezone) == ("0 3 * * *", "UTC")
    assert {node.freshness_policy for node in repository.asset_graph.asset_nodes} == {None}


def test_all_that_touches_the_warehouse_is_in_its_pool() -> None:
    pools = {
        (job.name, node.name): node.definition.pools
        for job in defs.get_repository_def().get_all_jobs()
        for node in job.nodes
    }
    assert {job for job, _ in pools} >= {"sparkify_etl", "reset_warehouse", "__ASSET_JOB"}
    others = {step for step, pool in pools.items() if pool != {"warehouse"}}
    assert others == {("prune_history", "delete_old_runs")}


def test_the_schedule_is_told_by_the_settings() -> None:
    nightly = build_nightly(
        load_settings(
            {
                "SPARKIFY_SCHEDULE_CRON": "30 4 * * 1-5",
                "SPARKIFY_TIMEZONE": "America/New_York",
                "SPARKIFY_AUTOMATION": "on",
            }
        )
    )
    assert nightly.cron_schedule == "30 4 * * 1-5"
    assert nightly.execution_timezone == "America/New_York"
    assert nightly.default_status == dg.DefaultScheduleStatus.RUNNING
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=dt.datetime.now())
        data = nightly.evaluate_tick(context)
    (request,) = data.run_requests or []
    assert request.partition_key is None


@pytest.mark.parametrize("cron", ["99 3 * * *", "nightly", "* * *", "0 3 31 2 x"])
def test_a_wrong_cron_line_is_a_one_line_error(cron: str) -> None:
    settings = load_settings({"SPARKIFY_SCHEDULE_CRON": cron})
    with pytest.raises(SettingError) as raised:
        build_nightly(settings)
    assert raised.value.message.startswith(f"SPARKIFY_SCHEDULE_CRON={cron!r}: allowed is a cron")
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "UTC+1", "\x00"])
def test_a_wrong_zone_is_a_one_line_error(zone: str) -> None:
    with pytest.raises(SettingError) as raised:
        load_settings({"SPARKIFY_TIMEZONE": zone})
    assert raised.value.message == (
        f"SPARKIFY_TIMEZONE={zone!r}: allowed is an IANA time zone as UTC or Europe/Berlin"
    )


def test_a_wrong_switch_is_a_one_line_error() -> None:
    with pytest.raises(SettingError) as raised:
        load_settings({"SPARKIFY_AUTOMATION": "yes"})
    assert raised.value.message == "SPARKIFY_AUTOMATION='yes': allowed are off, on"


def test_freshness_is_due_only_where_days_still_come(root: Path) -> None:
    on = {"SPARKIFY_AUTOMATION": "on", "SPARKIFY_LAKE": str(root)}
    today = dt.datetime.now(dt.UTC).date()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = daily_freshness(load_settings(on))
        dg.AssetSpec("with_policy", freshness_policy=policy)
    assert policy == dg.FreshnessPolicy.time_window(
        fail_window=FAIL_AFTER, warn_window=dt.timedelta(hours=26)
    )
    assert daily_freshness(load_settings({**on, "SPARKIFY_AUTOMATION": "off"})) is None
    write_sample_lake(root, SPEC)
    assert daily_freshness(load_settings(on)) is None
    marker = root / "sample.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"end": str(today)}))
    assert daily_freshness(load_settings(on)) == policy
