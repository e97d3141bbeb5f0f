"""The charts, as Vega-Lite specifications."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

from sparkify_dagster.report.drawing import Specification, drawable

Record = dict[str, Any]
Data = dict[str, list[Record]]  # rows by the name of their query

SHOWN_BARS = 15
# Up to this many days a line shows each day as a point; a single day would be invisible without.
_POINT_DAYS = 62
_MOST_BINS = 40
_MOST_MARKS = 6
_LABEL_LETTERS = 28
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_LEVELS = ("paid", "free")


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: dates and times as ISO text, decimals as numbers."""
    match value:
        case dt.datetime():
            return value.isoformat(sep=" ", timespec="milliseconds")
        case dt.date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
    return value


def engagement(data: Data) -> list[Specification]:
    """Draw plays by level, active users, sessions and their length, by day."""
    days = sorted(data["report"], key=lambda row: row["day"])
    plays = {
        "title": "Plays a day",
        "data": _values(days, "day", "paid_plays", "free_plays"),
        "transform": [{"fold": ["paid_plays", "free_plays"], "as": ["kind", "played"]}],
        "mark": {"type": "bar"},
        "encoding": {
            "x": _day_axis(),
            "y": {"field": "played", "type": "quantitative", "title": "plays"},
            "color": _legend("kind", ["paid_plays", "free_plays"], list(_LEVELS)),
        },
    }
    users = {
        "title": "Active users",
        "data": _values(days, "day", "active_users", "weekly_active_users"),
        "transform": [{"fold": ["active_users", "weekly_active_users"], "as": ["kind", "users"]}],
        "mark": _line(days),
        "encoding": {
            "x": _day_axis(),
            "y": {"field": "users", "type": "quantitative", "title": "users"},
            "color": _legend("kind", ["active_users", "weekly_active_users"], ["day", "7 days"]),
        },
    }
    sessions = {
        "title": "Sessions a day",
        "data": _values(days, "day", "sessions"),
        "mark": _line(days),
        "encoding": {
            "x": _day_axis(),
            "y": {"field": "sessions", "type": "quantitative", "title": "sessions"},
        },
    }
    length = {
        "title": "Plays per session",
        "data": _values(days, "day", "plays_per_session"),
        "mark": _line(days),
        "encoding": {
            "x": _day_axis(),
            "y": {"field": "plays_per_session", "type": "quantitative", "title": "plays"},
        },
    }
    return [plays, users, sessions, length]


def songs(data: Data) -> list[Specification]:
    """Draw the most played songs."""
    rows = [
        (f"{_name(row['title'])} – {_name(row['artist_name'])}", row["plays"])
        for row in data["report"]
    ]
    return [_bars("Most played songs", rows)]


def artists(data: Data) -> list[Specification]:
    """Draw the most played artists."""
    rows = [(_name(row["artist_name"]), row["plays"]) for row in data["report"]]
    return [_bars("Most played artists", rows)]


def hours(data: Data) -> list[Specification]:
    """Draw the plays by weekday and hour."""
    rows = [
        {"day": _WEEKDAYS[row["weekday"]], **row}
        for row in sorted(data["report"], key=lambda row: (row["weekday"], row["hour"]))
    ]
    return [
        {
            "title": "Plays by weekday and hour (UTC)",
            "data": {"values": rows},
            "mark": {"type": "rect"},
            "encoding": {
                "x": {
                    "field": "hour",
                    "type": "ordinal",
                    "scale": {"domain": list(range(24))},
                    "axis": {"labelAngle": 0, "values": list(range(0, 24, 3)), "title": "hour"},
                },
                # The week begins with Monday, as in ISO 8601.
                "y": {
                    "field": "day",
                    "type": "ordinal",
                    "scale": {"domain": [*_WEEKDAYS[1:], _WEEKDAYS[0]]},
                    "title": None,
                },
                "color": {"field": "plays", "type": "quantitative", "title": "plays"},
            },
        }
    ]


def demographics(data: Data) -> list[Specification]:
    """Draw the plays of the busiest locations, and of genders and levels."""
    rows = data["report"]
    totals: dict[str | None, int] = {}
    groups: dict[tuple[str, str], int] = {}
    for row in rows:
        totals[row["location"]] = totals.get(row["location"], 0) + row["plays"]
        group = (_gender(row["gender"]), row["level"] or "unknown")
        groups[group] = groups.get(group, 0) + row["plays"]
    busiest = sorted(totals, key=lambda place: (-totals[place], place or ""))[:SHOWN_BARS]
    by_place = [
        {
            "place": number,
            "level": row["level"],
            "plays": row["plays"],
            "name": f"{_name(place)}, {_gender(row['gender'])}, {row['level']}: "
            f"{row['plays']} plays, {row['listeners']} listeners",
        }
        for number, place in enumerate(busiest)
        for row in rows
        if row["location"] == place
    ]
    places = {
        "title": "Plays by metropolitan area",
        "data": {"values": by_place},
        "mark": {"type": "bar"},
        "height": {"step": 17},
        "encoding": {
            "y": _label_axis("place", [_short(_name(place)) for place in busiest]),
            "description": {"field": "name"},
            "x": _plays_axis(),
            "color": {
                "field": "level",
                "type": "nominal",
                "scale": {"domain": list(_LEVELS)},
                "legend": {"title": None, "orient": "top"},
            },
        },
    }
    people = {
        "title": "Plays by gender and level",
        "data": {
            "values": [
                {"gender": gender, "level": level, "plays": plays}
                for (gender, level), plays in sorted(groups.items())
            ]
        },
        "mark": {"type": "bar"},
        "height": {"step": 45},
        "encoding": {
            "y": {"field": "gender", "type": "nominal", "title": None},
            "x": _plays_axis(),
            "color": {
                "field": "level",
                "type": "nominal",
                "scale": {"domain": list(_LEVELS)},
                "legend": {"title": None, "orient": "top"},
            },
        },
    }
    return [places, people]


def level_changes(data: Data) -> list[Specification]:
    """Draw upgrades and downgrades by day, and the time to the first upgrade."""
    days = data["report_days"]
    most = max((day["upgrades"] for day in days), default=0)
    least = -max((day["downgrades"] for day in days), default=0)
    changes = {
        "title": "Upgrades and downgrades a day",
        "data": {"values": days},
        "transform": [
            {"fold": ["upgrades", "downgrades"], "as": ["kind", "count"]},
            {
                "calculate": "datum.kind == 'upgrades' ? datum.count : -datum.count",
                "as": "users",
            },
        ],
        "mark": {"type": "bar"},
        "encoding": {
            "x": _day_axis(),
            "y": {
                "field": "users",
                "type": "quantitative",
                "axis": _count_axis("users", least, most),
            },
            "color": _legend("kind", ["upgrades", "downgrades"], ["to paid", "to free"]),
        },
    }
    waits = _binned(data["report_time_to_upgrade"])
    wait = {
        "title": "Days from the first event to the first upgrade",
        "data": {"values": waits},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "days",
                "type": "quantitative",
                "bin": {"binned": True},
                "axis": {"title": "days", "tickMinStep": 1, "format": "d"},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "users",
                "type": "quantitative",
                "axis": _count_axis("users", 0, max((row["users"] for row in waits), default=0)),
            },
        },
    }
    return [changes, wait]


def coverage(data: Data) -> list[Specification]:
    """Draw the share of plays with a song of the catalogue, by day."""
    days = sorted(data["report"], key=lambda row: row["day"])
    return [
        {
            "title": "Share of plays found in the catalogue",
            "data": _values(days, "day", "matched_share"),
            "mark": _line(days),
            "encoding": {
                "x": _day_axis(),
                "y": {
                    "field": "matched_share",
                    "type": "quantitative",
                    "axis": {"title": "share", "format": ".0%"},
                },
            },
        }
    ]


def volume(rows: list[tuple[str, int, str]]) -> Specification:
    """Draw the events of days, each of them "usual" or "unusual"."""
    names = ("day", "events", "kind")
    return {
        "title": "Events a day",
        "data": {"values": [dict(zip(names, row, strict=True)) for row in rows]},
        "mark": {"type": "bar"},
        "encoding": {
            "x": _day_axis(),
            "y": {"field": "events", "type": "quantitative", "title": "events"},
            "color": _legend("kind", ["usual", "unusual"], ["usual", "unusual"]),
        },
    }


def _values(rows: list[Record], *fields: str) -> Record:
    """Return the data of a chart: what it shows of each row, as all of it goes to the renderer."""
    return {"values": [{field: row[field] for field in fields} for row in rows]}


def _bars(title: str, rows: list[tuple[str, int]]) -> Specification:
    values = [
        {"place": place, "plays": plays, "name": f"{name}: {plays} plays"}
        for place, (name, plays) in enumerate(rows)
    ]
    return {
        "title": title,
        "data": {"values": values},
        "mark": {"type": "bar"},
        "height": {"step": 17},
        "encoding": {
            "y": _label_axis("place", [_short(name) for name, _ in rows]),
            "x": _plays_axis(),
            "description": {"field": "name"},
        },
    }


def _plays_axis() -> Record:
    return {
        "field": "plays",
        "type": "quantitative",
        "axis": {"title": "plays", "tickCount": 4, "labelFlush": False},
    }


def _label_axis(field: str, labels: list[str]) -> Record:
    """Return an axis of numbered places with a label each.

    Labels are cut here and get a fixed room: the renderer would measure each of them many times,
    which takes longer than the rest of the chart.
    """
    return {
        "field": field,
        "type": "ordinal",
        "axis": {
            "title": None,
            "labelExpr": f"{json.dumps(drawable(labels))}[datum.value]",
            "labelLimit": 0,
            "minExtent": 175,
            "maxExtent": 175,
        },
    }


def _short(text: str) -> str:
    return text if len(text) <= _LABEL_LETTERS else f"{text[: _LABEL_LETTERS - 1]}…"


def _line(days: list[Record]) -> Record:
    return {"type": "line", "point": len(days) <= _POINT_DAYS}


def _day_axis() -> Record:
    # Days are UTC days; in the reader's own time zone some would move to the day before.
    return {
        "field": "day",
        "type": "temporal",
        "timeUnit": "utcyearmonthdate",
        "axis": {"title": None, "format": "%b %-d", "tickCount": 6, "labelSeparation": 6},
    }


def _count_axis(title: str, least: int, most: int) -> Record:
    # Left alone, Vega marks halves of users where there are few.
    few = {"values": list(range(least, most + 1))} if most - least <= _MOST_MARKS else {}
    return {"title": title, "format": "d", **few}


def _binned(rows: list[Record]) -> list[Record]:
    """Return users by spans of days, of one day each where that gives few enough bars."""
    longest = max((row["days_to_upgrade"] for row in rows), default=0)
    width = longest // _MOST_BINS + 1
    counts: dict[int, int] = {}
    for row in rows:
        start = row["days_to_upgrade"] // width * width
        counts[start] = counts.get(start, 0) + row["users"]
    return [{"days": start, "to": start + width, "users": users} for start, users in counts.items()]


def _legend(field: str, values: list[str], labels: list[str]) -> Record:
    names = dict(zip(values, labels, strict=True))
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": values},
        "legend": {
            "title": None,
            "orient": "top",
            "labelExpr": f"{names}[datum.label]",
        },
    }


def _gender(code: str | None) -> str:
    return {"F": "women", "M": "men"}.get(code or "", "unknown")


def _name(text: str | None) -> str:
    return text or "(unknown)"
