"""The Redshift double, proved with the unmodified driver: what layer 3 and 4 tests rest on."""

import gzip
import hashlib
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import boto3
import pytest
import redshift_connector
from moto.server import ThreadedMotoServer
from redshift_connector.error import InterfaceError

from sparkify_dagster_tests.redshift_double import Fault, RedshiftDouble

from .conftest import Connect
from .support import refused, rows, run

ROLE = "arn:aws:iam::123456789012:role/load"
BUCKET = "double-lake"
REGION = "us-west-2"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(s3_url: str) -> Any:
    resource = boto3.resource(
        "s3",
        endpoint_url=s3_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return resource.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )


@pytest.fixture
def s3(bucket: Any) -> Any:
    bucket.objects.delete()
    return bucket


@pytest.fixture
def double(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftDouble]:
    with RedshiftDouble(s3_endpoint=s3_url, region=REGION) as running:
        monkeypatch.setenv("SSL_CERT_FILE", running.ca_file)
        yield running
    left = [t.name for t in threading.enumerate() if t.name.startswith(("session-", "redshift-"))]
    assert left == []


@pytest.fixture
def connect(double: RedshiftDouble) -> Iterator[Connect]:
    opened: list[redshift_connector.Connection] = []

    def open_connection(*, autocommit: bool = False, **changes: Any) -> Any:
        arguments = {
            "host": double.host,
            "port": double.port,
            "user": double.user,
            "password": double.password,
            "database": double.database,
            "sslmode": "verify-full",
        }
        connection = redshift_connector.connect(**{**arguments, **changes})
        connection.autocommit = autocommit
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        if connection._sock is not None:
            connection.close()


def put(s3: Any, key: str, content: Any) -> str:
    if isinstance(content, list):
        content = "\n".join(json.dumps(row) for row in content)
    s3.put_object(Key=key, Body=content.encode() if isinstance(content, str) else content)
    return f"s3://{BUCKET}/{key}"


def manifest(s3: Any, key: str, *urls: str, mandatory: bool = True) -> str:
    entries = [{"url": url, "mandatory": mandatory} for url in urls]
    return put(s3, key, json.dumps({"entries": entries}))


# -- start-up -----------------------------------------------------------------------------


def test_the_driver_speaks_binary_protocol_and_sees_version_8(connect: Connect) -> None:
    connection = connect()
    assert connection._client_protocol_version == 2
    assert (b"server_version", b"8.0.2") in connection.parameter_statuses


@pytest.mark.parametrize("version", [0, 1])
def test_older_protocols_give_the_same_values(connect: Connect, version: int) -> None:
    connection = connect(client_protocol_version=version)
    result = rows(connection, "SELECT 12.50::NUMERIC(9,2), DATE '2018-11-01', NULL::NUMERIC, 'ü'")
    assert result == [(Decimal("12.50"), date(2018, 11, 1), None, "ü")]


def test_a_wrong_password_or_user_is_28000(double: RedshiftDouble, connect: Connect) -> None:
    for changes in ({"password": "wrong"}, {"user": "nobody"}):
        fields = refused(lambda changes=changes: connect(**changes))
        assert fields["C"] == "28000"
        assert fields["S"] == "FATAL"
        assert "password authentication failed" in fields["M"]


def test_further_users_may_log_in(double: RedshiftDouble, connect: Connect) -> None:
    double.passwords["IAM:loader"] = None
    connection = connect(user="IAM:loader", password="whatever was issued")
    assert rows(connection, "SELECT current_user") == [("IAM:loader",)]


def test_an_unknown_database_is_3d000(connect: Connect) -> None:
    assert refused(lambda: connect(database="nosuch"))["C"] == "3D000"


def test_tls_needs_the_authority(
    double: RedshiftDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(InterfaceError, match="communication error") as caught:
        connect()
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.args[1])


def test_verify_full_checks_the_name_and_verify_ca_does_not(connect: Connect) -> None:
    with pytest.raises(InterfaceError) as caught:
        connect(host="localhost")
    assert "Hostname mismatch" in str(caught.value.args[1])
    assert rows(connect(host="localhost", sslmode="verify-ca"), "SELECT 1") == [(1,)]


def test_a_connection_without_tls_is_refused(connect: Connect) -> None:
    assert refused(lambda: connect(ssl=False))["C"] == "28000"


def test_without_tls_the_double_says_no_and_goes_on(connect: Connect) -> None:
    with RedshiftDouble(tls=False) as plain:
        with pytest.raises(InterfaceError, match="Server refuses SSL"):
            connect(port=plain.port)
        assert rows(connect(port=plain.port, ssl=False), "SELECT 1") == [(1,)]


def test_a_cancel_request_and_garbage_only_end_their_connection(
    double: RedshiftDouble, connect: Connect
) -> None:
    for packet in (
        (16).to_bytes(4, "big") + (80877102).to_bytes(4, "big") + bytes(8),
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection((double.host, double.port), timeout=5) as raw:
            raw.sendall(packet)
            raw.shutdown(socket.SHUT_WR)
            assert raw.recv(1) == b""
    assert rows(connect(), "SELECT 1") == [(1,)]


# -- values -------------------------------------------------------------------------------

TYPES = """
    CREATE TABLE kinds (
        a SMALLINT, b INTEGER, c BIGINT, d REAL, e DOUBLE PRECISION, f NUMERIC(18, 5),
        g NUMERIC(38, 10), h BOOLEAN, i CHAR(4), j VARCHAR(20), k DATE, l TIMESTAMP,
        m TIMESTAMPTZ, n TIME, o SUPER)
"""
VALUES = [
    -32768, 2**31 - 1, -(2**63), 1.5, 231.52281, Decimal("-218.93179"),
    Decimal("123456789012345678.0123456789"), True, "ab  ", "naïve 'x' \\ \n",
    date(1999, 12, 31), datetime(2018, 11, 1, 20, 57, 10, 796000),
    datetime(2018, 11, 1, 20, 57, 10, 796000, tzinfo=UTC),
    datetime(1, 1, 1, 23, 59, 58, 123000).time(), '{"a":[1,2]}',
]  # fmt: skip


def test_every_type_round_trips_with_nulls(connect: Connect) -> None:
    connection = connect()
    run(connection, TYPES)
    marks = ", ".join(["%s"] * len(VALUES))
    cursor = connection.cursor()
    cursor.execute(f"INSERT INTO kinds VALUES ({marks})", VALUES)
    cursor.execute(f"INSERT INTO kinds VALUES ({marks})", [None] * len(VALUES))
    assert cursor.rowcount == 1
    connection.commit()
    found = rows(connection, "SELECT * FROM kinds ORDER BY a")
    assert found == [tuple(VALUES), (None,) * len(VALUES)]
    assert [type(value) for value in found[0]] == [type(value) for value in VALUES]


def test_bound_parameters_of_every_width(connect: Connect) -> None:
    values = [0, 40000, 2**40, -7, 2.5, True, "x", Decimal("0.010"), date(2018, 11, 1)]
    found = rows(connect(), "SELECT " + ", ".join(["%s"] * len(values)), *values)
    assert found == [tuple(values)]


def test_a_prepared_statement_is_used_again_with_other_values(connect: Connect) -> None:
    connection = connect()
    assert [rows(connection, "SELECT %s + 1", n)[0][0] for n in (1, 2, 300)] == [2, 3, 301]


def test_result_columns_name_their_source(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE t (A INT NOT NULL, b VARCHAR(7))")
    cursor = run(connection, 'SELECT a AS "Total", b, COUNT(*) FROM t GROUP BY 1, 2')
    assert [column[0] for column in cursor.description] == ["total", "b", "count"]
    first, second, third = cursor.ps["row_desc"]
    assert (first["table_name"], first["column_name"], first["nullable"]) == (b"t", b"a", 0)
    assert second["type_modifier"] == 11
    assert third["table_name"] == b""


def test_fetch_dataframe(connect: Connect) -> None:
    frame = run(connect(), "SELECT 1 AS N, 2.5::NUMERIC(5, 2) AS d").fetch_dataframe()
    assert frame.to_dict("list") == {"n": [1], "d": [Decimal("2.50")]}


def test_a_large_result_arrives_whole(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE n (a INT)")
    run(connection, "INSERT INTO n VALUES " + ", ".join(f"({n})" for n in range(100)))
    sql = "SELECT x.a * 100 + y.a FROM n x CROSS JOIN n y ORDER BY 1"
    assert rows(connection, sql) == [(n,) for n in range(10_000)]


# -- semantics of Redshift that DuckDB does not share --------------------------------------


def scalar(connection: Any, expression: str) -> Any:
    return rows(connection, f"SELECT {expression}")[0][0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1541105830796::BIGINT / 1000", 1541105830),
        (
            "TIMESTAMP 'epoch' + 1541105830796::BIGINT / 1000 * INTERVAL '1 second'",
            datetime(2018, 11, 1, 20, 57, 10),
        ),
        (
            "TIMESTAMP 'epoch' + 1541105830796::BIGINT * INTERVAL '0.001 second'",
            datetime(2018, 11, 1, 20, 57, 10, 796000),
        ),
        (
            "DATEADD(ms, 1541105830796::BIGINT, TIMESTAMP 'epoch')",
            datetime(2018, 11, 1, 20, 57, 10, 796000),
        ),
        ("EXTRACT(weekday FROM DATE '2018-11-04')", 0),
        ("DATE_PART(week, DATE '2018-11-04')", 44),
        ("CAST('naïve' AS VARCHAR(3))", "na"),
        ("'a' || NULL", None),
        ("CONCAT('a', NULL)", None),
        ("'a_b' LIKE 'a\\\\_b'", True),
        ("'axb' LIKE 'a\\\\_b'", False),
        ("REGEXP_REPLACE('aaa', 'a', 'b')", "bbb"),
        ("MD5('Sparkify')", hashlib.md5(b"Sparkify").hexdigest()),
        ("STRPOS('abc', 'c')", 3),
        ("OCTET_LENGTH('é')", 2),
    ],
)
def test_expressions_follow_redshift(connect: Connect, expression: str, expected: Any) -> None:
    assert scalar(connect(), expression) == expected


def test_aggregates_over_integers(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE n (i INT, b BIGINT)", "INSERT INTO n VALUES (1, 1), (2, 2)")
    total, wide, mean = rows(connection, "SELECT SUM(i), SUM(b), AVG(i) FROM n")[0]
    assert (total, wide, mean) == (3, 3, 1)
    assert (type(total), type(wide)) == (int, Decimal)


def test_nulls_sort_as_the_greatest(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE n (a INT)", "INSERT INTO n VALUES (1), (NULL), (2)")
    assert rows(connection, "SELECT a FROM n ORDER BY a DESC") == [(None,), (2,), (1,)]
    ranked = "SELECT a, ROW_NUMBER() OVER (ORDER BY a DESC) FROM n ORDER BY 2"
    assert rows(connection, ranked)[0] == (None, 1)


REFUSED = [
    ("SELECT 1; SELECT 2", "42601"),
    ("SELEC 1", "42601"),
    ("SELECT DISTINCT ON (a) a FROM t", "0A000"),
    ("SELECT COUNT(*) FILTER (WHERE a > 1) FROM t", "0A000"),
    ("SELECT a IS DISTINCT FROM 1 FROM t", "0A000"),
    ("SELECT STRING_AGG(b, ',') FROM t", "0A000"),
    ("SELECT ARRAY_AGG(b) FROM t", "0A000"),
    ("SELECT * FROM (VALUES (1)) v", "0A000"),
    ("SELECT SUM(a) OVER (ORDER BY a) FROM t", "42601"),
    ("SELECT COUNT(DISTINCT a) OVER () FROM t", "0A000"),
    ("SELECT EXTRACT(epoch FROM SYSDATE)", "0A000"),
    ("INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING", "0A000"),
    ("INSERT INTO t VALUES (1, 'x') RETURNING a", "0A000"),
    ("WITH q AS (SELECT 1, 'x') INSERT INTO t SELECT * FROM q", "42601"),
    ("INSERT INTO t (a) SELECT b FROM t", "42804"),
    ("INSERT INTO t (nosuch) VALUES (1)", "42703"),
    ("INSERT INTO t (a, b) SELECT a FROM t", "42601"),
    ("CREATE TABLE IF NOT EXISTS c AS SELECT 1 AS a", "42601"),
    ("CREATE OR REPLACE TABLE c (a INT)", "42601"),
    ("CREATE TABLE c (a UUID)", "42704"),
    ("CREATE TABLE c (a INT) DISTSTYLE KEY", "42601"),
    ("CREATE TABLE c (a INT) SORTKEY (b)", "42703"),
    ("CREATE TABLE c (a INT CHECK (a > 1))", "42601"),
    ("CREATE INDEX i ON t (a)", "0A000"),
    ("SAVEPOINT s", "0A000"),
    ("VACUUM t", "25001"),
    ("ALTER TABLE t APPEND FROM t2", "25001"),
    ("SELECT nosuch FROM t", "42703"),
    ("SELECT * FROM nosuch", "42P01"),
    ("SELECT * FROM nosuch.t", "3F000"),
    ("SELECT nosuch(1)", "42883"),
    ("SELECT a, COUNT(*) FROM t", "42803"),
    ("SELECT 1 / 0", "22012"),
    ("SELECT 'x'::INT", "22P02"),
    ("SELECT 99999999999::INT", "22003"),
    ("INSERT INTO t VALUES (1, 'too long')", "22001"),
    ("INSERT INTO t VALUES (NULL, 'x')", "XX000"),
    ("CREATE TABLE t (a INT)", "42P07"),
    ("DROP TABLE nosuch", "42P01"),
    ("DROP TABLE v", "42809"),
    ("DROP TABLE t", "2BP01"),
    ("CREATE OR REPLACE VIEW v AS SELECT a, b AS c FROM t", "42P16"),
    ("SET nosuch TO 1", "42704"),
    ("GRANT SELECT ON t TO ROLE nosuch", "42704"),
    ("MERGE INTO t AS x USING t2 ON x.a = t2.a WHEN MATCHED THEN DELETE "
     "WHEN NOT MATCHED THEN INSERT VALUES (t2.a, t2.b)", "42601"),
    ("MERGE INTO t USING t2 ON t.a = t2.a WHEN MATCHED THEN DELETE", "42601"),
    ("MERGE INTO t USING (SELECT 1 AS a) s ON t.a = s.a WHEN MATCHED THEN DELETE "
     "WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)", "0A000"),
]  # fmt: skip


def test_a_statement_sent_again_heeds_what_has_changed(connect: Connect) -> None:
    connection = connect(autocommit=True)
    fill = "INSERT INTO words SELECT CAST(1 AS VARCHAR(5))"
    run(connection, "CREATE TABLE words (a VARCHAR(5))", fill, "DROP TABLE words")
    run(connection, "CREATE TABLE words (a INTEGER)")
    assert refused(lambda: run(connection, fill))["C"] == "42804"
    assert rows(connection, "SELECT SYSDATE") < rows(connection, "SELECT SYSDATE")


def test_what_redshift_refuses_is_refused(connect: Connect) -> None:
    connection = connect()
    run(
        connection,
        "CREATE TABLE t (a INT NOT NULL, b VARCHAR(3))",
        "CREATE TABLE t2 (a INT NOT NULL, b VARCHAR(3))",
        "CREATE VIEW v AS SELECT a, b FROM t",
    )
    connection.commit()
    answers = []
    for sql, _ in REFUSED:
        answers.append((sql, refused(lambda sql=sql: run(connection, sql))["C"]))
        connection.rollback()
    assert answers == REFUSED


# -- statements ---------------------------------------------------------------------------


def test_definitions_and_changes(connect: Connect) -> None:
    connection = connect()
    cursor = run(
        connection,
        "CREATE SCHEMA IF NOT EXISTS star",
        "CREATE SCHEMA IF NOT EXISTS star",
        """CREATE TABLE IF NOT EXISTS star.users (
               user_id INT NOT NULL, level VARCHAR(4) NOT NULL DEFAULT 'free',
               PRIMARY KEY (user_id))
           DISTSTYLE KEY DISTKEY (user_id) COMPOUND SORTKEY (user_id, level)""",
        "CREATE TABLE IF NOT EXISTS star.users (user_id INT)",
        "CREATE TEMP TABLE fresh (LIKE star.users)",
        "INSERT INTO star.users VALUES (1, 'free'), (2, 'free'), (2, 'free')",
        "INSERT INTO fresh VALUES (2, 'paid'), (3, 'paid')",
        "DELETE FROM star.users USING fresh WHERE star.users.user_id = fresh.user_id",
    )
    assert cursor.rowcount == 2
    run(connection, "INSERT INTO star.users (user_id) VALUES (2), (4)")
    run(
        connection,
        """MERGE INTO star.users USING fresh ON users.user_id = fresh.user_id
           WHEN MATCHED THEN UPDATE SET level = fresh.level
           WHEN NOT MATCHED THEN INSERT VALUES (fresh.user_id, fresh.level)""",
    )
    cursor = run(
        connection,
        "UPDATE star.users SET level = 'none' FROM fresh "
        "WHERE users.user_id = fresh.user_id AND fresh.user_id = 3",
    )
    assert cursor.rowcount == 1
    run(connection, "LOCK TABLE star.users", "ANALYZE star.users")
    result = rows(connection, "SELECT user_id, level FROM star.users ORDER BY 1")
    assert result == [(1, "free"), (2, "paid"), (3, "none"), (4, "free")]


def test_insert_select_with_common_tables_and_windows(connect: Connect) -> None:
    connection = connect()
    cursor = run(
        connection,
        "CREATE TABLE events (user_id INT, ts BIGINT, level VARCHAR(4))",
        "INSERT INTO events VALUES (1, 10, 'free'), (1, 20, 'paid'), (2, 5, NULL)",
        "CREATE TABLE users (user_id INT, level VARCHAR(4), start_time TIMESTAMP)",
        """INSERT INTO users
           WITH ranked AS (
               SELECT user_id, level, ts,
                      ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts DESC) AS n
               FROM events)
           SELECT r.user_id, COALESCE(r.level, 'free'),
                  TIMESTAMP 'epoch' + r.ts / 1000 * INTERVAL '1 second'
           FROM ranked r WHERE r.n = 1""",
    )
    assert cursor.rowcount == 2
    result = rows(connection, "SELECT user_id, level FROM users ORDER BY user_id")
    assert result == [(1, "paid"), (2, "free")]


def test_primary_keys_are_not_enforced(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE t (a INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (1)")
    assert rows(connection, "SELECT COUNT(*) FROM t") == [(2,)]


def test_the_catalog_gives_declared_types(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE t (a VARCHAR NOT NULL, b CHAR(2), c NUMERIC(9, 5), d SUPER)")
    assert rows(
        connection,
        "SELECT column_name, data_type, character_maximum_length, numeric_scale, is_nullable "
        "FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position",
    ) == [
        ("a", "character varying", 256, None, "NO"),
        ("b", "character", 2, None, "YES"),
        ("c", "numeric", None, 5, "YES"),
        ("d", "super", None, None, "YES"),
    ]
    tables = "SELECT table_schema, table_type FROM information_schema.tables WHERE table_name = 't'"
    assert rows(connection, tables) == [("public", "BASE TABLE")]


def test_a_name_may_begin_with_the_database(connect: Connect) -> None:
    connection = connect()
    run(
        connection,
        "CREATE SCHEMA s",
        'CREATE TABLE "dev"."s"."t" AS (SELECT 1 AS a)',
        'ALTER TABLE "dev"."s"."t" RENAME TO "u"',
    )
    assert rows(connection, "SELECT a FROM dev.s.u") == [(1,)]
    run(connection, 'DROP TABLE IF EXISTS "dev"."s"."u" CASCADE')
    assert refused(lambda: run(connection, "SELECT a FROM s.u"))["C"] == "42P01"


def test_views_hold_their_tables(connect: Connect) -> None:
    connection = connect(autocommit=True)
    run(
        connection,
        "CREATE SCHEMA s",
        "CREATE TABLE s.t (a INT)",
        "CREATE VIEW s.v AS SELECT a FROM s.t",
        "CREATE VIEW s.late AS SELECT a FROM s.t WITH NO SCHEMA BINDING",
    )
    assert refused(lambda: run(connection, "DROP TABLE s.t"))["C"] == "2BP01"
    assert refused(lambda: run(connection, "DROP SCHEMA s"))["C"] == "2BP01"
    run(connection, "DROP TABLE s.t CASCADE")
    views = "SELECT table_name FROM information_schema.tables WHERE table_schema = 's'"
    assert rows(connection, views) == [("late",)]
    run(connection, "DROP SCHEMA IF EXISTS s CASCADE", "DROP SCHEMA IF EXISTS s CASCADE")


def test_temporary_tables_belong_to_their_session(connect: Connect) -> None:
    first, second = connect(autocommit=True), connect(autocommit=True)
    run(first, "CREATE TEMP TABLE mine (a INT)", "INSERT INTO mine VALUES (1)")
    assert rows(first, "SELECT a FROM mine") == [(1,)]
    assert refused(lambda: run(second, "SELECT a FROM mine"))["C"] == "42P01"


def test_settings_follow_the_transaction(connect: Connect) -> None:
    connection = connect()
    run(connection, "SET query_group TO 'a run'")
    connection.commit()
    run(connection, "SET query_group TO 'another'", "CREATE SCHEMA star")
    run(connection, "CREATE TABLE star.t (a INT)", "SET search_path TO star, public")
    assert rows(connection, "SELECT COUNT(*) FROM t") == [(0,)]
    connection.rollback()
    assert rows(connection, "SHOW query_group") == [("a run",)]
    assert refused(lambda: run(connection, "SELECT COUNT(*) FROM t"))["C"] == "42P01"


def test_session_functions(connect: Connect) -> None:
    connection = connect()
    pid, version, copied, copy_id = rows(
        connection,
        "SELECT pg_backend_pid(), version(), pg_last_copy_count(), pg_last_copy_id()",
    )[0]
    assert isinstance(pid, int)
    assert "Redshift" in version
    assert (copied, copy_id) == (0, -1)


def test_privileges_are_checked_for_shape(double: RedshiftDouble, connect: Connect) -> None:
    connection = connect(autocommit=True)
    statements = [
        "CREATE SCHEMA star",
        "CREATE TABLE star.users (user_id INT, first_name VARCHAR(20))",
        "CREATE ROLE analyst",
        "CREATE USER reader PASSWORD DISABLE",
        "GRANT ROLE analyst TO reader",
        "GRANT USAGE ON SCHEMA star TO ROLE analyst",
        "GRANT SELECT ON ALL TABLES IN SCHEMA star TO ROLE analyst",
        "GRANT SELECT (user_id) ON star.users TO ROLE analyst",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA star GRANT SELECT ON TABLES TO ROLE analyst",
        "REVOKE ALL ON star.users FROM PUBLIC",
        "CREATE MASKING POLICY hide WITH (n VARCHAR(20)) USING ('***'::VARCHAR(20))",
        "ATTACH MASKING POLICY hide ON star.users (first_name) TO ROLE analyst PRIORITY 10",
        "DETACH MASKING POLICY hide ON star.users (first_name) FROM ROLE analyst",
        "DROP MASKING POLICY hide",
    ]
    run(connection, *statements)
    assert [s.text for s in double.statements] == statements
    assert refused(lambda: run(connection, "CREATE ROLE analyst"))["C"] == "42710"
    for wrong in ("GRANT FLY ON star.users TO PUBLIC", "GRANT SELECT star.users TO PUBLIC"):
        assert refused(lambda wrong=wrong: run(connection, wrong))["C"] == "42601"


# -- transactions -------------------------------------------------------------------------


def test_transaction_states(double: RedshiftDouble, connect: Connect) -> None:
    connection = connect()
    assert connection.in_transaction is False
    run(connection, "CREATE TABLE t (a INT)")
    assert connection.in_transaction is True
    connection.commit()
    assert connection.in_transaction is False
    run(connection, "INSERT INTO t VALUES (1)")
    fields = refused(lambda: run(connection, "SELECT nosuch FROM t"))
    assert {key: fields[key] for key in "SCM"} == {
        "S": "ERROR",
        "C": "42703",
        "M": 'column "nosuch" does not exist',
    }
    assert {"F", "L", "R"} <= set(fields)
    assert refused(lambda: run(connection, "SELECT 1"))["C"] == "25P02"
    connection.rollback()
    assert rows(connection, "SELECT COUNT(*) FROM t") == [(0,)]
    recorded = [(s.transaction, s.outcome) for s in double.statements if "FROM t" in s.text]
    assert recorded == [("T", "42703"), ("T", "SELECT")]


def test_commit_of_a_failed_transaction_rolls_back_without_an_error(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE t (a INT)")
    refused(lambda: run(connection, "SELECT nosuch"))
    connection.commit()
    assert connection.in_transaction is False
    assert refused(lambda: run(connection, "SELECT * FROM t"))["C"] == "42P01"


def test_uncommitted_work_is_not_seen_and_a_snapshot_stays(connect: Connect) -> None:
    writer, reader = connect(), connect()
    run(writer, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
    writer.commit()
    assert rows(reader, "SELECT COUNT(*) FROM t") == [(1,)]
    run(writer, "INSERT INTO t VALUES (2)")
    assert rows(reader, "SELECT COUNT(*) FROM t") == [(1,)]
    writer.commit()
    assert rows(reader, "SELECT COUNT(*) FROM t") == [(1,)]
    reader.commit()
    assert rows(reader, "SELECT COUNT(*) FROM t") == [(2,)]


def test_truncate_commits(connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE t (a INT)", "CREATE TABLE other (a INT)")
    run(connection, "INSERT INTO t VALUES (1)", "TRUNCATE t")
    connection.rollback()
    assert rows(connection, "SELECT COUNT(*) FROM t") == [(0,)]
    assert rows(connection, "SELECT COUNT(*) FROM other") == [(0,)]


def test_statements_that_run_alone(connect: Connect) -> None:
    connection = connect(autocommit=True)
    run(connection, "CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)", "INSERT INTO b VALUES (1)")
    run(connection, "VACUUM a", "ALTER TABLE a APPEND FROM b")
    assert rows(connection, "SELECT (SELECT COUNT(*) FROM a), (SELECT COUNT(*) FROM b)") == [(1, 0)]


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    return thread, answers


def test_a_writer_waits_and_then_sees_what_the_first_committed(
    double: RedshiftDouble, connect: Connect
) -> None:
    first, second = connect(), connect()
    run(first, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
    first.commit()
    run(first, "LOCK TABLE t", "UPDATE t SET a = a + 1")
    thread, answers = in_thread(
        lambda: run(second, "LOCK TABLE t", "UPDATE t SET a = a + 1").rowcount
    )
    assert double.wait_for_waiter(5)
    first.commit()
    thread.join(10)
    second.commit()
    assert answers == [1]
    assert rows(first, "SELECT a FROM t") == [(3,)]


def test_a_writer_with_an_old_snapshot_gets_1023(double: RedshiftDouble, connect: Connect) -> None:
    first, second = connect(), connect()
    run(first, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
    first.commit()
    assert rows(second, "SELECT a FROM t") == [(1,)]
    run(first, "UPDATE t SET a = 2")
    first.commit()
    fields = refused(lambda: run(second, "UPDATE t SET a = 3"))
    assert (fields["C"], fields["M"]) == ("XX000", "1023")
    assert fields["D"].startswith("Serializable isolation violation on table")


def test_a_deadlock_is_found(double: RedshiftDouble, connect: Connect) -> None:
    first, second = connect(), connect()
    run(first, "CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)")
    first.commit()
    run(first, "LOCK a")
    run(second, "LOCK b")
    thread, answers = in_thread(lambda: run(first, "LOCK b"))
    assert double.wait_for_waiter(5)
    assert refused(lambda: run(second, "LOCK a"))["C"] == "40P01"
    second.rollback()
    thread.join(10)
    assert len(answers) == 1


def test_statement_timeout_cancels(connect: Connect) -> None:
    connection = connect(autocommit=True)
    run(connection, "CREATE TABLE n (a BIGINT)")
    run(connection, "INSERT INTO n VALUES " + ", ".join(f"({n})" for n in range(1000)))
    run(connection, "SET statement_timeout TO 100")
    endless = "SELECT COUNT(*) FROM n a, n b, n c, n d WHERE a.a * b.a * c.a * d.a % 7 = 3"
    assert refused(lambda: run(connection, endless))["C"] == "57014"
    assert rows(connection, "SELECT 1") == [(1,)]


# -- COPY ---------------------------------------------------------------------------------

PATHS = {"jsonpaths": ["$['userId']", "$['firstName']", "$['length']", "$['ts']"]}
STAGING = """
    CREATE TABLE staging (
        user_id INT, first_name VARCHAR(5) NOT NULL, length DOUBLE PRECISION, ts BIGINT,
        loaded VARCHAR(8) DEFAULT 'now')
"""
LISTED = "(user_id, first_name, length, ts)"
GOOD = [
    {"userId": "7", "firstName": "Anna", "length": 231.52281, "ts": 1541105830796},
    {"userId": "", "firstName": "Zoë", "length": None, "ts": 1541105830797},
]


def copy(source: str, paths: str, *options: str, table: str = f"staging {LISTED}") -> str:
    given = " ".join(options)
    return f"COPY {table} FROM '{source}' IAM_ROLE '{ROLE}' FORMAT AS JSON '{paths}' {given}"


@pytest.fixture
def paths(s3: Any) -> str:
    return put(s3, "paths/log_json_path.json", json.dumps(PATHS))


@pytest.fixture
def loader(connect: Connect) -> Any:
    connection = connect()
    run(connection, STAGING)
    connection.commit()
    return connection


def errors(connection: Any) -> list[tuple[Any, ...]]:
    return rows(
        connection,
        "SELECT TRIM(file_name), line_number, TRIM(column_name), TRIM(column_type), error_code "
        "FROM sys_load_error_detail ORDER BY file_name, line_number",
    )


def test_copy_by_manifest_and_jsonpaths(s3: Any, paths: str, loader: Any) -> None:
    one = put(s3, "log/1.json", GOOD)
    two = put(s3, "log/2.json", [{**GOOD[0], "userId": "8"}])
    source = manifest(s3, "m/all.manifest", one, two)
    cursor = run(loader, copy(source, paths, "MANIFEST COMPUPDATE OFF STATUPDATE OFF"))
    assert cursor.rowcount == -1
    notice = loader.notices[-1]
    assert (notice[b"S"], notice[b"M"]) == (
        b"INFO",
        b"Load into table 'staging' completed, 3 record(s) loaded successfully.",
    )
    counted, query = rows(loader, "SELECT pg_last_copy_count(), pg_last_copy_id()")[0]
    assert counted == 3
    assert rows(loader, "SELECT * FROM staging ORDER BY user_id") == [
        (7, "Anna", 231.52281, 1541105830796, "now"),
        (8, "Anna", 231.52281, 1541105830796, "now"),
        (None, "Zoë", None, 1541105830797, "now"),
    ]
    files = "SELECT TRIM(file_name), lines_scanned FROM sys_load_detail WHERE query_id = %s"
    assert sorted(rows(loader, files, query)) == [(one, 2), (two, 1)]
    loader.rollback()
    assert rows(loader, "SELECT COUNT(*) FROM staging") == [(0,)]


def test_a_failed_copy_loads_nothing_and_lists_its_errors(s3: Any, paths: str, loader: Any) -> None:
    url = put(s3, "log/1.json", [GOOD[0], {**GOOD[0], "userId": "x1"}])
    pid = rows(loader, "SELECT pg_backend_pid()")[0][0]
    fields = refused(lambda: run(loader, copy(url, paths)))
    assert fields["C"] == "XX000"
    assert fields["M"] == (
        "Load into table 'staging' failed.  Check 'stl_load_errors' system table for details."
    )
    assert "code:      8001" in fields["D"]
    query = re.search(r"query: +(\d+)", fields["D"])
    assert query is not None
    loader.rollback()
    assert rows(loader, "SELECT COUNT(*) FROM staging") == [(0,)]
    assert rows(loader, "SELECT pg_last_copy_count()") == [(0,)]
    assert errors(loader) == [(url, 2, "user_id", "int4", 1207)]
    detail = rows(
        loader,
        "SELECT session, TRIM(filename), TRIM(raw_field_value), TRIM(err_reason), TRIM(raw_line) "
        "FROM stl_load_errors",
    )[0]
    assert detail[:4] == (pid, url, "x1", "Invalid digit, Value 'x', Pos 0, Type: Integer")
    assert json.loads(detail[4])["userId"] == "x1"
    listed = "SELECT COUNT(*) FROM {} WHERE {} = " + query[1]
    for view, column in (("sys_load_error_detail", "query_id"), ("stl_load_errors", "query")):
        assert rows(loader, listed.format(view, column)) == [(1,)]


BAD = [
    ({"firstName": "too long"}, "first_name", 1204),
    ({"firstName": None}, "first_name", 1213),
    ({"userId": "1.5"}, "user_id", 1207),
    ({"userId": 1.0}, "user_id", 1207),
    ({"userId": True}, "user_id", 1207),
    ({"userId": 3000000000}, "user_id", 1222),
    ({"length": "x"}, "length", 1208),
    ({"ts": "1541105830796.0"}, "ts", 1207),
    ({"length": 10**400}, "length", 1222),
    ({"firstName": ["Anna"]}, "first_name", 1216),
    ({"firstName": {"a": 1}}, "first_name", 1216),
]
# Of what follows an object AWS says no more than that a file is a set of objects or arrays.
MALFORMED = [
    '{"userId": 1',
    json.dumps(GOOD[0]) + "}",
    json.dumps(GOOD[0]) + " more",
    json.dumps(GOOD[0])[:-1] + ', "userId": "8"}',
    json.dumps(GOOD[0]).replace("Anna", "A\tna"),
]


def test_each_kind_of_bad_field_has_its_code(s3: Any, paths: str, loader: Any) -> None:
    lines = [json.dumps({**GOOD[0], **change}) for change, _, _ in BAD]
    lines += [*MALFORMED, json.dumps(GOOD[0])]
    url = put(s3, "log/1.json", "\n".join(lines))
    run(loader, copy(url, paths, "MAXERROR 100"))
    assert [(line, name, code) for _, line, name, _, code in errors(loader)] == [
        *((number, name, code) for number, (_, name, code) in enumerate(BAD, 1)),
        *((len(BAD) + number, "", 1216) for number, _ in enumerate(MALFORMED, 1)),
    ]
    assert rows(loader, "SELECT pg_last_copy_count()") == [(1,)]
    count = len(BAD) + len(MALFORMED)
    assert b"%d record(s) could not be loaded" % count in loader.notices[-1][b"M"]


def test_maxerror_counts_up_to_but_not_the_limit(s3: Any, paths: str, loader: Any) -> None:
    bad = {**GOOD[0], "userId": "x"}
    url = put(s3, "log/1.json", [bad, GOOD[0], bad])
    run(loader, copy(url, paths, "MAXERROR 3"))
    assert rows(loader, "SELECT COUNT(*) FROM staging") == [(1,)]
    assert "failed" in refused(lambda: run(loader, copy(url, paths, "MAXERROR AS 2")))["M"]
    loader.rollback()
    assert rows(loader, "SELECT COUNT(*) FROM staging") == [(0,)]


def test_parallel_slices_may_list_more_errors_than_one(s3: Any, paths: str, loader: Any) -> None:
    bad = {**GOOD[0], "userId": "x"}
    for number in (1, 2):
        put(s3, f"log/{number}.json", [bad, bad])
    refused(lambda: run(loader, copy(f"s3://{BUCKET}/log/", paths)))
    loader.rollback()
    assert [(line, code) for _, line, _, _, code in errors(loader)] == [(1, 1207), (1, 1207)]


def test_missing_files_of_a_manifest(s3: Any, paths: str, loader: Any) -> None:
    here, gone = put(s3, "log/1.json", GOOD), f"s3://{BUCKET}/log/gone.json"
    needed = manifest(s3, "m/needed", here, gone)
    fields = refused(lambda: run(loader, copy(needed, paths, "MANIFEST")))
    assert "Status 404,Error NoSuchKey" in fields["M"]
    loader.rollback()
    run(loader, copy(manifest(s3, "m/some", here, gone, mandatory=False), paths, "MANIFEST"))
    assert rows(loader, "SELECT pg_last_copy_count()") == [(2,)]
    nothing = manifest(s3, "m/none", gone, mandatory=False)
    assert refused(lambda: run(loader, copy(nothing, paths, "MANIFEST")))["C"] == "XX000"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (copy(f"s3://{BUCKET}/nosuch/", "auto"), "prefix 'nosuch/' does not exist"),
        (copy(f"s3://{BUCKET}/m", "auto", "MANIFEST"), "Problem reading manifest file"),
        (copy(f"s3://{BUCKET}/log/", f"s3://{BUCKET}/nopaths"), "Error NoSuchKey"),
        (copy(f"s3://{BUCKET}/log/", "auto", "REGION 'eu-west-1'"), "Status 301"),
        (copy("s3://no-such-bucket/", "auto"), "NoSuchBucket"),
        (copy(f"s3://{BUCKET}/log/", "auto", table="nosuch"), "nonexistent table"),
        (copy(f"s3://{BUCKET}/log/", "auto").replace(ROLE, "me"), "IAM role ARN"),
        (copy(f"s3://{BUCKET}/log/", "auto", "DELIMITER ','"), "not supported for COPY with JSON"),
        (copy(f"s3://{BUCKET}/log/", "auto", "FASTER"), "syntax error"),
        (copy(f"s3://{BUCKET}/log/", "auto", "GZIP"), "GZIP"),
    ],
)
def test_copy_that_cannot_start(s3: Any, loader: Any, sql: str, words: str) -> None:
    put(s3, "log/1.json", GOOD)
    fields = refused(lambda: run(loader, sql))
    assert words in fields["M"]
    assert fields["C"] in ("XX000", "42601")
    loader.rollback()
    failed = "SELECT MAX(query_id) FROM sys_query_history WHERE status = 'failed'"
    if "S3" in fields["M"] or "GZIP" in fields["M"]:
        assert f"query:     {rows(loader, failed)[0][0]}\n" in fields["D"]


def test_jsonpaths_are_positional_and_counted(s3: Any, loader: Any) -> None:
    source = put(s3, "log/1.json", GOOD[:1])
    short = put(s3, "short.json", json.dumps({"jsonpaths": ["$.userId"]}))
    message = refused(lambda: run(loader, copy(source, short)))["M"]
    assert "JSONPath size: 1, Number of columns in table or column list: 4" in message
    loader.rollback()
    swapped = put(s3, "swap.json", json.dumps({"jsonpaths": ["$.ts", "$.firstName"]}))
    run(loader, copy(source, swapped, table="staging (ts, first_name)"))
    assert rows(loader, "SELECT user_id, first_name, length, ts FROM staging") == [
        (None, "Anna", None, 1541105830796)
    ]


def test_auto_is_case_sensitive_and_a_listed_column_gets_null(s3: Any, connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE t (userid INT, song VARCHAR(20), at TIMESTAMP DEFAULT SYSDATE)")
    source = put(s3, "log/1.json", [{"userId": 5, "song": 1.10, "other": 1}])
    odd = put(s3, "odd.json", json.dumps({"jsonPaths": ["$.userId"]}))
    for option in ("auto", odd, "auto ignorecase"):
        run(connection, copy(source, option, table="t (userid, song)"))
    run(connection, copy(source, "auto", table="t"))
    found = rows(connection, "SELECT userid, song, at IS NULL FROM t ORDER BY 1, 3")
    assert found == [
        (5, "1.1000000000000001", False),
        (None, "1.1000000000000001", False),
        (None, "1.1000000000000001", False),
        (None, "1.1000000000000001", True),
    ]


def test_conversion_options(s3: Any, connect: Connect) -> None:
    connection = connect()
    run(connection, "CREATE TABLE t (a VARCHAR(4), b VARCHAR(4), c NUMERIC(6, 2), d TIMESTAMP)")
    record = {"a": "naïve", "b": " ", "c": 218.939, "d": 1541105830796}
    packed = gzip.compress(json.dumps(record).encode())
    source = put(s3, "packed", packed)
    options = "GZIP TRUNCATECOLUMNS BLANKSASNULL EMPTYASNULL TIMEFORMAT 'epochmillisecs'"
    run(connection, copy(source, "auto", options, table="t"))
    run(connection, copy(source, "auto", options, "ROUNDEC", table="t"))
    stamp = datetime(2018, 11, 1, 20, 57, 10, 796000)
    assert rows(connection, "SELECT * FROM t ORDER BY c") == [
        ("naï", None, Decimal("218.93"), stamp),
        ("naï", None, Decimal("218.94"), stamp),
    ]


def test_epochs_are_whole_numbers(s3: Any, connect: Connect) -> None:
    connection = connect(autocommit=True)
    run(connection, "CREATE TABLE t (a TIMESTAMP)")
    source = put(s3, "epochs", '{"a": 1541105830796.5}')
    for option in ("TIMEFORMAT 'epochmillisecs'", "TIMEFORMAT 'epochsecs'"):
        refused(lambda option=option: run(connection, copy(source, "auto", option, table="t")))
    assert {code for *_, code in errors(connection)} == {1206}


def test_invalid_bytes(s3: Any, connect: Connect) -> None:
    connection = connect(autocommit=True)
    run(connection, "CREATE TABLE t (a VARCHAR(9))")
    source = put(s3, "bytes", b'{"a": "x\xff\xfey"}')
    refused(lambda: run(connection, copy(source, "auto", table="t")))
    assert errors(connection)[0][4] == 1220
    run(connection, copy(source, "auto", "ACCEPTINVCHARS", table="t"))
    assert rows(connection, "SELECT a FROM t") == [("x??y",)]


def test_objects_may_span_lines_and_touch_each_other(s3: Any, paths: str, loader: Any) -> None:
    pretty = json.dumps(GOOD[0], indent=2)
    bad = json.dumps({**GOOD[0], "userId": "x"}, indent=2)
    source = put(s3, "log/1.json", "\ufeff" + pretty + pretty + "\n" + bad)
    run(loader, copy(source, paths, "MAXERROR 2"))
    lines = pretty.count("\n") + 1
    assert [error[1] for error in errors(loader)] == [3 * lines - 1]
    assert rows(loader, "SELECT pg_last_copy_count()") == [(2,)]


def test_a_copy_of_many_records_takes_seconds(s3: Any, paths: str, loader: Any) -> None:
    source = put(s3, "log/1.json", [{**GOOD[0], "ts": n} for n in range(15_000)])
    started = time.process_time()  # the double runs in this process; other work does not count
    run(loader, copy(source, paths))
    assert rows(loader, "SELECT COUNT(DISTINCT ts) FROM staging") == [(15_000,)]
    assert time.process_time() - started < 5


def test_a_rolled_back_copy_does_not_count_as_the_last(s3: Any, paths: str, loader: Any) -> None:
    source = put(s3, "log/1.json", GOOD)
    run(loader, copy(source, paths))
    first = rows(loader, "SELECT pg_last_copy_id()")
    loader.commit()
    run(loader, copy(source, paths))
    assert rows(loader, "SELECT pg_last_copy_id()") != first
    loader.rollback()
    assert rows(loader, "SELECT pg_last_copy_id()") == first


# -- monitoring ---------------------------------------------------------------------------


def test_query_history(connect: Connect) -> None:
    connection = connect()
    pid = rows(connection, "SELECT pg_backend_pid()")[0][0]
    connection.commit()
    run(connection, "SET query_group TO 'run 1'", "CREATE TABLE t (a INT)")
    refused(lambda: run(connection, "INSERT INTO t VALUES (1 / 0)"))
    connection.rollback()
    history = rows(
        connection,
        "SELECT TRIM(query_type), TRIM(status), TRIM(query_label), TRIM(error_message), "
        "elapsed_time >= execution_time, queue_time FROM sys_query_history "
        "WHERE session_id = %s AND query_type IN ('DDL', 'INSERT') ORDER BY query_id",
        pid,
    )
    assert history == [
        ("DDL", "success", "run 1", None, True, 0),
        ("INSERT", "failed", "run 1", "Divide by zero", True, 0),
    ]


def test_char_columns_of_the_views_are_padded(connect: Connect) -> None:
    (status,) = rows(connect(), "SELECT status FROM sys_query_history LIMIT 1")[0]
    assert len(status) == 10


def test_the_views_can_be_denied(double: RedshiftDouble, connect: Connect) -> None:
    double.denied_views.add("sys_query_history")
    fields = refused(lambda: run(connect(), "SELECT * FROM sys_query_history"))
    assert fields["C"] == "42501"
    assert fields["M"] == "permission denied for relation sys_query_history"


# -- faults -------------------------------------------------------------------------------


def lost(work: Callable[[], Any]) -> None:
    with pytest.raises(InterfaceError, match="server socket closed"):
        work()


@pytest.fixture
def table(double: RedshiftDouble, connect: Connect) -> Any:
    connection = connect(autocommit=True)
    run(connection, "CREATE TABLE t (a INT)")
    return lambda: double.rows("SELECT COUNT(*) FROM public.t")[0][0]


def test_a_cut_before_or_after_a_statement_rolls_the_transaction_back(
    double: RedshiftDouble, connect: Connect, table: Any
) -> None:
    for what in ("cut_before", "cut_after"):
        double.faults.append(Fault(r"VALUES \(2\)", what))
        connection = connect()
        run(connection, "INSERT INTO t VALUES (1)")
        lost(lambda connection=connection: run(connection, "INSERT INTO t VALUES (2)"))
        assert table() == 0
        assert double.faults[-1].fired == 1
        assert double.statements[-1].outcome == "cut"


def test_a_cut_after_a_statement_outside_a_transaction_leaves_its_effect(
    double: RedshiftDouble, connect: Connect, table: Any
) -> None:
    double.faults.append(Fault("INSERT", "cut_after"))
    lost(lambda: run(connect(autocommit=True), "INSERT INTO t VALUES (1)"))
    assert table() == 1


def test_a_cut_in_mid_answer(double: RedshiftDouble, connect: Connect, table: Any) -> None:
    double.faults.append(Fault("SELECT a FROM t", "cut_mid"))
    connection = connect()
    run(connection, "INSERT INTO t VALUES (1), (2), (3)")
    with pytest.raises(struct.error):  # the driver does not name this one a lost connection
        run(connection, "SELECT a FROM t")
    assert table() == 0


@pytest.mark.parametrize(("what", "kept"), [("cut_before", 0), ("cut_after", 1), ("cut_mid", 1)])
def test_a_cut_during_commit(
    double: RedshiftDouble, connect: Connect, table: Any, what: Any, kept: int
) -> None:
    double.faults.append(Fault("commit", what))
    connection = connect()
    run(connection, "INSERT INTO t VALUES (1)")
    lost(connection.commit)
    assert table() == kept


def test_1023_as_often_as_wanted(double: RedshiftDouble, connect: Connect, table: Any) -> None:
    double.faults.append(
        Fault("^INSERT", "error", detail="Serializable isolation violation on table - 1", times=2)
    )
    connection = connect()
    for _ in range(2):
        fields = refused(lambda: run(connection, "INSERT INTO t VALUES (1)"))
        assert (fields["C"], fields["M"]) == ("XX000", "1023")
        connection.rollback()
    run(connection, "INSERT INTO t VALUES (1)")
    connection.commit()
    assert table() == 1


def test_the_driver_calls_a_cut_at_its_first_statement_by_another_name(
    double: RedshiftDouble, connect: Connect
) -> None:
    double.faults.append(Fault("begin", "cut_before"))
    with pytest.raises(struct.error):  # it reads a connection's first answers in larger pieces
        run(connect(), "SELECT 1")


def test_comments_around_a_statement(double: RedshiftDouble, connect: Connect) -> None:
    sql = "/* run 1; /* nested */ */ SELECT 'a;b' AS x -- it's */ the end"
    assert rows(connect(), sql) == [("a;b",)]
    assert double.texts("run 1") == [sql]


def test_the_nth_match_and_a_predicate(
    double: RedshiftDouble, connect: Connect, table: Any
) -> None:
    connection = connect(autocommit=True)
    double.faults.append(
        Fault(lambda text: text.startswith("INSERT"), "error", "57P01", "shutting down", nth=2)
    )
    run(connection, "INSERT INTO t VALUES (1)")
    fields = refused(lambda: run(connection, "INSERT INTO t VALUES (2)"))
    assert (fields["C"], fields["M"]) == ("57P01", "shutting down")
    run(connection, "INSERT INTO t VALUES (3)")
    assert table() == 2


def test_an_error_at_commit_leaves_nothing_and_no_transaction(
    double: RedshiftDouble, connect: Connect, table: Any
) -> None:
    double.faults.append(Fault("commit", "error"))
    connection = connect()
    run(connection, "INSERT INTO t VALUES (1)")
    assert refused(connection.commit)["M"] == "1023"
    assert connection.in_transaction is False
    assert table() == 0


def test_faults_at_connect(double: RedshiftDouble, connect: Connect) -> None:
    double.faults += [
        Fault("connect", "cut_before"),
        Fault("connect", "cut_after", nth=2),
        Fault("connect", "error", "57P03", "the cluster is resuming", nth=3),
    ]
    with pytest.raises((InterfaceError, OSError)):
        connect()
    lost(connect)
    assert refused(connect)["M"] == "the cluster is resuming"
    assert rows(connect(), "SELECT 1") == [(1,)]


def test_a_delay_beyond_the_clients_patience(
    double: RedshiftDouble, connect: Connect, table: Any
) -> None:
    double.faults.append(Fault("INSERT", "delay", seconds=60))
    connection = connect(timeout=30)
    run(connection, "SELECT 1")
    connection._usock.settimeout(0.2)  # the same setting, made late: connecting may take longer
    with pytest.raises(OSError, match="timed out"):
        run(connection, "INSERT INTO t VALUES (1)")
    assert table() == 0


def test_a_delay_beyond_statement_timeout(
    double: RedshiftDouble, connect: Connect, table: Any
) -> None:
    double.faults.append(Fault("INSERT", "delay", seconds=60))
    connection = connect()
    run(connection, "SET statement_timeout TO 50")
    assert refused(lambda: run(connection, "INSERT INTO t VALUES (1)"))["C"] == "57014"


def test_a_client_that_vanishes_leaves_no_transaction_behind(
    double: RedshiftDouble, connect: Connect, table: Any
) -> None:
    gone = connect()
    run(gone, "LOCK TABLE t", "INSERT INTO t VALUES (1)")
    gone._usock.shutdown(socket.SHUT_RDWR)
    run(connect(), "LOCK TABLE t")
    assert table() == 0


def test_the_double_stops_while_sessions_run(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedshiftDouble(s3_endpoint=s3_url) as running:
        monkeypatch.setenv("SSL_CERT_FILE", running.ca_file)
        reached = threading.Event()
        running.faults.append(
            Fault(lambda text: text == "SELECT 2" and not reached.set(), "delay", seconds=60)
        )
        arguments: dict[str, Any] = {
            "host": running.host,
            "port": running.port,
            "user": running.user,
            "password": running.password,
            "database": running.database,
        }
        idle, busy = (redshift_connector.connect(**arguments) for _ in range(2))
        run(idle, "SELECT 1")
        thread, _ = in_thread(lambda: lost(lambda: run(busy, "SELECT 2")))
        assert reached.wait(5)
        started = time.monotonic()
    assert time.monotonic() - started < 30  # not the 60 s of the delay
    thread.join(5)
    assert not thread.is_alive()
    idle._usock.close()
    busy._usock.close()
    assert not os.path.exists(running.ca_file)
