"""The COPY role's two documents: who may assume it, and what it may do."""

from typing import Any

from sparkify_dagster.infra.settings import S3Prefix, Settings


def trust_policy(settings: Settings, region: str, account: str, partition: str) -> dict[str, Any]:
    """Return who may assume the role: Redshift, and only for this account and region.

    The conditions are those of the Redshift Management Guide, "Cross-service confused deputy
    prevention". A cluster's ARN is known before it exists; a workgroup's ends in an id that AWS
    gives, and Serverless needs both service names in the policy (same guide, "Granting permissions
    to Amazon Redshift Serverless"), so there the ARN is held to the account and region.
    """
    if settings.kind == "provisioned":
        services: str | list[str] = "redshift.amazonaws.com"
        source: str | list[str] = (
            f"arn:{partition}:redshift:{region}:{account}:cluster:{settings.names.warehouse}"
        )
    else:
        services = ["redshift-serverless.amazonaws.com", "redshift.amazonaws.com"]
        source = [
            f"arn:{partition}:redshift-serverless:{region}:{account}:*",
            f"arn:{partition}:redshift:{region}:{account}:*",
        ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RedshiftOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": services},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {"aws:SourceArn": source},
                },
            }
        ],
    }


def permissions(settings: Settings, partition: str) -> dict[str, Any]:
    """Return what COPY may do: list and read the lake, and keep manifests under their prefix."""
    lake, manifests = settings.lake, settings.manifests
    folders = [f"{key}*" if key.endswith("/") else key for key in settings.lake_keys]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _list("ListLake", partition, lake, folders),
            {
                "Sid": "ReadLake",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": [f"arn:{partition}:s3:::{lake.bucket}/{key}" for key in folders],
            },
            _list("ListManifests", partition, manifests, [f"{manifests.prefix}*"]),
            {
                "Sid": "KeepManifests",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                "Resource": [f"arn:{partition}:s3:::{manifests.bucket}/{manifests.prefix}*"],
            },
        ],
    }


def _list(sid: str, partition: str, where: S3Prefix, prefixes: list[str]) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:{partition}:s3:::{where.bucket}",
        "Condition": {"StringLike": {"s3:prefix": prefixes}},
    }
