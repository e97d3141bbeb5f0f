"""The VPC that is used, and the security group around the warehouse."""

from functools import partial
from typing import Any

from sparkify_dagster.infra.aws import (
    Aws,
    Difference,
    Facts,
    Found,
    missing_tags,
    tag_dict,
    tag_list,
)
from sparkify_dagster.infra.errors import InfraError
from sparkify_dagster.infra.settings import PORT, Names, Settings, tags_of


def vpc_of(aws: Aws, subnet_ids: tuple[str, ...]) -> str:
    """Return the VPC of the subnets, or the default VPC where none are given."""
    ec2 = aws.client("ec2")
    if not subnet_ids:
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not vpcs:
            raise InfraError(f"{aws.region} has no default VPC: give --subnet-id for each subnet")
        return str(vpcs[0]["VpcId"])
    # A filter instead of SubnetIds: an unknown subnet is then missing, and we can name it.
    answer = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": list(subnet_ids)}])
    subnets = {subnet["SubnetId"]: subnet["VpcId"] for subnet in answer["Subnets"]}
    unknown = sorted(set(subnet_ids) - set(subnets))
    if unknown:
        raise InfraError(f"--subnet-id: {', '.join(unknown)} not found in {aws.region}")
    if len(set(subnets.values())) > 1:
        raise InfraError(f"--subnet-id: the subnets lie in several VPCs: {subnets}")
    return str(subnets[subnet_ids[0]])


def find(aws: Aws, names: Names) -> Found | None:
    """Return the security group; one of ours before one of the same name in another VPC."""
    answer = aws.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [names.security_group]}]
    )
    groups = [_found(group) for group in answer["SecurityGroups"]]
    groups.sort(key=lambda group: not group.is_ours(names.name))
    return groups[0] if groups else None


def _found(group: dict[str, Any]) -> Found:
    tags = tag_dict(group.get("Tags", []))
    return Found(group["GroupName"], group["GroupId"], "ready", "exists", tags, group)


def create(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the group without ingress; `differences` then asks for the one rule, if any."""
    name = settings.names.security_group
    tags = tag_list(tags_of(settings.name, name))
    aws.client("ec2").create_security_group(
        GroupName=name,
        Description=f"Redshift of {settings.name}",
        VpcId=facts.vpc_id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )


def ingress(settings: Settings) -> list[dict[str, Any]]:
    """Return the ingress rules as EC2 wants them: one network on Redshift's port, or none."""
    if settings.allow_cidr is None:
        return []
    return [
        {
            "IpProtocol": "tcp",
            "FromPort": PORT,
            "ToPort": PORT,
            "IpRanges": [{"CidrIp": settings.allow_cidr, "Description": "--allow-cidr"}],
        }
    ]


def differences(aws: Aws, settings: Settings, facts: Facts, found: Found) -> list[Difference]:
    """Compare VPC, ingress and tags; rules that the settings do not name are revoked."""
    ec2, group_id = aws.client("ec2"), found.raw["GroupId"]
    if found.raw["VpcId"] != facts.vpc_id:
        return [Difference(f"VPC {found.raw['VpcId']}, wanted {facts.vpc_id}", None)]
    result = missing_tags(
        found,
        tags_of(settings.name, found.name),
        lambda tags: ec2.create_tags(Resources=[group_id], Tags=tag_list(tags)),
    )
    current = [rule for item in found.raw["IpPermissions"] for rule in _single_rules(item)]
    wanted = [rule for item in ingress(settings) for rule in _single_rules(item)]
    for rule in current:
        if rule not in wanted:
            text = f"ingress {_rule_text(rule)} is one too many"
            revoke = partial(ec2.revoke_security_group_ingress, GroupId=group_id)
            result.append(Difference(text, partial(revoke, IpPermissions=[rule])))
    if any(rule not in current for rule in wanted):
        authorize = partial(ec2.authorize_security_group_ingress, GroupId=group_id)
        text = f"ingress from {settings.allow_cidr} is missing"
        result.append(Difference(text, partial(authorize, IpPermissions=ingress(settings))))
    return result


SOURCES = {
    "IpRanges": "CidrIp",
    "Ipv6Ranges": "CidrIpv6",
    "PrefixListIds": "PrefixListId",
    "UserIdGroupPairs": "GroupId",
}


def _single_rules(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Split one IpPermission by source, without descriptions, so that rules compare equal."""
    ports: dict[str, Any] = {
        key: item[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in item
    }
    return [
        {**ports, kind: [{field: source[field]}]}
        for kind, field in SOURCES.items()
        for source in item.get(kind, [])
    ]


def _rule_text(rule: dict[str, Any]) -> str:
    source = next(rule[kind][0][field] for kind, field in SOURCES.items() if kind in rule)
    return f"{rule['IpProtocol']} {rule.get('FromPort', 'all')} from {source}"


def delete(aws: Aws, found: Found) -> None:
    """Delete the group; EC2 refuses while a network interface still uses it."""
    aws.client("ec2").delete_security_group(GroupId=found.raw["GroupId"])
