"""The `sparkify` command: one module a subcommand, imported when it is called."""

import importlib
from pathlib import Path

import click
from dotenv import load_dotenv

from sparkify_dagster.settings import check_env_file

# name -> (module, one-line help); the module's `command` is the click command.
COMMANDS = {
    "run": ("run", "Run the main job and print tables, checks and what to look at next."),
    "plan": ("plan", "Tell what a run would do, why, and what it would cost."),
    "sample-data": ("sample_data", "Write a sample lake in the exact layout of the real one."),
    "query": ("query", "Look into the warehouse with SQL; nothing is changed."),
    "status": ("status", "Tell what is loaded up to when, the last run and failing checks."),
    "docs": ("docs", "Write the data dictionary, the diagram and the column lineage."),
    "impact": ("impact", "Tell what a column is made from, and what it is part of."),
    "test-sql": ("test_sql", "Run the cases of sql/tests on DuckDB; show what differs."),
    "environments": ("environments", "List, create and drop environments to try a change in."),
    "diff": ("diff", "Tell how the tables of two environments, commits or builds differ."),
    "verify": ("verify", "Read all of the warehouse and compare it with a rebuild from the lake."),
    "grants": ("grants", "Create the Redshift roles of loaders and analysts, with their rights."),
    "infra": ("infra", "Provision Redshift on AWS, look at it, delete it."),
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
        command = importlib.import_module(f"{__name__}.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands with their help lines, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sparkify_dagster", prog_name="sparkify")
def main() -> None:
    """Work with the Sparkify data platform from the shell."""
    # Dagster loads .env for its own commands; here the same holds for ours.
    check_env_file(Path(".env"))
    load_dotenv(Path.cwd() / ".env")
