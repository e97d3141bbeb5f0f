"""The analysts' questions: tables summed up from the star, each with its chart, and the report."""

import base64
from typing import Any

import dagster as dg

from sparkify_dagster.assets.common import markdown_table
from sparkify_dagster.assets.star import build_asset
from sparkify_dagster.report.sections import SECTIONS, Section, listed, read
from sparkify_dagster.tables import Table, in_group
from sparkify_dagster.warehouse.base import Session


def build_analytics_asset(table: Table) -> dg.AssetsDefinition:
    """Return the asset of one analytics table, which shows what is in it."""
    section = SECTIONS[table.name]
    return build_asset(table, lambda session: show(session, section))


def show(session: Session, section: Section) -> dict[str, Any]:
    """Return chart, first rows and numbers of a table as metadata."""
    from sparkify_dagster.report.charts import draw_png

    data = read(session, section)
    rows = listed(section, data)
    if not rows:
        return {}
    chart = base64.b64encode(draw_png(section.draw(data)[0])).decode()
    columns = tuple(rows[0])
    table = markdown_table(columns, [tuple(row.values()) for row in rows])
    return {
        "chart": dg.MetadataValue.md(f"![{section.heading}](data:image/png;base64,{chart})"),
        "first_rows": dg.MetadataValue.md(table),
        **section.numbers(data),
    }


ANALYTICS_ASSETS = [build_analytics_asset(table) for table in in_group("analytics")]
