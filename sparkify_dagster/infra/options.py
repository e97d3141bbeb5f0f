"""What template and policy are given, and what AWS would refuse late."""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import yaml
from click import ClickException

FOLDER = files("sparkify_dagster.infra")
TEMPLATE = (FOLDER / "cloudformation.yaml").read_text(encoding="utf-8")
_DATA = ("log_data/", "song_data/", "log_json_path.json")  # of a lake: what is read
_FOUND = ("Name", "LakeBucket", "LakePrefix", "ManifestBucket", "ManifestPrefix", "VpcId")
# The parameters that are options of the command; their section has none of CloudFormation's tags.
_SECTION = yaml.safe_load(re.split(r"^(?=Parameters:|Rules:)", TEMPLATE, flags=re.M)[1])
OPTIONS = {key: one for key, one in _SECTION["Parameters"].items() if key not in _FOUND}


def parameters(name: str, given: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters but the VpcId: as given, else as `before`, else by default.

    `given` has None for what was not given, `before` what the stack has, if there is one. Raises
    ClickException where a value is missing or malformed.
    """
    values = {key: str(one["Default"]) for key, one in OPTIONS.items()} | dict(before)
    for key in values:
        if (value := given.get(key)) not in (None, ()):
            values[key] = ",".join(value) if isinstance(value, tuple) else str(value)
            values[key] = values[key].lower() if isinstance(value, bool) else values[key]
    lake, manifests = given["lake"], given["manifest_prefix"]
    if before:
        lake = lake or "s3://{LakeBucket}/{LakePrefix}".format_map(before)
        manifests = manifests or "s3://{ManifestBucket}/{ManifestPrefix}".format_map(before)
    base, most = values["BaseRpu"], values["MaxRpu"]
    if any(rpu != "4" and int(rpu) % 8 for rpu in (base, most)) or int(most) < int(base):
        raise ClickException(f"--base-rpu {base}, --max-rpu {most}: 4 or multiples of 8, rising")
    return values | places(lake, manifests) | {"Name": name}


def places(lake: str | None, manifests: str | None) -> dict[str, str]:
    """Return bucket and prefix of lake and manifests (`manifests/` in the lake by default).

    Raises ClickException where one is malformed, or the manifests, which the host deletes, mix in.
    """
    if not lake:
        raise ClickException("no lake: give --lake s3://bucket/prefix or set SPARKIFY_LAKE")
    found, manifests = [], manifests or f"{lake.rstrip('/')}/manifests"
    for flag, url in (("--lake", lake), ("--manifest-prefix", manifests)):
        # What is a wildcard in a policy would widen rights.
        match = re.fullmatch(r"s3://([a-z0-9.-]{3,63})(?:/+([^*?$\s\"\\]*?))?/*", url)
        if not match:
            raise ClickException(
                f"{flag}: {url!r} is no s3://bucket/prefix without blanks and * ? $"
            )
        found.append((match[1], f"{match[2]}/" if match[2] else ""))
    (bucket, prefix), (other, below) = found
    data = [prefix + key for key in _DATA] if other == bucket else []
    if not below or any(key.startswith(below) or below.startswith(key) for key in data):
        raise ClickException(
            f"--manifest-prefix: s3://{other}/{below} is a whole bucket, holds the lake's data or "
            "lies in it, and the host deletes manifests: give a prefix of its own"
        )
    at = {"LakeBucket": bucket, "LakePrefix": prefix}
    return at | {"ManifestBucket": other, "ManifestPrefix": below}


def find_vpc(ec2: Any, values: Mapping[str, str]) -> str:
    """Return the VPC of the subnets, or the default VPC where none are named.

    Serverless wants three subnets in three zones (in us-west-1 in two; Redshift Management Guide,
    "Considerations when using Amazon Redshift Serverless"). ClickException tells what was found.
    """
    region, wanted = ec2.meta.region_name, list(filter(None, values["SubnetId"].split(",")))
    by = {"Name": "subnet-id", "Values": wanted}  # an unknown one is then missing, not an error
    default = {"Name": "default-for-az", "Values": ["true"]}
    found = ec2.describe_subnets(Filters=[by if wanted else default])["Subnets"]
    vpcs, zones = ({one[key] for one in found} for key in ("VpcId", "AvailabilityZone"))
    listed = ", ".join(f"{one['SubnetId']} in {one['AvailabilityZone']}" for one in found) or "none"
    if len(vpcs) != 1 or len(found) < len(wanted):
        raise ClickException(f"--subnet-id: name subnets of one VPC in {region}; found: {listed}")
    is_few = len(found) < 3 or len(zones) < (2 if region == "us-west-1" else 3)
    if is_few and values["Provisioned"] == "false":
        raise ClickException(
            f"Serverless wants three subnets in three zones; found: {listed}. Name others by "
            "--subnet-id, or take --provisioned"
        )
    return str(vpcs.pop())


def host_policy(values: Mapping[str, str]) -> dict[str, Any]:
    """Return the rights of the host that runs Dagster, as a policy of IAM.

    `values` has those of `places`, KmsKeyArn, and the variables that say how to log in. A statement
    about something that is not named is left out.
    """
    known = dict.fromkeys(("account", "AWS_REGION", "REDSHIFT_USER", "REDSHIFT_DATABASE"), "*")
    known |= {"partition": "aws", "LakePrefix": ""}
    known |= {key: json.dumps(value)[1:-1] for key, value in values.items() if value}
    if found := re.match(r"arn:([\w-]+):iam::(\d+):", values.get("REDSHIFT_IAM_ROLE", "")):
        known["partition"], known["account"] = found.groups()
    if "REDSHIFT_WORKGROUP" in known:
        known["workgroup"] = "workgroup"  # all of them: its ARN has an id in place of the name
    policy: dict[str, Any] = json.loads((FOLDER / "host-policy.json").read_text(encoding="utf-8"))
    statements = [Template(json.dumps(one)) for one in policy["Statement"]]
    named = [one for one in statements if known.keys() >= set(one.get_identifiers())]
    return policy | {"Statement": [json.loads(one.substitute(known)) for one in named]}
