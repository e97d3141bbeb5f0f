"""What has become of each day's file, and how a day compares with others."""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from sparkify_dagster.lake.base import SourceFile
from sparkify_dagster.loading.plan import Known

NEW, CHANGED, LOADED, GONE = "new", "changed", "loaded", "gone"

# A day's file comes on the day after; by the evening of that day it is late.
LATE_AFTER = dt.timedelta(days=2)
# Who has not mended the delivery by then does not expect any.
ENDED_AFTER = dt.timedelta(days=30)

WATCHED = dt.timedelta(days=7)  # up to the newest day; so long an unusual one is warned of
COMPARED_WEEKS = 8
LEAST_WEEKS = 3
# A standard deviation of a normal distribution is 1.4826 median absolute deviations.
_TOLERANCE = 4 * 1.4826


@dataclass(frozen=True)
class Day:
    """A day of the lake or of the warehouse."""

    state: str
    rows: int = 0  # in the warehouse


@dataclass(frozen=True)
class Unusual:
    """A day with far more or far fewer events than its weekday has had."""

    day: dt.date
    rows: int
    usual: float  # the median
    weeks: int  # that it is the median of


def what_became(listed: Iterable[SourceFile], known: Known) -> dict[dt.date, Day]:
    """Return what has become of each day that the lake holds or the warehouse was loaded from."""
    in_lake, in_warehouse = defaultdict(set), defaultdict(set)
    rows: dict[dt.date, int] = defaultdict(int)
    for file in listed:
        if file.day:
            in_lake[file.day].add((file.name, file.size, file.version))
    for name, old in known.items():
        if old.day:
            in_warehouse[old.day].add((name, old.size, old.version))
            rows[old.day] += old.rows

    def state(day: dt.date) -> str:
        if day not in in_lake:
            return GONE
        if day not in in_warehouse:
            return NEW
        return LOADED if in_lake[day] == in_warehouse[day] else CHANGED

    days = sorted(in_lake.keys() | in_warehouse.keys())
    return {day: Day(state(day), rows.get(day, 0)) for day in days}


def newest_day(days: Mapping[dt.date, Day]) -> dt.date:
    """Return the last day that the lake has a file of."""
    return max(day for day, found in days.items() if found.state != GONE)


def is_late(newest: dt.date, today: dt.date) -> bool:
    """Tell whether a day's file is missing in a lake that has not ended."""
    return LATE_AFTER < today - newest <= ENDED_AFTER


def has_ended(newest: dt.date, today: dt.date) -> bool:
    """Tell whether no further day is expected."""
    return today - newest > ENDED_AFTER


def unusual_days(rows: Mapping[dt.date, int], loaded: Collection[dt.date]) -> list[Unusual]:
    """Return which of the newest and the just loaded days lie far outside their weekday's history.

    That is, by more than half of the median and four deviations from it.
    """
    if not rows:
        return []
    newest = max(rows)
    by_number = {day.toordinal(): count for day, count in rows.items()}
    return [
        Unusual(day, count, usual, len(history))
        for day, count in rows.items()
        if (newest - day < WATCHED or day in loaded)
        and len(history := _history(by_number, day)) >= LEAST_WEEKS
        and abs(count - (usual := median(history))) > _tolerance(history, usual)
    ]


def _history(by_number: Mapping[int, int], day: dt.date) -> list[int]:
    # By numbers, as there are no dates before the year 1.
    weeks = (day.toordinal() - 7 * back for back in range(1, COMPARED_WEEKS + 1))
    return [by_number[week] for week in weeks if week in by_number]


def _tolerance(history: list[int], usual: float) -> float:
    deviation = median(abs(count - usual) for count in history)
    # The root: what counts of few events scatter by chance.
    return max(_TOLERANCE * deviation, usual / 2, 4 * math.sqrt(max(usual, 1)))
