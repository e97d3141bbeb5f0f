"""`sparkify environments`: the same tables once more, for trying a change."""

import datetime as dt
import os

import click

from sparkify_dagster.cli.formats import as_table
from sparkify_dagster.loading.environments import create, describe
from sparkify_dagster.loading.ledger import read_ledger, utc_now
from sparkify_dagster.report import report_path
from sparkify_dagster.settings import PRODUCTION, Settings, load_settings
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.base import NoEnvironment, Row, WarehouseError


@click.group("environments")
def command() -> None:
    """List, create and drop environments: SPARKIFY_ENVIRONMENT names the one that a command is for.

    An environment has the same tables under another name: those that a change does not touch are
    views on production's, and only what changes is built. Production is never written.
    """


@command.command("list")
def list_them() -> None:
    """Tell what environments there are, and which are left over (SPARKIFY_ENVIRONMENT_DAYS)."""
    settings = settings_of(PRODUCTION)
    rows: list[Row] = []
    for name in open_warehouse(settings).environments():
        try:
            found = open_warehouse(settings_of(name)).read(describe, "sparkify/environments", "")
        except WarehouseError as error:
            rows.append((name, None, None, None, str(error)))
            continue
        age = utc_now() - found.created_at
        is_left_over = age > dt.timedelta(days=settings.environment_days)
        events = f"since {found.first_day}" if found.first_day else "all"
        remark = f"left over: {age.days} days old" if is_left_over else ""
        made = f"{found.created_at:%Y-%m-%d %H:%M} UTC"
        rows.append((name, made, events, ", ".join(found.own) or "none", remark))
    columns = ("environment", "created", "events", "tables of its own", "remark")
    click.echo(as_table(columns, rows) if rows else "There is no environment.\n", nl=False)


@command.command("create")
@click.argument("name")
@click.option(
    "--days",
    type=click.IntRange(1, 100_000),
    help="Load the events of the newest days only, so that a rebuild is quick.",
)
def create_one(*, name: str, days: int | None) -> None:
    """Make the environment NAME from production as it is, in seconds."""
    settings = _settings_of_another(name)
    # Says what is missing where nothing has been loaded yet.
    open_warehouse(settings_of(PRODUCTION)).read(read_ledger, "sparkify/environments", "")
    create(open_warehouse(settings), name, days)
    click.echo(f"Next: SPARKIFY_ENVIRONMENT={name} sparkify run, then sparkify diff {name}")


@command.command("drop")
@click.argument("name")
def drop_one(*, name: str) -> None:
    """Remove the environment NAME with all its tables; production's stay."""
    settings = _settings_of_another(name)
    warehouse = open_warehouse(settings)
    if name not in warehouse.environments():
        raise NoEnvironment(name)
    warehouse.demolish()
    report_path(settings).unlink(missing_ok=True)
    click.echo(f"Dropped: {name}.")


def settings_of(environment: str) -> Settings:
    """Return the settings with another environment than that of the process."""
    return load_settings({**os.environ, "SPARKIFY_ENVIRONMENT": environment})


def _settings_of_another(name: str) -> Settings:
    if name not in ("", PRODUCTION):
        return settings_of(name)
    raise click.ClickException(
        "production is no environment: it is neither made nor dropped here. The job "
        "reset_warehouse empties it."
    )
