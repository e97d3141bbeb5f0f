"""The checks of every table, from the facts about it: one query a table, a result a check."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from sparkify_dagster.loading.log import last_change
from sparkify_dagster.resources import WarehouseResource
from sparkify_dagster.tables import TABLES, Check, Table
from sparkify_dagster.warehouse.base import Session

# Up to this many rows a table is always checked whole; it takes a fraction of a second. Of a table
# that sums another up, the other's rows count.
WHOLE_TABLE_ROWS = 250_000


@dataclass(frozen=True)
class Numbers:
    """What the check query of a table found, and in how much of it."""

    values: dict[str, Any]
    whole_table: bool


def query_numbers(session: Session, table: Table, along_with_load: bool) -> Numbers:
    """Run the check query of a table.

    A large table is checked from the first to the last day that its latest load changed, if the
    checks run along with that load; run on their own, they look at all of it.
    """
    looked_at = TABLES[table.changes_from].qualified_name
    count = int(session.run(f"SELECT COUNT(*) FROM {looked_at}")[0][0])  # noqa: S608
    change = last_change(session, table.changes_from)
    whole = not along_with_load or change.is_full or count <= WHOLE_TABLE_ROWS
    found = session.query(
        f"checks/{table.name}",
        whole_table=whole,
        first_day=change.first_day,
        last_day=change.last_day,
    )
    return Numbers(found[0], whole)


def evaluate(check: Check, numbers: Numbers) -> bool:
    """Tell whether a check passes."""
    values = [float(numbers.values[name] or 0) for name in check.numbers]
    match check.rule:
        case "equal":
            pairs = zip(values[::2], values[1::2], strict=True)
            agree = all(first == second for first, second in pairs)
            return agree and (values[0] >= 1 or not numbers.whole_table)
        case "share":
            return values[1] == 0 or values[0] / values[1] >= check.least
    return not any(values)


def build_checks(table: Table) -> dg.AssetChecksDefinition:
    """Return the checks of one table, as one step."""

    @dg.multi_asset_check(
        name=f"{table.name}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=table.name,
                description=check.description,
                blocking=check.blocking,
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
    metadata: dict[str, Any] = {name: int(numbers.values[name] or 0) for name in check.numbers}
    if check.rule == "share" and metadata[check.numbers[1]]:
        metadata["share"] = round(metadata[check.numbers[0]] / metadata[check.numbers[1]], 4)
    metadata["looked_at"] = (
        "whole table" if numbers.whole_table else "the first to the last day changed by the load"
    )
    return dg.AssetCheckResult(
        asset_key=table.name,
        check_name=check.name,
        passed=evaluate(check, numbers),
        severity=dg.AssetCheckSeverity.WARN if check.warn_only else dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
    )


TABLE_CHECKS = [build_checks(table) for table in TABLES.values()]
