"""What hostile lakes, settings, files and queries come to."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from html import unescape
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.assets.lake import sample_end
from sparkify_dagster.cli import main
from sparkify_dagster.lake.base import LOG_PREFIX, SONG_PREFIX, Lake, LakeError, SourceFile
from sparkify_dagster.lake.combine import combine
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.settings import SettingError, load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.text import code_block, markdown, markdown_table
from sparkify_dagster.warehouse.base import CopySource, CopyStep, Session, Warehouse, WarehouseError
from sparkify_dagster.warehouse.duckdb import copy, engine
from sparkify_dagster.warehouse.duckdb.engine import DuckDBSession, DuckDBWarehouse
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster_tests.support import hostile_cases as cases
from sparkify_dagster_tests.support.hostile_cases import BASE, DAY, HostileLake
from sparkify_dagster_tests.support.loads import load_all, rows_of, run_table
from sparkify_dagster_tests.support.redshift_stage import Stage, change, s3_url, stage
from sparkify_dagster_tests.support.redshift_stage import events as events_step
from sparkify_dagster_tests.support.redshift_stage import songs as songs_step
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, event_file, json_lines, song

__all__ = ["s3_url", "stage"]  # fixtures

STAGING = ("staging_events", "staging_songs")
MANY = 1000  # bad lines that a load may leave out


@pytest.fixture
def source(tmp_path: Path) -> TinyLake:
    return lake_of(tmp_path / "lake", BASE)


def lake_of(folder: Path, files: dict[str, bytes]) -> TinyLake:
    source = TinyLake(folder)
    for name, content in files.items():
        source.write_raw(name, content)
    return source


def outcome(load: Callable[[], object], rows: Callable[[], list[Any]]) -> list[Any] | str:
    """Return the rows that a load gives, or what its error says."""
    try:
        load()
    except (LakeError, WarehouseError) as error:
        return str(error)
    return rows()


def on_duckdb(warehouse: DuckDBWarehouse, path: Path, source: TinyLake, table: str) -> Any:
    lake = LocalLake(str(source.folder))
    return outcome(
        lambda: run_table(warehouse, lake, table), lambda: rows_of(path, f"staging.{table}")
    )


def check_outcome(found: list[Any] | int | str, expected: int | str) -> None:
    if isinstance(expected, int):
        assert (len(found) if isinstance(found, list) else found) == expected
    else:
        assert isinstance(found, str)
        assert re.search(expected, found, re.DOTALL), found
        assert found.replace("\n", "").isprintable()


@pytest.fixture(scope="module")
def memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of nothing but the staging tables: to make all takes most of a small load."""
    with duckdb.connect(config=engine._CONFIG) as connection:
        connection.execute("CREATE SCHEMA staging")
        yield connection


def copied(memory: duckdb.DuckDBPyConnection, lake: LocalLake, folder: Path, table: str) -> int:
    """Copy all files into an empty table; return the number of rows.

    Raises:
        LakeError, WarehouseError: as a load does.
    """
    with memory.cursor() as connection:
        connection.execute("BEGIN")
        session = DuckDBSession(connection)
        session.execute(f"staging/{table}/create")
        if table == "staging_events":
            source = CopySource(lake, [lake.fingerprint(file) for file in lake.list_events()])
        else:
            files = lake.list_songs()
            source = CopySource(lake, files, combine(lake, files, folder).parts)
        place = f"staging/{table}"
        step = CopyStep(table, f"{place}/landing", f"{place}/copy", f"{place}/insert")
        try:
            return session.copy(step, source, 0).rows
        finally:
            connection.execute("ROLLBACK")


@pytest.mark.parametrize("case", cases.LAKES, ids=lambda case: case.name)
def test_hostile_lakes(
    memory: duckdb.DuckDBPyConnection, tmp_path: Path, case: HostileLake
) -> None:
    source = lake_of(tmp_path / "lake", BASE | case.files)
    lake = LocalLake(str(source.folder))
    for table, expected in zip(STAGING, (case.events, case.songs), strict=True):
        found: int | str
        try:
            found = copied(memory, lake, tmp_path, table)
        except (LakeError, WarehouseError) as error:
            found = str(error)
        check_outcome(found, expected)
    assert sorted(lake.left_out[LOG_PREFIX] + lake.left_out[SONG_PREFIX]) == case.left_out


def what_comes(
    warehouse: Warehouse, lake: Lake, table: str
) -> tuple[list[Any], set[tuple[str, int]]] | None:
    """Return the rows of a load and the lines that it leaves out, None where it fails."""
    step = events_step if table == "staging_events" else songs_step
    try:
        found = change(warehouse, step(lake, max_errors=MANY))
    except (LakeError, WarehouseError):
        return None
    rows = warehouse.read(lambda session: session.run(f"SELECT * FROM staging.{table}"), "t", "r")
    return sorted(rows, key=repr), {(bad.file, bad.line) for bad in found.rejected}


def mixed_lakes(seed: int) -> dict[str, bytes]:
    """Lay hostile lakes into one, all of them or half, each with its own day and song."""
    chosen = cases.LAKES if seed == 0 else Random(seed).sample(cases.LAKES, len(cases.LAKES) // 2)
    day, text = event_file("2018-11-02"), "song_data/A/A/D/TRD.json"
    files: dict[str, bytes] = {}
    for number, case in enumerate(chosen):
        own = {
            day: event_file(f"2019-{number // 28 + 1:02d}-{number % 28 + 1:02d}"),
            text: text.replace("TRD", f"TRD{number}"),
        }
        files |= {own.get(name, name): content for name, content in case.files.items()}
    return files


def dealt_lines(seed: int) -> dict[str, bytes]:
    """Deal all hostile lines, and as many good ones, to three days."""
    lines = [*cases.EVENT_LINES, *[cases.OTHER_DAY] * len(cases.EVENT_LINES)]
    Random(seed).shuffle(lines)
    return {event_file(f"2018-11-0{day}"): b"\n".join(lines[day::3]) for day in (2, 3, 4)}


@pytest.mark.parametrize("mix", [mixed_lakes, dealt_lines])
@pytest.mark.parametrize("seed", range(3))
def test_every_way_of_copy_comes_to_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    mix: Callable[[int], dict[str, bytes]],
    seed: int,
) -> None:
    """DuckDB's fast way, its look at every object, and, for all cases once, the Redshift double.

    The same rows, the same lines left out, the same names not taken.
    """
    files = BASE | mix(seed)
    if seed == 0:
        files.pop(cases.FORGED, None)  # moto answers 404 to a key with a line break
    source = lake_of(tmp_path / "lake", files)
    lake = LocalLake(str(source.folder))
    expected = [what_comes(DuckDBWarehouse(tmp_path / "1", 0), lake, table) for table in STAGING]
    assert None not in expected
    with monkeypatch.context() as patch:
        patch.setattr(
            copy,
            "load_lines",
            lambda _, __, texts, *___: [(one, one.objects(), None) for one in texts],
        )
        checked = DuckDBWarehouse(tmp_path / "2", 0)
        assert [what_comes(checked, lake, table) for table in STAGING] == expected
    if seed == 0:
        stage: Stage = request.getfixturevalue("stage")
        stage.bucket.put_folder(source.folder)
        redshift = stage.warehouse()
        assert [what_comes(redshift, stage.lake, table) for table in STAGING] == expected
        assert stage.lake.left_out == lake.left_out


def test_what_passed_day_by_day_passes_in_a_rebuild(source: TinyLake, tmp_path: Path) -> None:
    warehouse, lake = DuckDBWarehouse(tmp_path / "w", 0), LocalLake(str(source.folder))
    for day in (2, 3, 4):
        source.write(event_file(f"2018-11-0{day}"), b"\n".join([cases.OTHER_DAY, b"{", b"x"]))
        run_table(warehouse, lake, "staging_events", max_errors=3)
    loaded = rows_of(tmp_path / "w", "staging.staging_events")
    run_table(warehouse, lake, "staging_events", full_refresh=True, max_errors=3)
    assert rows_of(tmp_path / "w", "staging.staging_events") == loaded
    assert len(loaded) == 5


# --- only in a folder


def pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def link(target: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    return make


@pytest.mark.parametrize(
    ("name", "make", "table", "message"),
    [
        (event_file("2018-11-02"), pipe, "staging_events", "is no regular file; remove it from"),
        (event_file("2018-11-02"), link("/dev/zero"), "staging_events", "is no regular file"),
        ("song_data/A/A/A/TRX.json", pipe, "staging_songs", "is no regular file"),
        ("song_data/A/A/loop", link(".."), "staging_songs", "is a link to a folder that holds it"),
        ("log_json_path.json", pipe, "staging_events", r"log_json_path\.json: is no regular file"),
    ],
)
def test_what_would_be_waited_for_is_refused(
    source: TinyLake,
    tmp_path: Path,
    name: str,
    make: Callable[[Path], None],
    table: str,
    message: str,
) -> None:
    path = source.folder / name
    path.unlink(missing_ok=True)
    make(path)
    warehouse = tmp_path / "w.duckdb"
    found = on_duckdb(DuckDBWarehouse(warehouse, 0), warehouse, source, table)
    check_outcome(found, message)
    if table == "staging_songs":
        with pytest.raises(LakeError, match=message):
            LocalLake(str(source.folder)).list_songs_page("", 100)


def test_a_page_of_songs_leaves_out_what_is_hidden(source: TinyLake) -> None:
    source.write_raw("song_data/A/A/A/.ipynb_checkpoints/TRA-checkpoint.json", b"{}")
    source.write_raw("song_data/A/A/A/._TRA.json", b"{}")
    lake = LocalLake(str(source.folder))
    assert lake.list_songs_page("", 100).files == lake.list_songs()


@pytest.mark.parametrize("folder", ["json=5", "a b", "ö'\"", "*?[x]", "file_day=2018-01-01"])
def test_lakes_below_odd_folders(tmp_path: Path, folder: str) -> None:
    source = lake_of(tmp_path / folder / "lake", BASE)
    path = tmp_path / "w.duckdb"
    warehouse = DuckDBWarehouse(path, 0)
    found = [on_duckdb(warehouse, path, source, table) for table in STAGING]
    assert list(map(len, found)) == [2, 3]


class WrittenMeanwhile(LocalLake):
    """A lake whose day file is written again, between its hash and its reading."""

    def local_paths(self, files: Iterable[SourceFile], folder: Path) -> list[Path]:
        paths = super().local_paths(files, folder)
        self.content = paths[0].read_bytes()
        paths[0].write_bytes(self.written(self.content))
        return paths

    def written(self, content: bytes) -> bytes:
        return b""


class CutMeanwhile(WrittenMeanwhile):
    """The same, met in the midst of the writing."""

    def written(self, content: bytes) -> bytes:
        return content[:-30]


class ExchangedMeanwhile(WrittenMeanwhile):
    """A file of the same size and time put in its place."""

    def local_paths(self, files: Iterable[SourceFile], folder: Path) -> list[Path]:
        paths = LocalLake.local_paths(self, files, folder)
        self.content = paths[0].read_bytes()
        status = paths[0].stat()
        other = paths[0].with_suffix(".new")
        other.write_bytes(self.content.replace(b"Oslo", b"Rome"))
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.replace(paths[0])
        return paths


@pytest.mark.parametrize("lake_class", [WrittenMeanwhile, CutMeanwhile, ExchangedMeanwhile])
def test_a_day_written_while_it_is_read_is_an_error_and_loads_later(
    source: TinyLake,
    tmp_path: Path,
    lake_class: type[WrittenMeanwhile],
) -> None:
    path = tmp_path / "w.duckdb"
    lake = lake_class(str(source.folder))
    with pytest.raises(LakeError, match=rf"{DAY}-events\.json: has changed since it was listed"):
        run_table(DuckDBWarehouse(path, 0), lake, "staging_events")
    (source.folder / event_file(DAY)).write_bytes(lake.content)
    check_outcome(on_duckdb(DuckDBWarehouse(path, 0), path, source, "staging_events"), 2)


def test_a_song_written_after_the_listing_is_an_error(source: TinyLake, tmp_path: Path) -> None:
    class Written(LocalLake):
        def list_songs(self) -> list[SourceFile]:
            listed = super().list_songs()
            source.write_songs("A/A/A/TRA", [song(song_id="Other", title="longer than before")])
            return listed

    path = tmp_path / "w.duckdb"
    with pytest.raises(LakeError, match=r"TRA\.json: has changed since it was listed; run again"):
        run_table(DuckDBWarehouse(path, 0), Written(str(source.folder)), "staging_songs")
    check_outcome(on_duckdb(DuckDBWarehouse(path, 0), path, source, "staging_songs"), 3)


# --- settings


@pytest.mark.parametrize(
    ("variables", "message"), [c[1:] for c in cases.SETTINGS], ids=[c[0] for c in cases.SETTINGS]
)
def test_hostile_settings(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        load_settings(variables)
    assert "\n" not in raised.value.message
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize(
    ("variables", "message"),
    [case[1:] for case in cases.REDSHIFT_SETTINGS],
    ids=[case[0] for case in cases.REDSHIFT_SETTINGS],
)
def test_hostile_settings_of_redshift(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        load_redshift_settings(variables["SPARKIFY_LAKE"], 1, variables)
    assert "\n" not in raised.value.message
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize("host", ["10.0.0.7", "a-b.c_d.example"])
@pytest.mark.parametrize("user", ["dagster", "IAM:ann@example.com", "Ädmin-1.x"])
def test_places_of_redshift_that_are_fine(host: str, user: str) -> None:
    given = cases.REDSHIFT | {"REDSHIFT_HOST": host, "REDSHIFT_USER": user}
    assert load_redshift_settings(given["SPARKIFY_LAKE"], 1, given).user == user


def test_a_redshift_variable_that_nothing_reads_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    load_settings({"REDSHIFT_PASWORD": "x"})
    assert "REDSHIFT_PASWORD: is no setting and has no effect" in caplog.text
    assert "did you mean REDSHIFT_PASSWORD?" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"), [c[1:] for c in cases.ENV_FILES], ids=[c[0] for c in cases.ENV_FILES]
)
def test_hostile_env_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    # What the file says is put into the environment of this process.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        result = CliRunner().invoke(main, ["status"])
    assert_one_line(result, message)


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"start": 1}', b'{"end": 9}', b'{"end": "9"}', b"{", b"\xff"]
)
def test_anothers_sample_json_is_none_of_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sample.json").write_bytes(content)
    assert sample_end(str(tmp_path)) is None


# --- warehouses and queries


def assert_one_line(result: Result, message: str) -> None:
    assert result.exit_code == 1, result.output
    assert re.search(message, result.stderr, re.DOTALL), result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **variables: str) -> Result:
        return CliRunner().invoke(main, words, env=variables)

    return run


@pytest.mark.parametrize(
    ("make", "message"), [c[1:] for c in cases.WAREHOUSES], ids=[c[0] for c in cases.WAREHOUSES]
)
@pytest.mark.parametrize("words", [("status",), ("query", "SELECT 1")])
def test_what_is_no_warehouse(
    tmp_path: Path,
    call: Callable[..., Result],
    make: Callable[[Path], object],
    message: str,
    words: tuple[str, ...],
) -> None:
    path = tmp_path / "w.duckdb"
    make(path)
    assert_one_line(call(*words, SPARKIFY_DUCKDB_PATH=str(path)), message)
    source = lake_of(tmp_path / "lake", BASE)
    check_outcome(on_duckdb(DuckDBWarehouse(path, 0), path, source, "staging_events"), message)


def test_a_warehouse_that_was_cut_off_is_named(source: TinyLake, tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    run_table(DuckDBWarehouse(path, 0), LocalLake(str(source.folder)), "staging_events")
    os.truncate(path, path.stat().st_size // 2)
    found = outcome(
        lambda: DuckDBWarehouse(path, 0).read(
            lambda session: session.run("SELECT * FROM staging.staging_events"), "test", ""
        ),
        list,
    )
    assert isinstance(found, str)
    assert re.search("is damaged|cannot be opened", found)
    assert found.endswith("remove it and run: the lake has everything")


@pytest.mark.parametrize("home", ["nowhere", "/nowhere"])
def test_a_home_that_is_not_there_is_one_line(
    filled: Path, call: Callable[..., Result], home: str
) -> None:
    result = call("status", SPARKIFY_DUCKDB_PATH=str(filled), DAGSTER_HOME=home)
    assert_one_line(result, f"Error: DAGSTER_HOME='{home}': has to be the full path of a folder")


@pytest.mark.parametrize(
    ("folder", "home", "message"),
    [
        ("none", ".", "Error: SPARKIFY_LAKE='.*/none': there is no such folder"),
        ("", ".", "Error: SPARKIFY_LAKE='.*': holds no folder log_data/"),
        ("", None, "Error: DAGSTER_HOME is not set"),
    ],
)
def test_a_run_that_has_nothing_to_begin_with_is_one_line(
    tmp_path: Path, call: Callable[..., Result], folder: str, home: str | None, message: str
) -> None:
    home = home and str(tmp_path)
    assert_one_line(call("run", SPARKIFY_LAKE=str(tmp_path / folder), DAGSTER_HOME=home), message)


@pytest.mark.parametrize("words", [("status",), ("query", "SELECT * FROM users")])
def test_before_the_first_run_that_succeeded(
    tmp_path: Path, call: Callable[..., Result], words: tuple[str, ...]
) -> None:
    """The first run found no lake, and left a warehouse with nothing in it."""
    path = tmp_path / "w.duckdb"
    with pytest.raises(LakeError):
        run_table(DuckDBWarehouse(path, 0), LocalLake(str(tmp_path / "none")), "staging_events")
    message = "no warehouse yet; run the job sparkify_etl first"
    assert_one_line(call(*words, SPARKIFY_DUCKDB_PATH=str(path)), message)


@pytest.mark.parametrize("words", [("status",), ("query", "SELECT * FROM users")])
def test_a_file_of_other_tables_is_no_warehouse(
    tmp_path: Path, call: Callable[..., Result], words: tuple[str, ...]
) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INT)")
    message = "no warehouse yet; run the job sparkify_etl first"
    assert_one_line(call(*words, SPARKIFY_DUCKDB_PATH=str(path)), message)


@pytest.fixture(scope="module")
def filled(sample_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "w.duckdb"
    load_all(sample_lake, path)
    return path


@pytest.mark.parametrize(("sql", "message"), cases.QUERIES, ids=[c[0][:40] for c in cases.QUERIES])
def test_queries_that_reach_out(
    filled: Path, call: Callable[..., Result], sql: str, message: str
) -> None:
    result = call("query", sql, SPARKIFY_DUCKDB_PATH=str(filled))
    assert result.exit_code == 1
    assert re.search(message, result.stderr)
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_query_is_stopped_in_time(filled: Path, call: Callable[..., Result]) -> None:
    sql = "SELECT COUNT(*) FROM time a, time b, time c, time d WHERE a.hour + b.hour > c.hour"
    result = call("query", sql, "--timeout", "1", SPARKIFY_DUCKDB_PATH=str(filled))
    assert_one_line(result, "Error: the query was stopped after 1 s")


@pytest.mark.parametrize(
    ("sql", "rows", "is_cut"),
    [
        ("SELECT 1 FROM songs", 5, True),
        ("SELECT 1 FROM songs -- all of them", 5, True),
        ("SELECT 1 FROM songs UNION ALL SELECT 2 FROM songs ORDER BY 1", 5, True),
        ("SELECT 1 FROM songs LIMIT 3", 3, False),
        ("SELECT 1 FROM songs LIMIT 8", 5, True),
        ("SELECT TOP 4 1 FROM songs", 4, False),
        ("SELECT 1 FROM songs OFFSET 2", 5, True),
    ],
)
def test_a_query_gives_so_many_rows(
    filled: Path, call: Callable[..., Result], sql: str, rows: int, is_cut: bool
) -> None:
    words = ("query", sql, "--limit", "5", "--format", "csv")
    result = call(*words, SPARKIFY_DUCKDB_PATH=str(filled))
    assert len(result.stdout.splitlines()) == rows + 1
    assert result.stderr == "Only the first 5 rows; --limit allows more.\n" * is_cut


def test_what_there_is_to_query(filled: Path, call: Callable[..., Result]) -> None:
    def ask(sql: str) -> list[str]:
        result = call("query", sql, "--format", "csv", SPARKIFY_DUCKDB_PATH=str(filled))
        return result.stdout.splitlines() + result.stderr.splitlines()

    shown = ask("show tables;")
    assert shown[0] == "schema_name,table_name"
    assert {table.qualified_name.replace(".", ",") for table in TABLES.values()} <= set(shown)
    assert ask("DESCRIBE users")[:2] == [
        "schema_name,table_name,column_name,data_type,is_nullable",
        "analytics,users,user_id,VARCHAR,NO",
    ]
    assert ask("desc Staging.Staging_Events")[1].startswith("staging,staging_events,")
    assert ask("DESCRIBE staging.users") == [
        "Error: there is no table users; SHOW TABLES names them all"
    ]


def test_duckdb_neither_installs_nor_loads_extensions(filled: Path) -> None:
    def ask(session: Session) -> list[tuple[Any, ...]]:
        names = "'autoinstall_known_extensions', 'autoload_known_extensions'"
        found = session.run(f"SELECT value FROM duckdb_settings() WHERE name IN ({names})")
        return [tuple(row) for row in found]

    warehouse = DuckDBWarehouse(filled, 0)
    for doors in (warehouse, warehouse.for_readers()):
        assert doors.read(ask, "test", "") == [("false",)] * 2
    assert warehouse.transaction(ask, "test", "") == [("false",)] * 2
    with engine.connect_in_memory() as connection:
        assert ask(DuckDBSession(connection)) == [("false",)] * 2


def test_csv_is_faithful_and_says_so(filled: Path, call: Callable[..., Result]) -> None:
    formula = "=cmd|' /C calc'!A0"
    sql = f"SELECT '{formula.replace(chr(39), 2 * chr(39))}' AS a"
    result = call("query", sql, "--format", "csv", SPARKIFY_DUCKDB_PATH=str(filled))
    assert result.stdout == f"a\n{formula}\n"
    assert "csv and json are faithful" in " ".join(call("query", "--help").stdout.split())


def test_control_characters_are_shown(filled: Path, call: Callable[..., Result]) -> None:
    sql = "SELECT chr(27) || '[2J' || chr(8238) AS \"a\x1bb\""
    table = call("query", sql, SPARKIFY_DUCKDB_PATH=str(filled)).stdout
    assert table.split() == ["a\\x1bb", "\\x1b[2J\\u202e"]
    as_json = call("query", sql, "--format", "json", SPARKIFY_DUCKDB_PATH=str(filled)).stdout
    assert as_json == '[{"a\\u001bb": "\\u001b[2J\\u202e"}]\n'


# --- text that people are shown


@pytest.mark.parametrize("text", cases.MARKS)
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    shown = markdown(text)
    assert not re.search(r"[\\`*~|\[\]<>@]|&(?!#\d+;)|://|www\.", shown, re.IGNORECASE)
    assert unescape(shown) == text.encode("unicode_escape").decode().replace("\\\\", "\\")
    header, _, row = markdown_table(["a", "b"], [(text, None)]).splitlines()
    assert header.count("|") == row.count("|") == 3


def test_a_fence_is_longer_than_those_within() -> None:
    assert code_block("a\n```\n![x](y)", "sql") == "````sql\na\n```\n![x](y)\n````"


def test_read_only_sessions_leave_later_loads_alone(filled: Path, source: TinyLake) -> None:
    """What a reader may not do is said of its own connection."""

    def ask(session: Session) -> object:
        return session.select("SELECT 1", 1, 10)

    assert DuckDBWarehouse(filled, 0).read(ask, "test", "") == (["1"], [(1,)])
    event_day = json_lines([event(sessionId=99)])
    source.write(event_file("2018-12-24"), event_day)
    path = source.folder.parent / "later.duckdb"
    check_outcome(on_duckdb(DuckDBWarehouse(path, 0), path, source, "staging_events"), 3)
