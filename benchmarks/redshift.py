"""What runs would take on a Redshift in another building: counted on the double, by a model.

    make bench-redshift     or  python -m benchmarks.redshift 30 365 1000 --round-trip 0.005

Beside the platform runs what the script projects send: DROP, CREATE, a COPY of all events and one
of all songs, five INSERTs, no checks. Nobody's time on this host counts.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pytest
import redshift_connector
from moto.server import ThreadedMotoServer

from benchmarks.subjects import REPOSITORY
from sparkify_dagster.definitions import build_defs
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.settings import load_settings
from sparkify_dagster_tests.redshift_double import Counts, Latency
from sparkify_dagster_tests.support.redshift_stage import LAKE, PASSWORD, ROLE, Stage, open_stage

REPORT = REPOSITORY / "docs" / "benchmark_redshift.md"
EVENTS_A_DAY, SONGS = 30, 1000  # the model prices statements and bytes, hardly rows
CORRECTED = 5

_EVENTS = """artist VARCHAR(256), auth VARCHAR(32), first_name VARCHAR(256), gender VARCHAR(16),
    item_in_session INTEGER, last_name VARCHAR(256), length DOUBLE PRECISION, level VARCHAR(16),
    location VARCHAR(512), method VARCHAR(16), page VARCHAR(64), registration DOUBLE PRECISION,
    session_id BIGINT, song VARCHAR(256), status INTEGER, ts TIMESTAMP, user_agent VARCHAR(512),
    user_id VARCHAR(32)"""
_SONGS = """artist_id VARCHAR(32), artist_latitude DOUBLE PRECISION,
    artist_longitude DOUBLE PRECISION, artist_location VARCHAR(512), artist_name VARCHAR(256),
    duration DOUBLE PRECISION, num_songs INTEGER, song_id VARCHAR(32), title VARCHAR(256),
    year INTEGER"""
_TABLES = {
    "seed_events": _EVENTS,
    "seed_songs": _SONGS,
    "songplays": """start_time TIMESTAMP, user_id VARCHAR(32), level VARCHAR(16),
        song_id VARCHAR(32), artist_id VARCHAR(32), session_id BIGINT, location VARCHAR(512),
        user_agent VARCHAR(512)""",
    "users": """user_id VARCHAR(32), first_name VARCHAR(256), last_name VARCHAR(256),
        gender VARCHAR(16), level VARCHAR(16)""",
    "songs": """song_id VARCHAR(32), title VARCHAR(256), artist_id VARCHAR(32), year INTEGER,
        duration DOUBLE PRECISION""",
    "artists": """artist_id VARCHAR(32), name VARCHAR(256), location VARCHAR(512),
        latitude DOUBLE PRECISION, longitude DOUBLE PRECISION""",
    "times": "start_time TIMESTAMP, hour INTEGER, weekday INTEGER",
}
_COPY = "COPY {} FROM '{}' IAM_ROLE '{}' FORMAT AS JSON '{}' TIMEFORMAT 'epochmillisecs'"
_SCRIPT = (
    *(f"DROP TABLE IF EXISTS {name}" for name in _TABLES),
    *(f"CREATE TABLE {name} ({columns})" for name, columns in _TABLES.items()),
    _COPY.format("seed_events", f"{LAKE}/log_data/", ROLE, f"{LAKE}/log_json_path.json"),
    _COPY.format("seed_songs", f"{LAKE}/song_data/", ROLE, "auto"),
    """INSERT INTO songplays SELECT e.ts, e.user_id, e.level, s.song_id, s.artist_id, e.session_id,
    e.location, e.user_agent FROM seed_events e INNER JOIN seed_songs s ON e.song = s.title
    AND e.artist = s.artist_name AND e.length = s.duration WHERE e.page = 'NextSong'""",
    """INSERT INTO users SELECT DISTINCT user_id, first_name, last_name, gender, level
    FROM seed_events WHERE page = 'NextSong'""",
    "INSERT INTO songs SELECT DISTINCT song_id, title, artist_id, year, duration FROM seed_songs",
    """INSERT INTO artists SELECT DISTINCT artist_id, artist_name, artist_location,
    artist_latitude, artist_longitude FROM seed_songs""",
    """INSERT INTO times SELECT DISTINCT ts, EXTRACT(hour FROM ts), EXTRACT(dow FROM ts)
    FROM seed_events WHERE page = 'NextSong'""",
)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a run asked of the double, and the seconds that the model has for it."""

    history: int  # days
    run: str
    counts: Counts
    seconds: float


def measure(history: int, latency: Latency, s3_url: str) -> Iterator[Asked]:
    """Yield the runs on a lake of so many days, and on the day that follows."""
    with (
        TemporaryDirectory() as name,
        pytest.MonkeyPatch.context() as patch,
        open_stage(s3_url, patch, latency=latency) as stage,
    ):
        folder = Path(name)
        spec = SampleSpec(days=history + 1, events_per_day=EVENTS_A_DAY, songs=SONGS, users=20)
        write_sample_lake(folder / "lake", spec)
        days = sorted(folder.glob("lake/log_data/*/*/*.json"))
        stage.bucket.put_folder(folder / "lake")
        stage.bucket.remove(_name(folder, days[-1]))
        for variable, value in stage.environment().items():
            patch.setenv(variable, value)
        patch.chdir(folder)
        instance = dg.DagsterInstance.ephemeral()

        def job() -> None:
            definitions = build_defs(load_settings())
            found = definitions.resolve_job_def("sparkify_etl")
            assert found.execute_in_process(instance=instance).success

        def asked(run: str, does: Callable[[], None]) -> Asked:
            counts, clock = stage.double.counts, stage.double.clock
            does()
            return Asked(history, run, stage.double.counts - counts, stage.double.clock - clock)

        yield asked("first load", job)
        yield asked("nothing new", job)
        stage.bucket.put(_name(folder, days[-1]), days[-1].read_bytes())
        yield asked("one new day", job)
        for day in days[:CORRECTED]:
            stage.bucket.put(_name(folder, day), day.read_bytes().rpartition(b"\n")[0])
        yield asked(f"{CORRECTED} corrected days", job)
        yield asked("script, whatever is new", lambda: _script(stage))


def render(found: list[Asked], latency: Latency) -> str:
    """Return the report."""
    rows = [
        f"| {one.history:,} | {one.run} | {one.counts.statements} | {one.counts.sessions} "
        f"| {one.counts.copies} | {one.counts.commits} | {one.seconds:.1f} |"
        for one in found
    ]
    return (
        f"""# Redshift, by a model

What runs ask of Redshift, counted on the wire-level double, and the seconds that a model of latency
has for it: no Redshift was measured. `make bench-redshift` takes it anew, with your figures where
you have a cluster: `python -m benchmarks.redshift --round-trip 0.005 --commit 0.2`.

| what | seconds | from |
|---|--:|---|
| a round trip; a statement takes two | {latency.round_trip:g} | an office in the region |
| a login | {latency.login:g} | TLS and authentication, by IAM or a secret |
| a commit that wrote | {latency.commit:g} | 0.6 s in AWS's example of STL_COMMIT_STATS |
| a COPY | {latency.copy:g} | an assumption; then {latency.copy_bytes_per_second / 1e6:g} MB/s |
| a query of a system view | {latency.system_view:g} | an assumption |

What the cluster computes is not in it, nor what this host does. Days of about {EVENTS_A_DAY}
events, {SONGS:,} songs; every table, check and the report included. `script` is what the script
projects send: DROP, CREATE, a COPY of all events and one of all songs, five INSERTs, each
committed; no checks, and the same whatever has changed. Its COPY of small files takes far longer on
a cluster than the model has for it.

| days before | run | statements | sessions | COPYs | commits | seconds |
|--:|---|--:|--:|--:|--:|--:|
"""
        + "\n".join(rows)
        + "\n"
    )


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("history", nargs="*", type=int, default=[30, 365, 1000])
    for field in dataclasses.fields(Latency):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=float, default=field.default, help="seconds, or bytes")
    options = vars(parser.parse_args())
    histories = options.pop("history")
    latency = Latency(**options)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        found = []
        for history in histories:
            for one in measure(history, latency, f"http://{host}:{port}"):
                print(one, file=sys.stderr)
                found.append(one)
    finally:
        server.stop()
    REPORT.write_text(render(found, latency), encoding="utf-8")


def _script(stage: Stage) -> None:
    double = stage.double
    with redshift_connector.connect(
        host=double.host,
        port=double.port,
        database=double.database,
        user=double.user,
        password=PASSWORD,
        sslmode="verify-full",
        ssl=True,
    ) as connection:
        cursor = connection.cursor()
        for text in _SCRIPT:
            cursor.execute(text)
            connection.commit()


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder / "lake").as_posix()


if __name__ == "__main__":
    main()
