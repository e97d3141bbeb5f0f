"""The `sparkify` command: one module a subcommand, imported when it is called."""

import importlib
from pathlib import Path
from typing import Any

import click
from dotenv import load_dotenv

from sparkify_dagster.settings import check_env_file

# Name and one-line help; the `command` of the module of this name is the click command.
COMMANDS = {
    "run": "Run the main job and print tables, checks and what to look at next.",
    "plan": "Tell what a run would do, why, and what it would cost.",
    "sample-data": "Write a sample lake in the exact layout of the real one.",
    "query": "Look into the warehouse with SQL; nothing is changed.",
    "status": "Tell what is loaded up to when, the last run and failing checks.",
    "docs": "Write the data dictionary, the diagram and the column lineage.",
    "impact": "Tell what a column is made from, and what it is part of.",
    "test-sql": "Run the cases of sql/tests on DuckDB; show what differs.",
    "environments": "List, create and drop environments to try a change in.",
    "diff": "Tell how the tables of two environments, commits or builds differ.",
    "verify": "Read all of the warehouse and compare it with a rebuild from the lake.",
    "grants": "Create the Redshift roles of loaders and analysts, with their rights.",
    "infra": "Provision Redshift on AWS, look at it, delete it.",
}


class LazyGroup(click.Group):
    """A click group that imports a subcommand's module only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand, or None where it does not exist."""
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        assert isinstance(found, click.Command)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; what lake or warehouse refuse is told in a line."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            from sparkify_dagster.lake.base import LakeError
            from sparkify_dagster.warehouse.base import WarehouseError

            if isinstance(error, LakeError | WarehouseError):
                raise click.ClickException(str(error)) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands with their help lines, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sparkify_dagster", prog_name="sparkify")
def main() -> None:
    """Work with the Sparkify data platform from the shell."""
    # Dagster loads .env for its own commands; here the same holds for ours.
    check_env_file(Path(".env"))
    load_dotenv(Path.cwd() / ".env")
