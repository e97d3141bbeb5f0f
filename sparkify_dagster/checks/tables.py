"""The checks of every table, from the facts about it: one query a table, a result a check."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from sparkify_dagster.loading.findings import Findings, find, look, remedy
from sparkify_dagster.loading.ledger import EVERY_DAY, Span, read_ledger, row_count
from sparkify_dagster.presentation import asset_key, refusals, shown
from sparkify_dagster.resources import WarehouseResource
from sparkify_dagster.settings import Settings
from sparkify_dagster.table import Check, Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.text import code_block, markdown_table
from sparkify_dagster.warehouse.base import Session

# Up to this many rows a table is always checked whole; it takes a fraction of a second. Of a table
# that sums another up, the other's rows count.
WHOLE_TABLE_ROWS = 250_000


@dataclass(frozen=True)
class Numbers:
    """What the check query of a table found, and in how much of it."""

    values: dict[str, int]
    whole_table: bool


def query_numbers(session: Session, table: Table, along_with_load: bool) -> Numbers:
    """Run the check query of a table.

    A large table is checked from the first to the last day that its latest load changed, if the
    checks run along with that load; run on their own, they look at all of it.
    """
    span = (
        _changed_days(session, TABLES[table.days_of or table.name])
        if along_with_load
        else EVERY_DAY
    )
    return Numbers(look(session, table, span), whole_table=span is EVERY_DAY)


def _changed_days(session: Session, table: Table) -> Span:
    """Return the days that the latest load of a large table changed; of a small one, all."""
    ledger = read_ledger(session)
    entry = ledger.of(table)
    if entry.is_full or row_count(session, table) <= WHOLE_TABLE_ROWS:
        return EVERY_DAY
    return ledger.changed_since(entry.load_id - 1, [table])


def build_checks(table: Table, settings: Settings) -> dg.AssetChecksDefinition:
    """Return the checks of one table, as one step."""
    key = asset_key(settings, table.name)

    @dg.multi_asset_check(
        name=f"{table.name}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=key,
                description=check.description,
                blocking=check.severity == "blocking",
            )
            for check in table.checks
        ],
        can_subset=True,
        pool="warehouse",
    )
    def table_checks(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.AssetCheckResult]:
        run = context.run
        materialized = run.asset_selection
        along_with_load = key in materialized if materialized else not run.asset_check_selection
        selected = {key.name for key in context.selected_asset_check_keys}
        checks = [check for check in table.checks if check.name in selected]

        def look(session: Session) -> tuple[Numbers, dict[str, Findings]]:
            numbers = query_numbers(session, table, along_with_load)
            failed = (check for check in checks if not check.passes(numbers.values))
            return numbers, {check.name: find(session, table, check) for check in failed}

        label = f"{run.job_name}/{table.name}_checks"
        with refusals(context):
            numbers, findings = warehouse.open().read(look, label, run.run_id)
        for check in checks:
            yield _result(table, key, check, numbers, findings.get(check.name))

    return table_checks


def _result(
    table: Table, key: dg.AssetKey, check: Check, numbers: Numbers, found: Findings | None
) -> dg.AssetCheckResult:
    is_warning = check.severity == "warning"
    looked_at = "whole table" if numbers.whole_table else "the days changed by the load"
    figures = {name: numbers.values[name] for name in check.columns}
    said = ", ".join(f"{name} {number}" for name, number in figures.items())
    text = f"Not so: {check.description} Found: {said}. {remedy(table, check)}"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=check.name,
        passed=found is None,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        description=text if found else None,
        metadata={**(_show(found) if found else {}), **figures, "looked_at": looked_at},
    )


def _show(found: Findings) -> dict[str, Any]:
    """Return the first offending rows, names of people hidden, and the query that finds more."""
    metadata = {}
    if rows := [tuple(map(shown, found.columns, row)) for row in found.rows]:
        metadata["first_found"] = dg.MetadataValue.md(markdown_table(found.columns, rows))
    return {**metadata, "find_more": dg.MetadataValue.md(code_block(found.query, "sql"))}
