"""The IAM role that COPY assumes."""

import json
from functools import partial

from sparkify_dagster.infra.aws import (
    Aws,
    Difference,
    Facts,
    Found,
    ask,
    missing_tags,
    same_document,
    tag_dict,
    tag_list,
)
from sparkify_dagster.infra.policies import permissions, trust_policy
from sparkify_dagster.infra.settings import Names, Settings, tags_of

ABSENT = "NoSuchEntity"


def find(aws: Aws, names: Names) -> Found | None:
    """Return the role, or None."""
    answer = ask(lambda: aws.client("iam").get_role(RoleName=names.role), ABSENT)
    if answer is None:
        return None
    role = answer["Role"]
    return Found(names.role, role["Arn"], "ready", "exists", tag_dict(role.get("Tags", [])), role)


def create(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the role without any permission; `differences` then asks for its policy."""
    trust = trust_policy(settings, aws.region, facts.account, facts.partition)
    aws.client("iam").create_role(
        RoleName=settings.names.role,
        Description=f"Redshift COPY for {settings.name}: reads the lake, keeps manifests",
        AssumeRolePolicyDocument=json.dumps(trust),
        Tags=tag_list(tags_of(settings.name, settings.names.role)),
    )


def differences(aws: Aws, settings: Settings, facts: Facts, found: Found) -> list[Difference]:
    """Compare trust, permissions and tags; anything attached besides our policy is taken off."""
    iam, role, policy = aws.client("iam"), settings.names.role, settings.names.role_policy
    result = missing_tags(
        found,
        tags_of(settings.name, role),
        lambda tags: iam.tag_role(RoleName=role, Tags=tag_list(tags)),
    )
    trust = trust_policy(settings, aws.region, facts.account, facts.partition)
    if not same_document(found.raw["AssumeRolePolicyDocument"], trust):
        set_trust = partial(iam.update_assume_role_policy, PolicyDocument=json.dumps(trust))
        result.append(Difference("trust policy", partial(set_trust, RoleName=role)))
    wanted = permissions(settings, facts.partition)
    current = ask(lambda: iam.get_role_policy(RoleName=role, PolicyName=policy), ABSENT)
    if current is None or not same_document(current["PolicyDocument"], wanted):
        put = partial(iam.put_role_policy, PolicyName=policy, PolicyDocument=json.dumps(wanted))
        result.append(
            Difference(f"permissions (inline policy {policy})", partial(put, RoleName=role))
        )
    for name in _inline(aws, role):
        if name != policy:
            drop = partial(iam.delete_role_policy, RoleName=role, PolicyName=name)
            result.append(Difference(f"inline policy {name} is one too many", drop))
    for arn in _attached(aws, role):
        detach = partial(iam.detach_role_policy, RoleName=role, PolicyArn=arn)
        result.append(Difference(f"attached policy {arn} is one too many", detach))
    return result


def delete(aws: Aws, found: Found) -> None:
    """Delete the role with its policies."""
    iam = aws.client("iam")
    for arn in _attached(aws, found.name):
        iam.detach_role_policy(RoleName=found.name, PolicyArn=arn)
    for name in _inline(aws, found.name):
        iam.delete_role_policy(RoleName=found.name, PolicyName=name)
    iam.delete_role(RoleName=found.name)


def _inline(aws: Aws, role: str) -> list[str]:
    pages = aws.client("iam").get_paginator("list_role_policies").paginate(RoleName=role)
    return [name for page in pages for name in page["PolicyNames"]]


def _attached(aws: Aws, role: str) -> list[str]:
    pages = aws.client("iam").get_paginator("list_attached_role_policies").paginate(RoleName=role)
    return [policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]]
