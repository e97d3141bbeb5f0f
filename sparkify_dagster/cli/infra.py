"""`sparkify infra`: stand the warehouse up on AWS, look at it, take it down again."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sparkify_dagster.infra.errors import InfraError, explain
from sparkify_dagster.infra.settings import (
    Names,
    S3Prefix,
    Settings,
    check_name,
    check_snapshot,
    cost_lines,
    parse_s3,
)

if TYPE_CHECKING:
    from sparkify_dagster.infra.aws import Aws, Found
    from sparkify_dagster.infra.engine import Resource, Run

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _options(*options: Callable[[Decorated], Decorated]) -> Callable[[Decorated], Decorated]:
    def decorate(function: Decorated) -> Decorated:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


where_options = _options(
    click.option("--name", default="sparkify", show_default=True, help="Name of all that is made."),
    click.option("--region", envvar="AWS_REGION", help="AWS region. [env AWS_REGION, or profile]"),
)
timeout_option = click.option(
    "--timeout", default=40, show_default=True, help="Minutes to wait in all, then give up."
)
what_options = _options(
    click.option(
        "--lake",
        envvar="SPARKIFY_LAKE",
        help="The lake, s3://bucket/prefix. [env SPARKIFY_LAKE]",
    ),
    click.option(
        "--manifest-prefix",
        envvar="SPARKIFY_MANIFEST_PREFIX",
        help="Where COPY manifests go. [env SPARKIFY_MANIFEST_PREFIX, or manifests/ in the lake]",
    ),
    click.option("--provisioned", is_flag=True, help="A cluster instead of Serverless."),
    click.option(
        "--node-type", default=Settings.node_type, show_default=True, help="Of a cluster."
    ),
    click.option("--nodes", default=Settings.node_count, show_default=True, help="Of a cluster."),
    click.option(
        "--snapshot-days",
        default=Settings.snapshot_days,
        show_default=True,
        help="Days that a cluster's automated snapshots are kept, 1 to 35.",
    ),
    click.option("--base-rpu", default=Settings.base_rpu, show_default=True, help="Of Serverless."),
    click.option("--max-rpu", default=Settings.max_rpu, show_default=True, help="Of Serverless."),
    click.option(
        "--usage-limit",
        default=Settings.usage_limit,
        show_default=True,
        help="RPU-hours a day of Serverless, after which queries are refused.",
    ),
    click.option("--database", default=Settings.database, show_default=True, help="Its name."),
    click.option(
        "--allow-cidr",
        help="The one network that may connect, such as 10.0.0.0/16. [default: none]",
    ),
    click.option("--public", is_flag=True, help="Reachable from the internet; needs --allow-cidr."),
    click.option(
        "--subnet-id",
        "subnet_ids",
        multiple=True,
        help="Subnet to use; repeat it. [default: those of the default VPC]",
    ),
)


@click.group()
def command() -> None:
    """Provision Redshift on AWS: IAM role, network, secret, warehouse."""


@command.command()
@where_options
@what_options
def plan(name: str, region: str | None, **what: Any) -> None:
    """Print what `up` would do. Changes nothing."""
    with _aws(region) as aws:
        settings = _settings(name=name, **what)
        _print_settings(aws, settings)
        _print_plan(aws, settings)


@command.command()
@where_options
@what_options
@timeout_option
@click.option("--env-file", default=".env", show_default=True, help="Where its values are written.")
@click.pass_context
def up(
    context: click.Context,
    /,
    *,
    name: str,
    region: str | None,
    timeout: int,
    env_file: str,
    **what: Any,
) -> None:
    """Make what is missing, repair what differs, write the .env values.

    Run it again at any time: it changes nothing where all is as it should be, and goes on where
    an earlier run was stopped.
    """
    from sparkify_dagster.infra.engine import up as bring_up
    from sparkify_dagster.infra.envfile import write_env

    with _aws(region) as aws:
        settings = _settings(name=name, **what)
        _print_settings(aws, settings)
        with _run(context, aws, timeout) as run:
            values = bring_up(run, settings)
        try:
            changed = write_env(Path(env_file), values)
        except OSError as error:
            raise InfraError(
                f"all is up, but {env_file} cannot be written ({error.strerror}): run again with "
                "another --env-file"
            ) from error
    click.echo(f"\n{env_file}: {'written' if changed else 'unchanged'}, without the password")
    for key, value in values.items():
        click.echo(f"  {key}={value}")
    if settings.allow_cidr is None:
        click.echo("No network may connect yet: run `up` with --allow-cidr to let one in.")


@command.command()
@where_options
def status(name: str, region: str | None) -> None:
    """Print what exists: state, endpoint, tags. Changes nothing."""
    from sparkify_dagster.infra.engine import present

    with _aws(region) as aws:
        names = Names(check_name(name))
        pairs = present(aws, names)
        if not pairs:
            click.echo(f"nothing named {name} in {aws.region}")
            return
        for resource, found in pairs:
            ours = "" if found.is_ours(name) else ", not ours"
            click.echo(f"{resource.label} {found.name}: {found.state}{ours}")
            if found.endpoint:
                click.echo(f"    endpoint {found.endpoint}")
            for key, value in sorted(found.tags.items()):
                click.echo(f"    tag      {key}={value}")


@command.command()
@where_options
@timeout_option
@click.option("--confirm", metavar="NAME", help="The name again, instead of typing it.")
@click.option("--final-snapshot", metavar="SNAPSHOT", help="Keep the data under this name.")
@click.option("--no-final-snapshot", is_flag=True, help="Delete the data for good.")
@click.pass_context
def down(
    context: click.Context,
    /,
    *,
    name: str,
    region: str | None,
    timeout: int,
    confirm: str | None,
    final_snapshot: str | None,
    no_final_snapshot: bool,
) -> None:
    """Delete what carries our tags, after showing it and asking for the name.

    Run it again after an interruption: it goes on with what is left.
    """
    from sparkify_dagster.infra.engine import down as take_down
    from sparkify_dagster.infra.engine import present, to_delete

    with _aws(region) as aws:
        if final_snapshot and no_final_snapshot:
            raise InfraError("--final-snapshot and --no-final-snapshot contradict each other")
        names = Names(check_name(name))
        doomed = to_delete(aws, names)
        _print_doomed(aws, names, doomed, present(aws, names))
        holds_data = any(resource.holds_data for resource, _ in doomed)
        if holds_data and not final_snapshot and not no_final_snapshot:
            final_snapshot = _offer_snapshot(name, confirm)
        if final_snapshot:
            check_snapshot(final_snapshot)
        if doomed:
            _confirm(name, confirm)
        with _run(context, aws, timeout) as run:
            take_down(run, names, doomed, final_snapshot)


@contextmanager
def _aws(region: str | None) -> "Iterator[Aws]":
    """Give the AWS clients; turn every error into one line without a secret."""
    from botocore.exceptions import BotoCoreError, ClientError

    from sparkify_dagster.infra.aws import Aws

    aws: Aws | None = None
    try:
        aws = Aws(region or os.environ.get("AWS_DEFAULT_REGION"))
        yield aws
    except (BotoCoreError, ClientError, InfraError) as error:
        text = str(error)
        if isinstance(error, (BotoCoreError, ClientError)):
            text = explain(error, aws.last_service if aws else "sts")
        raise click.ClickException(aws.redact(text) if aws else text) from None
    except KeyboardInterrupt:
        raise click.ClickException(
            "interrupted: run the same command again, it goes on from here"
        ) from None


def _settings(
    *,
    name: str,
    lake: str | None,
    manifest_prefix: str | None,
    provisioned: bool,
    nodes: int,
    public: bool,
    **rest: Any,
) -> Settings:
    if not lake:
        raise InfraError("no lake: give --lake s3://bucket/prefix or set SPARKIFY_LAKE")
    place = parse_s3(lake, "--lake")
    manifests = (
        parse_s3(manifest_prefix, "--manifest-prefix")
        if manifest_prefix
        else S3Prefix(place.bucket, f"{place.prefix}manifests/")
    )
    return Settings(
        name=name,
        lake=place,
        manifests=manifests,
        kind="provisioned" if provisioned else "serverless",
        node_count=nodes,
        publicly_accessible=public,
        **rest,
    )


@contextmanager
def _run(context: click.Context, aws: "Aws", minutes: int) -> "Iterator[Run]":
    """Give a run that prints each step and shows what is awaited, and for how long."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from sparkify_dagster.infra.aws import Waiter
    from sparkify_dagster.infra.engine import Run

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("asking AWS", total=None)

        def say(text: str) -> None:
            progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

        # A test hands in its own clock and sleep through click's context object.
        waiter = Waiter(limit_seconds=minutes * 60, **(context.obj or {}))
        waiter.show = lambda text: progress.update(task, description=text)
        yield Run(aws, waiter, say)


def _print_settings(aws: "Aws", settings: Settings) -> None:
    network = settings.allow_cidr or "none (--allow-cidr)"
    lines = [
        ("name", f"{settings.name} in {aws.region}, {settings.kind}"),
        ("lake", settings.lake.url),
        ("manifests", settings.manifests.url),
        ("reachable from", "the internet" if settings.publicly_accessible else "its VPC only"),
        ("network let in", network),
        ("encryption", "at rest on, TLS required"),
        *cost_lines(settings),
    ]
    for label, text in lines:
        click.echo(f"  {label:<20} {text}")
    click.echo("")


def _print_plan(aws: "Aws", settings: Settings) -> None:
    from sparkify_dagster.infra.engine import plan as make_plan

    steps = make_plan(aws, settings)
    for step in steps:
        name = f"{step.resource.label} {step.resource.name(settings.names)}"
        click.echo(f"{step.action:<7} {name}")
        for difference in step.differences:
            click.echo(f"        {difference.text}")
    changes = sum(step.action != "keep" for step in steps)
    click.echo(f"\n{changes} of {len(steps)} resources would change; nothing was changed now.")


def _print_doomed(
    aws: "Aws",
    names: Names,
    doomed: "list[tuple[Resource, Found]]",
    there: "list[tuple[Resource, Found]]",
) -> None:
    if not doomed:
        click.echo(f"nothing of {names.name} to delete in {aws.region}")
    for resource, found in doomed:
        click.echo(f"delete  {resource.label} {found.name} ({found.state})")
    for resource, found in there:
        if not found.is_ours(names.name):
            click.echo(f"keep    {resource.label} {found.name}: it does not carry our tags")


def _offer_snapshot(name: str, confirm: str | None) -> str | None:
    if confirm is not None:
        raise InfraError("with --confirm, give --final-snapshot SNAPSHOT or --no-final-snapshot")
    if not click.confirm("Keep the data in a final snapshot?", default=True):
        return None
    proposal = f"{name}-final-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    answer: str = click.prompt("Name of the snapshot", default=proposal)
    return answer


def _confirm(name: str, confirm: str | None) -> None:
    typed = confirm if confirm is not None else click.prompt(f"Type {name} to delete all this")
    if typed != name:
        raise InfraError(f"{typed!r} is not {name!r}: nothing was deleted")
