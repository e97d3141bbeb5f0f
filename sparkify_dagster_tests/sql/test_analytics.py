"""The analytics tables: against sums made by hand in Python, and against full rebuilds."""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.checks.tables import query_numbers
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.tables import TABLES, in_group
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import load_all, rows_of

ANALYTICS = [table.name for table in in_group("analytics")]
Event = dict[str, Any]
Rows = list[tuple[Any, ...]]


class Lake:
    """The files of a lake as Python objects, for sums that owe nothing to SQL."""

    def __init__(self, root: Path) -> None:
        # Of an event in several files, the copy in the latest day's counts.
        latest: dict[tuple[int, int], Event] = {}
        for path in sorted(root.glob("log_data/*/*/*.json")):
            for line in path.read_text().splitlines():
                event = {key: _trimmed(value) for key, value in json.loads(line).items()}
                event["userId"] = event["userId"] or None
                event["time"] = _moment(event["ts"])
                event["day"] = event["time"].date()
                latest[event["sessionId"], event["itemInSession"]] = event
        self.events = list(latest.values())
        songs = (json.loads(path.read_text()) for path in root.glob("song_data/*/*/*/*.json"))
        # Numbers in text fields are texts.
        self.known = {
            (_trimmed(str(song["title"])), _trimmed(str(song["artist_name"]))) for song in songs
        }
        self.plays = [event for event in self.events if event["page"] == "NextSong"]

    def is_known(self, play: Event) -> bool:
        return (play["song"], play["artist"]) in self.known

    def by_user(self) -> dict[str, list[Event]]:
        users = defaultdict(list)
        order = ("ts", "sessionId", "itemInSession")
        for event in sorted(self.events, key=lambda event: tuple(event[key] for key in order)):
            if event["userId"] is not None and event["level"] is not None:
                users[event["userId"]].append(event)
        return users


def _trimmed(value: Any) -> Any:
    """Return text without trailing blanks, which count nowhere beyond staging."""
    return value.rstrip(" ") if isinstance(value, str) else value


def _moment(milliseconds: int) -> datetime:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(tzinfo=None)
    return moment + timedelta(milliseconds=milliseconds % 1000)


def _by_name(text: str | None) -> tuple[bool, bytes]:
    """Order text as both engines do: by its bytes, nothing last."""
    return text is None, (text or "").encode()


def _half_up(part: int, whole: int, digits: int) -> float:
    scale = 10**digits
    return ((2 * scale * part + whole) // (2 * whole)) / scale


def top_songs(lake: Lake) -> Rows:
    songs = defaultdict(list)
    for play in lake.plays:
        songs[play["song"], play["artist"]].append(play)
    return [
        (
            title,
            artist,
            len(plays),
            sum(play["level"] == "paid" for play in plays),
            len(plays) if (title, artist) in lake.known else 0,
            min(play["time"] for play in plays),
            max(play["time"] for play in plays),
        )
        for (title, artist), plays in songs.items()
    ]


def top_artists(lake: Lake) -> Rows:
    artists = defaultdict(list)
    for play in lake.plays:
        artists[play["artist"]].append(play)
    rows = []
    for artist, plays in artists.items():
        titles = Counter(play["song"] for play in plays)
        top = min(titles, key=lambda title: (-titles[title], _by_name(title)))
        times = [play["time"] for play in plays]
        paid = sum(play["level"] == "paid" for play in plays)
        matched = sum(map(lake.is_known, plays))
        rows.append((artist, len(plays), paid, matched, len(titles), top, min(times), max(times)))
    return rows


def daily_engagement(lake: Lake) -> Rows:
    days = defaultdict(list)
    for play in lake.plays:
        days[play["day"]].append(play)
    users = {day: {play["userId"] for play in plays} - {None} for day, plays in days.items()}
    rows = []
    for day, plays in days.items():
        week = [users.get(day - timedelta(days=back), set()) for back in range(7)]
        paid = [play for play in plays if play["level"] == "paid"]
        sessions = len({play["sessionId"] for play in plays})
        rows.append(
            (
                day,
                len(users[day]),
                sessions,
                len(plays),
                len(paid),
                sum(play["level"] == "free" for play in plays),
                len({play["userId"] for play in paid} - {None}),
                len(set().union(*week)),
                day - timedelta(days=day.weekday()),
                _half_up(len(plays), sessions, 2),
                _half_up(len(paid), len(plays), 4),
            )
        )
    return rows


def listener_demographics(lake: Lake) -> Rows:
    genders = {user: events[-1]["gender"] for user, events in lake.by_user().items()}
    groups = defaultdict(list)
    for play in lake.plays:
        gender = genders.get(play["userId"])
        groups[gender, play["level"], play["location"]].append(play["userId"])
    rows = []
    for group, users in groups.items():
        listeners = len(set(users) - {None})
        each = _half_up(len(users), listeners, 2) if listeners else 0.0
        rows.append((*group, listeners, len(users), each))
    return rows


def listening_hours(lake: Lake) -> Rows:
    hours = defaultdict(list)
    for play in lake.plays:
        # Python's Monday is 0, the tables' Sunday.
        hours[(play["day"].weekday() + 1) % 7, play["time"].hour].append(play["level"])
    return [(*hour, len(levels), levels.count("paid")) for hour, levels in hours.items()]


def level_changes(lake: Lake) -> Rows:
    rows = []
    for user, events in lake.by_user().items():
        number = 0
        for before, event in pairwise(events):
            if before["level"] != event["level"]:
                number += 1
                # Full seconds first, as boundaries of seconds are what SQL counts.
                waited = event["ts"] // 1000 - events[0]["ts"] // 1000
                rows.append(
                    (
                        event["time"],
                        user,
                        before["level"],
                        event["level"],
                        number,
                        events[0]["time"],
                        waited // 3600,
                    )
                )
    return rows


def catalogue_coverage(lake: Lake) -> Rows:
    days = defaultdict(list)
    for play in lake.plays:
        days[play["day"]].append(play)
    rows = []
    for day, plays in days.items():
        matched = sum(map(lake.is_known, plays))
        unmatched = Counter(
            (play["artist"], play["song"]) for play in plays if not lake.is_known(play)
        )
        top = min(
            unmatched,
            key=lambda song: (-unmatched[song], *map(_by_name, song)),
            default=(None, None),
        )
        artist, title = top
        rows.append(
            (
                day,
                len(plays),
                matched,
                len(plays) - matched,
                _half_up(matched, len(plays), 4),
                title,
                artist,
                unmatched.get(top, 0),
            )
        )
    return rows


SUMS: dict[str, Callable[[Lake], Rows]] = {
    function.__name__: function
    for function in (
        top_songs,
        top_artists,
        daily_engagement,
        listener_demographics,
        listening_hours,
        level_changes,
        catalogue_coverage,
    )
}


def assert_sums(lake: Path, warehouse: Path, after: str = "") -> None:
    files = Lake(lake)
    for table in ANALYTICS:
        expected = sorted(SUMS[table](files), key=repr)
        assert rows_of(warehouse, f"analytics.{table}") == expected, f"{table} {after}"


def assert_checks_pass(lake: Path, path: Path) -> None:
    warehouse = load_all(lake, path)
    for table in in_group("analytics"):
        numbers = warehouse.read(
            lambda session, table=table: query_numbers(session, table, False), "checks", "test"
        )
        failed = {check.name for check in table.checks if not check.passes(numbers.values)}
        assert not failed, table.name


# --- the first columns are those that the analysts were promised


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("top_songs", "title artist_name plays"),
        ("top_artists", "artist_name plays"),
        ("daily_engagement", "day active_users sessions plays paid_plays free_plays"),
        ("listener_demographics", "gender level location listeners plays"),
        ("listening_hours", "weekday hour plays"),
        ("level_changes", "changed_at user_id from_level to_level"),
        ("catalogue_coverage", "day plays matched_plays"),
    ],
)
def test_first_columns(table: str, columns: str) -> None:
    names = [column.name for column in TABLES[table].columns]
    assert names[: len(columns.split())] == columns.split()


# --- against sums in Python


@pytest.fixture(scope="module")
def two_months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample lake across the end of a month and of a year, with changes of level."""
    folder = tmp_path_factory.mktemp("months") / "lake"
    spec = SampleSpec(
        start=date(2018, 12, 22), days=20, events_per_day=90, songs=120, users=25, seed=5
    )
    write_sample_lake(folder, spec)
    return folder


def test_tables_equal_sums_over_the_files(two_months: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    load_all(two_months, path)
    assert rows_of(path, "analytics.level_changes"), "the sample has no change of level"
    assert_sums(two_months, path)
    assert_checks_pass(two_months, path)


@pytest.mark.real_data
def test_real_data(real_lake: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    load_all(real_lake, path)
    assert_sums(real_lake, path)
    assert_checks_pass(real_lake, path)
    assert sum(row[2] for row in rows_of(path, "analytics.top_songs")) == 6820
    assert sum(row[2] for row in rows_of(path, "analytics.catalogue_coverage")) == 333
    users = Counter(row[1] for row in rows_of(path, "analytics.level_changes"))
    assert users == {"15": 2, "16": 1, "29": 1, "36": 1, "49": 1, "80": 1, "85": 1, "88": 1}


# --- whatever arrives, changes or goes: as if built from scratch


class Files:
    """A lake whose files come, change and go; `whole` has all there will be."""

    def __init__(self, whole: Path, lake: Path) -> None:
        self.whole, self.lake = whole, lake
        self.days = sorted(whole.glob("log_data/*/*/*.json"))
        self.songs = sorted(whole.glob("song_data/*/*/*/*.json"))
        lake.mkdir()
        shutil.copy(whole / "log_json_path.json", lake)

    def put(self, *paths: Path) -> None:
        for path in paths:
            target = self.lake / path.relative_to(self.whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)

    def remove(self, *paths: Path) -> None:
        for path in paths:
            (self.lake / path.relative_to(self.whole)).unlink()

    def events(self, day: Path) -> list[Event]:
        text = (self.lake / day.relative_to(self.whole)).read_text()
        return [json.loads(line) for line in text.splitlines()]

    def write(self, day: Path, events: list[Event]) -> None:
        target = self.lake / day.relative_to(self.whole)
        target.write_text("\n".join(map(json.dumps, events)))


def _histories(files: Files) -> Iterator[str]:
    """Change the lake step by step; yield what each step was."""
    days, songs = files.days, files.songs
    files.put(*days[:6], *songs[::2])
    yield "the first days and every second song"
    files.put(*days[8:12])
    yield "later days, across the end of the month"
    files.put(days[7])
    yield "a late day"
    files.put(*songs[1::2])
    yield "the other songs: plays of earlier days match now"
    files.remove(*songs[::3])
    yield "songs gone: plays match no longer"
    files.remove(days[9])
    yield "a day gone"
    flipped = [
        {**event, "level": "paid" if event["level"] == "free" else "free"}
        for event in files.events(days[2])
    ]
    files.write(days[2], flipped)
    yield "a day corrected: everyone on the other level"
    files.write(days[4], [event for event in files.events(days[4]) if event["page"] != "NextSong"])
    yield "a day corrected: no plays"
    files.put(days[12])
    events = files.events(days[12])
    last_user = max((event for event in events if event["userId"]), key=lambda event: event["ts"])
    files.write(
        days[12],
        [
            {**event, "gender": "F" if event["gender"] == "M" else "M"}
            if event["userId"] == last_user["userId"]
            else event
            for event in events
        ],
    )
    yield "a user's gender corrected in the latest day"
    moved = [event for event in files.events(days[3]) if event["userId"]]
    files.write(days[3], moved[: len(moved) // 2])
    files.write(days[10], files.events(days[10]) + moved[len(moved) // 2 :])
    yield "half of a day's events in another day's file"
    files.write(
        days[11],
        [
            *files.events(days[11]),
            *({**event, "level": "paid"} for event in files.events(days[8])[::2]),
        ],
    )
    yield "events repeated, with another level, in a later file"
    bare = {"song": None, "artist": None, "length": None, "gender": None, "location": None}
    files.write(
        days[1],
        [
            {**event, **bare, "userId": "", "level": None} if number % 3 == 0 else event
            for number, event in enumerate(files.events(days[1]))
        ],
    )
    yield "plays without title, artist, listener or level"
    files.remove(days[11])
    yield "the file with the repeated events gone"
    files.put(*days)
    yield "all days as they were"


def test_tables_depend_on_the_files_alone(two_months: Path, tmp_path: Path) -> None:
    files = Files(two_months, tmp_path / "lake")
    path = tmp_path / "grown.duckdb"
    for step in _histories(files):
        load_all(files.lake, path)
        assert_sums(files.lake, path, step)
    rebuilt = tmp_path / "rebuilt.duckdb"
    load_all(files.lake, rebuilt)
    for table in ANALYTICS:
        rows = rows_of(path, f"analytics.{table}")
        assert rows, table
        assert rows == rows_of(rebuilt, f"analytics.{table}"), table


def test_only_changed_days_are_built_again(two_months: Path, tmp_path: Path) -> None:
    """A new day leaves the rows of days it has nothing to do with alone."""
    files = Files(two_months, tmp_path / "lake")
    files.put(*files.days[:12], *files.songs)
    path = tmp_path / "w.duckdb"
    warehouse = load_all(files.lake, path)
    # A mark on an old day would not outlive a rebuild of that day.
    for table in ("daily_engagement", "catalogue_coverage"):
        warehouse.transaction(
            lambda session, table=table: session.run(
                f"UPDATE analytics.{table} SET plays = -1 WHERE day = '2018-12-22'"
            ),
            "mark",
            "test",
        )
    files.put(files.days[12])
    load_all(files.lake, path)
    for table in ("daily_engagement", "catalogue_coverage"):
        rows = dict(rows_of(path, f"analytics.{table}", "day, plays"))
        assert rows[date(2018, 12, 22)] == -1
        assert rows[date(2019, 1, 3)] > 0


# --- the checks see what is wrong


@pytest.mark.parametrize(
    ("table", "harm", "check"),
    [
        ("top_songs", "UPDATE staging.song_totals SET plays = plays + 1", "plays_reconcile"),
        (
            "top_songs",
            "UPDATE staging.song_totals SET matched_plays = matched_plays + 1",
            "matches_reconcile",
        ),
        ("top_artists", "DELETE FROM staging.song_totals WHERE plays = 1", "plays_reconcile"),
        (
            "daily_engagement",
            "UPDATE analytics.daily_engagement SET paid_plays = paid_plays + 1",
            "days_reconcile",
        ),
        (
            "daily_engagement",
            "UPDATE analytics.daily_engagement SET weekly_active_users = 0",
            "days_reconcile",
        ),
        (
            "catalogue_coverage",
            "DELETE FROM analytics.catalogue_coverage WHERE day = '2018-12-25'",
            "plays_reconcile",
        ),
        (
            "listener_demographics",
            "DELETE FROM staging.listener_months WHERE level = 'paid'",
            "plays_reconcile",
        ),
        ("listening_hours", "DELETE FROM staging.listening_days", "plays_reconcile"),
        ("level_changes", "DELETE FROM analytics.level_changes", "plays_reconcile"),
        (
            "level_changes",
            "UPDATE analytics.level_changes SET to_level = from_level",
            "levels_reconcile",
        ),
        (
            "level_changes",
            "UPDATE analytics.level_changes SET user_id = user_id || 'x'",
            "levels_reconcile",
        ),
    ],
)
def test_checks_find_harm(loaded: Path, tmp_path: Path, table: str, harm: str, check: str) -> None:
    path = Path(shutil.copy(loaded, tmp_path / "harmed.duckdb"))
    warehouse = DuckDBWarehouse(path, lock_timeout=10)
    warehouse.transaction(lambda session: session.run(harm), "harm", "test")
    numbers = warehouse.read(
        lambda session: query_numbers(session, TABLES[table], False), "checks", "test"
    )
    failed = {found.name for found in TABLES[table].checks if not found.passes(numbers.values)}
    assert check in failed


@pytest.fixture(scope="module")
def loaded(two_months: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loaded") / "w.duckdb"
    load_all(two_months, path)
    return path
