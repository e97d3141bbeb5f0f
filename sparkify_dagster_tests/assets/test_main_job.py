"""The main job as a user runs it: whole processes on real files."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb

from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.support.loads import load_all

Run = Callable[..., subprocess.CompletedProcess[str]]

JOB = ("dagster", "job", "execute", "-m", "sparkify_dagster.definitions", "-j")
SPARKIFY = ("python", "-c", "from sparkify_dagster.cli import main; main()")
TABLES = ("staging_events", "staging_songs", "songplays", "users", "songs", "artists", "time")


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def _lake_copy(lake: Path, folder: Path) -> Path:
    return Path(shutil.copytree(lake, folder / "lake"))


def _events(lake: Path) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for path in sorted(lake.glob("log_data/*/*/*.json"))
        for line in path.read_text().splitlines()
    ]


def test_run_prints_tables_checks_and_what_next(run_command: Run, tmp_path: Path) -> None:
    result = run_command(*SPARKIFY, "run")
    assert result.returncode == 0, result.stdout + result.stderr
    facts = json.loads((tmp_path / "data/sample-lake/sample.json").read_text())
    assert f"{facts['events']:,}" in result.stdout
    assert f"{facts['plays']:,}" in result.stdout
    assert str(tmp_path / "warehouse.duckdb") in result.stdout
    assert "make ui" in result.stdout
    for table in TABLES:
        assert table in result.stdout
    assert "0 failed" in result.stdout


def test_bare_job_fills_the_warehouse(run_command: Run, sample_lake: Path, tmp_path: Path) -> None:
    result = run_command(*JOB, "sparkify_etl", SPARKIFY_LAKE=str(sample_lake))
    assert result.returncode == 0, result.stderr
    events = _events(sample_lake)
    plays = [event for event in events if event["page"] == "NextSong"]
    users = {event["userId"] for event in events} - {""}
    warehouse = tmp_path / "warehouse.duckdb"
    expected = {
        "staging.staging_events": len(events),
        "staging.events": len(events),
        "analytics.songplays": len(plays),
        "analytics.users": len(users),
        "analytics.time": len({play["ts"] for play in plays}),
        "analytics.times": len({play["ts"] for play in plays}),
        "analytics.songs": 150,
        "staging.songs": 150,
    }
    found = {name: _rows(warehouse, f"SELECT count(*) FROM {name}")[0][0] for name in expected}
    assert found == expected


def test_the_project_tool_checks_and_launches(
    run_command: Run, sample_lake: Path, tmp_path: Path
) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "sparkify_dagster").symlink_to(REPOSITORY / "sparkify_dagster")
    lake = {"SPARKIFY_LAKE": str(sample_lake), "PYTHONWARNINGS": "ignore"}
    checked = run_command("dg", "check", "defs", **lake)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    launched = run_command("dg", "launch", "--job", "sparkify_etl", **lake)
    assert launched.returncode == 0, launched.stderr[-3000:]
    counted = _rows(tmp_path / "warehouse.duckdb", "SELECT count(*) FROM staging.staging_events")
    assert counted == [(len(_events(sample_lake)),)]


def test_some_days_by_run_config(run_command: Run, sample_lake: Path, tmp_path: Path) -> None:
    config = tmp_path / "days.yaml"
    # Without quotes, as people write it; YAML would have it a date.
    config.write_text("ops: {staging_events: {config: {days: 2018-11-02}}}\n")
    lake = {"SPARKIFY_LAKE": str(sample_lake)}
    result = run_command(*JOB, "sparkify_etl", "-c", str(config), **lake)
    assert result.returncode == 0, result.stderr[-3000:]
    days = "SELECT DISTINCT CAST(file_day AS VARCHAR) FROM staging.staging_events"
    assert _rows(tmp_path / "warehouse.duckdb", days) == [("2018-11-02",)]


def test_failed_check_that_does_not_block_fails_the_run(
    run_command: Run, sample_lake: Path, tmp_path: Path
) -> None:
    lake = _lake_copy(sample_lake, tmp_path)
    day = sorted(lake.glob("log_data/*/*/*.json"))[0]
    day.write_text(day.read_text().replace('"level":"free"', '"level":"gold"', 1))
    result = run_command(*SPARKIFY, "run", SPARKIFY_LAKE=str(lake))
    assert result.returncode == 1
    failed = [line for line in result.stdout.splitlines() if "FAILED" in line]
    assert any("staging_events" in line and "level_domain" in line for line in failed)
    # What lies downstream was built all the same: the check reports, it does not block.
    assert _rows(tmp_path / "warehouse.duckdb", "SELECT count(*) > 0 FROM analytics.time") == [
        (True,)
    ]


def test_bad_line_stops_the_run_and_names_the_place(
    run_command: Run, sample_lake: Path, tmp_path: Path
) -> None:
    lake = _lake_copy(sample_lake, tmp_path)
    day = sorted(lake.glob("log_data/*/*/*.json"))[2]
    lines = day.read_text().splitlines()
    lines[4] = json.dumps({**json.loads(lines[4]), "ts": "yesterday"})
    day.write_text("\n".join(lines))
    result = run_command(*SPARKIFY, "run", SPARKIFY_LAKE=str(lake))
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    reason = result.stderr.splitlines()[-1]
    assert f"{day.relative_to(lake)}, line 5, column ts: milliseconds since 1970" in reason
    assert "Not built: staging_events" in result.stdout


def test_missing_lake_says_which_variable(run_command: Run, tmp_path: Path) -> None:
    result = run_command(*JOB, "sparkify_etl", SPARKIFY_LAKE=str(tmp_path / "nowhere"))
    assert result.returncode == 1
    assert f"SPARKIFY_LAKE='{tmp_path / 'nowhere'}': holds no folder log_data/" in result.stderr


def test_wrong_setting_fails_in_one_line(run_command: Run) -> None:
    result = run_command(*JOB, "sparkify_etl", SPARKIFY_TARGET="mysql")
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        "Error: SPARKIFY_TARGET='mysql': allowed are duckdb, redshift"
    )
    assert "Traceback" not in result.stderr


def test_reset_asks_for_a_confirmation(run_command: Run, sample_lake: Path, tmp_path: Path) -> None:
    lake = {"SPARKIFY_LAKE": str(sample_lake)}
    warehouse = tmp_path / "warehouse.duckdb"
    load_all(sample_lake, warehouse)
    refused = run_command(*JOB, "reset_warehouse", **lake)
    assert refused.returncode == 1
    assert "confirm: drop all tables" in refused.stderr
    assert _rows(warehouse, "SELECT count(*) > 0 FROM analytics.songplays") == [(True,)]

    config = tmp_path / "reset.yaml"
    config.write_text("ops: {drop_and_create_tables: {config: {confirm: drop all tables}}}\n")
    confirmed = run_command(*JOB, "reset_warehouse", "-c", str(config), **lake)
    assert confirmed.returncode == 0, confirmed.stderr
    assert _rows(warehouse, "SELECT count(*) FROM analytics.songplays") == [(0,)]
    assert run_command(*JOB, "sparkify_etl", **lake).returncode == 0
    assert _rows(warehouse, "SELECT count(*) > 0 FROM analytics.songplays") == [(True,)]
