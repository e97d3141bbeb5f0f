"""The front door: everything Dagster is told about the platform."""

import gc
import sys

import dagster as dg

from sparkify_dagster.assets.lake import build_lake_assets
from sparkify_dagster.assets.staging import build_staging_events, build_staging_songs
from sparkify_dagster.assets.tables import build_report, build_table_asset
from sparkify_dagster.automation.alerts import alert_sensors
from sparkify_dagster.automation.jobs import build_prune_history, reset_warehouse, sparkify_etl
from sparkify_dagster.automation.retries import build_retry_sensor
from sparkify_dagster.automation.schedules import build_schedules
from sparkify_dagster.automation.sensors import build_lake_sensors
from sparkify_dagster.checks.tables import build_checks
from sparkify_dagster.resources import LakeResource, RendererResource, WarehouseResource
from sparkify_dagster.settings import Settings, load_settings
from sparkify_dagster.tables import TABLES


def build_defs(settings: Settings) -> dg.Definitions:
    """Return all definitions.

    Raises:
        SettingError: SPARKIFY_SCHEDULE_CRON is no cron line.
    """
    prune_history, tables = build_prune_history(settings), TABLES.values()
    return dg.Definitions(
        assets=[
            *build_lake_assets(settings),
            build_staging_events(settings),
            build_staging_songs(settings),
            *(build_table_asset(table, settings) for table in tables if table.group != "staging"),
            build_report(settings),
        ],
        asset_checks=[build_checks(table, settings) for table in tables],
        jobs=[sparkify_etl, reset_warehouse, prune_history],
        sensors=[
            *build_lake_sensors(settings),
            build_retry_sensor(settings),
            *alert_sensors(settings),
        ],
        schedules=build_schedules(settings, prune_history),
        resources={
            "warehouse": WarehouseResource(),
            "lake": LakeResource(),
            "renderer": RendererResource(),
        },
        # One process owns the DuckDB file, and a step in a process of its own would cost 3 s.
        executor=dg.in_process_executor,
    )


defs = build_defs(load_settings())
# All that is there by now stays. To look through it for garbage when all ends took a run of 8,000
# events 1 of its 7 seconds. DuckDB's binding, if it is there already, would complain of a leak.
if "duckdb" not in sys.modules:
    gc.freeze()
