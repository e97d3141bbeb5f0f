"""Errors as one line. Serverless's come through botocore's Stubber, from its own client."""

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    UnauthorizedSSOTokenError,
)
from botocore.stub import Stubber

from sparkify_dagster.infra.aws import Aws
from sparkify_dagster.infra.errors import InfraError, explain
from sparkify_dagster_tests.infra.doubles import REGION, Cloud


def refused(aws: Aws, method: str, code: str, message: str, **arguments: Any) -> str:
    client = aws.client("redshift-serverless")
    with Stubber(client) as stub:
        stub.add_client_error(method, code, message)
        with pytest.raises(ClientError) as caught:
            getattr(client, method)(**arguments)
    return explain(caught.value, aws.last_service)


def test_a_missing_right_is_named_as_the_call(cloud: Cloud, aws: Aws) -> None:
    text = refused(aws, "get_namespace", "AccessDeniedException", "no", namespaceName="sparkify")
    assert text.startswith("AWS refuses redshift-serverless:GetNamespace: these credentials lack")
    assert "Ask for redshift-serverless:GetNamespace, then run" in text


def test_a_missing_right_is_named_as_aws_names_it(cloud: Cloud, aws: Aws) -> None:
    text = refused(
        aws,
        "create_namespace",
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: iam:PassRole\non x",
        namespaceName="sparkify",
    )
    assert text.startswith("AWS refuses iam:PassRole: ")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("ServiceQuotaExceededException", "reaches a quota of the account"),
        ("InsufficientCapacityException", "has no capacity"),
        ("ThrottlingException", "wait a minute and run again"),
        ("ExpiredTokenException", "sign in again"),
        ("UnrecognizedClientException", "sign in again"),
        ("ValidationException", "redshift-serverless:CreateWorkgroup failed (ValidationException)"),
    ],
)
def test_other_refusals(code: str, part: str, cloud: Cloud, aws: Aws) -> None:
    text = refused(aws, "create_workgroup", code, "sorry", workgroupName="abc", namespaceName="abc")
    assert part in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("code", "operation"),
    [
        ("ClusterQuotaExceeded", "CreateCluster"),
        ("NumberOfNodesQuotaExceeded", "CreateCluster"),
        ("LimitExceeded", "CreateRole"),
        ("SecurityGroupLimitExceeded", "CreateSecurityGroup"),
    ],
)
def test_quotas_of_the_other_services(code: str, operation: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "sorry"}}, operation)
    assert f"any:{operation} reaches a quota of the account ({code})" in explain(error, "any")


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (NoCredentialsError(), "no usable AWS credentials: sign in"),
        (ProfileNotFound(profile="nobody"), "check AWS_PROFILE"),
        (SSOTokenLoadError(error_msg="gone"), "aws sso login"),
        (UnauthorizedSSOTokenError(), "aws sso login"),
        (EndpointConnectionError(endpoint_url="https://x"), "AWS was not reached"),
    ],
)
def test_errors_before_aws_answers(error: BotoCoreError, part: str) -> None:
    assert part in explain(error, "sts")


def test_a_region_that_is_none() -> None:
    with pytest.raises(InfraError, match="no region like us-west-2"):
        Aws("Oregon")


def test_the_record_of_the_last_service(cloud: Cloud, aws: Aws) -> None:
    aws.client("ec2").describe_vpcs()
    assert aws.last_service == "ec2"
    aws.client("sts").get_caller_identity()
    assert aws.last_service == "sts"
    assert aws.region == REGION
