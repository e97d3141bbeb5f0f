"""The double of AWS behind botocore, and the command run against it."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.cli import infra
from sparkify_dagster.infra import stack
from sparkify_dagster_tests.infra.cloud import Cloud
from sparkify_dagster_tests.infra.template import REGION

Sparkify = Callable[..., Result]


@pytest.fixture(scope="session")
def session() -> boto3.session.Session:
    """botocore with everything but the network; reading the services' models takes a second."""
    session = boto3.session.Session("AKIDINFRA", "secret", region_name=REGION)
    made = cache(session.client)
    session.client = lambda service, config=None: made(service)
    return session


@pytest.fixture
def cloud(session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = Cloud()
    cloud.model = session._session.get_service_model
    for service in ("cloudformation", "ec2", "redshift", "redshift-serverless"):
        events = session.client(service).meta.events
        for name, handler in (("before-parameter-build", "remember"), ("before-send", "answer")):
            events.unregister(name, unique_id=name)
            events.register(name, getattr(cloud, handler), unique_id=name)
    own = SimpleNamespace(session=SimpleNamespace(Session=lambda **_: session))
    monkeypatch.setattr(infra, "boto3", own)  # the command's alone: others ask other doubles
    monkeypatch.setattr(stack, "POLL_SECONDS", 0)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    return cloud


@pytest.fixture
def sparkify(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sparkify:
    """Run `sparkify infra`, in an empty folder and environment, until it works or as it fails."""
    monkeypatch.chdir(tmp_path)
    for name in ("SPARKIFY_LAKE", "SPARKIFY_MANIFEST_PREFIX", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, typed: str = "", works: bool | None = True) -> Result:
        first = len(cloud.calls)
        wants_lake = words[0] in ("plan", "up") and "SPARKIFY_LAKE" not in os.environ
        lake = ("--lake", "s3://music/sparkify") if wants_lake else ()
        result = CliRunner().invoke(infra.command, [words[0], *lake, *words[1:]], input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert works is None or (result.exit_code == 0) is works, result.output
        assert "Traceback" not in result.output
        del cloud.calls[:first]  # only those of the latest run count
        return result

    return run
