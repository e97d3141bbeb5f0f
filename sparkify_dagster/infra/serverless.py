"""Redshift Serverless: the namespace (data, admin) and the workgroup (compute, network)."""

import re
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

SERVICE = "redshift-serverless"
ABSENT = "ResourceNotFoundException"
PHASES: dict[str, Phase] = {"AVAILABLE": "ready", "DELETING": "deleting"}  # others: busy
USAGE_TYPE = "serverless-compute"
USAGE_LIMIT = {"period": "daily", "breachAction": "deactivate"}


def find_namespace(aws: Aws, names: Names) -> Found | None:
    """Return the namespace, or None."""
    client = aws.client(SERVICE)
    answer = ask(lambda: client.get_namespace(namespaceName=names.warehouse), ABSENT)
    return answer and _found(aws, answer["namespace"], "namespace")


def find_workgroup(aws: Aws, names: Names) -> Found | None:
    """Return the workgroup, or None."""
    client = aws.client(SERVICE)
    answer = ask(lambda: client.get_workgroup(workgroupName=names.warehouse), ABSENT)
    return answer and _found(aws, answer["workgroup"], "workgroup")


def _found(aws: Aws, raw: dict[str, Any], kind: str) -> Found | None:
    arn, client = raw[f"{kind}Arn"], aws.client(SERVICE)
    answer = ask(lambda: client.list_tags_for_resource(resourceArn=arn), ABSENT)
    if answer is None:  # deleted between the two calls
        return None
    endpoint = raw.get("endpoint", {})
    return Found(
        raw[f"{kind}Name"],
        arn,
        PHASES.get(raw["status"], "busy"),
        raw["status"].lower(),
        tag_dict(answer["tags"], "key", "value"),
        raw,
        f"{endpoint['address']}:{endpoint['port']}" if endpoint.get("address") else "",
    )


def _retag(aws: Aws, found: Found, wanted: dict[str, str]) -> list[Difference]:
    client = aws.client(SERVICE)
    return missing_tags(
        found,
        wanted,
        lambda tags: client.tag_resource(
            resourceArn=found.arn, tags=tag_list(tags, "key", "value")
        ),
    )


def create_namespace(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the namespace with the secret's password.

    Encryption is always on in Serverless; without kmsKeyId AWS uses a key that it owns.
    """
    answer = aws.client(SERVICE).create_namespace(
        namespaceName=settings.names.warehouse,
        dbName=settings.database,
        adminUsername=ADMIN_USER,
        adminUserPassword=secret.read_password(aws, settings.names),
        iamRoles=[facts.role_arn(settings)],
        tags=tag_list(tags_of(settings.name, settings.names.warehouse), "key", "value"),
    )
    secret.mark(aws, settings.names, answer["namespace"]["namespaceId"])


def namespace_differences(
    aws: Aws, settings: Settings, facts: Facts, found: Found
) -> list[Difference]:
    """Compare database, admin, password, COPY role and tags; other roles are left attached."""
    raw, names = found.raw, settings.names
    fixed = {"dbName": settings.database, "adminUsername": ADMIN_USER}
    result = [
        Difference(f"{key} {raw.get(key)}, wanted {value}", None)
        for key, value in fixed.items()
        if raw.get(key) != value
    ]
    result += _retag(aws, found, tags_of(settings.name, names.warehouse))
    update = partial(aws.client(SERVICE).update_namespace, namespaceName=names.warehouse)
    # AWS answers with texts such as "IamRole(applyStatus=in-sync, iamRoleArn=arn:...)".
    roles = [arn for text in raw.get("iamRoles", []) for arn in re.findall(r"arn:[^,)]+", text)]
    if facts.role_arn(settings) not in roles:
        attach = partial(update, iamRoles=[*roles, facts.role_arn(settings)])
        result.append(Difference("COPY role is not attached", attach))
    if not secret.belongs_to(aws, names, raw["namespaceId"]):

        def set_password() -> None:
            update(adminUsername=ADMIN_USER, adminUserPassword=secret.read_password(aws, names))
            secret.mark(aws, names, raw["namespaceId"])

        result.append(Difference("admin password is not known to be the secret's", set_password))
    return result


def delete_namespace(aws: Aws, found: Found, final_snapshot: str | None) -> None:
    """Delete the namespace with its data, after a final snapshot where one is named."""
    snapshot = {"finalSnapshotName": final_snapshot} if final_snapshot else {}
    aws.client(SERVICE).delete_namespace(namespaceName=found.name, **snapshot)


def find_snapshot(aws: Aws, names: Names, snapshot: str) -> Found | None:
    """Return a snapshot of this namespace, or None."""
    client = aws.client(SERVICE)
    answer = ask(lambda: client.get_snapshot(snapshotName=snapshot), ABSENT)
    if answer is None or answer["snapshot"].get("namespaceName") != names.warehouse:
        return None
    return _found(aws, answer["snapshot"], "snapshot")


def tag_snapshot(aws: Aws, names: Names, found: Found) -> None:
    """Tag the final snapshot as ours."""
    tags = tag_list(tags_of(names.name, found.name), "key", "value")
    aws.client(SERVICE).tag_resource(resourceArn=found.arn, tags=tags)


def create_workgroup(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the workgroup; `workgroup_differences` then asks for its usage limit."""
    subnets = {"subnetIds": list(settings.subnet_ids)} if settings.subnet_ids else {}
    aws.client(SERVICE).create_workgroup(
        workgroupName=settings.names.warehouse,
        namespaceName=settings.names.warehouse,
        baseCapacity=settings.base_rpu,
        maxCapacity=settings.max_rpu,
        port=PORT,
        publiclyAccessible=settings.publicly_accessible,
        securityGroupIds=[facts.security_group_id],
        configParameters=[{"parameterKey": "require_ssl", "parameterValue": "true"}],
        tags=tag_list(tags_of(settings.name, settings.names.warehouse), "key", "value"),
        **subnets,
    )


def workgroup_differences(
    aws: Aws, settings: Settings, facts: Facts, found: Found
) -> list[Difference]:
    """Compare size, network, TLS, usage limit and tags.

    Each difference is an update of its own: UpdateWorkgroup takes one parameter a request.
    """
    raw, client = found.raw, aws.client(SERVICE)
    if raw["namespaceName"] != settings.names.warehouse:
        return [Difference(f"it serves the namespace {raw['namespaceName']}", None)]
    wanted: dict[str, Any] = {
        "maxCapacity": settings.max_rpu,
        "baseCapacity": settings.base_rpu,
        "port": PORT,
        "publiclyAccessible": settings.publicly_accessible,
        "securityGroupIds": [facts.security_group_id],
    }
    if settings.max_rpu < raw["baseCapacity"]:  # the base must never be above the maximum
        wanted = {"baseCapacity": settings.base_rpu, **wanted}
    if settings.subnet_ids:
        wanted["subnetIds"] = sorted(settings.subnet_ids)
    result = _retag(aws, found, tags_of(settings.name, settings.names.warehouse))
    update = partial(client.update_workgroup, workgroupName=settings.names.warehouse)
    for key, value in wanted.items():
        current = raw.get(key)
        current = sorted(current) if isinstance(current, list) else current
        if current != value:
            repair = partial(update, **{key: value})
            result.append(Difference(f"{key} {current}, wanted {value}", repair))
    config = {item["parameterKey"]: item["parameterValue"] for item in raw["configParameters"]}
    if config.get("require_ssl") != "true":
        tls = [{"parameterKey": "require_ssl", "parameterValue": "true"}]
        result.append(Difference("require_ssl is off", partial(update, configParameters=tls)))
    return result + _usage_limit_differences(aws, settings, found)


def _usage_limit_differences(aws: Aws, settings: Settings, found: Found) -> list[Difference]:
    client = aws.client(SERVICE)
    limits = [
        limit
        for limit in _usage_limits(aws, found.arn)
        if all(limit.get(key) == value for key, value in USAGE_LIMIT.items())
    ]
    if not limits:
        make = partial(
            client.create_usage_limit,
            resourceArn=found.arn,
            usageType=USAGE_TYPE,
            amount=settings.usage_limit,
            **USAGE_LIMIT,
        )
        return [Difference(f"usage limit of {settings.usage_limit} RPU-hours a day missing", make)]
    if limits[0]["amount"] == settings.usage_limit:
        return []
    change = partial(
        client.update_usage_limit,
        usageLimitId=limits[0]["usageLimitId"],
        amount=settings.usage_limit,
    )
    text = f"usage limit {limits[0]['amount']} RPU-hours a day, wanted {settings.usage_limit}"
    return [Difference(text, change)]


def _usage_limits(aws: Aws, workgroup_arn: str) -> list[dict[str, Any]]:
    pages = aws.client(SERVICE).get_paginator("list_usage_limits")
    answers = pages.paginate(resourceArn=workgroup_arn, usageType=USAGE_TYPE)
    return [limit for page in answers for limit in page.get("usageLimits", [])]


def delete_workgroup(aws: Aws, found: Found) -> None:
    """Delete the workgroup and its usage limits; the data stays in the namespace."""
    client = aws.client(SERVICE)
    for limit in _usage_limits(aws, found.arn):
        client.delete_usage_limit(usageLimitId=limit["usageLimitId"])
    client.delete_workgroup(workgroupName=found.name)
