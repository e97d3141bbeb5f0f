"""What the double counts, and the seconds its clock adds up."""

from typing import Any

import pytest
import redshift_connector

from sparkify_dagster_tests.redshift_double import Counts, Fault, Latency, RedshiftDouble
from sparkify_dagster_tests.redshift_double.faults import TRANSIENT
from sparkify_dagster_tests.redshift_double.meter import Meter

from .conftest import Connect
from .support import refused, rows, run


def test_counts_of_statements_sessions_and_commits(plain: RedshiftDouble, login: Connect) -> None:
    before = plain.counts
    connection = login()
    run(connection, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)", "SELECT a FROM t")
    connection.commit()
    run(connection, "SELECT a FROM t")
    connection.commit()  # wrote nothing
    run(connection, "INSERT INTO t VALUES (2)")
    connection.rollback()
    run(connection, "SELECT COUNT(*) FROM sys_query_history")
    done = plain.counts - before
    assert (done.sessions, done.commits, done.system_views, done.copies) == (1, 1, 1, 0)
    texts = [s.text for s in plain.statements]
    # With four BEGINs, two COMMITs and a ROLLBACK.
    assert done.statements == len(texts) == 13
    assert done.round_trips >= done.statements


def test_a_statement_alone_that_writes_commits(plain: RedshiftDouble, login: Connect) -> None:
    connection = login(autocommit=True)
    run(connection, "CREATE TABLE t (a INT)")
    before = plain.counts
    run(connection, "INSERT INTO t VALUES (1)", "SELECT a FROM t", "TRUNCATE t", "ANALYZE t")
    assert (plain.counts - before).commits == 2


def test_the_clock_adds_up_what_the_counts_say() -> None:
    latency = Latency(
        round_trip=1, login=10, commit=100, copy=1000, copy_bytes_per_second=2, system_view=10_000
    )
    meter = Meter(latency)
    for name, by in {"round_trips": 3, "sessions": 1, "commits": 1, "copies": 2}.items():
        meter.add(name, by)
    meter.add("copy_bytes", 8)
    meter.add("system_views")
    assert meter.clock == 3 + 10 + 100 + 2000 + 4 + 10_000
    assert Meter(None).clock == 0.0
    assert meter.counts == Counts(0, 1, 3, 2, 8, 1, 1)


def test_the_clock_runs_without_sleeping(plain: RedshiftDouble, login: Connect) -> None:
    before, counted = plain.clock, plain.counts
    login()
    trips = (plain.counts - counted).round_trips
    assert plain.clock - before == pytest.approx(0.3 + trips * 0.02)


@pytest.mark.parametrize("what", sorted(TRANSIENT))
def test_faults_that_pass(plain: RedshiftDouble, login: Connect, what: Any) -> None:
    connection = login()
    run(connection, "CREATE TABLE t (a INT)")
    connection.commit()
    plain.faults.append(Fault("^INSERT", what))
    fields = refused(lambda: run(connection, "INSERT INTO t VALUES (1)"))
    assert (fields["C"], fields["M"], fields.get("D", "")) == TRANSIENT[what]
    connection.rollback()
    run(connection, "INSERT INTO t VALUES (1)")
    connection.commit()
    assert rows(connection, "SELECT COUNT(*) FROM t") == [(1,)]


def test_a_cut_connection_is_no_commit(plain: RedshiftDouble, login: Connect) -> None:
    connection = login()
    run(connection, "CREATE TABLE t (a INT)")
    before = plain.counts
    plain.faults.append(Fault("commit", "cut_before"))
    with pytest.raises(redshift_connector.InterfaceError):
        connection.commit()
    assert (plain.counts - before).commits == 0
