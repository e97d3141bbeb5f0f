"""The page that `sparkify run` ends with, read from what Dagster recorded of the run."""

import logging
from collections.abc import Sequence

import click
import dagster as dg
from rich.console import Console
from rich.table import Column
from rich.table import Table as Grid

from sparkify_dagster.cli.status import numbers
from sparkify_dagster.report import report_path
from sparkify_dagster.settings import Settings
from sparkify_dagster.tables import TABLES

_INTERRUPTS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


def print_summary(tag: str, value: str, settings: Settings) -> bool:
    """Print tables and checks of the run with that tag; tell whether all is well."""
    console = Console(soft_wrap=True, highlight=False)
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_run_records(dg.RunsFilter(tags={tag: value}), limit=1)
        if not runs:
            console.print("The job did not start; the message is above.")
            return False
        run = runs[0].dagster_run
        events = instance.all_logs(run.run_id)
    rows, checks = _row_counts(events), _checks(events)
    console.print(_tables_grid(rows))
    console.print(_checks_grid(checks))
    failed = [check for check in checks if not check.passed]
    errors = [c for c in failed if c.severity == dg.AssetCheckSeverity.ERROR]
    fine = run.status == dg.DagsterRunStatus.SUCCESS and not errors
    if skipped := [name for name in TABLES if name not in rows]:
        console.print(f"Not built: {', '.join(skipped)}.")
    place = settings.duckdb_path if settings.target == "duckdb" else "Amazon Redshift"
    if settings.environment:
        console.print(f"Environment: {settings.environment}")
    click.echo(f"Warehouse: {place}")
    if fine and report_path(settings).is_file():
        click.echo(f"Report: {report_path(settings)}")
    console.print(
        f"{'Succeeded' if fine else 'FAILED'}: {len(rows)} tables, {len(checks)} checks, "
        f"{len(errors)} failed, {len(failed) - len(errors)} warnings."
    )
    if fine:
        console.print("Next: make ui, then http://127.0.0.1:3000")
    warnings = [event.user_message for event in events if event.level == logging.WARNING]
    for problem in [*(f"Warning: {text}" for text in warnings), *_reasons(run, events)]:
        click.echo(problem, err=True)
    return fine


def _reasons(run: dg.DagsterRun, events: Sequence[dg.EventLogEntry]) -> list[str]:
    """Return why steps failed, or the run as a whole, each reason once."""
    failures = _of_type(events, dg.DagsterEventType.STEP_FAILURE)
    found = [f"{entry.step_key}: {_reason(event)}" for entry, event in failures]
    if not found and run.status == dg.DagsterRunStatus.FAILURE:
        failures = _of_type(events, dg.DagsterEventType.RUN_FAILURE)
        found = [entry.user_message or str(event.message) for entry, event in failures]
    return list(dict.fromkeys(found))


def _of_type(
    entries: Sequence[dg.EventLogEntry], kind: dg.DagsterEventType
) -> list[tuple[dg.EventLogEntry, dg.DagsterEvent]]:
    both = [(entry, entry.dagster_event) for entry in entries]
    return [(entry, event) for entry, event in both if event and event.event_type == kind]


def _reason(event: dg.DagsterEvent) -> str:
    told, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
    if told and told.description:
        return str(told.description)
    if error and error.cls_name in _INTERRUPTS:
        return "interrupted"
    # A fault of the program itself: whoever mends it wants to know where it was.
    return error.to_string().strip() if error else str(event.message)


def _row_counts(events: Sequence[dg.EventLogEntry]) -> dict[str, tuple[int, float]]:
    """Return rows and seconds by table."""
    found = {}
    for event in events:
        materialization = event.asset_materialization
        if materialization is None or "dagster/row_count" not in materialization.metadata:
            continue
        metadata = {name: str(one.value) for name, one in materialization.metadata.items()}
        count, seconds = metadata["dagster/row_count"], metadata.get("seconds", 0)
        found[materialization.asset_key.path[-1]] = int(count), float(seconds)
    return found


def _checks(events: Sequence[dg.EventLogEntry]) -> list[dg.AssetCheckEvaluation]:
    found = _of_type(events, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    order = {name: position for position, name in enumerate(TABLES)}
    checks = (event.asset_check_evaluation_data for _, event in found)
    return sorted(checks, key=lambda check: order.get(check.asset_key.path[-1], 99))


def _tables_grid(rows: dict[str, tuple[int, float]]) -> Grid:
    numeric = (Column(name, justify="right") for name in ("rows", "seconds"))
    grid = Grid("table", *numeric, title="Tables", title_justify="left")
    for table in TABLES.values():
        if table.name in rows:
            count, seconds = rows[table.name]
            grid.add_row(table.qualified_name, f"{count:,}", f"{seconds:.2f}")
    return grid


def _checks_grid(checks: list[dg.AssetCheckEvaluation]) -> Grid:
    grid = Grid("table", "check", "result", "numbers", title="Checks", title_justify="left")
    for check in checks:
        is_warning = check.severity == dg.AssetCheckSeverity.WARN
        result = "[yellow]WARNING[/]" if is_warning else "[red]FAILED[/]"
        result = "[green]passed[/]" if check.passed else result
        grid.add_row(check.asset_key.path[-1], check.check_name, result, numbers(check))
    return grid
