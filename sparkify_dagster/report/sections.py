"""What is shown of each analytics table: which queries, which charts, which numbers.

The materializations in the UI and the report page are made from the same sections, so that they
cannot tell different stories. Headings, texts and charts are in charts.yaml.
"""

import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
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
    numbers: Callable[[Data], Record]  # what Dagster plots over time

    def draw(self, data: Data) -> list[Specification]:
        """Return the charts with their rows."""
        return [_filled(chart, data[chart["data"]["name"]]) for chart in self.charts]


def read(session: Session, section: Section) -> Data:
    """Return the rows of the queries `report...` in the table's SQL file, with dates as text."""
    names = section_names(TABLES[section.table].file)
    data = session.kept["report", section.table] = {
        name.rpartition("/")[2]: [
            {key: _plain(value) for key, value in row.items()} for row in session.query(name)
        ]
        for name in names
        if "/report" in name
    }
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


def _engagement_numbers(data: Data) -> Record:
    if not data["report"]:
        return {}
    latest, (totals,) = data["report"][0], data["report_totals"]
    shown = ("active_users", "weekly_active_users", "plays", "plays_per_session", "paid_share")
    return {
        "total_plays": totals["plays"],
        "total_paid_plays": totals["paid_plays"],
        "latest_day": latest["day"],
        **{f"latest_{name}": latest[name] for name in shown},
    }


def _demographics_numbers(data: Data) -> Record:
    rows = data["report"]
    return {
        "locations": len({row["location"] for row in rows}),
        "women_plays": sum(row["plays"] for row in rows if row["gender"] == "F"),
        "men_plays": sum(row["plays"] for row in rows if row["gender"] == "M"),
    }


def _change_numbers(data: Data) -> Record:
    (totals,) = data["report_totals"]
    waited = [
        row["days_to_upgrade"]
        for row in data["report_time_to_upgrade"]
        for _ in range(row["users"])
    ]
    # Of an even number, the lower of the two in the middle.
    median = {"median_days_to_upgrade": waited[(len(waited) - 1) // 2]} if waited else {}
    return totals | median


def _coverage_numbers(data: Data) -> Record:
    if not data["report"]:
        return {}
    (totals,) = data["report_totals"]
    return {
        "matched_plays": totals["matched_plays"],
        "matched_share": round(totals["matched_plays"] / totals["plays"], 4),
        "latest_matched_share": data["report"][0]["matched_share"],
    }


def _of_first_row(**columns: str) -> Callable[[Data], Record]:
    """Return what takes numbers from the first row: the column by the number's name."""
    return lambda data: {
        name: row[column] for row in data["report"][:1] for name, column in columns.items()
    }


# By table; one that is not here has none.
_NUMBERS = {
    "daily_engagement": _engagement_numbers,
    "top_songs": _of_first_row(top_song_plays="plays"),
    "top_artists": _of_first_row(top_artist_plays="plays"),
    "listening_hours": _of_first_row(
        busiest_weekday="weekday", busiest_hour="hour", busiest_hour_plays="plays"
    ),
    "catalogue_coverage": _coverage_numbers,
    "listener_demographics": _demographics_numbers,
    "level_changes": _change_numbers,
}
# With the parser in C, as this is read whenever Dagster starts.
_FOUND = yaml.load(
    Path(__file__).with_name("charts.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
)
SECTIONS = {
    name: Section(name, **shown, numbers=_NUMBERS.get(name, lambda _: {}))
    for name, shown in _FOUND.items()
    if name in TABLES
}
