"""What is shown of each analytics table: which queries, which charts, which numbers.

The materializations in the UI and the report page are made from the same sections, so that they
cannot tell different stories.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparkify_dagster.report import charts
from sparkify_dagster.report.charts import Data, Record
from sparkify_dagster.report.drawing import Specification
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.statements import section_names

LISTED_ROWS = 10


@dataclass(frozen=True)
class Section:
    """An analytics table as it is shown."""

    table: str
    heading: str
    text: str
    draw: Callable[[Data], list[Specification]]  # the first is shown in the UI
    numbers: Callable[[Data], dict[str, Any]]  # what Dagster plots over time


def read(session: Session, section: Section) -> Data:
    """Return the rows of the queries `report...` in the table's SQL file, with dates as text."""
    names = section_names(TABLES[section.table].file)
    data = session.kept["report", section.table] = {
        name.rpartition("/")[2]: [
            {key: charts.plain(value) for key, value in row.items()} for row in session.query(name)
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


def _song_numbers(data: Data) -> dict[str, Any]:
    rows = data["report"]
    return {"top_song_plays": rows[0]["plays"]} if rows else {}


def _artist_numbers(data: Data) -> dict[str, Any]:
    rows = data["report"]
    return {"top_artist_plays": rows[0]["plays"]} if rows else {}


def _engagement_numbers(data: Data) -> dict[str, Any]:
    rows = data["report"]
    if not rows:
        return {}
    shown = ("active_users", "weekly_active_users", "plays", "plays_per_session", "paid_share")
    (totals,) = data["report_totals"]
    return {
        "total_plays": totals["plays"],
        "total_paid_plays": totals["paid_plays"],
        "latest_day": rows[0]["day"],
        **{f"latest_{name}": rows[0][name] for name in shown},
    }


def _demographics_numbers(data: Data) -> dict[str, Any]:
    rows = data["report"]
    return {
        "locations": len({row["location"] for row in rows}),
        "women_plays": sum(row["plays"] for row in rows if row["gender"] == "F"),
        "men_plays": sum(row["plays"] for row in rows if row["gender"] == "M"),
    }


def _hours_numbers(data: Data) -> dict[str, Any]:
    rows = data["report"]
    if not rows:
        return {}
    return {
        "busiest_weekday": rows[0]["weekday"],
        "busiest_hour": rows[0]["hour"],
        "busiest_hour_plays": rows[0]["plays"],
    }


def _change_numbers(data: Data) -> dict[str, Any]:
    (totals,) = data["report_totals"]
    waited = [
        row["days_to_upgrade"]
        for row in data["report_time_to_upgrade"]
        for _ in range(row["users"])
    ]
    # Of an even number, the lower of the two in the middle.
    return {
        **totals,
        **({"median_days_to_upgrade": waited[(len(waited) - 1) // 2]} if waited else {}),
    }


def _coverage_numbers(data: Data) -> dict[str, Any]:
    rows = data["report"]
    if not rows:
        return {}
    (totals,) = data["report_totals"]
    return {
        "matched_plays": totals["matched_plays"],
        "matched_share": round(totals["matched_plays"] / totals["plays"], 4),
        "latest_matched_share": rows[0]["matched_share"],
    }


SECTIONS: dict[str, Section] = {
    section.table: section
    for section in (
        Section(
            "daily_engagement",
            "How much is listened to",
            "Plays a day on the free and the paid level; users active on the day and in the seven "
            "days that end with it; sessions, and plays in each.",
            charts.engagement,
            _engagement_numbers,
        ),
        Section(
            "top_songs",
            "The most played songs",
            "By title and artist as logged, so that songs the catalogue does not have count too.",
            charts.songs,
            _song_numbers,
        ),
        Section(
            "top_artists",
            "The most played artists",
            "By the name as logged.",
            charts.artists,
            _artist_numbers,
        ),
        Section(
            "listening_hours",
            "When songs are played",
            "Plays by weekday and hour of the day (UTC), over all days.",
            charts.hours,
            _hours_numbers,
        ),
        Section(
            "catalogue_coverage",
            "How much the catalogue covers",
            "Share of the plays whose song is in the catalogue, by day.",
            charts.coverage,
            _coverage_numbers,
        ),
        Section(
            "listener_demographics",
            "Who listens most",
            "Plays by the listener's metropolitan area, gender and level at the time of the play.",
            charts.demographics,
            _demographics_numbers,
        ),
        Section(
            "level_changes",
            "Upgrades and downgrades",
            "Changes between the free and the paid level, and how long after their first event "
            "users first upgrade.",
            charts.level_changes,
            _change_numbers,
        ),
    )
}
