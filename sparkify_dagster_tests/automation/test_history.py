"""Dagster's history on SQLite, as a process that executes a run writes it."""

import json
import os
import queue
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster_tests.conftest import REPOSITORY

_RUN = """
import json
import dagster as dg
from sqlalchemy import text

instance = dg.DagsterInstance.get()
storage = instance.event_log_storage

@dg.asset
def one():
    return dg.MaterializeResult(metadata={"rows": 7})

results = [dg.materialize([one], instance=instance) for _ in range(10)]
ids = [result.run_id for result in results]
engines, settings, kept = set(), set(), []
for _ in range(2):
    with storage.index_connection() as connection:
        engines.add(id(connection.engine))
        kept.append("met before" in connection.info)
        connection.info["met before"] = True
        settings.add(connection.execute(text("PRAGMA synchronous")).scalar())
print(json.dumps({
    "runs": ids,
    "engines": len(engines),
    "kept": kept,
    "synchronous": sorted(settings),
    "events": [[e.dagster_event_type.value for e in storage.get_logs_for_run(i) if e.dagster_event]
               for i in ids],
}))
instance.dispose()
"""

# Takes what to do line by line, so that a test sees the file between two steps.
_WRITE_AND_READ = """
import sys
import dagster as dg
instance = dg.DagsterInstance.get()
storage = instance.event_log_storage
for line in sys.stdin:
    if line.strip() == "read":
        storage.get_logs_for_run(sys.argv[1])
    else:
        instance.report_engine_event(line.strip(), job_name="watched", run_id=sys.argv[1])
    print("done", flush=True)
"""


def _home(tmp_path: Path, relaxed: bool) -> Path:
    """Make a DAGSTER_HOME: as shipped for one machine, or with Dagster's own storage."""
    home = tmp_path / "home"
    home.mkdir()
    shipped = (REPOSITORY / "deploy/dagster.development.yaml").read_text("utf-8")
    text = shipped if relaxed else "telemetry: {enabled: false}\n"
    (home / "dagster.yaml").write_text(text, "utf-8")
    return home


def _execute(tmp_path: Path, relaxed: bool) -> dict[str, list[object]]:
    home = _home(tmp_path, relaxed)
    found: dict[str, list[object]] = json.loads(
        subprocess.run(
            [sys.executable, "-c", _RUN],
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
    return _execute(tmp_path_factory.mktemp("relaxed"), relaxed=True)


def test_one_connection_a_file_that_does_not_wait_for_the_disk(
    relaxed: dict[str, list[object]],
) -> None:
    assert relaxed["engines"] == 1
    assert relaxed["kept"] == [False, True]
    assert relaxed["synchronous"] == [1]  # NORMAL


def test_the_history_is_what_dagster_writes_on_its_own(
    tmp_path: Path, relaxed: dict[str, list[object]]
) -> None:
    plain = _execute(tmp_path, relaxed=False)
    assert plain["synchronous"] == [2]  # FULL: else there is nothing to relax
    assert plain["kept"] == [False, False]
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


def test_a_history_of_dagsters_own_storage_is_gone_on_with(tmp_path: Path) -> None:
    plain = _execute(tmp_path, relaxed=False)
    home = Path(str(plain["home"][0]))
    (home / "dagster.yaml").unlink()
    (home / "dagster.yaml").write_text(
        (REPOSITORY / "deploy/dagster.development.yaml").read_text("utf-8"), "utf-8"
    )
    listed = subprocess.run(
        [sys.executable, "-m", "dagster", "run", "list"],
        cwd=REPOSITORY,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [run in listed for run in map(str, plain["runs"])] == [True] * 10


def test_no_write_ahead_log_is_left_by_a_run(relaxed: dict[str, list[object]]) -> None:
    left = Path(str(relaxed["home"][0])).rglob("*.db-wal")
    assert [file.name for file in left if file.stat().st_size] == []


def test_who_watches_a_run_hears_of_each_event_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the UI does for a run's page."""
    home = _home(tmp_path, relaxed=True)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    run = dg.DagsterRun("watched").run_id
    heard: queue.Queue[str] = queue.Queue()
    with (
        dg.DagsterInstance.get() as instance,
        subprocess.Popen(
            [sys.executable, "-c", _WRITE_AND_READ, run],
            cwd=REPOSITORY,
            env=os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as writer,
    ):
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write("first\n")
        assert writer.stdout.readline() == "done\n"
        instance.watch_event_logs(run, None, lambda event, _cursor: heard.put(event.message))
        for message in ("second", "third", "fourth"):
            writer.stdin.write(f"{message}\n")
            while heard.get(timeout=20) != message:
                pass
            assert writer.stdout.readline() == "done\n"

        [file] = home.rglob(f"{run}.db")
        os.utime(file, (0, 0))
        writer.stdin.write("read\n")
        assert writer.stdout.readline() == "done\n"
        assert file.stat().st_mtime == 0
        writer.stdin.close()
