"""Every file in sql/ is Redshift's SQL, and keeps to what means the same on DuckDB."""

import datetime as dt
import re
from functools import cache
from pathlib import Path

import pytest
import sqlglot
from sqlfluff.core import Linter
from sqlglot import exp

from sparkify_dagster.loading.star import sources
from sparkify_dagster.tables import TABLES, Column, read_columns
from sparkify_dagster.warehouse import statements
from sparkify_dagster.warehouse.copy_statement import parse_copy
from sparkify_dagster.warehouse.duckdb.dialect import fill_in, translate, translated
from sparkify_dagster.warehouse.statements import (
    _PLACEHOLDER,
    Keyword,
    read_statement,
    render,
    statement_names,
)

NAMES = statement_names()
# Sent to Redshift only, so that DuckDB's opinion does not count.
ENGINE_OWN = ("redshift/", "access/")
CREATES = [name for name in NAMES if name.endswith("/create")]
# Roles and rights: sqlglot knows their words only in part, sqlfluff reads them.
RIGHTS = [n for n in NAMES if n.startswith("access/") and not n.startswith("access/state/")]
COPIES = [name for name in NAMES if name.endswith("/copy")]
TRANSLATED = [n for n in NAMES if not n.startswith(ENGINE_OWN) and n not in COPIES]

# What callers fill in, by name.
VALUES = {
    "table_name": "songs",
    "is_full": False,
    "whole_table": True,
    "load_id": 7,
    "first_day": dt.date(2018, 11, 1),
    "last_day": dt.date(2018, 11, 30),
    "load_version": "3f",
    "file_name": "song_data/A/B/C/TRABCDE128F0000000.json",
    "version": "5d41402abc4b2a76b9719d911017c592",
    "run_id": "0f0e8a52-6a3f-4f6f-93a4-0f6f4e3b8f6a",
    "loaded_at": "2018-11-01 00:00:00",
    "committed_at": "2018-11-01 00:00:00",
    "before": "2018-11-01 00:00:00",
    "since": "2018-11-01 00:00:00",
    "session_id": 20001,
    "token": "3a",
    "source_file": "log_data/2018/11/2018-11-01-events.json",
    "manifest": "s3://bucket/manifests/1.manifest",
    "iam_role": "arn:aws:iam::123456789012:role/copy",
    "jsonpaths": "s3://bucket/log_json_path.json",
    "max_errors": 0,
    "role": Keyword("sparkify_analyst"),
    "user": Keyword('"ann"'),
    "tables": Keyword("analytics.songs, analytics.time"),
    "column": Keyword("first_name"),
    "columns": Keyword("user_id, level"),
} | {f"{name}_seen": 3 for name in TABLES}


def deny(name: str, pattern: str, *examples: str) -> tuple[str, re.Pattern[str], tuple[str, ...]]:
    return name, re.compile(pattern, re.IGNORECASE | re.MULTILINE), examples


# Means something else on DuckDB than on Redshift, or is refused by Redshift, or is trusted by it
# without being true. Each rule with statements that it has to find.
DENIED = [
    deny(
        "AVG of whole numbers is truncated", r"\bAVG\s*\((?!\s*CAST\s*\()", "SELECT AVG(a) FROM t"
    ),
    deny(
        "EXTRACT of parts that differ",
        r"\b(EXTRACT|DATE_PART)\s*\(\s*'?(SECOND|MS|MILLISECONDS?|US|MICROSECONDS?|EPOCH)S?\b",
        "SELECT EXTRACT(EPOCH FROM ts) FROM t",
        "SELECT DATE_PART(second, ts) FROM t",
    ),
    deny("DATEDIFF of weeks", r"\bDATEDIFF\s*\(\s*'?WEEK", "SELECT DATEDIFF(week, a, b) FROM t"),
    deny("ADD_MONTHS at the end of a month", r"\bADD_MONTHS\s*\(", "SELECT ADD_MONTHS(d, 1)"),
    deny("TO_TIMESTAMP has a time zone", r"\bTO_TIMESTAMP\s*\(", "SELECT TO_TIMESTAMP(a, 'YYYY')"),
    deny("TRUNC of a time is a date", r"\bTRUNC\s*\(", "SELECT TRUNC(ts) FROM t"),
    deny(
        # Whole numbers divide alike, but the sum of BIGINTs is a decimal in Redshift.
        "division of or by a sum",
        r"\b(SUM|AVG)\s*\([^()]*\)\s*/|/\s*(SUM|AVG)\s*\(",
        "SELECT a / SUM(b) FROM t",
        "SELECT SUM(a) / 100 FROM t",
    ),
    deny("LEN", r"\b(LEN|OCTET_LENGTH)\s*\(", "SELECT LEN(a) FROM t"),
    deny(
        "hashes that differ",
        r"\b(FARMFINGERPRINT64|FNV_HASH|CRC32|CHECKSUM)\s*\(",
        "SELECT FNV_HASH(a) FROM t",
        "SELECT FARMFINGERPRINT64(a) FROM t",
    ),
    deny("RATIO_TO_REPORT", r"\bRATIO_TO_REPORT\b", "SELECT RATIO_TO_REPORT(a) OVER () FROM t"),
    deny(
        "SUPER, PartiQL and sketches",
        r"\bSUPER\b|\w\[\d|\bOBJECT\s*\(|\bHLL|\bJSON_\w+\s*\(|\bUNNEST\b",
        "CREATE TABLE t (a SUPER)",
        "SELECT a[0] FROM t",
        "SELECT OBJECT('a', 1)",
        "SELECT HLL(a) FROM t",
        "SELECT JSON_EXTRACT_PATH_TEXT(a, 'b') FROM t",
    ),
    deny(
        "text functions that differ",
        r"\b(CONCAT|REGEXP_\w+|STRTOL|ISNULL|LISTAGG|INITCAP|NVL2|DECODE)\s*\(",
        "SELECT CONCAT(a, b) FROM t",
        "SELECT REGEXP_REPLACE(a, 'b', 'c') FROM t",
        "SELECT LISTAGG(DISTINCT a, ',') FROM t",
        "SELECT STRTOL(a, 16) FROM t",
    ),
    deny(
        "a key in a column's line",
        r"^\s+\w+ .*\b(SORTKEY|DISTKEY)\b",
        "CREATE TABLE t (\n    a INTEGER SORTKEY\n)",
        "CREATE TABLE t (\n    a INTEGER NOT NULL DISTKEY,\n    b INTEGER\n)",
    ),
    deny(
        "DISTSTYLE KEY without its key",
        r"\bDISTSTYLE\s+KEY\b(?![\s\S]*\bDISTKEY\s*\()",
        "CREATE TABLE t (\n    a INTEGER\n)\nDISTSTYLE KEY",
    ),
    deny(
        "commits, or cannot be in a transaction",
        r"\bTRUNCATE\b|\bVACUUM\b|\bAPPEND\s+FROM\b|\A\s*(COMMIT|ROLLBACK|BEGIN|END)\b",
        "TRUNCATE t",
        "VACUUM t",
        "ALTER TABLE t APPEND FROM u",
        "COMMIT",
    ),
    deny("MERGE", r"\bMERGE\b", "MERGE INTO t USING u ON t.a = u.a REMOVE DUPLICATES"),
    deny(
        "WITH before a change",
        r"\A\s*WITH\b[\s\S]*\b(INSERT|UPDATE|DELETE)\b",
        "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
        "WITH a AS (SELECT 1)\nDELETE FROM t USING a",
    ),
    deny("SET of several columns at once", r"\bSET\s*\(", "UPDATE t SET (a, b) = (1, 2)"),
    deny(
        "several columns added at once",
        r"\bADD\s+(COLUMN\b)?[^;]*,\s*ADD\b",
        "ALTER TABLE t ADD COLUMN a INTEGER, ADD COLUMN b INTEGER",
    ),
    deny("a savepoint", r"\bSAVEPOINT\b", "SAVEPOINT a", "ROLLBACK TO SAVEPOINT a"),
    deny("an index", r"\bINDEX\b", "CREATE INDEX i ON t (a)"),
    deny("a sequence", r"\bSEQUENCE\b|\bNEXTVAL\b|\bSERIAL\b", "CREATE SEQUENCE s"),
    deny("IDENTITY", r"\bIDENTITY\b", "CREATE TABLE t (a BIGINT IDENTITY(1, 1))"),
    deny(
        "a constraint that is not enforced, or not known",
        r"\bPRIMARY\s+KEY\b|\bUNIQUE\b|\bREFERENCES\b|\bFOREIGN\b|\bCHECK\s*\(",
        "CREATE TABLE t (a INTEGER PRIMARY KEY)",
        "CREATE TABLE t (a INTEGER, UNIQUE (a))",
        "CREATE TABLE t (a INTEGER REFERENCES u (a))",
        "CREATE TABLE t (a INTEGER CHECK (a > 0))",
    ),
    deny("ON CONFLICT", r"\bON\s+CONFLICT\b", "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"),
    deny("RETURNING", r"\bRETURNING\b", "DELETE FROM t RETURNING a"),
    deny("DISTINCT ON", r"\bDISTINCT\s+ON\b", "SELECT DISTINCT ON (a) a, b FROM t"),
    deny(
        "aggregates of PostgreSQL",
        r"\b(ARRAY_AGG|STRING_AGG|JSON_AGG|BOOL_AND|BOOL_OR|EVERY)\s*\(",
        "SELECT STRING_AGG(a, ',') FROM t",
        "SELECT ARRAY_AGG(a) FROM t",
    ),
    deny("IS DISTINCT FROM", r"\bDISTINCT\s+FROM\b", "SELECT a IS NOT DISTINCT FROM b FROM t"),
    deny("FILTER", r"\bFILTER\s*\(", "SELECT COUNT(*) FILTER (WHERE a) FROM t"),
    deny("GENERATE_SERIES", r"\bGENERATE_SERIES\b", "SELECT * FROM GENERATE_SERIES(1, 3)"),
    deny("LATERAL", r"\bLATERAL\b", "SELECT * FROM t, LATERAL (SELECT 1) AS u"),
    deny(
        "a type that says no size",
        r"\b(VARCHAR|CHAR|CHARACTER VARYING|NVARCHAR|BPCHAR)\b(?!\s*\()|\bTEXT\b"
        r"|\b(NUMERIC|DECIMAL)\b(?!\s*\(\s*\d+\s*,)",
        "CREATE TABLE t (a VARCHAR)",
        "CREATE TABLE t (a TEXT)",
        "SELECT CAST(a AS DECIMAL) FROM t",
        "CREATE TABLE t (a NUMERIC(12))",
    ),
    deny(
        "the server's clock or chance",
        r"\b(SYSDATE|GETDATE|NOW|CURRENT_DATE|CURRENT_TIMESTAMP|TIMEOFDAY|RANDOM)\b",
        "SELECT GETDATE()",
        "SELECT SYSDATE",
        "SELECT * FROM t ORDER BY RANDOM()",
    ),
    deny(
        "system views and functions",
        r"\b(PG|SYS|STL|STV|SVL|SVV|SVCS)_\w+",
        "SELECT * FROM stl_load_errors",
        "SELECT PG_BACKEND_PID()",
    ),
    deny(
        "a literal without a type in a DISTINCT",
        r"\bSELECT\s+DISTINCT\b(?:(?!\bFROM\b)[\s\S])*?(?<!\()'(?:[^']|'')*'\s*(,|AS\b|\s+FROM\b)",
        "SELECT DISTINCT 'a', b FROM t",
        "SELECT DISTINCT b, '' AS value FROM t",
    ),
    deny("a $ parameter", r"\$\d", "SELECT $1"),
]
# What the engine may ask of Redshift alone.
ALLOWED_OWN = {"the server's clock or chance", "system views and functions"}


def bare(text: str) -> str:
    """Return a statement without comments and without the content of its literals."""
    text = re.sub(r"--[^\n]*", "", text)
    return re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", text)


def denied(text: str) -> set[str]:
    # The unit of EXTRACT may be quoted, so literals of one word are looked at without quotes too.
    words = re.sub(r"'(\w+)'", r"\1", re.sub(r"--[^\n]*", "", text))
    forms = (bare(text), bare(words))
    return {name for name, pattern, _ in DENIED if any(pattern.search(form) for form in forms)}


@cache
def rendered(name: str) -> str:
    return render(read_statement(name), VALUES)


def test_there_is_sql_to_look_at() -> None:
    assert len(NAMES) > 60
    assert len(CREATES) >= 15
    assert len(COPIES) == 2


@pytest.mark.parametrize(("rule", "example"), [(n, e) for n, _, es in DENIED for e in es])
def test_each_rule_finds_what_it_is_for(rule: str, example: str) -> None:
    assert rule in denied(example)


@pytest.mark.parametrize("name", NAMES)
def test_keeps_to_the_common_ground(name: str) -> None:
    allowed = ALLOWED_OWN if name.startswith(ENGINE_OWN) else set()
    assert denied(rendered(name)) <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_only_known_places_are_filled_in(name: str) -> None:
    text = re.sub(r"--[^\n]*", "", read_statement(name))
    assert {match[1] for match in _PLACEHOLDER.finditer(text)} <= VALUES.keys()
    assert not _PLACEHOLDER.search("".join(re.findall(r"--[^\n]*", read_statement(name))))


@pytest.mark.parametrize("name", NAMES)
def test_is_one_statement_without_a_semicolon(name: str) -> None:
    text = read_statement(name)
    assert ";" not in bare(text)
    assert name in RIGHTS or len(sqlglot.parse(rendered(name), read="redshift")) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RIGHTS])
def test_sqlglot_reads_it_as_redshift(name: str) -> None:
    (tree,) = sqlglot.parse(rendered(name), read="redshift")
    # What sqlglot does not understand it passes on as a command.
    assert not isinstance(tree, exp.Command) or bare(rendered(name)).lstrip().startswith("ANALYZE")


@pytest.fixture(scope="module")
def fluff() -> Linter:
    return Linter(dialect="redshift")


@pytest.mark.parametrize("name", NAMES)
def test_sqlfluff_reads_it_as_redshift(fluff: Linter, name: str) -> None:
    # sqlfluff does not know this clause of ANALYZE, nor default privileges of a role.
    text = rendered(name).replace(" PREDICATE COLUMNS", "")
    if "ALTER DEFAULT PRIVILEGES" in text:
        text = re.sub(r"\b(TO|FROM) ROLE\b", r"\1", text)
    parsed = fluff.parse_string(f"{text}\n")
    assert [str(violation) for violation in parsed.violations] == []


def test_sqlfluff_refuses_what_is_not_sql(fluff: Linter) -> None:
    assert fluff.parse_string("SELECT FROM WHERE FROM\n").violations


@pytest.mark.parametrize(
    "value",
    [5, "it's a \\ b", dt.date(2018, 11, 1), dt.datetime(2018, 11, 1, 2, 3, 4, 5), True, None],
    ids=repr,
)
@pytest.mark.parametrize("name", TRANSLATED)
def test_is_translated_once_for_all_values(name: str, value: object) -> None:
    """What is filled in after the translation means what it does when filled in before."""
    text = read_statement(name)
    values = dict.fromkeys(_PLACEHOLDER.findall(text), value)
    expected = translate(render(text, values))
    assert fill_in(translated(name), values).split() == expected.split()


def test_changed_statement_is_translated_on_the_spot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "analytics/top_songs/create"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / f"{name}.sql").write_text("CREATE TABLE t (a DOUBLE PRECISION) DISTSTYLE ALL")
    monkeypatch.setattr(statements, "SQL_ROOT", tmp_path)
    read_statement.cache_clear()
    try:
        assert translated(name).split() == ["CREATE", "TABLE", "t", "(", "a", "DOUBLE", ")"]
    finally:
        read_statement.cache_clear()


@pytest.mark.parametrize("name", CREATES)
def test_columns_are_read_as_a_parser_reads_them(name: str) -> None:
    (tree,) = sqlglot.parse(rendered(name), read="redshift")
    expected = tuple(
        Column(
            name=column.name,
            type=column.args["kind"].sql("redshift"),
            required=any(
                isinstance(constraint.kind, exp.NotNullColumnConstraint)
                for constraint in column.constraints
            ),
            description=_comment(name, column.name),
        )
        for column in tree.find_all(exp.ColumnDef)
    )
    assert expected
    assert read_columns(name) == expected


def _comment(name: str, column: str) -> str:
    (line,) = [
        line for line in read_statement(name).splitlines() if line.startswith(f"    {column} ")
    ]
    return line.partition("--")[2].strip()


@pytest.mark.parametrize("name", CREATES)
def test_every_column_is_described(name: str) -> None:
    assert [column.name for column in read_columns(name) if not column.description] == []


@pytest.mark.parametrize("name", [n for n in CREATES if not n.endswith("table_versions/create")])
def test_names_a_distribution(name: str) -> None:
    assert re.search(r"^(DISTSTYLE (ALL|EVEN)|DISTKEY \(\w+\))$", read_statement(name), re.M)


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("role", [VALUES["iam_role"], Keyword("default")])
def test_copy_says_what_it_has_to(name: str, role: str) -> None:
    text = render(read_statement(name), VALUES | {"iam_role": role})
    statement = parse_copy(text)
    assert statement.source == VALUES["manifest"]
    assert "MANIFEST" in statement.options
    assert statement.options["COMPUPDATE"] == statement.options["STATUPDATE"] == "OFF"
    assert statement.options["IAM_ROLE"] == role
    assert ("IAM_ROLE default" in text) is isinstance(role, Keyword)


@pytest.mark.parametrize("name", COPIES)
def test_copy_names_columns_of_its_landing_table(name: str) -> None:
    folder = Path(name).parent.as_posix()
    (tree,) = sqlglot.parse(rendered(f"{folder}/landing"), read="redshift")
    columns = [column.name for column in tree.find_all(exp.ColumnDef)]
    statement = parse_copy(rendered(name))
    left_out = [column for column in columns if column not in statement.columns]
    assert statement.target == tree.find(exp.Table).name
    # A listed column would be NULL where the object lacks it, so the stamp is left out.
    assert left_out in ([], ["source_file"])


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_readers_name_tables_that_exist(table) -> None:
    assert set(sources(table)) <= TABLES.keys()
