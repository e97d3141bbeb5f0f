"""The real data set, where it is at hand: counts that are known, and every value of every table."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support import star_model
from sparkify_dagster_tests.support.loads import run_all, select, tables_of
from sparkify_dagster_tests.support.star_model import COLUMNS, Row, difference

pytestmark = pytest.mark.real_data

Tables = dict[str, list[Row]]


@pytest.fixture(scope="module")
def warehouse(real_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> DuckDBWarehouse:
    warehouse = DuckDBWarehouse(tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb", 10)
    run_all(warehouse, LocalLake(str(real_lake)))
    return warehouse


@pytest.fixture(scope="module")
def tables(warehouse: DuckDBWarehouse) -> Tables:
    return tables_of(warehouse)


@pytest.fixture(scope="module")
def model(real_lake: Path) -> Tables:
    """What the tables have to hold, computed from the files in plain Python."""
    files = {
        str(path.relative_to(real_lake)): path.read_bytes()
        for folder in ("log_data", "song_data")
        for path in (real_lake / folder).rglob("*.json")
    }
    events = {name: content for name, content in files.items() if name.startswith("log_data/")}
    songs = {name: content for name, content in files.items() if name.startswith("song_data/")}
    staged = [
        (*(_text(value) if at in (3, 4, 8) else value for at, value in enumerate(row)),)
        for row in star_model.staging_songs(songs)
    ]
    catalogue = star_model.songs(staged)
    current = star_model.current_events(events)
    plays = star_model.songplays(current, catalogue)
    return {
        "staging.staging_events": star_model.staging_events(events),
        "staging.staging_songs": staged,
        "analytics.songs": catalogue,
        "analytics.artists": star_model.artists(staged),
        "analytics.users": star_model.users(current),
        "analytics.songplays": plays,
        "analytics.time": star_model.time(plays),
    }


def _text(value: Any) -> str | None:
    """Return a value as a text column holds it: some titles, names and locations are numbers."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("name", list(COLUMNS))
def test_every_value_of_every_table(tables: Tables, model: Tables, name: str) -> None:
    assert not (text := difference(name, tables[name], model[name])), text


def test_known_counts(tables: Tables) -> None:
    assert {name.split(".")[1]: len(rows) for name, rows in tables.items()} == {
        "staging_events": 8056,
        "staging_songs": 14896,
        "songplays": 6820,
        "users": 97,
        "songs": 14896,
        "artists": 9553,
        "time": 6813,
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT COUNT(*) FROM staging.staging_events WHERE user_id = ''", 286),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE auth = 'Logged Out'", 286),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE artist IS NULL", 1236),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE registration IS NULL", 286),
        ("SELECT COUNT(DISTINCT session_id) FROM staging.staging_events", 941),
        ("SELECT COUNT(DISTINCT page) FROM staging.staging_events", 13),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE status = 404", 9),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE user_agent LIKE '\"%\"'", 5917),
        ("SELECT COUNT(DISTINCT ts) FROM staging.staging_events", 8023),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE CAST(ts AS DATE) <> file_day", 0),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE file_day = '2018-11-15'", 533),
        ("SELECT COUNT(*) FROM staging.staging_events WHERE file_day = '2018-11-01'", 15),
        ("SELECT COUNT(song_id) FROM analytics.songplays", 333),
        ("SELECT COUNT(artist_id) FROM analytics.songplays", 333),
        ("SELECT COUNT(DISTINCT song_id) FROM analytics.songplays", 217),
        ("SELECT COUNT(DISTINCT artist_id) FROM analytics.songplays", 200),
        ("SELECT COUNT(DISTINCT user_id) FROM analytics.songplays WHERE song_id IS NOT NULL", 57),
        ("SELECT COUNT(DISTINCT user_id) FROM analytics.songplays", 96),
        ("SELECT COUNT(DISTINCT session_id) FROM analytics.songplays", 776),
        ("SELECT COUNT(DISTINCT songplay_id) FROM analytics.songplays", 6820),
        ("SELECT COUNT(*) FROM analytics.songplays WHERE user_id IS NULL", 0),
        ("SELECT COUNT(*) FROM analytics.songs WHERE year IS NULL", 4762),
        ("SELECT MIN(year) FROM analytics.songs", 1927),
        ("SELECT MAX(year) FROM analytics.songs", 2010),
        ("SELECT COUNT(DISTINCT title) FROM analytics.songs", 14402),
        ("SELECT COUNT(*) FROM analytics.songs WHERE title IN ('5', '66', '1888', '4.6')", 4),
        ("SELECT COUNT(*) FROM analytics.artists WHERE location = ''", 0),
        ("SELECT COUNT(*) FROM staging.staging_songs WHERE artist_location = ''", 6694),
        ("SELECT COUNT(*) FROM staging.staging_songs WHERE artist_location IS NULL", 1),
        ("SELECT COUNT(DISTINCT artist_location) FROM staging.staging_songs", 2084),
        ("SELECT COUNT(*) FROM staging.staging_songs WHERE artist_latitude IS NULL", 9619),
        ("SELECT COUNT(DISTINCT week) FROM analytics.time", 5),
        ("SELECT COUNT(*) FROM staging.repeated_events", 0),
    ],
)
def test_known_figures(warehouse: DuckDBWarehouse, sql: str, expected: int) -> None:
    assert select(warehouse, sql) == [(expected,)]


def test_levels_of_the_users_who_changed_theirs(real_lake: Path, tables: Tables) -> None:
    changed = {"15", "16", "29", "36", "49", "80", "85", "88"}
    latest: dict[str, tuple[int, str]] = {}
    levels: dict[str, set[str]] = {}
    for path in (real_lake / "log_data").rglob("*.json"):
        for line in path.read_text().split("\n"):
            event = json.loads(line)
            user = event["userId"]
            levels.setdefault(user, set()).add(event["level"])
            latest[user] = max(latest.get(user, (0, "")), (event["ts"], event["level"]))
    assert {user for user, found in levels.items() if user and len(found) == 2} == changed
    found = {row[0]: row[4] for row in tables["analytics.users"]}
    assert found == {user: level for user, (_, level) in latest.items() if user}
    assert found["15"] == "paid"


def test_start_times_keep_their_milliseconds(tables: Tables) -> None:
    plays = [row[1] for row in tables["analytics.songplays"]]
    assert {start.microsecond for start in plays} == {796_000}
    assert set(plays) == {row[0] for row in tables["analytics.time"]}
    assert str(min(plays)) == "2018-11-01 21:01:46.796000"


def test_disagreeing_artists_have_one_row_taken_whole(tables: Tables) -> None:
    delivered: dict[str, set[Row]] = {}
    for row in tables["staging.staging_songs"]:
        texts = [text and text.rstrip(" ") for text in (row[4], row[3])]
        delivered.setdefault(row[0], set()).add((texts[0], texts[1] or None, row[1], row[2]))
    assert sum(len(rows) > 1 for rows in delivered.values()) > 400
    for artist_id, *rest in tables["analytics.artists"]:
        assert tuple(rest) in delivered[artist_id]
        known = [row for row in delivered[artist_id] if row[1]]
        assert bool(rest[1]) == bool(known)


def test_text_comes_through_as_it_is(tables: Tables) -> None:
    """Doubly mis-encoded names, control characters and quotes are the source's, and stay."""
    songs = [row[13] for row in tables["staging.staging_events"] if row[13]]
    artists = [row[0] for row in tables["staging.staging_events"] if row[0]]
    assert sum(_is_misencoded(text) for text in artists) == 193
    assert sum(_is_misencoded(text) for text in songs) == 153
    assert sum(any(ord(letter) < 32 for letter in text) for text in artists + songs) == 16
    quoted = [row for row in tables["staging.staging_events"] if '"' in f"{row[0]}{row[13]}"]
    assert len(quoted) == 12
    assert all(not math.isnan(row[5]) for row in tables["staging.staging_songs"])


def _is_misencoded(text: str) -> bool:
    """Tell whether UTF-8 was read as Latin-1 along the way."""
    try:
        return text.encode("latin-1").decode() != text
    except UnicodeError:
        return False
