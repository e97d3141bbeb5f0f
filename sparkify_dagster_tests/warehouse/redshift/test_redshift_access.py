"""Logging in to Redshift by each of the ways, and what a whole run tells of it: nothing secret."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
from redshift_connector.iam_helper import IamHelper

from sparkify_dagster.definitions import build_defs
from sparkify_dagster.settings import load_settings
from sparkify_dagster.warehouse.base import WarehouseError
from sparkify_dagster_tests.redshift_double import Counts
from sparkify_dagster_tests.support.redshift_stage import (
    AWS_KEY,
    PASSWORD,
    REGION,
    Stage,
    assert_same_tables,
    change,
    duckdb_tables,
    s3_url,
    stage,
)

__all__ = ["s3_url", "stage"]

Run = Callable[..., subprocess.CompletedProcess[str]]

LOGIN = ("REDSHIFT_USER", "REDSHIFT_PASSWORD")


@pytest.fixture(autouse=True)
def _no_kept_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    # The driver keeps temporary credentials for the whole process.
    monkeypatch.setattr(IamHelper, "credentials_cache", {})


def whoami(session: Any) -> Any:
    return session.run("SELECT current_user")[0][0]


def log_in(stage: Stage, *unset: str, **changes: str) -> Any:
    return change(stage.warehouse(**dict.fromkeys(unset, ""), **changes), whoami)


def secret(client: Any, name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return str(client.create_secret(Name=name, SecretString=text)["ARN"])


def test_by_a_secret(stage: Stage) -> None:
    client = boto3.client("secretsmanager", region_name=REGION)
    user = {"username": stage.double.user, "password": PASSWORD}
    place = {"host": stage.double.host, "port": stage.double.port, "dbname": stage.double.database}
    elsewhere = ("REDSHIFT_HOST", "REDSHIFT_PORT", "REDSHIFT_DATABASE")
    whole = secret(client, "whole", user | place)
    assert log_in(stage, *LOGIN, *elsewhere, REDSHIFT_SECRET_ARN=whole) == stage.double.user
    # Host and database said by the environment go before the secret's.
    moved = secret(client, "moved", user | place | {"host": "old.invalid", "port": 1})
    assert log_in(stage, *LOGIN, REDSHIFT_SECRET_ARN=moved) == stage.double.user
    for name, value, problem in (
        ("half", user, "lacks the keys host, dbname"),
        ("text", "only a word", "holds no JSON text"),
        ("gone", None, "ResourceNotFoundException"),
    ):
        arn = secret(client, name, value) if value else whole.replace("whole", "gone")
        with pytest.raises(WarehouseError, match=problem) as caught:
            log_in(stage, *LOGIN, *elsewhere, REDSHIFT_SECRET_ARN=arn)
        assert PASSWORD not in str(caught.value)
        assert "only a word" not in str(caught.value)
    assert stage.pauses == []


def test_by_iam_on_a_cluster(stage: Stage) -> None:
    client = boto3.client("redshift", region_name=REGION)
    client.create_cluster(
        ClusterIdentifier="sparkify",
        NodeType="ra3.large",
        MasterUsername="owner",
        MasterUserPassword="Owner-secret-1",
    )
    stage.double.passwords["IAM:loader"] = None
    stage.double.superusers.add("IAM:loader")
    changes = {"REDSHIFT_CLUSTER_ID": "sparkify", "REDSHIFT_USER": "loader"}
    # The host is said: moto's clusters have none that anything listens at.
    assert log_in(stage, "REDSHIFT_PASSWORD", **changes) == "IAM:loader"
    with pytest.raises(WarehouseError, match=r"ClusterNotFound"):
        log_in(stage, "REDSHIFT_PASSWORD", **changes | {"REDSHIFT_CLUSTER_ID": "other"})
    assert stage.pauses == []


class Serverless(BaseHTTPRequestHandler):
    """The two answers of Redshift Serverless that logging in takes; moto has neither."""

    answers: list[tuple[int, dict[str, Any]]]
    asked: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(f"{self.headers['X-Amz-Target'].split('.')[-1]} {asked}")
        status, answer = self.answers.pop(0)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def serverless(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Serverless]]:
    Serverless.answers, Serverless.asked = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Serverless)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS", url)
    yield Serverless
    server.shutdown()
    thread.join()
    server.server_close()


def test_by_iam_on_serverless(stage: Stage, serverless: type[Serverless]) -> None:
    credentials = {
        "dbUser": "IAMR:role",
        "dbPassword": "Temporary-secret-1",
        "expiration": 4102444800,
    }
    place = {"address": stage.double.host, "port": stage.double.port}
    busy = (429, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    serverless.answers = [busy] * 5 + [
        (200, credentials),
        (200, {"workgroup": {"endpoint": place}}),
    ]
    stage.double.passwords["IAMR:role"] = "Temporary-secret-1"
    stage.double.superusers.add("IAMR:role")
    found = log_in(stage, *LOGIN, "REDSHIFT_HOST", REDSHIFT_WORKGROUP="sparkify")
    assert found == "IAMR:role"
    # boto3 asks five times by itself; what still throttles then is waited for.
    assert len(stage.pauses) == 1
    assert serverless.asked[-2] == "GetCredentials {'dbName': 'dev', 'workgroupName': 'sparkify'}"
    assert serverless.asked[-1] == "GetWorkgroup {'workgroupName': 'sparkify'}"


def test_a_cluster_without_an_endpoint_is_waited_for(
    stage: Stage, serverless: type[Serverless]
) -> None:
    credentials = {"dbUser": "u", "dbPassword": "p", "expiration": 4102444800}
    serverless.answers = [(200, credentials)] + [(200, {"workgroup": {}})] * 9
    with pytest.raises(WarehouseError, match="is the cluster paused"):
        log_in(
            stage,
            *LOGIN,
            "REDSHIFT_HOST",
            REDSHIFT_WORKGROUP="resuming",
            REDSHIFT_RETRIES="2",
        )
    assert len(stage.pauses) == 2


# --- whole runs

SUITE = ("python", "-m", "pytest", "-q", "-rs", "-m", "redshift", "-p", "no:cacheprovider")
CLUSTER = str(Path(__file__).with_name("test_redshift_cluster.py"))
JOB = ("dagster", "job", "execute", "-m", "sparkify_dagster.definitions", "-j", "sparkify_etl")
TOKEN = "vErY-sEcReT-session-token"


def environment(stage: Stage, s3_url: str, **changes: str) -> dict[str, str]:
    return stage.environment(
        SSL_CERT_FILE=stage.double.ca_file,
        AWS_ENDPOINT_URL=s3_url,
        AWS_ACCESS_KEY_ID="AKIDWIRE",
        AWS_SECRET_ACCESS_KEY=AWS_KEY,
        AWS_SESSION_TOKEN=TOKEN,
        AWS_EC2_METADATA_DISABLED="true",
        **changes,
    )


def told(folder: Path, result: subprocess.CompletedProcess[str]) -> bytes:
    """Return all that a run left: its output, the event log and the compute logs."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    return b"\n".join([result.stdout.encode(), result.stderr.encode(), *files])


def test_the_main_job_on_the_wire(
    stage: Stage, s3_url: str, sample_lake: Path, run_command: Run, tmp_path: Path
) -> None:
    stage.bucket.put_folder(sample_lake)
    result = run_command(*JOB, **environment(stage, s3_url))
    assert result.returncode == 0, result.stdout + result.stderr
    assert_same_tables(stage, duckdb_tables(tmp_path, sample_lake))
    names = set(stage.double.texts("SET query_group TO"))
    assert len(names) == 1
    assert stage.double.counts.sessions == 1
    left = told(tmp_path / "dagster_home", result)
    assert b"staging_events" in left
    assert b"engine/elapsed_seconds" in left  # the cost of an asset is a plot in the UI
    for word in (PASSWORD, AWS_KEY, TOKEN):
        assert word.encode() not in left


def test_what_a_run_asks_of_redshift(
    stage: Stage, sample_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round trip each, every table and check included: a run that asks more has to say why."""
    stage.bucket.put_folder(sample_lake)
    days = sorted(sample_lake.glob("log_data/*/*/*.json"))
    names = [path.relative_to(sample_lake).as_posix() for path in days]

    for name, value in stage.environment().items():
        monkeypatch.setenv(name, value)
    instance = dg.DagsterInstance.ephemeral()

    def asked() -> Counts:
        before = stage.double.counts
        job = build_defs(load_settings()).resolve_job_def("sparkify_etl")
        assert job.execute_in_process(instance=instance).success
        return stage.double.counts - before

    stage.bucket.remove(names[-1])
    first_load = asked()
    assert (first_load.sessions, first_load.copies) == (1, 2)
    assert first_load.statements <= 260
    nothing_new = asked()
    assert (nothing_new.sessions, nothing_new.commits, nothing_new.copies) == (1, 0, 0)
    assert nothing_new.system_views == 0
    assert nothing_new.statements <= 60
    stage.bucket.put(names[-1], days[-1].read_bytes())
    new_day = asked()
    assert (new_day.sessions, new_day.copies) == (1, 1)
    assert new_day.statements <= 200
    for name, day in zip(names[:5], days, strict=False):
        stage.bucket.put(name, day.read_bytes().rpartition(b"\n")[0])
    corrected = asked()
    assert (corrected.sessions, corrected.copies) == (1, 1)
    assert corrected.statements <= 220


@pytest.mark.parametrize(
    "changes",
    [{"REDSHIFT_PASSWORD": "Quite-wrong-9d2c"}, {"REDSHIFT_HOST": "localhost"}],
    ids=["wrong password", "wrong certificate"],
)
def test_a_run_that_cannot_log_in_tells_no_secret(
    stage: Stage,
    s3_url: str,
    sample_lake: Path,
    run_command: Run,
    tmp_path: Path,
    changes: dict[str, str],
) -> None:
    stage.bucket.put_folder(sample_lake)
    result = run_command(*JOB, **environment(stage, s3_url, **changes))
    assert result.returncode != 0
    left = told(tmp_path / "dagster_home", result)
    assert b"no connection" in left
    for word in (PASSWORD, "Quite-wrong-9d2c", AWS_KEY, TOKEN):
        assert word.encode() not in left


def test_the_cluster_suite_is_rehearsed(stage: Stage, s3_url: str, run_command: Run) -> None:
    """What `make test-redshift` does around the suite, which `make test` runs on the doubles."""

    def suite(**changes: str) -> subprocess.CompletedProcess[str]:
        variables = environment(stage, s3_url) | changes
        words = "manifests_and_parts or insert_takes or number_too_large or costs"
        return run_command(*SUITE, CLUSTER, "-k", words, **variables)

    unnamed = suite(SPARKIFY_TEST_REDSHIFT="yes", SPARKIFY_MANIFEST_PREFIX="")
    assert unnamed.returncode == 5
    assert "not run: no cluster is given" in unnamed.stdout
    asked = suite(SPARKIFY_TEST_REDSHIFT="yes")
    assert asked.returncode == 0, asked.stdout
    assert "3 passed" in asked.stdout
    schemas = "SELECT schema_name FROM information_schema.schemata WHERE catalog_name = 'dev'"
    assert {"staging", "analytics"}.isdisjoint(name for (name,) in stage.double.rows(schemas))
    assert stage.bucket.keys("manifests/") == []
    change(stage.warehouse(), lambda session: session.run("CREATE TABLE staging.kept (a INTEGER)"))
    refused = suite(SPARKIFY_TEST_REDSHIFT="yes")
    assert refused.returncode == 2
    assert "already has" in refused.stdout + refused.stderr
    assert stage.rows("staging.kept") == []
