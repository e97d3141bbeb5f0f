"""plan, up, status and down against the double of AWS: what they do, say, and leave behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.settings import load_settings
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.infra.conftest import Sparkify
from sparkify_dagster_tests.infra.template import ACCOUNT, REGION

CIDR = ("--allow-cidr", "10.0.0.0/16")
DOWN = ("down", "--confirm", "sparkify", "--final-snapshot", "kept")
DOWN_WITHOUT = ("down", "--confirm", "sparkify", "--no-final-snapshot")
KINDS = {"serverless": (), "cluster": ("--provisioned",)}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
Words = tuple[str, ...]


def accepted(path: Path) -> dict[str, str]:
    """Return the variables of a `.env`, after the platform's own settings have taken them."""
    lines = [one for one in path.read_text().splitlines() if one and not one.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    load_redshift_settings(load_settings(values).lake, 300, values)
    return values


@kinds
def test_a_plan_shows_all_and_makes_nothing(sparkify: Sparkify, kind: Words) -> None:
    shown = sparkify("plan", *CIDR, *kind)
    for text in ("make  CopyRole (AWS::IAM::Role)", "CidrIp: 10.0.0.0/16", "s3:GetObject",
                 f"aws:SourceAccount: {ACCOUNT}", "PubliclyAccessible: false", "require_ssl",
                 "sparkify/log_data/*", "AdminPassword: True" if not kind else "Encrypted: True",
                 "Nothing was made"):  # fmt: skip
        assert text in shown
    assert sparkify.state() == []
    assert sparkify.cloud.writes == ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]
    assert not sparkify.env_file.exists()


@kinds
def test_up_makes_it_once_and_then_what_the_options_change(sparkify: Sparkify, kind: Words) -> None:
    def limits() -> list[int]:
        return [one["amount"] for one in sparkify.cloud.limits.values()]

    assert "CREATE_COMPLETE              CopyRole" in sparkify("up", *CIDR, *kind)
    values, after = accepted(sparkify.env_file), sparkify.state()
    assert values["SPARKIFY_LAKE"] == "s3://music/sparkify"
    assert values["SPARKIFY_MANIFEST_PREFIX"] == "s3://music/sparkify/manifests"
    assert sparkify.env_file.stat().st_mode & 0o777 == 0o600
    assert limits() == ([] if kind else [24])
    assert "No resource changes" in sparkify("up")
    assert set(sparkify.cloud.writes) == {"CreateChangeSet", "DeleteChangeSet"}
    assert (accepted(sparkify.env_file), sparkify.state()) == (values, after)
    changed = sparkify("up", "--allow-cidr", "", "--usage-limit", "48")
    assert "change  SecurityGroup" in changed
    assert "- SecurityGroupIngress.CidrIp: 10.0.0.0/16" in changed
    assert limits() == ([] if kind else [48])
    assert "no limit" not in sparkify("status")


@kinds
def test_down_keeps_the_snapshot_that_was_asked_for(sparkify: Sparkify, kind: Words) -> None:
    cloud = sparkify.cloud
    sparkify("up", *kind)
    said = sparkify(*DOWN)
    assert "keep    the lake with its manifests, .env, snapshot kept (billed)" in said
    assert (sparkify.state(), list(cloud.snapshots), cloud.limits) == ([], ["kept"], {})
    order = [name for name in cloud.writes if "UsageLimit" not in name]
    assert order == ["CreateClusterSnapshot" if kind else "CreateSnapshot", "DeleteStack"]
    assert not any("s3" in name.lower() for name, _ in cloud.calls)
    assert "There is no stack" in sparkify("down")
    sparkify("up", *kind)
    assert "kept exists already" in sparkify(*DOWN, works=False)
    assert len(sparkify.state()) == 1
    sparkify("down", typed="n\nsparkify\n")
    assert (sparkify.state(), list(cloud.snapshots)) == ([], ["kept"])
    # An interrupted down has just asked for it: looks left.
    sparkify("up", *kind)
    cloud.snapshots["kept"] = 2
    sparkify(*DOWN)
    assert (sparkify.state(), list(cloud.snapshots)) == ([], ["kept"])
    assert not any("Create" in name and "Snapshot" in name for name in cloud.writes)


def test_down_asks_and_respects(sparkify: Sparkify) -> None:
    cloud = sparkify.cloud
    sparkify("up")
    for words, typed, reason in (
        (("--confirm", "sparkify"), "", "--no-final-snapshot"),
        (("--confirm", "other", "--no-final-snapshot"), "", "nothing was deleted"),
        ((), "y\nsnap\nother\n", "nothing was deleted"),
    ):
        assert reason in sparkify("down", *words, typed=typed, works=False)
    cloud.fails["snapshot"] = "disk"
    assert "failed: nothing was deleted" in sparkify(*DOWN, works=False)
    next(iter(cloud.stacks.values()))["EnableTerminationProtection"] = True
    assert "--no-enable-termination-protection" in sparkify(*DOWN, works=False)
    assert "deletion protection on" in sparkify("status")
    assert (cloud.writes, len(sparkify.state()), len(cloud.limits)) == ([], 1, 1)


SERVERLESS = ("SecurityGroup", "CopyRole", "Namespace", "Workgroup")
RESOURCES = (*SERVERLESS, "ParameterGroup", "SubnetGroup", "Cluster")


@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource_that_fails_is_named_with_its_own_reason(sparkify: Sparkify, name: str) -> None:
    options = () if name in SERVERLESS else ("--provisioned",)
    options = (*options, *(f"--subnet-id={one}" for one, _, _ in sparkify.cloud.subnets))
    sparkify.cloud.fails[name] = "You have reached the quota"
    said = [sparkify(word, *options, works=False) for word in ("up", "up", "plan")]
    for one in [*said, sparkify("status", works=False)]:
        assert f"sparkify is ROLLBACK_COMPLETE: {name} (" in one
        assert "You have reached the quota. To go on: remove the cause, clear up by" in one
    assert not sparkify.env_file.exists()
    sparkify.cloud.fails.clear()
    sparkify("down", "--confirm", "sparkify")  # nothing was kept, so there is no data to ask about
    sparkify("up", *options)
    sparkify.cloud.fails[name] = "Still in use"
    assert f"DELETE_FAILED: {name} (" in sparkify(*DOWN, works=False)
    sparkify.cloud.fails.clear()
    sparkify(*DOWN_WITHOUT)
    assert sparkify.state() == []


def test_an_update_that_fails_leaves_all_as_before(sparkify: Sparkify) -> None:
    sparkify("up")
    before = sparkify.state()[0][1]
    sparkify.cloud.fails["Workgroup"] = "not now"
    cause = "UPDATE_ROLLBACK_COMPLETE: Workgroup (AWS::RedshiftServerless::Workgroup): not now"
    assert cause in sparkify("up", "--max-rpu", "32", works=False)
    assert sparkify.state() == [("UPDATE_ROLLBACK_COMPLETE", before)]
    sparkify.cloud.fails["rollback"] = "x"
    for word in ("up", "plan"):
        assert "continue-update-rollback" in sparkify(word, "--max-rpu", "32", works=False)


def test_no_change_loses_the_data(sparkify: Sparkify) -> None:
    sparkify("up")
    before = sparkify.state()
    for words in (("up", "--provisioned"), ("up", "--database", "b"), ("plan", "--database", "b")):
        assert "holds the data and cannot be changed" in sparkify(*words, works=False)
        assert "ExecuteChangeSet" not in sparkify.cloud.writes
    assert sparkify.state() == before


REFUSED: list[tuple[Words, dict[str, Any], str]] = [
    ((), {"subnets": [("subnet-1", "us-west-2a", "vpc-1")] * 2}, "found: subnet-1 in us-west-2a"),
    ((), {"subnets": []}, "name subnets of one VPC in us-west-2; found: none"),
    (("--subnet-id", "subnet-9"), {}, "found: none"),
    ((), {"fails": {"validation": "sparkify-copy already exists"}}, "CopyRole: sparkify-copy alr"),
    ((), {"fails": {"CreateChangeSet": "User: a is not authorized to perform: "
                    "cloudformation:CreateChangeSet on x"}}, "AWS refuses cloudformation:CreateCh"),
    (("--public",), {}, "--public needs --allow-cidr"),
    (("--allow-cidr", "0.0.0.0/0"), {}, "one IPv4 network"),
    (("--base-rpu", "12"), {}, "multiples of 8"),
    (("--base-rpu", "32"), {}, "rising"),
    (("--lake", ""), {}, "no lake"),
    (("--lake", "s3://a*b/c"), {}, "is no s3://bucket/prefix"),
    (("--manifest-prefix", "s3://music/sparkify/log_data/m"), {}, "give a prefix of its own"),
    (("--manifest-prefix", "s3://music/"), {}, "give a prefix of its own"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "changes", "reason"), REFUSED)
def test_what_a_plan_refuses(
    sparkify: Sparkify, words: Words, changes: dict[str, Any], reason: str
) -> None:
    vars(sparkify.cloud).update(changes)
    assert reason in " ".join(sparkify("plan", *words, works=False).split())
    assert sparkify.state() == []


@kinds
def test_goes_on_after_a_cut_at_every_call(sparkify: Sparkify, kind: Words) -> None:
    cloud = sparkify.cloud

    def cut_everywhere(*words: str) -> None:
        number, was_cut = 0, True
        while was_cut or not sparkify.works:
            start = len(cloud.calls)
            cloud.cut = (start + number // 2, number % 2 == 1)
            # Where the snapshot was made, the next try needs another name.
            said = sparkify(*words[:-1], words[-1].format(number), works=None)
            was_cut, cloud.cut = cloud.cut[0] < start + len(cloud.calls), (-1, False)
            # Where AWS shows late that it was begun, it refuses a second change for that moment.
            told = ("interrupted; AWS works on", "exists already", "_IN_PROGRESS state")
            assert sparkify.works or any(text in said for text in told), said
            number += 1

    cut_everywhere("plan", *kind, "--name=sparkify")
    cut_everywhere("up", *CIDR, *kind, "--name=sparkify")
    assert accepted(sparkify.env_file)["REDSHIFT_PORT"] == "5439"
    assert (sparkify.state()[0][0], len(cloud.limits)) == ("CREATE_COMPLETE", 0 if kind else 1)
    cut_everywhere(*DOWN[:-1], "kept-{}")
    assert (sparkify.state(), cloud.limits) == ([], {})
    assert cloud.snapshots


def test_throttling_is_waited_out(sparkify: Sparkify) -> None:
    sparkify.cloud.is_throttled = True
    sparkify("up")
    assert sparkify.state()[0][0] == "CREATE_COMPLETE"
    sparkify(*DOWN)
    assert sparkify.state() == []


def test_drift_is_told(sparkify: Sparkify) -> None:
    sparkify("up")
    assert "All is as the template says" in sparkify("status", "--drift")
    differs = {"PropertyPath": "/CidrIp", "ExpectedValue": "10.0.0.0/16", "ActualValue": "::/0"}
    group = {"StackId": "x", "LogicalResourceId": "SecurityGroup", "ResourceType": "AWS::EC2::X",
             "StackResourceDriftStatus": "MODIFIED", "Timestamp": sparkify.cloud.clock,
             "PropertyDifferences": [differs | {"DifferenceType": "NOT_EQUAL"}]}  # fmt: skip
    gone = {"LogicalResourceId": "CopyRole", "StackResourceDriftStatus": "DELETED"}
    sparkify.cloud.drifts = [group, group | gone | {"PropertyDifferences": []}]
    said = sparkify("status", "--drift")
    assert "SecurityGroup is MODIFIED\n  /CidrIp: 10.0.0.0/16 -> ::/0\nCopyRole is DELETED" in said


SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
ADMIN = "redshift!sparkify-a1"
ENV_FILES = {
    "the example": ((REPOSITORY / ".env.example").read_text("utf-8"), ADMIN),
    "an earlier admin": (f"REDSHIFT_SECRET_ARN={SECRET}redshift!old-b2\n", ADMIN),
    "the loading user": (f"REDSHIFT_SECRET_ARN={SECRET}loader-c3\n", "loader-c3"),
    "other logins": ("export REDSHIFT_WORKGROUP=w\nREDSHIFT_CLUSTER_ID=c\nREDSHIFT_USER=u\n"
                     "REDSHIFT_PASSWORD=p\nMINE=1\n", ADMIN),
}  # fmt: skip


@pytest.mark.parametrize("case", ENV_FILES)
def test_the_platform_takes_what_up_writes(sparkify: Sparkify, case: str) -> None:
    text, secret = ENV_FILES[case]
    path = sparkify.env_file
    path.write_text(text, "utf-8")
    sparkify("up")
    values = accepted(path)
    assert values["REDSHIFT_SECRET_ARN"] == SECRET + secret
    before = path.read_text("utf-8")
    kept = [line.removeprefix("#") for line in before.splitlines()]
    for line in text.splitlines():
        assert line.removeprefix("#") in kept or line.partition("=")[0] in values
    sparkify("up")
    assert path.read_text("utf-8") == before


def test_a_file_that_cannot_be_written_leaves_the_warehouse_up(sparkify: Sparkify) -> None:
    said = sparkify("up", "--env-file", "nowhere/.env", works=False)
    assert "all is up, but nowhere/.env cannot be written" in said
    assert sparkify.state()[0][0] == "CREATE_COMPLETE"


def test_template_and_policy_are_printed(sparkify: Sparkify) -> None:
    assert "AWS::RedshiftServerless::Namespace" in sparkify("template")
    policy = json.loads(sparkify("host-policy", "--lake", "s3://music/sparkify"))
    resources = [one["Resource"] for one in policy["Statement"]]
    assert "arn:aws:s3:::music/sparkify/manifests/*" in resources
