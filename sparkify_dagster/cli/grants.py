"""`sparkify grants`: the roles of loaders and analysts in Redshift."""

import uuid
from collections.abc import Callable
from typing import Any

import click

from sparkify_dagster.access import NAMES, Step, apply_roles, new_warehouse, plan
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import USERS
from sparkify_dagster.warehouse.base import WarehouseError

_NO_RIGHT = "42501"


def _user(text: str) -> str:
    if not text.strip():
        raise click.BadParameter("a user's name is empty")
    return text


def _members(role: str) -> Callable[[Any], Any]:
    text = f"Give this database user the role sparkify_{role}. May be repeated."
    flag = f"--{role}"
    return click.option(flag, f"{role}s", multiple=True, metavar="USER", type=_user, help=text)


@click.command()
@click.option(
    "--names",
    type=click.Choice(NAMES),
    default=NAMES[0],
    show_default=True,
    help="First and last names in users, for analysts: *** in their place, no right to read "
    "them, or as they are.",
)
@_members("loader")
@_members("analyst")
@click.option("--dry-run", is_flag=True, help="Print the statements; connect to nothing.")
def command(
    *, names: str, loaders: tuple[str, ...], analysts: tuple[str, ...], dry_run: bool
) -> None:
    """Create the roles of loaders and analysts and bring their rights up to date.

    sparkify_loader reads and writes the schemas staging and analytics; sparkify_analyst reads
    analytics. Run it as a superuser, after the first load, and again after reset_warehouse or
    where a table has been added: with the names hidden, a new table is not open by itself.
    """
    if dry_run:
        click.echo("-- Not sent. Without looking: for a warehouse with its tables and no roles.")
        _print(plan(new_warehouse(), names, loaders, analysts))
        return
    settings = load_settings()
    if settings.target != "redshift":
        raise click.ClickException(
            f"SPARKIFY_TARGET={settings.target}: DuckDB has no users and roles. Who can read "
            f"{settings.duckdb_path} reads everything in it, names too, so restrict the file "
            "itself; `sparkify query` opens it read-only. For Redshift's statements: --dry-run"
        )
    if settings.environment:
        raise click.ClickException(
            f"SPARKIFY_ENVIRONMENT={settings.environment}: roles and masks are production's. An "
            "environment's schemas are open to nobody but who made them."
        )
    # The engine is heavy to import; --help does without it.
    from sparkify_dagster.warehouse import open_warehouse

    try:
        warehouse = open_warehouse(settings)
        steps = apply_roles(warehouse, names, loaders, analysts, uuid.uuid4().hex)
    except WarehouseError as error:
        text = f"No right was changed. {error}"
        if getattr(error, "sqlstate", "") == _NO_RIGHT:
            text += "\nRoles and masking policies are given by a superuser, such as the admin user."
        raise click.ClickException(text) from error
    _print(steps)
    click.echo(f"-- Applied: {len(steps)} statements, in one transaction.")
    if not any(step.name == "access/users_revoke" for step in steps):
        click.echo(f"-- {USERS.qualified_name} does not exist yet: run this again after a load.")


def _print(steps: list[Step]) -> None:
    for step in steps:
        lines = [line for line in step.text.splitlines() if not line.startswith("--")]
        click.echo("\n".join(lines) + ";")
