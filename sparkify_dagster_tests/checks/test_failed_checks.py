"""What a failed check says, and that what it advises helps."""

import html
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from sparkify_dagster.definitions import build_defs
from sparkify_dagster.loading.findings import find
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse that the whole job has filled, beside its lake."""
    folder = tmp_path_factory.mktemp("filled")
    lake = TinyLake(folder / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    lake.write_events(
        "2018-11-02",
        [event(itemInSession=number, ts=1541105830796 + number) for number in range(3)],
    )
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SPARKIFY_LAKE", str(lake.folder))
        patch.setenv("SPARKIFY_DUCKDB_PATH", str(folder / "w.duckdb"))
        assert _run(instance).success
    return folder / "w.duckdb"


@pytest.fixture
def warehouse(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "w.duckdb"
    shutil.copyfile(filled, path)
    monkeypatch.setenv("SPARKIFY_LAKE", str(filled.parent / "lake"))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(path))
    return path


def _run(instance: dg.DagsterInstance, **config: object) -> dg.ExecuteInProcessResult:
    return (
        build_defs(load_settings())
        .resolve_job_def("sparkify_etl")
        .execute_in_process(
            instance=instance,
            run_config={
                "ops": {name: {"config": fields} for name, fields in config.items()},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    )


def _failed(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{found.asset_key.to_user_string()}.{found.check_name}": found
        for found in result.get_asset_check_evaluations()
        if not found.passed and found.severity == dg.AssetCheckSeverity.ERROR
    }


def test_doubled_users_are_named_and_a_full_refresh_of_users_helps(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("INSERT INTO analytics.users FROM analytics.users")
        # As many rows as before: what counting notices is built anew unasked.
        connection.execute("DELETE FROM staging.user_days")
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            result = _run(instance)
            assert not result.success
            found = _failed(result)["users.unique_key"]
            assert str(found.metadata["first_found"].value).splitlines()[2:] == ["| 8 | 2 |"]
            assert "HAVING COUNT(*) > 1" in str(found.metadata["find_more"].value)
            assert "`sparkify run --rebuild users`" in str(found.description)
        assert _run(instance, users={"full_refresh": True}).success


def test_a_lake_at_the_ends_of_time_is_loaded_and_warned_of(warehouse: Path) -> None:
    lake = TinyLake(warehouse.parent / "ends")
    lake.write_songs("A/A/A/TR1", [song()])
    lake.write_events("0001-01-01", [event(sessionId=1, ts=-62_135_596_800_000)])
    lake.write_events("2018-11-02", [event(sessionId=2, ts=1_541_105_830)])  # seconds
    lake.write_events("9999-12-31", [event(sessionId=3, ts=253_402_300_799_999)])
    lake.write("log_data/2018/11/2018-11-31-events.json", b"{}")
    lake.write("sample.json", b'{"start": "0001-01-01", "end": "9999-12-31"}')
    warnings = {}
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SPARKIFY_LAKE", str(lake.folder))
        patch.setenv("SPARKIFY_DUCKDB_PATH", str(warehouse.parent / "ends.duckdb"))
        for found in _run(instance).get_asset_check_evaluations():
            if not found.passed:
                warnings[found.check_name] = found
    assert warnings.keys() == {"event_of_its_day", "known_names"}
    shown = str(warnings["event_of_its_day"].metadata["first_found"].value)
    assert shown.splitlines()[2:] == ["| 2018-11-02 | 2 | 0 | 1970-01-18 20:05:05.830000 |"]
    assert warnings["known_names"].metadata["names_not_taken"].value == 1
    assert "2018-11-31-events.json" in str(warnings["known_names"].description)


CASES = [
    (
        "users.key_not_null",
        "ALTER TABLE users ALTER user_id DROP NOT NULL; UPDATE users SET user_id = NULL",
        "|  | *** | *** | F | free |",
    ),
    ("users.level_domain", "UPDATE users SET level = 'gold'", "| 8 | gold |"),
    ("users.gender_domain", "UPDATE users SET gender = 'f'", "| 8 | f |"),
    ("songplays.user_id_in_users", "DELETE FROM users", "| 8 |"),
    ("songplays.artist_id_in_artists", "DELETE FROM artists", "| A1 |"),
    ("songplays.level_domain", "UPDATE songplays SET level = 'gold'", "| gold |"),
    ("time.covers_songplays", "DELETE FROM time", "| 2018-11-01 20:57:10.796000 |"),
    ("time.weekday_domain", "UPDATE time SET weekday = 7", "| 7 |"),
    ("staging_events.level_domain", "UPDATE staging_events SET level = 'gold'", "| gold |"),
    ("staging_events.gender_domain", "UPDATE staging_events SET gender = 'f'", "| f |"),
    ("daily_engagement.days_reconcile", "UPDATE daily_engagement SET plays = 9", "| 9 | 3 |"),
    ("catalogue_coverage.days_reconcile", "UPDATE catalogue_coverage SET plays = 9", "| 9 | 3 |"),
    (
        "level_changes.levels_reconcile",
        "INSERT INTO level_changes VALUES ('2018-11-02', '9', 'free', 'paid', 1, '2018-11-02', 0)",
        "| 9 | paid |",
    ),
    (
        "level_changes.plays_reconcile",
        "UPDATE songplays SET level = 'paid' WHERE songplay_id IN "
        "(SELECT MIN(songplay_id) FROM songplays)",
        "| 8 | free | paid |",
    ),
]


@pytest.mark.parametrize(("name", "fault", "row"), CASES, ids=[name for name, _, _ in CASES])
def test_a_failed_check_shows_the_rows(warehouse: Path, name: str, fault: str, row: str) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("SET search_path = 'analytics,staging'")
        connection.execute(fault)
    table, check = name.split(".")
    key = dg.AssetCheckKey(dg.AssetKey(table), check)
    job = dg.define_asset_job("one_check", dg.AssetSelection.checks(key))
    defs = dg.Definitions.merge(build_defs(load_settings()), dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("one_check").execute_in_process(
            instance=instance, raise_on_error=False
        )
    found = _failed(result)[name]
    shown = str(found.metadata["first_found"].value).splitlines()[2]
    assert row in html.unescape(shown)
    assert "LIMIT" not in str(found.metadata["find_more"].value)
    assert found.description


def test_nothing_is_shown_that_keeps_the_rule(warehouse: Path) -> None:
    def shown(table: str, check: str, *faults: str) -> list[Row]:
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute("SET search_path = 'analytics,staging'")
            for fault in faults:
                connection.execute(fault)
        facts = TABLES[table]
        (rule,) = (rule for rule in facts.checks if rule.name == check)
        engine = DuckDBWarehouse(warehouse, 5)
        return [*engine.read(lambda session: find(session, facts, rule), "test", "run").rows]

    users = "INSERT INTO users (user_id) VALUES ('9'), ('5'), ('5'), ('9'), ('7')"
    assert shown("users", "unique_key", users) == [("5", 2), ("9", 2)]
    plays = "UPDATE songplays SET songplay_id = CAST(item_in_session AS VARCHAR), artist_id = "
    faults = (
        "DELETE FROM artists",
        "ALTER TABLE artists ALTER artist_id DROP NOT NULL",
        "INSERT INTO artists (name) VALUES ('without an id')",
        f"{plays} CASE WHEN item_in_session <> 1 THEN 'A1' END",
    )
    found = shown("songplays", "artist_id_in_artists", *faults)
    assert found == [("0", "A1"), ("2", "A1")]
    known = "INSERT INTO artists (artist_id) VALUES ('A2')"
    of_known = f"{plays} CASE WHEN item_in_session = 1 THEN 'A1' ELSE 'A2' END"
    assert shown("songplays", "artist_id_in_artists", known, of_known) == [("1", "A1")]
