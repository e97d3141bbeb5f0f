"""What a load reads again, what it leaves alone, and what it remembers."""

import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import xxhash

from sparkify_dagster.checks import tables as checks
from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.loading.ledger import read_ledger
from sparkify_dagster.loading.refresh import RefreshResult
from sparkify_dagster.loading.schema import reset
from sparkify_dagster.loading.staging import StagingResult
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import LoadError, WarehouseError
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import (
    CORE,
    rebuilt,
    run_all,
    run_each,
    run_table,
    select,
    tables_of,
)
from sparkify_dagster_tests.support.own_sql import edit
from sparkify_dagster_tests.support.star_model import difference
from sparkify_dagster_tests.support.tiny_lake import (
    JSONPATHS,
    TinyLake,
    event,
    event_file,
    json_lines,
    song,
)

DAYS = ("2018-11-01", "2018-11-02", "2018-11-03")
FIRST = dt.date(2018, 11, 1)
EVENTS = "staging.staging_events"


class Platform:
    """A small lake of three days and two songs, and a warehouse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = TinyLake(folder / "lake")
        for number, day in enumerate(DAYS):
            self.write_day(day, session=number)
        self.source.write_songs("A/A/A/TR1", [song()])
        self.source.write_songs("A/A/B/TR2", [song(song_id="S2", title="T2", artist_id="A2")])
        self.lake = LocalLake(str(self.source.folder))
        self.warehouse = DuckDBWarehouse(folder / "warehouse.duckdb", 5)

    def write_day(
        self, day: str, session: int, level: str = "free", compressed: bool = False
    ) -> str:
        midnight = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
        ts = int(midnight.timestamp() * 1000) + 796
        name = event_file(day, compressed)
        events = [
            event(sessionId=session, itemInSession=item, ts=ts + item, level=level)
            for item in (0, 1)
        ]
        self.source.write(name, json_lines(events))
        return name

    def load(
        self, table: str, days: list[dt.date] | None = None, full_refresh: bool = False
    ) -> StagingResult:
        result = run_table(self.warehouse, self.lake, table, days, full_refresh)
        assert isinstance(result, StagingResult)
        return result

    def refresh(self, table: str, full_refresh: bool = False) -> RefreshResult:
        result = run_table(self.warehouse, self.lake, table, None, full_refresh)
        assert isinstance(result, RefreshResult)
        return result

    def run(self) -> None:
        run_all(self.warehouse, self.lake)

    def sessions(self) -> list[int]:
        return sorted(row[12] for row in tables_of(self.warehouse)[EVENTS])

    def assert_as_rebuilt(self) -> None:
        found = tables_of(self.warehouse)
        for name, expected in rebuilt(self.lake, self.folder / "rebuilt.duckdb").items():
            assert not (text := difference(name, found[name], expected)), text


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


def replace_unnoticed(path: Path, content: bytes) -> None:
    """Replace a file's content under the size and modification time it had."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


# --- what is read again


def test_unchanged_files_are_not_read_again(platform: Platform) -> None:
    platform.run()
    before = tables_of(platform.warehouse)
    for name, content in list(platform.source.files.items()):
        path = platform.source.folder / name
        replace_unnoticed(path, content.replace(b'"Oslo"', b'"Lima"').replace(b"100.5", b"999.5"))
    events, songs = platform.load("staging_events"), platform.load("staging_songs")
    assert (events.files_read, songs.files_read) == (0, 0)
    assert tables_of(platform.warehouse) == before
    # Only a reload sees it, which shows that the files do differ.
    platform.load("staging_events", full_refresh=True)
    assert {row[8] for row in tables_of(platform.warehouse)[EVENTS]} == {"Lima"}


def test_touched_event_file_is_looked_at_once_and_not_loaded(platform: Platform) -> None:
    platform.run()
    loads = loads_of(platform)
    path = platform.source.folder / event_file(DAYS[0])
    os.utime(path, ns=(1, 1))
    assert platform.load("staging_events").files_read == 0
    assert platform.refresh("users").changed is False
    assert loads == loads_of(platform)
    # The new time is remembered, that of this file alone: under it, it is not even opened.
    for unopened in (path, platform.source.folder / event_file(DAYS[1])):
        replace_unnoticed(unopened, unopened.read_bytes().replace(b'"Oslo"', b'"Lima"'))
    assert platform.load("staging_events").files_read == 0


def test_files_without_an_object_are_remembered(platform: Platform) -> None:
    platform.source.write(event_file(DAYS[0]), b"\n")
    platform.source.write("song_data/A/A/A/TR9.json", b"\n")
    platform.run()
    query = "SELECT file_name, row_count FROM staging.loaded_files WHERE row_count = 0 ORDER BY 1"
    expected = [(event_file(DAYS[0]), 0), ("song_data/A/A/A/TR9.json", 0)]
    assert select(platform.warehouse, query) == expected
    assert platform.load("staging_events").files_read == 0
    assert platform.load("staging_songs").files_read == 0


def test_only_changed_days_and_songs_are_read(platform: Platform) -> None:
    platform.run()
    platform.write_day(DAYS[1], session=9)
    platform.source.write_songs("A/A/A/TR1", [song(title="other")])
    events = platform.load("staging_events")
    songs = platform.load("staging_songs")
    assert events.days == {dt.date(2018, 11, 2): 2}
    assert (events.files_read, events.is_full, songs.files_read, songs.is_full) == (
        1,
        False,
        1,
        False,
    )
    platform.run()
    platform.assert_as_rebuilt()


def test_full_refresh_reads_everything_again(platform: Platform) -> None:
    platform.run()
    result = platform.load("staging_events", full_refresh=True)
    assert (result.files_read, result.is_full) == (3, True)
    assert platform.load("staging_songs", full_refresh=True).files_read == 2
    assert platform.refresh("users", full_refresh=True).is_full
    assert platform.refresh("time", full_refresh=True).is_full
    platform.run()
    platform.assert_as_rebuilt()


def test_full_refresh_of_a_day_reads_that_day(platform: Platform) -> None:
    platform.run()
    for name in (event_file(DAYS[0]), event_file(DAYS[1])):
        path = platform.source.folder / name
        replace_unnoticed(path, path.read_bytes().replace(b'"Oslo"', b'"Lima"'))
    result = platform.load("staging_events", [FIRST], full_refresh=True)
    assert (result.files_read, result.is_full) == (1, False)
    found = {(row[18], row[8]) for row in tables_of(platform.warehouse)[EVENTS]}
    assert sorted(found) == [(FIRST, "Lima"), *((FIRST + dt.timedelta(n), "Oslo") for n in (1, 2))]


# --- days


def test_one_day_into_an_empty_warehouse_loads_that_day_alone(platform: Platform) -> None:
    result = platform.load("staging_events", [dt.date(2018, 11, 2)])
    assert result.days == {dt.date(2018, 11, 2): 2}
    assert platform.sessions() == [1, 1]
    platform.load("staging_events", [dt.date(2018, 11, 3), FIRST])
    assert platform.sessions() == [0, 0, 1, 1, 2, 2]


def test_day_that_never_had_a_file_gives_no_rows(platform: Platform) -> None:
    result = platform.load("staging_events", [dt.date(2020, 2, 29)])
    assert (result.files_read, result.days) == (0, {})
    platform.run()
    result = platform.load("staging_events", [dt.date(2020, 2, 29), FIRST])
    assert (result.files_read, result.days) == (0, {})
    platform.assert_as_rebuilt()


def test_gone_day_asked_for_by_name_is_an_error(platform: Platform) -> None:
    platform.run()
    platform.source.remove(event_file(DAYS[0]))
    before = tables_of(platform.warehouse)
    for days in ([FIRST], [FIRST, dt.date(2018, 11, 2)]):
        with pytest.raises(
            LakeError, match=r"2018-11-01-events\.json: was loaded before and has gone"
        ):
            platform.load("staging_events", days)
    assert tables_of(platform.warehouse) == before
    # Other days do not mind.
    platform.load("staging_events", [dt.date(2018, 11, 2)])


def test_gone_day_loses_its_rows_in_a_run_without_partition(platform: Platform) -> None:
    platform.run()
    platform.source.remove(event_file(DAYS[0]))
    result = platform.load("staging_events")
    assert (result.files_read, result.files_removed) == (0, 1)
    assert platform.sessions() == [1, 1, 2, 2]
    platform.run()
    platform.assert_as_rebuilt()
    # It counts as a day that never had a file from now on.
    assert platform.load("staging_events", [FIRST]).files_read == 0


def test_a_day_in_two_files_plain_and_compressed(platform: Platform) -> None:
    platform.write_day(DAYS[0], session=7, compressed=True)
    platform.run()
    assert platform.sessions() == [0, 0, 1, 1, 2, 2, 7, 7]
    platform.write_day(DAYS[0], session=8, compressed=True)
    assert platform.load("staging_events").files_read == 2
    assert platform.sessions() == [0, 0, 1, 1, 2, 2, 8, 8]
    # One of the two goes: the day is asked for by name and still has a file.
    platform.source.remove(event_file(DAYS[0]))
    result = platform.load("staging_events", [FIRST])
    assert (result.files_read, result.files_removed) == (1, 1)
    assert platform.sessions() == [1, 1, 2, 2, 8, 8]
    platform.run()
    platform.assert_as_rebuilt()


def test_one_file_of_a_day_is_touched_and_the_other_changes(platform: Platform) -> None:
    platform.write_day(DAYS[0], session=7, compressed=True)
    platform.run()
    platform.write_day(DAYS[0], session=8, compressed=True)
    os.utime(platform.source.folder / event_file(DAYS[0]), ns=(1, 1))
    assert platform.load("staging_events").files_read == 2
    assert platform.sessions() == [0, 0, 1, 1, 2, 2, 8, 8]


def test_partition_of_a_changed_load_reads_the_loaded_days_too(platform: Platform) -> None:
    platform.load("staging_events", [FIRST])
    paths = [f"$.{key}" for key in JSONPATHS]
    paths[JSONPATHS.index("location")] = "$.userAgent"
    platform.source.write_jsonpaths(paths)
    result = platform.load("staging_events", [dt.date(2018, 11, 2)])
    assert result.is_full
    assert sorted(result.days) == [FIRST, dt.date(2018, 11, 2)]
    assert {row[8] for row in tables_of(platform.warehouse)[EVENTS]} == {'"Mozilla/5.0"'}


def test_changed_jsonpaths_reload_all_days(platform: Platform) -> None:
    platform.run()
    paths = [f"$.{key}" for key in JSONPATHS]
    assert platform.load("staging_events").files_read == 0
    paths[JSONPATHS.index("level")] = "$.gender"
    platform.source.write_jsonpaths(paths)
    assert platform.load("staging_events").files_read == 3
    platform.run()
    assert {row[4] for row in tables_of(platform.warehouse)["analytics.users"]} == {"F"}
    platform.assert_as_rebuilt()


# --- what is remembered


def test_the_ledger_says_what_was_loaded(platform: Platform) -> None:
    platform.write_day(DAYS[0], session=7, compressed=True)
    before = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    platform.run()
    rows = select(
        platform.warehouse,
        "SELECT table_name, file_name, file_day, size_bytes, version, content_hash, line_count, "
        "run_id, loaded_at FROM staging.loaded_files ORDER BY table_name, file_name",
    )
    assert [row[1] for row in rows] == sorted(
        platform.source.files, key=lambda name: (not name.startswith("log"), name)
    )
    for table, name, day, size, version, content_hash, line_count, run_id, loaded_at in rows:
        path = platform.source.folder / name
        assert table == ("staging_events" if name.startswith("log") else "staging_songs")
        assert (str(day) in name) if table == "staging_events" else (day is None)
        assert (size, version) == (path.stat().st_size, str(path.stat().st_mtime_ns))
        assert content_hash == xxhash.xxh3_128_hexdigest(path.read_bytes())
        assert line_count == (2 if table == "staging_events" else 1)
        assert run_id == "run"
        assert before <= loaded_at <= dt.datetime.now(dt.UTC).replace(tzinfo=None)
    counts = select(
        platform.warehouse,
        "SELECT file_day, SUM(row_count) FROM staging.loaded_files "
        "WHERE table_name = 'staging_events' GROUP BY 1 ORDER BY 1",
    )
    assert [int(count) for _, count in counts] == [4, 2, 2]


def test_changes_are_forgotten_once_every_reader_has_seen_them(platform: Platform) -> None:
    platform.run()
    for number in range(3):
        platform.write_day(DAYS[number % 3], session=10 + number)
        platform.source.write_songs("A/A/A/TR1", [song(year=2000 + number)])
        platform.run()
    rows = select(
        platform.warehouse,
        "SELECT table_name, COUNT(DISTINCT load_id) FROM staging.load_changes GROUP BY 1",
    )
    assert rows
    assert all(count <= 2 for _, count in rows), rows
    platform.assert_as_rebuilt()


def test_what_a_table_has_taken_in_is_not_forgotten_for_others(platform: Platform) -> None:
    platform.run()
    platform.source.write_songs("A/A/A/TR1", [song(title="Other")])
    for table in ("staging_songs", "songs", "artists"):
        run_table(platform.warehouse, platform.lake, table)
    platform.source.write_songs("A/A/B/TR2", [song(song_id="S2", title="T2", year=2001)])
    platform.load("staging_songs")
    platform.run()
    platform.assert_as_rebuilt()


def test_a_dropped_table_alone_is_forgotten(platform: Platform) -> None:
    platform.run()
    loads = "SELECT table_name, load_id FROM staging.ledger WHERE load_id > 0"
    before = set(select(platform.warehouse, loads))
    platform.warehouse.transaction(
        lambda session: session.run("DROP TABLE analytics.artists"), "harm", "run"
    )
    platform.run()
    changed = set(select(platform.warehouse, loads)) - before
    assert [name for name, _ in changed] == ["analytics.artists"]


def test_a_run_with_nothing_new_changes_nothing(platform: Platform) -> None:
    platform.run()
    platform.run()
    path = platform.folder / "warehouse.duckdb"
    before = path.read_bytes()
    assert all(platform.refresh(name).changed is False for name in ("users", "songs", "songplays"))
    platform.run()
    bookkeeping = "SELECT * FROM staging.ledger WHERE load_id > 0"
    assert len(before) == len(path.read_bytes())
    with duckdb.connect(str(path), read_only=True) as connection:
        assert len(connection.execute(bookkeeping).fetchall()) == len(CORE)


def test_an_event_is_repeated_only_where_it_lies_twice(platform: Platform) -> None:
    same = event(sessionId=7, itemInSession=1)
    platform.source.write_events(DAYS[0], [same, event(sessionId=7, itemInSession=2)])
    platform.source.write_events(DAYS[1], [same, event(sessionId=8, itemInSession=1)])
    platform.run()
    rows = select(
        platform.warehouse,
        "SELECT session_id, item_in_session, copies FROM staging.repeated_events",
    )
    assert sorted(rows) == [(7, 1, 1), (7, 1, 1)]


# --- definitions that change


def loads_of(platform: Platform) -> dict[str, int]:
    """Return the latest load of each table."""
    found = select(platform.warehouse, "SELECT table_name, load_id FROM staging.ledger")
    return {str(name): int(load_id) for name, load_id in found if load_id}


def test_added_column_is_applied_and_filled(platform: Platform, own_sql: Path) -> None:
    platform.run()
    users = own_sql / "star" / "users.sql"
    edit(
        users,
        "level VARCHAR(16)              -- free or paid, at the latest event",
        "level VARCHAR(16),             -- free or paid, at the latest event\n"
        "    is_paid INTEGER                -- 1 where the level is paid",
    )
    edit(users, "last_name, gender, level)", "last_name, gender, level, is_paid)")
    edit(
        users,
        "    level\nFROM (\n    SELECT\n        user_id,",
        "    level,\n    CASE WHEN level = 'paid' THEN 1 ELSE 0 END\nFROM (\n    SELECT\n"
        "        user_id,",
    )
    assert platform.refresh("users").is_full
    assert select(platform.warehouse, "SELECT level, is_paid FROM analytics.users") == [("free", 0)]
    platform.run()
    platform.assert_as_rebuilt()


def add_plan(platform: Platform, own_sql: Path, marker: str) -> None:
    """Add a column for a key that the events have from the third day on."""
    events = own_sql / "staging" / "staging_events.sql"
    place = "file_day DATE NOT NULL             -- the day in the file's name, UTC: the partition"
    edit(events, place, f"{place.replace('NULL ', 'NULL,')}\n    plan VARCHAR(16)")
    place = "user_id VARCHAR(32),\n"
    edit(events, place, f"{place}    plan VARCHAR(16),{marker}\n")
    edit(events, "user_id, source_file\n)", "user_id, plan, source_file\n)")
    edit(events, "user_id, file_day\n", "user_id, plan, file_day\n")
    edit(events, "    user_id,\n    CAST", "    user_id,\n    plan,\n    CAST")
    platform.source.write_jsonpaths([f"$['{key}']" for key in [*JSONPATHS, "plan"]])
    platform.source.write_events(
        DAYS[2], [event(sessionId=2, itemInSession=item, plan="family") for item in (0, 1)]
    )


def test_added_key_is_null_in_files_of_days_before_it_came(
    platform: Platform, own_sql: Path
) -> None:
    platform.run()
    add_plan(platform, own_sql, f" -- since {DAYS[2]}")
    platform.run()
    plans = select(platform.warehouse, "SELECT session_id, plan FROM staging.staging_events")
    assert sorted(plans, key=repr) == [
        *[(number, None) for number in (0, 0, 1, 1)],
        *[(2, "family")] * 2,
    ]
    platform.assert_as_rebuilt()
    platform.write_day(DAYS[2], session=3)
    with pytest.raises(LoadError, match=f"{DAYS[2]}.*column plan: key 'plan' is in none"):
        platform.run()


def test_added_key_without_the_day_it_came_is_an_error(platform: Platform, own_sql: Path) -> None:
    platform.run()
    add_plan(platform, own_sql, "")
    with pytest.raises(LoadError, match=f"{DAYS[0]}.*'plan' is in none.*-- since YYYY-MM-DD"):
        platform.run()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gender VARCHAR(16)", "sex VARCHAR(16)"),
        ("gender VARCHAR(16)", "gender VARCHAR(32)"),
        ("first_name VARCHAR(256),       -- given name\n", ""),
        ("level VARCHAR(16) ", "level VARCHAR(16),\n    points INTEGER NOT NULL "),
    ],
)
def test_other_changes_of_a_definition_say_what_to_do(
    platform: Platform, own_sql: Path, old: str, new: str
) -> None:
    platform.run()
    before = tables_of(platform.warehouse)
    edit(own_sql / "star" / "users.sql", old, new)
    for table in ("users", "staging_events"):  # every asset notices at its start
        with pytest.raises(WarehouseError, match=r"analytics\.users: .*(?s:.*)reset_warehouse"):
            run_table(platform.warehouse, platform.lake, table)
    edit(own_sql / "star" / "users.sql", new, old) if new else None
    if new:
        assert tables_of(platform.warehouse) == before


def _load_numbers(platform: Platform) -> list[int]:
    ledger = platform.warehouse.transaction(read_ledger, "test/ledger", "run")
    tables = (table for table in TABLES.values() if table.group != "analytics")
    return [ledger.of(table).load_id for table in tables]


def test_reset_warehouse_applies_any_change(platform: Platform, own_sql: Path) -> None:
    platform.run()
    edit(own_sql / "star" / "users.sql", "gender VARCHAR(16)", "gender VARCHAR(32)")
    numbers = _load_numbers(platform)
    platform.warehouse.transaction(reset, "test/reset", "run")
    assert not any(tables_of(platform.warehouse).values())
    platform.run()
    platform.assert_as_rebuilt()
    # They are the data versions of the assets: what was loaded anew is no load of before.
    assert min(_load_numbers(platform)) > max(numbers)


@pytest.mark.parametrize(
    ("table", "file", "old", "new"),
    [
        ("users", "star/users.sql", "ts DESC", "ts ASC"),
        (
            "artists",
            "star/artists.sql",
            "artist_name,\n    NULLIF",
            "'X',\n    NULLIF",
        ),
        ("time", "star/time.sql", "EXTRACT(HOUR FROM start_time)", "25"),
        ("songplays", "views.sql", "events.file_day DESC", "events.file_day"),
    ],
)
def test_changed_load_sql_rebuilds_the_table(
    platform: Platform, own_sql: Path, table: str, file: str, old: str, new: str
) -> None:
    platform.write_day(DAYS[2], session=0, level="paid")  # repeats the first day's events
    platform.run()
    before = tables_of(platform.warehouse)
    edit(own_sql / file, old, new)
    assert platform.refresh(table).is_full
    name = TABLES[table].qualified_name
    assert tables_of(platform.warehouse)[name] != before[name]
    platform.run()
    platform.assert_as_rebuilt()
    assert platform.refresh(table).changed is False


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("star/users.sql", "-- name: load\n", "-- name: load\n-- In other words; as it was.\n"),
        ("star/users.sql", "    SELECT\n", "    select\n\n"),
        ("star/users.sql", "SORTKEY (file_day)", "SORTKEY (user_id)"),
        ("star/songs.sql", "ANALYZE analytics.songs PREDICATE COLUMNS", "ANALYZE analytics.songs"),
        ("star/songs.sql", "AS unique_key,", "AS unique_key_once,"),
        ("views.sql", "-- The events that count:", "-- What counts;"),
        ("views.sql", "SELECT * FROM staging.staging_songs", "SELECT 1 AS one"),
    ],
)
def test_what_decides_no_row_builds_nothing_anew(
    platform: Platform, own_sql: Path, file: str, old: str, new: str
) -> None:
    platform.run()
    before = loads_of(platform)
    edit(own_sql / file, old, new)
    platform.run()
    assert loads_of(platform) == before


def everything(platform: Platform) -> dict[str, list[str]]:
    """Return the rows of all tables, in an order of their own."""
    found = tables_of(platform.warehouse, TABLES)
    return {name: sorted(map(repr, rows)) for name, rows in found.items()}


def as_an_older_version_left_it(path: Path) -> None:
    """Give a warehouse the bookkeeping, and the tables, that came before the ledger."""
    with duckdb.connect(str(path)) as connection:
        for statement in (
            "CREATE TABLE staging.table_versions AS "
            "SELECT table_name, definition AS column_list, version AS load_version "
            "FROM staging.ledger",
            "CREATE TABLE staging.loads (table_name VARCHAR, load_id BIGINT)",
            "CREATE TABLE staging.loads_seen (table_name VARCHAR, load_id BIGINT)",
            "DROP TABLE staging.ledger",
            "CREATE TABLE analytics.former AS SELECT * FROM analytics.listening_hours",
            "DROP VIEW analytics.listening_hours",
            "ALTER TABLE analytics.former RENAME TO listening_hours",
        ):
            connection.execute(statement)


def test_a_warehouse_of_an_older_version_is_brought_over(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    run_all(platform.warehouse, platform.lake, TABLES)
    before = everything(platform)
    as_an_older_version_left_it(platform.folder / "warehouse.duckdb")
    run_all(platform.warehouse, platform.lake, TABLES)
    assert "made by an older version" in caplog.text
    assert everything(platform) == before
    platform.assert_as_rebuilt()
    caplog.clear()
    run_all(platform.warehouse, platform.lake, TABLES)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TABLE analytics.users",
        "DROP TABLE staging.user_days",
        "DROP TABLE staging.staging_songs CASCADE",
        "DROP VIEW analytics.top_songs",
        "DROP VIEW staging.current_events",
    ],
)
def test_what_was_dropped_by_hand_is_built_anew(platform: Platform, harm: str) -> None:
    run_all(platform.warehouse, platform.lake, TABLES)
    before = everything(platform)
    platform.warehouse.transaction(lambda session: session.run(harm), "harm", "run")
    run_all(platform.warehouse, platform.lake, TABLES)
    assert everything(platform) == before


# --- two at once


def test_a_second_process_gives_up_with_a_clear_message(tmp_path: Path, platform: Platform) -> None:
    platform.run()
    with _another_process_holds(tmp_path / "warehouse.duckdb") as other:
        impatient = DuckDBWarehouse(tmp_path / "warehouse.duckdb", 0)
        with pytest.raises(WarehouseError, match=re.escape("held the warehouse for 0 s")) as caught:
            run_table(impatient, platform.lake, "users")
        assert "SPARKIFY_LOCK_TIMEOUT" in str(caught.value)
        with pytest.raises(WarehouseError, match="SPARKIFY_LOCK_TIMEOUT"):
            tables_of(impatient)
        other.communicate(b"end\n", timeout=30)
    platform.run()


def test_a_second_process_waits_for_the_first(tmp_path: Path, platform: Platform) -> None:
    platform.run()
    platform.write_day(DAYS[0], session=5)
    with _another_process_holds(tmp_path / "warehouse.duckdb") as other:
        assert other.stdin is not None
        # It ends on its own after a while, which this process spends waiting.
        other.stdin.write(b"1.0\n")
        other.stdin.flush()
        platform.run()
        assert other.wait(30) == 0
    assert platform.sessions() == [1, 1, 2, 2, 5, 5]


def test_a_warehouse_that_is_none_is_not_mistaken_for_a_busy_one(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    broken = tmp_path / "blocked"
    broken.write_bytes(b"no warehouse " * 5000)
    with pytest.raises(WarehouseError, match="cannot be opened"):
        run_table(DuckDBWarehouse(broken, 600), platform.lake, "users")


def test_a_warehouse_kept_open_is_held_until_the_end(tmp_path: Path, platform: Platform) -> None:
    path = tmp_path / "warehouse.duckdb"
    with platform.warehouse.kept_open():
        run_each(platform.warehouse, platform.lake)
        assert _opens_elsewhere(path) is False
        platform.write_day(DAYS[0], session=5)
        run_each(platform.warehouse, platform.lake)
        assert platform.sessions() == [1, 1, 2, 2, 5, 5]
    assert _opens_elsewhere(path) is True
    platform.assert_as_rebuilt()


def test_a_warehouse_kept_open_survives_a_failed_load(tmp_path: Path, platform: Platform) -> None:
    with platform.warehouse.kept_open():
        run_each(platform.warehouse, platform.lake)
        before = tables_of(platform.warehouse)
        good = platform.source.files[event_file(DAYS[0])]
        platform.source.write(event_file(DAYS[0]), b"{")
        with pytest.raises(WarehouseError, match="cannot be loaded"):
            platform.load("staging_events")
        assert tables_of(platform.warehouse) == before
        platform.source.write(event_file(DAYS[0]), good + b"\n" + good)
        run_each(platform.warehouse, platform.lake)
    platform.assert_as_rebuilt()


def _opens_elsewhere(path: Path) -> bool:
    code = "import sys, duckdb; duckdb.connect(sys.argv[1], read_only=True)"
    return subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def _another_process_holds(path: Path) -> subprocess.Popen[bytes]:
    """Start a process that holds the warehouse until it reads a line, then some seconds longer."""
    hold = (
        "import sys, time, duckdb; connection = duckdb.connect(sys.argv[1]); "
        "print('held', flush=True); line = sys.stdin.readline().strip(); "
        "time.sleep(float(line) if line != 'end' else 0); connection.close()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


# --- odd lakes


def test_a_link_to_nowhere_is_no_file(platform: Platform) -> None:
    (platform.source.folder / "song_data" / "A" / "dangling.json").symlink_to("nowhere")
    assert platform.load("staging_songs").files_read == 2


def test_objects_that_share_a_line_are_all_counted(platform: Platform) -> None:
    first, second = (json_lines([event(sessionId=number)]) for number in (7, 8))
    platform.source.write(event_file(DAYS[0]), first + second)
    platform.run()
    platform.assert_as_rebuilt()
    rows = select(platform.warehouse, f"SELECT COUNT(*) FROM {EVENTS} WHERE file_day = '{DAYS[0]}'")
    counted = select(
        platform.warehouse,
        f"SELECT line_count FROM staging.loaded_files WHERE file_name = '{event_file(DAYS[0])}'",
    )
    assert rows == counted == [(2,)]


def test_objects_are_counted_file_by_file_however_their_lines_break(platform: Platform) -> None:
    """What one file has too many lines of, another lacks; a third has both."""
    lines = [json_lines([event(sessionId=number)]) for number in range(1, 9)]
    spanning = lines[5].replace(b",", b",\n")
    contents = {
        DAYS[0]: lines[0] + b"\n\n" + lines[1] + b"\n",
        DAYS[1]: lines[2] + lines[3] + b"\n",
        DAYS[2]: b"\n" + lines[4] + b"\n" + spanning + b" " + lines[6] + b"\n\n",
    }

    def counted(*days: str) -> list[tuple[object, ...]]:
        for day in days:
            platform.source.write(event_file(day), contents[day])
        platform.run()
        platform.assert_as_rebuilt()
        return select(
            platform.warehouse,
            "SELECT file_day::VARCHAR, line_count FROM staging.loaded_files "
            "WHERE table_name = 'staging_events' ORDER BY file_day",
        )

    both = [(DAYS[0], 2), (DAYS[1], 2)]
    assert counted(DAYS[0], DAYS[1])[:2] == both
    contents[DAYS[0]] = lines[0] + b"\n" + lines[1] + b"\n"
    assert counted(DAYS[0])[:2] == both
    assert counted(DAYS[2])[:3] == [*both, (DAYS[2], 3)]


def test_a_file_name_that_is_no_utf8_is_named(platform: Platform) -> None:
    folder = os.fsencode(platform.source.folder / "song_data")
    Path(os.fsdecode(folder + b"/TR\xff.json")).write_bytes(json_lines([song(song_id="S9")]))
    with pytest.raises(LakeError, match="UTF-8"):
        platform.load("staging_songs")


def test_a_lake_without_files_says_what_is_expected(platform: Platform) -> None:
    platform.run()
    before = tables_of(platform.warehouse)
    for name in list(platform.source.files):
        platform.source.remove(name)
    with pytest.raises(LakeError, match=r"YYYY-MM-DD-events\.json"):
        platform.load("staging_events")
    with pytest.raises(LakeError, match=r"TR\*\.json"):
        platform.load("staging_songs")
    assert tables_of(platform.warehouse) == before


def test_files_of_other_names_are_left_alone(platform: Platform) -> None:
    for name in (
        "log_data/2018/11/.2018-11-09-events.json.swp",
        "log_data/2018/11/2018-11-09-events.json.tmp",
        "log_data/2018/11/2018-02-30-events.json",
        "log_data/2018-11-09-events.json",
        "song_data/A/notes.txt",
        "song_data/A/TR9.json.part",
    ):
        path = platform.source.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no json")
    platform.run()
    assert platform.sessions() == [0, 0, 1, 1, 2, 2]


def test_a_truncated_day_fails_and_loads_when_it_is_whole(platform: Platform) -> None:
    platform.run()
    before = tables_of(platform.warehouse)
    name = event_file(DAYS[1])
    whole = json_lines([event(sessionId=40), event(sessionId=41)])
    platform.source.write(name, whole[:-20])
    with pytest.raises(LoadError, match=rf"{re.escape(name)}, line 2"):
        platform.load("staging_events")
    assert tables_of(platform.warehouse) == before
    platform.source.write(name, whole)
    platform.run()
    assert platform.sessions() == [0, 0, 2, 2, 40, 41]
    platform.assert_as_rebuilt()


# --- what the checks look at

# A check of a table, and what it has to find on a day.
FAULTS = {
    "staging_events": ("level_domain", "UPDATE staging.staging_events SET level = '-'", "file_day"),
    "songplays": ("row_count", "DELETE FROM analytics.songplays", "CAST(start_time AS DATE)"),
    "time": ("row_count", "DELETE FROM analytics.time", "CAST(start_time AS DATE)"),
    "daily_engagement": (
        "days_reconcile",
        "UPDATE analytics.daily_engagement SET active_users = 1000",
        "day",
    ),
    "catalogue_coverage": (
        "days_reconcile",
        "UPDATE analytics.catalogue_coverage SET matched_plays = -1",
        "day",
    ),
    "level_changes": (
        "plays_reconcile",
        "UPDATE analytics.songplays SET level = CASE WHEN item_in_session = 0 THEN 'paid' "
        "ELSE 'free' END",
        "CAST(start_time AS DATE)",
    ),
}


@pytest.mark.parametrize("table", FAULTS)
def test_checks_of_a_large_table_look_at_the_days_that_the_load_changed(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    name, fault, day = FAULTS[table]
    [check] = [check for check in TABLES[table].checks if check.name == name]

    def passes(along_with_load: bool) -> bool:
        numbers = platform.warehouse.read(
            lambda session: checks.query_numbers(session, TABLES[table], along_with_load),
            "test/checks",
            "run",
        )
        return check.passes(numbers.values)

    def break_day(broken: str) -> None:
        platform.warehouse.transaction(
            lambda session: session.run(f"{fault} WHERE {day} = '{broken}'"), "test/fault", "run"
        )

    monkeypatch.setattr(checks, "WHOLE_TABLE_ROWS", 0)
    run_all(platform.warehouse, platform.lake, TABLES)
    platform.write_day("2018-11-04", session=9)
    run_all(platform.warehouse, platform.lake, TABLES)
    assert passes(True)
    break_day("2018-11-01")
    assert passes(True)
    assert not passes(False)
    break_day("2018-11-04")
    assert not passes(True)
