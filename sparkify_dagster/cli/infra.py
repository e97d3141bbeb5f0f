"""`sparkify infra`: the warehouse on AWS, made and deleted by CloudFormation."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from click import ClickException

from sparkify_dagster.infra import options
from sparkify_dagster.infra.stack import AS_BEFORE, Stack

TRIES = Config(retries={"mode": "standard", "total_max_attempts": 10})
# AWS's errors by code, botocore's own by name: the first that fits says what helps.
_REMEDIES = (
    (r"Credential|SSO|Token|AuthFailure|Signature|RequestExpired|UnrecognizedClient|Profile",
     "AWS does not accept or find a sign-in: aws sso login, or check AWS_PROFILE and the keys"),
    (r"Region", "no usable AWS region: give --region or set AWS_REGION"),
    (r"Throttling|RequestLimitExceeded|TooManyRequests", "AWS throttles: wait a minute, run again"),
    (r"AccessDenied|Unauthorized", "AWS refuses {right}: ask for that right, then run again"),
    (r"AlreadyExists|Conflict", "AWS refuses {right}: of this name there is one, give another"),
)  # fmt: skip
# Other ways to log in, which the platform's settings refuse beside a secret.
_OTHER_WAYS = r"^(?=\s*(export\s+)?REDSHIFT_(WORKGROUP|CLUSTER_ID|USER|PASSWORD)\s*=)"
_OWN = r"(export )?REDSHIFT_SECRET_ARN\s*=\s*['\"]?(?!\S*:secret:redshift!)\w"  # not an admin's

_name = click.option("--name", default="sparkify", show_default=True, help="Name of all of it.")
_region = click.option("--region", envvar="AWS_REGION", help="[env AWS_REGION, or the profile's]")
_lake = click.option("--lake", envvar="SPARKIFY_LAKE", help="The lake. [env SPARKIFY_LAKE]")
_manifests = click.option("--manifest-prefix", envvar="SPARKIFY_MANIFEST_PREFIX", help="Where COPY "
    "manifests go. [env SPARKIFY_MANIFEST_PREFIX, or manifests/ in the lake]")  # fmt: skip


def _what(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what is made, as the template describes them."""
    for parameter, one in reversed(options.OPTIONS.items()):
        flag = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", parameter).lower()
        flags = f"--{flag}/--no-{flag}" if "AllowedValues" in one else f"--{flag}"
        how: dict[str, Any] = {"multiple": True} if one["Type"] == "CommaDelimitedList" else {}
        how |= {"type": int} if one["Type"] == "Number" else {}
        text = one["Description"] + (f" [default: {one['Default']}]" if one["Default"] else "")
        function = click.option(flags, parameter, default=None, help=text, **how)(function)
    return _name(_region(_lake(_manifests(function))))


@click.group()
def command() -> None:
    """Provision Redshift on AWS by CloudFormation, look at it, delete it."""


@command.command()
@_what
def plan(name: str, region: str | None, **given: Any) -> None:
    """Show what `up` would make, replace and delete. Makes nothing."""
    with _stack(name, region) as stack:
        _bring_up(stack, given, is_plan=True)
        click.echo("Nothing was made or changed.")


@command.command()
@_what
@click.option("--env-file", default=".env", show_default=True, help="Where its values are written.")
def up(name: str, region: str | None, env_file: str, **given: Any) -> None:
    """Make or change the warehouse, write the .env values.

    Run it again at any time: it goes on where an earlier run was stopped, and changes what the
    options name and nothing else.
    """
    with _stack(name, region) as stack:
        limit = int(_bring_up(stack, given, is_plan=False)["UsageLimit"])
        outputs = _outputs(stack.describe())
        env = {key: outputs[key].rstrip("/") for key in outputs if key.isupper()}
        if workgroup := outputs.get("WorkgroupArn"):
            stack.set_usage_limit(workgroup, limit)
            found = stack.clients("redshift-serverless").get_namespace(namespaceName=name)
            env["REDSHIFT_SECRET_ARN"] = found["namespace"]["adminPasswordSecretArn"]
    try:
        text = _write_env(Path(env_file), env)
    except OSError as error:
        raise ClickException(f"all is up, but {env_file} cannot be written: {error}") from error
    shown = "\n".join(f"  {key}={value}" for key, value in env.items())
    click.echo(f"{env_file} has, without a password:\n{shown}")
    if env["REDSHIFT_SECRET_ARN"] not in text:
        click.echo("but the REDSHIFT_SECRET_ARN that was there is yours and stays")


@command.command()
@_name
@_region
@click.option("--drift", is_flag=True, help="Compare with what is really there; takes a minute.")
def status(name: str, region: str | None, drift: bool) -> None:
    """Show state and outputs. Changes nothing."""
    with _stack(name, region) as stack:
        found = stack.describe()
        guard = "on" if found.get("EnableTerminationProtection") else "off"
        state = f"{found['StackStatus']}; deletion protection {guard}" if found else "no such stack"
        click.echo(f"{name} in {stack.client.meta.region_name}: {state}")
        outputs = _outputs(found)
        if workgroup := outputs.get("WorkgroupArn"):
            limits = map(str, stack.usage_limits(workgroup).values())
            outputs["RPU-hours a day"] = ", ".join(limits) or "no limit"
        for key, value in outputs.items():
            click.echo(f"  {key:<26} {value}")
        if drift and found:
            click.echo("\n".join(stack.drift() or ["All is as the template says."]))
        stack.check(found, AS_BEFORE)


@command.command()
@_name
@_region
@click.option("--confirm", metavar="NAME", help="The name again, instead of typing it.")
@click.option("--final-snapshot", metavar="SNAPSHOT", help="Keep the data under this name.")
@click.option("--no-final-snapshot", "final_snapshot", flag_value="", help="Delete the data, too.")
def down(name: str, region: str | None, confirm: str | None, final_snapshot: str | None) -> None:
    """Delete the stack, after showing what goes and what stays, and asking for the name."""
    with _stack(name, region) as stack:
        if not (found := stack.settled()):
            click.echo(f"There is no stack {name} in {stack.client.meta.region_name}.")
            return
        if found.get("EnableTerminationProtection"):
            raise ClickException(
                f"{name} is protected from deletion. If it is to go: aws cloudformation update-"
                f"termination-protection --no-enable-termination-protection --stack-name {name}"
            )
        resources = stack.resources()
        for logical, kind in resources.items():
            click.echo(f"delete  {logical} ({kind})")
        if not {"Cluster", "Namespace"} & resources.keys():
            final_snapshot = ""  # there are no data
        elif final_snapshot is None and confirm is not None:
            raise ClickException(
                "with --confirm, give --final-snapshot SNAPSHOT or --no-final-snapshot"
            )
        elif final_snapshot is None and click.confirm("Keep the data in a final snapshot?", True):
            proposed = f"{name}-final-{datetime.now(UTC):%Y%m%d-%H%M%S}"
            final_snapshot = click.prompt("Name of the snapshot", default=proposed)
        kept = f", snapshot {final_snapshot} (billed)" if final_snapshot else ""
        click.echo(f"keep    the lake with its manifests, .env{kept}")
        typed = click.prompt(f"Type {name} to delete") if confirm is None else confirm
        if typed != name:
            raise ClickException(f"{typed!r} is not {name!r}: nothing was deleted")
        if final_snapshot:
            stack.make_snapshot(final_snapshot, is_serverless="Namespace" in resources)
        if "Workgroup" in resources and (workgroup := _outputs(found).get("WorkgroupArn")):
            stack.set_usage_limit(workgroup, None)
        stack.carry_out(stack.client.delete_stack, found["StackId"])


@command.command(name="template")
def print_template() -> None:
    """Print the CloudFormation template."""
    click.echo(options.TEMPLATE, nl=False)


@command.command(name="host-policy")
@_lake
@_manifests
@click.option("--kms-key-arn", default="", help="A key of your own for the lake.")
def print_host_policy(lake: str | None, manifest_prefix: str | None, kms_key_arn: str) -> None:
    """Print the rights of the host that runs Dagster, for the login that the environment names."""
    own = {**os.environ, **options.places(lake, manifest_prefix), "KmsKeyArn": kms_key_arn}
    click.echo(json.dumps(options.host_policy(own), indent=2))


def _write_env(path: Path, values: dict[str, str]) -> str:
    """Set `values` in the file, which is whole at any time; return what it holds then.

    Lines that would contradict become comments. A secret of one's own, such as the loading user's,
    is kept: only an admin's is replaced. A new file is readable by its owner only.
    """
    path.touch(mode=0o600)
    before = path.read_text(encoding="utf-8")
    lines: dict[str | int, str] = {}
    for line in re.sub(_OTHER_WAYS, "#", before, flags=re.MULTILINE).splitlines():
        name = line.partition("=")[0].removeprefix("export ").strip()
        lines[name if name in values else len(lines)] = line
    new = ((key, f"{key}={value}") for key, value in values.items())
    lines |= {key: line for key, line in new if not re.match(_OWN, lines.get(key, ""))}
    text = "\n".join([*lines.values(), ""])
    if text != before:
        with click.open_file(path, "w", encoding="utf-8", atomic=True) as file:
            file.write(text)
    return text


@contextmanager
def _stack(name: str, region: str | None) -> Iterator[Stack]:
    """Give the stack; turn AWS's errors into one line."""
    try:
        session = boto3.session.Session(region_name=region)
        yield Stack(partial(session.client, config=TRIES), name)
    except (BotoCoreError, ClientError) as error:
        raise ClickException(_explain(error)) from None
    except KeyboardInterrupt:
        raise ClickException("interrupted; AWS works on: run the same command again") from None


def _explain(error: Any) -> str:
    """Return one line for an error of botocore: what failed, which right it was, the remedy."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    kind, text = code or type(error).__name__, " ".join(str(error).split())
    named = re.search(r"not authorized to perform:? ([\w-]+:\w+)", text)
    right = named[1] if named else getattr(error, "operation_name", "this")
    remedies = [remedy for pattern, remedy in _REMEDIES if re.search(pattern, kind)]
    return f"{remedies[0].format(right=right)}. ({text})" if remedies else text


def _bring_up(stack: Stack, given: dict[str, Any], is_plan: bool) -> dict[str, str]:
    """Show what the options would change, and do it unless `is_plan`; return the parameters."""
    found = stack.settled()
    stack.check(found, AS_BEFORE)
    before = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}
    values = options.parameters(stack.name, given, before)
    values["VpcId"] = options.find_vpc(stack.clients("ec2"), values)
    for parameter, one in options.OPTIONS.items():
        click.echo(f"  {parameter:<13} {values[parameter] or 'none':<16} {one['Description']}")
    stack.change(values, is_plan)
    return values


def _outputs(stack: dict[str, Any]) -> dict[str, str]:
    """Return the outputs; those for .env by the variable, which is their description."""
    return {
        one["Description" if one["Description"].isupper() else "OutputKey"]: one["OutputValue"]
        for one in stack.get("Outputs", [])
    }
