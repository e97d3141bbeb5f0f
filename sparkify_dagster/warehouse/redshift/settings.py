"""What the Redshift engine is told by the environment, checked before any connection is made.

settings.yaml has the variables and the ways to log in.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparkify_dagster.lake.base import LOG_PREFIX, SONG_PREFIX
from sparkify_dagster.settings import SettingError, whole_number
from sparkify_dagster.warehouse.statements import Keyword, schema_of

_FACTS = yaml.load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
)


class Secret:
    """A value that is told to the driver and to nobody else."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"


@dataclass(frozen=True)
class RedshiftSettings:
    """How to reach Redshift and how to work there. One of three ways to log in is filled in.

    Database user: `host`, `user`, `password`. IAM: `cluster_id` or `workgroup`. Secrets Manager:
    `secret_arn`, which holds user, password and, unless set here, host, port and database.
    """

    database: str
    host: str
    port: int
    user: str
    password: Secret
    cluster_id: str
    workgroup: str
    secret_arn: str
    region: str
    sslmode: str
    connect_timeout: int  # seconds
    statement_timeout: int  # seconds; 0: none
    lock_timeout: int  # seconds to wait for another run
    keepalive: int  # seconds of silence before TCP asks whether the other side is there
    retries: int  # of a whole transaction, after a fault that passes
    iam_role: str  # ARN that COPY reads S3 with, or the word default
    manifest_prefix: str  # s3://bucket/prefix
    keep_manifests: bool
    part_mb: int  # MB of a part of combined objects, before compression
    slices: int  # of the cluster: the number of parts is a multiple of it
    environment: str  # whose schemas are meant; empty: production's

    @property
    def place(self) -> str:
        """Return where the warehouse is, for people."""
        server = self.host or self.cluster_id or self.workgroup or self.secret_arn.split(":")[-1]
        place = f"{server}/{self.database}" if self.database else server
        return f"{place}, environment {self.environment}" if self.environment else place

    @property
    def role(self) -> str:
        """Return the role as COPY is told it: the word default stands without quotes."""
        return Keyword(self.iam_role) if self.iam_role == "default" else self.iam_role

    @property
    def schemas(self) -> tuple[str, str]:
        """Return the names of the two schemas, that of what people ask first."""
        return schema_of("analytics", self.environment), schema_of("staging", self.environment)


def load_redshift_settings(
    lake: str,
    lock_timeout: int,
    environment: Mapping[str, str] | None = None,
    named: str = "",
) -> RedshiftSettings:
    """Read and check the settings of the Redshift engine, for the environment `named`.

    Raises:
        SettingError: all that is missing, malformed or contradictory, in one message.
    """
    env = dict(os.environ if environment is None else environment)
    env["AWS_REGION"] = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or ""
    problems = _login_problems(env)
    found: dict[str, Any] = {}
    for field, rule in _FACTS["variables"].items():
        value = found[field] = env.get(rule["name"]) or rule.get("default", "")
        if value and not re.fullmatch(rule["pattern"], value):
            problems.append(f"{rule['name']}={value!r}: allowed {rule['allowed']}")
        if not value and rule.get("required"):
            problems.append(f"{rule['name']} is missing")
    for field, rule in _FACTS["numbers"].items():
        try:
            found[field] = whole_number(env, **rule)
        except SettingError as error:
            problems.append(str(error))
    if not lake.startswith("s3://"):
        problems.append(
            f"SPARKIFY_LAKE={lake!r}: Redshift reads from S3 only, s3://bucket/prefix expected"
        )
    data = tuple(f"{lake.rstrip('/')}/{prefix}" for prefix in (LOG_PREFIX, SONG_PREFIX))
    if f"{found['manifest_prefix']}/".startswith(data):
        problems.append(
            f"SPARKIFY_MANIFEST_PREFIX={found['manifest_prefix']!r}: lies among the lake's data "
            "and would be loaded with it; choose another place"
        )
    if problems:
        raise SettingError(
            f"SPARKIFY_TARGET=redshift cannot be used as it is set up: {'; '.join(problems)}"
        )
    secret_region = found["secret_arn"].split(":")[3:4]
    found["keep_manifests"] = found["keep_manifests"] == "true"
    return RedshiftSettings(
        **found,
        password=Secret(env.get("REDSHIFT_PASSWORD", "")),
        region=secret_region[0] if secret_region else env["AWS_REGION"],
        lock_timeout=lock_timeout,
        environment=named,
    )


def _login_problems(env: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the way to log in."""
    ways = [name for name in _FACTS["logins"] if env.get(name)]
    if len(ways) > 1:
        return [f"{' and '.join(ways)}: set only one of them"]
    way = ways[0] if ways else ""
    login = _FACTS["logins"][way]
    problems = [f"{name} is missing" for name in login["needed"] if not env.get(name)]
    problems += [
        f"{name} does not go with {way}: unset it" for name in login["excluded"] if env.get(name)
    ]
    if not way and not env.get("REDSHIFT_HOST"):
        problems.append(
            "(or, in place of host, user and password: REDSHIFT_CLUSTER_ID or REDSHIFT_WORKGROUP "
            "with AWS_REGION for IAM, or REDSHIFT_SECRET_ARN)"
        )
    if login.get("needs_tls") and env.get("REDSHIFT_SSLMODE") == "disable":
        problems.append(f"REDSHIFT_SSLMODE='disable' does not go with {way}")
    return problems
