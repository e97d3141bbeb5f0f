"""`sparkify status`: what is loaded up to when, the last run, failing checks."""

import os
from typing import TYPE_CHECKING, Any

import click

from sparkify_dagster.cli.formats import figures
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import LOAD_CHECKS, TABLES
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.base import Session, WarehouseError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Grid

Rows = dict[str, tuple[int, Any]]  # by schema.table: rows, and when they last changed, UTC
Files = dict[str, dict[str, Any]]  # by staging table


@click.command("status")
def command() -> None:
    """Tell what is loaded up to when, how the last run ended and which checks fail."""
    from rich.console import Console

    settings = load_settings()
    warehouse = open_warehouse(settings)
    console = Console(soft_wrap=True, highlight=False)
    try:
        rows, files = warehouse.read(read_contents, "sparkify/status", "")
    except WarehouseError as error:
        raise click.ClickException(str(error)) from error
    console.print(f"Warehouse: {warehouse.place}", markup=False)
    console.print(f"Lake: {settings.lake}", markup=False)
    for line in file_lines(files):
        console.print(line)
    console.print(_grid(rows))
    if os.environ.get("DAGSTER_HOME"):
        _print_runs(console, settings.asset_key_prefix)
    else:
        console.print("Runs and checks: unknown, as DAGSTER_HOME is not set.")


def read_contents(session: Session) -> tuple[Rows, Files]:
    """Return what the warehouse holds; tables that no run has made yet are left out."""
    loads = {row["table_name"]: row["loaded_at"] for row in session.query("status/loads")}
    names = [table.qualified_name for table in TABLES.values() if table.qualified_name in loads]
    counts = {name: session.run(f"SELECT COUNT(*) FROM {name}")[0][0] for name in names}  # noqa: S608
    rows = {name: (int(counts[name]), loads[name]) for name in names}
    return rows, {row["table_name"]: row for row in session.query("status/files")}


def file_lines(files: Files) -> list[str]:
    """Return what is loaded of the lake's files."""
    what = {
        "staging_events": "Events: {files:,} files, {first_day} to {last_day}, last loaded {when}",
        "staging_songs": "Songs: {files:,} files, last loaded {when}",
    }
    lines = [
        text.format(**files[name], when=_moment(files[name]["loaded_at"]))
        for name, text in what.items()
        if name in files
    ]
    return lines or ["Nothing is loaded yet; run the job sparkify_etl."]


def _grid(rows: Rows) -> "Grid":
    from rich.table import Table as Grid

    grid = Grid("table")
    grid.add_column("rows", justify="right")
    grid.add_column("last changed")
    for name, (count, changed) in rows.items():
        grid.add_row(name, f"{count:,}", _moment(changed))
    return grid


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"


def _print_runs(console: "Console", prefix: tuple[str, ...]) -> None:
    import datetime as dt

    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        runs = instance.get_run_records(limit=1)
        if not runs:
            console.print("Last run: none yet.")
            return
        run, started = runs[0].dagster_run, runs[0].start_time
        when = _moment(dt.datetime.fromtimestamp(started, dt.UTC)) if started else "not yet started"
        console.print(f"Last run: {run.status.value}, {run.job_name}, {when}, {run.run_id}")
        failing = _failing_checks(instance, prefix)
    for line in failing:
        console.print(line)
    if not failing:
        console.print("Failing checks: none.")


def _failing_checks(instance: Any, prefix: tuple[str, ...]) -> list[str]:
    """Return a line for every check whose latest result is a failure."""
    import dagster as dg

    names = [(table.name, check.name) for table in TABLES.values() for check in table.checks]
    names += [(table, name) for table, checks in LOAD_CHECKS.items() for name in checks]
    keys = [dg.AssetCheckKey(dg.AssetKey([*prefix, table]), name) for table, name in names]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    lines = []
    for key, record in latest.items():
        evaluation = record.event.asset_check_evaluation if record.event else None
        if evaluation is not None and not evaluation.passed:
            lines.append(
                f"Failing check: {key.asset_key.path[-1]}.{key.name} "
                f"({evaluation.severity.value}): {figures(evaluation)}"
            )
    return lines
