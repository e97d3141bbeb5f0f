import json
from collections.abc import Callable
from typing import Any

import pytest

from sparkify_dagster.infra import engine
from sparkify_dagster.infra.aws import Aws
from sparkify_dagster.infra.engine import Run
from sparkify_dagster.infra.errors import InfraError
from sparkify_dagster.infra.settings import S3Prefix
from sparkify_dagster_tests.infra.conftest import settings_of
from sparkify_dagster_tests.infra.doubles import ACCOUNT, REGION, Call, Cloud, ServiceError
from sparkify_dagster_tests.infra.state import (
    DAMAGES,
    NAME,
    Damage,
    account_state,
    admin_password,
    clusters,
    delete_secret,
    namespace,
    warehouse_password,
    workgroup,
)

KINDS = ["serverless", "provisioned"]


def tags(name: str, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    wanted = {
        "sparkify:project": NAME,
        "sparkify:managed-by": "sparkify-infra",
        "Name": name,
    }
    return [{key: tag, value: text} for tag, text in wanted.items()]


def test_the_role_as_sent_is_the_least_that_copy_needs(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of(manifests=S3Prefix("sparkify-work", "copy/")))
    (role,) = cloud.sent("CreateRole")
    (policy,) = cloud.sent("PutRolePolicy")
    assert json.loads(role["AssumeRolePolicyDocument"])["Statement"] == [
        {
            "Sid": "RedshiftOfThisAccount",
            "Effect": "Allow",
            "Principal": {
                "Service": ["redshift-serverless.amazonaws.com", "redshift.amazonaws.com"]
            },
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {
                    "aws:SourceArn": [
                        f"arn:aws:redshift-serverless:{REGION}:{ACCOUNT}:*",
                        f"arn:aws:redshift:{REGION}:{ACCOUNT}:*",
                    ]
                },
            },
        }
    ]
    lake, work = "arn:aws:s3:::sparkify-lake", "arn:aws:s3:::sparkify-work"
    statements = json.loads(policy["PolicyDocument"])["Statement"]
    assert all(statement.pop("Effect") == "Allow" for statement in statements)
    assert statements == [
        {
            "Sid": "ListLake",
            "Action": "s3:ListBucket",
            "Resource": lake,
            "Condition": {
                "StringLike": {
                    "s3:prefix": ["raw/log_data/*", "raw/song_data/*", "raw/log_json_path.json"]
                }
            },
        },
        {
            "Sid": "ReadLake",
            "Action": "s3:GetObject",
            "Resource": [
                f"{lake}/raw/log_data/*",
                f"{lake}/raw/song_data/*",
                f"{lake}/raw/log_json_path.json",
            ],
        },
        {
            "Sid": "ListManifests",
            "Action": "s3:ListBucket",
            "Resource": work,
            "Condition": {"StringLike": {"s3:prefix": ["copy/*"]}},
        },
        {
            "Sid": "KeepManifests",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": [f"{work}/copy/*"],
        },
    ]
    assert cloud.sent("AttachRolePolicy") == []


def test_a_cluster_s_role_trusts_that_cluster_only(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of(kind="provisioned"))
    (role,) = cloud.sent("CreateRole")
    (statement,) = json.loads(role["AssumeRolePolicyDocument"])["Statement"]
    assert statement["Principal"] == {"Service": "redshift.amazonaws.com"}
    source = {"aws:SourceArn": f"arn:aws:redshift:{REGION}:{ACCOUNT}:cluster:sparkify"}
    assert statement["Condition"]["ArnLike"] == source


def test_serverless_as_sent(cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of())
    (made,) = cloud.sent("CreateNamespace")
    assert made == {
        "namespaceName": "sparkify",
        "dbName": "sparkify",
        "adminUsername": "sparkify_admin",
        "adminUserPassword": admin_password(aws),
        "iamRoles": [f"arn:aws:iam::{ACCOUNT}:role/sparkify-copy"],
        "tags": tags("sparkify", "key", "value"),
    }
    (made,) = cloud.sent("CreateWorkgroup")
    (group,) = aws.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["sparkify-redshift"]}]
    )["SecurityGroups"]
    assert made == {
        "workgroupName": "sparkify",
        "namespaceName": "sparkify",
        "baseCapacity": 8,
        "maxCapacity": 16,
        "port": 5439,
        "publiclyAccessible": False,
        "securityGroupIds": [group["GroupId"]],
        "configParameters": [{"parameterKey": "require_ssl", "parameterValue": "true"}],
        "tags": tags("sparkify", "key", "value"),
    }
    (limit,) = cloud.sent("CreateUsageLimit")
    assert limit == {
        "resourceArn": workgroup(cloud)["workgroupArn"],
        "usageType": "serverless-compute",
        "amount": 24,
        "period": "daily",
        "breachAction": "deactivate",
    }


def test_a_cluster_as_sent(cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of(kind="provisioned"))
    (made,) = cloud.sent("CreateCluster")
    group = made.pop("VpcSecurityGroupIds")
    assert made == {
        "ClusterIdentifier": "sparkify",
        "DBName": "sparkify",
        "Port": 5439,
        "MasterUsername": "sparkify_admin",
        "MasterUserPassword": admin_password(aws),
        "Encrypted": True,
        "PubliclyAccessible": False,
        "ClusterParameterGroupName": "sparkify-parameters",
        "IamRoles": [f"arn:aws:iam::{ACCOUNT}:role/sparkify-copy"],
        "AutomatedSnapshotRetentionPeriod": 1,
        "Tags": tags("sparkify"),
        "ClusterType": "single-node",
        "NodeType": "ra3.large",
    }
    assert [item.id for item in clusters()[NAME].vpc_security_groups] == group
    assert cloud.sent("ModifyClusterParameterGroup") == [
        {
            "ParameterGroupName": "sparkify-parameters",
            "Parameters": [{"ParameterName": "require_ssl", "ParameterValue": "true"}],
        }
    ]


def test_a_larger_cluster_in_given_subnets(cloud: Cloud, aws: Aws, run: Run) -> None:
    answer = aws.client("ec2").describe_subnets()["Subnets"]
    subnets = tuple(subnet["SubnetId"] for subnet in answer[:3])
    settings = settings_of(kind="provisioned", subnet_ids=subnets, node_count=2)
    engine.up(run, settings)
    (made,) = cloud.sent("CreateCluster")
    assert (made["ClusterType"], made["NumberOfNodes"]) == ("multi-node", 2)
    assert made["ClusterSubnetGroupName"] == "sparkify-subnets"
    assert cloud.sent("CreateClusterSubnetGroup")[0]["SubnetIds"] == list(subnets)
    cloud.calls.clear()
    engine.up(run, settings_of(kind="provisioned", subnet_ids=subnets[:2], node_count=2))
    assert [call.operation for call in cloud.writes] == ["ModifyClusterSubnetGroup"]
    assert cloud.writes[0].params["SubnetIds"] == list(subnets[:2])


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_ingress_unless_a_network_is_given(kind: str, cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of(kind=kind))
    assert cloud.sent("AuthorizeSecurityGroupIngress") == []
    assert "IpPermissions" not in cloud.sent("CreateSecurityGroup")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_public_opens_one_port_to_one_network(kind: str, cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of(kind=kind, publicly_accessible=True, allow_cidr="203.0.113.7"))
    (rule,) = cloud.sent("AuthorizeSecurityGroupIngress")
    assert rule["IpPermissions"] == [
        {
            "IpProtocol": "tcp",
            "FromPort": 5439,
            "ToPort": 5439,
            "IpRanges": [{"CidrIp": "203.0.113.7/32", "Description": "--allow-cidr"}],
        }
    ]
    public = (
        workgroup(cloud)["publiclyAccessible"]
        if kind == "serverless"
        else clusters()[NAME].publicly_accessible
    )
    assert public is True
    # Without the flag it is private again, and the port is shut.
    cloud.calls.clear()
    engine.up(run, settings_of(kind=kind))
    update = "UpdateWorkgroup" if kind == "serverless" else "ModifyCluster"
    assert [call.operation for call in cloud.writes] == ["RevokeSecurityGroupIngress", update]
    public_key = "publiclyAccessible" if kind == "serverless" else "PubliclyAccessible"
    assert cloud.writes[1].params[public_key] is False


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_made_carries_our_tags(kind: str, cloud: Cloud, aws: Aws, run: Run) -> None:
    answer = aws.client("ec2").describe_subnets()["Subnets"]
    subnets = tuple(subnet["SubnetId"] for subnet in answer[:3])
    engine.up(run, settings_of(kind=kind, subnet_ids=subnets))
    made = engine.present(aws, settings_of().names)
    assert len(made) == {"serverless": 5, "provisioned": 6}[kind]
    for _, found in made:
        assert found.is_ours(NAME)
        assert found.tags["Name"] == found.name
    # In the very request that makes it: there is no moment without them.
    for call in cloud.writes:
        if call.operation.startswith("Create") and call.operation not in (
            "CreateUsageLimit",
            "CreateTags",
        ):
            assert "sparkify:project" in json.dumps(call.params), call.operation


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_up_sends_no_write(
    kind: str, cloud: Cloud, aws: Aws, run: Run, lines: list[str]
) -> None:
    first = engine.up(run, settings_of(kind=kind))
    before = account_state(cloud, aws)
    cloud.calls.clear()
    lines.clear()
    assert engine.up(run, settings_of(kind=kind)) == first
    assert cloud.writes == []
    assert "GetSecretValue" not in [call.operation for call in cloud.calls]
    assert account_state(cloud, aws) == before
    assert {line.split()[0] for line in lines} == {"ready"}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.what)
def test_damage_is_shown_by_plan_and_repaired_by_up(
    damage: Damage, cloud: Cloud, aws: Aws, run: Run
) -> None:
    settings = settings_of(kind=damage.kind)
    engine.up(run, settings)
    damage.do(cloud, aws)
    cloud.calls.clear()
    assert [step.action for step in engine.plan(aws, settings)].count("keep") < 5
    assert cloud.writes == []
    engine.up(run, settings)
    assert [call.operation for call in cloud.writes] == damage.writes
    assert {step.action for step in engine.plan(aws, settings)} == {"keep"}
    assert warehouse_password(cloud) == admin_password(aws)


def test_attaching_the_role_again_keeps_other_roles(cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of())
    other = f"arn:aws:iam::{ACCOUNT}:role/other"
    namespace(cloud)["iamRoles"] = cloud.serverless.roles([other])
    engine.up(run, settings_of())
    ours = f"arn:aws:iam::{ACCOUNT}:role/sparkify-copy"
    assert cloud.sent("UpdateNamespace")[0]["iamRoles"] == [other, ours]


@pytest.mark.parametrize(("first", "second"), [((8, 16), (64, 128)), ((64, 128), (8, 16))])
def test_capacity_moves_without_the_base_ever_above_the_maximum(
    first: tuple[int, int], second: tuple[int, int], cloud: Cloud, run: Run
) -> None:
    for base, most in (first, second):
        engine.up(run, settings_of(base_rpu=base, max_rpu=most))
        assert (workgroup(cloud)["baseCapacity"], workgroup(cloud)["maxCapacity"]) == (base, most)


@pytest.mark.parametrize("kind", KINDS)
def test_plan_of_an_empty_account_writes_nothing(kind: str, cloud: Cloud, aws: Aws) -> None:
    steps = engine.plan(aws, settings_of(kind=kind))
    assert {step.action for step in steps} == {"create"}
    assert cloud.writes == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", range(5))
def test_a_name_that_is_not_ours_is_refused_before_any_write(
    kind: str, index: int, cloud: Cloud, aws: Aws, run: Run
) -> None:
    engine.up(run, settings_of(kind=kind))
    step = engine.plan(aws, settings_of(kind=kind))[index]
    _take_over(cloud, aws, step.resource.key)
    cloud.calls.clear()
    # The network would be let in first, were it not for the names behind it.
    with pytest.raises(InfraError, match=r"does not carry our tags.*give another --name"):
        engine.up(run, settings_of(kind=kind, allow_cidr="10.0.0.0/16"))
    assert cloud.writes == []


def _take_over(cloud: Cloud, aws: Aws, key: str) -> None:
    """Make a resource look like another project's."""
    foreign = {"Key": "sparkify:project", "Value": "another"}
    arn = f"arn:aws:redshift:{REGION}:{ACCOUNT}"
    if key == "security-group":
        group = engine.network.find(aws, settings_of().names)
        assert group is not None
        aws.client("ec2").create_tags(Resources=[group.raw["GroupId"]], Tags=[foreign])
    elif key == "role":
        aws.client("iam").tag_role(RoleName="sparkify-copy", Tags=[foreign])
    elif key == "secret":
        aws.client("secretsmanager").tag_resource(
            SecretId="sparkify/redshift-admin", Tags=[foreign]
        )
    elif key == "parameter-group":
        aws.client("redshift").create_tags(
            ResourceName=f"{arn}:parametergroup:sparkify-parameters", Tags=[foreign]
        )
    elif key == "cluster":
        aws.client("redshift").create_tags(ResourceName=f"{arn}:cluster:sparkify", Tags=[foreign])
    else:
        shown = namespace(cloud) if key == "namespace" else workgroup(cloud)
        cloud.serverless.tags[shown[f"{key}Arn"]] = {"sparkify:project": "another"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kind_beside_it_is_refused(kind: str, cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of(kind=kind))
    cloud.calls.clear()
    other = next(each for each in KINDS if each != kind)
    with pytest.raises(InfraError, match="second warehouse would be billed too"):
        engine.up(run, settings_of(kind=other, allow_cidr="10.0.0.0/16"))
    assert cloud.writes == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_aws_cannot_change_is_refused_before_any_write(
    kind: str, cloud: Cloud, run: Run
) -> None:
    engine.up(run, settings_of(kind=kind))
    cloud.calls.clear()
    with pytest.raises(InfraError, match=r"cannot be changed in place: \w+ sparkify, wanted music"):
        engine.up(run, settings_of(kind=kind, database="music", allow_cidr="10.0.0.0/16"))
    assert cloud.writes == []


def test_a_group_in_another_vpc_cannot_be_moved(cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of())
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    cloud.calls.clear()
    with pytest.raises(InfraError, match=f"cannot be changed in place: VPC .* wanted {vpc}"):
        engine.up(run, settings_of(subnet_ids=(subnet,)))
    assert cloud.writes == []


def test_networks_that_do_not_exist(cloud: Cloud, aws: Aws) -> None:
    with pytest.raises(InfraError, match="subnet-0123 not found in us-west-2"):
        engine.plan(aws, settings_of(subnet_ids=("subnet-0123",)))
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    one = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    two = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    with pytest.raises(InfraError, match="several VPCs"):
        engine.plan(aws, settings_of(subnet_ids=(one, two)))


def test_without_a_default_vpc_subnets_are_asked_for(cloud: Cloud, aws: Aws) -> None:
    ec2 = aws.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    with pytest.raises(InfraError, match="no default VPC: give --subnet-id"):
        engine.plan(aws, settings_of())


def test_the_time_limit_stops_up_and_a_second_up_goes_on(cloud: Cloud, aws: Aws, run: Run) -> None:
    cloud.serverless.polls = 10_000
    with pytest.raises(InfraError, match=r"workgroup sparkify is still creating after 40 minutes"):
        engine.up(run, settings_of())
    cloud.calls.clear()
    cloud.serverless.workgroups[NAME]["left"] = 3
    cloud.serverless.polls = 1
    run.waiter._deadline = None  # another command, another time
    engine.up(run, settings_of())
    assert [call.operation for call in cloud.writes] == ["CreateUsageLimit"]


def states(*names: str) -> Callable[[str, dict[str, Any]], None]:
    """Show a cluster in these states, one a look-up, and then as it is."""
    left = list(names)

    def alter(operation: str, answer: dict[str, Any]) -> None:
        if operation == "DescribeClusters" and left and "Clusters" in answer:
            answer["Clusters"][0]["ClusterStatus"] = left.pop(0)

    return alter


def test_a_pending_change_of_a_cluster_is_awaited(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of(kind="provisioned"))
    shown: list[str] = []
    run.waiter.show = shown.append
    pending: list[dict[str, Any]] = [{"PubliclyAccessible": False}, {"ClusterVersion": "1.1"}]

    def alter(operation: str, answer: dict[str, Any]) -> None:
        if operation == "ModifyCluster":
            cloud.alter = later
        if operation == "DescribeClusters":  # changed by hand
            answer["Clusters"][0]["PubliclyAccessible"] = True

    def later(operation: str, answer: dict[str, Any]) -> None:
        if operation == "DescribeClusters" and pending:
            answer["Clusters"][0]["PendingModifiedValues"] = pending.pop(0)

    cloud.alter = alter
    cloud.calls.clear()
    engine.up(run, settings_of(kind="provisioned"))
    assert [call.operation for call in cloud.writes] == ["ModifyCluster"]
    assert shown == ["cluster sparkify: available"]
    assert pending == []


def test_a_repair_that_aws_shows_late_is_made_once(cloud: Cloud, run: Run) -> None:
    stale = [{}, {}, {}]

    def alter(operation: str, answer: dict[str, Any]) -> None:
        if operation == "GetRolePolicy" and "PolicyDocument" in answer and stale:
            answer["PolicyDocument"] = stale.pop()

    cloud.alter = alter
    engine.up(run, settings_of())
    assert stale == []
    assert len(cloud.sent("PutRolePolicy")) == 1


def test_a_new_role_that_iam_shows_late_is_made_once(cloud: Cloud, run: Run) -> None:
    late = [1, 2]

    def refuse(call: Call) -> ServiceError | None:
        made = cloud.sent("CreateRole")
        if call.operation == "GetRole" and made and late:
            late.pop()
            return ServiceError("NoSuchEntity", "not yet")
        return None

    cloud.refuse = refuse
    engine.up(run, settings_of())
    assert late == []
    assert len(cloud.sent("CreateRole")) == 1


def test_up_waits_for_a_cluster_and_shows_its_state(cloud: Cloud, run: Run) -> None:
    shown: list[str] = []
    run.waiter.show = shown.append
    cloud.alter = states("creating", "available, prep-for-resize", "modifying")
    engine.up(run, settings_of(kind="provisioned"))
    assert shown == [
        "cluster sparkify: creating",
        "cluster sparkify: available, prep-for-resize",
        "cluster sparkify: modifying",
    ]


@pytest.mark.parametrize("state", ["paused", "incompatible-network", "hardware-failure"])
def test_a_cluster_that_no_waiting_helps_is_named(state: str, cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of(kind="provisioned"))
    cloud.alter = states(state)
    cloud.calls.clear()
    with pytest.raises(InfraError, match=f"is {state}: bring it back"):
        engine.up(run, settings_of(kind="provisioned"))
    assert cloud.writes == []


def test_a_deletion_under_way_is_awaited_and_then_made_again(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of())
    cloud.serverless.limits.clear()
    cloud.serverless.change(cloud.serverless.workgroups, NAME, "DELETING")
    cloud.calls.clear()
    engine.up(run, settings_of())
    assert [call.operation for call in cloud.writes] == ["CreateWorkgroup", "CreateUsageLimit"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_password_is_new_each_time_and_meets_redshift_s_rule(
    kind: str, cloud: Cloud, aws: Aws, run: Run
) -> None:
    engine.up(run, settings_of(kind=kind))
    first = admin_password(aws)
    delete_secret(cloud, aws)
    engine.up(run, settings_of(kind=kind))
    second = admin_password(aws)
    assert first != second == warehouse_password(cloud)
    for password in (first, second):
        assert len(password) == 32
        assert password.isalnum()
        assert any(each.isupper() for each in password)
        assert any(each.islower() for each in password)
        assert any(each.isdigit() for each in password)


def test_two_installations_live_side_by_side(cloud: Cloud, aws: Aws, run: Run) -> None:
    engine.up(run, settings_of())
    engine.up(run, settings_of(name="second"))
    assert set(cloud.serverless.workgroups) == {"sparkify", "second"}
    assert not any(found.is_ours("second") for _, found in engine.present(aws, settings_of().names))
