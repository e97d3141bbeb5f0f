"""The engines, DuckDB and Redshift, behind one small interface. Imports no Dagster."""

from collections.abc import Mapping
from pathlib import Path

from sparkify_dagster.settings import PRODUCTION, Settings
from sparkify_dagster.warehouse.base import Warehouse


def open_warehouse(
    settings: Settings,
    environment: Mapping[str, str] | None = None,
    beside: Mapping[str, Path] | None = None,
) -> Warehouse:
    """Return the warehouse that SPARKIFY_TARGET names; nothing is connected yet.

    `beside` are the DuckDB files that statements can name, by environment; of an environment,
    production's is one.

    Raises:
        SettingError: what Redshift needs is missing or contradictory.
    """
    if settings.target == "redshift":
        from sparkify_dagster.warehouse.redshift.engine import RedshiftWarehouse
        from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings

        known = settings.lake, settings.lock_timeout, environment, settings.environment
        return RedshiftWarehouse(load_redshift_settings(*known))
    from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse

    if beside is None:
        beside = {PRODUCTION: settings.production_path} if settings.environment else {}
    return DuckDBWarehouse(
        settings.duckdb_path,
        settings.lock_timeout,
        settings.snapshot,
        settings.environment,
        beside,
    )
