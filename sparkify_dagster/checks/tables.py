"""The checks of every table, from the facts about it: one query a table, a result a check."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from sparkify_dagster.loading.ledger import EVERY_DAY, Span, latest_span, read_ledger
from sparkify_dagster.resources import WarehouseResource
from sparkify_dagster.table import Check, Table
from sparkify_dagster.tables import TABLES
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
    span = _changed_days(session, TABLES[table.changed_days]) if along_with_load else EVERY_DAY
    whole = span is EVERY_DAY
    (found,) = session.query(
        f"{table.file}/check",
        first_day=span.first_day,
        last_day=span.last_day,
        least_rows=int(whole),
    )
    return Numbers({name: int(value or 0) for name, value in found.items()}, whole)


def _changed_days(session: Session, table: Table) -> Span:
    """Return the days that the latest load of a large table changed; of a small one, all."""
    entry = read_ledger(session).of(table)
    if entry.is_full:
        return EVERY_DAY
    count = int(session.run(f"SELECT COUNT(*) FROM {table.qualified_name}")[0][0])  # noqa: S608
    return EVERY_DAY if count <= WHOLE_TABLE_ROWS else latest_span(session, table, entry.load_id)


def build_checks(table: Table) -> dg.AssetChecksDefinition:
    """Return the checks of one table, as one step."""

    @dg.multi_asset_check(
        name=f"{table.name}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=table.name,
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
        along_with_load = (
            dg.AssetKey(table.name) in materialized
            if materialized
            else not run.asset_check_selection
        )
        numbers = warehouse.open().read(
            lambda session: query_numbers(session, table, along_with_load),
            f"{run.job_name}/{table.name}_checks",
            run.run_id,
        )
        selected = {key.name for key in context.selected_asset_check_keys}
        for check in table.checks:
            if check.name in selected:
                yield _result(table, check, numbers)

    return table_checks


def _result(table: Table, check: Check, numbers: Numbers) -> dg.AssetCheckResult:
    is_warning = check.severity == "warning"
    return dg.AssetCheckResult(
        asset_key=table.name,
        check_name=check.name,
        passed=check.passes(numbers.values),
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        metadata={
            **{name: numbers.values[name] for name in check.columns},
            "looked_at": (
                "whole table"
                if numbers.whole_table
                else "the first to the last day changed by the load"
            ),
        },
    )


TABLE_CHECKS = [build_checks(table) for table in TABLES.values()]
