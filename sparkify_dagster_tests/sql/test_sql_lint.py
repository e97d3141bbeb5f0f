"""Every file in sql/ is Redshift's SQL, and keeps to what means the same on DuckDB."""

import datetime as dt
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlglot
from sqlfluff.core import Linter
from sqlglot import exp

from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse import statements
from sparkify_dagster.warehouse.columns import Column, is_view, read_columns
from sparkify_dagster.warehouse.copy_statement import parse_copy
from sparkify_dagster.warehouse.duckdb.dialect import fill_in, translate, translated
from sparkify_dagster.warehouse.statements import (
    _PLACEHOLDER,
    SQL_ROOT,
    Keyword,
    placed,
    read_statements,
    render,
    section_names,
    split,
)

FILES = sorted(
    path.relative_to(SQL_ROOT).with_suffix("").as_posix() for path in SQL_ROOT.rglob("*.sql")
)
FILES.remove("fragments")
# Sent to Redshift only, so that DuckDB's opinion does not count.
ENGINE_OWN = ("redshift", "access")
COMMON = [file for file in FILES if file not in ENGINE_OWN]
COPIES = [f"{table.file}/copy" for table in TABLES.values() if table.section("copy")]

# What callers fill in, by name.
VALUES = {
    "table_name": "songs",
    "sources": ("staging_events", "songs"),
    "taken_in": 5,
    "full_load_id": 2,
    "least_rows": 1,
    "load_id": 7,
    "first_day": dt.date(2018, 11, 1),
    "last_day": dt.date(2018, 11, 30),
    "load_version": "3f",
    "table_names": ("analytics.songs", "staging.songs"),
    "last_load_id": 7,
    "row_count": 9,
    "file_name": "song_data/A/B/C/TRABCDE128F0000000.json",
    "file_names": ("song_data/A/B/C/TRABCDE128F0000000.json",),
    "version": "5d41402abc4b2a76b9719d911017c592",
    "run_id": "0f0e8a52-6a3f-4f6f-93a4-0f6f4e3b8f6a",
    "loaded_at": "2018-11-01 00:00:00",
    "committed_at": "2018-11-01 00:00:00",
    "before": "2018-11-01 00:00:00",
    "since": "2018-11-01 00:00:00",
    "token": "3a",
    "source_file": "log_data/2018/11/2018-11-01-events.json",
    "manifest": "s3://bucket/manifests/1.manifest",
    "iam_role": "arn:aws:iam::123456789012:role/copy",
    "rows": "s3://bucket/manifests/1.rows.gz",
    "region": "eu-central-1",
    "last": "3a",
    "statements": None,
    "jsonpaths": "s3://bucket/log_json_path.json",
    "max_errors": 0,
    "role": Keyword("sparkify_analyst"),
    "user": Keyword('"ann"'),
    "tables": Keyword("analytics.songs, analytics.time"),
    "column": Keyword("first_name"),
    "relation": Keyword("analytics.songs"),
    "reference": Keyword("artist_id"),
    "other": Keyword("analytics.artists"),
    "other_key": Keyword("artist_id"),
    "key_column": Keyword("line_number"),
    "key_value": 7,
    "columns": Keyword("user_id, level"),
    "schemas": ("analytics", "staging"),
    "catalog": None,
    "names": ("staging.staging_events", "analytics.users"),
    "left_side": Keyword("production.analytics.users"),
    "right_side": Keyword("analytics.users"),
    "within": Keyword("1 = 1"),
    "keys": Keyword("user_id"),
    "selected": Keyword("user_id, MAX(level) AS left_level"),
    "values": Keyword("left_level, right_level"),
    "counts": Keyword("SUM(1) AS level"),
    "differs": Keyword("left_level = right_level"),
}


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
def rendered(name: str) -> tuple[str, ...]:
    return tuple(render(text, VALUES) for text in read_statements(name))


def sections(file: str) -> Iterator[tuple[str, str]]:
    """Yield each statement of a file, filled in, with the name of its section."""
    for name in section_names(file):
        for text in rendered(name):
            yield name, text


def is_right(name: str) -> bool:
    """Tell whether sqlglot knows its words only in part: roles and rights, which sqlfluff reads."""
    return name.startswith("access/") and not name.startswith("access/state_")


def test_there_is_sql_to_look_at() -> None:
    assert {table.file for table in TABLES.values()} <= set(FILES)
    assert len(COPIES) == 2


@pytest.mark.parametrize(("rule", "example"), [(n, e) for n, _, es in DENIED for e in es])
def test_each_rule_finds_what_it_is_for(rule: str, example: str) -> None:
    assert rule in denied(example)


@pytest.mark.parametrize("file", FILES)
def test_keeps_to_the_common_ground(file: str) -> None:
    allowed = ALLOWED_OWN if file in ENGINE_OWN else set()
    for name, text in sections(file):
        assert denied(text) <= allowed, name


def put_in_environment(node: exp.Expression) -> exp.Expression:
    """Do to a node of a syntax tree what an environment does to its text."""
    if isinstance(node, exp.Table) and node.catalog == "production":
        node.set("catalog", None)
    elif isinstance(node, exp.Table) and node.db in ("staging", "analytics"):
        node.set("db", exp.to_identifier(f"{node.db}_pr_42"))
    elif isinstance(node, exp.Create) and node.kind == "VIEW":
        node.set("no_schema_binding", True)
    return node


# Roles and rights are production's.
@pytest.mark.parametrize("file", [file for file in FILES if file != "access"])
def test_an_environment_changes_the_schemas_and_nothing_else(file: str) -> None:
    for name, text in sections(file):
        (tree,) = sqlglot.parse(text, read="redshift")
        (found,) = sqlglot.parse(placed(text, "pr_42"), read="redshift")
        if isinstance(tree, exp.Command):
            assert found.sql() == re.sub(r"(staging|analytics)\.", r"\1_pr_42.", tree.sql()), name
        else:
            expected = tree.transform(put_in_environment)
            assert found == expected, name
            assert found.sql("redshift") == expected.sql("redshift"), name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 'staging.a' -- staging.b", "SELECT 'staging.a' -- staging.b"),
        ("SELECT 1 FROM staging.a", "SELECT 1 FROM staging_pr_42.a"),
        ('SELECT 1 FROM "Analytics".a', "SELECT 1 FROM analytics_pr_42.a"),
        ("SELECT 1 FROM pr_7.staging.a", "SELECT 1 FROM staging_pr_7.a"),
        ("SELECT 1 FROM production.staging.a", "SELECT 1 FROM staging.a"),
        ("SELECT 1 FROM my_staging.a", "SELECT 1 FROM my_staging.a"),
        (
            "CREATE VIEW staging.a AS SELECT 1",
            "CREATE VIEW staging_pr_42.a AS SELECT 1\nWITH NO SCHEMA BINDING",
        ),
    ],
)
def test_schemas_are_told_from_other_words(text: str, expected: str) -> None:
    assert placed(text, "pr_42") == expected
    assert placed(text, "") == text


@pytest.mark.parametrize("file", [*FILES, "fragments"])
def test_every_line_is_part_of_a_statement_that_ends(file: str) -> None:
    """A section without its `;` at the end would lose its last statement without a word."""
    text = (SQL_ROOT / f"{file}.sql").read_text()
    for body in re.split(r"^-- name: .*\n", text, flags=re.MULTILINE)[1:]:
        ended = split(body)
        assert ended
        assert body.rstrip().endswith(";")
        assert "".join(body.split()) == "".join("".join(f"{part};" for part in ended).split())


@pytest.mark.parametrize("file", FILES)
def test_only_known_places_are_filled_in(file: str) -> None:
    for name in section_names(file):
        for text in read_statements(name):
            comments = "".join(re.findall(r"--[^\n]*", text))
            assert not _PLACEHOLDER.search(comments), name
            places = _PLACEHOLDER.findall(re.sub(r"--[^\n]*", "", text))
            assert set(places) <= VALUES.keys(), name


@pytest.mark.parametrize("file", FILES)
def test_nothing_constant_is_said_beside_a_subquery(file: str) -> None:
    """`FALSE OR day IN (SELECT ...)` is proven nowhere on Redshift, and keeps it from pruning."""
    for name, text in sections(file):
        assert not re.search(r"\b(TRUE|FALSE)\b", bare(text)), name


@pytest.mark.parametrize("file", FILES)
def test_sqlglot_reads_it_as_redshift(file: str) -> None:
    for name, text in sections(file):
        if not is_right(name):
            (tree,) = sqlglot.parse(text, read="redshift")
            # What sqlglot does not understand it passes on as a command.
            understood = not isinstance(tree, exp.Command)
            assert understood or bare(text).lstrip().startswith("ANALYZE"), name


@pytest.fixture(scope="module")
def fluff() -> Linter:
    return Linter(dialect="redshift")


@pytest.mark.parametrize("file", FILES)
def test_sqlfluff_reads_it_as_redshift(fluff: Linter, file: str) -> None:
    for name, text in sections(file):
        # sqlfluff does not know this clause of ANALYZE, nor default privileges of a role.
        known = text.replace(" PREDICATE COLUMNS", "")
        if "ALTER DEFAULT PRIVILEGES" in known:
            known = re.sub(r"\b(TO|FROM) ROLE\b", r"\1", known)
        found = fluff.parse_string(f"{known}\n").violations
        assert [str(violation) for violation in found] == [], name


def test_sqlfluff_refuses_what_is_not_sql(fluff: Linter) -> None:
    assert fluff.parse_string("SELECT FROM WHERE FROM\n").violations


@pytest.mark.parametrize(
    "value",
    [5, "it's a \\ b", dt.date(2018, 11, 1), dt.datetime(2018, 11, 1, 2, 3, 4, 5), None],
    ids=repr,
)
@pytest.mark.parametrize("file", COMMON)
def test_is_translated_once_for_all_values(file: str, value: object) -> None:
    """What is filled in after the translation means what it does when filled in before."""
    for name in section_names(file):
        if name not in COPIES:
            texts = read_statements(name)
            for text, kept in zip(texts, translated(name), strict=True):
                values = {
                    place: VALUES[place] if isinstance(VALUES[place], Keyword) else value
                    for place in _PLACEHOLDER.findall(text)
                }
                assert fill_in(kept, values).split() == translate(render(text, values)).split()


def test_changed_statement_is_translated_on_the_spot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "star/users/create"
    (tmp_path / "star").mkdir()
    text = "-- name: create\nCREATE TABLE t (a DOUBLE PRECISION) DISTSTYLE ALL;\n"
    (tmp_path / "star" / "users.sql").write_text(text)
    (tmp_path / "fragments.sql").touch()
    monkeypatch.setattr(statements, "SQL_ROOT", tmp_path)
    statements.clear()
    try:
        (found,) = translated(name)
        assert found.split() == ["CREATE", "TABLE", "t", "(", "a", "DOUBLE", ")"]
    finally:
        monkeypatch.undo()
        statements.clear()


def test_a_semicolon_in_a_comment_or_a_literal_ends_nothing() -> None:
    text = "-- a; b\nSELECT ';', 'it''s; \\'; x' /* ; */ FROM \"a;b\";\nSELECT 2; -- left over"
    assert split(text) == (text.partition(";\n")[0], "SELECT 2")


# --- what the CREATE statements say

TABLES_MADE = [
    name
    for file in COMMON
    for name in section_names(file)
    if re.search(r"/(create(_\w+)?|landing)$", name) and not is_view(name)
]
VIEWS_MADE = [table.create for table in TABLES.values() if table.is_view]


@pytest.mark.parametrize("name", TABLES_MADE)
def test_columns_are_read_as_a_parser_reads_them(name: str) -> None:
    (text,) = rendered(name)
    (tree,) = sqlglot.parse(text, read="redshift")
    expected = tuple(
        Column(
            name=column.name,
            type=column.args["kind"].sql("redshift"),
            required=any(
                isinstance(constraint.kind, exp.NotNullColumnConstraint)
                for constraint in column.constraints
            ),
            description=_comment(text, column.name),
        )
        for column in tree.find_all(exp.ColumnDef)
    )
    assert expected
    assert read_columns(name) == expected
    if not name.endswith("/landing"):
        assert all(column.description for column in expected)
        assert re.search(r"^(DISTSTYLE (ALL|EVEN)|DISTKEY \(\w+\))$", text, re.MULTILINE)


def _comment(text: str, column: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"    {column} ")]
    return line.partition("--")[2].strip()


@pytest.mark.parametrize("name", VIEWS_MADE)
def test_columns_of_a_view_are_those_it_selects(name: str) -> None:
    (tree,) = sqlglot.parse(rendered(name)[0], read="redshift")
    columns = read_columns(name)
    assert [column.name for column in columns] == tree.expression.named_selects
    assert all(column.type and column.description for column in columns)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_checks_are_the_columns_of_their_query(table: Table) -> None:
    (text,) = rendered(f"{table.file}/check")
    (tree,) = sqlglot.parse(text, read="redshift")
    assert [name for check in table.checks for name in check.columns] == tree.named_selects
    assert all(check.description.endswith(".") for check in table.checks)


# --- COPY


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("role", [VALUES["iam_role"], Keyword("default")])
def test_copy_says_what_it_has_to(name: str, role: str) -> None:
    (text,) = read_statements(name)
    text = render(text, VALUES | {"iam_role": role})
    statement = parse_copy(text)
    assert statement.source == VALUES["manifest"]
    assert "MANIFEST" in statement.options
    assert statement.options["COMPUPDATE"] == statement.options["STATUPDATE"] == "OFF"
    assert statement.options["IAM_ROLE"] == role
    assert ("IAM_ROLE default" in text) is isinstance(role, Keyword)


@pytest.mark.parametrize("name", COPIES)
def test_copy_names_columns_of_its_landing_table(name: str) -> None:
    (landing,) = rendered(f"{name.rpartition('/')[0]}/landing")
    (tree,) = sqlglot.parse(landing, read="redshift")
    columns = [column.name for column in tree.find_all(exp.ColumnDef)]
    statement = parse_copy(rendered(name)[0])
    left_out = [column for column in columns if column not in statement.columns]
    assert statement.target == tree.find(exp.Table).name
    # A listed column would be NULL where the object lacks it, so the stamp is left out.
    assert left_out in ([], ["source_file"])
