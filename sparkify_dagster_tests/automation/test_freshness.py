"""Freshness as Dagster's daemons find it and the UI is told it; only their clock is ours."""

import datetime as dt
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.freshness import FreshnessDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

from sparkify_dagster.assets.lake import FAIL_AFTER, WARN_AFTER
from sparkify_dagster.definitions import build_defs
from sparkify_dagster.settings import load_settings
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

HEALTH = "{ assetNodes { assetKey { path } freshnessStatusInfo { freshnessStatus } } }"
DAY, HOUR, SECOND = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(seconds=1)
GREEN, YELLOW, RED = "HEALTHY", "WARNING", "DEGRADED"


class Deployment:
    """The platform in a code server of its own, automation on, and the daemons that look at it."""

    def __init__(self, workspace: WorkspaceProcessContext, lake: TinyLake) -> None:
        self._workspace = workspace
        self._lake = lake

    def deliver(self, day: dt.date, events: int = 1) -> None:
        """Let a day's file come, or come again with more in it."""
        start = int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()) * 1000
        self._lake.write_events(
            str(day), [event(ts=start + number, itemInSession=number) for number in range(events)]
        )

    def look(self) -> None:
        """Let the sensors have their turn."""
        for _ in execute_sensor_iteration(
            self._workspace,
            logging.getLogger("test"),
            threadpool_executor=None,
            submit_threadpool_executor=None,
        ):
            pass

    def load(self) -> None:
        """Run the job."""
        job = build_defs(load_settings()).resolve_job_def("sparkify_etl")
        assert job.execute_in_process(instance=self._workspace.instance).success

    def colours(self) -> dict[str, str]:
        """Return what the UI shows of every asset that something is due of."""
        for _ in FreshnessDaemon().run_iteration(self._workspace):
            pass
        answer: Any = execute_dagster_graphql(self._workspace.create_request_context(), HEALTH)
        return {
            node["assetKey"]["path"][0]: node["freshnessStatusInfo"]["freshnessStatus"]
            for node in answer.data["assetNodes"]
            if node["freshnessStatusInfo"]
        }


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy/dagster.development.yaml", home / "dagster.yaml")
    for name, value in {
        "DAGSTER_HOME": str(home),
        "SPARKIFY_AUTOMATION": "on",
        "SPARKIFY_LAKE": str(lake.folder),
        "SPARKIFY_DUCKDB_PATH": str(tmp_path / "warehouse.duckdb"),
    }.items():
        monkeypatch.setenv(name, value)
    target = ModuleTarget("sparkify_dagster.definitions", None, str(REPOSITORY), None)
    with (
        dg.DagsterInstance.get() as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        assert "FRESHNESS_DAEMON" in instance.get_required_daemon_types()
        yield Deployment(workspace, lake)


def test_without_a_load_all_turns_yellow_and_then_red(deployment: Deployment) -> None:
    now = dt.datetime.now(dt.UTC)
    assert deployment.colours() == {"log_data": "UNKNOWN"}
    with freeze_time(now):
        deployment.deliver(now.date() - DAY)
        deployment.look()
        deployment.load()
    for passed, colour in (
        (dt.timedelta(), GREEN),
        (WARN_AFTER - SECOND, GREEN),
        (WARN_AFTER, YELLOW),
        (FAIL_AFTER - SECOND, YELLOW),
        (FAIL_AFTER, RED),
    ):
        with freeze_time(now + passed):
            found = deployment.colours()
        assert found == {"log_data": colour}, passed


def test_runs_that_find_no_new_day_do_not_hide_that_it_is_missing(deployment: Deployment) -> None:
    now = dt.datetime.now(dt.UTC)
    with freeze_time(now):
        deployment.deliver(now.date() - DAY)
        deployment.look()
        deployment.load()
    with freeze_time(now + FAIL_AFTER):
        # A correction has itself loaded, but it is not the day that is missing.
        deployment.deliver(now.date() - DAY, events=2)
        deployment.look()
        deployment.load()
        assert deployment.colours() == {"log_data": RED}
    # Later, as a sensor looks once a minute at the most.
    with freeze_time(now + FAIL_AFTER + HOUR):
        deployment.deliver(now.date())
        deployment.look()
        assert deployment.colours() == {"log_data": GREEN}


def test_the_load_reports_the_newest_day_without_the_sensor(deployment: Deployment) -> None:
    now = dt.datetime.now(dt.UTC)
    with freeze_time(now):
        deployment.deliver(now.date() - 2 * DAY)
        deployment.load()
    with freeze_time(now + FAIL_AFTER):
        # What fills a gap is loaded and told of, but is not the day that is missing.
        deployment.deliver(now.date() - 5 * DAY)
        deployment.load()
        assert deployment.colours() == {"log_data": RED}
        deployment.deliver(now.date())
        deployment.load()
        assert deployment.colours() == {"log_data": GREEN}
