"""`sparkify query` and `sparkify status`, on a real warehouse."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.cli import main
from sparkify_dagster_tests.support.loads import load_all, rows_of

Ask = Callable[..., Result]


@pytest.fixture(scope="module")
def warehouse(sample_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("query") / "w.duckdb"
    load_all(sample_lake, path)
    return path


@pytest.fixture
def ask(warehouse: Path, sample_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    # A .env of the checkout is none of this test's business.
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **variables: str) -> Result:
        environment = {
            "SPARKIFY_DUCKDB_PATH": str(warehouse),
            "SPARKIFY_LAKE": str(sample_lake),
            "COLUMNS": "200",
            **variables,
        }
        return CliRunner().invoke(main, words, env=environment)

    return run


VALUES = (
    "SELECT CAST(NULL AS VARCHAR) AS nothing, '' AS blank, 'a, \"b\"' AS text, 7 AS whole, "
    "CAST(1.50 AS DECIMAL(38, 20)) AS exact, CAST(0.1 AS DOUBLE PRECISION) AS near, "
    "TRUE AS yes, CAST('2018-11-01 21:01:46.796' AS TIMESTAMP) AS moment, "
    "CAST('2018-11-01' AS DATE) AS day, 9007199254740993 AS large"
)


def test_csv(ask: Ask) -> None:
    result = ask("query", VALUES, "--format", "csv")
    assert result.exit_code == 0
    assert result.stdout == (
        "nothing,blank,text,whole,exact,near,yes,moment,day,large\n"
        ',"","a, ""b""",7,1.50000000000000000000,0.1,true,2018-11-01 21:01:46.796,2018-11-01,'
        "9007199254740993\n"
    )
    assert result.stderr == ""


def test_json(ask: Ask) -> None:
    result = ask("query", VALUES, "--format", "json")
    (row,) = json.loads(result.stdout, parse_float=str)
    assert row == {
        "nothing": None,
        "blank": "",
        "text": 'a, "b"',
        "whole": 7,
        "exact": "1.50000000000000000000",
        "near": "0.1",
        "yes": True,
        "moment": "2018-11-01 21:01:46.796",
        "day": "2018-11-01",
        "large": 9007199254740993,
    }
    assert result.stderr == ""


def test_table(ask: Ask) -> None:
    result = ask("query", VALUES)
    header, row = result.stdout.splitlines()
    assert header.split()[:4] == ["nothing", "blank", "text", "whole"]
    assert row.split()[0] == "NULL"
    assert "1.50000000000000000000" in row
    assert "2018-11-01 21:01:46.796" in row
    assert result.stderr == ""


def test_table_aligns_text_left_and_numbers_right(ask: Ask) -> None:
    sql = "SELECT 'a' AS name, 5 AS n UNION ALL SELECT 'long name', 12345 ORDER BY 2"
    assert ask("query", sql).stdout.splitlines() == [
        "name          n",
        "a             5",
        "long name 12345",
    ]


def test_all_rows_and_only_rows_on_standard_output(ask: Ask, warehouse: Path) -> None:
    result = ask("query", "SELECT title, artist_name, plays FROM top_songs", "--format", "csv")
    rows = list(csv.reader(io.StringIO(result.stdout)))
    expected = rows_of(warehouse, "analytics.top_songs", "title, artist_name, plays")
    assert sorted(rows[1:]) == sorted([t, a, str(n)] for t, a, n in expected)


@pytest.mark.parametrize("style", ["table", "csv", "json"])
def test_no_rows(ask: Ask, style: str) -> None:
    result = ask("query", "SELECT user_id FROM users WHERE FALSE", "--format", style)
    assert result.exit_code == 0
    expected = {"table": "user_id\n(no rows)\n", "csv": "user_id\n", "json": "[]\n"}
    assert result.stdout == expected[style]


def test_redshift_dialect_and_names_without_schema(ask: Ask) -> None:
    sql = (
        "SELECT DATE_TRUNC('month', plays.start_time)::DATE AS month, 7 / 2 AS half, "
        "LEN('abc') AS letters, COUNT(*) > 0 AS some FROM songplays AS plays "
        "JOIN staging_events AS events ON plays.session_id = events.session_id GROUP BY 1"
    )
    assert json.loads(ask("query", sql, "--format", "json").stdout) == [
        {"month": "2018-11-01", "half": 3, "letters": 3, "some": True}
    ]


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("DROP TABLE users", "DROP"),
        ("DELETE FROM users", "DELETE"),
        ("UPDATE users SET level = 'paid'", "UPDATE"),
        ("INSERT INTO users (user_id) VALUES ('1')", "INSERT"),
        ("TRUNCATE users", "TRUNCATE"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("ALTER TABLE users ADD COLUMN x INT", "ALTER"),
        ("SELECT * INTO t FROM users", "SELECT ... INTO"),
        ("WITH gone AS (DELETE FROM users RETURNING *) SELECT * FROM gone", "WITH"),
        ("COPY users TO 'users.csv'", "COPY"),
        ("UNLOAD ('SELECT 1') TO 's3://b/k'", "UNLOAD"),
        ("GRANT ALL ON users TO PUBLIC", "GRANT"),
        ("SET search_path TO staging", "SET"),
        ("CALL something()", "CALL"),
        ("VACUUM", "VACUUM"),
    ],
)
def test_statements_that_change_something_are_refused(
    ask: Ask, warehouse: Path, sql: str, word: str
) -> None:
    before = hashlib.sha256(warehouse.read_bytes()).hexdigest()
    result = ask("query", sql)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {word} is refused: this command only reads")
    assert hashlib.sha256(warehouse.read_bytes()).hexdigest() == before


def test_two_statements_are_refused(ask: Ask) -> None:
    result = ask("query", "SELECT 1; DROP TABLE users")
    assert result.exit_code == 1
    assert "one query expected, 2 statements given" in result.stderr
    assert ask("query", "SELECT 1;").exit_code == 0


def test_what_is_wrong_with_a_query_is_said(ask: Ask) -> None:
    wrong = ask("query", "SELECT * FRO users")
    assert wrong.exit_code == 1
    assert "line 1, column" in wrong.stderr
    missing = ask("query", "SELECT shoe_size FROM users")
    assert missing.exit_code == 1
    assert "shoe_size" in missing.stderr
    twice = ask("query", "SELECT 1 AS a, 2 AS a", "--format", "json")
    assert "two columns have the same name" in twice.stderr
    for result in (wrong, missing, twice):
        assert "Traceback" not in result.stderr
        assert result.stdout == ""


def test_no_warehouse_yet(ask: Ask, tmp_path: Path) -> None:
    for words in (("query", "SELECT 1"), ("status",)):
        result = ask(*words, SPARKIFY_DUCKDB_PATH=str(tmp_path / "none.duckdb"))
        assert result.exit_code == 1
        assert "no warehouse yet; run the job sparkify_etl first" in result.stderr
    assert not (tmp_path / "none.duckdb").exists()


# --- status


def test_status_tells_what_is_loaded(ask: Ask, warehouse: Path, sample_lake: Path) -> None:
    result = ask("status")
    assert result.exit_code == 0
    facts: dict[str, Any] = json.loads((sample_lake / "sample.json").read_text())
    assert f"Events: 7 files, {facts['start']} to {facts['end']}, last loaded 20" in result.stdout
    assert "Songs: 150 files" in result.stdout
    plays = rows_of(warehouse, "analytics.songplays", "count(*)")[0][0]
    line = next(row for row in result.stdout.splitlines() if "analytics.songplays" in row)
    assert f" {plays:,} " in line
    assert "DAGSTER_HOME is not set" in result.stdout


def test_status_tells_the_last_run_and_failing_checks(
    sample_lake: Path, tmp_path: Path, ask: Ask
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    path = tmp_path / "w.duckdb"
    variables = {"DAGSTER_HOME": str(home), "SPARKIFY_DUCKDB_PATH": str(path)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setenv("SPARKIFY_LAKE", str(sample_lake))
        load_all(sample_lake, path)
        assert "Last run: none yet." in ask("status", **variables).stdout
        from sparkify_dagster.definitions import defs
        from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse

        DuckDBWarehouse(path, 10).transaction(
            lambda session: session.run("UPDATE staging.song_totals SET plays = plays + 1"),
            "harm",
            "test",
        )
        with dg.DagsterInstance.get() as instance:
            job = defs.resolve_job_def("sparkify_etl")
            result = job.execute_in_process(
                instance=instance, asset_selection=[dg.AssetKey("top_songs")]
            )
    output = ask("status", **variables).stdout
    assert "Last run: SUCCESS, sparkify_etl, 20" in output
    assert result.run_id in output
    failing = [line for line in output.splitlines() if line.startswith("Failing check")]
    assert len(failing) == 1
    assert failing[0].startswith("Failing check: top_songs.plays_reconcile (ERROR): ")
    plays = rows_of(path, "analytics.songplays", "count(*)")[0][0]
    assert f"plays_reconcile_expected {plays}" in failing[0]
