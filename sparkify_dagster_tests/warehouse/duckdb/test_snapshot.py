"""The snapshot that readers look into while a run has the warehouse's file."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.cli import main
from sparkify_dagster.lake import open_lake
from sparkify_dagster.lake.base import Lake
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster.warehouse.duckdb.snapshot import snapshot_of
from sparkify_dagster_tests.support.loads import rows_of, run_all
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

_HOLD = (
    "import duckdb, sys; connection = duckdb.connect(sys.argv[1]); connection.begin(); "
    "connection.execute('DELETE FROM analytics.users'); print(flush=True); sys.stdin.read()"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


@pytest.fixture
def source(tmp_path: Path) -> TinyLake:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/TR1", [song()])
    lake.write_events("2018-11-01", [event(userId="1"), event(userId="2", itemInSession=1)])
    return lake


@pytest.fixture
def lake(source: TinyLake) -> Lake:
    return open_lake(str(source.folder))


def _run(path: Path, lake: Lake, snapshot: bool = True) -> None:
    run_all(DuckDBWarehouse(path, 0, snapshot), lake, TABLES)


@contextmanager
def _a_run_at_work(path: Path) -> Iterator[None]:
    words = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def _ask(path: Path, *words: str, **variables: str) -> Result:
    environment = {"SPARKIFY_DUCKDB_PATH": str(path), "SPARKIFY_LOCK_TIMEOUT": "0", **variables}
    return CliRunner().invoke(main, words, env=environment)


def test_readers_see_the_last_committed_state_while_a_run_is_at_work(
    path: Path, lake: Lake
) -> None:
    _run(path, lake)
    with _a_run_at_work(path):
        query = _ask(path, "query", "SELECT COUNT(*) AS n FROM users", "--format", "csv")
        status = _ask(path, "status")
        without = _ask(path, "status", SPARKIFY_SNAPSHOT="off")
    assert query.exit_code == 0, query.stderr
    assert query.stdout == "n\n2\n"
    assert query.stderr.startswith("As of 20")
    assert status.exit_code == 0, status.stderr
    assert f"Warehouse: {path}\nAs of: 20" in status.stdout
    assert "another process has held the warehouse" in without.stderr


def test_snapshot_is_exchanged_by_runs_that_change_something(
    path: Path, source: TinyLake, lake: Lake
) -> None:
    _run(path, lake)
    snapshot = snapshot_of(path)
    first = snapshot.stat()
    _run(path, lake)
    assert snapshot.stat() == first
    with snapshot.open("rb") as reading:
        source.write_events("2018-11-02", [event(userId="3", sessionId=9, ts=1541200000000)])
        _run(path, lake)
        assert snapshot.stat().st_ino != first.st_ino
        assert len(reading.read()) == first.st_size
    assert rows_of(snapshot, "analytics.users") == rows_of(path, "analytics.users")
    assert len(rows_of(snapshot, "analytics.users")) == 3


def test_who_may_not_read_the_warehouse_may_not_read_the_snapshot(path: Path, lake: Lake) -> None:
    _run(path, lake, snapshot=False)
    path.chmod(0o640)
    _run(path, lake)
    assert snapshot_of(path).stat().st_mode & 0o777 == 0o440


def test_what_somebody_wrote_into_the_snapshot_is_gone_with_it(
    path: Path, source: TinyLake, lake: Lake
) -> None:
    _run(path, lake)
    log = path.with_name("w.snapshot.duckdb.wal")
    log.write_bytes(b"of a tool that opened it for writing")
    source.write_events("2018-11-02", [event(userId="3", sessionId=9, ts=1541200000000)])
    _run(path, lake)
    assert not log.exists()
    assert len(rows_of(snapshot_of(path), "analytics.users")) == 3


def test_fault_leaves_the_last_snapshot_and_a_warning(
    path: Path, source: TinyLake, lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    _run(path, lake)
    in_the_way = path.with_name("w.snapshot.duckdb.new")
    in_the_way.mkdir()
    source.write_events("2018-11-02", [event(userId="3", sessionId=9, ts=1541200000000)])
    _run(path, lake)
    assert "w.snapshot.duckdb: cannot be brought up to date" in caplog.text
    assert len(rows_of(snapshot_of(path), "analytics.users")) == 2
    in_the_way.rmdir()
    _run(path, lake)
    assert len(rows_of(snapshot_of(path), "analytics.users")) == 3


def test_switched_off_there_is_none(path: Path, lake: Lake) -> None:
    _run(path, lake)
    _run(path, lake, snapshot=False)
    assert not snapshot_of(path).exists()
    assert _ask(path, "query", "SELECT 1").stderr == ""
