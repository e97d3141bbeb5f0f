"""The wheel: installed elsewhere, it finds its SQL and runs the job."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import duckdb

from sparkify_dagster_tests.conftest import REPOSITORY


def test_wheel_runs_the_job_from_an_empty_folder(tmp_path: Path, sample_lake: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    wheel = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[-1]
    installed = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / wheel) as archive:
        archive.extractall(installed)
    empty = tmp_path / "empty"
    empty.mkdir()
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "dagster",
            *("job", "execute", "-m", "sparkify_dagster.definitions", "-j", "sparkify_etl"),
        ],
        cwd=empty,
        env={
            **os.environ,
            "PYTHONPATH": str(installed),
            "SPARKIFY_LAKE": str(sample_lake),
            "SPARKIFY_DUCKDB_PATH": str(empty / "w.duckdb"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    with duckdb.connect(str(empty / "w.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM analytics.songplays").fetchone() == (
            True,
        )
