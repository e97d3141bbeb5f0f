"""COPY on DuckDB by Redshift's rules, of whole files of lines and with a look at every object."""

import datetime as dt
import gzip
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.combine import combine
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.warehouse.base import (
    CopyResult,
    CopySource,
    CopyStep,
    LoadError,
    WarehouseError,
)
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import plan_copy
from sparkify_dagster.warehouse.duckdb import copy_lines, engine
from sparkify_dagster.warehouse.duckdb.copy import batches
from sparkify_dagster.warehouse.duckdb.copy_lines import load_lines
from sparkify_dagster.warehouse.duckdb.copy_objects import load_objects
from sparkify_dagster.warehouse.duckdb.engine import DuckDBSession, DuckDBWarehouse
from sparkify_dagster_tests.support.loads import run_table, tables_of
from sparkify_dagster_tests.support.star_model import (
    COLUMNS,
    difference,
    staging_events,
    staging_songs,
)
from sparkify_dagster_tests.support.tiny_lake import (
    JSONPATHS,
    TinyLake,
    event,
    event_file,
    json_lines,
    song,
)

DAY = "2018-11-01"
EVENTS = "staging.staging_events"
SONGS = "staging.staging_songs"


_LEFT_OVERS = (
    "SELECT table_name FROM duckdb_tables() WHERE temporary "
    "UNION ALL SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal"
)


class Waiting(Exception):
    """Files of which the lines alone do not tell whether they are right."""

    def __init__(self, waiting: Sequence[copy_lines.Waiting]) -> None:
        self.names = [text.name for text, _, _ in waiting]
        self.objects = [found[1:] for _, objects, _ in waiting for found in objects]


class Loader:
    """A new lake, and one way to carry out COPY into empty staging tables.

    "lines" and "objects" are that way alone; "as_users_do" takes the second where the first waits.
    """

    def __init__(self, folder: Path, way: str) -> None:
        self.way = way
        self.source = TinyLake(folder / "lake")
        self.lake = LocalLake(str(self.source.folder))
        self.folder = folder / "work"
        self.folder.mkdir()
        self.found: list[dict[str, Any]] = []
        self.source.write_songs("A/A/A/TR1", [song()])

    def load(self, table: str = "staging_events", max_errors: int = 0) -> CopyResult:
        """Copy all files of the lake into an empty table; keep the rows in `found`."""
        connection = _connection().cursor()
        connection.execute("BEGIN")
        try:
            session = DuckDBSession(connection)
            session.execute(f"staging/{table}/create")
            return self._copy(session, table, max_errors)
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def _copy(self, session: DuckDBSession, table: str, max_errors: int) -> CopyResult:
        if table == "staging_events":
            source = CopySource(self.lake, self.lake.list_events())
        else:
            files = self.lake.list_songs()
            source = CopySource(self.lake, files, combine(self.lake, files, self.folder).parts)
        folder = f"staging/{table}"
        step = CopyStep(table, f"{folder}/landing", f"{folder}/copy", f"{folder}/insert")
        result = self._one_way(session, step, source, max_errors)
        names = COLUMNS[f"staging.{table}"].split(", ")
        rows = session.run(f"SELECT {', '.join(names)} FROM staging.{table}")
        self.found = [dict(zip(names, row, strict=True)) for row in sorted(rows, key=repr)]
        assert session.run(_LEFT_OVERS) == []
        assert result.rows == len(rows)
        return result

    def _one_way(
        self, session: DuckDBSession, step: CopyStep, source: CopySource, max_errors: int
    ) -> CopyResult:
        if self.way == "as_users_do":
            return session.copy(step, source, max_errors)
        found = Found(plan_copy(step, source, max_errors), source)
        for texts in batches(source, self.folder):
            if self.way == "objects":
                for text in texts:
                    load_objects(session, found, text, text.objects(), self.folder)
            elif waiting := load_lines(session, found, texts, self.folder):
                raise Waiting(waiting)
            for text in texts:
                found.take_end(text)
        return found.result()

    def values(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return some columns of the rows found, in order."""
        rows = [tuple(row[column] for column in columns) for row in self.found]
        return sorted(rows, key=lambda row: [(value is None, value) for value in row])

    def refused(self, max_errors: int = 0) -> LoadError:
        """Load event files that do not fit; return the error."""
        with pytest.raises(LoadError) as caught:
            self.load(max_errors=max_errors)
        return caught.value

    def refused_line(self, line: bytes) -> str:
        """Load a good line and another; return what the error says of the other."""
        content = json_lines([event()]) + b"\n" + line
        self.source.write(event_file(DAY), content)
        error = self.refused()
        assert error.count == 1
        assert {(bad.file, bad.line) for bad in error.bad_lines} == {(event_file(DAY), 2)}
        return str(error)


def _refuse(name: str) -> None:
    raise ValueError(name)


@pytest.fixture(scope="module", autouse=True)
def _close_connection() -> Iterator[None]:
    yield
    _connection().close()
    _connection.cache_clear()


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config=engine._CONFIG)
    connection.execute("CREATE SCHEMA staging")
    return connection


@pytest.fixture(params=["as_users_do", "objects"])
def loader(request: pytest.FixtureRequest, tmp_path: Path) -> Loader:
    return Loader(tmp_path, request.param)


def raw_event(**fields: str) -> bytes:
    """Return an event's line with some values given as JSON text."""
    values = {key: json.dumps(value) for key, value in event().items()} | fields
    return ("{" + ", ".join(f'"{key}": {text}' for key, text in values.items()) + "}").encode()


# --- where values come from


def test_jsonpaths_go_by_position(loader: Loader) -> None:
    keys = list(JSONPATHS)
    artist, song_at = keys.index("artist"), keys.index("song")
    keys[artist], keys[song_at] = "song", "artist"
    loader.source.write_jsonpaths([f"$.{key}" for key in keys])
    loader.source.write_events(DAY, [event(artist="the artist", song="the song")])
    loader.load()
    assert loader.values("artist", "song") == [("the song", "the artist")]


@pytest.mark.parametrize(
    "path",
    ["$.user.tags[1].level", "$['user']['tags'][1]['level']", '$["user"]["tags"][1]["level"]'],
)
def test_jsonpaths_reach_into_objects_and_lists(loader: Loader, path: str) -> None:
    paths = [f"$.{key}" for key in JSONPATHS]
    paths[JSONPATHS.index("level")] = path
    loader.source.write_jsonpaths(paths)
    nested = event(user={"tags": [{}, {"level": "paid"}]})
    del nested["level"]
    elsewhere = event(user={}, sessionId=2)  # no list at all: NULL
    unknown = event(user={"tags": None}, sessionId=3)
    loader.source.write_events(DAY, [nested, elsewhere, unknown])
    loader.load()
    assert loader.values("session_id", "level") == [(1, "paid"), (2, None), (3, None)]

    short = event(user={"tags": [{}]})
    no_list = event(user={"tags": {"1": {"level": "paid"}}})
    loader.source.write_events(DAY, [nested, short, no_list])
    error = loader.refused()
    assert [(bad.line, bad.column, bad.reason) for bad in error.bad_lines] == [
        (2, "level", "not an array or index out of range"),
        (3, "level", "not an array or index out of range"),
    ]


@pytest.mark.parametrize("key", ['a"b', "a/b~1", "it's", "file_index"])
def test_keys_however_they_are_written(tmp_path: Path, key: str) -> None:
    loader = Loader(tmp_path, "as_users_do" if key == "file_index" else "lines")
    quote = '"' if "'" in key else "'"
    paths = [f"$.{each}" for each in JSONPATHS]
    paths[JSONPATHS.index("song")] = f"$[{quote}{key}{quote}]"
    loader.source.write_jsonpaths(paths)
    line = event()
    line[key] = line.pop("song") + ": [x]"
    loader.source.write_events(DAY, [line, line])
    loader.load()
    assert [row["song"] for row in loader.found] == [line[key]] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"jsonpath": []}', "is no JSONPaths file"),
        ("[]", "is no JSONPaths file"),
        ('{"jsonpaths": "$.artist"}', "is no JSONPaths file"),
        ('{"jsonpaths": [1]}', "is no JSONPaths file"),
        ("not json", "is no JSONPaths file"),
        ('{"jsonpaths": ["$.artist"]}', "1 JSONPaths for 18 columns"),
        (json.dumps({"jsonpaths": ["$.*"] * 18}), "no JSONPath that Redshift takes"),
        (json.dumps({"jsonpaths": ["artist"] * 18}), "no JSONPath that Redshift takes"),
    ],
)
def test_jsonpaths_file_that_is_none_is_an_error(
    loader: Loader, content: str, message: str
) -> None:
    (loader.source.folder / "log_json_path.json").write_text(content)
    loader.source.write_events(DAY, [event()])
    with pytest.raises((LakeError, WarehouseError), match=re.escape(message)):
        loader.load()


def test_auto_matches_keys_in_their_exact_case(loader: Loader) -> None:
    other_case = song(song_id="S2")
    other_case["Title"] = other_case.pop("title")
    loader.source.write_songs("A/A/A/TR2", [other_case])
    result = loader.load("staging_songs")
    assert loader.values("song_id", "title") == [("S1", "T1"), ("S2", None)]
    assert result.unknown_keys == {"Title"}


# --- what values become


def test_plain_lines_give_what_python_reads(loader: Loader) -> None:
    lines = [
        event(),
        event(artist=None, song=None, length=None, page="Home", userId="", firstName=None),
        event(ts=1541105830796, length=231.52281, song='say "hi" \\ \u0019 \u00e9\u4e16\U0001f600'),
        event(ts=0, registration=-1.5e-7, sessionId=2**62, itemInSession=-(2**31), status=None),
        event(length=1e22, location=" outer blanks ", userAgent=""),
        event(ts=253402300799999, length=0.1 + 0.2),
        event(ts=-62135596800000, length=5e-324),
    ]
    loader.source.write_events(DAY, lines)
    loader.source.write_songs("A/A/A/TR2", [song(song_id="S2", title="nan", artist_latitude=-0.5)])
    for name, prefix, model in (
        (EVENTS, "log_data/", staging_events),
        (SONGS, "song_data/", staging_songs),
    ):
        loader.load(name.removeprefix("staging."))
        files = {
            file: content
            for file, content in loader.source.files.items()
            if file.startswith(prefix)
        }
        found = [tuple(row.values()) for row in loader.found]
        assert not difference(name, found, model(files))


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("artist", "112", "112"),
        ("artist", "4.6", "4.6"),
        ("artist", "true", "true"),
        ("artist", '"NaN"', "NaN"),
        ("artist", '"[list]"', "[list]"),
        ("artist", '"{}"', "{}"),
        ("artist", '""', ""),
        ("artist", "null", None),
        ("artist", '"null"', "null"),
        ("length", '"231.5"', 231.5),
        ("length", '"+2.5e2"', 250.0),
        ("length", "7", 7.0),
        ("length", "0", 0.0),
        ("length", '""', None),
        ("length", '"  "', None),
        ("status", '"404"', 404),
        ("status", '""', None),
        ("status", "-0", 0),
        ("itemInSession", '"007"', 7),
        ("ts", '"1541105830796"', dt.datetime(2018, 11, 1, 20, 57, 10, 796000)),
    ],
)
def test_values_that_fit_another_type(
    loader: Loader, column: str, text: str, expected: object
) -> None:
    loader.source.write(event_file(DAY), raw_event(**{column: text}))
    loader.load()
    names = {"itemInSession": "item_in_session"}
    assert loader.values(names.get(column, column)) == [(expected,)]


@pytest.mark.parametrize(
    ("column", "number"),
    [
        *product(
            ["artist", "song", "location", "userId"],
            ["1e23", "1e-7", "1.10", "-5", "12345678901234567890123", "1E5", "100.0", "-0.0"],
        ),
        ("level", "1e16"),  # with all its digits, longer than the column
    ],
)
def test_numbers_in_text_read_the_same_both_ways(tmp_path: Path, column: str, number: str) -> None:
    rows = []
    for way in ("as_users_do", "objects"):
        loader = Loader(tmp_path / way, way)
        loader.source.write(event_file(DAY), raw_event(**{column: number}))
        loader.load()
        rows.append(loader.found)
    assert rows[0] == rows[1]
    text = next(
        value for key, value in rows[0][0].items() if key.replace("_", "") == column.lower()
    )
    assert float(text) == float(number)


def test_text_is_measured_in_bytes(loader: Loader) -> None:
    loader.source.write_events(DAY, [event(artist="é" * 128, level="x" * 16)])
    loader.load()
    assert loader.values("artist") == [("é" * 128,)]
    line = json_lines([event(artist="é" * 128 + "x", level="世" * 6)])
    message = loader.refused_line(line)
    assert "column artist: text longer than the column's 256 bytes" in message
    assert "column level: text longer than the column's 16 bytes" in message


@pytest.mark.parametrize(
    ("key", "text", "place"),
    [
        ("status", '"many"', "column status: whole number expected (value 'many')"),
        ("status", "1.7", "column status: whole number expected (value '1.7')"),
        ("status", "200.0", "column status: whole number expected (value '200.0')"),
        ("status", "1e3", "column status: whole number expected (value '1e3')"),
        ("ts", "1e12", "column ts: milliseconds since 1970 expected (value '1e12')"),
        ("ts", "1.50E+1", "column ts: milliseconds since 1970 expected (value '1.50E+1')"),
        ("sessionId", "9" * 400, f"number too large for BIGINT (value '{'9' * 100}')"),
        ("status", "true", "column status: whole number expected (value 'true')"),
        ("status", '"0x10"', "column status: whole number expected"),
        ("status", '"1_000"', "column status: whole number expected"),
        ("status", "{}", "column status: whole number expected"),
        ("status", "[200]", "column status: whole number expected"),
        ("status", "2147483648", "column status: number too large for INT"),
        ("sessionId", "9223372036854775808", "column session_id: number too large for BIGINT"),
        ("sessionId", "null", "column session_id: a value is required"),
        ("sessionId", '""', "column session_id: a value is required"),
        ("length", '"long"', "column length: number expected (value 'long')"),
        ("length", "true", "column length: number expected (value 'true')"),
        ("length", "false", "column length: number expected"),
        ("length", "{}", "column length: number expected"),
        ("length", "[1.5]", "column length: number expected"),
        ("length", '"nan"', "column length: number expected"),
        ("length", '"inf"', "column length: number expected"),
        ("length", '"1_000.5"', "column length: number expected"),
        ("length", "1e400", "column length: number too large (value '1e400')"),
        ("length", '"-1e400"', "column length: number too large"),
        ("ts", '"2018-11-01 20:57:10"', "column ts: milliseconds since 1970 expected"),
        ("ts", "1541105830796.5", "column ts: milliseconds since 1970 expected"),
        ("ts", "null", "column ts: a value is required"),
        ("ts", "9223372036854775807", "column ts: a moment of the years 1 to 9999 expected"),
        ("ts", "-9223372036854775", "column ts: a moment of the years 1 to 9999 expected"),
        ("ts", "253402300800000", "column ts: a moment of the years 1 to 9999 expected"),
        ("ts", "9223372036854775808", "column ts: number too large for BIGINT"),
        ("artist", '{"name": "N1"}', "column artist: text expected, not an object or list"),
        ("artist", "[]", "column artist: text expected, not an object or list"),
        ("artist", '"a\\u0000b"', "column artist: text with the character U+0000"),
        ("page", "null", "column page: a value is required"),
    ],
)
def test_value_of_the_wrong_type_is_named(loader: Loader, key: str, text: str, place: str) -> None:
    assert place in loader.refused_line(raw_event(**{key: text}))


# --- what is no JSON

GOOD = json_lines([event(sessionId=7)])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD[:50], "malformed JSON at character"),
        (GOOD[1:], "malformed JSON"),
        (GOOD[:-1], "malformed JSON at character"),
        (GOOD + b"}", "malformed JSON"),
        (GOOD[:-1] + b",}", "malformed JSON at character"),
        (GOOD[:-1] + b" , \t}", "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b"NaN"), "malformed JSON: NaN is no JSON value"),
        (GOOD.replace(b'"N1"', b"-Infinity"), "malformed JSON: -Infinity is no JSON value"),
        (GOOD.replace(b'"N1"', b"nan"), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b"'N1'"), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b'"N\t1"'), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b'"N\x011"'), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b'"N\x001"'), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b'"N\r1"'), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b'"\\ud83d"'), "malformed JSON: half of a surrogate pair"),
        (GOOD.replace(b'"N1"', b'"\\x41"'), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b'"N\xff1"'), "not UTF-8 at byte"),
        (GOOD.replace(b'"N1"', b'"\xed\xa0\xbd"'), "not UTF-8 at byte"),
        (GOOD.replace(b": 0,", b": 00,"), "malformed JSON at character"),
        (GOOD.replace(b'"N1"', b'"N1" /* note */'), "malformed JSON at character"),
        (b"[" + GOOD + b"]", "malformed JSON: an object expected"),
        (b"null", "malformed JSON: an object expected"),
        (b'"text"', "malformed JSON: an object expected"),
        (b"5", "malformed JSON: an object expected"),
        (b"plain words", "malformed JSON at character 1"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (GOOD.replace(b'"N1"', b'"' + b"x" * (4 << 20) + b'"'), "object longer than 4194304 bytes"),
        (GOOD.replace(b'"N1"', b"[" * 60_000 + b"]" * 60_000), "nested too deeply"),
        (GOOD.replace(b'"artist"', b'"song"'), "a key appears twice"),
    ],
    ids=lambda value: value[:30].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_malformed_line_is_named(loader: Loader, line: bytes, reason: str) -> None:
    content = json_lines([event()]) + b"\n" + line + b"\n" + json_lines([event(sessionId=3)])
    loader.source.write(event_file(DAY), content)
    error = loader.refused()
    assert {(bad.file, bad.line) for bad in error.bad_lines} == {(event_file(DAY), 2)}
    assert reason in str(error)
    assert len(str(error)) < 2000
    assert str(error).isprintable() or str(error).replace("\n", "").isprintable()


def test_malformed_song_is_named_as_it_is_in_its_file(loader: Loader) -> None:
    whole = json_lines([song(song_id="S9")])
    for name, content in (
        ("cut", whole[:40]),
        ("list", b"[]"),
        ("close", b"}"),
        ("comma", whole[:-1] + b",}"),
        ("headless", whole[1:]),
        ("empty", b"{}"),
        ("nan", whole.replace(b'"N1"', b"NaN")),
    ):
        loader.source.write(f"song_data/B/{name}.json", content)
    with pytest.raises(LoadError) as caught:
        loader.load("staging_songs")
    found: dict[str, set[str]] = {}
    for bad in caught.value.bad_lines:
        found.setdefault(Path(bad.file).stem, set()).add(bad.reason)
        assert "source_file" not in bad.value
    assert set(found) == {"cut", "list", "close", "comma", "headless", "empty", "nan"}
    assert found["empty"] == {"a value is required"}
    assert all(
        any("malformed" in reason for reason in reasons)
        for name, reasons in found.items()
        if name != "empty"
    )


def test_every_bad_line_of_every_file_is_found(loader: Loader) -> None:
    for day in range(1, 6):
        lines = [json_lines([event(sessionId=line)]) for line in range(10)]
        for bad in range(0, 10, 2):
            lines[bad] = raw_event(status='"x"', length="true") if bad % 4 else b"{"
        loader.source.write(event_file(f"2018-11-{day:02d}"), b"\n".join(lines))
    error = loader.refused()
    assert error.count == 25
    shown = [(bad.file, bad.line) for bad in error.bad_lines]
    assert len(shown) == 20
    assert shown == sorted(shown)
    assert shown[:2] == [(event_file(DAY), 1), (event_file(DAY), 3)]
    message = str(error)
    assert "25 line(s)" in message
    more = re.search(r"and (\d+) more", message)
    assert more is not None
    assert int(more[1]) == 25 - len(set(shown))


def test_a_line_bad_in_several_ways_counts_once(loader: Loader) -> None:
    message = loader.refused_line(raw_event(status='"x"', length='"y"', ts='"z"', page="null"))
    assert "1 line(s)" in message
    assert "more" not in message


@pytest.mark.parametrize(("max_errors", "refused"), [(0, 3), (1, 3), (2, 2), (3, 0), (100, 0)])
def test_maxerror_allows_fewer_bad_lines_a_file_than_it_says(
    loader: Loader, max_errors: int, refused: int
) -> None:
    good = [json_lines([event(sessionId=number)]) for number in range(5)]
    bad = [raw_event(status='"x"', ts='"y"'), b"{", raw_event(artist="[]")]
    loader.source.write(event_file(DAY), b"\n".join(good[:3] + bad[:2]))
    loader.source.write(event_file("2018-11-02"), b"\n".join(bad[2:] + good[3:]))
    if refused:
        assert loader.refused(max_errors).count == refused
        return
    result = loader.load(max_errors=max_errors)
    assert loader.values("session_id") == [(0,), (1,), (2,), (3,), (4,)]
    assert [(bad.file, bad.line) for bad in result.rejected] == [
        (event_file(DAY), 4),
        (event_file(DAY), 4),
        (event_file(DAY), 5),
        (event_file("2018-11-02"), 1),
    ]


@pytest.mark.parametrize("bad_count", [3, 1100])
def test_lines_that_only_their_values_refuse_leave_the_others_loaded(
    loader: Loader, bad_count: int
) -> None:
    bad = raw_event(page="null", sessionId="1")
    quoted = [raw_event(sessionId=f'"{number:03}"') for number in range(1200)]
    for day in range(1, 4):
        lines = [quoted[0], *[bad] * (bad_count * (day == 2)), *quoted[1:]]
        loader.source.write(event_file(f"2018-11-{day:02d}"), b"\n".join(lines))
    assert loader.refused(max_errors=bad_count).count == bad_count
    result = loader.load(max_errors=bad_count + 1)
    assert loader.values("session_id") == sorted([(number,) for number in range(1200)] * 3)
    assert [(bad.line, bad.column, bad.reason) for bad in result.rejected] == [
        (line, "page", "a value is required") for line in range(2, 2 + bad_count)
    ]
    assert {bad.file for bad in result.rejected} == {event_file("2018-11-02")}


# --- files


def test_carriage_return_hides_no_line_that_cannot_be_read(loader: Loader) -> None:
    """DuckDB ends a line at it, and leaves out what is not UTF-8: the count of lines was right."""
    loader.source.write(event_file(DAY), GOOD + b"\r" + GOOD + b"\n\xff{}\n" + GOOD)
    error = loader.refused()
    assert [(bad.line, bad.reason) for bad in error.bad_lines] == [(2, "not UTF-8 at byte 1")]


def test_files_however_their_lines_break(loader: Loader) -> None:
    objects = [event(sessionId=number) for number in range(3)]
    lines = [json_lines([item]) for item in objects]
    pretty = [json.dumps(item, indent=2).encode() for item in objects]
    shapes = {
        "no final newline": b"\n".join(lines),
        "final newline": b"\n".join(lines) + b"\n",
        "CRLF": b"\r\n".join(lines) + b"\r\n",
        "CR": b"\r".join(lines),
        "blank lines": b"\n\n  \n" + b"\n \t\n".join(lines) + b"\n\n\r\n ",
        "byte order mark": b"\xef\xbb\xbf" + b"\n".join(lines),
        "blanks around": b"\n".join(b" \t" + line + b" " for line in lines),
        "blanks within": b"\n".join(line[:-1] + b" }" for line in lines),
        "several a line": b" ".join(lines),
        "glued together": b"".join(lines),
        "over several lines": b"\n".join(pretty),
        "over several lines, CRLF": b"\r\n".join(pretty).replace(b"\n", b"\r\n"),
        "mixed": lines[0] + pretty[1] + b" " + lines[2] + b"\n",
    }
    days = [f"2018-12-{day:02d}" for day in range(1, len(shapes) + 1)]
    for day, content in zip(days, shapes.values(), strict=True):
        loader.source.write(event_file(day), content)
    loader.load()
    sessions: dict[str, list[int]] = {shape: [] for shape in shapes}
    for day, session in loader.values("file_day", "session_id"):
        sessions[list(shapes)[day.day - 1]].append(session)
    assert sessions == {shape: [0, 1, 2] for shape in shapes}


def test_blank_lines_are_no_reason_to_look_at_every_line(tmp_path: Path) -> None:
    loader = Loader(tmp_path, "lines")
    lines = [json_lines([event(sessionId=number)]) for number in range(4)]
    loader.source.write(event_file(DAY), b"\n\n".join(lines[:3]) + b"\n\n")
    loader.source.write(event_file("2018-11-02"), lines[3] + b"\n")
    result = loader.load()
    assert loader.values("session_id") == [(0,), (1,), (2,), (3,)]
    assert result.objects == {event_file(DAY): 3, event_file("2018-11-02"): 1}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf"])
def test_files_without_an_object_give_no_rows(loader: Loader, suffix: str, content: bytes) -> None:
    loader.source.write(event_file(DAY) + suffix, content)
    assert loader.load().rows == 0


def test_empty_file_with_a_name_of_a_compressed_one(loader: Loader) -> None:
    loader.source.write_raw(event_file(DAY, compressed=True), b"")
    assert loader.load().rows == 0


def test_compressed_files(loader: Loader) -> None:
    lines = [json_lines([event(sessionId=number)]) + b"\n" for number in range(4)]
    loader.source.write(event_file(DAY, compressed=True), b"".join(lines[:2]))
    # What `cat` makes of two compressed files.
    members = gzip.compress(lines[2]) + gzip.compress(lines[3])
    loader.source.write_raw(event_file("2018-11-02", compressed=True), members)
    loader.source.write(event_file(DAY), json_lines([event(sessionId=9)]))
    loader.load()
    first, second = dt.date(2018, 11, 1), dt.date(2018, 11, 2)
    assert loader.values("session_id", "file_day") == [
        (0, first),
        (1, first),
        (2, second),
        (3, second),
        (9, first),
    ]


def _damage(stored: bytes) -> Iterable[tuple[str, bytes]]:
    yield "cut off", stored[: len(stored) // 2]
    yield "without its checksum", stored[:-8]
    yield "wrong checksum", stored[:-8] + bytes(4) + stored[-4:]
    yield "wrong length", stored[:-4] + bytes(4)
    yield "not compressed", gzip.decompress(stored)
    yield "garbage inside", stored[:20] + bytes([stored[20] ^ 0xFF]) + stored[21:]
    yield "garbage behind", stored + b"garbage"


@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("damage", range(7))
def test_damaged_compressed_file_is_an_error(loader: Loader, damage: int, level: int) -> None:
    stored = gzip.compress(json_lines([event(sessionId=number) for number in range(50)]), level)
    name = event_file(DAY, compressed=True)
    what, damaged = list(_damage(stored))[damage]
    if level == 0 and what == "garbage inside":
        damaged = stored.replace(b'"Ada"', b'"Eva"', 1)  # still JSON: the checksum tells
    loader.source.write_events("2018-11-02", [event()])
    loader.source.write_raw(name, damaged)
    with pytest.raises((LakeError, WarehouseError), match=re.escape(name)):
        loader.load()

    loader.source.write_raw("song_data/A/TR9.json.gz", damaged)
    with pytest.raises((LakeError, WarehouseError), match="TR9"):
        loader.load("staging_songs")


def test_object_of_the_greatest_size_loads(loader: Loader) -> None:
    line = json_lines([event(extra="")])
    line = line.replace(b'"extra": ""', b'"extra": "%s"' % (b"x" * ((4 << 20) - len(line))))
    assert len(line) == 4 << 20
    loader.source.write(event_file(DAY), GOOD + b"\n" + line)
    result = loader.load()
    assert (result.rows, result.unknown_keys) == (2, {"extra"})


@pytest.mark.parametrize(
    "folder",
    [
        "with blanks",
        "it's",
        'do"uble',
        "Zürich 世界",
        "100%20sure %s",
        "br[a]cket",
        "st*r",
        "wh?t",
        "back\\slash",
        "key=value",
        "a;b--c",
        "{a,b}",
        "2018-12-24-events.json",
    ],
)
def test_lakes_in_oddly_named_folders(tmp_path: Path, folder: str) -> None:
    for neighbour in ("stXr", "whXt", "bra"):  # what a pattern would find as well
        TinyLake(tmp_path / neighbour / "lake").write_events(DAY, [event(sessionId=99)])
    # DuckDB takes a backslash for a slash; Python reads that lake.
    loader = Loader(tmp_path / folder, "as_users_do" if "\\" in folder else "lines")
    loader.source.write_events(DAY, [event(sessionId=5)])
    loader.source.write_songs("odd % 'name'/é \"x\" [1] {source_file}", [song(song_id="S5")])
    loader.load()
    assert loader.values("session_id", "file_day") == [(5, dt.date(2018, 11, 1))]
    loader.load("staging_songs")
    assert loader.values("song_id", "source_file") == [
        ("S1", "song_data/A/A/A/TR1.json"),
        ("S5", "song_data/odd % 'name'/é \"x\" [1] {source_file}.json"),
    ]


# --- keys


def test_key_missing_in_some_lines_is_null(loader: Loader) -> None:
    without = event(sessionId=2)
    del without["level"], without["length"]
    loader.source.write_events(DAY, [event(), without])
    loader.load()
    assert loader.values("level", "length") == [("free", 100.5), (None, None)]


def test_key_missing_in_all_lines_of_a_day_is_an_error(loader: Loader) -> None:
    without = [event(sessionId=number) for number in range(3)]
    for line in without:
        del line["level"]
    loader.source.write_events(DAY, [event()])
    loader.source.write_events("2018-11-02", without)
    error = loader.refused()
    assert "2018-11-02-events.json" in str(error)
    assert "key 'level' is in none of the file's 3 objects" in str(error)
    assert DAY not in str(error)


def test_songs_without_a_key_load_together_as_they_do_one_by_one(loader: Loader) -> None:
    line = song()
    del line["duration"]
    for number in range(3):
        loader.source.write_songs(f"A/A/A/TR{number}", [line | {"song_id": f"S{number}"}])
    loader.load("staging_songs")
    assert loader.values("song_id", "duration") == [("S0", None), ("S1", None), ("S2", None)]
    loader.source.write_songs("A/A/A/TR1", [line, line, line])
    with pytest.raises(LoadError, match=r"TR1\.json, line 3, column duration") as caught:
        loader.load("staging_songs")
    assert "key 'duration' is in none of the file's 3 objects" in str(caught.value)


# What a line may hold besides the columns, and what is told of it: a new case is a line.
BESIDES = [
    ('"new": 1', ""),
    ('"new": null', ""),
    ('"new": "NaN"', ""),
    ('"new": "a: [NaN, ,]"', ""),
    ('"new": {"a": [1, {"b": "x,}"}]}', ""),
    ('"Level": "x"', ""),
    ('"it\'s \\"new\\"": 1', ""),
    ('"new": NaN', "malformed JSON: NaN is no JSON value"),
    ('"new": [1, -Infinity]', "malformed JSON: -Infinity is no JSON value"),
    ('"new": [1,]', "malformed JSON at character"),
    ('"new": {"a": 1 , }', "malformed JSON at character"),
    ('"new": "\\ud83d"', "malformed JSON: half of a surrogate pair"),
    ('"new": ' + "[" * 60_000 + "]" * 60_000, "nested too deeply"),
    ('"new": 1, "new": 2', "a key appears twice"),
    ('"artist": "again"', "a key appears twice"),
]


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize(("text", "fault"), BESIDES, ids=[text[:20] for text, _ in BESIDES])
def test_what_an_object_holds_besides_the_columns(
    loader: Loader, text: str, fault: str, everywhere: bool
) -> None:
    plain, odd = raw_event(), raw_event()[:-1] + b", " + text.encode() + b"}"
    lines = [odd if everywhere else plain, plain, odd]
    loader.source.write(event_file(DAY), b"\n".join(lines))
    if fault:
        assert fault in str(loader.refused())
        return
    assert loader.load().unknown_keys == set(json.loads(odd)) - set(JSONPATHS)
    assert len(loader.found) == 3


@pytest.mark.parametrize("share", [1, 2, 20])
@pytest.mark.parametrize("change", ["new", "gone", "order", "blank", "both"])
def test_drift_is_no_reason_to_look_at_every_object(
    tmp_path: Path, change: str, share: int
) -> None:
    loader = Loader(tmp_path, "lines")
    lines = []
    for number in range(40):
        item = event(sessionId=number)
        if number % share == 0 and number:
            if change in ("new", "both"):
                item["device"] = {"kind": "phone", "tags": ["x", None]}
            if change in ("gone", "both"):
                del item["gender"]
            if change == "order":
                item = dict(reversed(item.items()))
        lines.append(json.dumps(item) + "\n" * (change == "blank" and number % share == 0))
    loader.source.write(event_file(DAY), "\n".join(lines).encode())
    result = loader.load()
    assert loader.values("session_id") == [(number,) for number in range(40)]
    assert result.unknown_keys == ({"device"} if change in ("new", "both") else set())


def test_one_bad_file_leaves_the_others_to_be_read_by_lines(tmp_path: Path) -> None:
    loader = Loader(tmp_path, "lines")
    for day in range(1, 9):
        loader.source.write_events(f"2018-11-{day:02d}", [event(), event(sessionId=2)])
    loader.source.write(event_file("2018-11-05"), GOOD + b"\n" + GOOD[:50])
    with pytest.raises(Waiting) as caught:
        loader.load()
    assert caught.value.names == [event_file("2018-11-05")]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_only_the_odd_lines_wait_for_a_look(tmp_path: Path, suffix: str) -> None:
    loader = Loader(tmp_path, "lines")
    lines = [json_lines([event(sessionId=number)]) for number in range(9)]
    odd = [b'{"page": oops}', lines[3] + b" " + lines[4], b"no object"]
    content = b"\n\n".join([odd[0], *lines[:3], odd[1], *lines[5:], odd[2]])
    loader.source.write(event_file(DAY) + suffix, content)
    with pytest.raises(Waiting) as caught:
        loader.load()
    assert caught.value.objects == [(1, odd[0]), (9, lines[3]), (9, lines[4]), (19, odd[2])]


def test_a_line_that_goes_on_has_its_whole_file_looked_at(tmp_path: Path) -> None:
    loader = Loader(tmp_path, "lines")
    lines = [json_lines([event(sessionId=number)]) for number in range(3)]
    loader.source.write(
        event_file(DAY), b"\n".join([lines[0], lines[1][:50], lines[1][50:], lines[2]])
    )
    with pytest.raises(Waiting) as caught:
        loader.load()
    assert [line for line, _ in caught.value.objects] == [1, 3, 4]


def test_unknown_key_is_reported_and_ignored(loader: Loader) -> None:
    loader.source.write_events(DAY, [event(), event(newKey=1, other={"a": [None]}, sessionId=2)])
    result = loader.load()
    assert (result.rows, result.unknown_keys) == (2, {"newKey", "other"})


def test_a_failed_load_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    source = TinyLake(tmp_path / "lake")
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", 10)
    lake = LocalLake(str(source.folder))
    source.write_events(DAY, [event()])
    source.write_events("2018-11-02", [event(sessionId=2)])
    run_table(warehouse, lake, "staging_events")
    before = tables_of(warehouse)
    source.write_events(DAY, [event(level="paid")])
    source.write(event_file("2018-11-02"), raw_event(status='"x"'))
    with pytest.raises(LoadError):
        run_table(warehouse, lake, "staging_events")
    assert tables_of(warehouse) == before
    source.write_events("2018-11-02", [event(sessionId=3)])
    run_table(warehouse, lake, "staging_events")
    assert len(tables_of(warehouse)[EVENTS]) == 2


# --- both ways agree

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", " ", "nan", "-inf", "[x", "{", "1_000", "0x1", "1e3", "é" * 130, "\x19"]),
)
NUMBERS = st.one_of(
    st.integers(-(2**65), 2**65),
    st.integers(-5, 5),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(1541000000000, 1542000000000),
)
VALUES = st.one_of(
    NUMBERS,
    TEXTS,
    NUMBERS.map(str),
    st.none(),
    st.booleans(),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.none(), max_size=1),
)


@st.composite
def line_texts(draw: st.DrawFn) -> bytes:
    """Draw an event whose values are replaced, and at times its text spoiled."""
    changes = draw(st.dictionaries(st.sampled_from(JSONPATHS), VALUES, max_size=2))
    line = event(sessionId=draw(st.integers(1, 9))) | changes
    if draw(st.integers(0, 9)) == 0:
        del line[draw(st.sampled_from(JSONPATHS))]
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", " :\n")]))
    ascii_only = draw(st.booleans())
    text = json.dumps(line, ensure_ascii=ascii_only, separators=separators)
    encoded = text.encode("utf-8", "surrogatepass")
    spoil = draw(st.sampled_from(["no"] * 12 + ["cut", "comma", "byte", "twice", "blank"]))
    at = draw(st.integers(0, len(encoded) - 1))
    match spoil:
        case "cut":
            return encoded[:at]
        case "comma":
            return encoded[:-1] + b",}"
        case "byte":
            return encoded[:at] + draw(st.binary(min_size=1, max_size=2)) + encoded[at + 1 :]
        case "twice":
            return encoded + encoded
        case "blank":
            return b" \t" + encoded + b" \r"
    return encoded


@settings(
    max_examples=80,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(lines=st.lists(line_texts(), min_size=1, max_size=5), max_errors=st.sampled_from([0, 3]))
def test_what_is_accepted_by_lines_is_read_alike_by_objects(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], max_errors: int
) -> None:
    folder = tmp_path_factory.mktemp("ways")
    content = b"\n".join(lines)
    results: dict[str, object] = {}
    for way in ("lines", "objects", "as_users_do"):
        loader = Loader(folder / way, way)
        loader.source.write(event_file(DAY), content)
        try:
            result = loader.load(max_errors=max_errors)
            results[way] = (loader.found, result.rejected, result.unknown_keys)
        except Waiting:
            continue
        except LoadError as error:
            results[way] = str(error)
    assert results["as_users_do"] == results.get("lines", results["objects"]) == results["objects"]
    if isinstance(results["objects"], tuple) and not results["objects"][1]:
        _assert_python_reads_the_same(content, results["objects"][0])


# JSON texts of values that the two ways might read differently.
RAW_VALUES = st.sampled_from(
    r"""1.50|1e5|12345678901234567890|-0|-0.0|1e16|1e400|200.0|2147483648|253402300800000|null|true
    |"007"|"+7"|" 7 "|""|"1_0"|"1541105830796"|"nan"|NaN|-Infinity|{}|[]|[1,]|{"a":1}|[[{}]]
    |"a: [b]"|"c: {"|"d: Infinity"|"\u00e9"|"\u0000"|"u0000"|"\ud83d\ude00"|"\ud83d"|"x"
    """.replace("\n    ", "").split("|")
)
ODD_KEYS = st.sampled_from([*JSONPATHS, "Level", "new", "\\u006cevel", "a\\u0000b", "it's", ""])


@st.composite
def written_lines(draw: st.DrawFn) -> bytes:
    """Draw an event, mostly with values or keys as no serializer writes them."""
    values = {key: json.dumps(value) for key, value in event().items()}
    values |= draw(st.dictionaries(st.sampled_from(JSONPATHS), RAW_VALUES, max_size=1))
    pairs = list(values.items())
    if draw(st.integers(0, 3)) == 0:
        pairs += draw(st.lists(st.tuples(ODD_KEYS, RAW_VALUES), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        pairs = draw(st.permutations(pairs))[draw(st.integers(0, 1)) :]
    return ("{" + ", ".join(f'"{key}": {text}' for key, text in pairs) + "}").encode()


@st.composite
def event_files(draw: st.DrawFn) -> bytes:
    """Draw a file, more often than not one that is right but for a line or two."""
    plain = st.integers(1, 9).map(lambda number: json_lines([event(sessionId=number)]))
    lines = draw(st.lists(st.one_of(plain, plain, written_lines(), line_texts()), max_size=6))
    end = draw(st.sampled_from([b"\n"] * 9 + [b"\r\n", b"\n\n", b"\r", b"\n \t\n"]))
    start = draw(st.sampled_from([b""] * 9 + [b"\xef\xbb\xbf", b"\n"]))
    return start + end.join(lines) + draw(st.sampled_from([b"", end, b"\n"]))


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    contents=st.lists(event_files(), min_size=1, max_size=4),
    suffix=st.sampled_from(["", "", "", ".gz"]),
    max_errors=st.sampled_from([0, 2, 9]),
)
def test_files_read_together_are_read_alike_by_objects(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], suffix: str, max_errors: int
) -> None:
    folder = tmp_path_factory.mktemp("[files]*'")
    results = []
    for way in ("as_users_do", "objects"):
        loader = Loader(folder / way, way)
        for day, content in enumerate(contents, 1):
            loader.source.write(event_file(f"2018-11-{day:02d}") + suffix, content)
        try:
            result = loader.load(max_errors=max_errors)
            results.append((loader.found, result.rejected, result.unknown_keys, result.objects))
        except LoadError as error:
            results.append((str(error), error.count))
    assert results[0] == results[1]


def _assert_python_reads_the_same(content: bytes, rows: list[dict[str, Any]]) -> None:
    """What was accepted is what Python's own decoder reads, by the columns that take any text."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    text, position, objects = content.decode(), 0, []
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        found, position = decoder.raw_decode(text, position)
        objects.append(found)
    for key, column in (("song", "song"), ("userAgent", "user_agent"), ("firstName", "first_name")):
        expected = sorted(
            str(item.get(key)) for item in objects if not isinstance(item.get(key), float | bool)
        )
        floats = sum(isinstance(item.get(key), float | bool) for item in objects)
        found_texts = sorted(str(row[column]) for row in rows)
        for value in expected:
            assert value in found_texts, (key, value, found_texts)
            found_texts.remove(value)
        assert len(found_texts) == floats
    lengths = sorted(float(item["length"]) for item in objects if _is_number(item.get("length")))
    assert lengths == sorted(row["length"] for row in rows if row["length"] is not None)


def _is_number(value: object) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return False
    return math.isfinite(float(value))  # type: ignore[arg-type]


def test_combined_parts_hold_every_object_once(tmp_path: Path) -> None:
    source = TinyLake(tmp_path / "lake")
    for number in range(30):
        source.write_songs(f"A/TR{number:02d}", [song(song_id=f"S{number}")] * (number % 3))
    lake = LocalLake(str(source.folder))
    combined = combine(lake, lake.list_songs(), tmp_path, part_bytes=1000)
    assert len(combined.parts) > 3
    found = [
        (origin, json.loads(line)["song_id"])
        for part in combined.parts
        for origin, line in zip(part.origins, part.path.read_bytes().splitlines(), strict=True)
    ]
    assert found == [
        ((f"song_data/A/TR{number:02d}.json", line + 1), f"S{number}")
        for number in range(30)
        for line in range(number % 3)
    ]
