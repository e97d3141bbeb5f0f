"""The front door: everything Dagster is told about the platform."""

import gc
import warnings

import dagster as dg

# Dagster's classes live as long as the process: garbage collection need not visit them each time.
gc.freeze()

# Single-run backfills are marked beta in Dagster 1.13 and warn once per asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from sparkify_dagster.assets.analytics import ANALYTICS_ASSETS, listening_report
from sparkify_dagster.assets.lake import LAKE_ASSETS
from sparkify_dagster.assets.staging import staging_events, staging_songs
from sparkify_dagster.assets.star import STAR_ASSETS
from sparkify_dagster.automation.alerts import alert_sensors
from sparkify_dagster.automation.history import write_history_without_waiting
from sparkify_dagster.automation.jobs import reset_warehouse, sparkify_etl
from sparkify_dagster.automation.schedules import nightly
from sparkify_dagster.automation.sensors import LAKE_SENSORS
from sparkify_dagster.checks.tables import TABLE_CHECKS
from sparkify_dagster.resources import LakeResource, RendererResource, WarehouseResource
from sparkify_dagster.settings import load_settings

write_history_without_waiting()

defs = dg.Definitions(
    assets=[
        *LAKE_ASSETS,
        staging_events,
        staging_songs,
        *STAR_ASSETS,
        *ANALYTICS_ASSETS,
        listening_report,
    ],
    asset_checks=TABLE_CHECKS,
    jobs=[sparkify_etl, reset_warehouse],
    sensors=[*LAKE_SENSORS, *alert_sensors(load_settings())],
    schedules=[nightly],
    resources={
        "warehouse": WarehouseResource(),
        "lake": LakeResource(),
        "renderer": RendererResource(),
    },
    # One process owns the DuckDB file, and a step in a process of its own would cost 3 s.
    executor=dg.in_process_executor,
)
