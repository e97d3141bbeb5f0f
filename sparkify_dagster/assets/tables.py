"""The tables that SQL builds from others, those of the analysts with a chart, and the report."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from sparkify_dagster.assets.common import (
    LoadConfig,
    asset_arguments,
    grouped,
    load_table,
    materialized,
)
from sparkify_dagster.loading.refresh import RefreshResult, refresh
from sparkify_dagster.presentation import asset_key, refusals
from sparkify_dagster.report import report_path
from sparkify_dagster.report.sections import SECTIONS, Data, Section, listed, read, read_all
from sparkify_dagster.resources import RendererResource, WarehouseResource
from sparkify_dagster.settings import Settings
from sparkify_dagster.table import Table
from sparkify_dagster.tables import in_group
from sparkify_dagster.text import markdown_table
from sparkify_dagster.warehouse.base import Session

if TYPE_CHECKING:
    from sparkify_dagster.report.renderer import Renderer


def build_table_asset(table: Table, settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of one table that SQL builds from others; of some it shows what is in it."""
    section = SECTIONS.get(table.name)

    @dg.asset(
        **asset_arguments(table, settings),
        required_resource_keys={"warehouse", "renderer"} if section else {"warehouse"},
    )
    def table_asset(context: dg.AssetExecutionContext, config: LoadConfig) -> dg.MaterializeResult:
        def load(session: Session) -> tuple[RefreshResult, Data]:
            limit = config.rebuild_limit(settings)
            result = refresh(session, table, config.full_refresh, context.run.run_id, limit)
            return result, read(session, section) if section else {}

        warehouse = context.resources.warehouse
        (result, data), metadata = load_table(context, warehouse, table, load)
        shown = show(section, data, context.resources.renderer.open()) if section else {}
        how = "rebuilt" if result.is_full else "updated" if result.changed else "unchanged"
        return materialized(context, result, {**shown, **metadata, "load": how})

    return table_asset


def show(section: Section, data: Data, renderer: "Renderer") -> dict[str, Any]:
    """Return what the materialization of a table shows: a chart, the first rows, numbers."""
    rows = listed(data)
    if not rows:
        return {}
    charts = section.draw(data)
    picture = renderer.png(charts[0])
    for chart in charts:
        renderer.svg(chart)  # for the report; drawn while the next table is loaded
    table = markdown_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    png = picture()
    shown = f"![{section.heading}](data:image/png;base64,{png})" if png else "Not drawn."
    return {
        "chart": dg.MetadataValue.md(shown),
        "first_rows": dg.MetadataValue.md(table),
        **section.numbers(data),
    }


def build_report(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of the report, a file beside the warehouse's."""

    @dg.asset(
        key=asset_key(settings, "listening_report"),
        description=(
            "What is listened to, when and by whom: one HTML page with charts of the analytics "
            "tables. It needs no network and can be sent as it is."
        ),
        deps=[asset_key(settings, table.name) for table in in_group("analytics")],
        pool="warehouse",
        **grouped("analytics", "html"),
    )
    def listening_report(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, renderer: RendererResource
    ) -> dg.MaterializeResult:
        """Write the page anew from the tables as they are.

        Raises:
            dg.Failure: the warehouse refuses, or the page cannot be written.
        """
        from sparkify_dagster.report.page import write_page

        path = report_path(warehouse.settings())
        label = f"{context.run.job_name}/listening_report"
        try:
            with refusals(context):
                data = warehouse.open().read(read_all, label, context.run.run_id)
            write_page(path, data, renderer.open(), settings.environment)
        except OSError as error:
            raise dg.Failure(
                f"{path}: cannot be written ({error.strerror})", allow_retries=False
            ) from error
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(path),
                "address": dg.MetadataValue.url(path.as_uri()),
                "size_kilobytes": path.stat().st_size // 1024,
            }
        )

    return listening_report
