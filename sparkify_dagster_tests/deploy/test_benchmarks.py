"""The benchmark's own pieces: what is compared has to be the same work."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from benchmarks import s3, subjects
from benchmarks.compare import differences
from sparkify_dagster_tests.conftest import REPOSITORY

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lake(sample_lake: Path, tmp_path: Path) -> Path:
    """A lake whose last day repeats a play and a home page of an earlier day."""
    folder = Path(shutil.copytree(sample_lake, tmp_path / "lake"))
    first, *_, last = sorted(folder.glob("log_data/*/*/*.json"))
    lines = first.read_text().splitlines()
    repeated = [next(line for line in lines if page in line) for page in ("NextSong", "Home")]
    last.write_text("\n".join([last.read_text(), *repeated]))
    return folder


def _script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.script", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )


def test_script_gives_the_tables_of_the_job(run_command: Run, lake: Path, tmp_path: Path) -> None:
    ours, whole, grown = (tmp_path / f"{name}.duckdb" for name in ("warehouse", "whole", "grown"))
    job = ("dagster", "job", "execute", "-m", "sparkify_dagster.definitions", "-j", "sparkify_etl")
    done = run_command(*job, SPARKIFY_LAKE=str(lake))
    assert done.returncode == 0, done.stderr

    assert "all tests passed" in _script(str(lake), str(whole), "--analysts").stdout
    assert differences(ours, whole, True) == []

    last = sorted(lake.glob("log_data/*/*/*.json"))[-1]
    aside = last.rename(tmp_path / last.name)
    _script(str(lake), str(grown), "--analysts")
    assert len(differences(ours, grown, True)) >= 4
    aside.rename(last)
    _script(str(lake), str(grown), "--analysts", "--day", last.name[:10])
    assert differences(ours, grown, True) == []

    # A row that is there twice, or differs in one value, is found.
    with duckdb.connect(str(whole)) as connection:
        connection.execute("INSERT INTO analytics.songs FROM analytics.songs LIMIT 1")
        connection.execute("UPDATE analytics.users SET level = NULL WHERE user_id = '2'")
    found = differences(ours, whole, True)
    assert [line.partition(":")[0] for line in found] == ["songs", "users"]


def test_empty_job_has_the_shape_of_ours() -> None:
    from benchmarks.empty_job import DEPENDENCIES, SHAPE
    from sparkify_dagster.definitions import defs
    from sparkify_dagster.tables import TABLES

    keys = defs.resolve_asset_graph().asset_check_keys
    checks = Counter(key.asset_key.to_user_string() for key in keys)
    assert {table: sum(counts) for table, counts in SHAPE.items()} == checks
    assert {table: counts[1] for table, counts in SHAPE.items()} == {
        name: len(table.checks) for name, table in TABLES.items()
    }
    upstream = {name: set(table.depends_on) & set(TABLES) for name, table in TABLES.items()}
    assert upstream == {table: set(DEPENDENCIES.get(table, [])) for table in SHAPE}


def test_song_files_are_read_from_s3_by_the_platform_and_by_plain_gets(
    sample_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (s3, subjects):
        monkeypatch.setattr(module, "WORK", tmp_path)
    found = s3.measure_s3(2, sample_lake)
    assert len(found) == 1 + len(s3.THREADS)
    for samples in found.values():
        assert len(samples) == 2
        assert all(sample.seconds > 0 for sample in samples)
