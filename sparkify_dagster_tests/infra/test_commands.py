"""plan, up, status and down against the double of AWS: what they do, say, and leave behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.settings import load_settings
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.infra.cloud import Cloud
from sparkify_dagster_tests.infra.conftest import Sparkify
from sparkify_dagster_tests.infra.template import ACCOUNT, REGION

CIDR = ("--allow-cidr", "10.0.0.0/16")
DOWN = ("down", "--confirm", "sparkify", "--final-snapshot", "kept")
KINDS = {"serverless": (), "cluster": ("--provisioned",)}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def state(cloud: Cloud) -> list[tuple[str, list[str]]]:
    stacks = [one for one in cloud.stacks.values() if one["StackStatus"] != "DELETE_COMPLETE"]
    assert all(not one["sets"] for one in stacks)
    return [(one["StackStatus"], list(one["made"])) for one in stacks]


def accepted(path: Path) -> dict[str, str]:
    """Return the variables of a `.env`, after the platform's own settings have taken them."""
    lines = [one for one in path.read_text().splitlines() if one and not one.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    load_redshift_settings(load_settings(values).lake, 300, values)
    return values


@kinds
def test_a_plan_shows_all_and_makes_nothing(
    cloud: Cloud, sparkify: Sparkify, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    shown = sparkify("plan", *CIDR, *kind).output
    for text in ("make  CopyRole (AWS::IAM::Role)", "CidrIp: 10.0.0.0/16", "s3:GetObject",
                 f"aws:SourceAccount: {ACCOUNT}", "PubliclyAccessible: false", "require_ssl",
                 "sparkify/log_data/*", "AdminPassword: True" if not kind else "Encrypted: True",
                 "Nothing was made"):  # fmt: skip
        assert text in shown
    assert state(cloud) == []
    assert cloud.writes == ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]
    assert not list(tmp_path.iterdir())


@kinds
def test_up_makes_it_once_and_then_what_the_options_change(
    cloud: Cloud, sparkify: Sparkify, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    said = sparkify("up", *CIDR, *kind).output
    assert "CREATE_COMPLETE              CopyRole" in said
    kept = tmp_path / ".env"
    values, after = accepted(kept), state(cloud)
    assert values["SPARKIFY_LAKE"] == "s3://music/sparkify"
    assert values["SPARKIFY_MANIFEST_PREFIX"] == "s3://music/sparkify/manifests"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [one["amount"] for one in cloud.limits.values()] == ([] if kind else [24])
    again = sparkify("up")
    assert "No resource changes" in again.output
    assert set(cloud.writes) == {"CreateChangeSet", "DeleteChangeSet"}
    assert (accepted(kept), state(cloud)) == (values, after)
    changed = sparkify("up", "--allow-cidr", "", "--usage-limit", "48").output
    assert "change  SecurityGroup" in changed
    assert "- SecurityGroupIngress.CidrIp: 10.0.0.0/16" in changed
    assert [one["amount"] for one in cloud.limits.values()] == ([] if kind else [48])
    assert "no limit" not in sparkify("status").output


@kinds
def test_down_keeps_the_snapshot_that_was_asked_for(
    cloud: Cloud, sparkify: Sparkify, kind: tuple[str, ...]
) -> None:
    sparkify("up", *kind)
    said = sparkify(*DOWN).output
    assert "keep    the lake with its manifests, .env, snapshot kept (billed)" in said
    assert (state(cloud), list(cloud.snapshots), cloud.limits) == ([], ["kept"], {})
    order = [name for name in cloud.writes if "UsageLimit" not in name]
    assert order == ["CreateClusterSnapshot" if kind else "CreateSnapshot", "DeleteStack"]
    assert not any("s3" in name.lower() for name, _ in cloud.calls)
    assert "There is no stack" in sparkify("down").output
    sparkify("up", *kind)
    assert "kept exists already" in sparkify(*DOWN, works=False).output
    assert len(state(cloud)) == 1
    sparkify("down", typed="n\nsparkify\n")
    assert (state(cloud), list(cloud.snapshots)) == ([], ["kept"])


@kinds
def test_down_goes_on_with_the_snapshot_that_it_began(
    cloud: Cloud, sparkify: Sparkify, kind: tuple[str, ...]
) -> None:
    sparkify("up", *kind)
    cloud.snapshots["kept"] = 2  # looks left: an interrupted down has just asked for it
    sparkify(*DOWN)
    assert (state(cloud), list(cloud.snapshots)) == ([], ["kept"])
    assert not any("Create" in name and "Snapshot" in name for name in cloud.writes)


def test_down_asks_and_respects(cloud: Cloud, sparkify: Sparkify) -> None:
    sparkify("up")
    for words, typed, reason in (
        (("--confirm", "sparkify"), "", "--no-final-snapshot"),
        (("--confirm", "other", "--no-final-snapshot"), "", "nothing was deleted"),
        ((), "y\nsnap\nother\n", "nothing was deleted"),
    ):
        assert reason in sparkify("down", *words, typed=typed, works=False).output
    cloud.fails["snapshot"] = "disk"
    assert "failed: nothing was deleted" in sparkify(*DOWN, works=False).output
    next(iter(cloud.stacks.values()))["EnableTerminationProtection"] = True
    assert "--no-enable-termination-protection" in sparkify(*DOWN, works=False).output
    assert "deletion protection on" in sparkify("status").output
    assert (cloud.writes, len(state(cloud)), len(cloud.limits)) == ([], 1, 1)


RESOURCES = ["SecurityGroup", "CopyRole", "ParameterGroup", "SubnetGroup", "Cluster", "Namespace",
             "Workgroup"]  # fmt: skip


@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource_that_fails_is_named_with_its_own_reason(
    cloud: Cloud, sparkify: Sparkify, name: str, tmp_path: Path
) -> None:
    options = () if name in ("Namespace", "Workgroup") else ("--provisioned",)
    options = (*options, *(f"--subnet-id={subnet}" for subnet, _, _ in cloud.subnets))
    cloud.fails[name] = "You have reached the quota"
    said = [sparkify(word, *options, works=False).output for word in ("up", "up", "plan")]
    for one in [*said, sparkify("status", works=False).output]:
        assert f"sparkify is ROLLBACK_COMPLETE: {name} (" in one
        assert "You have reached the quota. To go on: remove the cause, clear up by" in one
    assert not (tmp_path / ".env").exists()
    cloud.fails.clear()
    sparkify("down", "--confirm", "sparkify")  # nothing was kept, so there is no data to ask about
    sparkify("up", *options)
    cloud.fails[name] = "Still in use"
    assert f"DELETE_FAILED: {name} (" in sparkify(*DOWN, works=False).output
    cloud.fails.clear()
    sparkify("down", "--confirm", "sparkify", "--no-final-snapshot")
    assert state(cloud) == []


def test_an_update_that_fails_leaves_all_as_before(cloud: Cloud, sparkify: Sparkify) -> None:
    sparkify("up")
    before = state(cloud)[0][1]
    cloud.fails["Workgroup"] = "not now"
    said = sparkify("up", "--max-rpu", "32", works=False).output
    assert (
        "UPDATE_ROLLBACK_COMPLETE: Workgroup (AWS::RedshiftServerless::Workgroup): not now" in said
    )
    assert state(cloud) == [("UPDATE_ROLLBACK_COMPLETE", before)]
    cloud.fails["rollback"] = "x"
    assert "continue-update-rollback" in sparkify("up", "--max-rpu", "32", works=False).output
    assert "continue-update-rollback" in sparkify("plan", works=False).output


NOT_IN_PLACE = [
    ("up", "--provisioned"), ("up", "--database", "other"), ("plan", "--database", "other"),
]  # fmt: skip


@pytest.mark.parametrize("words", NOT_IN_PLACE, ids=str)
def test_no_change_loses_the_data(cloud: Cloud, sparkify: Sparkify, words: tuple[str, ...]) -> None:
    sparkify("up")
    before = state(cloud)
    assert "holds the data and cannot be changed" in sparkify(*words, works=False).output
    assert state(cloud) == before
    assert "ExecuteChangeSet" not in cloud.writes


REFUSED: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
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
    cloud: Cloud, sparkify: Sparkify, words: tuple[str, ...], changes: dict[str, Any], reason: str
) -> None:
    vars(cloud).update(changes)
    assert reason in " ".join(sparkify("plan", *words, works=False).output.split())
    assert state(cloud) == []


@kinds
def test_goes_on_after_a_cut_at_every_call(
    cloud: Cloud, sparkify: Sparkify, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    def cut_everywhere(*words: str) -> None:
        number = 0
        while True:
            start = len(cloud.calls)
            cloud.cut = (start + number // 2, number % 2 == 1)
            result = sparkify(*words, works=None)
            was_cut, cloud.cut = cloud.cut[0] < start + len(cloud.calls), None
            if result.exit_code == 0:
                return
            assert "interrupted; AWS works on" in result.output or "exists already" in result.output
            number += 1
            assert was_cut
            if words[0] == "plan":
                continue
            name = f"kept-{number}"
            words = (*words[:-1], name) if words[0] == "down" else words

    sparkify("plan", *kind)
    cut_everywhere("up", *CIDR, *kind)
    assert accepted(tmp_path / ".env")["REDSHIFT_PORT"] == "5439"
    assert (state(cloud)[0][0], len(cloud.limits)) == ("CREATE_COMPLETE", 0 if kind else 1)
    cut_everywhere(*DOWN)
    assert (state(cloud), cloud.limits) == ([], {})
    assert cloud.snapshots


def test_throttling_is_waited_out(cloud: Cloud, sparkify: Sparkify) -> None:
    cloud.is_throttled = True
    sparkify("up")
    assert state(cloud)[0][0] == "CREATE_COMPLETE"
    sparkify(*DOWN)
    assert state(cloud) == []


def test_drift_is_told(cloud: Cloud, sparkify: Sparkify) -> None:
    sparkify("up")
    assert "All is as the template says" in sparkify("status", "--drift").output
    differs = {"PropertyPath": "/CidrIp", "ExpectedValue": "10.0.0.0/16", "ActualValue": "::/0"}
    group = {"StackId": "x", "LogicalResourceId": "SecurityGroup", "ResourceType": "AWS::EC2::X",
             "StackResourceDriftStatus": "MODIFIED", "Timestamp": cloud.clock,
             "PropertyDifferences": [differs | {"DifferenceType": "NOT_EQUAL"}]}  # fmt: skip
    gone = {"LogicalResourceId": "CopyRole", "StackResourceDriftStatus": "DELETED"}
    cloud.drifts = [group, group | gone | {"PropertyDifferences": []}]
    said = sparkify("status", "--drift").output
    assert "SecurityGroup is MODIFIED\n  /CidrIp: 10.0.0.0/16 -> ::/0\nCopyRole is DELETED" in said


SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
ENV_FILES = {
    "the example": ((REPOSITORY / ".env.example").read_text("utf-8"), "redshift!sparkify-a1"),
    "an earlier admin": (f"REDSHIFT_SECRET_ARN={SECRET}redshift!old-b2\n", "redshift!sparkify-a1"),
    "the loading user": (f"REDSHIFT_SECRET_ARN={SECRET}loader-c3\n", "loader-c3"),
    "other logins": ("export REDSHIFT_WORKGROUP=w\nREDSHIFT_CLUSTER_ID=c\nREDSHIFT_USER=u\n"
                     "REDSHIFT_PASSWORD=p\nMINE=1\n", "redshift!sparkify-a1"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENV_FILES)
def test_the_platform_takes_what_up_writes(
    sparkify: Sparkify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    text, secret = ENV_FILES[case]
    path = tmp_path / ".env"
    path.write_text(text, "utf-8")
    sparkify("up")
    values = accepted(path)
    assert values["REDSHIFT_SECRET_ARN"] == SECRET + secret
    kept = [line.removeprefix("#") for line in path.read_text("utf-8").splitlines()]
    for line in text.splitlines():
        assert line.removeprefix("#") in kept or line.partition("=")[0] in values
    before = path.read_text("utf-8")
    sparkify("up")
    assert path.read_text("utf-8") == before


def test_a_file_that_cannot_be_written_leaves_the_warehouse_up(
    cloud: Cloud, sparkify: Sparkify
) -> None:
    said = sparkify("up", "--env-file", "nowhere/.env", works=False).output
    assert "all is up, but nowhere/.env cannot be written" in said
    assert state(cloud)[0][0] == "CREATE_COMPLETE"


def test_template_and_policy_are_printed(sparkify: Sparkify) -> None:
    assert "AWS::RedshiftServerless::Namespace" in sparkify("template").output
    policy = json.loads(sparkify("host-policy", "--lake", "s3://music/sparkify").output)
    assert "arn:aws:s3:::music/sparkify/manifests/*" in [
        one["Resource"] for one in policy["Statement"]
    ]
