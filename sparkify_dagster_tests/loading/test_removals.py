"""How much a load may take out unasked, and from which lake it may come."""

import datetime as dt
from typing import Any

import pytest

from sparkify_dagster.loading.removals import (
    Place,
    RemovalRefused,
    Unit,
    exceeds,
    measure,
    refuse_other_lake,
    refuse_removal,
)

GONE = None


def days(*rows: int) -> dict[int, Unit]:
    """Return days of events, by number, with so many rows each."""
    first = dt.date(2018, 11, 1)
    return {
        number: Unit(
            f"log_data/{first + dt.timedelta(number)}-events.json",
            count,
            first + dt.timedelta(number),
        )
        for number, count in enumerate(rows)
    }


def songs(count: int) -> dict[int, Unit]:
    return {number: Unit(f"song_data/TR{number}.json", 1) for number in range(count)}


# name, what is loaded, what comes of the units that are read again or gone, percent, is it too much
CASES: list[tuple[str, dict[int, Unit], dict[int, int | None], int, bool]] = [
    ("nothing changes", days(*[200] * 30), {}, 10, False),
    ("one day of thirty", days(*[200] * 30), {4: GONE}, 10, False),
    ("three days of thirty", days(*[200] * 30), dict.fromkeys(range(3)), 10, False),
    ("four days of thirty", days(*[200] * 30), dict.fromkeys(range(4)), 10, True),
    ("all but one day", days(*[200] * 30), dict.fromkeys(range(1, 30)), 10, True),
    ("all but one day, half allowed", days(*[200] * 30), dict.fromkeys(range(1, 30)), 50, True),
    ("one day with half of the rows", days(3000, *[100] * 29), {0: GONE}, 10, True),
    ("a limit of a quarter", days(*[200] * 30), dict.fromkeys(range(7)), 25, False),
    ("one day of seven", days(*[200] * 7), {0: GONE}, 10, False),
    ("two days of seven", days(*[200] * 7), {0: GONE, 1: GONE}, 10, True),
    ("one day of two", days(200, 200), {0: GONE}, 10, False),
    ("the large day of two", days(300, 100), {0: GONE}, 10, True),
    ("the only day", days(200), {0: GONE}, 10, True),
    ("one day, none allowed", days(*[200] * 30), {0: GONE}, 0, True),
    ("one row, none allowed", days(*[200] * 30), {0: 199}, 0, True),
    ("a day as it was", days(*[200] * 30), {0: 200}, 0, False),
    ("a day that grew", days(*[200] * 30), {0: 900}, 0, False),
    ("a day that lost a tenth", days(*[200] * 30), {0: 180}, 10, False),
    ("a day that lost more than a tenth", days(*[200] * 30), {0: 179}, 10, True),
    ("a day that lost all", days(*[200] * 30), {0: 0}, 10, True),
    ("a day that lost all of two rows", days(2, *[200] * 30), {0: 0}, 10, True),
    ("a small day that lost some rows", days(9, *[200] * 30), {0: 4}, 10, False),
    ("a small day that lost most rows", days(9, *[200] * 30), {0: 3}, 10, True),
    ("every day lost a little", days(*[200] * 30), dict.fromkeys(range(30), 181), 10, False),
    ("a day gone and others that grew", days(*[200] * 30), {0: GONE, 1: 500}, 10, False),
    ("one song of a thousand", songs(1000), {0: GONE}, 10, False),
    ("a tenth of the songs", songs(1000), dict.fromkeys(range(100)), 10, False),
    ("more than a tenth of the songs", songs(1000), dict.fromkeys(range(101)), 10, True),
    ("songs that lost their object", songs(1000), dict.fromkeys(range(101), 0), 10, True),
    ("one song of three", songs(3), {0: GONE}, 10, False),
    ("two songs of three", songs(3), {0: GONE, 1: GONE}, 10, True),
    ("nothing was loaded", {}, {}, 10, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "percent", "too_much"),
    [case[1:] for case in CASES],
    ids=[c[0] for c in CASES],
)
def test_what_may_go(
    before: dict[Any, Unit], after: dict[Any, int | None], percent: int, too_much: bool
) -> None:
    assert exceeds(measure(before, after), percent) is too_much


def test_a_limit_of_all_allows_everything() -> None:
    removal = measure(days(5, 5), {0: GONE, 1: 0})
    assert exceeds(removal, 99)
    refuse_removal("t", removal, 100)


def test_the_message_says_what_goes_and_how_to_confirm() -> None:
    after = {**dict.fromkeys(range(1, 29)), 29: 0}
    in_any_order = dict(reversed(days(*[200] * 30).items()))
    removal = measure(in_any_order, after)
    with pytest.raises(RemovalRefused) as raised:
        refuse_removal("staging_events", removal, 10)
    assert str(raised.value) == (
        "staging_events: this run would take out 28 of 30 days and 5,800 of 6,000 rows, which is "
        "more than may go unasked (10 %, SPARKIFY_REMOVAL_LIMIT_PERCENT); nothing was changed. "
        "Gone: 2018-11-02 to 2018-11-29 (log_data/2018-11-02-events.json, "
        "log_data/2018-11-03-events.json, log_data/2018-11-04-events.json and 25 more). "
        "With fewer rows: 2018-11-30 (log_data/2018-11-30-events.json). "
        "If that is meant, confirm it with `sparkify run --accept-removals`, or "
        "accept_removals: true in the run config of the asset."
    )


def test_names_in_the_message_are_escaped() -> None:
    forged = {0: Unit("song_data/a\nall fine\x1b[2J.json", 1)}
    with pytest.raises(RemovalRefused, match=r"song_data/a\\nall fine\\x1b\[2J\.json") as raised:
        refuse_removal("staging_songs", measure(forged, {0: GONE}), 10)
    assert str(raised.value).isprintable()


REAL, MOVED, SAMPLE = Place("s3://real/x", False), Place("/copy", False), Place("/sample", True)
OTHER_SAMPLE = Place("/other", True)


@pytest.mark.parametrize(
    ("loaded_from", "now", "is_same", "accepted", "message"),
    [
        (None, REAL, False, False, None),
        (None, SAMPLE, False, False, None),
        (REAL, REAL, False, False, None),
        (REAL, MOVED, True, False, None),
        (REAL, MOVED, False, True, None),
        (REAL, MOVED, False, False, r"s3://real/x, and SPARKIFY_LAKE is now /copy; .*--accept-rem"),
        (REAL, SAMPLE, False, False, r"is now /sample, which is sample data; .*another warehouse"),
        (REAL, SAMPLE, True, True, r"which is sample data"),
        (SAMPLE, REAL, False, False, r"/sample, and SPARKIFY_LAKE is now s3://real/x"),
        (SAMPLE, REAL, False, True, None),
        (SAMPLE, OTHER_SAMPLE, False, False, r"/sample, and SPARKIFY_LAKE is now /other"),
        (SAMPLE, OTHER_SAMPLE, False, True, None),
    ],
)
def test_which_lake_may_be_loaded(
    loaded_from: Place | None, now: Place, is_same: bool, accepted: bool, message: str | None
) -> None:
    if message is None:
        refuse_other_lake("staging_events", loaded_from, now, is_same, accepted)
        return
    with pytest.raises(RemovalRefused, match=message):
        refuse_other_lake("staging_events", loaded_from, now, is_same, accepted)
