"""What runs would take on a Redshift in another building: counted on the double, by a model.

    make bench-redshift     or  python -m benchmarks.redshift 30 365 1000 --round-trip 0.005

Beside the platform runs what the script projects send: DROP, CREATE, a COPY of all events and one
of all songs, five INSERTs, no checks; and dbt, with the same statements in its models. Of this
host only what it does for COPY is measured, in processes of their own.
"""

import argparse
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pytest
import redshift_connector
from moto.server import ThreadedMotoServer

from benchmarks.lakes import SIZES, make_lake
from benchmarks.measure import say
from benchmarks.subjects import (
    BIN,
    FOLDER,
    REPOSITORY,
    WORK,
    NotInstalled,
    base_environment,
    install,
    pinned,
)
from sparkify_dagster.definitions import build_defs
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.settings import load_settings
from sparkify_dagster_tests.redshift_double import Counts, Latency
from sparkify_dagster_tests.support.redshift_stage import LAKE, PASSWORD, ROLE, Stage, open_stage

REPORT = REPOSITORY / "docs" / "benchmark_redshift.md"
EVENTS_A_DAY, SONGS = 30, 15_000  # the model prices statements and bytes, hardly rows
CORRECTED = 5
FILES = 1_000_000
# At most: statements and seconds.
# At most so many statements and seconds; the first load of no more than a year.
GOALS = {
    "first load": (260, 180),
    "nothing new": (60, 5),
    "one new day": (200, 30),
    f"{CORRECTED} corrected days": (220, ""),
}

_EVENTS = """artist VARCHAR(256), auth VARCHAR(32), first_name VARCHAR(256), gender VARCHAR(16),
    item_in_session INTEGER, last_name VARCHAR(256), length DOUBLE PRECISION, level VARCHAR(16),
    location VARCHAR(512), method VARCHAR(16), page VARCHAR(64), registration DOUBLE PRECISION,
    session_id BIGINT, song VARCHAR(256), status INTEGER, ts TIMESTAMP, user_agent VARCHAR(512),
    user_id VARCHAR(32)"""
_SONGS = """artist_id VARCHAR(32), artist_latitude DOUBLE PRECISION,
    artist_longitude DOUBLE PRECISION, artist_location VARCHAR(512), artist_name VARCHAR(256),
    duration DOUBLE PRECISION, num_songs INTEGER, song_id VARCHAR(32), title VARCHAR(256),
    year INTEGER"""
_SEEDS = {"seed_events": _EVENTS, "seed_songs": _SONGS}
_BUILT = {
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
_COPIES = (
    _COPY.format("seed_events", f"{LAKE}/log_data/", ROLE, f"{LAKE}/log_json_path.json"),
    _COPY.format("seed_songs", f"{LAKE}/song_data/", ROLE, "auto"),
)
_DBT = FOLDER / "dbt_redshift"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a run asked of the double, and the seconds that the model has for it."""

    history: int  # days
    run: str
    counts: Counts
    seconds: float


@dataclasses.dataclass(frozen=True)
class Done:
    """What this host did for Redshift."""

    amount: float  # bytes, or files
    cpu: float  # seconds
    before: float  # MB of memory
    peak: float


def measure(history: int, latency: Latency, s3_url: str, has_dbt: bool) -> Iterator[Asked]:
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
        if has_dbt:
            _dbt(stage, ())
            yield asked("dbt, whatever is new", lambda: _dbt(stage, (*_define(_SEEDS), *_COPIES)))


def measure_host(s3_url: str, latency: Latency) -> tuple[Done, Done, Asked]:
    """Return what combining events takes, and a long list of files with what it asks for."""
    combined = _host("combine", str(make_lake(SIZES["M"]).folder), {})
    with pytest.MonkeyPatch.context() as patch, open_stage(s3_url, patch, latency=latency) as stage:
        listed = _host("list", str(FILES), stage.environment())
        return combined, listed, Asked(0, "list", stage.double.counts, stage.double.clock)


def render(found: list[Asked], latency: Latency, host: tuple[Done, Done, Asked]) -> str:
    """Return the report."""
    combined, listed, asked = host
    rate = combined.amount / combined.cpu / 1e6
    version = pinned("dbt-redshift")["dbt-redshift"]
    rows = []
    for one in found:
        within = one.run in GOALS and (one.run != "first load" or one.history <= 365)
        statements, seconds = GOALS[one.run] if within else ("", "")
        rows.append(
            f"| {one.history:,} | {one.run} | {one.counts.statements} | {statements} "
            f"| {one.counts.sessions} | {one.counts.copies} | {one.counts.commits} "
            f"| {one.seconds:.1f} | {seconds} |"
        )
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
events, {SONGS:,} songs; every table, check and the report included. The goals are under "at most";
there is none for a first load of 1,000 days, which commits in slices (`SPARKIFY_SLICE_DAYS`).

`script` is what the script projects send: DROP, CREATE, a COPY of all events and one of all songs,
five INSERTs, each committed; no checks, and the same whatever has changed. `dbt` is `dbt run` of
dbt-redshift {version} itself, in one thread, with the same COPYs and queries
(`benchmarks/dbt_redshift`), its tables being there already; no tests. Two of its looks at the
catalogue are simpler than dbt's own, as the double has no views of functions and dependencies. The
COPYs of both read {SONGS:,} small files, which takes far longer on a cluster than the model has for
it.

| days before | run | statements | at most | sessions | COPYs | commits | seconds | at most |
|--:|---|--:|--:|--:|--:|--:|--:|--:|
"""
        + "\n".join(rows)
        + f"""

## What this host does for it

Processes of their own; the double's work is left out.

| what | amount | statements | COPYs | seconds by the model | CPU seconds | peak memory |
|---|--:|--:|--:|--:|--:|--:|
| combining events into gzipped parts | {combined.amount / 1e6:.0f} MB | | | | {combined.cpu:.1f} \
| {combined.peak:.0f} MB |
| noting a list of files by COPY | {listed.amount:,} | {asked.counts.statements} \
| {asked.counts.copies} | {asked.seconds:.1f} | {listed.cpu:.1f} | {listed.peak:.0f} MB |

Combining goes at {rate:.0f} MB/s a core (goal: 60), S3 left out. Of the list's memory
{listed.before:.0f} MB are the list itself, which lay there before.
"""
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
    has_dbt = _has_dbt()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        found = []
        for history in histories:
            for one in measure(history, latency, url, has_dbt):
                say(str(one))
                found.append(one)
        host = measure_host(url, latency)
    finally:
        server.stop()
    REPORT.write_text(render(found, latency, host), encoding="utf-8")


def _define(tables: Mapping[str, str]) -> list[str]:
    return [
        *(f"DROP TABLE IF EXISTS {name}" for name in tables),
        *(f"CREATE TABLE {name} ({columns})" for name, columns in tables.items()),
    ]


def _script(stage: Stage) -> None:
    double = stage.double
    inserts = [
        f"INSERT INTO {name} {(_DBT / 'models' / f'{name}.sql').read_text()}" for name in _BUILT
    ]
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
        for text in (*_define(_SEEDS | _BUILT), *_COPIES, *inserts):
            cursor.execute(text)
            connection.commit()


def _has_dbt() -> bool:
    try:
        install("dbt-redshift")
    except NotInstalled as error:
        say(f"without dbt: {error}")
        return False
    return True


def _dbt(stage: Stage, load: Sequence[str]) -> None:
    """Build the tables, after `load`."""
    work = WORK / "dbt-redshift"
    subprocess.run(
        [
            *(str(WORK / "venv-dbt-redshift" / "bin" / "dbt"), "run", "--quiet"),
            *("--vars", json.dumps({"load": load})),
            *("--target-path", str(work / "target"), "--log-path", str(work / "log")),
        ],
        cwd=_DBT,
        env={
            **base_environment(),
            **stage.environment(),
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
        },
        check=True,
    )


def _host(what: str, argument: str, environment: Mapping[str, str]) -> Done:
    done = subprocess.run(
        [BIN / "python", "-m", "benchmarks.redshift_host", what, argument],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    return Done(*json.loads(done.stdout.splitlines()[-1]))


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder / "lake").as_posix()


if __name__ == "__main__":
    main()
