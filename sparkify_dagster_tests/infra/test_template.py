"""Who may reach the warehouse, who may assume its role, what is encrypted, for every option."""

import json
from itertools import product
from typing import Any

import pytest
from cfnlint import ConfigMixIn
from cfnlint.runner import Runner

from sparkify_dagster.infra.options import FOLDER, TEMPLATE, host_policy, places
from sparkify_dagster_tests.infra.template import CASES, Refused, Rendered

NEEDED = {"LakeBucket": "music", "LakePrefix": "in/", "ManifestBucket": "copy", "VpcId": "vpc-1"}


def properties(given: dict[str, str], resource: str) -> dict[str, Any]:
    return dict(Rendered(TEMPLATE, NEEDED | given).resources()[resource]["Properties"])


@pytest.mark.parametrize(("given", "resource", "wanted"), CASES["options"])
def test_what_each_option_makes(given: dict[str, str], resource: str, wanted: Any) -> None:
    made = properties(given, resource)
    assert {name: made.get(name) for name in wanted} == wanted


def allowed(statements: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the prefixes by action and resource."""
    found = {}
    for one in statements:
        assert one["Effect"] == "Allow"
        both = ([of] if isinstance(of, str) else of for of in (one["Action"], one["Resource"]))
        for right in map(" ".join, product(*both)):
            assert right not in found
            found[right] = one.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
    return found


@pytest.mark.parametrize(("given", "rights"), CASES["copy"])
def test_copy_may_read_lake_and_manifests(given: dict[str, str], rights: dict[str, Any]) -> None:
    (policy,) = properties(given, "CopyRole")["Policies"]
    assert allowed(policy["PolicyDocument"]["Statement"]) == rights


@pytest.mark.parametrize(("login", "rights"), CASES["host"])
def test_rights_of_the_host(login: dict[str, str], rights: dict[str, Any]) -> None:
    policy = host_policy(places("s3://music/in", "s3://copy/manifests") | login)
    assert allowed(policy["Statement"]) == rights
    assert all(one["Sid"].isalnum() for one in policy["Statement"])
    assert "$" not in json.dumps(policy)


@pytest.mark.parametrize("given", CASES["malformed"], ids=str)
def test_what_the_template_refuses(given: dict[str, str]) -> None:
    with pytest.raises(Refused):
        Rendered(TEMPLATE, NEEDED | given)


def test_cfn_lint_finds_nothing_and_no_password_passes_through() -> None:
    path = str(FOLDER / "cloudformation.yaml")
    config = ConfigMixIn(templates=[path], regions=["us-east-1", "us-west-2", "eu-west-1"])
    assert [str(match) for match in Runner(config).run()] == []
    assert not any(word in TEMPLATE for word in ("UserPassword", "resolve:", "GenerateSecret"))
