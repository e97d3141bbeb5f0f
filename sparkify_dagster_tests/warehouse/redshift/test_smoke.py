"""`make smoke-redshift` with the doubles in the cluster's place."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkify_dagster_tests import smoke
from sparkify_dagster_tests.redshift_double import Fault, system
from sparkify_dagster_tests.smoke import DENIED, DIFFERS, EXPECTED, Refused, Smoke
from sparkify_dagster_tests.support.redshift_stage import (
    AWS_KEY,
    PASSWORD,
    Stage,
    open_stage,
    s3_url,
)

__all__ = ["s3_url"]

# What a cluster's catalog has and the double's lacks [D: SVV_REDSHIFT_DATABASES, SYS_QUERY_DETAIL].
DATABASES = {
    "database_name": "character varying(128)",
    "database_isolation_level": "character varying(128)",
}


@pytest.fixture
def cluster(s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(system.VIEWS, "svv_redshift_databases", DATABASES)
    monkeypatch.setitem(system.VIEWS["sys_query_detail"], "is_rrscan", "character(1)")
    with open_stage(s3_url, monkeypatch) as stage:
        isolation = {"database_name": "dev", "database_isolation_level": "Snapshot Isolation"}
        stage.double._shared.log.add("svv_redshift_databases", isolation)
        for name, value in stage.environment().items():
            monkeypatch.setenv(name, value)
        yield stage


def schemas(stage: Stage) -> set[str]:
    query = "SELECT schema_name FROM information_schema.schemata WHERE catalog_name = 'dev'"
    return {name for (name,) in stage.double.rows(query)} & {"staging", "analytics"}


def test_finds_nothing_amiss_and_leaves_nothing(
    cluster: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke.main() == 0, capsys.readouterr().out
    report = smoke.REPORT.read_text()
    lines = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")][1:]
    assert len(lines) >= 18
    assert {line[1] for line in lines} == {EXPECTED}
    assert "EXPLAIN of sql/, a full load" in report
    for secret in (PASSWORD, AWS_KEY):
        assert secret not in report
    assert schemas(cluster) == set()
    assert cluster.bucket.keys("") == []


def test_a_refused_statement_is_a_finding_and_the_rest_is_looked_at(cluster: Stage) -> None:
    cluster.double.faults += [
        Fault("EXPLAIN.*INSERT INTO analytics.songs ", "error", "0A000", "not supported"),
        Fault("EXPLAIN.*DELETE FROM analytics.artists", "error", "42501", "permission denied"),
    ]
    found = Smoke(os.environ)
    found.explain("a later load")
    first, second, rest = found.findings
    assert first.verdict.startswith(f"{DIFFERS}star/songs/load")
    assert second.verdict == DENIED
    assert rest.verdict == EXPECTED
    assert rest.detail.endswith("without those above")
    found.connection.close()
    assert schemas(cluster) == set()


def test_after_a_kill_the_next_start_removes_what_was_left(cluster: Stage) -> None:
    killed = Smoke(os.environ)
    killed.begin()
    killed.mark()
    killed.objects.put("lake/left.json", b"{}")
    killed.connection.close()
    assert schemas(cluster) == {"staging", "analytics"}
    following = Smoke(os.environ)
    following.begin()
    following.connection.close()
    assert schemas(cluster) == set()
    assert cluster.bucket.keys("") == []


@pytest.mark.parametrize("schema", ["staging", "analytics"])
def test_a_database_that_is_in_use_is_refused(
    cluster: Stage, schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.double.rows(f"CREATE SCHEMA {schema}")
    cluster.double.rows(f"CREATE TABLE {schema}.kept (a INTEGER)")
    refused = Smoke(os.environ)
    with pytest.raises(Refused, match=f"already has the schema {schema}"):
        refused.begin()
    refused.connection.close()
    assert smoke.main() == 2
    assert "give an empty one" in capsys.readouterr().err
    assert cluster.double.rows(f"SELECT * FROM {schema}.kept") == []


def test_without_a_cluster_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert smoke.main() == 2
    told = capsys.readouterr().err
    for name in ("SPARKIFY_MANIFEST_PREFIX", "REDSHIFT_HOST", "REDSHIFT_WORKGROUP"):
        assert name in told
    assert not smoke.REPORT.exists()


def test_a_login_that_fails_is_reported(cluster: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDSHIFT_PASSWORD", "Quite-wrong-9d2c")
    assert smoke.main() == 1
    report = smoke.REPORT.read_text()
    assert "authentication failed" in report
    assert "Quite-wrong-9d2c" not in report
