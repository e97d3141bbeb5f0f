"""The charts, as Vega-Lite specifications, and their drawing as PNG."""

import datetime as dt
import json
import re
import struct
import zlib
from decimal import Decimal
from functools import lru_cache
from typing import Any

Record = dict[str, Any]
Data = dict[str, list[Record]]  # rows by the name of their query
Specification = dict[str, Any]

SHOWN_BARS = 15
# Up to this many days a line shows each day as a point; a single day would be invisible without.
_POINT_DAYS = 62
_MOST_BINS = 40
_MOST_MARKS = 6
_LABEL_LETTERS = 28
_INK = "#1b1f24"
_NO_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_LEVELS = ("paid", "free")

# Legible on white and on near-black alike; paid and free keep their colours in every chart.
_PALETTE = ["#3b7dd8", "#e8833a"]
# From nearly nothing to all of it, so that the same steps show on a light and on a dark page.
_SHADES = ["#3b7dd81a", "#3b7dd8ff"]


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
    days = sorted(data["daily_engagement"], key=lambda row: row["day"])
    plays = {
        "title": "Plays a day",
        "data": {"values": days},
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
        "data": {"values": days},
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
        "data": {"values": days},
        "mark": _line(days),
        "encoding": {
            "x": _day_axis(),
            "y": {"field": "sessions", "type": "quantitative", "title": "sessions"},
        },
    }
    length = {
        "title": "Plays per session",
        "data": {"values": days},
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
        for row in data["top_songs"]
    ]
    return [_bars("Most played songs", rows)]


def artists(data: Data) -> list[Specification]:
    """Draw the most played artists."""
    rows = [(_name(row["artist_name"]), row["plays"]) for row in data["top_artists"]]
    return [_bars("Most played artists", rows)]


def hours(data: Data) -> list[Specification]:
    """Draw the plays by weekday and hour."""
    rows = [
        {"day": _WEEKDAYS[row["weekday"]], **row}
        for row in sorted(data["listening_hours"], key=lambda row: (row["weekday"], row["hour"]))
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
    rows = data["listener_demographics"]
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
    days = data["level_change_days"]
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
    waits = _binned(data["time_to_upgrade"])
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
    days = sorted(data["catalogue_coverage"], key=lambda row: row["day"])
    return [
        {
            "title": "Share of plays found in the catalogue",
            "data": {"values": days},
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


def draw_svg(specification: Specification) -> str:
    """Return a chart as SVG, 420 pixels wide, in the colour of the text around it."""
    return _draw(json.dumps(_drawable(specification)))


def draw_png(specification: Specification) -> bytes:
    """Return a chart as PNG on white, 420 pixels wide."""
    import vl_convert

    head, mark, rest = draw_svg(specification).partition("<g ")
    paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
    svg = f"{head}{paper}{mark}{rest}".replace("currentColor", _INK)
    return _compressed(vl_convert.svg_to_png(svg))


def _drawable(value: Any) -> Any:
    """Return a specification with every character that XML forbids replaced.

    The logs hold control characters where an apostrophe was; the renderer ends the whole process
    on one, as it cannot report an error from within its text layout.
    """
    if isinstance(value, str):
        return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {key: _drawable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_drawable(item) for item in value]
    return value


@lru_cache(maxsize=32)
def _draw(specification: str) -> str:
    """Draw a chart, once for the UI and the page where one process makes both."""
    # Whoever only imports the platform does not pay for the renderer.
    import vl_convert

    return str(vl_convert.vegalite_to_svg(_styled(json.loads(specification))))


def _styled(specification: Specification) -> Specification:
    ink = "currentColor"
    axis = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    lines = {"gridColor": ink, "gridOpacity": 0.12, "domainColor": ink, "tickColor": ink}
    return {
        "width": 420,
        "height": 190,
        "background": None,
        "padding": 6,
        "autosize": {"type": "fit-x", "contains": "padding"},
        **specification,
        "config": {
            "font": "sans-serif",
            "mark": {"color": _PALETTE[0]},
            "axis": {**axis, **lines, "domainOpacity": 0.4, "tickOpacity": 0.4},
            "legend": {"labelColor": ink, "titleColor": ink, "labelFontSize": 12},
            "title": {"color": ink, "anchor": "start", "fontSize": 14},
            "view": {"stroke": None},
            "range": {"category": _PALETTE, "heatmap": _SHADES},
        },
    }


def _compressed(png: bytes) -> bytes:
    """Return the same image compressed harder: the renderer is in a hurry, a quarter is enough."""
    signature, position = png[:8], 8
    head, pixels = b"", b""
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        kind = png[position + 4 : position + 8]
        if kind == b"IDAT":
            pixels += png[position + 8 : position + 8 + length]
        elif kind != b"IEND":
            head += png[position : position + 12 + length]
        position += 12 + length
    packed = zlib.compress(zlib.decompress(pixels), 6)
    return signature + head + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


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
            "labelExpr": f"{json.dumps(_drawable(labels))}[datum.value]",
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
