"""The cases of sql/tests on DuckDB, PostgreSQL and the wire double; what is not clear, refused."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from sparkify_dagster.cli import main
from sparkify_dagster.cli.test_sql import render
from sparkify_dagster.loading.schema import prepare
from sparkify_dagster.sql_tests.cases import FOLDER, Case, CaseError, read_cases
from sparkify_dagster.sql_tests.running import Difference, run_case
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.duckdb.engine import DuckDBSession, connect_in_memory
from sparkify_dagster_tests.support.postgres import DATEDIFF, PostgresSession, postgres_server
from sparkify_dagster_tests.support.redshift_stage import change, open_stage, s3_url

__all__ = ["s3_url"]

CASES = [case for path in sorted(FOLDER.glob("*.yaml")) for case in read_cases(path)]
GOOD = """
- case: Kept
  given:
    staging_events:
      - {song: Known}
  expect:
    - {title: Known}
"""


Run = Callable[[Case], list[Difference]]  # on empty tables, which it leaves empty


@pytest.fixture(scope="module")
def duckdb() -> Iterator[Run]:
    with connect_in_memory() as connection:
        session = DuckDBSession(connection)
        prepare(session)
        yield lambda case: in_transaction(session, case)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Run]:
    with postgres_server() as place, psycopg.connect(place, autocommit=True) as connection:
        for schema in ("analytics", "staging"):
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute("SET search_path TO analytics, staging")
        connection.execute(DATEDIFF)
        session = PostgresSession(connection)
        prepare(session)
        yield lambda case: in_transaction(session, case)


@pytest.fixture(scope="module")
def redshift(s3_url: str) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch, open_stage(s3_url, patch) as stage:
        warehouse = stage.warehouse()
        change(warehouse, prepare)

        def run(case: Case) -> list[Difference]:
            found: list[Difference] = []

            def body(session: Session) -> None:
                found.extend(run_case(session, case))
                raise RolledBack

            with contextlib.suppress(RolledBack):
                change(warehouse, body)
            return found

        with warehouse.kept_open():
            yield run


class RolledBack(Exception):
    """The end of a transaction that is to leave nothing."""


def in_transaction(session: Session, case: Case) -> list[Difference]:
    session.run("BEGIN TRANSACTION")
    try:
        return run_case(session, case)
    finally:
        session.run("ROLLBACK")


def assert_refused(path: Path, line: int, message: str) -> None:
    with pytest.raises(CaseError) as raised:
        read_cases(path)
    assert f"{path.name}:{line}: " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("engine", ["duckdb", "postgres", "redshift"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.place)
def test_case(case: Case, engine: str, request: pytest.FixtureRequest) -> None:
    differences = request.getfixturevalue(engine)(case)
    assert not differences, "\n".join(render(case, found) for found in differences)


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("{song: Known}", "{sung: Known}", 5, "staging_events has no column 'sung'"),
        ("{title: Known}", "{tite: Known}", 7, "songplays has no column 'tite'"),
        ("{title: Known}", "{title: Known, level: a}\n    - {title: B}", 8, "the same columns"),
        ("{title: Known}", "{}", 7, "the same columns"),
        ("{title: Known}", "{title: [Known]}", 7, "one value expected"),
        ("{title: Known}", "{title: Known, title: B}", 7, "'title' is named twice"),
        ("{title: Known}", "{length: long}", 7, "length: 'long' is no DOUBLE PRECISION"),
        ("{song: Known}", "{ts: yesterday}", 5, "ts: 'yesterday' is no TIMESTAMP"),
        ("{song: Known}", "{page: null}", 5, "staging_events needs a page"),
        ("{song: Known}", "{song: Known", 6, "expected ',' or '}'"),
        ("staging_events:", "users:", 5, "songplays is not built from 'users'"),
        ("expect:", "expected:", 2, "'expect"),
        ("  given:", "  giben:", 2, "'gi"),
        ("  given:", "  given:\n    songs: []\n    staging_songs: []", 2, "songs is given, and so"),
        (GOOD, GOOD + GOOD, 9, "a case of this name is at"),
    ],
)
def test_what_is_not_clear_is_an_error_with_its_line(
    tmp_path: Path, before: str, after: str, line: int, message: str
) -> None:
    path = tmp_path / "songplays.yaml"
    path.write_text(GOOD)
    assert [case.name for case in read_cases(path)] == ["Kept"]
    path.write_text(GOOD.replace(before, after, 1))
    assert_refused(path, line, message)


CHECKED = GOOD.partition("  expect")[0] + "  fails:\n    row_count: [{level: a}]\n"


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("row_count", "rows", 7, "songplays has no check 'rows'; it has row_count, unique_key"),
        ("staging_events", "events", 5, "'events' is no table; there are staging_events"),
        ("  fails", "  expect: []\n  fails", 2, "'fails' is none of: case, earlier, given, expect"),
        ("  fails:", "  days: [today, 2018-11-02]\n  fails:", 6, "'today' is no DATE"),
        ("  fails:", "  days: [2018-11-02]\n  fails:", 6, "first and last day"),
        ("[{level: a}]", "a", 7, "a list expected"),
        ("fails:\n    row_count", "shows:\n    check", 7, "songplays has no query 'check'"),
    ],
)
def test_a_case_of_checks_that_is_not_clear(
    tmp_path: Path, before: str, after: str, line: int, message: str
) -> None:
    path = tmp_path / "songplays.yaml"
    path.write_text(CHECKED.replace(before, after, 1))
    assert_refused(path, line, message)


def test_a_file_of_no_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"nothing\.yaml:1: no table"):
        read_cases(tmp_path / "nothing.yaml")


def test_words_are_read_by_the_column_they_are_for(tmp_path: Path) -> None:
    path = tmp_path / "songplays.yaml"
    path.write_text(GOOD.replace("{title: Known}", "{title: no, level: 1:30, location: 'null'}"))
    assert read_cases(path)[0].expect == [("no", "1:30", "null")]


def test_the_command_shows_the_difference_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkify_dagster.cli.test_sql.FOLDER", tmp_path)
    (tmp_path / "songplays.yaml").write_text(GOOD.replace("{title: Known}", "{title: Other}"))
    result = CliRunner().invoke(main, ["test-sql"])
    assert result.exit_code == 1
    heading, *table, summary = result.output.splitlines()
    assert heading.endswith("songplays.yaml:2: songplays, built anew: Kept")
    assert [line.split() for line in table if line] == [
        ["title"],
        ["missing", "Other"],
        ["unexpected", "Known"],
    ]
    assert summary.startswith("1 cases, 1 failed")
    assert "cases are there of: songplays" in CliRunner().invoke(main, ["test-sql", "no"]).output
