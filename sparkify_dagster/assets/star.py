"""The star schema: each table is brought up to date from what changed upstream."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from sparkify_dagster.assets.common import LoadConfig, asset_arguments, load_table
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.resources import WarehouseResource
from sparkify_dagster.table import Table
from sparkify_dagster.tables import in_group
from sparkify_dagster.warehouse.base import Session


def build_star_asset(table: Table) -> dg.AssetsDefinition:
    """Return the asset of one table of the star."""

    @dg.asset(**asset_arguments(table))
    def table_asset(
        context: dg.AssetExecutionContext, config: LoadConfig, warehouse: WarehouseResource
    ) -> dg.MaterializeResult:
        return refresh_table(context, config, warehouse, table)

    return table_asset


def refresh_table(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    warehouse: WarehouseResource,
    table: Table,
    show: Callable[[Session], Callable[[], dict[str, Any]]] | None = None,
) -> dg.MaterializeResult:
    """Run the load statements of a table; return its materialization.

    `show` is for what the materialization shows besides what all tables show.
    """
    result, metadata = load_table(
        context,
        warehouse.open(),
        table,
        lambda session: refresh(session, table, config.full_refresh, context.run.run_id),
        show,
    )
    how = "rebuilt" if result.is_full else "updated" if result.changed else "unchanged"
    return dg.MaterializeResult(metadata={**metadata, "load": how})


STAR_ASSETS = [build_star_asset(table) for table in in_group("star")]
