"""The page that `sparkify run` ends with, read from what Dagster recorded of the run."""

import logging
from collections.abc import Sequence

import dagster as dg
from rich.console import Console
from rich.table import Table as Grid

from sparkify_dagster.report import report_path
from sparkify_dagster.settings import Settings
from sparkify_dagster.tables import TABLES


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
    skipped = [name for name in TABLES if name not in rows]
    if skipped:
        console.print(f"Not built: {', '.join(skipped)}.")
    place = settings.duckdb_path if settings.target == "duckdb" else "Amazon Redshift"
    if settings.environment:
        console.print(f"Environment: {settings.environment}")
    console.print(f"Warehouse: {place}", markup=False)
    if fine and report_path(settings).is_file():
        console.print(f"Report: {report_path(settings)}", markup=False)
    console.print(
        f"{'Succeeded' if fine else 'FAILED'}: {len(rows)} tables, {len(checks)} checks, "
        f"{len(errors)} failed, {len(failed) - len(errors)} warnings."
    )
    if fine:
        console.print("Next: make ui, then http://127.0.0.1:3000")
    problems = Console(stderr=True, soft_wrap=True, highlight=False)
    for event in events:
        if event.level == logging.WARNING:
            problems.print(f"Warning: {event.user_message}", markup=False)
    for reason in _reasons(run, events):
        problems.print(reason, markup=False)
    return fine


def _reasons(run: dg.DagsterRun, events: Sequence[dg.EventLogEntry]) -> list[str]:
    """Return why steps failed, or the run as a whole, each reason once."""
    found = [
        f"{event.step_key}: {_reason(event.dagster_event)}"
        for event in events
        if event.dagster_event
        and event.dagster_event.event_type == dg.DagsterEventType.STEP_FAILURE
    ]
    if not found and run.status == dg.DagsterRunStatus.FAILURE:
        found = [
            event.user_message or str(event.dagster_event.message)
            for event in events
            if event.dagster_event
            and event.dagster_event.event_type == dg.DagsterEventType.RUN_FAILURE
        ]
    return list(dict.fromkeys(found))


def _reason(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    # A fault of the program itself: whoever mends it wants to know where it was.
    return error.to_string().strip() if error else str(event.message)


def _row_counts(events: Sequence[dg.EventLogEntry]) -> dict[str, tuple[int, float]]:
    """Return rows and seconds by table."""
    found = {}
    for event in events:
        materialization = event.asset_materialization
        if materialization is None or "dagster/row_count" not in materialization.metadata:
            continue
        metadata = materialization.metadata
        seconds = metadata["seconds"].value if "seconds" in metadata else 0
        found[materialization.asset_key.path[-1]] = (
            int(str(metadata["dagster/row_count"].value)),
            float(str(seconds)),
        )
    return found


def _checks(events: Sequence[dg.EventLogEntry]) -> list[dg.AssetCheckEvaluation]:
    found = [
        event.dagster_event.asset_check_evaluation_data
        for event in events
        if event.dagster_event
        and event.dagster_event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    order = {name: position for position, name in enumerate(TABLES)}
    return sorted(found, key=lambda check: order.get(check.asset_key.path[-1], 99))


def _tables_grid(rows: dict[str, tuple[int, float]]) -> Grid:
    grid = Grid("table", title="Tables", title_justify="left")
    grid.add_column("rows", justify="right")
    grid.add_column("seconds", justify="right")
    for table in TABLES.values():
        if table.name in rows:
            count, seconds = rows[table.name]
            grid.add_row(table.qualified_name, f"{count:,}", f"{seconds:.2f}")
    return grid


def _checks_grid(checks: list[dg.AssetCheckEvaluation]) -> Grid:
    grid = Grid("table", "check", "result", "numbers", title="Checks", title_justify="left")
    for check in checks:
        if check.passed:
            result = "[green]passed[/]"
        elif check.severity == dg.AssetCheckSeverity.WARN:
            result = "[yellow]WARNING[/]"
        else:
            result = "[red]FAILED[/]"
        numbers = ", ".join(
            f"{name} {value.value}"
            for name, value in check.metadata.items()
            if isinstance(value.value, int | float)
        )
        grid.add_row(check.asset_key.path[-1], check.check_name, result, numbers)
    return grid
