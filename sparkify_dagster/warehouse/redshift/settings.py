"""What the Redshift engine is told by the environment, checked before any connection is made."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparkify_dagster.lake.base import LOG_PREFIX, SONG_PREFIX
from sparkify_dagster.settings import SettingError, whole_number
from sparkify_dagster.warehouse.statements import Keyword, schema_of

SSL_MODES = ("verify-full", "verify-ca", "disable")

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+(,arn:[\w:+=,.@/-]+)*")
_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:.+")
_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?")
# What is no part of them is a slip: a scheme, a port, blanks, quotes, a second statement.
_HOST = re.compile(r"[\w.-]+", re.ASCII)
_NAME = re.compile(r"[\w.:@+$/-]+")
_PLACES = (
    ("REDSHIFT_HOST", _HOST, "a host's name or IPv4 address, without scheme, port, blanks, quotes"),
    *(
        (f"REDSHIFT_{what}", _NAME, "a name of letters, digits and _ . : @ + $ / -")
        for what in ("DATABASE", "USER", "CLUSTER_ID", "WORKGROUP")
    ),
)
_DATA = (LOG_PREFIX, SONG_PREFIX)
_YES_NO = {"true": True, "false": False}


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
    manifest_prefix: str  # s3://bucket/prefix without a slash at the end
    iam_role: str = "default"  # ARN that COPY reads S3 with, or the word default
    host: str = ""
    port: int = 5439
    user: str = ""
    password: Secret | None = None
    cluster_id: str = ""
    workgroup: str = ""
    secret_arn: str = ""
    region: str = ""
    sslmode: str = "verify-full"
    connect_timeout: int = 30  # seconds
    statement_timeout: int = 3600  # seconds; 0: none
    lock_timeout: int = 300  # seconds to wait for another run
    keepalive: int = 60  # seconds of silence before TCP asks whether the other side is there
    retries: int = 6  # of a whole transaction, after a fault that passes
    part_bytes: int = 64 << 20  # of a part of combined objects, before compression
    slices: int = 2  # of the cluster: the number of parts is a multiple of it
    keep_manifests: bool = False
    environment: str = ""  # whose schemas are meant; empty: production's

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
    env = os.environ if environment is None else environment
    problems = _login_problems(env) + _copy_problems(env, lake)
    problems += [
        f"{name}={env[name]!r}: allowed is {allowed}"
        for name, pattern, allowed in _PLACES
        if env.get(name) and not pattern.fullmatch(env[name])
    ]
    if env.get("REDSHIFT_SSLMODE", "") not in ("", *SSL_MODES):
        problems.append(
            f"REDSHIFT_SSLMODE={env['REDSHIFT_SSLMODE']!r}: allowed are {', '.join(SSL_MODES)}"
        )
    numbers = {}
    for field, name, default, least, most in (
        ("port", "REDSHIFT_PORT", 5439, 1, 65535),
        ("connect_timeout", "REDSHIFT_CONNECT_TIMEOUT", 30, 1, 3600),
        ("statement_timeout", "REDSHIFT_STATEMENT_TIMEOUT", 3600, 0, 86400),
        ("keepalive", "REDSHIFT_KEEPALIVE", 60, 1, 7200),
        ("retries", "REDSHIFT_RETRIES", 6, 0, 20),
        ("slices", "REDSHIFT_SLICES", 2, 1, 4096),
        ("part_bytes", "SPARKIFY_PART_MB", 64, 1, 1024),
    ):
        try:
            numbers[field] = whole_number(env, name, default, least, most)
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise SettingError(
            f"SPARKIFY_TARGET=redshift cannot be used as it is set up: {'; '.join(problems)}"
        )
    numbers["part_bytes"] <<= 20
    secret_arn = env.get("REDSHIFT_SECRET_ARN", "")
    found = _SECRET.fullmatch(secret_arn)
    password = env.get("REDSHIFT_PASSWORD", "")
    return RedshiftSettings(
        database=env.get("REDSHIFT_DATABASE", ""),
        manifest_prefix=env["SPARKIFY_MANIFEST_PREFIX"].rstrip("/"),
        iam_role=env.get("REDSHIFT_IAM_ROLE") or "default",
        host=env.get("REDSHIFT_HOST", ""),
        user=env.get("REDSHIFT_USER", ""),
        password=Secret(password) if password else None,
        cluster_id=env.get("REDSHIFT_CLUSTER_ID", ""),
        workgroup=env.get("REDSHIFT_WORKGROUP", ""),
        secret_arn=secret_arn,
        region=found["region"] if found else _region(env),
        sslmode=env.get("REDSHIFT_SSLMODE") or SSL_MODES[0],
        lock_timeout=lock_timeout,
        environment=named,
        keep_manifests=_YES_NO[env.get("SPARKIFY_KEEP_MANIFESTS") or "false"],
        **numbers,
    )


def _region(env: Mapping[str, str]) -> str:
    return env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or ""


def _login_problems(env: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the way to log in."""
    ways = [
        name
        for name in ("REDSHIFT_CLUSTER_ID", "REDSHIFT_WORKGROUP", "REDSHIFT_SECRET_ARN")
        if env.get(name)
    ]
    if len(ways) > 1:
        return [f"{' and '.join(ways)}: set only one of them"]
    way = ways[0] if ways else ""
    needed = ["REDSHIFT_DATABASE"]
    excluded: tuple[str, ...] = ()
    if not way:
        needed = ["REDSHIFT_HOST", "REDSHIFT_DATABASE", "REDSHIFT_USER", "REDSHIFT_PASSWORD"]
    elif way == "REDSHIFT_CLUSTER_ID":
        needed.append("REDSHIFT_USER")
        excluded = ("REDSHIFT_PASSWORD",)
    elif way == "REDSHIFT_WORKGROUP":
        # Serverless makes the database user from the IAM identity.
        excluded = ("REDSHIFT_USER", "REDSHIFT_PASSWORD")
    else:
        needed = []
        excluded = ("REDSHIFT_USER", "REDSHIFT_PASSWORD")
    problems = [f"{name} is missing" for name in needed if not env.get(name)]
    problems += [f"{name} does not go with {way}: unset it" for name in excluded if env.get(name)]
    if not way and not env.get("REDSHIFT_HOST"):
        problems.append(
            "(or, in place of host, user and password: REDSHIFT_CLUSTER_ID or REDSHIFT_WORKGROUP "
            "with AWS_REGION for IAM, or REDSHIFT_SECRET_ARN)"
        )
    if way in ("REDSHIFT_CLUSTER_ID", "REDSHIFT_WORKGROUP"):
        if not _region(env):
            problems.append("AWS_REGION is missing")
        if env.get("REDSHIFT_SSLMODE") == "disable":
            problems.append(f"REDSHIFT_SSLMODE='disable' does not go with {way}")
    secret = env.get("REDSHIFT_SECRET_ARN", "")
    if secret and not _SECRET.fullmatch(secret):
        problems.append(
            f"REDSHIFT_SECRET_ARN={secret!r}: "
            "allowed is arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
        )
    return problems


def _copy_problems(env: Mapping[str, str], lake: str) -> list[str]:
    """Return what is wrong with the way COPY reads the lake."""
    problems = []
    if not lake.startswith("s3://"):
        problems.append(
            f"SPARKIFY_LAKE={lake!r}: Redshift reads from S3 only, s3://bucket/prefix expected"
        )
    prefix = env.get("SPARKIFY_MANIFEST_PREFIX", "")
    if not prefix:
        problems.append("SPARKIFY_MANIFEST_PREFIX is missing")
    elif not _PREFIX.fullmatch(prefix):
        problems.append(f"SPARKIFY_MANIFEST_PREFIX={prefix!r}: allowed is s3://bucket/prefix")
    elif f"{prefix}/".startswith(tuple(f"{lake.rstrip('/')}/{data}" for data in _DATA)):
        problems.append(
            f"SPARKIFY_MANIFEST_PREFIX={prefix!r}: lies among the lake's data and would be loaded "
            "with it; choose another place"
        )
    role = env.get("REDSHIFT_IAM_ROLE") or "default"
    if role != "default" and not _ROLE.fullmatch(role):
        problems.append(
            f"REDSHIFT_IAM_ROLE={role!r}: allowed are arn:aws:iam::ACCOUNT:role/NAME and the word "
            "default"
        )
    if (env.get("SPARKIFY_KEEP_MANIFESTS") or "false") not in _YES_NO:
        problems.append(
            f"SPARKIFY_KEEP_MANIFESTS={env['SPARKIFY_KEEP_MANIFESTS']!r}: "
            "allowed are true and false"
        )
    return problems
