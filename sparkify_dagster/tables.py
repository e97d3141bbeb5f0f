"""The facts about every table, said once: assets, checks, metadata and docs come from here.

Column names, types and descriptions stand in the table's `create.sql` and are read from there.
Keys are not declared in the DDL: Redshift does not enforce them but trusts them when it plans, so
that a check of a declared key could find what it was told instead of what is there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from sparkify_dagster.warehouse.statements import (
    folder_statements,
    has_statement,
    read_statement,
)

# One column a line: name, type, NOT NULL, comment. A lint holds this against a real SQL parser.
_COLUMN = re.compile(
    r"^    (?P<name>[a-z_]+) (?P<type>[A-Z]+(?: PRECISION)?(?:\(\d+\))?)(?P<required> NOT NULL)?"
    r"(?: DEFAULT [^,]+)?,?(?: +-- (?P<description>.+))?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Column:
    """A column, as create.sql says it."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class Check:
    """What has to hold for a table, told by numbers from the table's check query.

    `numbers` are columns of that query. With rule "none" all have to be 0; with "equal" the first
    of each pair has to equal the second, and the very first to be at least 1; with "share" the
    first divided by the second has to be at least `least`.
    """

    name: str
    description: str
    numbers: tuple[str, ...]
    rule: str = "none"
    blocking: bool = False
    warn_only: bool = False
    least: float = 0.0


@dataclass(frozen=True)
class Table:
    """A table: an asset of the same name."""

    name: str
    schema: str
    group: str  # folder in sql/ and asset group
    summary: str  # what it is and its grain
    depends_on: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    # Further tables that are built along with it, for it alone.
    helpers: tuple[str, ...] = ()
    # The table whose noted changes tell the checks where to look, where it is not this one.
    changes_of: str = ""
    # Columns that hold another table's key, with that table.
    joins: tuple[tuple[str, str], ...] = ()
    # Tables whose every load is taken in, though no load statement asks what it changed.
    follows: tuple[str, ...] = ()

    @property
    def qualified_name(self) -> str:
        """Return schema.table."""
        return f"{self.schema}.{self.name}"

    @property
    def changes_from(self) -> str:
        """Return the table whose latest load the checks look at."""
        return self.changes_of or self.name

    @property
    def folder(self) -> str:
        """Return the table's folder in sql/."""
        return f"{self.group}/{self.name}"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns in order."""
        return read_columns(f"{self.folder}/create")

    @property
    def load_statements(self) -> tuple[str, ...]:
        """Return the names of the statements that bring the table up to date, in order."""
        return folder_statements(f"{self.folder}/load")

    @property
    def all_statements(self) -> tuple[str, ...]:
        """Return the names of every statement its content depends on."""
        named = [f"{self.folder}/{part}" for part in ("create", "landing", "copy", "insert")]
        named += [f"{self.folder}/{part}" for part in ("changes", "remember_files")]
        folders = [f"{self.folder}/{part}" for part in ("before_copy", "after_copy", "load")]
        return (
            *(name for name in named if has_statement(name)),
            *(name for folder in folders for name in folder_statements(folder)),
        )


def read_columns(create_statement: str) -> tuple[Column, ...]:
    """Return the columns that `sql/<create_statement>.sql` defines."""
    return tuple(
        Column(match["name"], match["type"], bool(match["required"]), match["description"] or "")
        for match in _COLUMN.finditer(read_statement(create_statement))
    )


def row_count(source: str) -> Check:
    """Return the check that a table has rows, as many as its source says."""
    return Check(
        "row_count",
        f"At least one row, and as many rows as {source}.",
        ("row_count", "expected_row_count"),
        rule="equal",
        blocking=True,
    )


def unique_key(*key: str) -> Check:
    """Return the check that no two rows share a key."""
    return Check(
        "unique_key",
        f"No two rows with the same {', '.join(key)}.",
        ("duplicate_keys",),
        blocking=True,
    )


def key_not_null(*key: str) -> Check:
    """Return the check that every row has its key."""
    return Check(
        "key_not_null", f"Every row has its {', '.join(key)}.", ("null_keys",), blocking=True
    )


def domain(column: str, values: str) -> Check:
    """Return the check that a column holds only certain values, or NULL."""
    return Check(
        f"{column}_domain", f"{column} is one of: {values}.", (f"{column}_outside_domain",)
    )


def reference(column: str, table: str) -> Check:
    """Return the check that every value of a column, NULL aside, is in another table."""
    return Check(
        f"{column}_in_{table}",
        f"Every {column} is in {table}.",
        (f"{column}_missing_in_{table}",),
    )


def reconciles(description: str, *numbers: str) -> Check:
    """Return the check that a table adds up to songplays, in plays and in what `numbers` pair."""
    return Check(
        "plays_reconcile",
        f"The plays add up to the rows of songplays{description}.",
        ("total_plays", "songplays_rows", *numbers),
        rule="equal",
    )


# Told by the load of a staging table itself, not by a query.
FILE_CHECKS = {
    "known_keys": "The files read hold no key that the table does not know.",
    "all_lines_loaded": "No line was left out (SPARKIFY_COPY_MAX_ERRORS allows some).",
}

STAGING_EVENTS = Table(
    name="staging_events",
    schema="staging",
    group="staging",
    summary="User activity as logged. One row per line of the event files, nothing filtered.",
    depends_on=("log_data",),
    helpers=("bookkeeping/repeated_events",),
    checks=(
        row_count("the event files have lines"),
        domain("level", "free, paid"),
        domain("gender", "F, M"),
        Check(
            "event_once",
            "Every event (session_id, item_in_session) is in the files once; of several copies "
            "the latest day's counts.",
            ("repeated_events",),
            warn_only=True,
        ),
    ),
)
STAGING_SONGS = Table(
    name="staging_songs",
    schema="staging",
    group="staging",
    summary="The song catalogue as delivered. One row per song object of the files.",
    depends_on=("song_data",),
    checks=(
        row_count("the song files hold objects"),
        Check(
            "song_once",
            "Every song_id is in the files once; of several the first file's row counts.",
            ("repeated_songs",),
            warn_only=True,
        ),
    ),
)
SONGS = Table(
    name="songs",
    schema="analytics",
    group="star",
    summary="The songs of the catalogue. One row per song_id.",
    depends_on=("staging_songs",),
    key=("song_id",),
    joins=(("artist_id", "artists"),),
    checks=(
        row_count("staging_songs has distinct song ids"),
        unique_key("song_id"),
        key_not_null("song_id"),
    ),
)
ARTISTS = Table(
    name="artists",
    schema="analytics",
    group="star",
    summary="The artists of the catalogue. One row per artist_id.",
    depends_on=("staging_songs",),
    key=("artist_id",),
    checks=(
        row_count("staging_songs has distinct artist ids"),
        unique_key("artist_id"),
        key_not_null("artist_id"),
    ),
)
USERS = Table(
    name="users",
    schema="analytics",
    group="star",
    summary="Everyone who appears in any event. One row per user_id, as of the latest event.",
    depends_on=("staging_events",),
    key=("user_id",),
    helpers=("bookkeeping/user_days",),
    checks=(
        row_count("the events have distinct users"),
        unique_key("user_id"),
        key_not_null("user_id"),
        domain("level", "free, paid"),
        domain("gender", "F, M"),
    ),
)
SONGPLAYS = Table(
    name="songplays",
    schema="analytics",
    group="star",
    summary=(
        "The plays: the fact table. One row per event with page NextSong, whether or not its song "
        "is in the catalogue."
    ),
    # users and artists: for the checks of the references.
    depends_on=("staging_events", "songs", "users", "artists"),
    key=("songplay_id",),
    joins=(
        ("start_time", "time"),
        ("user_id", "users"),
        ("song_id", "songs"),
        ("artist_id", "artists"),
    ),
    checks=(
        row_count("there are NextSong events"),
        unique_key("songplay_id"),
        key_not_null("songplay_id"),
        domain("level", "free, paid"),
        reference("user_id", "users"),
        reference("song_id", "songs"),
        reference("artist_id", "artists"),
        Check(
            "known_song_share",
            "Share of plays whose song is in the catalogue; the real data has about 5 %.",
            ("plays_of_known_songs", "row_count"),
            rule="share",
            warn_only=True,
            least=0.01,
        ),
    ),
)
TIME = Table(
    name="time",
    schema="analytics",
    group="star",
    summary="The moments of the plays, taken apart. One row per distinct start_time of songplays.",
    depends_on=("songplays",),
    key=("start_time",),
    changes_of="songplays",
    checks=(
        row_count("songplays has distinct start times"),
        unique_key("start_time"),
        key_not_null("start_time"),
        Check(
            "covers_songplays",
            "Every start_time of songplays is in time.",
            ("start_time_missing_in_time",),
        ),
        domain("weekday", "0 (Sunday) to 6 (Saturday)"),
    ),
)
TOP_SONGS = Table(
    name="top_songs",
    schema="analytics",
    group="analytics",
    summary=(
        "What songs are played most. One row per title and artist as logged, so that a play counts "
        "whether or not its song is in the catalogue."
    ),
    depends_on=("songplays",),
    key=("title", "artist_name"),
    helpers=("bookkeeping/song_months",),
    changes_of="songplays",
    checks=(
        unique_key("title", "artist_name"),
        reconciles(
            ", those with a song of the catalogue to those with a song_id",
            "total_matched_plays",
            "songplays_matched",
        ),
    ),
)
TOP_ARTISTS = Table(
    name="top_artists",
    schema="analytics",
    group="analytics",
    summary="What artists are played most. One row per artist name as logged.",
    # songplays: for the check of the total.
    depends_on=("top_songs", "songplays"),
    follows=("top_songs",),
    key=("artist_name",),
    changes_of="songplays",
    checks=(
        unique_key("artist_name"),
        reconciles(", the songs to those of top_songs", "total_songs", "top_songs_rows"),
    ),
)
DAILY_ENGAGEMENT = Table(
    name="daily_engagement",
    schema="analytics",
    group="analytics",
    summary="How many listen how much, free against paid. One row per day with plays.",
    depends_on=("songplays",),
    key=("day",),
    changes_of="songplays",
    checks=(
        unique_key("day"),
        reconciles(
            ", and so do every day's plays and paid plays; no day has more active users than the "
            "week that ends with it",
            "days",
            "days_that_agree",
        ),
    ),
)
LISTENER_DEMOGRAPHICS = Table(
    name="listener_demographics",
    schema="analytics",
    group="analytics",
    summary="Who listens most. One row per gender, level and location that plays came from.",
    depends_on=("songplays", "users"),
    follows=("users",),
    key=("gender", "level", "location"),
    helpers=("bookkeeping/listener_months",),
    changes_of="songplays",
    checks=(
        unique_key("gender", "level", "location"),
        reconciles(""),
    ),
)
LISTENING_HOURS = Table(
    name="listening_hours",
    schema="analytics",
    group="analytics",
    summary="When songs are played. One row per weekday and hour (UTC) with plays, over all days.",
    depends_on=("songplays",),
    key=("weekday", "hour"),
    helpers=("bookkeeping/listening_days",),
    changes_of="songplays",
    checks=(
        unique_key("weekday", "hour"),
        reconciles(""),
    ),
)
LEVEL_CHANGES = Table(
    name="level_changes",
    schema="analytics",
    group="analytics",
    summary=(
        "Upgrades and downgrades. One row per change of a user's level, from one event to the "
        "user's next."
    ),
    # users and songplays: for the checks.
    depends_on=("staging_events", "users", "songplays"),
    key=("user_id", "change_number"),
    joins=(("user_id", "users"),),
    helpers=("bookkeeping/event_days", "bookkeeping/user_levels"),
    changes_of="songplays",
    checks=(
        unique_key("user_id", "change_number"),
        Check(
            "levels_reconcile",
            "Every user's latest change led to the level that users has, and every listener with "
            "plays on both levels in songplays has a change.",
            ("latest_level_not_in_users", "listeners_without_their_change"),
        ),
    ),
)
CATALOGUE_COVERAGE = Table(
    name="catalogue_coverage",
    schema="analytics",
    group="analytics",
    summary=(
        "How many plays are of songs in the catalogue, and what is missing most. One row per day "
        "with plays."
    ),
    depends_on=("songplays",),
    key=("day",),
    changes_of="songplays",
    checks=(
        unique_key("day"),
        reconciles(
            ", and so do every day's plays and those with a song of the catalogue",
            "days",
            "days_that_agree",
        ),
    ),
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

VIEWS = (
    "views/current_events",
    "views/staging_events_alias",
    "views/staging_songs_alias",
    "views/time_alias",
)
BOOKKEEPING = (
    "load_lock",
    "commits",
    "table_versions",
    "loaded_files",
    "loads",
    "load_changes",
    "loads_seen",
)


def in_group(group: str) -> Iterable[Table]:
    """Return the tables of one group, in order."""
    return [table for table in TABLES.values() if table.group == group]
