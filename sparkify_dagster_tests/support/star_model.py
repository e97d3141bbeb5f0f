"""What the tables have to hold, computed from the files in plain Python.

Written from the rules as people are told them, without a look at the SQL, so that the two can
disagree.
"""

import datetime as dt
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = tuple[Any, ...]
Events = Mapping[str, bytes]  # stored bytes by file name

_EPOCH = dt.datetime(1970, 1, 1)
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})-events\.json(\.gz)?$")

COLUMNS = {
    "staging.staging_events": (
        "artist, auth, first_name, gender, item_in_session, last_name, length, level, location, "
        "method, page, registration, session_id, song, status, ts, user_agent, user_id, file_day"
    ),
    "staging.staging_songs": (
        "artist_id, artist_latitude, artist_longitude, artist_location, artist_name, duration, "
        "num_songs, song_id, title, year, source_file"
    ),
    "analytics.songs": "song_id, title, artist_id, year, duration, artist_name",
    "analytics.artists": "artist_id, name, location, latitude, longitude",
    "analytics.users": "user_id, first_name, last_name, gender, level",
    "analytics.songplays": (
        "songplay_id, start_time, user_id, level, song_id, artist_id, session_id, location, "
        "user_agent, item_in_session, title, artist_name, length, file_day"
    ),
    "analytics.time": "start_time, hour, day, week, month, year, weekday",
}


def rows_of(name: str, stored: bytes) -> list[dict[str, Any]]:
    """Return the objects of a file.

    Raises:
        ValueError, OSError, EOFError: a line is no object, or the compressed data is cut off.
    """
    content = gzip.decompress(stored) if name.endswith(".gz") else stored
    return [json.loads(line) for line in content.decode().splitlines() if line.strip()]


def moment(milliseconds: int) -> dt.datetime:
    """Return milliseconds since 1970 as a time in UTC."""
    return _EPOCH + dt.timedelta(milliseconds=milliseconds)


def file_day(name: str) -> dt.date:
    """Return the day in an event file's name."""
    match = _DAY.search(name)
    assert match is not None
    return dt.date.fromisoformat(match[1])


def staging_events(files: Events) -> list[Row]:
    """One row per line, nothing filtered."""
    return [
        (
            line["artist"],
            line["auth"],
            line["firstName"],
            line["gender"],
            line["itemInSession"],
            line["lastName"],
            line["length"],
            line["level"],
            line["location"],
            line["method"],
            line["page"],
            line["registration"],
            line["sessionId"],
            line["song"],
            line["status"],
            moment(line["ts"]),
            line["userAgent"],
            line["userId"],
            file_day(name),
        )
        for name, content in files.items()
        for line in rows_of(name, content)
    ]


def staging_songs(files: Events) -> list[Row]:
    """One row per object."""
    keys = [name.strip() for name in COLUMNS["staging.staging_songs"].split(",")[:-1]]
    return [
        (*(line[key] for key in keys), name)
        for name, content in files.items()
        for line in rows_of(name, content)
    ]


def current_events(files: Events) -> list[dict[str, Any]]:
    """Of the copies of an event the one of the latest file day; within a day the latest in time.

    Copies that agree in both are put in order by their other fields, unknown ones last.
    """
    copies: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for name, content in files.items():
        for line in rows_of(name, content):
            line["file_day"] = file_day(name)
            copies.setdefault((line["sessionId"], line["itemInSession"]), []).append(line)
    fields = ("page", "userId", "firstName", "lastName", "gender", "level", "location", "userAgent")
    order = (*fields, "song", "artist", "length")
    chosen = []
    for candidates in copies.values():
        last_day = max(line["file_day"] for line in candidates)
        of_day = [line for line in candidates if line["file_day"] == last_day]
        last_ts = max(line["ts"] for line in of_day)
        latest = [line for line in of_day if line["ts"] == last_ts]
        chosen.append(min(latest, key=lambda line: [_nulls_last(line[name]) for name in order]))
    return [{key: trimmed(value) for key, value in line.items()} for line in chosen]


def trimmed(value: Any) -> Any:
    """Return text without trailing blanks, which count nowhere beyond staging."""
    return value.rstrip(" ") if isinstance(value, str) else value


def songs(staged: Sequence[Row]) -> list[Row]:
    """One row per song; of several the first file's. Year 0 means unknown."""
    by_song: dict[str, list[Row]] = {}
    for row in (tuple(map(trimmed, row)) for row in staged):
        by_song.setdefault(row[7], []).append(row)
    result = []
    for song_id, candidates in by_song.items():
        # source_file, title, artist_id, year, duration, artist_name
        order = (10, 8, 0, 9, 5, 4)
        row = min(candidates, key=lambda row: [_nulls_last(row[index]) for index in order])
        result.append((song_id, row[8], row[0], row[9] or None, row[5], row[4]))
    return result


def artists(staged: Sequence[Row]) -> list[Row]:
    """One row per artist: from the song that knows most of where the artist is."""
    by_artist: dict[str, list[Row]] = {}
    for row in (tuple(map(trimmed, row)) for row in staged):
        if row[0] is not None:
            by_artist.setdefault(row[0], []).append(row)

    def preference(row: Row) -> list[Any]:
        # song_id, source_file, artist_name, location, latitude, longitude
        rest = [_nulls_last(row[index]) for index in (7, 10, 4, 3, 1, 2)]
        return [not row[3], row[1] is None, *rest]

    chosen = (min(candidates, key=preference) for candidates in by_artist.values())
    return [(row[0], row[4], row[3] or None, row[1], row[2]) for row in chosen]


def users(current: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One row per user of any event, as of the latest."""
    latest: dict[str, Mapping[str, Any]] = {}
    for line in sorted(
        current, key=lambda line: (line["ts"], line["sessionId"], line["itemInSession"])
    ):
        if line["userId"]:
            latest[line["userId"]] = line
    return [
        (user_id, line["firstName"], line["lastName"], line["gender"], line["level"])
        for user_id, line in latest.items()
    ]


def songplays(current: Sequence[Mapping[str, Any]], catalogue: Sequence[Row]) -> list[Row]:
    """One row per NextSong event, with the song of the same title and artist closest in length."""
    by_title: dict[tuple[str, str], list[Row]] = {}
    for row in catalogue:
        if row[1] is not None and row[5] is not None:
            by_title.setdefault((row[1], row[5]), []).append(row)
    result = []
    for line in current:
        if line["page"] != "NextSong":
            continue
        candidates = by_title.get((line["song"], line["artist"]), [])
        length = line["length"]

        def distance(row: Row, length: float | None = length) -> tuple[bool, float, str]:
            known = row[4] is not None and length is not None
            return row[4] is None, abs(row[4] - length) if known else 0.0, row[0]

        match = min(candidates, key=distance, default=None)
        session, item = line["sessionId"], line["itemInSession"]
        result.append(
            (
                hashlib.md5(f"{session}-{item}".encode()).hexdigest(),
                moment(line["ts"]),
                line["userId"] or None,
                line["level"],
                match and match[0],
                match and match[2],
                session,
                line["location"],
                line["userAgent"],
                item,
                line["song"],
                line["artist"],
                length,
                line["file_day"],
            )
        )
    return result


def time(plays: Sequence[Row]) -> list[Row]:
    """One row per distinct start time, taken apart."""
    return [
        (
            start,
            start.hour,
            start.day,
            start.isocalendar().week,
            start.month,
            start.year,
            start.isoweekday() % 7,
        )
        for start in {row[1] for row in plays}
    ]


def difference(name: str, found: Sequence[Row], expected: Sequence[Row]) -> str:
    """Return what a table lacks and has too many; empty where it is as expected."""
    have, want = Counter(found), Counter(expected)
    if have == want:
        return ""
    columns = COLUMNS.get(name, "")
    missing, extra = list((want - have).elements()), list((have - want).elements())
    return f"{name} ({columns}):\n  missing {missing[:5]}\n  too many {extra[:5]}"


def read_tables(run: Callable[[str], list[Row]]) -> dict[str, list[Row]]:
    """Read every column of every table with `run`, which takes a SELECT."""
    return {
        name: [tuple(row) for row in run(f"SELECT {columns} FROM {name}")]
        for name, columns in COLUMNS.items()
    }


def _nulls_last(value: Any) -> tuple[bool, Any]:
    """Return a sort key: text by its UTF-8 bytes, NULL after everything."""
    return (value is None, value.encode() if isinstance(value, str) else value or 0)
