"""What assets and checks are handed by Dagster: the warehouse and the lake.

Neither has config fields: they are told by the environment alone, so that nothing secret can show
in a run's config.
"""

import dagster as dg

from sparkify_dagster.lake.base import Lake
from sparkify_dagster.settings import load_settings
from sparkify_dagster.warehouse.base import Warehouse


class WarehouseResource(dg.ConfigurableResource["WarehouseResource"]):
    """The warehouse that SPARKIFY_TARGET names."""

    def open(self) -> Warehouse:
        """Return the engine; a connection is made by its first transaction."""
        # The engines are heavy to import; the UI and the daemon do without them.
        from sparkify_dagster.warehouse import open_warehouse

        return open_warehouse(load_settings())


class LakeResource(dg.ConfigurableResource["LakeResource"]):
    """The lake at SPARKIFY_LAKE."""

    def open(self) -> Lake:
        """Return the lake; nothing is read yet."""
        from sparkify_dagster.lake import open_lake

        return open_lake(load_settings().lake)
