"""The same tables and tests by hand: one process, DuckDB alone, nothing else.

What a good engineer writes in an afternoon and tunes in another. It keeps no record of what it has
loaded, so it cannot tell a changed file from a known one: run it over everything, or tell it the
new day, which has to be later than all that is loaded.

    python -m benchmarks.script LAKE WAREHOUSE.duckdb [--day YYYY-MM-DD] [--analysts]
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

EVENT_COLUMNS = {
    "artist": "VARCHAR",
    "auth": "VARCHAR",
    "firstName": "VARCHAR",
    "gender": "VARCHAR",
    "itemInSession": "INTEGER",
    "lastName": "VARCHAR",
    "length": "DOUBLE",
    "level": "VARCHAR",
    "location": "VARCHAR",
    "method": "VARCHAR",
    "page": "VARCHAR",
    "registration": "DOUBLE",
    "sessionId": "BIGINT",
    "song": "VARCHAR",
    "status": "INTEGER",
    "ts": "BIGINT",
    "userAgent": "VARCHAR",
    "userId": "VARCHAR",
}
SONG_COLUMNS = {
    "artist_id": "VARCHAR",
    "artist_latitude": "DOUBLE",
    "artist_longitude": "DOUBLE",
    "artist_location": "VARCHAR",
    "artist_name": "VARCHAR",
    "duration": "DOUBLE",
    "num_songs": "INTEGER",
    "song_id": "VARCHAR",
    "title": "VARCHAR",
    "year": "INTEGER",
    "source_file": "VARCHAR",
}

READ_EVENTS = """
SELECT
    artist, auth, firstName AS first_name, gender, itemInSession AS item_in_session,
    lastName AS last_name, length, level, location, method, page, registration,
    sessionId AS session_id, song, status, make_timestamp(ts * 1000) AS ts,
    userAgent AS user_agent, userId AS user_id,
    CAST(regexp_extract(filename, '(\\d{4}-\\d{2}-\\d{2})-events\\.json$', 1) AS DATE) AS file_day
FROM read_json($files, columns = $columns, format = 'newline_delimited', filename = true)
"""

# Of an event that lies in several files the latest file day's copy counts; text has no trailing
# blanks.
CURRENT_EVENTS = """
CREATE OR REPLACE TEMP VIEW current_events AS
SELECT * REPLACE (
    rtrim(artist, ' ') AS artist, rtrim(first_name, ' ') AS first_name,
    rtrim(gender, ' ') AS gender, rtrim(last_name, ' ') AS last_name, rtrim(level, ' ') AS level,
    rtrim(location, ' ') AS location, rtrim(page, ' ') AS page, rtrim(song, ' ') AS song,
    rtrim(user_agent, ' ') AS user_agent, rtrim(user_id, ' ') AS user_id
)
FROM staging.staging_events
"""
ONCE = """
QUALIFY row_number() OVER (
    PARTITION BY session_id, item_in_session
    ORDER BY file_day DESC, ts DESC, page, user_id, first_name, last_name, gender, level, location,
        user_agent, song, artist, length
) = 1
"""
REPEATED = """
SELECT 1 FROM staging.staging_events
GROUP BY session_id, item_in_session HAVING count(*) > 1 LIMIT 1
"""

CURRENT_SONGS = """
CREATE OR REPLACE TEMP VIEW current_songs AS
SELECT * REPLACE (
    rtrim(artist_id, ' ') AS artist_id, rtrim(artist_location, ' ') AS artist_location,
    rtrim(artist_name, ' ') AS artist_name, rtrim(song_id, ' ') AS song_id,
    rtrim(title, ' ') AS title
)
FROM staging.staging_songs
"""
SONGS = """
CREATE OR REPLACE TABLE analytics.songs AS
SELECT song_id, title, artist_id, nullif(year, 0) AS year, duration, artist_name
FROM current_songs
QUALIFY row_number() OVER (
    PARTITION BY song_id ORDER BY source_file, title, artist_id, year, duration, artist_name
) = 1
"""
ARTISTS = """
CREATE OR REPLACE TABLE analytics.artists AS
SELECT
    artist_id, artist_name AS name, nullif(artist_location, '') AS location,
    artist_latitude AS latitude, artist_longitude AS longitude
FROM current_songs
WHERE artist_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY artist_id
    ORDER BY coalesce(artist_location, '') = '', artist_latitude IS NULL, song_id, source_file,
        artist_name, artist_location, artist_latitude, artist_longitude
) = 1
"""
# A window over all events would sort them; few share a user's latest moment.
USERS = """
CREATE OR REPLACE TABLE analytics.users AS
SELECT user_id, first_name, last_name, gender, level
FROM current_events
INNER JOIN (
    SELECT user_id, max(ts) AS ts FROM current_events WHERE user_id <> '' GROUP BY user_id
) AS latest USING (user_id, ts)
QUALIFY row_number() OVER (
    PARTITION BY user_id ORDER BY session_id DESC, item_in_session DESC
) = 1
"""
PLAYS = """
WITH matches AS (
    SELECT played.*, songs.song_id, songs.artist_id
    FROM (
        SELECT DISTINCT song, artist, coalesce(length, -1) AS length
        FROM current_events
        WHERE page = 'NextSong' AND {days}
    ) AS played
    INNER JOIN analytics.songs ON song = title AND artist = artist_name
    QUALIFY row_number() OVER (
        PARTITION BY song, artist, length
        ORDER BY duration IS NULL, abs(duration - length), songs.song_id
    ) = 1
)
SELECT
    md5(session_id || '-' || item_in_session) AS songplay_id, ts AS start_time,
    nullif(user_id, '') AS user_id, level, song_id, artist_id, session_id, location, user_agent,
    item_in_session, events.song AS title, events.artist AS artist_name, events.length, file_day
FROM current_events AS events
LEFT JOIN matches
    ON events.song = matches.song
    AND events.artist = matches.artist
    AND coalesce(events.length, -1) = matches.length
WHERE page = 'NextSong' AND {days}
"""
MOMENTS = """
SELECT
    start_time, hour(start_time) AS hour, day(start_time) AS day, week(start_time) AS week,
    month(start_time) AS month, year(start_time) AS year, dayofweek(start_time) AS weekday
FROM (SELECT DISTINCT start_time FROM analytics.songplays WHERE {days})
"""

# The analysts' tables, from the star: built anew whenever plays arrive.
ANALYSTS = {
    "top_songs": """
        SELECT
            title, artist_name, count(*) AS plays, count(*) FILTER (level = 'paid') AS paid_plays,
            count(song_id) AS matched_plays, min(start_time) AS first_played_at,
            max(start_time) AS last_played_at
        FROM analytics.songplays
        GROUP BY ALL
    """,
    "top_artists": """
        SELECT
            artist_name, sum(plays)::BIGINT AS plays, sum(paid_plays)::BIGINT AS paid_plays,
            sum(matched_plays)::BIGINT AS matched_plays, count(*) AS songs,
            first(title ORDER BY plays DESC, title) AS top_title,
            min(first_played_at) AS first_played_at, max(last_played_at) AS last_played_at
        FROM analytics.top_songs
        GROUP BY ALL
    """,
    "listener_demographics": """
        SELECT
            gender, plays.level, location, count(DISTINCT user_id) AS listeners,
            count(*) AS plays,
            CASE WHEN listeners = 0 THEN 0 ELSE (100 * count(*) + listeners // 2) // listeners / 100
            END AS plays_per_listener
        FROM analytics.songplays AS plays
        LEFT JOIN analytics.users USING (user_id)
        GROUP BY gender, plays.level, location
    """,
    "listening_hours": """
        SELECT
            dayofweek(start_time) AS weekday, hour(start_time) AS hour, count(*) AS plays,
            count(*) FILTER (level = 'paid') AS paid_plays
        FROM analytics.songplays
        GROUP BY ALL
    """,
    "daily_engagement": """
        WITH listeners AS (
            SELECT DISTINCT start_time::DATE AS day, user_id FROM analytics.songplays
        ),
        weeks AS (
            SELECT day + ahead AS day, count(DISTINCT user_id) AS users
            FROM listeners, (SELECT unnest(range(7))::INTEGER AS ahead)
            GROUP BY ALL
        ),
        days AS (
            SELECT
                start_time::DATE AS day, count(DISTINCT user_id) AS active_users,
                count(DISTINCT session_id) AS sessions, count(*) AS plays,
                count(*) FILTER (level = 'paid') AS paid_plays,
                count(*) FILTER (level = 'free') AS free_plays,
                count(DISTINCT user_id) FILTER (level = 'paid') AS paid_users
            FROM analytics.songplays
            GROUP BY ALL
        )
        SELECT
            days.*, users AS weekly_active_users, date_trunc('week', day)::DATE AS week_start,
            (100 * plays + sessions // 2) // sessions / 100 AS plays_per_session,
            (10000 * paid_plays + plays // 2) // plays / 10000 AS paid_share
        FROM days
        INNER JOIN weeks USING (day)
    """,
    "catalogue_coverage": """
        WITH unmatched AS (
            SELECT start_time::DATE AS day, title, artist_name, count(*) AS plays
            FROM analytics.songplays
            WHERE song_id IS NULL
            GROUP BY ALL
        ),
        most AS (
            SELECT * FROM unmatched
            QUALIFY row_number() OVER (
                PARTITION BY day ORDER BY plays DESC, artist_name, title
            ) = 1
        ),
        days AS (
            SELECT
                start_time::DATE AS day, count(*) AS plays, count(song_id) AS matched_plays
            FROM analytics.songplays
            GROUP BY ALL
        )
        SELECT
            days.*, days.plays - matched_plays AS unmatched_plays,
            (10000 * matched_plays + days.plays // 2) // days.plays / 10000 AS matched_share,
            title AS top_unmatched_title, artist_name AS top_unmatched_artist,
            coalesce(most.plays, 0) AS top_unmatched_plays
        FROM days
        LEFT JOIN most USING (day)
    """,
    "level_changes": """
        WITH events AS (
            SELECT
                user_id, ts, session_id, item_in_session, level,
                lag(level) OVER latest_last AS level_before,
                min(ts) OVER (PARTITION BY user_id) AS first_seen_at
            FROM current_events
            WHERE user_id <> '' AND level IS NOT NULL
            WINDOW latest_last AS (
                PARTITION BY user_id ORDER BY ts, session_id, item_in_session
            )
        )
        SELECT
            ts AS changed_at, user_id, level_before AS from_level, level AS to_level,
            row_number() OVER (
                PARTITION BY user_id ORDER BY ts, session_id, item_in_session
            ) AS change_number,
            first_seen_at, date_diff('second', first_seen_at, ts) // 3600 AS hours_since_first_seen
        FROM events
        WHERE level_before <> level
    """,
}

# One query a table; every number has to be 0.
CHECKS = {
    "staging_events": """
        SELECT
            count(*) = 0 AS empty,
            count(*) FILTER (level NOT IN ('free', 'paid')) AS level_domain,
            count(*) FILTER (gender NOT IN ('F', 'M')) AS gender_domain
        FROM staging.staging_events
    """,
    "staging_songs": """
        SELECT count(*) = 0 AS empty, count(*) - count(DISTINCT song_id) AS song_once
        FROM staging.staging_songs
    """,
    "songs": """
        SELECT
            count(*) = 0 AS empty,
            count(*) - (SELECT count(DISTINCT song_id) FROM staging.staging_songs) AS row_count,
            count(song_id) - count(DISTINCT song_id) AS unique_key,
            count(*) - count(song_id) AS key_not_null
        FROM analytics.songs
    """,
    "artists": """
        SELECT
            count(*) = 0 AS empty,
            count(*) - (SELECT count(DISTINCT artist_id) FROM staging.staging_songs) AS row_count,
            count(artist_id) - count(DISTINCT artist_id) AS unique_key,
            count(*) - count(artist_id) AS key_not_null
        FROM analytics.artists
    """,
    "users": """
        SELECT
            count(*) = 0 AS empty,
            count(*) - (
                SELECT count(DISTINCT user_id) FROM staging.staging_events WHERE user_id <> ''
            ) AS row_count,
            count(user_id) - count(DISTINCT user_id) AS unique_key,
            count(*) - count(user_id) AS key_not_null,
            count(*) FILTER (level NOT IN ('free', 'paid')) AS level_domain,
            count(*) FILTER (gender NOT IN ('F', 'M')) AS gender_domain
        FROM analytics.users
    """,
    "songplays": """
        SELECT
            count(*) = 0 AS empty,
            count(*) - (
                SELECT count(*) FROM current_events WHERE page = 'NextSong'
            ) AS row_count,
            count(songplay_id) - count(DISTINCT songplay_id) AS unique_key,
            count(*) - count(songplay_id) AS key_not_null,
            count(*) FILTER (plays.level NOT IN ('free', 'paid')) AS level_domain,
            count(plays.user_id) - count(users.user_id) AS user_id_in_users,
            count(plays.song_id) - count(songs.song_id) AS song_id_in_songs,
            count(plays.artist_id) - count(artists.artist_id) AS artist_id_in_artists,
            count(plays.song_id) < 0.01 * count(*) AS known_song_share
        FROM analytics.songplays AS plays
        LEFT JOIN analytics.users ON plays.user_id = users.user_id
        LEFT JOIN analytics.songs ON plays.song_id = songs.song_id
        LEFT JOIN analytics.artists ON plays.artist_id = artists.artist_id
    """,
    "time": """
        SELECT
            count(*) = 0 AS empty,
            count(*) - (
                SELECT count(DISTINCT start_time) FROM analytics.songplays
            ) AS row_count,
            count(start_time) - count(DISTINCT start_time) AS unique_key,
            count(*) - count(start_time) AS key_not_null,
            (
                SELECT count(*) FROM analytics.songplays AS plays
                ANTI JOIN analytics.time ON plays.start_time = time.start_time
            ) AS covers_songplays,
            count(*) FILTER (weekday NOT BETWEEN 0 AND 6) AS weekday_domain
        FROM analytics.time
    """,
}

ANALYSTS_CHECKS = {
    "top_songs": """
        SELECT
            count(*) - count(DISTINCT (title, artist_name)) AS unique_key,
            sum(plays) - (SELECT count(*) FROM analytics.songplays) AS plays,
            sum(matched_plays) - (SELECT count(song_id) FROM analytics.songplays) AS matches
        FROM analytics.top_songs
    """,
    "top_artists": """
        SELECT
            count(*) - count(DISTINCT artist_name) AS unique_key,
            sum(plays) - (SELECT count(*) FROM analytics.songplays) AS plays,
            sum(songs) - (SELECT count(*) FROM analytics.top_songs) AS songs
        FROM analytics.top_artists
    """,
    "listener_demographics": """
        SELECT
            count(*) - count(DISTINCT (gender, level, location)) AS unique_key,
            sum(plays) - (SELECT count(*) FROM analytics.songplays) AS plays
        FROM analytics.listener_demographics
    """,
    "listening_hours": """
        SELECT
            count(*) - count(DISTINCT (weekday, hour)) AS unique_key,
            sum(plays) - (SELECT count(*) FROM analytics.songplays) AS plays
        FROM analytics.listening_hours
    """,
    "daily_engagement": """
        SELECT
            count(*) - count(DISTINCT day) AS unique_key,
            sum(plays) - (SELECT count(*) FROM analytics.songplays) AS plays,
            count(*) FILTER (active_users > weekly_active_users) AS weekly
        FROM analytics.daily_engagement
    """,
    "catalogue_coverage": """
        SELECT
            count(*) - count(DISTINCT day) AS unique_key,
            sum(plays) - (SELECT count(*) FROM analytics.songplays) AS plays
        FROM analytics.catalogue_coverage
    """,
    "level_changes": """
        SELECT
            count(*) - count(DISTINCT (changes.user_id, change_number)) AS unique_key,
            count(*) - count(users.user_id) AS user_id_in_users
        FROM analytics.level_changes AS changes
        LEFT JOIN analytics.users ON changes.user_id = users.user_id
    """,
}


def load_all(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    """Build all tables from all files."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS staging")
    connection.execute("CREATE SCHEMA IF NOT EXISTS analytics")
    connection.execute(
        f"CREATE OR REPLACE TABLE staging.staging_events AS {READ_EVENTS}",
        {"files": str(lake / "log_data/*/*/*-events.json"), "columns": EVENT_COLUMNS},
    )
    with tempfile.NamedTemporaryFile(suffix=".json") as spool:
        # DuckDB takes 0.2 ms to open a file; 15,000 are read faster one by one into a single one.
        spool.write(b"\n".join(song_records(lake)))
        spool.flush()
        connection.execute(
            "CREATE OR REPLACE TABLE staging.staging_songs AS SELECT * "
            "FROM read_json($file, columns = $columns, format = 'newline_delimited')",
            {"file": spool.name, "columns": SONG_COLUMNS},
        )
    connection.execute(CURRENT_SONGS)
    connection.execute(SONGS)
    connection.execute(ARTISTS)
    view_current_events(connection)
    connection.execute(USERS)
    plays, moments = PLAYS.format(days="true"), MOMENTS.format(days="true")
    connection.execute(f"CREATE OR REPLACE TABLE analytics.songplays AS {plays}")
    connection.execute(f"CREATE OR REPLACE TABLE analytics.time AS {moments}")


def load_day(connection: duckdb.DuckDBPyConnection, lake: Path, day: str) -> None:
    """Add one day, later than those loaded, or load it again."""
    file = lake / f"log_data/{day[:4]}/{day[5:7]}/{day}-events.json"
    connection.execute("DELETE FROM staging.staging_events WHERE file_day = $day", {"day": day})
    connection.execute(
        f"INSERT INTO staging.staging_events {READ_EVENTS}",
        {"files": str(file), "columns": EVENT_COLUMNS},
    )
    view_current_events(connection)
    connection.execute(USERS)
    # Events that an earlier file held as well now count from this one.
    connection.execute(
        "DELETE FROM analytics.songplays WHERE file_day = $day OR songplay_id IN ("
        "SELECT md5(session_id || '-' || item_in_session) FROM staging.staging_events "
        "WHERE file_day = $day)",
        {"day": day},
    )
    plays = PLAYS.format(days=f"file_day = DATE '{day}'")
    connection.execute(f"INSERT INTO analytics.songplays {plays}")
    connection.execute(
        "DELETE FROM analytics.time WHERE start_time >= $day OR start_time NOT IN ("
        "SELECT start_time FROM analytics.songplays)",
        {"day": day},
    )
    moments = MOMENTS.format(
        days="start_time NOT IN (SELECT start_time FROM analytics.time)",
    )
    connection.execute(f"INSERT INTO analytics.time {moments}")


def load_analysts_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Build the analysts' tables from the star."""
    for table, query in ANALYSTS.items():
        connection.execute(f"CREATE OR REPLACE TABLE analytics.{table} AS {query}")


def view_current_events(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the events that count; the sort is paid only where an event is there twice."""
    repeated = connection.execute(REPEATED).fetchone()
    connection.execute(CURRENT_EVENTS + (ONCE if repeated else ""))


def song_records(lake: Path) -> Iterator[bytes]:
    """Yield the object of each song file with its file name put first."""
    skip = len(str(lake)) + 1
    folders = [str(lake / "song_data")]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(entry.path)
                    continue
                with open(entry.path, "rb", buffering=0) as stream:
                    content = stream.read()
                yield b'{"source_file":"%s",%s' % (os.fsencode(entry.path[skip:]), content[1:])


def check(connection: duckdb.DuckDBPyConnection, checks: dict[str, str]) -> list[str]:
    """Run the tests; return those that failed."""
    failed = []
    for table, query in checks.items():
        result = connection.execute(query)
        names = [column[0] for column in result.description or []]
        numbers = result.fetchone() or ()
        failed += [f"{table}.{n}: {v}" for n, v in zip(names, numbers, strict=True) if v]
    return failed


def main() -> int:
    """Load, test, and say what failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lake", type=Path)
    parser.add_argument("warehouse", type=Path)
    parser.add_argument("--day", help="the one new day, as 2018-11-30")
    parser.add_argument("--analysts", action="store_true", help="build the analysts' tables, too")
    arguments = parser.parse_args()
    config = {"preserve_insertion_order": "false"}
    with duckdb.connect(str(arguments.warehouse), config=config) as connection:
        if arguments.day:
            load_day(connection, arguments.lake, arguments.day)
        else:
            load_all(connection, arguments.lake)
        checks = CHECKS
        if arguments.analysts:
            load_analysts_tables(connection)
            checks = {**CHECKS, **ANALYSTS_CHECKS}
        failed = check(connection, checks)
    print("\n".join(failed) or "all tests passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
