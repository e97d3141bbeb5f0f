"""The Redshift engine through the unmodified driver: loads, settings, errors that files cause."""

import gzip
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.lake.combine import combine
from sparkify_dagster.lake.jsonpaths import EVENT_KEYS
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.lake.shapes import Shapes
from sparkify_dagster.settings import SettingError
from sparkify_dagster.warehouse.base import LoadError, WarehouseError
from sparkify_dagster.warehouse.redshift import copy
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster.warehouse.redshift.uploads import Uploads, part_count
from sparkify_dagster_tests.redshift_double import Fault
from sparkify_dagster_tests.sql.test_sql_lint import ALLOWED_OWN, denied
from sparkify_dagster_tests.support.redshift_stage import (
    LAKE,
    MANIFESTS,
    PASSWORD,
    ROLE,
    Stage,
    change,
    duckdb_tables,
    events,
    load_all,
    load_each,
    open_stage,
    s3_url,
    songs,
    stage,
)
from sparkify_dagster_tests.support.redshift_suite import (
    LINES,
    both,
    event_file,
    small_lake,
    spoil,
)

__all__ = ["s3_url", "small_lake", "stage"]

DAY = "log_data/2018/11/2018-11-0"


# --- what is sent


def test_copy_reads_exactly_the_listed_files(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    stage.bucket.put("log_data/2018/11/2018-11-01-events.json.bak", b"never read")
    warehouse = stage.warehouse(SPARKIFY_KEEP_MANIFESTS="true")
    change(warehouse, events(stage.lake))
    change(warehouse, songs(stage.lake))
    manifests = [
        json.loads(stage.bucket.get(key))
        for key in stage.bucket.keys("manifests/")
        if "manifest" in key[-9:]
    ]
    entries = [entry for manifest in manifests for entry in manifest["entries"]]
    assert {entry["mandatory"] for entry in entries} == {True}
    urls = [entry["url"] for entry in entries]
    assert all(url.startswith(f"{MANIFESTS}/run-1/") for url in urls)
    copies = stage.double.texts("\nMANIFEST\n")
    # One for all days, one for all songs.
    assert len(copies) == 2
    for text in copies:
        assert f"IAM_ROLE '{ROLE}'" in text
        assert "REGION 'eu-central-1'" in text
    assert all(key.startswith("manifests/run-1/") for key in stage.bucket.keys("manifests/"))


def test_a_file_larger_than_a_part_is_loaded_where_it_lies(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    lake = shutil.copytree(small_lake, tmp_path / "lake")
    packed = event_file(lake, 1)
    big = event_file(lake)
    big.write_text("\n".join([big.read_text().rstrip("\n")] * 90))
    packed.with_suffix(".json.gz").write_bytes(gzip.compress(packed.read_bytes() * 9))
    packed.unlink()
    stage.bucket.put_folder(lake)
    said = change(
        stage.warehouse(SPARKIFY_PART_MB="1", SPARKIFY_KEEP_MANIFESTS="true"), events(stage.lake)
    )
    assert len(stage.double.texts("\nMANIFEST\n")) == 2
    (stamp,) = stage.double.texts("UPDATE landing_events\n")
    assert f"'{big.relative_to(lake).as_posix()}'" in stamp
    expected = duckdb_tables(tmp_path, lake)["staging.staging_events"]
    assert sum(said.days.values()) == len(expected)
    assert stage.rows("staging.staging_events") == expected


@pytest.mark.parametrize("dotted", [False, True])
def test_jsonpaths_are_taken_in_either_notation(
    stage: Stage, small_lake: Path, tmp_path: Path, dotted: bool
) -> None:
    stage.bucket.put_folder(small_lake)
    if dotted:
        paths = [f"$.{key}" for key in EVENT_KEYS]
        stage.bucket.put("log_json_path.json", json.dumps({"jsonpaths": paths}).encode())
    change(stage.warehouse(), events(stage.lake))
    expected = duckdb_tables(tmp_path, small_lake)["staging.staging_events"]
    assert stage.rows("staging.staging_events") == expected


def test_keys_that_are_new_or_have_gone_are_found(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    lake = shutil.copytree(small_lake, tmp_path / "lake")
    path = event_file(lake, 1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(line | {"plan": "x"}) for line in lines))
    stage.bucket.put_folder(lake)
    assert change(stage.warehouse(), events(stage.lake)).unknown_keys == {"plan"}
    for line in lines:
        del line["level"]
    path.write_text("\n".join(map(json.dumps, lines)))
    stage.bucket.put_folder(lake)
    on_duckdb, on_redshift = both(stage, lake, tmp_path, events)
    assert on_redshift.bad_lines == on_duckdb.bad_lines
    assert f"key 'level' is in none of the file's {len(lines)} objects" in str(on_redshift)


def test_the_limit_of_bad_lines_is_that_of_a_file(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    lake = shutil.copytree(small_lake, tmp_path / "lake")
    for number in (0, 1):
        lines = event_file(lake, number).read_text().splitlines()
        for at in (1, 4):
            lines[at] = json.dumps(json.loads(lines[at]) | {"ts": "no time"})
        event_file(lake, number).write_text("\n".join(lines))
    stage.bucket.put_folder(lake)
    result = change(stage.warehouse(), events(stage.lake, max_errors=3))
    assert [bad.line for bad in result.rejected] == [2, 5, 2, 5]
    path = event_file(lake, 1)
    lines[7] = json.dumps(json.loads(lines[7]) | {"ts": "no time"})
    path.write_text("\n".join(lines))
    stage.bucket.put_folder(lake)
    with pytest.raises(LoadError) as caught:
        change(stage.warehouse(), events(stage.lake, max_errors=3))
    name = path.relative_to(lake).as_posix()
    assert [(bad.file, bad.line) for bad in caught.value.bad_lines] == [
        (name, n) for n in (2, 5, 8)
    ]


def test_the_default_role_is_a_bare_word(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    change(stage.warehouse(REDSHIFT_IAM_ROLE="default"), events(stage.lake))
    assert all("IAM_ROLE default\n" in text for text in stage.double.texts("\nMANIFEST\n"))
    assert stage.double.rows(LINES)[0][0] > 0


def test_every_statement_sent_passes_the_lint(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    load_all(stage.warehouse(), stage.lake)
    texts = set(stage.double.texts())
    assert len(texts) > 100
    own = {"begin transaction", "commit", "rollback"}
    found = {text: denied(text) - ALLOWED_OWN - {"a $ parameter"} for text in texts - own}
    assert {text: rules for text, rules in found.items() if rules} == {}


def test_the_lock_comes_before_anything_is_looked_at(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    warehouse = stage.warehouse()
    change(warehouse, events(stage.lake))
    stage.double.statements.clear()
    change(warehouse, events(stage.lake))
    texts = [one.text for one in stage.double.statements]
    assert texts[texts.index("begin transaction") + 1] == "LOCK TABLE staging.load_lock"


def test_a_session_says_whose_it_is(stage: Stage) -> None:
    def body(session: Any) -> list[Any]:
        names = ("application_name", "query_group", "statement_timeout")
        return [session.run(f"SHOW {name}")[0][0] for name in names]

    warehouse = stage.warehouse(REDSHIFT_STATEMENT_TIMEOUT="77")
    found = warehouse.transaction(body, "sparkify_etl/songs", "run-42")
    assert found == ["sparkify_dagster:sparkify_etl/songs", "run-42", "77000"]


def test_a_path_to_schemas_that_do_not_exist_is_never_set(stage: Stage) -> None:
    stage.double.faults.append(
        Fault("search_path", "error", "3F000", 'schema "analytics" does not exist', times=99)
    )
    warehouse = stage.warehouse()
    query = lambda session: session.select("SELECT 1 AS one", 10, 60)  # noqa: E731
    assert warehouse.read(query, "sparkify/query", "") == (["one"], [(1,)])
    change(warehouse, lambda session: session.run("SELECT 1"))
    assert stage.double.texts("search_path") == []


def test_a_person_may_leave_out_the_schemas_that_exist(stage: Stage) -> None:
    for made, path in (("staging", "staging"), ("analytics", "analytics, staging")):
        stage.double.rows(f"CREATE SCHEMA {made}")
        stage.double.rows(f"CREATE TABLE {made}.of_{made} (a INTEGER)")
        query = f"SELECT COUNT(*) AS rows_found FROM of_{made}"
        found = stage.warehouse().read(
            lambda session, q=query: session.select(q, 10, 60), "query", ""
        )
        assert found == (["rows_found"], [(0,)])
        assert stage.double.texts("search_path")[-1] == f"SET search_path TO {path}"


@pytest.mark.parametrize("schemas", [("staging", "analytics"), ("analytics",), ()])
def test_only_missing_schemas_are_created(stage: Stage, schemas: tuple[str, ...]) -> None:
    for schema in schemas:
        stage.double.rows(f"CREATE SCHEMA {schema}")
        # Refused without CREATE on the database, as Redshift does where the schema exists, too.
        denied = "permission denied for database dev"
        stage.double.faults.append(
            Fault(f"CREATE SCHEMA.*{schema}", "error", "42501", denied, times=9)
        )
    change(stage.warehouse(), lambda session: session.run("SELECT 1"))
    assert len(stage.double.texts("CREATE SCHEMA")) == 2 - len(schemas)
    assert stage.rows("staging.load_lock") == []


def test_who_may_not_create_schemas_is_told_what_helps(stage: Stage) -> None:
    denied = "permission denied for database dev"
    stage.double.faults.append(Fault("CREATE SCHEMA", "error", "42501", denied))
    with pytest.raises(WarehouseError, match="sparkify grants --loader"):
        change(stage.warehouse(), lambda session: session.run("SELECT 1"))


def day_lines(count: int, **values: Any) -> bytes:
    found = [{"ts": 1541105830796, "page": "Home", "userId": "8", **values} for _ in range(count)]
    return b"\n".join(json.dumps(one).encode() for one in found)


def test_parts_fill_the_slices_and_keep_their_origins(stage: Stage, tmp_path: Path) -> None:
    stage.bucket.put(f"{DAY}1-events.json", day_lines(700, title=4.50))
    stage.bucket.put(f"{DAY}2-events.json.gz", gzip.compress(day_lines(100)))
    odd = b'\n{"ts": 1,\n "page": "Home"}\n\n{"page": "No \\"ts\\":"} {"ts": 3}'
    stage.bucket.put(f"{DAY}3-events.json", odd)
    files, shapes, done = stage.lake.list_events(), Shapes([]), []
    total = sum(file.unpacked_size for file in files)
    combined = combine(stage.lake, files, tmp_path, total / 4, shapes, done.append)
    assert done == combined.parts
    sizes = [part.path.stat().st_size for part in done]
    assert len(sizes) == 4
    # Of the compressed file it is only guessed how much it holds.
    assert max(sizes) < 1.5 * min(sizes)
    found = [
        (*origin, json.loads(line))
        for part in done
        for origin, line in zip(part.origins, part.path.read_bytes().splitlines(), strict=True)
    ]
    names = [file.name for file in files]
    assert [(name, line) for name, line, _ in found] == [
        *((names[0], line + 1) for line in range(700)),
        *((names[1], line + 1) for line in range(100)),
        *((names[2], line) for line in (3, 5, 5)),
    ]
    assert done[1].origins[0] == next(iter(done[1].origins)) == found[done[0].line_count][:2]
    assert all(value["source_file"] == name for name, _, value in found)
    assert [file.line_count for file in combined.files] == [700, 100, 3]
    assert shapes.keys == {"ts", "page", "userId", "title"}
    assert shapes.files[names[0]].keys == dict.fromkeys(("ts", "page", "userId", "title"), 700)
    assert shapes.files[names[2]].keys == {"ts": 2, "page": 2}


@pytest.mark.parametrize(
    "line",
    [
        b'x{"ts": 1}',
        b'{"ts": 1}{"ts": 2}',
        b'{"ts": 1, "page": {"level": 2}}',
        b'{"ts": 1, "page"',
        b'{"ts": 1}\r',
        b'{"ts": 1}\n}',
        b'{"ts": 1, "ts": 2}',
        b'{"a\\u0062c": 1}',
        b"\n",
        b"{}",
        b"[1]",
    ],
)
def test_lines_that_are_not_plain_are_looked_at_one_by_one(line: bytes) -> None:
    for content in (line, b'{"ts": 1}\n' + line, b'{"ts": 1}\n' + line + b'\n{"ts": 2}\n'):
        shapes = Shapes([])
        assert shapes.prefixed("a.json", content, b"{") == (0, b"")
        assert shapes.files == {}


def test_a_text_feigns_no_key() -> None:
    lines = [b'{"ts":1,"page":"a, \\"level\\":1}"}', b'{"ts":1,"page":"},{","level":2}']
    shapes = Shapes([])
    shapes.prefixed("a.json", b"\n".join(lines), b"{")
    shapes.add_objects("b.json", list(enumerate(lines)))
    assert shapes.files["b.json"].keys == {"ts": 2, "page": 2, "level": 1}
    assert shapes.keys == {"ts", "page", "level"}


@pytest.mark.parametrize("end", [b"\n", b"\n\n"], ids=["line by line", "object by object"])
def test_numbers_of_text_columns_are_put_in_quotes(
    stage: Stage, tmp_path: Path, end: bytes
) -> None:
    lines = [
        b'{"title":4.50,"year":1}',
        b'{"title": -1e3, "year": 2}',
        b'{"title":"\\"title\\":5","year":3}',
        b'{"title":null}',
    ]
    stage.bucket.put(f"{DAY}1-events.json", end.join(lines))
    (part,) = combine(stage.lake, stage.lake.list_events(), tmp_path, 1e6, Shapes(["title"])).parts
    uploads = Uploads(S3Prefix(MANIFESTS, "SPARKIFY_MANIFEST_PREFIX"), "run/token", keep=True)
    found = stage.bucket.get(uploads.put_part(part).removeprefix("s3://wire-lake/"))
    texts = [json.loads(line)["title"] for line in gzip.decompress(found).splitlines()]
    assert texts == ["4.50", "-1e3", '"title":5', None]
    assert not part.path.exists()


@pytest.mark.parametrize(
    ("total", "count"), [(0, 1), (5 << 20, 1), (9 << 20, 2), (300 << 20, 8), (64 << 20, 4)]
)
def test_the_number_of_parts(total: int, count: int) -> None:
    assert part_count(total, 64 << 20, 4) == count


# --- what COPY refuses


def test_the_older_view_serves_where_the_newer_is_denied(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    stage.bucket.put_folder(spoil(small_lake, tmp_path, 0, ts="not a time"))
    stage.double.denied_views.add("sys_load_error_detail")
    with pytest.raises(LoadError) as caught:
        change(stage.warehouse(), events(stage.lake))
    assert caught.value.bad_lines[0].value == "not a time"
    stage.double.denied_views.add("stl_load_errors")
    with pytest.raises(
        WarehouseError, match="SYS_LOAD_ERROR_DETAIL and STL_LOAD_ERRORS show"
    ) as no:
        change(stage.warehouse(), events(stage.lake))
    assert not isinstance(no.value, LoadError)


def copies(stage: Stage) -> list[int]:
    """Return the numbers of the COPYs, in order."""
    query = "SELECT query_id FROM sys_query_history WHERE query_type = 'COPY' ORDER BY query_id"
    rows = stage.warehouse().read(lambda session: session.run(query), "test", "run-1")
    return [number for (number,) in rows]


def test_a_failed_copy_is_looked_up_by_its_number(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    stage.bucket.put_folder(spoil(small_lake, tmp_path, 0, ts="not a time"))
    with pytest.raises(LoadError):
        change(stage.warehouse(), events(stage.lake))
    (asked,) = stage.double.texts("FROM sys_load_error_detail")
    assert f"query_id = {copies(stage)[-1]} AND" in asked


def test_a_copy_whose_number_is_unknown_is_looked_up_by_its_session(
    stage: Stage, small_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "failed_query", lambda error: 1)
    stage.bucket.put_folder(spoil(small_lake, tmp_path, 0, ts="not a time"))
    with pytest.raises(LoadError, match="line 2, column ts"):
        change(stage.warehouse(), events(stage.lake))
    first, second = stage.double.texts("FROM sys_load_error_detail")
    assert "query_id = 1 AND" in first
    assert "session_id = " in second


def test_lines_left_out_are_looked_up_by_the_number_of_their_copy(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    lake = spoil(small_lake, tmp_path, 0, ts="not a time")
    path = event_file(lake, 1)
    path.write_text(path.read_text() + '\n{"artist": nonsense')
    stage.bucket.put_folder(lake)
    result = change(stage.warehouse(), events(stage.lake, max_errors=9))
    assert len(result.rejected) == 2
    (asked,) = stage.double.texts("FROM sys_load_error_detail")
    assert f"query_id = {copies(stage)[-1]} AND" in asked


def test_jsonpaths_have_to_match_the_columns(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    paths = json.loads((small_lake / "log_json_path.json").read_text())["jsonpaths"]
    stage.bucket.put("log_json_path.json", json.dumps({"jsonpaths": paths[:-1]}).encode())
    with pytest.raises(WarehouseError, match="17 JSONPaths for 18 columns"):
        change(stage.warehouse(), events(stage.lake))
    assert stage.double.texts("\nMANIFEST\n") == []


def test_a_local_lake_is_refused(stage: Stage, small_lake: Path) -> None:
    with pytest.raises(
        WarehouseError, match=r"Redshift reads from S3 only.*SPARKIFY_TARGET=duckdb"
    ):
        change(stage.warehouse(), events(LocalLake(str(small_lake))))


# --- reading, costs


def test_costs_without_the_right_to_look(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.double.denied_views |= {"sys_query_history"}
    warehouse = stage.warehouse()
    change(warehouse, lambda session: session.run("CREATE TABLE staging.kept (a INTEGER)"))
    with caplog.at_level(logging.WARNING):
        assert warehouse.costs("run-1") == {}
    assert "permission denied" in caplog.text


# --- one session a run


def sessions(stage: Stage) -> int:
    """Return how many sessions have sent something since the last time."""
    found = len({one.session_id for one in stage.double.statements})
    stage.double.statements.clear()
    return found


def test_a_run_keeps_one_session(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    warehouse = stage.warehouse()
    with warehouse.kept_open():
        load_each(warehouse, stage.lake)
        load_each(warehouse, stage.lake)
        warehouse.read(lambda session: session.run(LINES), "check", "run-1")
    assert sessions(stage) == 1
    change(warehouse, lambda session: session.run("SELECT 1"))
    assert sessions(stage) == 1


def test_a_session_that_is_lost_is_replaced(stage: Stage) -> None:
    warehouse = stage.warehouse()
    one = lambda session: session.run("SELECT 1 AS one")  # noqa: E731
    with warehouse.kept_open():
        change(warehouse, one)
        stage.double.faults.append(Fault("SELECT 1 AS one", "cut_before"))
        assert change(warehouse, one) == [(1,)]
        assert warehouse.read(one, "check", "run-1") == [(1,)]
    assert sessions(stage) == 2
    assert len(stage.pauses) == 1


def test_a_refused_statement_keeps_the_session_clean(stage: Stage) -> None:
    warehouse = stage.warehouse()

    def fails(session: Any) -> None:
        session.run("CREATE TABLE staging.half (a INTEGER)")
        session.run("SELECT 1 / 0")

    with warehouse.kept_open():
        with pytest.raises(WarehouseError):
            change(warehouse, fails)
        change(warehouse, lambda session: session.run("CREATE TABLE staging.whole (a INTEGER)"))
    assert sessions(stage) == 1
    found = stage.double.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name='staging'")
    assert sorted(found) == [("commits",), ("load_lock",), ("whole",)]


def test_temporary_tables_end_with_their_transaction(stage: Stage) -> None:
    warehouse = stage.warehouse()

    def body(session: Any) -> Any:
        session.run("CREATE TEMP TABLE passing AS SELECT 1 AS a")
        session.run("CREATE TEMP TABLE passing_too AS SELECT 1 AS a")
        session.run("DROP TABLE passing_too")
        session.run("CREATE TABLE IF NOT EXISTS staging.kept (a INTEGER)")
        return session.run("SELECT a FROM passing")

    with warehouse.kept_open():
        assert [change(warehouse, body) for _ in range(2)] == [[(1,)]] * 2
    assert stage.pauses == []


def test_what_changes_nothing_commits_nothing(stage: Stage) -> None:
    warehouse = stage.warehouse()
    with warehouse.kept_open():
        change(warehouse, lambda session: session.run("SELECT 1"))
        stage.double.statements.clear()
        change(warehouse, lambda session: session.run("SELECT 1"))
    assert [one.text for one in stage.double.statements] == ["SELECT 1"]


def test_who_looks_writes_only_in_turn(stage: Stage) -> None:
    """What a body does between looking and writing is done again, in one transaction."""
    warehouse, seen = stage.warehouse(), []

    def body(session: Any) -> None:
        seen.append(session.kept.get(("one", "")))
        session.kept["one", ""] = session.run("SELECT 1")
        session.run("CREATE TABLE IF NOT EXISTS staging.kept (a INTEGER)")

    def fails(session: Any) -> None:
        session.take_turn()
        session.kept["one", ""] = "never true"
        session.run("SELECT 1 / 0")

    with warehouse.kept_open():
        change(warehouse, body)
        with pytest.raises(WarehouseError):
            change(warehouse, fails)
        stage.double.statements.clear()
        change(warehouse, body)
        with pytest.raises(WarehouseError, match="nothing is written here"):
            warehouse.read(lambda session: session.run("DELETE FROM staging.kept"), "test", "run-1")
    assert seen == [None] * 4
    texts = [one.text for one in stage.double.statements]
    assert texts[:4] == [
        "SELECT 1", "begin transaction", "LOCK TABLE staging.load_lock", "SELECT 1"
    ]  # fmt: skip


def test_what_was_learned_is_not_trusted_where_another_run_has_committed(stage: Stage) -> None:
    warehouse, seen = stage.warehouse(), []

    def body(session: Any) -> None:
        seen.append("learned" in dict(session.kept))
        session.kept["learned"] = True
        session.run("CREATE TABLE IF NOT EXISTS staging.filled (a INTEGER)")
        session.run("INSERT INTO staging.filled VALUES (1)")

    with warehouse.kept_open():
        change(warehouse, body)
        change(warehouse, body)
        assert seen == [False, False, True, True]  # looking, and in turn
        change(stage.warehouse(), lambda session: session.run("DELETE FROM staging.filled"))
        change(warehouse, body)
    assert seen[4:] == [True, True, False]  # looking, in turn, and in turn once more
    assert stage.rows("staging.filled") == [(1,)]
    assert len(stage.pauses) == 1


# --- settings

COMPLETE = {
    "REDSHIFT_HOST": "h",
    "REDSHIFT_DATABASE": "d",
    "REDSHIFT_USER": "u",
    "REDSHIFT_PASSWORD": PASSWORD,
    "SPARKIFY_MANIFEST_PREFIX": MANIFESTS,
}
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:loader-a1b2c3"
LOGIN = ("REDSHIFT_HOST", "REDSHIFT_USER", "REDSHIFT_PASSWORD")


def changed(*gone: str, **values: str) -> dict[str, str]:
    return {name: value for name, value in COMPLETE.items() if name not in gone} | values


@pytest.mark.parametrize(
    ("environment", "problems"),
    [
        ({}, [*COMPLETE, "REDSHIFT_WORKGROUP"]),
        (changed("REDSHIFT_PASSWORD"), ["REDSHIFT_PASSWORD is missing"]),
        (
            changed(*LOGIN, REDSHIFT_CLUSTER_ID="c"),
            ["REDSHIFT_USER is missing", "AWS_REGION is missing"],
        ),
        (changed(*LOGIN, REDSHIFT_WORKGROUP="w"), ["AWS_REGION is missing"]),
        (
            changed(REDSHIFT_WORKGROUP="w", AWS_REGION="r"),
            ["REDSHIFT_USER does not go with", "REDSHIFT_PASSWORD does not go with"],
        ),
        (
            changed(REDSHIFT_WORKGROUP="w", REDSHIFT_SECRET_ARN=SECRET_ARN),
            ["REDSHIFT_WORKGROUP and REDSHIFT_SECRET_ARN: set only one"],
        ),
        (changed(REDSHIFT_SECRET_ARN=SECRET_ARN), ["REDSHIFT_PASSWORD does not go with"]),
        (changed(*LOGIN, REDSHIFT_SECRET_ARN="loader"), ["REDSHIFT_SECRET_ARN='loader'"]),
        (
            changed(
                "REDSHIFT_PASSWORD",
                REDSHIFT_CLUSTER_ID="c",
                AWS_REGION="r",
                REDSHIFT_SSLMODE="disable",
            ),
            ["REDSHIFT_SSLMODE='disable' does not go with REDSHIFT_CLUSTER_ID"],
        ),
        (changed(REDSHIFT_SSLMODE="prefer"), ["REDSHIFT_SSLMODE='prefer'"]),
        (changed(REDSHIFT_PORT="a"), ["REDSHIFT_PORT='a'"]),
        (changed(REDSHIFT_PORT="0", REDSHIFT_RETRIES="-1"), ["REDSHIFT_PORT", "REDSHIFT_RETRIES"]),
        (changed(REDSHIFT_IAM_ROLE="loader"), ["REDSHIFT_IAM_ROLE='loader'"]),
        (changed(SPARKIFY_MANIFEST_PREFIX="/tmp"), ["SPARKIFY_MANIFEST_PREFIX='/tmp'"]),
        (changed(SPARKIFY_MANIFEST_PREFIX=f"{LAKE}/song_data/m"), ["among the lake's data"]),
        (changed(SPARKIFY_KEEP_MANIFESTS="yes"), ["SPARKIFY_KEEP_MANIFESTS='yes'"]),
    ],
)
def test_settings_are_refused_with_all_that_is_wrong(
    environment: dict[str, str], problems: list[str]
) -> None:
    with pytest.raises(SettingError) as caught:
        load_redshift_settings(LAKE, 1, environment)
    for problem in problems:
        assert problem in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_local_lake_is_refused_before_any_connection() -> None:
    with pytest.raises(SettingError, match=r"SPARKIFY_LAKE='data/lake'.*s3://bucket/prefix"):
        load_redshift_settings("data/lake", 1, COMPLETE)


@pytest.mark.parametrize(
    "environment",
    [
        COMPLETE,
        changed(*LOGIN, REDSHIFT_WORKGROUP="w", AWS_REGION="r"),
        changed(*LOGIN, REDSHIFT_USER="u", REDSHIFT_CLUSTER_ID="c", AWS_DEFAULT_REGION="r"),
        changed(*LOGIN, "REDSHIFT_DATABASE", REDSHIFT_SECRET_ARN=SECRET_ARN),
        changed(SPARKIFY_MANIFEST_PREFIX=f"{LAKE}/manifests", REDSHIFT_IAM_ROLE=ROLE),
    ],
)
def test_settings_that_are_complete(environment: dict[str, str]) -> None:
    settings = load_redshift_settings(LAKE, 1, environment)
    assert (settings.sslmode, settings.port) == ("verify-full", 5439)
    assert PASSWORD not in f"{settings} {settings!r} {settings.password} {settings.place}"


# --- logging in


def test_a_wrong_password_is_told_without_it(stage: Stage) -> None:
    wrong = "Quite-wrong-9d2c"
    with pytest.raises(
        WarehouseError, match=r"(?s)authentication failed.*REDSHIFT_PASSWORD"
    ) as caught:
        change(stage.warehouse(REDSHIFT_PASSWORD=wrong), lambda session: None)
    assert stage.pauses == []
    error: BaseException | None = caught.value
    while error is not None:
        assert wrong not in f"{error!r} {error}"
        error = error.__cause__


def test_the_certificate_has_to_be_known_and_for_this_host(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WarehouseError, match=r"certificate is not accepted.*REDSHIFT_HOST"):
        change(stage.warehouse(REDSHIFT_HOST="localhost"), lambda session: None)
    changed = stage.warehouse(REDSHIFT_HOST="localhost", REDSHIFT_SSLMODE="verify-ca")
    assert change(changed, lambda session: session.run("SELECT 1")) == [(1,)]
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(WarehouseError, match="certificate is not accepted"):
        change(stage.warehouse(), lambda session: None)
    assert stage.pauses == []


def test_tls_can_be_switched_off(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_stage(s3_url, monkeypatch, tls=False) as plain:
        found = plain.warehouse(REDSHIFT_SSLMODE="disable")
        assert change(found, lambda session: session.run("SELECT 1")) == [(1,)]


def test_a_host_that_is_not_there(stage: Stage) -> None:
    unknown = stage.warehouse(REDSHIFT_HOST="no-such-host.invalid")
    with pytest.raises(WarehouseError, match=r"host name is not known|Check REDSHIFT_HOST"):
        change(unknown, lambda session: None)
