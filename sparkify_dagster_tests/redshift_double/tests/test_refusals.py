"""What Redshift's parser and planner refuse, by AWS's pages and reports from real clusters."""

from typing import Any

import pytest

from sparkify_dagster_tests.redshift_double import RedshiftDouble

from .conftest import Connect
from .support import answer, refused, rows, run

TABLES = (
    "CREATE TABLE event (eventid INT, eventname VARCHAR(20), catid INT, day DATE)",
    "CREATE TABLE listing (listid INT, eventid INT, numtickets INT, name VARCHAR(20))",
    "CREATE TABLE sales (salesid INT, listid INT, eventid INT, qtysold INT, name VARCHAR(20))",
    "CREATE TABLE category (catid INT, catname VARCHAR(20))",
)


@pytest.fixture
def tickit(login: Connect) -> Any:
    connection = login()
    run(connection, *TABLES)
    connection.commit()
    return connection


# The first of each block of patterns are AWS's own examples (Correlated subqueries).
CORRELATION = [
    ("""SELECT eventname FROM event WHERE NOT EXISTS (SELECT * FROM listing WHERE NOT EXISTS
        (SELECT * FROM sales WHERE event.eventid = sales.eventid))""", "XX000"),
    ("""SELECT eventname FROM event e WHERE EXISTS
        (SELECT 1 FROM (SELECT eventid FROM sales WHERE eventid = e.eventid) s)""", "XX000"),
    ("""DELETE FROM event WHERE EXISTS (SELECT 1 FROM listing WHERE EXISTS
        (SELECT 1 FROM sales WHERE sales.eventid = event.eventid))""", "XX000"),
    ("""SELECT * FROM category LEFT JOIN event ON category.catid = event.catid AND eventid =
        (SELECT MAX(eventid) FROM sales WHERE sales.eventid = event.eventid)""", "XX000"),
    ("""SELECT * FROM category JOIN event ON category.catid = event.catid AND EXISTS
        (SELECT 1 FROM sales WHERE sales.eventid = event.eventid)""", "XX000"),
    ("""SELECT listid, qtysold FROM sales s WHERE qtysold NOT IN
        (SELECT SUM(numtickets) OVER () FROM listing l WHERE s.listid = l.listid)""", "XX000"),
    ("""SELECT listing.listid, (SELECT COUNT(sales.listid) FROM sales
        WHERE sales.listid = listing.listid) AS list FROM listing
        GROUP BY list, listing.listid""", "XX000"),
    ("""SELECT * FROM listing WHERE listid IN
        (SELECT SUM(qtysold) FROM sales WHERE numtickets > 4 GROUP BY salesid)""", "XX000"),
    ("""SELECT * FROM listing WHERE EXISTS (SELECT 1 FROM sales
        WHERE sales.listid = listing.listid GROUP BY salesid HAVING COUNT(*) > 1)""", "XX000"),
    ("""SELECT (SELECT name FROM sales WHERE sales.listid = listing.listid LIMIT 1)
        FROM listing""", "XX000"),
    ("""SELECT 1 FROM listing WHERE EXISTS (SELECT 1 FROM sales WHERE listid = listing.listid
        UNION ALL SELECT 1 FROM event WHERE eventid = listing.eventid)""", "XX000"),
    ("SELECT 1 FROM event LIMIT (SELECT 1)", "0A000"),
    # What the same page or its first example supports.
    ("""SELECT salesid, listid, SUM(qtysold) FROM sales s WHERE qtysold =
        (SELECT MAX(numtickets) FROM listing l WHERE s.listid = l.listid)
        GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 5""", ""),
    ("""SELECT 1 FROM event WHERE NOT EXISTS
        (SELECT 1 FROM sales WHERE sales.eventid = event.eventid)""", ""),
    ("""SELECT * FROM listing WHERE listid IN
        (SELECT MAX(qtysold) FROM sales WHERE numtickets > 4 GROUP BY salesid)""", ""),
    ("""SELECT 1 FROM event WHERE eventid IN (SELECT eventid FROM listing WHERE eventid IN
        (SELECT eventid FROM sales WHERE sales.listid = listing.listid))""", ""),
    ("""UPDATE event SET catid = 1 WHERE EXISTS
        (SELECT 1 FROM sales WHERE sales.eventid = event.eventid)""", ""),
]  # fmt: skip

JOINS = [
    ("SELECT 1 FROM event e FULL JOIN sales s ON e.eventid < s.eventid", "0A000"),
    ("SELECT 1 FROM event e FULL JOIN sales s ON e.eventid = s.eventid AND e.catid > 1", "0A000"),
    ("SELECT 1 FROM event e FULL JOIN sales s ON e.eventid = 1", "0A000"),
    ("SELECT 1 FROM event e FULL JOIN sales s ON TRUE", "0A000"),
    ("""SELECT 1 FROM event e FULL JOIN sales s
        ON e.eventid = s.eventid AND e.catid = s.listid""", ""),
    ("SELECT 1 FROM event FULL JOIN sales USING (eventid)", ""),
    ("SELECT 1 FROM event e LEFT JOIN sales s ON e.eventid < s.eventid", ""),
]  # fmt: skip

UNTYPED = [
    ("SELECT DISTINCT kind FROM (SELECT 'a' AS kind FROM event) q", "XX000"),
    ("SELECT kind FROM (SELECT 'a' AS kind FROM event) q ORDER BY kind", "XX000"),
    ("SELECT kind, COUNT(*) FROM (SELECT 'a' AS kind FROM event) q GROUP BY kind", "XX000"),
    ("SELECT kind, COUNT(*) FROM (SELECT 'a' AS kind FROM event) q GROUP BY 1", "XX000"),
    ("SELECT kind, COUNT(*) FROM (SELECT NULL AS kind FROM event) q GROUP BY 1", "XX000"),
    ("""SELECT ROW_NUMBER() OVER (PARTITION BY kind ORDER BY eventid)
        FROM (SELECT 'a' AS kind, eventid FROM event) q""", "XX000"),
    ("""SELECT ROW_NUMBER() OVER (ORDER BY kind)
        FROM (SELECT 'a' AS kind, eventid FROM event) q""", "XX000"),
    ("""WITH q AS (SELECT 'a' AS kind FROM event), r AS (SELECT kind FROM q)
        SELECT DISTINCT kind FROM r""", "XX000"),
    ("""SELECT kind FROM (SELECT 'a' AS kind) q UNION SELECT eventname FROM event""", "XX000"),
    ("SELECT 1 FROM (SELECT 'a' AS a, 'b' AS b) q WHERE a <> b", "XX000"),
    ("SELECT MIN(spend) FROM (SELECT NULL AS spend FROM event) q", "XX000"),
    ("INSERT INTO category SELECT 1, kind FROM (SELECT 'a' AS kind) q", "XX000"),
    ("SELECT DISTINCT kind FROM (SELECT 'a'::VARCHAR(4) AS kind FROM event) q", ""),
    ("SELECT DISTINCT 'a' AS kind FROM event ORDER BY 1", ""),
    ("SELECT kind FROM (SELECT 'a' AS kind FROM event) q", ""),
    ("SELECT 'a' AS kind FROM event UNION ALL SELECT 'b' FROM event", ""),
    ("SELECT DISTINCT k FROM (SELECT 'a' AS k FROM event UNION ALL SELECT 'b') q", ""),
    ("INSERT INTO category SELECT 1, 'a'", ""),
]  # fmt: skip

LEADER = [
    ("SELECT pg_backend_pid(), eventid FROM event", "0A000"),
    ("SELECT COUNT(*), pg_last_copy_count() FROM event", "0A000"),
    ("SELECT eventid FROM event WHERE eventid = (SELECT pg_backend_pid())", "0A000"),
    ("INSERT INTO event (eventid) SELECT pg_backend_pid()", "0A000"),
    ("CREATE TEMP TABLE pid AS SELECT pg_backend_pid() AS pid", "0A000"),
    ("SELECT CURRENT_TIMESTAMP, eventid FROM event", "0A000"),
    ("SELECT current_schema(), eventid FROM event", "0A000"),
    ("SELECT SUBSTR(eventname, 1, 2) FROM event", "0A000"),
    ("SELECT current_schema(), query_id FROM sys_query_history", "0A000"),
    ("SELECT 1 FROM event, information_schema.tables t WHERE t.table_name = 'event'", "0A000"),
    ("SELECT 1 FROM sys_query_history WHERE session_id = pg_backend_pid()", ""),
    ("SELECT current_schema(), nspname FROM pg_namespace", ""),
    ("SELECT pg_backend_pid(), current_schema()", ""),
    ("SELECT SUBSTRING(eventname, 1, 2), SYSDATE, GETDATE(), current_user FROM event", ""),
]


@pytest.mark.parametrize("table", [CORRELATION, JOINS, UNTYPED, LEADER])
def test_what_the_planner_refuses(tickit: Any, table: list[tuple[str, str]]) -> None:
    assert [(sql, answer(tickit, sql)) for sql, _ in table] == table


def test_the_words_are_a_real_clusters(tickit: Any) -> None:
    words = [
        (CORRELATION[0][0], "This type of correlated subquery pattern is not supported due to"),
        (JOINS[0][0], "FULL JOIN is only supported with merge-joinable join conditions"),
        (UNTYPED[0][0], 'failed to find conversion function from "unknown" to text'),
        (LEADER[0][0], "Specified types or functions (one per INFO message) not supported"),
    ]
    for sql, message in words:
        assert refused(lambda sql=sql: run(tickit, sql))["M"].startswith(message)
        tickit.rollback()


def test_a_search_path_names_schemas_that_exist(login: Connect) -> None:
    connection = login(autocommit=True)
    fields = refused(lambda: run(connection, "SET search_path TO analytics, public"))
    assert (fields["C"], fields["M"]) == ("3F000", 'schema "analytics" does not exist')
    run(connection, "CREATE SCHEMA analytics", "CREATE TABLE analytics.t (a INT)")
    run(connection, "SET search_path TO '$user', analytics, public")
    assert rows(connection, "SELECT COUNT(*) FROM t") == [(0,)]
    # A string is one name.
    assert refused(lambda: run(connection, "SET search_path TO 'analytics, public'"))["C"] == (
        "3F000"
    )
    run(connection, "SET search_path TO DEFAULT")
    assert refused(lambda: run(connection, "SELECT COUNT(*) FROM t"))["C"] == "42P01"


def test_an_external_table_is_not_made_in_a_transaction(login: Connect) -> None:
    sql = "CREATE EXTERNAL TABLE s.t (a INT) STORED AS PARQUET LOCATION 's3://b/'"
    assert refused(lambda: run(login(), sql))["C"] == "25001"


EXPLAINED = [
    ("EXPLAIN SELECT eventname, COUNT(*) FROM event GROUP BY 1", ""),
    ("EXPLAIN VERBOSE WITH q AS (SELECT 1 AS a) SELECT a FROM q", ""),
    ("EXPLAIN INSERT INTO category VALUES (1, 'x')", ""),
    ("EXPLAIN INSERT INTO category SELECT catid, catname FROM category", ""),
    ("EXPLAIN UPDATE category SET catname = 'x' FROM event WHERE event.catid = 1", ""),
    ("EXPLAIN DELETE FROM category USING event WHERE event.catid = category.catid", ""),
    ("EXPLAIN CREATE TEMP TABLE c AS SELECT catid FROM category", ""),
    ("EXPLAIN CREATE TABLE c (a INT)", "42601"),
    ("EXPLAIN COPY event FROM 's3://b/' IAM_ROLE 'x' FORMAT AS JSON 'auto'", "42601"),
    ("EXPLAIN TRUNCATE event", "42601"),
    ("EXPLAIN SELECT nosuch FROM event", "42703"),
    ("EXPLAIN INSERT INTO nosuch VALUES (1)", "42P01"),
    ("EXPLAIN DELETE FROM event WHERE nosuch = 1", "42703"),
    ("EXPLAIN " + CORRELATION[0][0], "XX000"),
]


def test_explain_checks_and_runs_nothing(tickit: Any) -> None:
    assert [(sql, answer(tickit, sql)) for sql, _ in EXPLAINED] == EXPLAINED
    plan = rows(tickit, "EXPLAIN INSERT INTO category SELECT 1, eventname FROM event ORDER BY 2")
    assert [line.split("(")[0].strip() for (line,) in plan] == [
        "XN Merge",
        "->  XN Seq Scan on event",
    ]
    assert rows(tickit, "SELECT COUNT(*) FROM category") == [(0,)]


def test_the_first_select_takes_the_snapshot_not_begin_or_lock(
    plain: RedshiftDouble, tickit: Any, login: Connect
) -> None:
    other = login(autocommit=True)
    for first in ("BEGIN", "LOCK TABLE category"):
        before = plain.rows("SELECT COUNT(*) FROM public.event")[0][0]
        run(tickit, first)
        run(other, "INSERT INTO event (eventid) VALUES (1)")
        assert rows(tickit, "SELECT COUNT(*) FROM event") == [(before + 1,)]
        run(other, "INSERT INTO event (eventid) VALUES (1)")
        assert rows(tickit, "SELECT COUNT(*) FROM event") == [(before + 1,)]
        tickit.commit()
