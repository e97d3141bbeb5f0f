"""What to provision: names, sizes and the security defaults, checked before any AWS call."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal

from sparkify_dagster.infra.errors import InfraError

Kind = Literal["serverless", "provisioned"]

ADMIN_USER = "sparkify_admin"
PORT = 5439  # Redshift's own default; both kinds listen on it
PROJECT_TAG = "sparkify:project"
MANAGER_TAG = "sparkify:managed-by"
MANAGER = "sparkify-infra"
DATA_FOLDERS = ("log_data/", "song_data/")
JSONPATHS_FILE = "log_json_path.json"


@dataclass(frozen=True)
class S3Prefix:
    """A bucket and a key prefix; the prefix is empty or ends with a slash."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The `s3://bucket/prefix` form, without a trailing slash."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_s3(url: str, option: str) -> S3Prefix:
    """Split `s3://bucket/prefix`; InfraError names `option` where it is none.

    Wildcards of IAM policies (`*`, `?`, `$`) are refused: they would widen the role's rights.
    """
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url)
    if not match:
        raise InfraError(f"{option}: {url!r} is no s3://bucket/prefix address")
    prefix = (match[2] or "").strip("/")
    if re.search(r"[*?$\s]", prefix):
        raise InfraError(f"{option}: {url!r} holds a blank or one of * ? $, wildcards in IAM")
    return S3Prefix(match[1], f"{prefix}/" if prefix else "")


def check_name(name: str) -> str:
    """Return `name` where every service accepts it, else raise InfraError with the rule.

    The rule is the strictest of the services': a cluster identifier has no double and no
    trailing hyphen, a Serverless name at least three characters.
    """
    if not 3 <= len(name) <= 40 or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise InfraError(
            f"--name: {name!r} must be 3 to 40 lower-case letters, digits and single hyphens, "
            "begin with a letter and end with a letter or digit"
        )
    return name


def check_snapshot(name: str) -> str:
    """Return a snapshot's name where both kinds of Redshift take it, else raise InfraError."""
    if not 3 <= len(name) <= 63 or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise InfraError(
            f"--final-snapshot: {name!r} must be 3 to 63 lower-case letters, digits and single "
            "hyphens, begin with a letter and end with a letter or digit"
        )
    return name


def check_cidr(cidr: str) -> str:
    """Return the network in its normal form; InfraError where it is too wide or no IPv4.

    The widest network taken is a /8, the largest private one (RFC 1918). IPv6 is refused
    because redshift_connector connects by IPv4 only.
    """
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise InfraError(f"--allow-cidr: {cidr!r} is no network such as 203.0.113.7/32") from error
    if network.prefixlen == 0:
        raise InfraError(
            f"--allow-cidr: {cidr} is the whole internet, and anybody could try passwords on the "
            "warehouse: give the network that you connect from, such as 203.0.113.7/32"
        )
    if network.version == 6:
        raise InfraError(f"--allow-cidr: {cidr} is IPv6; the Redshift driver connects by IPv4 only")
    if network.prefixlen < 8:
        raise InfraError(
            f"--allow-cidr: {cidr} is wider than a /8, the largest private network: "
            "give the network that you connect from, such as 203.0.113.7/32"
        )
    return str(network)


@dataclass(frozen=True)
class Names:
    """The names of all that one installation owns, derived from its `--name`."""

    name: str

    @property
    def warehouse(self) -> str:
        """Serverless namespace and workgroup, or the cluster."""
        return self.name

    @property
    def role(self) -> str:
        """IAM role that COPY assumes."""
        return f"{self.name}-copy"

    @property
    def role_policy(self) -> str:
        """The role's only policy."""
        return "lake"

    @property
    def secret(self) -> str:
        """Secret with the admin user's name and password."""
        return f"{self.name}/redshift-admin"

    @property
    def security_group(self) -> str:
        """EC2 security group around the warehouse."""
        return f"{self.name}-redshift"

    @property
    def parameter_group(self) -> str:
        """Cluster parameter group with require_ssl."""
        return f"{self.name}-parameters"

    @property
    def subnet_group(self) -> str:
        """Cluster subnet group, where subnets are given."""
        return f"{self.name}-subnets"


@dataclass(frozen=True)
class Settings:
    """All that `up` makes true. Raises InfraError at construction where values contradict."""

    name: str
    lake: S3Prefix
    manifests: S3Prefix
    kind: Kind = "serverless"
    database: str = "sparkify"
    publicly_accessible: bool = False
    allow_cidr: str | None = None  # the only ingress there is; None: no ingress at all
    subnet_ids: tuple[str, ...] = ()  # empty: the default VPC
    base_rpu: int = 8
    max_rpu: int = 16
    usage_limit: int = 24  # RPU-hours a day, after which Redshift refuses queries
    node_type: str = "ra3.large"
    node_count: int = 1
    snapshot_days: int = 1  # days that a cluster's automated snapshots are kept
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", Names(check_name(self.name)))
        if self.allow_cidr is not None:
            object.__setattr__(self, "allow_cidr", check_cidr(self.allow_cidr))
        if self.publicly_accessible and self.allow_cidr is None:
            raise InfraError(
                "--public needs --allow-cidr NETWORK, the one network that may connect, "
                "such as 203.0.113.7/32"
            )
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.database):
            raise InfraError(
                f"--database: {self.database!r} must be lower-case letters, digits and "
                "underscores, at most 63"
            )
        self._check_manifests()
        self._check_sizes()

    def _check_manifests(self) -> None:
        if not self.manifests.prefix:
            raise InfraError(
                f"--manifest-prefix: {self.manifests.url} is a whole bucket, and COPY's role may "
                "write and delete under it: give a prefix such as s3://bucket/manifests"
            )
        if self.manifests.bucket != self.lake.bucket:
            return
        for key in self.lake_keys:
            if key.startswith(self.manifests.prefix) or self.manifests.prefix.startswith(key):
                raise InfraError(
                    f"--manifest-prefix: {self.manifests.url} and the lake's {key} lie inside one "
                    "another, and COPY's role may delete manifests: give a prefix of its own"
                )

    def _check_sizes(self) -> None:
        for option, rpu in (("--base-rpu", self.base_rpu), ("--max-rpu", self.max_rpu)):
            if rpu != 4 and not (8 <= rpu <= 1024 and rpu % 8 == 0):
                raise InfraError(f"{option}: {rpu} must be 4, or a multiple of 8 from 8 to 1024")
        if self.max_rpu < self.base_rpu:
            raise InfraError(f"--max-rpu: {self.max_rpu} is less than --base-rpu {self.base_rpu}")
        if self.usage_limit < 1:
            raise InfraError(f"--usage-limit: {self.usage_limit} must be at least 1 RPU-hour a day")
        if self.node_count < 1:
            raise InfraError(f"--nodes: {self.node_count} must be at least 1")
        if not 1 <= self.snapshot_days <= 35:
            raise InfraError(f"--snapshot-days: {self.snapshot_days} must be 1 to 35")

    @property
    def lake_keys(self) -> tuple[str, ...]:
        """The lake's two folders and its JSONPaths file, as keys or key prefixes."""
        return tuple(self.lake.prefix + key for key in (*DATA_FOLDERS, JSONPATHS_FILE))


def tags_of(name: str, resource_name: str) -> dict[str, str]:
    """Return the tags that mark a resource as made by this installation."""
    return {PROJECT_TAG: name, MANAGER_TAG: MANAGER, "Name": resource_name}


def cost_lines(settings: Settings) -> list[tuple[str, str]]:
    """Return the settings that decide what AWS bills, as pairs of name and meaning."""
    if settings.kind == "provisioned":
        return [
            ("nodes", f"{settings.node_count} x {settings.node_type} (--nodes, --node-type)"),
            ("auto-pause", "none: billed until paused or deleted (aws redshift pause-cluster)"),
            ("automated snapshots", f"kept {settings.snapshot_days} day(s) (--snapshot-days)"),
        ]
    return [
        ("base capacity", f"{settings.base_rpu} RPU (--base-rpu)"),
        ("maximum capacity", f"{settings.max_rpu} RPU (--max-rpu)"),
        (
            "usage limit",
            f"{settings.usage_limit} RPU-hours a day, then queries are refused until the next "
            "day, UTC (--usage-limit)",
        ),
        ("auto-pause", "built in: no compute is billed while no query runs; storage is"),
        ("recovery points", "made by Serverless and kept 24 hours; not a setting"),
    ]
