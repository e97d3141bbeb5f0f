"""What assets and checks are handed by Dagster: the warehouse, the lake and the renderer.

None has config fields: they are told by the environment alone, so that nothing secret can show
in a run's config.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from sparkify_dagster.lake.base import Lake
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Warehouse

if TYPE_CHECKING:
    from sparkify_dagster.report.renderer import Renderer


class WarehouseResource(dg.ConfigurableResource["WarehouseResource"]):
    """The warehouse that SPARKIFY_TARGET names."""

    _engine: Warehouse | None = PrivateAttr(None)
    _run: ExitStack = PrivateAttr(default_factory=ExitStack)

    def open(self) -> Warehouse:
        """Return the engine, the same for a whole run; its first transaction connects."""
        if self._engine is None:
            # The engines are heavy to import; the UI and the daemon do without them.
            from sparkify_dagster.warehouse import open_warehouse

            self._engine = open_warehouse(load_settings())
            self._run.enter_context(self._engine.kept_open())
        return self._engine

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Note at the end of a run what its changes took, and disconnect."""
        if self._engine and context.run and context.instance:
            for label, costs in self._engine.costs(context.run.run_id).items():
                if (name := label.rpartition("/")[2]) in TABLES:
                    context.instance.report_runless_asset_event(_observation(name, costs))
        self._run.close()
        self._engine = None


def _observation(table: str, costs: dict[str, float | int]) -> dg.AssetObservation:
    return dg.AssetObservation(
        table, metadata={f"engine/{name}": value for name, value in costs.items()}
    )


class LakeResource(dg.ConfigurableResource["LakeResource"]):
    """The lake at SPARKIFY_LAKE."""

    def open(self) -> Lake:
        """Return the lake; nothing is read yet."""
        from sparkify_dagster.lake import open_lake

        return open_lake(load_settings().lake)


class RendererResource(dg.ConfigurableResource["RendererResource"]):
    """The renderer of charts; it wakes while the tables are loaded."""

    _renderer: "Renderer | None" = PrivateAttr(None)

    def open(self) -> "Renderer":
        """Return the renderer, the same for a whole run."""
        if self._renderer is None:
            from sparkify_dagster.report.renderer import Renderer

            self._renderer = Renderer()
        return self._renderer

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Wake it at the start of a run that draws charts."""
        self.open()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """End it with the run."""
        if self._renderer:
            self._renderer.close()
            self._renderer = None
