"""docs/provisioning.md against what the code does."""

import re
from pathlib import Path

import click
import pytest

from sparkify_dagster.cli.infra import command
from sparkify_dagster.infra import engine
from sparkify_dagster.infra.aws import Aws
from sparkify_dagster.infra.engine import Run
from sparkify_dagster_tests.infra.conftest import settings_of
from sparkify_dagster_tests.infra.doubles import Cloud
from sparkify_dagster_tests.infra.state import DAMAGES

GUIDE = Path(__file__).parents[2] / "docs" / "provisioning.md"


@pytest.fixture(scope="module")
def text() -> str:
    return GUIDE.read_text(encoding="utf-8")


def test_options_and_defaults(text: str) -> None:
    rows = re.findall(r"^\| `(--[\w-]+)` \| ([^|]+) \|", text, re.MULTILINE)
    described = {option: default.strip().strip("`") for option, default in rows}
    parameters = [
        parameter
        for each in command.commands.values()
        for parameter in each.params
        if isinstance(parameter, click.Option)
    ]
    assert set(described) == {parameter.opts[0] for parameter in parameters}
    for parameter in parameters:
        if parameter.show_default:
            assert described[parameter.opts[0]] == str(parameter.default)


def test_rights(text: str, cloud: Cloud, aws: Aws, run: Run) -> None:
    names = settings_of().names
    subnets = tuple(
        subnet["SubnetId"] for subnet in aws.client("ec2").describe_subnets()["Subnets"]
    )
    engine.plan(aws, settings_of())  # in the default VPC
    for kind in ("serverless", "provisioned"):
        settings = settings_of(kind=kind, subnet_ids=subnets[:3], allow_cidr="10.0.0.0/16")
        engine.up(run, settings)
        for damage in DAMAGES:
            if damage.kind == kind:
                own = len(cloud.calls)
                damage.do(cloud, aws)
                del cloud.calls[own:]  # done by hand, not by the product
                engine.up(run, settings)
        engine.up(run, settings_of(kind=kind, subnet_ids=subnets[:2]))
        engine.down(run, names, engine.to_delete(aws, names), f"keep-{kind}")
    sent = {f"{call.service}:{call.operation}" for call in cloud.calls}
    rights = text[text.index("## Rights") : text.index("## CloudFormation")]
    rows = "".join(line for line in rights.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`([\w-]+:\w+)`", rows)) == sent | {"iam:PassRole"}


def test_variables(text: str, cloud: Cloud, run: Run) -> None:
    for kind in ("serverless", "provisioned"):
        for key in engine.up(run, settings_of(name=f"the-{kind}", kind=kind)):
            assert f"`{key}`" in text
