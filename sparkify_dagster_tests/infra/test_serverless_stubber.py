"""Serverless against botocore's Stubber: the very sequence of calls, and answers by the model.

The double of doubles.py may share an error with the code; these answers are written out, in the
form that AWS gives them.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from sparkify_dagster.infra import serverless
from sparkify_dagster.infra.aws import Aws, Facts
from sparkify_dagster_tests.infra.conftest import settings_of
from sparkify_dagster_tests.infra.doubles import ACCOUNT, REGION, Cloud

SETTINGS = settings_of()
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sparkify-copy"
ARN = f"arn:aws:redshift-serverless:{REGION}:{ACCOUNT}"
OURS = [
    {"key": "sparkify:project", "value": "sparkify"},
    {"key": "sparkify:managed-by", "value": "sparkify-infra"},
    {"key": "Name", "value": "sparkify"},
]
WORKGROUP: dict[str, Any] = {
    "workgroupName": "sparkify",
    "workgroupArn": f"{ARN}:workgroup/w1",
    "namespaceName": "sparkify",
    "status": "AVAILABLE",
    "baseCapacity": 8,
    "maxCapacity": 16,
    "port": 5439,
    "publiclyAccessible": False,
    "securityGroupIds": ["(not made yet)"],
    "subnetIds": ["subnet-1", "subnet-2", "subnet-3"],
    "configParameters": [
        {"parameterKey": "auto_mv", "parameterValue": "true"},
        {"parameterKey": "require_ssl", "parameterValue": "true"},
    ],
    "endpoint": {"address": "sparkify.example.invalid", "port": 5439},
}
LIMITS = {"resourceArn": WORKGROUP["workgroupArn"], "usageType": "serverless-compute"}


@pytest.fixture
def stub(cloud: Cloud, aws: Aws) -> Iterator[Stubber]:
    with Stubber(aws.client("redshift-serverless")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def facts() -> Facts:
    return Facts(ACCOUNT, "aws", "vpc-1")


def found_workgroup(stub: Stubber, aws: Aws, **changes: object) -> serverless.Found:
    arn = {"resourceArn": WORKGROUP["workgroupArn"]}
    stub.add_response(
        "get_workgroup", {"workgroup": WORKGROUP | changes}, {"workgroupName": "sparkify"}
    )
    stub.add_response("list_tags_for_resource", {"tags": OURS}, arn)
    found = serverless.find_workgroup(aws, SETTINGS.names)
    assert found is not None
    return found


def test_what_does_not_exist(stub: Stubber, aws: Aws) -> None:
    stub.add_client_error("get_namespace", "ResourceNotFoundException")
    stub.add_client_error("get_workgroup", "ResourceNotFoundException")
    stub.add_client_error("get_snapshot", "ResourceNotFoundException")
    assert serverless.find_namespace(aws, SETTINGS.names) is None
    assert serverless.find_workgroup(aws, SETTINGS.names) is None
    assert serverless.find_snapshot(aws, SETTINGS.names, "final") is None


def test_what_is_deleted_between_two_calls(stub: Stubber, aws: Aws) -> None:
    stub.add_response("get_workgroup", {"workgroup": WORKGROUP})
    stub.add_client_error("list_tags_for_resource", "ResourceNotFoundException")
    assert serverless.find_workgroup(aws, SETTINGS.names) is None


def test_a_workgroup_that_is_as_it_should_be(stub: Stubber, aws: Aws, facts: Facts) -> None:
    found = found_workgroup(stub, aws)
    assert (found.phase, found.endpoint) == ("ready", "sparkify.example.invalid:5439")
    limit = {"usageLimitId": "u1", "amount": 24, "period": "daily", "breachAction": "deactivate"}
    stub.add_response("list_usage_limits", {"usageLimits": [limit]}, LIMITS)
    assert serverless.workgroup_differences(aws, SETTINGS, facts, found) == []


@pytest.mark.parametrize(
    ("status", "phase"),
    [("CREATING", "busy"), ("MODIFYING", "busy"), ("DELETING", "deleting")],
)
def test_states_of_a_workgroup(status: str, phase: str, stub: Stubber, aws: Aws) -> None:
    assert found_workgroup(stub, aws, status=status, endpoint={}).phase == phase


def test_each_repair_of_a_workgroup_is_an_update_of_one_parameter(
    stub: Stubber, aws: Aws, facts: Facts
) -> None:
    found = found_workgroup(
        stub, aws, publiclyAccessible=True, baseCapacity=64, maxCapacity=128, configParameters=[]
    )
    other = {"usageLimitId": "u0", "amount": 24, "period": "monthly", "breachAction": "log"}
    ours = {"usageLimitId": "u1", "amount": 9, "period": "daily", "breachAction": "deactivate"}
    page = {"usageLimits": [other], "nextToken": "more-to-come"}
    stub.add_response("list_usage_limits", page, LIMITS)
    stub.add_response(
        "list_usage_limits", {"usageLimits": [ours]}, LIMITS | {"nextToken": "more-to-come"}
    )
    differences = serverless.workgroup_differences(aws, SETTINGS, facts, found)
    tls = [{"parameterKey": "require_ssl", "parameterValue": "true"}]
    for update in (
        {"baseCapacity": 8},
        {"maxCapacity": 16},
        {"publiclyAccessible": False},
        {"configParameters": tls},
    ):
        expected = {"workgroupName": "sparkify", **update}
        stub.add_response("update_workgroup", {"workgroup": WORKGROUP}, expected)
    changed = {"usageLimitId": "u1", "amount": 24}
    stub.add_response("update_usage_limit", {"usageLimit": changed}, changed)
    for difference in differences:
        assert difference.repair is not None
        difference.repair()


@pytest.mark.parametrize(
    "roles",
    [
        [ROLE],
        [f"IamRole(applyStatus=in-sync, iamRoleArn={ROLE})"],
        [f"IamRole(iamRoleArn={ROLE}, applyStatus=in-sync)", "arn:aws:iam::123456789012:role/b"],
    ],
)
def test_roles_in_all_the_forms_that_aws_uses(
    roles: list[str], stub: Stubber, aws: Aws, facts: Facts
) -> None:
    raw = {
        "namespaceName": "sparkify",
        "namespaceArn": f"{ARN}:namespace/n1",
        "namespaceId": "n1",
        "status": "AVAILABLE",
        "dbName": "sparkify",
        "adminUsername": "sparkify_admin",
        "iamRoles": roles,
    }
    stub.add_response("get_namespace", {"namespace": raw}, {"namespaceName": "sparkify"})
    stub.add_response("list_tags_for_resource", {"tags": OURS})
    found = serverless.find_namespace(aws, SETTINGS.names)
    assert found is not None
    texts = [item.text for item in serverless.namespace_differences(aws, SETTINGS, facts, found)]
    assert texts == ["admin password is not known to be the secret's"]
