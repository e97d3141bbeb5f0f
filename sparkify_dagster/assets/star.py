"""The star schema: each table is brought up to date from what changed upstream."""

import dagster as dg

from sparkify_dagster.assets.common import LoadConfig, asset_arguments, load_table, materialized
from sparkify_dagster.loading.refresh import RefreshResult, refresh
from sparkify_dagster.resources import WarehouseResource
from sparkify_dagster.settings import Settings
from sparkify_dagster.table import Table


def build_star_asset(table: Table, settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of one table of the star."""

    @dg.asset(**asset_arguments(table, settings))
    def table_asset(
        context: dg.AssetExecutionContext, config: LoadConfig, warehouse: WarehouseResource
    ) -> dg.MaterializeResult:
        result, metadata = load_table(
            context,
            warehouse.open(),
            table,
            lambda session: refresh(session, table, config.full_refresh, context.run.run_id),
        )
        return materialized(result, {**metadata, "load": how(result)})

    return table_asset


def how(result: RefreshResult) -> str:
    """Return in a word what a refresh did."""
    return "rebuilt" if result.is_full else "updated" if result.changed else "unchanged"
