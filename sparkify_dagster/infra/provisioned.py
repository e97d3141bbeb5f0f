"""A provisioned Redshift cluster with its parameter group and, where asked for, subnet group."""

from functools import partial
from typing import Any

from sparkify_dagster.infra import secret
from sparkify_dagster.infra.aws import (
    Aws,
    Difference,
    Facts,
    Found,
    Phase,
    ask,
    missing_tags,
    tag_dict,
    tag_list,
)
from sparkify_dagster.infra.settings import ADMIN_USER, PORT, Names, Settings, tags_of

FAMILY = "redshift-1.0"
# The error code on the wire comes without the word Fault for some, with it for others.
ABSENT_CLUSTER = ("ClusterNotFound", "ClusterNotFoundFault")
ABSENT_SNAPSHOT = ("ClusterSnapshotNotFound", "ClusterSnapshotNotFoundFault")
ABSENT_PARAMETERS = ("ClusterParameterGroupNotFound", "ClusterParameterGroupNotFoundFault")
ABSENT_SUBNETS = ("ClusterSubnetGroupNotFound", "ClusterSubnetGroupNotFoundFault")
# States that no waiting ends (Management Guide, "Cluster status").
FAILED = ("paused", "hardware-failure", "incompatible", "storage-full")
# A change is under way while one of these is pending; other values wait for maintenance.
PENDING = {
    "AutomatedSnapshotRetentionPeriod",
    "ClusterType",
    "EncryptionType",
    "MasterUserPassword",
    "NodeType",
    "NumberOfNodes",
    "PubliclyAccessible",
}


def _retag(
    aws: Aws, facts: Facts, found: Found, kind: str, wanted: dict[str, str]
) -> list[Difference]:
    arn = f"arn:{facts.partition}:redshift:{aws.region}:{facts.account}:{kind}:{found.name}"
    return missing_tags(
        found,
        wanted,
        lambda tags: aws.client("redshift").create_tags(ResourceName=arn, Tags=tag_list(tags)),
    )


def find_parameter_group(aws: Aws, names: Names) -> Found | None:
    """Return the cluster parameter group, or None."""
    name, client = names.parameter_group, aws.client("redshift")
    answer = ask(
        lambda: client.describe_cluster_parameter_groups(ParameterGroupName=name),
        *ABSENT_PARAMETERS,
    )
    if answer is None:
        return None
    raw = answer["ParameterGroups"][0]
    return Found(name, name, "ready", "exists", tag_dict(raw.get("Tags", [])), raw)


def create_parameter_group(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the group with Redshift's defaults; the differences then ask for require_ssl."""
    name = settings.names.parameter_group
    aws.client("redshift").create_cluster_parameter_group(
        ParameterGroupName=name,
        ParameterGroupFamily=FAMILY,
        Description=f"TLS required, for {settings.name}",
        Tags=tag_list(tags_of(settings.name, name)),
    )


def parameter_group_differences(
    aws: Aws, settings: Settings, facts: Facts, found: Found
) -> list[Difference]:
    """Compare require_ssl and tags."""
    client = aws.client("redshift")
    result = _retag(aws, facts, found, "parametergroup", tags_of(settings.name, found.name))
    pages = client.get_paginator("describe_cluster_parameters")
    answers = pages.paginate(ParameterGroupName=found.name)
    values = {
        item["ParameterName"]: item.get("ParameterValue")
        for page in answers
        for item in page["Parameters"]
    }
    if values.get("require_ssl") != "true":
        require = partial(
            client.modify_cluster_parameter_group,
            ParameterGroupName=found.name,
            Parameters=[{"ParameterName": "require_ssl", "ParameterValue": "true"}],
        )
        result.append(Difference("require_ssl is off (on from the next reboot)", require))
    return result


def delete_parameter_group(aws: Aws, found: Found) -> None:
    """Delete the parameter group."""
    aws.client("redshift").delete_cluster_parameter_group(ParameterGroupName=found.name)


def find_subnet_group(aws: Aws, names: Names) -> Found | None:
    """Return the cluster subnet group, or None."""
    name, client = names.subnet_group, aws.client("redshift")
    answer = ask(
        lambda: client.describe_cluster_subnet_groups(ClusterSubnetGroupName=name),
        *ABSENT_SUBNETS,
    )
    if answer is None:
        return None
    raw = answer["ClusterSubnetGroups"][0]
    return Found(name, name, "ready", "exists", tag_dict(raw.get("Tags", [])), raw)


def create_subnet_group(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the subnet group from --subnet-id."""
    name = settings.names.subnet_group
    aws.client("redshift").create_cluster_subnet_group(
        ClusterSubnetGroupName=name,
        Description=f"Subnets of {settings.name}",
        SubnetIds=list(settings.subnet_ids),
        Tags=tag_list(tags_of(settings.name, name)),
    )


def subnet_group_differences(
    aws: Aws, settings: Settings, facts: Facts, found: Found
) -> list[Difference]:
    """Compare subnets and tags."""
    result = _retag(aws, facts, found, "subnetgroup", tags_of(settings.name, found.name))
    current = {subnet["SubnetIdentifier"] for subnet in found.raw["Subnets"]}
    if current != set(settings.subnet_ids):
        change = partial(
            aws.client("redshift").modify_cluster_subnet_group,
            ClusterSubnetGroupName=found.name,
            SubnetIds=list(settings.subnet_ids),
        )
        result.append(Difference("subnets", change))
    return result


def delete_subnet_group(aws: Aws, found: Found) -> None:
    """Delete the subnet group."""
    aws.client("redshift").delete_cluster_subnet_group(ClusterSubnetGroupName=found.name)


def find_cluster(aws: Aws, names: Names) -> Found | None:
    """Return the cluster, or None."""
    client = aws.client("redshift")
    answer = ask(
        lambda: client.describe_clusters(ClusterIdentifier=names.warehouse), *ABSENT_CLUSTER
    )
    if answer is None:
        return None
    raw = answer["Clusters"][0]
    endpoint = raw.get("Endpoint", {})
    return Found(
        names.warehouse,
        names.warehouse,
        _phase(raw),
        raw["ClusterStatus"],
        tag_dict(raw.get("Tags", [])),
        raw,
        f"{endpoint['Address']}:{endpoint['Port']}" if endpoint.get("Address") else "",
    )


def _phase(raw: dict[str, Any]) -> Phase:
    status = raw["ClusterStatus"]
    if status in ("deleting", "final-snapshot"):
        return "deleting"
    if status.startswith(FAILED):
        return "failed"
    if status != "available" or PENDING & set(raw.get("PendingModifiedValues", {})):
        return "busy"
    return "ready"


def _size(settings: Settings) -> dict[str, Any]:
    """Return node type and count; a single-node cluster must not be given a count."""
    if settings.node_count == 1:
        return {"ClusterType": "single-node", "NodeType": settings.node_type}
    count = {"NumberOfNodes": settings.node_count}
    return {"ClusterType": "multi-node", "NodeType": settings.node_type, **count}


def _identity(raw: dict[str, Any]) -> str:
    """Return what tells this cluster from a later one of the same name."""
    return str(raw.get("ClusterNamespaceArn") or raw.get("ClusterCreateTime", "unknown"))


def create_cluster(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the cluster with the secret's password."""
    names = settings.names
    subnets = {"ClusterSubnetGroupName": names.subnet_group} if settings.subnet_ids else {}
    answer = aws.client("redshift").create_cluster(
        ClusterIdentifier=names.warehouse,
        DBName=settings.database,
        Port=PORT,
        MasterUsername=ADMIN_USER,
        MasterUserPassword=secret.read_password(aws, names),
        Encrypted=True,
        PubliclyAccessible=settings.publicly_accessible,
        VpcSecurityGroupIds=[facts.security_group_id],
        ClusterParameterGroupName=names.parameter_group,
        IamRoles=[facts.role_arn(settings)],
        AutomatedSnapshotRetentionPeriod=settings.snapshot_days,
        Tags=tag_list(tags_of(settings.name, names.warehouse)),
        **_size(settings),
        **subnets,
    )
    secret.mark(aws, names, _identity(answer["Cluster"]))


def cluster_differences(
    aws: Aws, settings: Settings, facts: Facts, found: Found
) -> list[Difference]:
    """Compare size, network, encryption, TLS, COPY role, password, snapshots and tags."""
    raw, names = found.raw, settings.names
    modify = partial(aws.client("redshift").modify_cluster, ClusterIdentifier=names.warehouse)
    fixed = {"DBName": settings.database, "MasterUsername": ADMIN_USER}
    if settings.subnet_ids:
        fixed["ClusterSubnetGroupName"] = names.subnet_group
    result = [
        Difference(f"{key} {raw.get(key)}, wanted {value}", None)
        for key, value in fixed.items()
        if raw.get(key) != value
    ]
    result += _retag(aws, facts, found, "cluster", tags_of(settings.name, names.warehouse))
    current = {
        "Encrypted": raw["Encrypted"],
        "PubliclyAccessible": raw["PubliclyAccessible"],
        "VpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in raw["VpcSecurityGroups"]],
        "ClusterParameterGroupName": raw["ClusterParameterGroups"][0]["ParameterGroupName"],
        "AutomatedSnapshotRetentionPeriod": raw["AutomatedSnapshotRetentionPeriod"],
    }
    wanted = {
        "Encrypted": True,
        "PubliclyAccessible": settings.publicly_accessible,
        "VpcSecurityGroupIds": [facts.security_group_id],
        "ClusterParameterGroupName": names.parameter_group,
        "AutomatedSnapshotRetentionPeriod": settings.snapshot_days,
    }
    for key, value in wanted.items():
        if current[key] != value:
            text = f"{key} {current[key]}, wanted {value}"
            result.append(Difference(text, partial(modify, **{key: value})))
    if (raw["NodeType"], raw["NumberOfNodes"]) != (settings.node_type, settings.node_count):
        text = (
            f"{raw['NumberOfNodes']} x {raw['NodeType']}, wanted "
            f"{settings.node_count} x {settings.node_type} (a resize)"
        )
        result.append(Difference(text, partial(modify, **_size(settings))))
    role = facts.role_arn(settings)
    if role not in [item["IamRoleArn"] for item in raw.get("IamRoles", [])]:
        attach = partial(
            aws.client("redshift").modify_cluster_iam_roles,
            ClusterIdentifier=names.warehouse,
            AddIamRoles=[role],
        )
        result.append(Difference("COPY role is not attached", attach))
    if not secret.belongs_to(aws, names, _identity(raw)):

        def set_password() -> None:
            modify(MasterUserPassword=secret.read_password(aws, names))
            secret.mark(aws, names, _identity(raw))

        result.append(Difference("admin password is not known to be the secret's", set_password))
    return result


def delete_cluster(aws: Aws, found: Found, final_snapshot: str | None) -> None:
    """Delete the cluster with its data, after a final snapshot where one is named."""
    snapshot = {"FinalClusterSnapshotIdentifier": final_snapshot} if final_snapshot else {}
    aws.client("redshift").delete_cluster(
        ClusterIdentifier=found.name, SkipFinalClusterSnapshot=final_snapshot is None, **snapshot
    )


def find_snapshot(aws: Aws, names: Names, snapshot: str) -> Found | None:
    """Return a snapshot of this cluster, or None."""
    client = aws.client("redshift")
    answer = ask(
        lambda: client.describe_cluster_snapshots(SnapshotIdentifier=snapshot), *ABSENT_SNAPSHOT
    )
    if answer is None or answer["Snapshots"][0]["ClusterIdentifier"] != names.warehouse:
        return None
    raw = answer["Snapshots"][0]
    tags = tag_dict(raw.get("Tags", []))
    return Found(snapshot, raw["SnapshotArn"], "ready", raw["Status"], tags, raw)


def tag_snapshot(aws: Aws, names: Names, found: Found) -> None:
    """Tag the final snapshot as ours."""
    tags = tag_list(tags_of(names.name, found.name))
    aws.client("redshift").create_tags(ResourceName=found.arn, Tags=tags)
