"""`sparkify run` and `make run` as processes: where they are started, together, and ended."""

import contextlib
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

SPARKIFY = [sys.executable, "-c", "from sparkify_dagster.cli import main; main()", "run"]
SECONDS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with blanks and letters beyond ASCII in its path, and a lake in it."""
    folder = tmp_path / "zwei Läufe 'x'"
    lake = TinyLake(folder / "läke")
    lake.write_events("2018-11-01", [event(song="Jóga"), event(itemInSession=1)])
    lake.write_songs("A/A/A/TR1", [song(title="Jóga")])
    (folder / "home").mkdir()
    return folder


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    return kept | more | {
        "PYTHONPATH": str(REPOSITORY),
        "SPARKIFY_LAKE": "läke",
        "SPARKIFY_DUCKDB_PATH": "wärehouse.duckdb",
        "DAGSTER_HOME": str(folder / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }  # fmt: skip


def start(folder: Path) -> "subprocess.Popen[str]":
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(
        SPARKIFY, cwd=folder, env=environment(folder), stdout=pipe, stderr=both, text=True
    )


def plays(folder: Path) -> int:
    with duckdb.connect(str(folder / "wärehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT COUNT(*) FROM analytics.songplays").fetchone()
    assert found
    return int(found[0])


def test_make_run_in_a_folder_with_blanks_and_other_letters(folder: Path) -> None:
    """And where the locale knows ASCII alone."""
    shutil.copy(REPOSITORY / "Makefile", folder)
    for name in ("deploy", "requirements", "sql"):
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/.run").touch()  # what was installed is this environment
    command = folder / ".venv/bin/sparkify"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(SPARKIFY[:-1])} "$@"\n')
    command.chmod(0o755)
    (folder / "home").rmdir()
    result = subprocess.run(
        ["make", "run"], cwd=folder, env=environment(folder, LC_ALL="C"), capture_output=True,
        text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert plays(folder) == 2
    assert (folder / "home/dagster.yaml").is_file()


def test_two_first_runs_at_once_leave_one_history(folder: Path) -> None:
    runs = [start(folder) for _ in range(2)]
    said = [run.communicate(timeout=SECONDS)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    histories = list((folder / "home").rglob("*.db"))
    assert histories
    for history in histories:
        with contextlib.closing(sqlite3.connect(history)) as connection:
            heads = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        assert len(heads) == 1, history
    assert plays(folder) == 2


@pytest.mark.parametrize(
    ("told", "code"), [(signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1), (signal.SIGINT, 1)]
)
def test_a_run_that_is_told_to_end_takes_its_job_along(
    folder: Path, told: signal.Signals, code: int
) -> None:
    # Held here, so that the job is in the midst of its first step.
    with duckdb.connect(str(folder / "wärehouse.duckdb")):
        run = start(folder)
        history = folder / "home/history/runs.db"
        job = []
        while not job or not _statuses(history):
            assert run.poll() is None, run.communicate()[0]
            job = _children(run.pid)
        run.send_signal(told)
        said, _ = run.communicate(timeout=SECONDS)
        assert run.returncode == code, said
        assert "interrupt" in said
        assert "Trace" not in said
        assert not [pid for pid in job if Path(f"/proc/{pid}").exists()]
        assert _statuses(history) in ([("FAILURE",)], [("CANCELED",)])


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _statuses(history: Path) -> list[tuple[str]]:
    """Return how the runs that have begun stand."""
    with contextlib.suppress(sqlite3.OperationalError):
        address = f"file:{history}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            sql = "SELECT status FROM runs WHERE status <> 'NOT_STARTED'"
            return connection.execute(sql).fetchall()
    return []
