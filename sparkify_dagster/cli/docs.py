"""`sparkify docs`: writes what is derived from sql/: dictionary, diagram, lineage, translation."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import click


@click.command("docs")
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 where a file is not current."
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write nothing but the data dictionary as one HTML page, with the last run's figures.",
)
def command(*, check: bool, page: Path | None) -> None:
    """Write docs/data_dictionary.md, docs/erd.md, column lineage and SQL for DuckDB anew.

    Works in a checkout of the repository, which these files are part of.
    """
    if page:
        _write_page(page)
        return
    from sparkify_dagster.documentation.files import ROOT, outdated, render_files

    if not (ROOT / "pyproject.toml").is_file():
        raise click.ClickException(
            f"{ROOT} is no checkout of the repository: run this from one, after `make run`"
        )
    files = render_files()
    stale = outdated(files)
    for path in stale:
        name = path.relative_to(ROOT)
        if check:
            click.echo(f"{name}: not current, run `sparkify docs`", err=True)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            click.echo(f"Wrote {name}")
    if check and stale:
        sys.exit(1)
    if not stale:
        click.echo("All files are current.")


def _write_page(path: Path) -> None:
    """Write the page, with what the warehouse holds and what the latest checks found, if any."""
    from sparkify_dagster.cli.status import latest_checks, moment, numbers, read_contents
    from sparkify_dagster.documentation.page import render_page
    from sparkify_dagster.settings import load_settings
    from sparkify_dagster.tables import TABLES
    from sparkify_dagster.warehouse import open_warehouse
    from sparkify_dagster.warehouse.base import NothingYetError

    settings = load_settings()
    warehouse, figures, results = open_warehouse(settings).for_readers(), {}, {}
    state = f"{warehouse.place}: nothing is loaded yet."
    with suppress(NothingYetError):
        contents = warehouse.read(read_contents, "sparkify/docs", "")
        for name, rows in contents.rows.items():
            loaded = moment(contents.loads.get(TABLES[name].qualified_name))
            figures[name] = f"{rows:,} rows, last changed {loaded}"
        latest = moment(max(filter(None, contents.loads.values())))
        state = f"{warehouse.place}, last changed {latest}."
    if os.environ.get("DAGSTER_HOME"):
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            for check, found in latest_checks(instance, settings.asset_key_prefix).items():
                results[check] = f"{'passed' if found.passed else 'FAILED'}: {numbers(found)}"
    try:
        path.write_text(render_page(state, figures, results), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be written ({error.strerror})") from error
    click.echo(f"Wrote {path}")
