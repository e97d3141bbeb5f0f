"""The facts about every table, said once: assets, checks, metadata and docs come from here.

Columns, types, descriptions and checks stand in the table's file in `sql/` and are read from there.
Keys are not declared in the DDL: Redshift does not enforce them but trusts them when it plans, so
that a check of a declared key could find what it was told instead of what is there.
"""

from sparkify_dagster.table import Table

_FILE_CHECKS = {
    "known_keys": "The files read hold no key that the table does not know.",
    "all_files_loaded": "No file was left out (SPARKIFY_BAD_FILES=skip allows it).",
    "all_lines_loaded": "No line was left out (SPARKIFY_COPY_MAX_ERRORS allows some).",
    "removed_files": "The load took out no rows that it did not put back.",
    "known_names": "The lake holds no name that looks like data and is none.",
}
# Told by the load of a staging table itself, not by a query; all but all_files_loaded are warnings.
LOAD_CHECKS = {
    "staging_events": {
        **_FILE_CHECKS,
        "newest_day_is_recent": (
            "The newest day is at most two days old. A lake without a file for more than 30 days "
            "has ended: nothing is due."
        ),
        "usual_volume": (
            "The days just loaded and the newest seven have about as many events as their weekday "
            "had in the eight weeks before."
        ),
    },
    "staging_songs": _FILE_CHECKS,
}

STAGING_EVENTS = Table(
    name="staging_events",
    schema="staging",
    group="staging",
    summary="User activity as logged. One row per line of the event files, nothing filtered.",
    built_from=("log_data",),
)
STAGING_SONGS = Table(
    name="staging_songs",
    schema="staging",
    group="staging",
    summary="The song catalogue as delivered. One row per song object of the files.",
    built_from=("song_data",),
)
SONGS = Table(
    name="songs",
    schema="analytics",
    group="star",
    summary="The songs of the catalogue. One row per song_id.",
    built_from=("staging_songs",),
    key=("song_id",),
    joins=(("artist_id", "artists"),),
)
ARTISTS = Table(
    name="artists",
    schema="analytics",
    group="star",
    summary="The artists of the catalogue. One row per artist_id.",
    built_from=("staging_songs",),
    key=("artist_id",),
)
USERS = Table(
    name="users",
    schema="analytics",
    group="star",
    summary="Everyone who appears in any event. One row per user_id, as of the latest event.",
    built_from=("staging_events",),
    key=("user_id",),
)
SONGPLAYS = Table(
    name="songplays",
    schema="analytics",
    group="star",
    summary=(
        "The plays: the fact table. One row per event with page NextSong, whether or not its song "
        "is in the catalogue."
    ),
    built_from=("staging_events", "songs"),
    checked_against=("users", "artists"),
    key=("songplay_id",),
    joins=(
        ("start_time", "time"),
        ("user_id", "users"),
        ("song_id", "songs"),
        ("artist_id", "artists"),
    ),
)
TIME = Table(
    name="time",
    schema="analytics",
    group="star",
    summary="The moments of the plays, taken apart. One row per distinct start_time of songplays.",
    built_from=("songplays",),
    key=("start_time",),
    days_of="songplays",
)
TOP_SONGS = Table(
    name="top_songs",
    schema="analytics",
    group="analytics",
    summary=(
        "What songs are played most. One row per title and artist as logged, so that a play counts "
        "whether or not its song is in the catalogue."
    ),
    built_from=("songplays",),
    key=("title", "artist_name"),
)
TOP_ARTISTS = Table(
    name="top_artists",
    schema="analytics",
    group="analytics",
    summary="What artists are played most. One row per artist name as logged.",
    built_from=("top_songs",),
    checked_against=("songplays",),
    key=("artist_name",),
)
DAILY_ENGAGEMENT = Table(
    name="daily_engagement",
    schema="analytics",
    group="analytics",
    summary="How many listen how much, free against paid. One row per day with plays.",
    built_from=("songplays",),
    key=("day",),
    days_of="songplays",
)
LISTENER_DEMOGRAPHICS = Table(
    name="listener_demographics",
    schema="analytics",
    group="analytics",
    summary="Who listens most. One row per gender, level and location that plays came from.",
    built_from=("songplays", "users"),
    key=("gender", "level", "location"),
)
LISTENING_HOURS = Table(
    name="listening_hours",
    schema="analytics",
    group="analytics",
    summary="When songs are played. One row per weekday and hour (UTC) with plays, over all days.",
    built_from=("songplays",),
    key=("weekday", "hour"),
)
LEVEL_CHANGES = Table(
    name="level_changes",
    schema="analytics",
    group="analytics",
    summary=(
        "Upgrades and downgrades. One row per change of a user's level, from one event to the "
        "user's next."
    ),
    built_from=("staging_events",),
    checked_against=("users", "songplays"),
    key=("user_id", "change_number"),
    days_of="songplays",
    joins=(("user_id", "users"),),
)
CATALOGUE_COVERAGE = Table(
    name="catalogue_coverage",
    schema="analytics",
    group="analytics",
    summary=(
        "How many plays are of songs in the catalogue, and what is missing most. One row per day "
        "with plays."
    ),
    built_from=("songplays",),
    key=("day",),
    days_of="songplays",
)

# In an order in which each table comes after those it depends on.
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        STAGING_EVENTS,
        STAGING_SONGS,
        SONGS,
        ARTISTS,
        USERS,
        SONGPLAYS,
        TIME,
        TOP_SONGS,
        TOP_ARTISTS,
        DAILY_ENGAGEMENT,
        LISTENER_DEMOGRAPHICS,
        LISTENING_HOURS,
        LEVEL_CHANGES,
        CATALOGUE_COVERAGE,
    )
}


def in_group(group: str) -> list[Table]:
    """Return the tables of one group, in order."""
    return [table for table in TABLES.values() if table.group == group]


def readers(name: str) -> list[Table]:
    """Return the tables that are built from a table."""
    return [table for table in TABLES.values() if name in table.built_from]
