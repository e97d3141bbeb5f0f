"""The command, run against the double of AWS behind botocore."""

import os
import warnings
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from click.testing import CliRunner

from sparkify_dagster.cli import infra
from sparkify_dagster.infra import stack
from sparkify_dagster_tests.infra.cloud import Cloud
from sparkify_dagster_tests.infra.template import REGION


class Sparkify:
    """`sparkify infra` in an empty folder, until it works or as it fails."""

    def __init__(self, folder: Path) -> None:
        self.cloud, self.env_file = Cloud(), folder / ".env"

    def __call__(self, *words: str, typed: str = "", works: bool | None = True) -> str:
        first = len(self.cloud.calls)
        wants_lake = words[0] in ("plan", "up") and "SPARKIFY_LAKE" not in os.environ
        lake = ("--lake", "s3://music/sparkify") if wants_lake else ()
        words = (words[0], *lake, *words[1:])
        result = CliRunner().invoke(infra.command, words, typed, catch_exceptions=False)
        assert works is None or (result.exit_code == 0) is works, result.output
        del self.cloud.calls[:first]  # only those of the latest run count
        self.works = result.exit_code == 0
        return result.output

    def state(self) -> list[tuple[str, list[str]]]:
        """Return each stack's status and resources; a change set must not be left."""
        stacks = self.cloud.stacks.values()
        there = [one for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"]
        assert all(not one["sets"] for one in there)
        return [(one["StackStatus"], list(one["made"])) for one in there]


@pytest.fixture(scope="session")
def session() -> boto3.session.Session:
    """botocore with everything but the network; reading the services' models takes a second."""
    session = boto3.session.Session("AKIDINFRA", "secret", region_name=REGION)
    session.client = cache(session.client)
    return session


@pytest.fixture
def sparkify(
    session: boto3.session.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Sparkify:
    run = Sparkify(tmp_path)
    warnings.filterwarnings("ignore", "Exception.Refused. with code")  # moto knows fewer codes
    for service in ("cloudformation", "ec2", "redshift", "redshift-serverless"):
        events = session.client(service, config=infra.TRIES).meta.events
        for name, handler in (("before-parameter-build", "remember"), ("before-send", "answer")):
            events.unregister(name, unique_id=name)
            events.register(name, getattr(run.cloud, handler), unique_id=name)
    own = SimpleNamespace(session=SimpleNamespace(Session=lambda **_: session))
    monkeypatch.setattr(infra, "boto3", own)  # the command's alone: others ask other doubles
    monkeypatch.setattr(stack, "POLL_SECONDS", 0)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    monkeypatch.chdir(tmp_path)
    return run
