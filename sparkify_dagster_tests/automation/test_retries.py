"""Transient failures are asked for again; errors in data are not."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.automation.retries import ATTEMPT_TAG, PAUSES, build_retry_sensor, decide
from sparkify_dagster.definitions import build_defs
from sparkify_dagster.settings import load_settings
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

# DuckDB lets a process alone lock another one out.
_HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"


@contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    """Have another process hold the warehouse."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyLake:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    lake.write_events("2018-11-01", [event()])
    monkeypatch.setenv("SPARKIFY_LAKE", str(lake.folder))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("SPARKIFY_LOCK_TIMEOUT", "0")
    return lake


def _run(instance: dg.DagsterInstance, config: object = None, **tags: str) -> bool:
    job = build_defs(load_settings()).resolve_job_def("sparkify_etl")
    return job.execute_in_process(
        instance=instance, run_config=config, tags=tags, raise_on_error=False
    ).success


def _latest(instance: dg.DagsterInstance) -> dg.RunRecord:
    (record,) = instance.get_run_records(limit=1)
    return record


def _reason(decision: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(decision, dg.SkipReason)
    return str(decision.skip_message)


def test_a_lock_is_asked_for_again_with_growing_pauses(lake: TinyLake, tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance, held_by_another(tmp_path / "w.duckdb"):
        tags: dict[str, str] = {}
        keys = set()
        for attempt, pause in enumerate(PAUSES, start=1):
            assert not _run(instance, **tags)
            latest = _latest(instance)
            assert latest.end_time is not None
            assert "again in" in _reason(decide(latest, latest.end_time + pause - 1))
            request = decide(latest, latest.end_time + pause)
            assert isinstance(request, dg.RunRequest)
            keys.add(request.run_key)
            tags = dict(request.tags)
            assert tags[ATTEMPT_TAG] == str(attempt)
        assert not _run(instance, **tags)
        assert "the last of 3 further tries" in _reason(decide(_latest(instance), 1e12))
        assert len(keys) == len(PAUSES)
    assert sorted(PAUSES) == list(PAUSES)


def test_removals_are_not_confirmed_again(lake: TinyLake, tmp_path: Path) -> None:
    config = {"ops": {"staging_events": {"config": {"accept_removals": True, "days": ""}}}}
    with dg.DagsterInstance.ephemeral() as instance, held_by_another(tmp_path / "w.duckdb"):
        assert not _run(instance, config)
        request = decide(_latest(instance), 1e12)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config == {"ops": {"staging_events": {"config": {"days": ""}}}}


def test_an_error_in_data_is_not_asked_for_again(lake: TinyLake) -> None:
    lake.write_events("2018-11-01", [event(ts="never")])
    with dg.DagsterInstance.ephemeral() as instance:
        assert not _run(instance)
        assert "for a reason that stays" in _reason(decide(_latest(instance), 1e12))


def test_a_later_run_leaves_nothing_to_ask_for(lake: TinyLake) -> None:
    sensor = build_retry_sensor(load_settings())
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        assert _reason(sensor(context)) == "No run so far."
        assert _run(instance)
        assert "has not failed" in _reason(sensor(context))
