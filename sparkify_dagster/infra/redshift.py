"""What CloudFormation has no resource for: usage limit, the secret's name, the final snapshot."""

import time
from collections.abc import Callable
from typing import Any

from click import ClickException

from sparkify_dagster.infra import stack

_NO_SNAPSHOT = ("ResourceNotFoundException", "ClusterSnapshotNotFound")

Clients = Callable[[str], Any]  # botocore's client by the name of the service


def secret_arn(clients: Clients, is_serverless: bool, name: str) -> str:
    """Return the ARN of the admin's secret, which AWS makes and rotates."""
    if is_serverless:
        answer = clients("redshift-serverless").get_namespace(namespaceName=name)
        return str(answer["namespace"]["adminPasswordSecretArn"])
    answer = clients("redshift").describe_clusters(ClusterIdentifier=name)
    return str(answer["Clusters"][0]["MasterPasswordSecretArn"])


def usage_limits(client: Any, workgroup_arn: str) -> dict[str, int]:
    """Return the daily limits by id, in RPU-hours, past which queries are refused."""
    answer = client.list_usage_limits(resourceArn=workgroup_arn, usageType="serverless-compute")
    found = answer.get("usageLimits", [])  # left out where there are none
    kept = {"period": "daily", "breachAction": "deactivate"}.items()
    return {one["usageLimitId"]: one["amount"] for one in found if kept <= one.items()}


def set_usage_limit(client: Any, workgroup_arn: str, amount: int | None) -> None:
    """Have queries refused past `amount` RPU-hours a day; None takes the limit away."""
    limits = usage_limits(client, workgroup_arn)
    for limit in [limit for limit in limits if limits[limit] != amount]:
        client.delete_usage_limit(usageLimitId=limit)
    if amount is not None and amount not in limits.values():
        what = {"resourceArn": workgroup_arn, "usageType": "serverless-compute"}
        how = {"period": "daily", "breachAction": "deactivate"}
        client.create_usage_limit(**what, **how, amount=amount)


def make_snapshot(clients: Clients, is_serverless: bool, name: str, snapshot: str) -> None:
    """Make a snapshot and wait for it, or for one that an interrupted `down` has begun.

    Raises ClickException where there is one of this name already, or it fails.
    """
    client = clients("redshift-serverless" if is_serverless else "redshift")
    status = _snapshot_status(client, is_serverless, snapshot)
    if status == "available":
        raise ClickException(f"--final-snapshot: {snapshot} exists already: give another name")
    if not status and is_serverless:
        client.create_snapshot(namespaceName=name, snapshotName=snapshot)
    elif not status:
        client.create_cluster_snapshot(ClusterIdentifier=name, SnapshotIdentifier=snapshot)
    # AWS may show a new one a moment later only.
    while (status := _snapshot_status(client, is_serverless, snapshot)) in ("", "creating"):
        time.sleep(stack.POLL_SECONDS)
    if status != "available":
        raise ClickException(f"the snapshot {snapshot} is {status}: nothing was deleted")


def _snapshot_status(client: Any, is_serverless: bool, snapshot: str) -> str:
    try:
        if is_serverless:
            return str(client.get_snapshot(snapshotName=snapshot)["snapshot"]["status"]).lower()
        found = client.describe_cluster_snapshots(SnapshotIdentifier=snapshot)["Snapshots"]
        return str(found[0]["Status"]).lower()
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in _NO_SNAPSHOT:
            return ""
        raise
