"""Hostile lakes, settings and files as data: the next case is a line."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sparkify_dagster_tests.support.tiny_lake import event, event_file, json_lines, song

DAY = "2018-11-01"
# What every lake here holds besides: one day of two events, and three songs.
BASE = {
    event_file(DAY): json_lines([event(itemInSession=0), event(itemInSession=1)]),
    **{
        f"song_data/A/A/{letter}/TR{letter}.json": json_lines([song(song_id=f"S{letter}")])
        for letter in "ABC"
    },
}
OTHER_DAY = json_lines([event(sessionId=9)])
OTHER_SONG = json_lines([song(song_id="S9")])
FORGED = "song_data/A/A/A/TR\n12:00 all is well\x1b[2J.json"


@dataclass(frozen=True)
class HostileLake:
    """Files put beside those of BASE, and what has to come of them."""

    name: str
    files: dict[str, bytes]
    events: int | str = 2  # rows, or what the error says
    songs: int | str = 3
    left_out: list[str] = field(default_factory=list)  # names that a warning lists


def _left_out(name: str, content: bytes = OTHER_DAY) -> HostileLake:
    return HostileLake(f"left out: {name}", {name: content}, left_out=[name])


def _odd_name(name: str) -> HostileLake:
    return HostileLake(f"odd name: {name!r}", {name: OTHER_SONG}, songs=4)


def _text(what: str, text: str) -> HostileLake:
    files = {
        event_file("2018-11-02"): json_lines([event(sessionId=9, song=text, artist=text)]),
        "song_data/A/A/D/TRD.json": json_lines([song(song_id="SD", title=text)]),
    }
    return HostileLake(f"text: {what}", files, events=3, songs=4)


LAKES = [
    HostileLake("nothing hostile", {}),
    HostileLake(
        "an editor's copy",
        {"song_data/A/A/A/.ipynb_checkpoints/TRA-checkpoint.json": json_lines([song(title="X")])},
    ),
    HostileLake("a Mac's half file", {"song_data/A/A/A/._TRA.json": b"\0\5\26\7\0\2Mac OS X"}),
    HostileLake("a hidden folder of days", {f"log_data/.old/{event_file(DAY)}": OTHER_DAY}),
    HostileLake("a hidden year", {"log_data/.2018/11/2018-11-02-events.json": OTHER_DAY}),
    HostileLake("what Spark leaves", {"log_data/_SUCCESS": b"", "log_data/2018/README.txt": b"x"}),
    _left_out("log_data/2018/02/2018-02-30-events.json"),
    _left_out("log_data/2018/11/2018-11-02-events.jsonl"),
    _left_out("log_data/2018/11/2018-11-02-events.json.GZ"),
    _left_out("log_data/2018/11/2018-11-02-events (1).json"),
    _left_out("log_data/2018/11/Copy of 2018-11-02-events.json"),
    _left_out("log_data/2018-11-02-events.json"),
    _left_out("log_data/2018/11/02/2018-11-02-events.json"),
    _left_out("log_data/2018/11/2018-11-02.json"),
    _left_out("log_data/2018/11/2018-11-02-events.json.zst"),
    _left_out("log_data/2018/11/\u0662\u0660\u0661\u0668-11-02-events.json"),
    _left_out("song_data/A/A/A/TRA.jsonl", OTHER_SONG),
    _left_out("song_data/A/A/A/TRA.JSON", OTHER_SONG),
    _left_out("song_data/A/A/A/TRA.json.bak", OTHER_SONG),
    _odd_name("song_data/A/A/A/TR 'x' \"y\".json"),
    _odd_name("song_data/A/A/A/TR*?[a-z]{1}.json"),
    _odd_name("song_data/A/A/A/TR%41+&=;#@!.json"),
    _odd_name("song_data/json=5/A/TR|x|.json"),
    _odd_name("song_data/A/A/A/TR$HOME `id` \\.json"),
    _odd_name("song_data/Å/\u202egnos/TRé.json"),
    _odd_name(FORGED),
    HostileLake(
        "a forged name of a malformed file",
        {FORGED: b'{"song_id": '},
        songs=r"TR\\n12:00 all is well\\x1b\[2J\.json, line 1.*malformed",
    ),
    _text("a picture", "![x](http://127.0.0.1:9/x.png)"),
    _text("a script", "<script>alert(1)</script><img src=http://127.0.0.1:9/x>"),
    _text("cells", "a\\|b|c\\\\|"),
    _text("a formula", "=cmd|' /C calc'!A0"),
    _text("escapes of a terminal", "\x1b[2J\x1b]0;title\x07 \x9b31m \u202e"),
    _text("SQL", "'; DROP TABLE analytics.users; --"),
    _text("a placeholder", ":run_id $run_id %s {0}"),
    HostileLake("a day without a line", {event_file("2018-11-02"): b""}),
    HostileLake("a day of blank lines", {event_file("2018-11-02"): b"\n \r\n\t\n"}),
    HostileLake("a byte order mark", {event_file("2018-11-02"): b"\xef\xbb\xbf" + OTHER_DAY}, 3),
    HostileLake(
        "a file cut off",
        {event_file("2018-11-02"): OTHER_DAY[:-20]},
        events=r"2018-11-02-events\.json, line 1: .*",
    ),
    HostileLake(
        "an event of the year 9999",
        {event_file("2018-11-02"): json_lines([event(sessionId=9, ts=253370764800000)])},
        events=3,
    ),
    HostileLake(
        "seconds for milliseconds",
        {event_file("2018-11-02"): json_lines([event(sessionId=9, ts=1541105830)])},
        events=3,
    ),
]

# Values of an event, by key, as JSON text, and whole lines, of which every one is hostile.
EVENT_VALUES: list[tuple[str, str]] = [
    (key, text)
    for key, texts in {
        "status": ("1.7", "1e3", '"many"', "true", '"0x10"', '"1_000"', "{}", "[200]", "2147483648",
                   '"007"', '" 7 "', '""', "null", "-0"),
        "sessionId": ("9223372036854775808", "null", '""', "9" * 400),
        "length": ('"long"', "true", "[1.5]", '"nan"', '"inf"', "1e400", '"1_000.5"', '"+2.5e2"',
                   '"  "', "7", "1e-7"),
        "ts": ('"2018-11-01 20:57:10"', "1541105830796.5", "null", "1e12", "9223372036854775808",
               '"1541105830796"', "-1"),
        "artist": ("112", "true", '{"name": "N1"}', "[]", '"a\\u0000b"', '"{}"', '"null"', "null",
                   json.dumps("\u00e9" * 128), json.dumps("\u00e9" * 129), '"\\ud83d"', '"a\\tb"'),
        "page": ("null", '""', '"' + "x" * 300 + '"'),
    }.items()
    for text in texts
]  # fmt: skip
EVENT_LINES: list[bytes] = [
    b"plain words",
    b"null",
    b'"text"',
    b"[]",
    b"{",
    b'{"sessionId": 5',
    b"\xff\xfe{\x00}\x00",
    b" \t",
    json_lines([event(sessionId=6)])[:-1],
    json_lines([event(sessionId=6)]) + b"}",
    json_lines([event(sessionId=6)])[:-1] + b",}",
    json_lines([event(sessionId=6)]).replace(b'"N1"', b"NaN"),
    json_lines([event(sessionId=6)]).replace(b'"N1"', b"'N1'"),
    json_lines([event(sessionId=6)]).replace(b'"N1"', b'"N\t1"'),
    json_lines([event(sessionId=6)]).replace(b'"N1"', b'"N\xff1"'),
    json_lines([event(sessionId=6)]).replace(b'"artist"', b'"song"'),
    *(
        json_lines([event(sessionId=7)]).replace(
            f'"{key}": {json.dumps(event(sessionId=7)[key])}'.encode(), f'"{key}": {text}'.encode()
        )
        for key, text in EVENT_VALUES
    ),
]

# name, variables, what the one line of the error says
SETTINGS: list[tuple[str, dict[str, str], str]] = [
    ("a slip", {"SPARKIFY_LAK": "x"}, r"SPARKIFY_LAK: is no setting; did you mean SPARKIFY_LAKE\?"),
    ("another", {"SPARKIFY_DUCKDB": "x"}, r"did you mean SPARKIFY_DUCKDB_PATH\?"),
    ("small letters", {"sparkify_lake": "x"}, r"sparkify_lake: .*did you mean SPARKIFY_LAKE\?"),
    ("in memory", {"SPARKIFY_DUCKDB_PATH": ":memory:"}, r"DUCKDB_PATH=':memory:': allowed is the"),
    (
        "another's cloud",
        {"SPARKIFY_DUCKDB_PATH": "md:x"},
        r"'md:x': allowed is the path of a local",
    ),
    ("another engine", {"SPARKIFY_DUCKDB_PATH": "sqlite:x.db"}, r"'sqlite:x\.db': allowed is"),
    ("a bucket", {"SPARKIFY_DUCKDB_PATH": "s3://b/x.duckdb"}, r"'s3://b/x\.duckdb': allowed is"),
    ("a web address", {"SPARKIFY_DUCKDB_PATH": "https://x/y"}, r"'https://x/y': allowed is"),
    ("parameters", {"SPARKIFY_DUCKDB_PATH": "x.duckdb?a=b"}, r"'x\.duckdb\?a=b': allowed .*'\?'"),
    (
        "400 digits",
        {"SPARKIFY_LOCK_TIMEOUT": "9" * 400},
        r"='9{40}\.\.\.': allowed is a whole number",
    ),
    ("5,000 digits", {"SPARKIFY_COPY_MAX_ERRORS": "1" * 5000}, r"1\.\.\.': allowed is a whole"),
    ("other digits", {"SPARKIFY_LOCK_TIMEOUT": "٣"}, r"='٣': allowed is a whole number"),
    ("more than all", {"SPARKIFY_REMOVAL_LIMIT_PERCENT": "101"}, r"'101': allowed .* 0 to 100"),
    (
        "a webhook with a password",
        {"SPARKIFY_ALERT_WEBHOOK": "https://user:hunter2@hooks.example/x"},
        r"SPARKIFY_ALERT_WEBHOOK \(its value is a secret and not shown\): .*without user",
    ),
]

# The same of what says where Redshift is.
REDSHIFT = {
    "SPARKIFY_LAKE": "s3://bucket/lake",
    "SPARKIFY_MANIFEST_PREFIX": "s3://bucket/manifests",
    "REDSHIFT_HOST": "host.example",
    "REDSHIFT_DATABASE": "dev",
    "REDSHIFT_USER": "dagster",
    "REDSHIFT_PASSWORD": "hunter2",
}
REDSHIFT_SETTINGS: list[tuple[str, dict[str, str], str]] = [
    (f"{name}={value!r}", REDSHIFT | {name: value}, rf"^SPARKIFY_TARGET=redshift .*{name}={shown}")
    for name, value, shown in (
        ("REDSHIFT_HOST", "https://host.example", "'https://host.example': allowed is a host"),
        ("REDSHIFT_HOST", "host.example ", "'host.example ': allowed is a host"),
        ("REDSHIFT_HOST", '"host.example"', "'\"host.example\"': allowed is a host"),
        ("REDSHIFT_HOST", "host.example:5439", "'host.example:5439': .* without .*port"),
        ("REDSHIFT_HOST", "host.example/dev", "'host.example/dev': allowed is a host"),
        ("REDSHIFT_DATABASE", "dev; DROP TABLE x", "'dev; DROP TABLE x': allowed is a name"),
        ("REDSHIFT_DATABASE", "'dev'", "\"'dev'\": allowed is a name"),
        ("REDSHIFT_USER", "dag;ster", "'dag;ster': allowed is a name"),
        ("REDSHIFT_USER", "dagster\n", r"'dagster\\n': allowed is a name"),
    )
]

# name, content of .env, what the one line of the error says
ENV_FILES: list[tuple[str, bytes, str]] = [
    (
        "a quote left open",
        b'A=1\nSPARKIFY_LAKE="/lake\nB=2\n',
        r"\.env: line 2 cannot be read; is a",
    ),
    ("Latin-1", "A=1\nB=caf\u00e9\n".encode("latin-1"), r"\.env: line 2 is not UTF-8"),
    ("UTF-16", "A=1\n".encode("utf-16"), r"\.env: line 1 is not UTF-8"),
    ("a byte order mark", b"\xef\xbb\xbfSPARKIFY_LAKE=/lake\n", r"\.env: begins with a byte order"),
    ("a slip", b"SPARKIFY_LAKEE=/lake\n", r"SPARKIFY_LAKEE: is no setting; did you mean"),
]


def _sqlite(path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a INT)")
    connection.commit()
    connection.close()


def _damaged(start: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import duckdb

        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE TABLE t AS SELECT range AS a FROM range(1000)")
        content = bytearray(path.read_bytes())
        content[start : start + 100] = b"x" * 100
        path.write_bytes(content)

    return make


# name, what makes it, what the one line of the error says
WAREHOUSES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a folder", Path.mkdir, r"cannot be opened: .*[Ii]s a directory"),
    ("a text", lambda path: path.write_text("hello\n" * 5000), r"cannot be opened: .*not a valid"),
    ("another engine's file", _sqlite, r"cannot be opened: "),
    ("a damaged head", _damaged(4), r"cannot be opened: .*remove and run: the lake has everything"),
]

# What would be a way out of the tables, and what the error says.
QUERIES: list[tuple[str, str]] = [
    ("SELECT * FROM read_text('/etc/passwd')", "Cannot access file"),
    ("SELECT * FROM read_csv('/etc/passwd')", "Cannot access file"),
    ("SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')", "Cannot access file"),
    ("SELECT * FROM glob('/etc/*')", "Glob"),
    ("SELECT * FROM '/etc/passwd'", "parse|does not exist|xpect"),
    ("SELECT getenv('HOME')", "getenv does not exist"),
    ("SELECT * FROM duckdb_secrets()", "Cannot access"),
    ("ATTACH '/tmp/x.db'", "line 1, column 18"),
    ("INSTALL httpfs", "INSTALL is refused"),
    ("LOAD httpfs", "LOAD is refused"),
    ("PRAGMA database_list", "PRAGMA is refused"),
    ("SET enable_external_access = true", "SET is refused"),
    ("COPY users TO '/tmp/x'", "COPY is refused"),
    ("SHOW TABLES; DROP TABLE users", "statements given|refused"),
    ("SELECT repeat('x', 100000000000)", "Memory|memory|too large|Out of Range|allocate|exceeds"),
    ("(" * 5000, "nested too deeply"),
]

# A text, and how markdown has to be written to show it.
MARKS = [
    "![x](http://127.0.0.1:9/x.png)",
    "[a](javascript:alert(1))",
    "<script>alert(1)</script>",
    "<img src=http://127.0.0.1:9/x>",
    "a\\|b|c",
    "a\\\\|b",
    "`code` ``` **bold** __bold__ _x_ ~~gone~~",
    "&lt;b&gt; &#60; &copy;",
    "snake_case_name",
    "http://127.0.0.1:9/x>|www.x.example&lt;WWW.x|_a@b.example_ ftp://x<",
    "a\nb\r\nc\u2028d",
    json.dumps({"a": [1]}),
]
