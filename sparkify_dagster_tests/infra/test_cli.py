"""`sparkify infra` as a user runs it, on an account of moto and the double of Serverless."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.cli import main
from sparkify_dagster.infra import engine
from sparkify_dagster.infra.aws import Aws
from sparkify_dagster_tests.infra.conftest import Clock, settings_of
from sparkify_dagster_tests.infra.doubles import Cloud, Interrupted, ServiceError
from sparkify_dagster_tests.infra.state import admin_password

Invoke = Callable[..., Result]
UP = ("up", "--lake", "s3://sparkify-lake/raw")
KIND = {"serverless": (), "provisioned": ("--provisioned",)}
DROP = ("down", "--confirm", "sparkify", "--no-final-snapshot")


@pytest.fixture
def sparkify(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(tmp_path)
    clock = Clock()

    def invoke(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(
            main,
            ["infra", *arguments],
            obj={"sleep": clock.sleep, "clock": clock.read},
            **options,
        )

    return invoke


def test_help_needs_no_boto3() -> None:
    code = (
        "import sys; from sparkify_dagster.cli import main\n"
        "try: main(['infra', 'up', '--help'])\n"
        "except SystemExit: print([name for name in sys.modules if 'boto' in name])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"
    assert "--allow-cidr" in answer.stdout


@pytest.mark.parametrize("kind", KIND)
def test_up_writes_the_values_of_the_platform(
    kind: str, cloud: Cloud, sparkify: Invoke, tmp_path: Path
) -> None:
    Path(".env").write_text("# mine\nOTHER=1\nSPARKIFY_TARGET=duckdb\n", encoding="utf-8")
    result = sparkify(*UP, *KIND[kind])
    assert result.exit_code == 0, result.output
    lines = Path(".env").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["# mine", "OTHER=1", "SPARKIFY_TARGET=redshift"]
    values = dict(line.split("=", 1) for line in lines[1:])
    own = "REDSHIFT_WORKGROUP" if kind == "serverless" else "REDSHIFT_CLUSTER_ID"
    assert set(values) == {
        "OTHER",
        "SPARKIFY_TARGET",
        "SPARKIFY_LAKE",
        "SPARKIFY_MANIFEST_PREFIX",
        "AWS_REGION",
        "REDSHIFT_HOST",
        "REDSHIFT_PORT",
        "REDSHIFT_DATABASE",
        "REDSHIFT_SECRET_ARN",
        "REDSHIFT_IAM_ROLE",
        own,
    }
    assert values["SPARKIFY_LAKE"] == "s3://sparkify-lake/raw"
    assert values["SPARKIFY_MANIFEST_PREFIX"] == "s3://sparkify-lake/raw/manifests"
    assert values["AWS_REGION"] == "us-west-2"
    assert values["REDSHIFT_HOST"].startswith("sparkify.")
    assert values["REDSHIFT_PORT"] == "5439"
    assert values["REDSHIFT_SECRET_ARN"].startswith("arn:aws:secretsmanager:us-west-2:")
    assert values["REDSHIFT_IAM_ROLE"] == "arn:aws:iam::123456789012:role/sparkify-copy"
    assert "No network may connect yet" in result.output


@pytest.mark.parametrize("kind", KIND)
def test_the_password_is_shown_nowhere(
    *,
    kind: str,
    cloud: Cloud,
    aws: Aws,
    sparkify: Invoke,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    said: list[str] = []
    for arguments in (("plan", *UP[1:]), UP, UP, ("status",), ("plan", *UP[1:])):
        extra = KIND[kind] if arguments[0] in ("up", "plan") else ()
        result = sparkify(*arguments, *extra)
        assert result.exit_code == 0, result.output
        said.append(result.output)
    password = admin_password(aws)
    # AWS repeats what it was sent: still nothing is shown.
    create = "CreateNamespace" if kind == "serverless" else "CreateCluster"
    sparkify(*DROP)
    cloud.refuse = lambda call: (
        ServiceError("ValidationException", f"wrong: {call.params}")
        if call.operation == create
        else None
    )
    result = sparkify(*UP, *KIND[kind])
    assert result.exit_code == 1
    assert "ValidationException" in result.output
    assert "[secret]" in result.output
    said += [result.output, repr(result.exception), caplog.text]
    assert password == admin_password(aws)
    assert password not in "".join(said)
    for path in tmp_path.rglob("*"):
        assert password not in path.read_text(encoding="utf-8")


def test_plan_prints_the_cost_settings_and_changes_nothing(cloud: Cloud, sparkify: Invoke) -> None:
    result = sparkify("plan", *UP[1:])
    assert result.exit_code == 0
    assert cloud.writes == []
    assert not Path(".env").exists()
    for text in (
        "base capacity        8 RPU (--base-rpu)",
        "maximum capacity     16 RPU (--max-rpu)",
        "usage limit          24 RPU-hours a day",
        "auto-pause           built in",
        "reachable from       its VPC only",
        "network let in       none",
        "encryption           at rest on, TLS required",
        "create  Serverless workgroup sparkify",
        "5 of 5 resources would change; nothing was changed now.",
    ):
        assert text in result.output
    assert (
        "auto-pause           none: billed until paused"
        in sparkify("plan", *UP[1:], "--provisioned").output
    )


def test_plan_after_up_and_after_a_change(cloud: Cloud, sparkify: Invoke) -> None:
    sparkify(*UP)
    assert "0 of 5 resources would change" in sparkify("plan", *UP[1:]).output
    result = sparkify("plan", *UP[1:], "--base-rpu", "16", "--allow-cidr", "10.0.0.0/16")
    assert "repair  security group sparkify-redshift" in result.output
    assert "ingress from 10.0.0.0/16 is missing" in result.output
    assert "baseCapacity 8, wanted 16" in result.output


@pytest.mark.parametrize("kind", KIND)
def test_status_shows_state_endpoint_and_tags(kind: str, cloud: Cloud, sparkify: Invoke) -> None:
    assert "nothing named sparkify in us-west-2" in sparkify("status").output
    sparkify(*UP, *KIND[kind])
    cloud.calls.clear()
    result = sparkify("status")
    assert result.exit_code == 0
    assert cloud.writes == []
    assert "IAM role sparkify-copy: exists\n    tag      Name=sparkify-copy\n" in result.output
    label = "Serverless workgroup" if kind == "serverless" else "cluster"
    host = Path(".env").read_text(encoding="utf-8").split("REDSHIFT_HOST=")[1].split("\n")[0]
    assert f"{label} sparkify: available\n    endpoint {host}:5439\n" in result.output


def test_down_asks_for_the_name_and_offers_a_snapshot(cloud: Cloud, sparkify: Invoke) -> None:
    sparkify(*UP)
    cloud.calls.clear()
    result = sparkify("down", input="n\nsparkifi\n")
    assert result.exit_code == 1
    assert "delete  Serverless namespace sparkify (available)" in result.output
    assert "Keep the data in a final snapshot?" in result.output
    assert "'sparkifi' is not 'sparkify': nothing was deleted" in result.output
    assert cloud.writes == []
    result = sparkify("down", input="y\nkeep-me\nsparkify\n")
    assert result.exit_code == 0, result.output
    assert cloud.serverless.namespaces == {}
    assert list(cloud.serverless.snapshots) == ["keep-me"]
    assert "kept    snapshot keep-me" in result.output
    again = sparkify("down")
    assert again.exit_code == 0
    assert "nothing of sparkify to delete in us-west-2" in again.output


def test_the_snapshot_s_proposed_name_is_one_that_redshift_takes(
    cloud: Cloud, sparkify: Invoke
) -> None:
    sparkify(*UP)
    sparkify("down", input="y\n\nsparkify\n")
    (name,) = cloud.serverless.snapshots
    assert name.startswith("sparkify-final-2")
    assert name.replace("-", "").isalnum()


@pytest.mark.parametrize("kind", KIND)
def test_down_without_questions(kind: str, cloud: Cloud, aws: Aws, sparkify: Invoke) -> None:
    sparkify(*UP, *KIND[kind])
    cloud.calls.clear()
    result = sparkify("down", "--confirm", "sparkify")
    assert "with --confirm, give --final-snapshot SNAPSHOT or --no-final-snapshot" in result.output
    both = sparkify(*DROP, "--final-snapshot", "x")
    assert "contradict each other" in both.output
    assert sparkify("down", "--confirm", "other", "--no-final-snapshot").exit_code == 1
    assert cloud.writes == []
    assert sparkify(*DROP).exit_code == 0
    assert [found.phase for _, found in engine.present(aws, settings_of().names)] == ["scheduled"]
    assert cloud.serverless.snapshots == {}


@pytest.mark.parametrize("name", ["Keep-me", "keep me", "1st", "a--b", "ab", "keep-"])
def test_a_snapshot_s_name_is_checked_before_any_deletion(
    name: str, cloud: Cloud, sparkify: Invoke
) -> None:
    sparkify(*UP)
    cloud.calls.clear()
    result = sparkify("down", "--confirm", "sparkify", "--final-snapshot", name)
    assert result.exit_code == 1
    assert f"--final-snapshot: {name!r} must be" in result.output
    assert cloud.writes == []


def test_an_env_file_that_cannot_be_written(cloud: Cloud, sparkify: Invoke) -> None:
    result = sparkify(*UP, "--env-file", "none/.env")
    assert result.exit_code == 1
    assert "all is up, but none/.env cannot be written (No such file" in result.output
    assert sparkify(*UP).exit_code == 0


def test_down_says_what_it_leaves_alone(cloud: Cloud, aws: Aws, sparkify: Invoke) -> None:
    aws.client("iam").create_role(RoleName="sparkify-copy", AssumeRolePolicyDocument="{}")
    result = sparkify(*DROP)
    assert result.exit_code == 0
    assert "keep    IAM role sparkify-copy: it does not carry our tags" in result.output
    assert "IAM role sparkify-copy: exists, not ours" in sparkify("status").output


def test_an_interrupted_up_goes_on(cloud: Cloud, sparkify: Invoke) -> None:
    def interrupt(call: object) -> None:
        cloud.refuse = lambda call: None
        raise KeyboardInterrupt

    cloud.refuse = lambda call: interrupt(call) if call.operation == "CreateWorkgroup" else None
    result = sparkify(*UP)
    assert result.exit_code == 1
    assert "interrupted: run the same command again" in result.output
    assert not Path(".env").exists()
    assert sparkify(*UP).exit_code == 0
    assert "REDSHIFT_HOST=sparkify." in Path(".env").read_text(encoding="utf-8")
    assert len(cloud.sent("CreateNamespace")) == 1


def test_the_time_limit_is_an_option(cloud: Cloud, sparkify: Invoke) -> None:
    cloud.serverless.polls = 10_000
    result = sparkify(*UP, "--timeout", "3")
    assert result.exit_code == 1
    assert "is still creating after 3 minutes. AWS works on: run the same command" in result.output


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("plan",), "no lake: give --lake"),
        (("plan", "--lake", "data/lake"), "--lake: 'data/lake' is no s3://"),
        ((*UP, "--public", "--allow-cidr", "0.0.0.0/0"), "is the whole internet"),
        ((*UP, "--public", "--allow-cidr", "::/0"), "is the whole internet"),
        ((*UP, "--public"), "--public needs --allow-cidr"),
        ((*UP, "--name", "No"), "--name: 'No' must be"),
        ((*UP, "--region", "moon"), "--region: 'moon' is no region"),
        ((*UP, "--subnet-id", "subnet-1"), "--subnet-id: subnet-1 not found"),
        (("status", "--name", "x"), "--name: 'x' must be"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: tuple[str, ...], part: str, cloud: Cloud, sparkify: Invoke
) -> None:
    result = sparkify(*arguments)
    assert result.exit_code == 1
    assert part in result.output
    assert len([line for line in result.output.splitlines() if "Error" in line]) == 1
    assert cloud.writes == []


def test_a_missing_right_is_one_line_that_names_the_action(cloud: Cloud, sparkify: Invoke) -> None:
    cloud.refuse = lambda call: (
        ServiceError("AccessDenied", "no") if call.operation == "CreateRole" else None
    )
    result = sparkify(*UP)
    assert result.exit_code == 1
    assert "Error: AWS refuses iam:CreateRole: these credentials lack that right" in result.output


def test_no_credentials_is_one_line(
    sparkify: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    result = sparkify(*UP)
    assert result.exit_code == 1
    assert "Error: there are no usable AWS credentials: sign in" in result.output


def test_no_region_is_one_line(sparkify: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    result = sparkify("status")
    assert "Error: no AWS region: give --region or set AWS_REGION" in result.output


def test_a_killed_up_leaves_env_as_it_was(cloud: Cloud, sparkify: Invoke) -> None:
    Path(".env").write_text("MINE=1\n", encoding="utf-8")
    cloud.stop_before = 28
    with pytest.raises(Interrupted):
        sparkify(*UP)
    assert Path(".env").read_text(encoding="utf-8") == "MINE=1\n"
