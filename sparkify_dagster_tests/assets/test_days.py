"""The days that a person names, and those that stand out. Without a database."""

import datetime as dt

import pytest

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.days import parse_days
from sparkify_dagster.loading.days import has_ended, is_late, unusual_days

TODAY = dt.date(2018, 12, 31)
# The 3rd has no file.
IN_LAKE = [dt.date(2018, 11, number) for number in (1, 2, 4, 5)]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2018-11-05", [5]),
        ("2018-11-01..2018-11-04", [1, 2, 3, 4]),
        ("2018-11-03", [3]),
        ("2018-11-05,2018-11-01", [1, 5]),
        (" 2018-11-01 .. 2018-11-02 , 2018-11-02..2018-11-04", [1, 2, 3, 4]),
        ("2018-11-02..2018-11-02", [2]),
    ],
)
def test_days_are_read(text: str, days: list[int]) -> None:
    assert parse_days(text, IN_LAKE) == [dt.date(2018, 11, day) for day in days]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2018-10-31", "2018-10-31"),
        ("2018-11-06", "2018-11-06"),
        ("2018-11-04..2018-11-06", "2018-11-04..2018-11-06"),
        ("2018-11-05..2018-11-01", "2018-11-05..2018-11-01"),
        ("2018-11-01,2018-11-31", "2018-11-31"),
        ("2018-11-01..", "2018-11-01.."),
        ("2018-11-01,", ""),
        ("yesterday", "yesterday"),
        ("20181105", "20181105"),
        ("2018-W45-1", "2018-W45-1"),
        ("2018-11-01...2018-11-02", "2018-11-01...2018-11-02"),
        ("２018-11-05", "２018-11-05"),
    ],
)
def test_wrong_days_are_refused_with_those_of_the_lake(text: str, part: str) -> None:
    with pytest.raises(LakeError) as raised:
        parse_days(text, IN_LAKE)
    assert str(raised.value) == (
        f"days={text!r}: {part!r} is no day of the lake, which has 2018-11-01 to 2018-11-05; "
        "allowed are a day as 2018-11-05, a range as 2018-11-01..2018-11-05, several with commas "
        "between"
    )


@pytest.mark.parametrize(
    ("age", "late", "ended"),
    [(0, False, False), (2, False, False), (3, True, False), (30, True, False), (31, False, True)],
)
def test_a_lake_is_late_until_it_has_ended(age: int, late: bool, ended: bool) -> None:
    newest = TODAY - dt.timedelta(days=age)
    assert (is_late(newest, TODAY), has_ended(newest, TODAY)) == (late, ended)


def weeks(*counts: int, until: dt.date = TODAY) -> dict[dt.date, int]:
    """Return the counts of one weekday, the latest last."""
    return {
        until - dt.timedelta(weeks=len(counts) - 1 - number): count
        for number, count in enumerate(counts)
    }


@pytest.mark.parametrize(
    ("counts", "unusual"),
    [
        ((100, 100, 100, 100), False),
        ((100, 100, 100, 49), True),
        ((100, 100, 100, 51), False),
        ((100, 100, 100, 151), True),
        ((100, 100, 0), False),  # of two weeks nothing is known
        ((100, 110, 90, 0), True),
        ((15, 223, 533, 98), False),  # what scatters may go on scattering
        ((1, 2, 3, 7), False),  # nor do few events say much
        ((0, 0, 0, 4), False),
        ((0, 0, 0, 5), True),
    ],
)
def test_a_day_is_held_against_its_weekday(counts: tuple[int, ...], unusual: bool) -> None:
    assert bool(unusual_days(weeks(*counts), [])) is unusual


def test_only_new_days_are_warned_of() -> None:
    rows = weeks(100, 100, 100, 0, until=TODAY - dt.timedelta(days=9)) | {TODAY: 100}
    assert unusual_days(rows, []) == []
    (found,) = unusual_days(rows, [TODAY - dt.timedelta(days=9)])
    assert (found.rows, found.usual, found.weeks) == (0, 100, 3)
    assert unusual_days({}, []) == []
