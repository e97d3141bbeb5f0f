"""plan, up, status and down against the double of AWS: what they do, say, and leave behind."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from dotenv import dotenv_values

from sparkify_dagster.cli.infra import command
from sparkify_dagster.infra.options import OPTIONS
from sparkify_dagster.settings import load_settings
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.infra.cloud import Cloud
from sparkify_dagster_tests.infra.conftest import Sparkify
from sparkify_dagster_tests.infra.template import CASES

CIDR = ("--allow-cidr", "10.0.0.0/16")
DOWN = ("down", "--confirm", "sparkify", "--final-snapshot", "kept")
kinds = pytest.mark.parametrize("kind", [(), ("--provisioned",)], ids=["serverless", "cluster"])
Words = tuple[str, ...]


def accepted(path: Path) -> dict[str, str]:
    """Return the variables of a `.env`, after the platform's own settings have taken them."""
    values = {key: value or "" for key, value in dotenv_values(path).items()}
    load_redshift_settings(load_settings(values).lake, 300, values)
    return values


@pytest.mark.parametrize(("kind", "texts"), CASES["planned"])
def test_a_plan_shows_all_and_makes_nothing(
    sparkify: Sparkify, kind: Words, texts: list[str]
) -> None:
    shown = sparkify("plan", *CIDR, *kind)
    assert [text for text in texts if text not in shown] == []
    assert sparkify.state() == []
    assert sparkify.cloud.writes == ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]
    assert not sparkify.env_file.exists()


@kinds
def test_up_makes_it_once_and_then_what_the_options_change(sparkify: Sparkify, kind: Words) -> None:
    cloud = sparkify.cloud
    assert "CREATE_COMPLETE              CopyRole" in sparkify("up", *CIDR, *kind)
    values, after = accepted(sparkify.env_file), sparkify.state()
    assert values["SPARKIFY_LAKE"] == "s3://music/sparkify"
    assert values["SPARKIFY_MANIFEST_PREFIX"] == "s3://music/sparkify/manifests"
    assert sparkify.env_file.stat().st_mode & 0o777 == 0o600
    assert [one["amount"] for one in cloud.limits.values()] == ([] if kind else [24])
    assert "No resource changes" in sparkify("up")
    assert set(cloud.writes) == {"CreateChangeSet", "DeleteChangeSet"}
    assert (accepted(sparkify.env_file), sparkify.state()) == (values, after)
    changed = sparkify("up", "--allow-cidr", "", "--usage-limit", "48")
    assert "change  SecurityGroup" in changed
    assert "- SecurityGroupIngress.CidrIp: 10.0.0.0/16" in changed
    assert [one["amount"] for one in cloud.limits.values()] == ([] if kind else [48])
    cloud.is_protected = True
    said = sparkify("status")
    assert "deletion protection on" in said
    assert "no limit" not in said


@kinds
def test_down_keeps_the_snapshot_that_was_asked_for(sparkify: Sparkify, kind: Words) -> None:
    cloud = sparkify.cloud
    sparkify("up", *kind)
    said = sparkify(*DOWN)
    assert "keep    the lake with its manifests, .env, snapshot kept (billed)" in said
    assert (sparkify.state(), list(cloud.snapshots), cloud.limits) == ([], ["kept"], {})
    order = [name for name in cloud.writes if "UsageLimit" not in name]
    assert order == ["CreateClusterSnapshot" if kind else "CreateSnapshot", "DeleteStack"]
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


@pytest.mark.parametrize(("name", "options"), CASES["resources"].items())
def test_a_resource_that_fails_is_named(sparkify: Sparkify, name: str, options: Words) -> None:
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
    sparkify(*DOWN[:3], "--no-final-snapshot")
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


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: case["says"])
def test_what_is_refused_changes_nothing(sparkify: Sparkify, case: dict[str, Any]) -> None:
    cloud = sparkify.cloud
    if "after" in case:
        sparkify(case["after"])
    before = sparkify.state(), dict(cloud.limits)
    vars(cloud).update(case.get("account", {}))
    said = sparkify(*case["words"], typed=case.get("typed", ""), works=False)
    assert case["says"] in " ".join(said.split())
    assert (sparkify.state(), cloud.limits) == before
    assert not {"ExecuteChangeSet", "DeleteUsageLimit"} & {*cloud.writes}


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
            if words[0] == "plan":
                sparkify(*words)

    cut_everywhere("plan", *kind, "--name=sparkify")
    cut_everywhere("up", *CIDR, *kind, "--name=sparkify")
    assert accepted(sparkify.env_file)["REDSHIFT_PORT"] == "5439"
    assert (sparkify.state()[0][0], len(cloud.limits)) == ("CREATE_COMPLETE", 0 if kind else 1)
    cut_everywhere(*DOWN[:-1], "kept-{}")
    assert (sparkify.state(), cloud.limits) == ([], {})
    assert cloud.snapshots


def test_throttling_is_waited_out(sparkify: Sparkify) -> None:
    sparkify.cloud.throttled = {}
    sparkify("up")
    sparkify(*DOWN)
    assert (sparkify.state(), list(sparkify.cloud.snapshots)) == ([], ["kept"])


def test_drift_is_told(sparkify: Sparkify) -> None:
    sparkify("up")
    assert "All is as the template says" in sparkify("status", "--drift")
    sparkify.cloud.drifts = CASES["drifts"]
    said = sparkify("status", "--drift")
    assert "SecurityGroup is MODIFIED\n  /CidrIp: 10.0.0.0/16 -> ::/0\nCopyRole is DELETED" in said


EXAMPLE = [(REPOSITORY / ".env.example").read_text("utf-8"), "redshift!sparkify-a1"]


@pytest.mark.parametrize(("text", "secret"), [EXAMPLE, *CASES["env_files"]])
def test_the_platform_takes_what_up_writes(sparkify: Sparkify, text: str, secret: str) -> None:
    path = sparkify.env_file
    path.write_text(text, "utf-8")
    sparkify("up")
    values, before, written = accepted(path), path.read_text("utf-8"), path.stat().st_ino
    assert values["REDSHIFT_SECRET_ARN"].endswith(f":secret:{secret}")
    kept = [line.removeprefix("#") for line in before.splitlines()]
    for line in text.splitlines():
        assert line.removeprefix("#") in kept or line.partition("=")[0] in values
    sparkify("up")
    assert (path.read_text("utf-8"), path.stat().st_ino) == (before, written)


def test_template_and_policy_are_printed(sparkify: Sparkify) -> None:
    assert "AWS::RedshiftServerless::Namespace" in sparkify("template")
    policy = json.loads(sparkify("host-policy", "--lake", "s3://music/sparkify"))
    resources = [one["Resource"] for one in policy["Statement"]]
    assert "arn:aws:s3:::music/sparkify/manifests/*" in resources


DOCS = (REPOSITORY / "docs/provisioning.md").read_text("utf-8")


def test_docs_name_options_and_defaults() -> None:
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| `?(.*?)`? \|", DOCS, re.MULTILINE))
    params = [one for each in command.commands.values() for one in each.params]
    options = {one.opts[0]: one.name for one in params if isinstance(one, click.Option)}
    assert set(rows) == set(options)
    for flag, name in options.items():
        if name in OPTIONS and OPTIONS[name]["Default"]:
            assert rows[flag] == str(OPTIONS[name]["Default"])


def test_docs_name_the_rights() -> None:
    named = re.findall(r"`(?:cloudformation|ec2|redshift|redshift-serverless):(\w+)`", DOCS)
    assert sorted(named) == sorted(name for name in vars(Cloud) if name[0].isupper())
