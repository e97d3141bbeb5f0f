"""`sparkify status`: what is loaded up to when, the last run, failing checks."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from sparkify_dagster.cli.run import dagster_home
from sparkify_dagster.settings import Settings, load_settings
from sparkify_dagster.tables import LOAD_CHECKS, TABLES
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.base import Session

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation as CheckResult
    from rich.console import Console


@dataclass
class Contents:
    """What the warehouse holds."""

    rows: dict[str, int] = field(default_factory=dict)
    loads: dict[str, Any] = field(default_factory=dict)  # schema.table: when it last changed, UTC
    files: dict[str, dict[str, Any]] = field(default_factory=dict)


@click.command("status")
def command() -> None:
    """Tell what is loaded up to when, how the last run ended and which checks fail."""
    from rich.console import Console
    from rich.table import Column
    from rich.table import Table as Grid

    has_home = os.environ.get("DAGSTER_HOME") and dagster_home()
    settings = load_settings()
    warehouse = open_warehouse(settings)
    readable = warehouse.for_readers()
    console = Console(soft_wrap=True, highlight=False)
    contents = readable.read(read_contents, "sparkify/status", "")
    console.print(f"Warehouse: {warehouse.place}", markup=False)
    if readable.as_of:
        console.print(f"As of: {moment(readable.as_of)}")
    _print_files(console, contents, settings)
    grid = Grid("table", Column("rows", justify="right"), "last changed")
    for name, rows in contents.rows.items():
        table = TABLES[name].qualified_name
        grid.add_row(table, f"{rows:,}", moment(contents.loads.get(table)))
    console.print(grid)
    if has_home:
        _print_runs(console, settings.asset_key_prefix)
    else:
        console.print("Runs and checks: unknown, as DAGSTER_HOME is not set.")


def read_contents(session: Session) -> Contents:
    """Return what the warehouse holds; tables that no run has made yet are left out."""
    loads = {row["table_name"]: row["loaded_at"] for row in session.query("status/loads")}
    return Contents(
        rows={
            table.name: int(session.run(f"SELECT COUNT(*) FROM {table.qualified_name}")[0][0])  # noqa: S608
            for table in TABLES.values()
            if table.qualified_name in loads
        },
        loads=loads,
        files={row["table_name"]: row for row in session.query("status/files")},
    )


def _print_files(console: "Console", contents: Contents, settings: Settings) -> None:
    events = contents.files.get("staging_events")
    songs = contents.files.get("staging_songs")
    console.print(f"Lake: {settings.lake}", markup=False)
    if events:
        console.print(
            f"Events: {events['files']:,} files, {events['first_day']} to {events['last_day']}, "
            f"last loaded {moment(events['loaded_at'])}"
        )
    if songs:
        console.print(f"Songs: {songs['files']:,} files, last loaded {moment(songs['loaded_at'])}")
    if not events and not songs:
        console.print("Nothing is loaded yet; run the job sparkify_etl.")


def moment(at: Any) -> str:
    """Return a time as people read it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"


def _print_runs(console: "Console", prefix: tuple[str, ...]) -> None:
    import datetime as dt

    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        runs = instance.get_run_records(limit=1)
        if not runs:
            console.print("Last run: none yet.")
            return
        run, started = runs[0].dagster_run, runs[0].start_time
        when = moment(dt.datetime.fromtimestamp(started, dt.UTC)) if started else "not yet started"
        console.print(f"Last run: {run.status.value}, {run.job_name}, {when}, {run.run_id}")
        latest = latest_checks(instance, prefix)
    failing = [
        f"Failing check: {'.'.join(check)} ({result.severity.value}): {numbers(result)}"
        for check, result in latest.items()
        if not result.passed
    ]
    console.print("\n".join(failing or ["Failing checks: none."]))


def latest_checks(instance: Any, prefix: tuple[str, ...]) -> "dict[tuple[str, str], CheckResult]":
    """Return the latest result of every check that has one, by table and check."""
    import dagster as dg

    names = [(table.name, check.name) for table in TABLES.values() for check in table.checks]
    names += [(table, name) for table, checks in LOAD_CHECKS.items() for name in checks]
    keys = [dg.AssetCheckKey(dg.AssetKey([*prefix, table]), name) for table, name in names]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    events = ((key, record.event) for key, record in latest.items() if record.event)
    found = (((key.asset_key.path[-1], key.name), event) for key, event in events)
    return {name: one for name, event in found if (one := event.asset_check_evaluation)}


def numbers(result: "CheckResult") -> str:
    """Return the numbers that a check's result carries."""
    values = ((name, one.value) for name, one in result.metadata.items())
    return ", ".join(f"{name} {one}" for name, one in values if isinstance(one, int | float))
