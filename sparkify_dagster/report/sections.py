"""What is shown of each analytics table: which queries, which charts, which numbers.

The materializations in the UI and the report page are made from the same sections, so that they
cannot tell different stories. Headings, texts and charts are in charts.yaml.
"""

import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median_low
from typing import Any

import yaml

from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.statements import section_names

Record = dict[str, Any]
Data = dict[str, list[Record]]  # rows by the name of their query
Specification = dict[str, Any]

LISTED_ROWS = 10
# Up to this many days a line shows each day as a point; a single day would be invisible without.
_POINT_DAYS = 62


@dataclass(frozen=True)
class Section:
    """An analytics table as it is shown."""

    table: str
    heading: str
    text: str
    charts: list[Specification]  # without their rows; the first is shown in the UI
    # Of the first row of a query, by its name: the column that each number is.
    first_rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def numbers(self, data: Data) -> Record:
        """Return what Dagster plots over time."""
        found = {
            name: data[query][0][column]
            for query, columns in self.first_rows.items()
            if data[query]
            for name, column in columns.items()
        }
        return found | (_DERIVED[self.table](data) if self.table in _DERIVED else {})

    def draw(self, data: Data) -> list[Specification]:
        """Return the charts with their rows."""
        return [_filled(chart, data[chart["data"]["name"]]) for chart in self.charts]


def read(session: Session, section: Section) -> Data:
    """Return the rows of the queries `report...` in the table's SQL file, with dates as text."""
    data: Data = {}
    for name in section_names(TABLES[section.table].file):
        if "/report" in name:
            rows = session.query(name)
            plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
            data[name.rpartition("/")[2]] = plain
    session.kept["report", section.table] = data
    counts = [row.pop("row_count") for row in data["report"]]
    session.kept["rows", section.table] = counts[0] if counts else 0
    return data


def read_all(session: Session) -> dict[str, Data]:
    """Return the rows of every section; those that the run has read are not read again."""
    return {
        name: session.kept.get(("report", name)) or read(session, section)
        for name, section in SECTIONS.items()
    }


def listed(data: Data) -> list[Record]:
    """Return the rows to list."""
    return data["report"][:LISTED_ROWS]


def volume_chart(rows: list[Record]) -> Specification:
    """Return the chart of rows with a day, its events, and the kind "usual" or "unusual"."""
    return _filled(_FOUND["volume"], rows)


def _filled(chart: Specification, rows: list[Record]) -> Specification:
    """Return a chart with the columns that it names, as all of its data goes to the renderer."""
    named = set(re.findall(r"\w+", json.dumps(chart)))
    values = [{name: row[name] for name in row if name in named} for row in rows]
    points = {"point": len(rows) <= _POINT_DAYS} if chart["mark"]["type"] == "line" else {}
    return {**chart, "data": {"values": values}, "mark": {**chart["mark"], **points}}


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: dates and times as ISO text, decimals as numbers."""
    match value:
        case dt.datetime():
            return value.isoformat(sep=" ", timespec="milliseconds")
        case dt.date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
    return value


def _demographics_numbers(data: Data) -> Record:
    rows = data["report"]
    return {
        "locations": len({row["location"] for row in rows}),
        "women_plays": sum(row["plays"] for row in rows if row["gender"] == "F"),
        "men_plays": sum(row["plays"] for row in rows if row["gender"] == "M"),
    }


def _change_numbers(data: Data) -> Record:
    rows = data["report_time_to_upgrade"]
    waited = [row["days_to_upgrade"] for row in rows for _ in range(row["users"])]
    return {"median_days_to_upgrade": median_low(waited)} if waited else {}


def _coverage_numbers(data: Data) -> Record:
    (totals,) = data["report_totals"]
    if not totals["plays"]:
        return {}
    return {"matched_share": round(totals["matched_plays"] / totals["plays"], 4)}


# Besides those that are a column of a query.
_DERIVED: dict[str, Callable[[Data], Record]] = {
    "catalogue_coverage": _coverage_numbers,
    "listener_demographics": _demographics_numbers,
    "level_changes": _change_numbers,
}
# With the parser in C, as this is read whenever Dagster starts.
_FOUND = yaml.load(
    Path(__file__).with_name("charts.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
)
SECTIONS = {name: Section(name, **shown) for name, shown in _FOUND.items() if name in TABLES}
