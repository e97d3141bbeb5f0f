"""The analysts' questions: tables summed up from the star, each with its chart, and the report."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from sparkify_dagster.assets.common import OWNERS, LoadConfig, asset_arguments
from sparkify_dagster.assets.star import refresh_table
from sparkify_dagster.report import report_path
from sparkify_dagster.report.sections import SECTIONS, Section, listed, read
from sparkify_dagster.resources import RendererResource, WarehouseResource
from sparkify_dagster.settings import load_settings
from sparkify_dagster.table import Table
from sparkify_dagster.tables import in_group
from sparkify_dagster.text import markdown_table
from sparkify_dagster.warehouse.base import Session, WarehouseError

if TYPE_CHECKING:
    from sparkify_dagster.report.renderer import Renderer


def build_analytics_asset(table: Table) -> dg.AssetsDefinition:
    """Return the asset of one analytics table, which shows what is in it."""
    section = SECTIONS.get(table.name)

    @dg.asset(**asset_arguments(table))
    def table_asset(
        context: dg.AssetExecutionContext,
        config: LoadConfig,
        warehouse: WarehouseResource,
        renderer: RendererResource,
    ) -> dg.MaterializeResult:
        return refresh_table(
            context,
            config,
            warehouse,
            table,
            (lambda session: show(session, section, renderer.open())) if section else None,
        )

    return table_asset


def show(session: Session, section: Section, renderer: "Renderer") -> Callable[[], dict[str, Any]]:
    """Begin to draw the charts of a table; return what makes its metadata."""
    data = read(session, section)
    rows = listed(data)
    if not rows:
        return dict
    charts = section.draw(data)
    picture = renderer.png(charts[0])
    for chart in charts:
        renderer.svg(chart)  # for the report
    table = markdown_table(tuple(rows[0]), [tuple(row.values()) for row in rows])

    def metadata() -> dict[str, Any]:
        png = picture()
        chart = f"![{section.heading}](data:image/png;base64,{png})" if png else "Not drawn."
        return {
            "chart": dg.MetadataValue.md(chart),
            "first_rows": dg.MetadataValue.md(table),
            **section.numbers(data),
        }

    return metadata


ANALYTICS_ASSETS = [build_analytics_asset(table) for table in in_group("analytics")]


@dg.asset(
    description=(
        "What is listened to, when and by whom: one HTML page with charts of the analytics tables. "
        "It needs no network and can be sent as it is."
    ),
    deps=[table.name for table in in_group("analytics")],
    group_name="analytics",
    kinds={"html"},
    owners=OWNERS,
    tags={"layer": "analytics"},
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def listening_report(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, renderer: RendererResource
) -> dg.MaterializeResult:
    """Write the page anew from the tables as they are.

    Raises:
        dg.Failure: the warehouse refuses, or the page cannot be written.
    """
    from sparkify_dagster.report.page import write_page

    path = report_path(load_settings())
    try:
        data = warehouse.open().read(
            lambda session: {name: read(session, section) for name, section in SECTIONS.items()},
            f"{context.run.job_name}/listening_report",
            context.run.run_id,
        )
        write_page(path, data, renderer.open())
    except WarehouseError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
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
