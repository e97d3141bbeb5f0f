"""`sparkify test-sql`: runs the cases of sql/tests."""

import sys
import time
from pathlib import Path

import click

from sparkify_dagster.cli.formats import as_table
from sparkify_dagster.sql_tests.cases import FOLDER, Case, read_cases
from sparkify_dagster.sql_tests.running import Difference, run_cases


@click.command("test-sql")
@click.argument("tables", nargs=-1)
def command(*, tables: tuple[str, ...]) -> None:
    """Run the cases of sql/tests on DuckDB in memory: of TABLES, or of all.

    Exits with 1 where a table differs from what a case expects. The warehouse is not touched.
    """
    started = time.perf_counter()
    cases = [case for path in _paths(tables) for case in read_cases(path)]
    failed = 0
    for case, differences in run_cases(cases):
        failed += bool(differences)
        for difference in differences:
            click.echo(render(case, difference))
    seconds = time.perf_counter() - started
    click.echo(f"{len(cases)} cases, {failed} failed, in {seconds:.1f} s")
    sys.exit(1 if failed else 0)


def render(case: Case, difference: Difference) -> str:
    """Return a difference as a small table under the name of its case."""
    heading = f"{case.place}: {case.table.name}, {difference.way}: {case.name}"
    return f"{heading}\n{as_table(difference.columns, difference.rows)}"


def _paths(tables: tuple[str, ...]) -> list[Path]:
    found = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
    for table in tables:
        if table not in found:
            raise click.ClickException(
                f"there is no sql/tests/{table}.yaml; cases are there of: {', '.join(found)}"
            )
    return [found[table] for table in tables or found]
