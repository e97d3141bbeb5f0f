"""`sparkify verify`: whether the warehouse is what the lake says."""

import sys

import click

from sparkify_dagster.cli.diff import REBUILD, render, run_diff
from sparkify_dagster.settings import PRODUCTION, load_settings
from sparkify_dagster.warehouse import open_warehouse


@click.command("verify")
def command() -> None:
    """Read all blocks of the warehouse, and compare every table with a rebuild from the lake.

    The rebuild is made beside the warehouse and goes afterwards: it wants as much room. Files that
    the lake has been given since the last run count as differences. Exits with 1 where something
    differs or is damaged.
    """
    settings = load_settings()
    open_warehouse(settings).read_all_blocks()
    name = settings.environment or PRODUCTION
    found = run_diff(name, REBUILD, by_snapshot=False)
    click.echo(render(found, name, REBUILD, "text"), nl=False)
    wrong = any(one.rows or one.schema for one in found)
    if wrong:
        click.echo(
            "`sparkify run` takes in what the lake has been given since; other differences go by "
            "full_refresh: true in the run config of the table."
        )
    sys.exit(1 if wrong else 0)
