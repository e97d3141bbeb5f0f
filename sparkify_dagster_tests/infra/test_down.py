import pytest

from sparkify_dagster.infra import engine
from sparkify_dagster.infra.aws import Aws
from sparkify_dagster.infra.engine import Run
from sparkify_dagster.infra.errors import InfraError
from sparkify_dagster_tests.infra.conftest import settings_of
from sparkify_dagster_tests.infra.doubles import Call, Cloud, ServiceError
from sparkify_dagster_tests.infra.state import (
    NAME,
    admin_password,
    attach_policy,
    namespace,
    warehouse_password,
)

KINDS = ["serverless", "provisioned"]
NAMES = settings_of().names


def down(run: Run, final_snapshot: str | None = None) -> None:
    engine.down(run, NAMES, engine.to_delete(run.aws, NAMES), final_snapshot)


def test_the_order_of_deletion(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of())
    cloud.calls.clear()
    down(run)
    assert [call.operation for call in cloud.writes] == [
        "DeleteUsageLimit",
        "DeleteWorkgroup",
        "DeleteNamespace",
        "DeleteSecret",
        "DeleteRolePolicy",
        "DeleteRole",
        "DeleteSecurityGroup",
    ]
    assert cloud.sent("DeleteSecret")[0]["RecoveryWindowInDays"] == 7


def test_the_order_of_deletion_of_a_cluster(cloud: Cloud, aws: Aws, run: Run) -> None:
    answer = aws.client("ec2").describe_subnets()["Subnets"]
    subnets = tuple(subnet["SubnetId"] for subnet in answer[:3])
    engine.up(run, settings_of(kind="provisioned", subnet_ids=subnets))
    cloud.calls.clear()
    down(run)
    assert [call.operation for call in cloud.writes] == [
        "DeleteCluster",
        "DeleteClusterSubnetGroup",
        "DeleteClusterParameterGroup",
        "DeleteSecret",
        "DeleteRolePolicy",
        "DeleteRole",
        "DeleteSecurityGroup",
    ]
    assert cloud.sent("DeleteCluster")[0]["SkipFinalClusterSnapshot"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_and_a_second_down_does_nothing(
    kind: str, cloud: Cloud, aws: Aws, run: Run
) -> None:
    engine.up(run, settings_of(kind=kind))
    down(run)
    (left,) = engine.present(aws, NAMES)
    assert (left[0].key, left[1].phase) == ("secret", "scheduled")
    cloud.calls.clear()
    assert engine.to_delete(aws, NAMES) == []
    down(run)
    assert cloud.writes == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_final_snapshot_is_kept_and_tagged(kind: str, cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of(kind=kind))
    cloud.calls.clear()
    down(run, "keep-me")
    sent = cloud.sent("DeleteNamespace") + cloud.sent("DeleteCluster")
    if kind == "serverless":
        assert sent == [{"namespaceName": "sparkify", "finalSnapshotName": "keep-me"}]
    else:
        assert sent == [
            {
                "ClusterIdentifier": "sparkify",
                "SkipFinalClusterSnapshot": False,
                "FinalClusterSnapshotIdentifier": "keep-me",
            }
        ]
    module = engine.serverless if kind == "serverless" else engine.provisioned
    found = module.find_snapshot(aws, NAMES, "keep-me")
    assert found is not None
    assert found.is_ours(NAME)
    assert found.tags["Name"] == "keep-me"
    cloud.calls.clear()
    down(run, "keep-me")
    assert cloud.writes == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_of_an_earlier_time_does_not_count_as_final(
    kind: str, cloud: Cloud, run: Run
) -> None:
    engine.up(run, settings_of(kind=kind))
    down(run, "keep-me")
    engine.up(run, settings_of(kind=kind))
    cloud.calls.clear()
    with pytest.raises(InfraError, match="keep-me exists already, from an earlier time"):
        down(run, "keep-me")
    assert cloud.writes == []


@pytest.mark.parametrize("kind", KINDS)
def test_up_after_down_restores_the_secret(kind: str, cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of(kind=kind))
    down(run)
    cloud.calls.clear()
    engine.up(run, settings_of(kind=kind))
    assert "RestoreSecret" in [call.operation for call in cloud.writes]
    assert warehouse_password(cloud) == admin_password(aws)


def test_untagged_look_alikes_are_left_alone(cloud: Cloud, aws: Aws, run: Run) -> None:
    iam, ec2 = aws.client("iam"), aws.client("ec2")
    iam.create_role(RoleName="sparkify-copy", AssumeRolePolicyDocument="{}")
    group = ec2.create_security_group(GroupName="sparkify-redshift", Description="another's")
    aws.client("secretsmanager").create_secret(Name="sparkify/redshift-admin", SecretString="{}")
    redshift, serverless = aws.client("redshift"), aws.client("redshift-serverless")
    redshift.create_cluster(
        ClusterIdentifier="sparkify",
        NodeType="ra3.large",
        MasterUsername="u",
        MasterUserPassword="Password12",
        Tags=[{"Key": "sparkify:project", "Value": "sparkify"}],  # but not made by this tool
    )
    redshift.create_cluster_parameter_group(
        ParameterGroupName="sparkify-parameters",
        ParameterGroupFamily="redshift-1.0",
        Description="another's",
        Tags=[
            {"Key": "sparkify:project", "Value": "sparkify-two"},
            {"Key": "sparkify:managed-by", "Value": "sparkify-infra"},
        ],
    )
    serverless.create_namespace(namespaceName="sparkify", adminUserPassword="Password12")
    serverless.create_workgroup(
        workgroupName="sparkify", namespaceName="sparkify", port=5439, configParameters=[]
    )
    assert len(engine.present(aws, NAMES)) == 7
    cloud.calls.clear()
    down(run)
    assert cloud.writes == []
    assert len(engine.present(aws, NAMES)) == 7
    # Even where the caller insists on deleting one.
    with pytest.raises(InfraError, match="no longer carries our tags: left as it is"):
        engine.down(run, NAMES, engine.present(aws, NAMES)[:1], None)
    assert ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]


def test_our_group_beside_another_s_of_the_same_name(cloud: Cloud, aws: Aws, run: Run) -> None:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    engine.up(run, settings_of())
    other = ec2.create_security_group(
        GroupName="sparkify-redshift", Description="another's", VpcId=vpc
    )["GroupId"]
    cloud.calls.clear()
    engine.up(run, settings_of())
    assert cloud.writes == []
    down(run)
    assert ec2.describe_security_groups(GroupIds=[other])["SecurityGroups"]


def test_policies_that_others_attached_to_our_role_go_with_it(
    cloud: Cloud, aws: Aws, run: Run
) -> None:
    engine.up(run, settings_of())
    attach_policy(cloud, aws)
    down(run)
    assert aws.client("iam").list_roles()["Roles"] == []


def test_a_group_still_in_use_is_tried_again_until_it_is_free(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of())
    refusals = iter(range(3))

    def refuse(call: Call) -> ServiceError | None:
        if call.operation == "DeleteSecurityGroup" and next(refusals, None) is not None:
            return ServiceError("DependencyViolation", "has a dependent object")
        return None

    cloud.refuse = refuse
    shown: list[str] = []
    run.waiter.show = shown.append
    down(run)
    assert shown.count("security group sparkify-redshift: still in use (DependencyViolation)") == 3
    assert len(cloud.sent("DeleteSecurityGroup")) == 4


def test_the_time_limit_stops_down_and_a_second_down_goes_on(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of())
    cloud.serverless.polls = 10_000
    with pytest.raises(InfraError, match="workgroup sparkify is still deleting after 40 minutes"):
        down(run)
    assert namespace(cloud)["status"] == "AVAILABLE"
    cloud.serverless.workgroups[NAME]["left"] = 1
    cloud.serverless.polls = 1
    cloud.calls.clear()
    run.waiter._deadline = None  # another command, another time
    down(run)
    assert cloud.writes[0].operation == "DeleteNamespace"
    assert cloud.serverless.namespaces == {}


def test_an_error_that_waiting_does_not_help_is_not_tried_again(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of())
    cloud.refuse = lambda call: (
        ServiceError("ValidationException", "no") if call.operation == "DeleteNamespace" else None
    )
    with pytest.raises(Exception, match="ValidationException"):
        down(run)
    assert len(cloud.sent("DeleteNamespace")) == 1
