"""Fixtures: an empty AWS account, one set of clients, a clock that needs no time."""

import functools
from collections.abc import Iterator

import pytest
from botocore.loaders import JSONFileLoader
from moto import mock_aws

from sparkify_dagster.infra.aws import Aws, Waiter
from sparkify_dagster.infra.engine import Run
from sparkify_dagster.infra.settings import S3Prefix, Settings
from sparkify_dagster_tests.infra.doubles import REGION, Cloud, empty_account

LAKE = S3Prefix("sparkify-lake", "raw/")
MANIFESTS = S3Prefix("sparkify-lake", "manifests/")


class Clock:
    """Time that passes only by sleeping in it."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self) -> float:
        return self.now


@pytest.fixture(scope="package", autouse=True)
def _moto() -> Iterator[None]:
    # Each run of the command line makes its own session, which would read EC2's model again.
    read_once = functools.cache(JSONFileLoader.load_file)
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda self, path: read_once(LOADER, path))
        yield


LOADER = JSONFileLoader()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "SPARKIFY_LAKE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("SPARKIFY_MANIFEST_PREFIX", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", REGION)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with empty_account() as account:
        yield account


@pytest.fixture(scope="package")
def aws(_moto: None) -> Aws:
    """One set of clients for all tests: making EC2's takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        made = Aws(REGION)
        for service in ("ec2", "iam", "secretsmanager", "redshift", "redshift-serverless", "sts"):
            made.client(service)
    return made


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def run(aws: Aws, lines: list[str]) -> Run:
    clock = Clock()
    return Run(aws, Waiter(sleep=clock.sleep, clock=clock.read), lines.append)


def settings_of(**changes: object) -> Settings:
    return Settings(**{"name": "sparkify", "lake": LAKE, "manifests": MANIFESTS} | changes)  # type: ignore[arg-type]
