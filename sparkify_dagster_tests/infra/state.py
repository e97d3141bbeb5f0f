"""What an account holds, without the ids that differ from run to run; and ways to damage it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend

from sparkify_dagster.infra.aws import Aws
from sparkify_dagster_tests.infra.doubles import ACCOUNT, REGION, Cloud

NAME = "sparkify"
CHANGING = re.compile(r"sg-\w+|vpc-\w+|00000000-[\d-]+|\.[0-9a-f]{12}\.|-[A-Za-z0-9]{6}(?=\")")


def clusters() -> dict[str, Any]:
    backend: Any = get_backend("redshift")[ACCOUNT][REGION]
    return backend.clusters


def admin_password(aws: Aws) -> str:
    value = aws.client("secretsmanager").get_secret_value(SecretId=f"{NAME}/redshift-admin")
    return str(json.loads(value["SecretString"])["password"])


def warehouse_password(cloud: Cloud) -> str:
    if NAME in cloud.serverless.passwords:
        return cloud.serverless.passwords[NAME]
    return str(clusters()[NAME].master_user_password)


def account_state(cloud: Cloud, aws: Aws) -> str:
    """Return all of it as text; two accounts that are set up alike give the same."""
    ec2, iam, secrets = aws.client("ec2"), aws.client("iam"), aws.client("secretsmanager")
    redshift = aws.client("redshift")
    groups = ec2.describe_security_groups()["SecurityGroups"]
    roles = iam.list_roles()["Roles"]
    state: dict[str, Any] = {
        "groups": [
            [group["GroupName"], group["IpPermissions"], sorted_tags(group.get("Tags", []))]
            for group in groups
        ],
        "roles": [
            [
                role["RoleName"],
                role["AssumeRolePolicyDocument"],
                sorted_tags(iam.list_role_tags(RoleName=role["RoleName"])["Tags"]),
                {
                    name: iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)[
                        "PolicyDocument"
                    ]
                    for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
                },
                iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"],
            ]
            for role in roles
        ],
        "secrets": [
            [secret["Name"], "DeletedDate" in secret, sorted(tag["Key"] for tag in secret["Tags"])]
            for secret in secrets.list_secrets(IncludePlannedDeletion=True)["SecretList"]
        ],
        "clusters": [
            {key: value for key, value in cluster.items() if key != "ClusterCreateTime"}
            for cluster in redshift.describe_clusters()["Clusters"]
        ],
        "parameters": cloud.parameters if clusters() else {},
        "subnet groups": [
            [group["ClusterSubnetGroupName"], group["Tags"]]
            for group in redshift.describe_cluster_subnet_groups()["ClusterSubnetGroups"]
        ],
        "parameter groups": [
            [group["ParameterGroupName"], group["Tags"]]
            for group in redshift.describe_cluster_parameter_groups()["ParameterGroups"]
        ],
        "cluster snapshots": [
            [snapshot["SnapshotIdentifier"], sorted_tags(snapshot["Tags"])]
            for snapshot in redshift.describe_cluster_snapshots()["Snapshots"]
            if snapshot["SnapshotType"] == "manual"
        ],
        "namespaces": [item["shown"] for item in cloud.serverless.namespaces.values()],
        "workgroups": [item["shown"] for item in cloud.serverless.workgroups.values()],
        "limits": list(cloud.serverless.limits.values()),
        "snapshots": [
            [name, sorted(cloud.serverless.tags.get(snapshot["snapshotArn"], {}).items())]
            for name, snapshot in cloud.serverless.snapshots.items()
        ],
    }
    return CHANGING.sub("*", json.dumps(state, sort_keys=True, default=str, indent=1))


def sorted_tags(tags: list[dict[str, str]]) -> list[list[str]]:
    return sorted([tag["Key"], tag["Value"]] for tag in tags)


@dataclass
class Damage:
    """Something done to the account by hand, and the writes that make it good."""

    what: str
    kind: str
    do: Callable[[Cloud, Aws], object]
    writes: list[str]


def group_id(aws: Aws) -> str:
    answer = aws.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [f"{NAME}-redshift"]}]
    )
    return str(answer["SecurityGroups"][0]["GroupId"])


def open_port(aws: Aws, **source: object) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 5439, "ToPort": 5439, **source}
    aws.client("ec2").authorize_security_group_ingress(GroupId=group_id(aws), IpPermissions=[rule])


def workgroup(cloud: Cloud) -> dict[str, Any]:
    shown: dict[str, Any] = cloud.serverless.workgroups[NAME]["shown"]
    return shown


def namespace(cloud: Cloud) -> dict[str, Any]:
    shown: dict[str, Any] = cloud.serverless.namespaces[NAME]["shown"]
    return shown


def delete_role(cloud: Cloud, aws: Aws) -> None:
    aws.client("iam").delete_role_policy(RoleName=f"{NAME}-copy", PolicyName="lake")
    aws.client("iam").delete_role(RoleName=f"{NAME}-copy")


def delete_secret(cloud: Cloud, aws: Aws) -> None:
    aws.client("secretsmanager").delete_secret(
        SecretId=f"{NAME}/redshift-admin", ForceDeleteWithoutRecovery=True
    )


OPEN_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
    }
)
OPEN_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "redshift.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def attach_policy(cloud: Cloud, aws: Aws) -> None:
    # moto knows AWS's own policies only on demand and slowly; one of the account's will do.
    made = aws.client("iam").create_policy(PolicyName="ReadAll", PolicyDocument=OPEN_POLICY)
    aws.client("iam").attach_role_policy(RoleName=f"{NAME}-copy", PolicyArn=made["Policy"]["Arn"])


ROLE = f"{NAME}-copy"

DAMAGES = [
    Damage(
        "permissions widened",
        "serverless",
        lambda cloud, aws: aws.client("iam").put_role_policy(
            RoleName=ROLE, PolicyName="lake", PolicyDocument=OPEN_POLICY
        ),
        ["PutRolePolicy"],
    ),
    Damage(
        "a second inline policy",
        "serverless",
        lambda cloud, aws: aws.client("iam").put_role_policy(
            RoleName=ROLE, PolicyName="more", PolicyDocument=OPEN_POLICY
        ),
        ["DeleteRolePolicy"],
    ),
    Damage(
        "a managed policy attached",
        "serverless",
        attach_policy,
        ["DetachRolePolicy"],
    ),
    Damage(
        "trust widened",
        "serverless",
        lambda cloud, aws: aws.client("iam").update_assume_role_policy(
            RoleName=ROLE, PolicyDocument=OPEN_TRUST
        ),
        ["UpdateAssumeRolePolicy"],
    ),
    Damage("role deleted", "serverless", delete_role, ["CreateRole", "PutRolePolicy"]),
    Damage(
        "role's Name tag changed",
        "serverless",
        lambda cloud, aws: aws.client("iam").tag_role(
            RoleName=ROLE, Tags=[{"Key": "Name", "Value": "other"}]
        ),
        ["TagRole"],
    ),
    Damage(
        "port opened to the world",
        "serverless",
        lambda cloud, aws: open_port(aws, IpRanges=[{"CidrIp": "0.0.0.0/0"}]),
        ["RevokeSecurityGroupIngress"],
    ),
    Damage(
        "port opened to the IPv6 world and to a group",
        "serverless",
        lambda cloud, aws: (
            open_port(aws, Ipv6Ranges=[{"CidrIpv6": "::/0"}]),
            open_port(aws, UserIdGroupPairs=[{"GroupId": group_id(aws)}]),
        ),
        ["RevokeSecurityGroupIngress", "RevokeSecurityGroupIngress"],
    ),
    Damage(
        "group's tag changed",
        "serverless",
        lambda cloud, aws: aws.client("ec2").create_tags(
            Resources=[group_id(aws)], Tags=[{"Key": "Name", "Value": "other"}]
        ),
        ["CreateTags"],
    ),
    Damage(
        "secret deleted for good",
        "serverless",
        delete_secret,
        ["CreateSecret", "UpdateNamespace", "TagResource"],
    ),
    Damage(
        "secret's tag changed",
        "serverless",
        lambda cloud, aws: aws.client("secretsmanager").tag_resource(
            SecretId=f"{NAME}/redshift-admin", Tags=[{"Key": "Name", "Value": "other"}]
        ),
        ["TagResource"],
    ),
    Damage(
        "COPY role detached, another one attached",
        "serverless",
        lambda cloud, aws: namespace(cloud).update(
            iamRoles=cloud.serverless.roles(["arn:aws:iam::123456789012:role/other"])
        ),
        ["UpdateNamespace"],
    ),
    Damage(
        "workgroup made public and larger",
        "serverless",
        lambda cloud, aws: workgroup(cloud).update(
            publiclyAccessible=True, baseCapacity=128, maxCapacity=256
        ),
        ["UpdateWorkgroup", "UpdateWorkgroup", "UpdateWorkgroup"],
    ),
    Damage(
        "TLS no longer required",
        "serverless",
        lambda cloud, aws: workgroup(cloud).update(
            configParameters=[{"parameterKey": "require_ssl", "parameterValue": "false"}]
        ),
        ["UpdateWorkgroup"],
    ),
    Damage(
        "usage limit raised",
        "serverless",
        lambda cloud, aws: next(iter(cloud.serverless.limits.values())).update(amount=10_000),
        ["UpdateUsageLimit"],
    ),
    Damage(
        "usage limit removed",
        "serverless",
        lambda cloud, aws: cloud.serverless.limits.clear(),
        ["CreateUsageLimit"],
    ),
    Damage(
        "workgroup deleted",
        "serverless",
        lambda cloud, aws: (
            cloud.serverless.limits.clear(),
            cloud.serverless.workgroups.clear(),
        ),
        ["CreateWorkgroup", "CreateUsageLimit"],
    ),
    Damage(
        "namespace's tag changed",
        "serverless",
        lambda cloud, aws: cloud.serverless.tags[namespace(cloud)["namespaceArn"]].update(Name="x"),
        ["TagResource"],
    ),
    Damage(
        "cluster made public and decrypted",
        "provisioned",
        lambda cloud, aws: aws.client("redshift").modify_cluster(
            ClusterIdentifier=NAME, PubliclyAccessible=True, Encrypted=False
        ),
        ["ModifyCluster", "ModifyCluster"],
    ),
    Damage(
        "cluster resized",
        "provisioned",
        lambda cloud, aws: aws.client("redshift").modify_cluster(
            ClusterIdentifier=NAME, ClusterType="multi-node", NumberOfNodes=4
        ),
        ["ModifyCluster"],
    ),
    Damage(
        "COPY role detached from the cluster",
        "provisioned",
        lambda cloud, aws: clusters()[NAME].iam_roles_arn.clear(),
        ["ModifyClusterIamRoles"],
    ),
    Damage(
        "TLS no longer required by the cluster",
        "provisioned",
        lambda cloud, aws: cloud.parameters[f"{NAME}-parameters"].update(require_ssl="false"),
        ["ModifyClusterParameterGroup"],
    ),
    Damage(
        "secret of the cluster deleted for good",
        "provisioned",
        delete_secret,
        ["CreateSecret", "ModifyCluster", "TagResource"],
    ),
    Damage(
        "tags of the cluster and its groups changed",
        "provisioned",
        lambda cloud, aws: [
            aws.client("redshift").create_tags(
                ResourceName=f"arn:aws:redshift:{REGION}:{ACCOUNT}:{what}",
                Tags=[{"Key": "Name", "Value": "other"}],
            )
            for what in (f"cluster:{NAME}", f"parametergroup:{NAME}-parameters")
        ],
        ["CreateTags", "CreateTags"],
    ),
]
