"""Dagster's history on SQLite, as a process that executes a run writes it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkify_dagster_tests.conftest import REPOSITORY

# As the command line and the run worker do: first the instance, then the definitions.
_RUN = """
import json, sys
import dagster as dg
from sqlalchemy import text

instance = dg.DagsterInstance.get()
storage = instance.event_log_storage
if "relaxed" in sys.argv:
    import sparkify_dagster.definitions

@dg.asset
def one():
    return dg.MaterializeResult(metadata={"rows": 7})

results = [dg.materialize([one], instance=instance) for _ in range(10)]
ids = [result.run_id for result in results]
engines, settings = set(), set()
for _ in range(2):
    with storage.index_connection() as connection:
        engines.add(id(connection.engine))
        settings.add(connection.execute(text("PRAGMA synchronous")).scalar())
print(json.dumps({
    "runs": ids,
    "engines": len(engines),
    "synchronous": sorted(settings),
    "events": [[e.dagster_event_type.value for e in storage.get_logs_for_run(i) if e.dagster_event]
               for i in ids],
}))
"""


def _execute(tmp_path: Path, *words: str) -> dict[str, list[object]]:
    home = tmp_path / "_".join(["home", *words])
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    found: dict[str, list[object]] = json.loads(
        subprocess.run(
            [sys.executable, "-c", _RUN, *words],
            cwd=REPOSITORY,
            env={**os.environ, "DAGSTER_HOME": str(home)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    return found | {"home": [str(home)]}


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    return _execute(tmp_path_factory.mktemp("relaxed"), "relaxed")


def test_one_engine_a_file_that_does_not_wait_for_the_disk(
    relaxed: dict[str, list[object]],
) -> None:
    assert relaxed["engines"] == 1
    assert relaxed["synchronous"] == [1]  # NORMAL


def test_the_history_is_what_dagster_writes_on_its_own(
    tmp_path: Path, relaxed: dict[str, list[object]]
) -> None:
    plain = _execute(tmp_path)
    assert plain["synchronous"] == [2]  # FULL: else there is nothing to relax
    assert plain["events"] == relaxed["events"]


def test_another_process_reads_the_history(relaxed: dict[str, list[object]]) -> None:
    """Of more runs than files are held open."""
    code = (
        "import json, dagster as dg; instance = dg.DagsterInstance.get(); "
        "print(json.dumps([run.run_id for run in instance.get_runs() if run.is_success]))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DAGSTER_HOME": str(relaxed["home"][0])},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert sorted(json.loads(listed)) == sorted(map(str, relaxed["runs"]))
