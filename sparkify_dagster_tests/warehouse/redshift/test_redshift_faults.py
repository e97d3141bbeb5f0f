"""Faults on the wire: the warehouse holds the old or the new state, and the message helps."""

import json
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.loading.schema import reset
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.warehouse.base import LoadError, WarehouseError
from sparkify_dagster.warehouse.redshift import connection
from sparkify_dagster_tests.redshift_double import Fault
from sparkify_dagster_tests.support.redshift_stage import (
    AWS_KEY,
    LAKE,
    PASSWORD,
    Stage,
    assert_same_tables,
    change,
    compared,
    duckdb_tables,
    events,
    load_all,
    s3_url,
    songs,
    stage,
    table,
)

__all__ = ["s3_url", "stage"]

CUTS = ("cut_before", "cut_mid", "cut_after")
THROTTLED = (
    "S3ServiceException:Please reduce your request rate.,Status 503,Error SlowDown,Rid ,ExtRid ,"
    "CanRetry 1"
)
DENIED = "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid ,ExtRid ,CanRetry 1"
INSERT_SONGS = "INSERT INTO analytics.songs"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "lake"
    write_sample_lake(folder, SampleSpec(days=2, events_per_day=20, songs=12, users=5))
    return folder


@pytest.fixture(scope="module")
def expected(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    return duckdb_tables(tmp_path_factory.mktemp("expected"), lake)


@pytest.fixture
def loaded(stage: Stage, lake: Path) -> Stage:
    """The table songs as it was loaded once: what the faults below meet."""
    stage.bucket.put_folder(lake)
    for step in (songs(stage.lake), table("songs")):
        change(stage.warehouse(), step)
    stage.double.statements.clear()
    return stage


def again(**changes: str) -> Callable[[Stage], Any]:
    return lambda stage: change(stage.warehouse(**changes), table("songs", full_refresh=True))


def fault(stage: Stage, when: Any, what: Any, **details: Any) -> Fault:
    found = Fault(when, what, **details)
    stage.double.faults.append(found)
    return found


def any_statement(_: str) -> bool:
    return True


def load_id(stage: Stage) -> int:
    """Return the number of the latest load of the table songs: each load adds one."""
    return int(dict(stage.rows("staging.ledger", "table_name, load_id"))["analytics.songs"])


# --- connections that are cut


@pytest.mark.parametrize("what", ["cut_before", "cut_mid"])
def test_a_cut_at_any_statement_is_made_up_for(
    loaded: Stage, expected: dict[str, list], what: Any
) -> None:
    warehouse = loaded.warehouse()
    change(warehouse, table("songs", full_refresh=True))  # the first forgets old commits, too
    loaded.double.statements.clear()
    change(warehouse, table("songs", full_refresh=True))
    texts = [one.text for one in loaded.double.statements]
    count = texts.index("commit") + 1
    before = load_id(loaded)
    assert count > 15
    for number in range(1, count + 1):
        loaded.double.faults.clear()
        cut = fault(loaded, any_statement, what, nth=number)
        change(warehouse, table("songs", full_refresh=True))
        assert cut.fired == 1
        assert loaded.rows("analytics.songs") == expected["analytics.songs"], texts[number - 1]
    # Every transaction took effect once.
    assert load_id(loaded) == before + count


@pytest.mark.parametrize("what", CUTS)
def test_a_cut_in_a_copy_is_made_up_for(
    stage: Stage, lake: Path, expected: dict[str, list], what: Any
) -> None:
    stage.bucket.put_folder(lake)
    cut = fault(stage, "COPY landing_events", what)
    cut_too = fault(stage, "INSERT INTO staging.staging_songs", what)
    load_all(stage.warehouse(), stage.lake)
    assert (cut.fired, cut_too.fired) == (1, 1)
    assert_same_tables(stage, expected)
    assert stage.bucket.keys("manifests/") == []
    assert len(stage.pauses) == 2


def test_a_transaction_that_is_tried_again_has_its_parts_still(stage: Stage, lake: Path) -> None:
    stage.bucket.put_folder(lake)
    cut = fault(stage, "INSERT INTO staging.staging_events", "cut_before")
    change(stage.warehouse(SPARKIFY_KEEP_MANIFESTS="true"), events(stage.lake))
    assert cut.fired == 1
    manifests = [key for key in stage.bucket.keys("manifests/") if key.endswith(".manifest")]
    first, second = (json.loads(stage.bucket.get(key))["entries"] for key in manifests)
    assert first == second
    assert len(stage.bucket.keys("manifests/")) == len(first) + 3  # with the JSONPaths


@pytest.mark.parametrize("what", CUTS)
def test_without_retries_the_old_state_stays(
    loaded: Stage, expected: dict[str, list], what: Any
) -> None:
    before = {name: loaded.rows(name) for name in compared()}
    fault(loaded, INSERT_SONGS, what)
    with pytest.raises(WarehouseError, match=r"sql/star/songs.sql, load: .*was lost"):
        again(REDSHIFT_RETRIES="0")(loaded)
    assert {name: loaded.rows(name) for name in compared()} == before
    assert "commit" not in {one.text for one in loaded.double.statements}
    again()(loaded)
    assert loaded.rows("analytics.songs") == expected["analytics.songs"]


def test_pauses_grow_and_differ(loaded: Stage) -> None:
    cuts = fault(loaded, INSERT_SONGS, "cut_before", times=6)
    again()(loaded)
    assert cuts.fired == 6
    for number, pause in enumerate(loaded.pauses):
        assert 0.5 * 2**number <= pause <= 2**number
    assert len({pause / 2**number for number, pause in enumerate(loaded.pauses)}) == 6


def test_in_the_end_the_fault_is_told(loaded: Stage) -> None:
    fault(loaded, INSERT_SONGS, "cut_before", times=100)
    with pytest.raises(WarehouseError, match="was lost"):
        again(REDSHIFT_RETRIES="2")(loaded)
    assert len(loaded.pauses) == 2


# --- commits that are not confirmed


@pytest.mark.parametrize(("what", "bodies"), [("cut_before", 2), ("cut_mid", 1), ("cut_after", 1)])
def test_a_lost_commit_is_looked_up(
    loaded: Stage, expected: dict[str, list], what: Any, bodies: int
) -> None:
    calls = []

    def body(session: Any) -> Any:
        calls.append(session)
        return table("songs", full_refresh=True)(session)

    before = load_id(loaded)
    cut = fault(loaded, "commit", what)
    result = change(loaded.warehouse(), body)
    assert cut.fired == 1
    assert result.changed
    assert len(calls) == bodies
    assert load_id(loaded) == before + 1
    assert loaded.rows("analytics.songs") == expected["analytics.songs"]
    # It looked while it held the lock, so that the lost transaction had come to its end.
    texts = [one.text for one in loaded.double.statements]
    looked = next(n for n, text in enumerate(texts) if "FROM staging.commits\nWHERE token" in text)
    assert "LOCK TABLE staging.load_lock" in texts[looked - 3 : looked]


@pytest.mark.parametrize(
    ("sqlstate", "message"), [("57P01", "terminating connection"), ("XX000", "1023")]
)
def test_a_refused_commit_is_looked_up_too(loaded: Stage, sqlstate: str, message: str) -> None:
    before = load_id(loaded)
    refusal = fault(loaded, "commit", "error", sqlstate=sqlstate, message=message)
    again()(loaded)
    assert refusal.fired == 1
    assert load_id(loaded) == before + 1


def test_an_outcome_that_cannot_be_looked_up_is_told(
    loaded: Stage, expected: dict[str, list]
) -> None:
    fault(loaded, "commit", "cut_after")
    fault(loaded, r"FROM staging.commits\s+WHERE token", "cut_before", times=100)
    with pytest.raises(WarehouseError, match=r"cannot be told. Run again") as caught:
        again(REDSHIFT_RETRIES="1")(loaded)
    assert "was lost" in str(caught.value)
    loaded.double.faults.clear()
    again()(loaded)
    assert loaded.rows("analytics.songs") == expected["analytics.songs"]


def test_old_commits_are_forgotten(loaded: Stage) -> None:
    def age(session: Any) -> None:
        session.run("UPDATE staging.commits SET committed_at = '2018-11-01 00:00:00'")

    loaded.warehouse().transaction(age, "test", "run-1")
    again()(loaded)
    # That of the ageing transaction itself, and the new one.
    assert len(loaded.rows("staging.commits")) == 2


# --- what the server answers


@pytest.mark.parametrize(
    ("when", "sqlstate", "message"),
    [
        (INSERT_SONGS, "XX000", "1023"),
        (INSERT_SONGS, "XX000", "1018"),
        (INSERT_SONGS, "40P01", "deadlock detected"),
        (
            INSERT_SONGS,
            "XX000",
            "could not complete because of conflict with concurrent transaction",
        ),
        (INSERT_SONGS, "XX000", "could not open relation with OID 1234567"),
        (INSERT_SONGS, "XX000", "table 1234567 dropped by concurrent transaction"),
        ("connect", "57P03", "the database system is starting up"),
        (INSERT_SONGS, "57P01", "terminating connection due to administrator command"),
    ],
)
def test_what_passes_is_waited_for(
    loaded: Stage, expected: dict[str, list], when: str, sqlstate: str, message: str
) -> None:
    refusals = fault(loaded, when, "error", sqlstate=sqlstate, message=message, times=3)
    again()(loaded)
    assert refusals.fired == len(loaded.pauses) == 3
    assert loaded.rows("analytics.songs") == expected["analytics.songs"]


def test_a_connection_refused_at_first_is_waited_for(loaded: Stage) -> None:
    closed = fault(loaded, "connect", "cut_before", times=2)
    again()(loaded)
    assert closed.fired == len(loaded.pauses) == 2


@pytest.mark.parametrize(
    ("sqlstate", "message", "help_"),
    [
        ("XX000", "Assert", "Assert"),
        ("XX000", "Value 1023 out of range", "1023 out of range"),
        ("42P01", 'relation "analytics.gone" does not exist', "does not exist"),
        ("42501", "permission denied for relation songs", "GRANT"),
        ("57014", "Query (7) canceled on user's request", "REDSHIFT_STATEMENT_TIMEOUT"),
    ],
)
def test_what_does_not_pass_fails_at_once(
    loaded: Stage, sqlstate: str, message: str, help_: str
) -> None:
    before = {name: loaded.rows(name) for name in compared()}
    refusal = fault(loaded, INSERT_SONGS, "error", sqlstate=sqlstate, message=message, times=9)
    with pytest.raises(WarehouseError) as caught:
        again()(loaded)
    assert refusal.fired == 1
    assert loaded.pauses == []
    assert help_ in str(caught.value)
    assert "sql/star/songs.sql, load: " in str(caught.value)
    assert {name: loaded.rows(name) for name in compared()} == before
    states = [one.text for one in loaded.double.statements]
    assert "rollback" in states
    assert "commit" not in states


def test_a_statement_past_its_time_is_told(loaded: Stage) -> None:
    slow = fault(loaded, INSERT_SONGS, "delay", seconds=30)
    with pytest.raises(WarehouseError, match=r"(?s)cancel.*REDSHIFT_STATEMENT_TIMEOUT"):
        again(REDSHIFT_STATEMENT_TIMEOUT="1")(loaded)
    assert slow.fired == 1
    loaded.double.faults.clear()
    again(REDSHIFT_STATEMENT_TIMEOUT="60")(loaded)


def test_a_server_that_falls_silent_is_given_up(
    loaded: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a second: less than the server itself allows.
    monkeypatch.setattr(connection, "_ANSWER_GRACE", -1.5)
    silent = fault(loaded, INSERT_SONGS, "delay", seconds=30)
    warehouse = loaded.warehouse(lock_timeout=2, REDSHIFT_STATEMENT_TIMEOUT="2")
    with pytest.raises(WarehouseError, match=r"has not answered for 0.5 s.*SVV_TRANSACTIONS"):
        change(warehouse, table("songs", full_refresh=True))
    assert silent.fired == 1
    assert loaded.pauses == []


class Interrupt(BaseException):
    """What ends a run from outside."""


def test_an_interrupted_run_commits_nothing(loaded: Stage) -> None:
    before = {name: loaded.rows(name) for name in compared()}

    def body(session: Any) -> None:
        table("songs", full_refresh=True)(session)
        raise Interrupt

    with pytest.raises(Interrupt):
        change(loaded.warehouse(), body)
    assert "commit" not in {one.text for one in loaded.double.statements}
    again()(loaded)
    assert loaded.rows("analytics.songs") == before["analytics.songs"]


# --- COPY and S3


def test_throttling_by_s3_is_waited_for(
    stage: Stage, lake: Path, expected: dict[str, list]
) -> None:
    stage.bucket.put_folder(lake)
    slow = fault(stage, "COPY landing_songs", "error", message=THROTTLED, times=2)
    change(stage.warehouse(), songs(stage.lake))
    assert slow.fired == len(stage.pauses) == 2
    assert stage.rows("staging.staging_songs") == expected["staging.staging_songs"]
    assert stage.bucket.keys("manifests/") == []


def test_access_denied_names_the_role(stage: Stage, lake: Path) -> None:
    stage.bucket.put_folder(lake)
    fault(stage, "COPY landing_songs", "error", message=DENIED)
    with pytest.raises(WarehouseError, match=r"(?s)REDSHIFT_IAM_ROLE needs s3:GetObject") as caught:
        change(stage.warehouse(), songs(stage.lake))
    assert "sql/staging/staging_songs.sql, copy: " in str(caught.value)
    assert stage.pauses == []


class LeakyLake(S3Lake):
    """Loses a file after it has been listed."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(LAKE)
        self._stage = stage
        self._name = name

    def read_jsonpaths(self) -> list[str]:
        self._stage.bucket.remove(self._name)
        return super().read_jsonpaths()


def test_a_file_that_vanishes_before_copy_fails_the_load(stage: Stage, lake: Path) -> None:
    stage.bucket.put_folder(lake)
    change(stage.warehouse(), events(stage.lake))
    before = {name: stage.rows(name) for name in compared()}
    name = sorted(lake.glob("log_data/*/*/*"))[1].relative_to(lake).as_posix()
    with pytest.raises(LakeError, match=r"gone.*run again"):
        change(stage.warehouse(), events(LeakyLake(stage, name), full_refresh=True))
    assert {name: stage.rows(name) for name in compared()} == before
    assert stage.pauses == []
    # Gone for good, the day loses its rows by the next run.
    result = change(stage.warehouse(), events(stage.lake))
    assert result.files_removed == 1


def test_a_failed_copy_leaves_the_old_state(
    stage: Stage, lake: Path, expected: dict[str, list]
) -> None:
    stage.bucket.put_folder(lake)
    load_all(stage.warehouse(), stage.lake)
    path = sorted(lake.glob("log_data/*/*/*"))[1]
    name = path.relative_to(lake).as_posix()
    stage.bucket.put(name, path.read_bytes() + b'\n{"ts": "x"}')
    with pytest.raises(LoadError):
        load_all(stage.warehouse(), stage.lake)
    assert_same_tables(stage, expected)
    assert stage.bucket.keys("manifests/") == []
    stage.bucket.put(name, path.read_bytes())
    load_all(stage.warehouse(), stage.lake)
    assert stage.rows("staging.staging_events") == expected["staging.staging_events"]


# --- runs that meet


def test_a_run_that_waits_too_long_is_told(loaded: Stage) -> None:
    def hold(session: Any) -> None:
        session.run("SELECT COUNT(*) FROM analytics.songs")
        with pytest.raises(WarehouseError, match=r"another run has held.*SPARKIFY_LOCK_TIMEOUT"):
            change(loaded.warehouse(lock_timeout=1), table("songs", full_refresh=True))

    change(loaded.warehouse(), hold)
    assert loaded.pauses == []


def test_a_reset_does_not_take_the_lock_from_those_who_wait(loaded: Stage) -> None:
    waited = []
    waiter = threading.Thread(
        target=lambda: waited.append(change(loaded.warehouse(600), table("songs")))
    )

    def body(session: Any) -> None:
        waiter.start()
        assert loaded.double.wait_for_waiter(20)
        reset(session)

    change(loaded.warehouse(), body)
    waiter.join()
    assert [result.changed for result in waited] == [True]
    assert loaded.pauses == []
    assert loaded.double.texts("EXISTS staging.load_lock CASCADE") == []


def test_nothing_is_sent_after_a_failed_copy(stage: Stage, lake: Path) -> None:
    stage.bucket.put_folder(lake)
    stage.bucket.put("log_data/2018/11/2018-11-01-events.json", b'{"ts": "x"}')

    def swallow(session: Any) -> None:
        with pytest.raises(LoadError):
            events(stage.lake)(session)
        session.run("CREATE TABLE staging.half (a INTEGER)")

    with pytest.raises(WarehouseError, match="the transaction has ended"):
        change(stage.warehouse(), swallow)
    assert stage.double.texts("staging.half") == []


# --- secrets


@pytest.mark.parametrize("when", ["connect", INSERT_SONGS, "commit"])
def test_no_fault_tells_a_secret(loaded: Stage, when: str) -> None:
    # A server that repeats what it was sent.
    fault(loaded, when, "error", sqlstate="28000", message=f"no entry for {PASSWORD}", times=9)
    with pytest.raises(WarehouseError) as caught:
        again(REDSHIFT_RETRIES="0")(loaded)
    told = "".join(traceback.format_exception(caught.value))
    assert AWS_KEY not in told
    assert PASSWORD not in told
