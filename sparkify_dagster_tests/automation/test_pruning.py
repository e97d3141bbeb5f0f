"""Old runs go, and nothing that an asset's page or another team stands on."""

import datetime as dt
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.automation.jobs import prune
from sparkify_dagster.definitions import build_defs
from sparkify_dagster.settings import load_settings
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

DAY = dt.timedelta(days=1)


@dg.asset
def of_others() -> None:
    """Another team's, on the same instance."""


def _run(defs: dg.Definitions, instance: dg.DagsterInstance, job: str) -> str:
    result = defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)
    return result.run_id


def test_old_runs_go_and_the_latest_of_every_asset_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    lake.write_events("2018-11-01", [event()])
    monkeypatch.setenv("SPARKIFY_LAKE", str(lake.folder))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    defs = build_defs(load_settings({"SPARKIFY_HISTORY_DAYS": "30"}))
    repository = defs.get_repository_def()
    log_data = dg.AssetKey("log_data")
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = (_run(defs, instance, "sparkify_etl") for _ in range(2))
        refused = _run(defs, instance, "reset_warehouse")
        theirs = [dg.materialize([of_others], instance=instance).run_id for _ in range(2)]
        now = dt.datetime.now(dt.UTC)
        assert prune(instance, repository, now - DAY) == 0
        assert prune(instance, repository, now + DAY) == 2
        left = {run.run_id for run in instance.get_runs()}
        assert left == {second, *theirs}
        assert not left & {first, refused}
        assert instance.get_latest_materialization_event(dg.AssetKey("songplays")) is not None
        assert instance.get_materialized_partitions(log_data) == {"2018-11-01"}


@pytest.mark.parametrize(("days", "schedules"), [("0", 1), ("30", 2)])
def test_pruning_is_off_unless_days_are_set(days: str, schedules: int) -> None:
    defs = build_defs(load_settings({"SPARKIFY_HISTORY_DAYS": days}))
    assert len(list(defs.get_repository_def().schedule_defs)) == schedules


@pytest.mark.parametrize(("days", "code"), [("0", 1), ("30", 0)])
def test_the_job_says_what_it_did(
    run_command: Callable[..., subprocess.CompletedProcess[str]], days: str, code: int
) -> None:
    words = ["job", "execute", "-m", "sparkify_dagster.definitions", "-j", "prune_history"]
    result = run_command("dagster", *words, SPARKIFY_HISTORY_DAYS=days)
    assert result.returncode == code, result.stderr[-3000:]
    assert ("set SPARKIFY_HISTORY_DAYS", "0 runs deleted")[days == "30"] in result.stderr
