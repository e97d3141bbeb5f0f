"""Dagster jobs that do nothing: what a run of this many assets and checks costs by itself.

dagster job execute -m benchmarks.empty_job -a seven_and_ten -j empty
dagster job execute -m benchmarks.empty_job -a same_shape -j empty
"""

from collections.abc import Iterator

import dagster as dg

from sparkify_dagster.tables import LOAD_CHECKS, TABLES

# Table: checks yielded by the asset itself, checks in a step of their own.
SHAPE = {
    table.name: (len(LOAD_CHECKS.get(table.name, ())), len(table.checks))
    for table in TABLES.values()
}
DEPENDENCIES = {
    table.name: [name for name in table.depends_on if name in TABLES] for table in TABLES.values()
}
SEVEN = tuple(SHAPE)[:7]


def seven_and_ten() -> dg.Definitions:
    """Return 7 assets and 10 checks, each in a step of its own."""
    tables = [*SEVEN, *SEVEN[:3]]
    return _definitions(
        [_asset(table, 0) for table in SEVEN],
        [_check(table, f"check_{number}") for number, table in enumerate(tables)],
    )


def same_shape() -> dg.Definitions:
    """Return as many assets, check steps and check results as the platform has."""
    return _definitions(
        [_asset(table, inline) for table, (inline, _) in SHAPE.items()],
        [_checks(table, count) for table, (_, count) in SHAPE.items()],
    )


def _definitions(
    assets: list[dg.AssetsDefinition], checks: list[dg.AssetChecksDefinition]
) -> dg.Definitions:
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=[dg.define_asset_job("empty", selection=dg.AssetSelection.all())],
        executor=dg.in_process_executor,
    )


def _asset(table: str, checks: int) -> dg.AssetsDefinition:
    names = [f"inline_{number}" for number in range(checks)]

    @dg.asset(
        name=table,
        deps=DEPENDENCIES.get(table, []),
        check_specs=[dg.AssetCheckSpec(name, asset=table) for name in names],
    )
    def nothing() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        yield dg.MaterializeResult()
        for name in names:
            yield dg.AssetCheckResult(check_name=name, passed=True)

    return nothing


def _check(table: str, name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(name=name, asset=table)
    def nothing() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    return nothing


def _checks(table: str, count: int) -> dg.AssetChecksDefinition:
    names = [f"check_{number}" for number in range(count)]

    @dg.multi_asset_check(
        name=f"{table}_checks", specs=[dg.AssetCheckSpec(name, asset=table) for name in names]
    )
    def nothing() -> Iterator[dg.AssetCheckResult]:
        for name in names:
            yield dg.AssetCheckResult(asset_key=table, check_name=name, passed=True)

    return nothing
