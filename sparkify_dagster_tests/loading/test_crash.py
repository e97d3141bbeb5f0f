"""Processes that are really killed, at random moments, and disks that are really full.

By default 50 kills of a light process that runs the same loads without Dagster, whose start takes
most of the time of a small run, and 3 kills of the whole `dagster job execute`. With
SPARKIFY_TEST_KILLS=50 the latter is killed that often, too.
"""

import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.loading.schema import bookkeeping
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session, WarehouseError
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster.warehouse.duckdb.snapshot import snapshot_of
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.support.loads import CORE, rebuilt, run_all, tables_of
from sparkify_dagster_tests.support.loads import select as query
from sparkify_dagster_tests.support.star_model import difference
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

JOB_KILLS = int(os.environ.get("SPARKIFY_TEST_KILLS") or 3)
DAY_MS = 86_400_000
FIRST_DAY_MS = 1541030400000  # 2018-11-01


class ChangingLake:
    """A lake in which every change makes work for most tables."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.source = TinyLake(folder)
        self.lake = LocalLake(str(folder))
        self._random = random.Random(seed)
        for number in range(20):
            self._write_song(number)
        for day in range(1, 11):
            self._write_day(day)

    def change(self) -> None:
        """Correct, add, remove and grow some files."""
        for day in self._random.sample(range(1, 25), 4):
            self._write_day(day)
        for number in self._random.sample(range(40), 4):
            self._write_song(number)
        removable = [name for name in self.source.files if "-01-" not in name]
        self.source.remove(self._random.choice(removable))

    def _write_day(self, day: int) -> None:
        draw = self._random
        events = [
            event(
                sessionId=draw.randrange(90),
                itemInSession=draw.randrange(5),
                ts=FIRST_DAY_MS + (day - 1) * DAY_MS + draw.randrange(-1000, DAY_MS),
                userId=str(draw.randrange(8)),
                level=draw.choice(["free", "paid"]),
                song=f"T{draw.randrange(12)}",
                page=draw.choice(["NextSong", "NextSong", "Home"]),
            )
            for _ in range(draw.randrange(20, 60))
        ]
        self.source.write_events(f"2018-11-{day:02d}", events)

    def _write_song(self, number: int) -> None:
        draw = self._random
        self.source.write_songs(
            f"A/TR{number:02d}",
            [
                song(
                    song_id=f"S{draw.randrange(30)}",
                    title=f"T{draw.randrange(12)}",
                    artist_id=f"A{draw.randrange(5)}",
                    artist_location=draw.choice(["", "Oslo", "Lima"]),
                    duration=draw.choice([100.5, 99.0, 101.0]),
                )
            ],
        )


class Driver:
    """The process that runs the loads in children."""

    def __init__(self, lake: Path, warehouse: Path, temporary: Path) -> None:
        temporary.mkdir()
        self._errors = temporary.parent / "errors.txt"
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "sparkify_dagster_tests.support.crash_driver",
                str(lake),
                str(warehouse),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors.open("wb"),
            bufsize=0,
        )

    def run(self, kill_after: float | None = None, largest_file: int = 0) -> int:
        """Run the loads, killed after some seconds; return how the process ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"%d\n" % largest_file)
        child = int(self._process.stdout.readline())
        ended, *_ = select.select([self._process.stdout], [], [], kill_after)
        if not ended:
            os.kill(child, signal.SIGKILL)
        return int(self._process.stdout.readline())

    def errors(self) -> str:
        """Return what the children complained of."""
        return self._errors.read_text()

    def stop(self) -> None:
        """Let the process end."""
        self._process.communicate(timeout=10)


@pytest.fixture
def lake(tmp_path: Path) -> ChangingLake:
    return ChangingLake(tmp_path / "lake", seed=4)


@pytest.fixture
def driver(tmp_path: Path, lake: ChangingLake) -> Iterator[Driver]:
    (tmp_path / "warehouse").mkdir()
    driver = Driver(lake.source.folder, _warehouse(tmp_path), tmp_path / "temporary")
    yield driver
    driver.stop()


def _warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "warehouse.duckdb"


def _assert_as_rebuilt(lake: ChangingLake, tmp_path: Path, tables: Iterable[str] = CORE) -> None:
    found = tables_of(DuckDBWarehouse(_warehouse(tmp_path), 10), tables)
    assert len(found["analytics.songplays"]) > 100
    for name, expected in rebuilt(lake.lake, tmp_path / "rebuilt.duckdb", tables).items():
        assert not (text := difference(name, found[name], expected)), text


def _assert_nothing_left_behind(tmp_path: Path) -> None:
    names = {path.name for path in _warehouse(tmp_path).parent.iterdir()}
    assert names - {"listening_report.html"} == {"warehouse.duckdb", "warehouse.snapshot.duckdb"}
    left = [path.name for path in (tmp_path / "temporary").iterdir()]
    assert [name for name in left if name.startswith("sparkify")] == []
    known = set(map(created_name, bookkeeping()))
    known |= {name for table in TABLES.values() for name in table.stored}
    tables = query(
        DuckDBWarehouse(_warehouse(tmp_path), 10),
        "SELECT table_schema || '.' || table_name FROM information_schema.tables "
        "WHERE table_type = 'BASE TABLE'",
    )
    assert {name for (name,) in tables} == known


def test_killed_fifty_times_the_loads_end_as_a_rebuild(
    tmp_path: Path, lake: ChangingLake, driver: Driver
) -> None:
    draw = random.Random(50)
    assert driver.run() == 0, driver.errors()
    lake.change()
    started = time.monotonic()
    assert driver.run() == 0, driver.errors()
    seconds = time.monotonic() - started
    kills, runs = 0, 0
    snapshot = snapshot_of(_warehouse(tmp_path))
    while kills < 50:
        last = snapshot.read_bytes()
        lake.change()
        status = driver.run(kill_after=draw.uniform(0, seconds))
        assert status in (0, -signal.SIGKILL), driver.errors()
        assert snapshot.read_bytes() in (last, _warehouse(tmp_path).read_bytes())
        kills += status != 0
        runs += 1
        assert runs < 200, "the runs end before they are killed"
        if runs % 25 == 0:
            assert driver.run() == 0, driver.errors()
            _assert_as_rebuilt(lake, tmp_path)
    assert driver.run() == 0, driver.errors()
    _assert_as_rebuilt(lake, tmp_path)
    _assert_nothing_left_behind(tmp_path)


def test_killed_while_it_creates_the_warehouse(
    tmp_path: Path, lake: ChangingLake, driver: Driver
) -> None:
    for kill_after in (0.0, 0.01, 0.03, 0.08, 0.16):
        _warehouse(tmp_path).unlink(missing_ok=True)
        assert driver.run(kill_after) in (0, -signal.SIGKILL), driver.errors()
        assert driver.run() == 0, driver.errors()
    _assert_as_rebuilt(lake, tmp_path)
    _assert_nothing_left_behind(tmp_path)


@pytest.mark.parametrize("size", [0, 4096, 8192, 10_000])
def test_warehouse_file_that_was_never_finished(
    tmp_path: Path, lake: ChangingLake, driver: Driver, size: int
) -> None:
    """DuckDB itself refuses such a file, which a kill at its creation leaves."""
    assert driver.run() == 0, driver.errors()
    _warehouse(tmp_path).write_bytes(_warehouse(tmp_path).read_bytes()[:size])
    assert driver.run() == 0, driver.errors()
    _assert_as_rebuilt(lake, tmp_path)


def test_file_that_is_no_warehouse_is_left_alone(tmp_path: Path, lake: ChangingLake) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not to be lost")
    with pytest.raises(WarehouseError, match="not a valid DuckDB database file"):
        run_all(DuckDBWarehouse(notes, 0), lake.lake)
    assert notes.read_text() == "not to be lost"


def test_full_disk_is_said_and_the_next_run_repairs(
    tmp_path: Path, lake: ChangingLake, driver: Driver
) -> None:
    refused = 0
    for largest_file in (4_096, 12_288, 20_000, 300_000, 1_000_000):
        lake.change()
        status = driver.run(largest_file=largest_file)
        assert status in (0, 1)
        refused += status
        assert driver.run() == 0, driver.errors()
        _assert_as_rebuilt(lake, tmp_path)
    _assert_nothing_left_behind(tmp_path)
    assert refused >= 3
    complaints = [line for line in driver.errors().splitlines() if "Error: " in line]
    assert len(complaints) >= refused
    assert all(line.startswith("WarehouseError: ") for line in complaints), complaints


def test_killed_jobs_end_as_a_rebuild(tmp_path: Path, lake: ChangingLake) -> None:
    """The whole `dagster job execute -j sparkify_etl`, its process group killed."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "temporary").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "DAGSTER_HOME": str(home),
        "TMPDIR": str(tmp_path / "temporary"),
        "SPARKIFY_LAKE": str(lake.source.folder),
        "SPARKIFY_DUCKDB_PATH": str(_warehouse(tmp_path)),
        "SPARKIFY_REMOVAL_LIMIT_PERCENT": "100",
    }
    words = ["-m", "dagster", "job", "execute", "-m", "sparkify_dagster.definitions"]

    def run(kill_after: float | None) -> int:
        with (tmp_path / "job.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *words, "-j", "sparkify_etl"],
                cwd=tmp_path,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                return process.wait(kill_after)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return process.wait()

    def output() -> str:
        return (tmp_path / "job.txt").read_text()[-3000:]

    draw = random.Random(8)
    seconds = 60.0
    kills, runs = 0, 0
    while kills < JOB_KILLS:
        lake.change()
        started = time.monotonic()
        # The first half of the time is Python's imports. The first run is not killed.
        status = run(draw.uniform(seconds / 2, seconds) if runs else None)
        assert status in (0, -signal.SIGKILL), output()
        if status == 0:
            seconds = time.monotonic() - started
        kills += status != 0
        runs += 1
        assert runs < 10 * JOB_KILLS, "the runs end before they are killed"
    assert run(None) == 0, output()
    _assert_as_rebuilt(lake, tmp_path, TABLES)
    _assert_nothing_left_behind(tmp_path)


def test_process_killed_between_two_tables(tmp_path: Path, lake: ChangingLake) -> None:
    """A kill after a commit and before the next table, at every such place."""
    (tmp_path / "warehouse").mkdir()
    warehouse = DuckDBWarehouse(_warehouse(tmp_path), 10)
    run_all(warehouse, lake.lake)

    class Stopped(Exception):
        pass

    for last in CORE[:-1]:
        lake.change()

        def stop(table: str, last: str = last) -> None:
            if table == last:
                raise Stopped

        with pytest.raises(Stopped):
            run_all(warehouse, lake.lake, done=stop)
    run_all(warehouse, lake.lake)
    _assert_as_rebuilt(lake, tmp_path)


def test_torn_write_ahead_log_costs_no_committed_row(tmp_path: Path, lake: ChangingLake) -> None:
    """A process killed while DuckDB appends to its log leaves half a record."""
    (tmp_path / "warehouse").mkdir()
    run_all(DuckDBWarehouse(_warehouse(tmp_path), 10), lake.lake)
    before = tables_of(DuckDBWarehouse(_warehouse(tmp_path), 10))
    commit_and_die = (
        "import duckdb, os, sys; connection = duckdb.connect(sys.argv[1]); "
        "connection.execute('DELETE FROM analytics.songplays'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", commit_and_die, str(_warehouse(tmp_path))], check=True)
    log = _warehouse(tmp_path).with_name("warehouse.duckdb.wal")
    log.write_bytes(log.read_bytes()[:-7])
    assert tables_of(DuckDBWarehouse(_warehouse(tmp_path), 10)) == before
    lake.change()
    run_all(DuckDBWarehouse(_warehouse(tmp_path), 10), lake.lake)
    _assert_as_rebuilt(lake, tmp_path)


def test_an_interrupted_statement_is_an_interrupt(tmp_path: Path) -> None:
    """DuckDB makes an error of it that says no more than that the query was interrupted."""
    statement = "SELECT COUNT(DISTINCT range) FROM range(3000000)"
    interrupt = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))

    def endless(session: Session) -> None:
        interrupt.start()
        while True:
            session.run(statement)

    with pytest.raises(KeyboardInterrupt):
        DuckDBWarehouse(_warehouse(tmp_path), 10).transaction(endless, "test", "")
