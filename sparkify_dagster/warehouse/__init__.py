"""The engines, DuckDB and Redshift, behind one small interface. Imports no Dagster."""

from collections.abc import Mapping

from sparkify_dagster.settings import Settings
from sparkify_dagster.warehouse.base import Warehouse


def open_warehouse(settings: Settings, environment: Mapping[str, str] | None = None) -> Warehouse:
    """Return the warehouse that SPARKIFY_TARGET names; nothing is connected yet.

    Raises:
        SettingError: what Redshift needs is missing or contradictory.
    """
    if settings.target == "redshift":
        from sparkify_dagster.warehouse.redshift.engine import RedshiftWarehouse
        from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings

        return RedshiftWarehouse(
            load_redshift_settings(settings.lake, settings.lock_timeout, environment)
        )
    from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse

    return DuckDBWarehouse(settings.duckdb_path, settings.lock_timeout, settings.snapshot)
