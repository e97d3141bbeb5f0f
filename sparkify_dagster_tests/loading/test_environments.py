"""Environments on both engines: shared with production until they differ, and never the reverse."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.cli.diff import run_diff
from sparkify_dagster.lake.base import Lake
from sparkify_dagster.loading.diff import Difference, compare
from sparkify_dagster.loading.environments import create, describe, load_all
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.loading.run_plan import plan_run
from sparkify_dagster.loading.schema import prepare, reset
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.base import Session, Warehouse, WarehouseError
from sparkify_dagster_tests.support.loads import stored_tables
from sparkify_dagster_tests.support.own_sql import edit
from sparkify_dagster_tests.support.redshift_stage import Stage, open_stage, s3_url  # noqa: F401
from sparkify_dagster_tests.support.state_engines import MirroredLake
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

DAYS = ("2018-11-01", "2018-11-02", "2018-11-03")


class Place:
    """Warehouses over one lake, on one engine."""

    def __init__(self, lake: TinyLake, variables: dict[str, str], stage: Stage | None) -> None:
        self.source = lake
        self.stage = stage
        self.lake: Lake = (
            MirroredLake(stage.bucket, lake.folder) if stage else _local(variables["SPARKIFY_LAKE"])
        )
        self.variables = variables

    def open(self, environment: str = "", **changes: str) -> Warehouse:
        variables = self.variables | {"SPARKIFY_ENVIRONMENT": environment} | changes
        return open_warehouse(load_settings(variables), variables)

    def run(self, environment: str = "") -> None:
        load_all(self.open(environment), self.lake, "run")

    def add_day(self, number: int, **fields: Any) -> None:
        moment = 1541030400000 + number * 86_400_000
        self.source.write_events(
            DAYS[number],
            [
                event(sessionId=number, itemInSession=0, ts=moment + 796, userId="8", **fields),
                event(sessionId=number, itemInSession=1, ts=moment + 5796, userId=str(number)),
            ],
        )

    def rows(self, environment: str = "") -> dict[str, list[Any]]:
        return self._read(environment, stored_tables())

    def _read(self, environment: str, names: list[str]) -> dict[str, list[Any]]:
        return _read(
            self.open(environment),
            lambda session: {
                name: sorted(session.run(f"SELECT * FROM {name}"), key=repr) for name in names
            },
        )

    def everything(self) -> dict[str, list[Any]]:
        """Return all that production has, its bookkeeping too."""
        ledger = [f"staging.{name}" for name in ("ledger", "load_changes", "loaded_files", "lakes")]
        return self.rows() | _read(
            self.open(),
            lambda session: {
                n: sorted(session.run(f"SELECT * FROM {n}"), key=repr) for n in ledger
            },
        )

    def notes(self, environment: str = "") -> dict[str, dict[str, list[Any]]]:
        """Return what stands in the bookkeeping of the events and of the songs."""
        names = ["ledger", "loaded_files", "lakes", "rejected_files", "rejected_lines"]
        columns = {"ledger": "loaded_at", "lakes": "lake", "loaded_files": "version"}
        return _read(
            self.open(environment),
            lambda session: {
                name: {
                    kind: sorted(
                        session.run(
                            f"SELECT {columns.get(name, 'file_name')} FROM staging.{name} "
                            f"WHERE table_name LIKE '%staging_{kind}'"
                        ),
                        key=repr,
                    )
                    for kind in ("events", "songs")
                }
                for name in names
            },
        )

    def own(self, environment: str) -> set[str]:
        return set(_read(self.open(environment), describe).own)

    def differences(self, environment: str) -> dict[str, Difference]:
        found = _read(self.open(environment), lambda one: compare(one, "production.", ""))
        return {one.table: one for one in found if one.rows or one.schema}


def _local(folder: str) -> Lake:
    from sparkify_dagster.lake.local import LocalLake

    return LocalLake(folder)


def _read(warehouse: Warehouse, body: Callable[[Session], Any]) -> Any:
    return warehouse.read(body, "test", "run")


@pytest.fixture(params=["duckdb", "redshift"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    with ExitStack() as stack:
        stage = None
        variables = {
            "SPARKIFY_LAKE": str(lake.folder),
            "SPARKIFY_DUCKDB_PATH": str(tmp_path / "warehouse.duckdb"),
        }
        if request.param == "redshift":
            address = request.getfixturevalue("s3_url")
            stage = stack.enter_context(open_stage(address, monkeypatch))
            variables = stage.environment()
        place = Place(lake, variables, stage)
        place.add_day(0)
        place.add_day(1, level="paid")
        place.run()
        yield place


def test_an_environment_begins_as_views_on_production(place: Place) -> None:
    before = place.everything()
    create(place.open("pr_1"), "pr_1")
    place.run("pr_1")
    assert place.own("pr_1") == set()
    assert place.rows("pr_1") == place.rows()
    assert place.everything() == before
    assert place.open().environments() == ["pr_1"]
    assert place.differences("pr_1") == {}


def test_a_table_that_new_data_changes_becomes_its_own(place: Place) -> None:
    create(place.open("pr_1"), "pr_1")
    before = place.everything()
    place.add_day(2, level="free")
    place.run("pr_1")
    assert place.everything() == before
    assert {"staging_events", "songplays", "users"} <= place.own("pr_1")
    assert not {"staging_songs", "songs", "artists"} & place.own("pr_1")
    assert place.differences("pr_1")["analytics.songplays"].only_right == 2
    place.run()
    assert place.rows("pr_1") == place.rows()


def test_what_production_has_loaded_since_is_seen(place: Place) -> None:
    create(place.open("pr_1"), "pr_1")
    place.open("pr_1").transaction(
        lambda session: refresh(session, TABLES["users"], True, "run"), "test", "run"
    )
    place.add_day(2, level="free")
    place.run()
    place.run("pr_1")
    assert place.own("pr_1") == {"users", "listener_demographics"}
    assert place.rows("pr_1") == place.rows()
    place.add_day(1, level="free")
    place.run()
    # Half way through a run of production, and no table of it behind.
    place.add_day(0, level="paid")
    place.run("pr_1")
    place.run()
    assert place.rows("pr_1") == place.rows()


def test_notes_of_own_tables_stay_whatever_production_has_loaded_since(place: Place) -> None:
    create(place.open("pr_1"), "pr_1")
    place.add_day(2)
    place.run("pr_1")
    place.source.write_songs("A/A/A/TR1", [song(title="other")])
    place.run()
    for side in ("", "pr_1"):
        by_hand(place, f"UPDATE staging.lakes SET lake = 'of {side}'", side)
        for table in ("staging_events", "staging_songs"):
            by_hand(
                place,
                "INSERT INTO staging.rejected_files VALUES "
                f"('{table}', 'of {side}', NULL, 1, '', 0, '', '', '2018-11-01')",
                side,
            )
            by_hand(
                place,
                "INSERT INTO staging.rejected_lines VALUES "
                f"('{table}', 'of {side}', 1, '', '', '', '', '2018-11-01')",
                side,
            )
    before, production = place.notes("pr_1"), place.notes()
    place.open("pr_1").transaction(prepare, "test", "run")
    after = place.notes("pr_1")
    for name in after:
        assert after[name]["events"] == before[name]["events"]
        assert after[name]["songs"] == production[name]["songs"] != before[name]["songs"]


def test_only_what_a_change_touches_is_built(place: Place, own_sql: Path) -> None:
    before = place.everything()
    create(place.open("pr_1"), "pr_1")
    users = own_sql / "star" / "users.sql"
    edit(users, "    gender,\n    level\nFROM (\n", "    gender,\n    UPPER(level)\nFROM (\n")
    settings = load_settings(place.variables | {"SPARKIFY_ENVIRONMENT": "pr_1"})
    plans = {one.table: one for one in plan_run(place.open("pr_1"), place.lake, settings)}
    assert "\n-  level\n+  UPPER(level)\n" in plans["analytics.users"].diff
    place.run("pr_1")
    assert place.own("pr_1") == {"users", "listener_demographics"}
    assert place.everything() == before
    found = place.differences("pr_1")
    assert found["analytics.users"].values == {"level": 3}
    example = found["analytics.users"].examples[0]
    assert (example.key, example.column) == ({"user_id": "0"}, "level")
    assert (example.left, example.right) == ("free", "FREE")
    assert place.rows("pr_1")["analytics.songplays"] == place.rows()["analytics.songplays"]


def test_a_new_column_is_built_beside_production(place: Place, own_sql: Path) -> None:
    create(place.open("pr_1"), "pr_1")
    users = own_sql / "star" / "users.sql"
    edit(
        users,
        "level VARCHAR(16)              -- free or paid, at the latest event",
        "level VARCHAR(16),             -- free or paid, at the latest event\n"
        "    is_paid INTEGER                -- 1 where the level is paid",
    )
    edit(users, "last_name, gender, level)", "last_name, gender, level, is_paid)")
    final = "level\nFROM (\n    SELECT\n        user_id,"
    edit(users, final, f"level,\n    1{final.removeprefix('level')}")
    place.run("pr_1")
    found = place.differences("pr_1")["analytics.users"]
    assert (found.schema, found.rows) == (["is_paid INTEGER is new"], 0)


def test_a_slice_of_the_lake_is_loaded(place: Place) -> None:
    before = place.everything()
    create(place.open("pr_1"), "pr_1", days=1)
    place.run("pr_1")
    found = place.rows("pr_1")
    assert len(found["staging.staging_events"]) == 2
    assert len(found["analytics.songplays"]) == 2
    assert "songs" not in place.own("pr_1")
    place.add_day(0, level="paid")  # before the slice
    place.run("pr_1")
    assert place.rows("pr_1") == found
    assert place.everything() == before


def test_dropped_it_leaves_nothing(place: Place) -> None:
    before = place.everything()
    create(place.open("pr_1"), "pr_1")
    with pytest.raises(WarehouseError, match="pr_1: is there already"):
        create(place.open("pr_1"), "pr_1")
    place.open("pr_1").demolish()
    assert place.open().environments() == []
    with pytest.raises(WarehouseError, match="no such environment"):
        place.run("pr_1")
    with pytest.raises(WarehouseError, match="no such environment"):
        place.rows("pr_1")
    assert place.open().environments() == []
    assert place.everything() == before


def test_an_environment_is_not_reset_and_keeps_production_from_nothing(place: Place) -> None:
    create(place.open("pr_1"), "pr_1")
    with pytest.raises(WarehouseError, match="is not emptied"):
        place.open("pr_1").transaction(reset, "test", "run")
    place.open().transaction(reset, "test", "run")
    place.run()
    place.run("pr_1")
    assert place.rows("pr_1") == place.rows()


@pytest.mark.parametrize(
    "lacking",
    ["DROP TABLE staging.loaded_files", "ALTER TABLE staging.ledger DROP COLUMN statements"],
)
def test_of_an_older_production_none_is_made(place: Place, lacking: str) -> None:
    by_hand(place, lacking)
    with pytest.raises(WarehouseError, match="its next run brings it over"):
        create(place.open("pr_1"), "pr_1")
    assert place.open().environments() == []


@pytest.mark.parametrize("place", ["redshift"], indirect=True)
def test_on_redshift_nothing_of_production_is_written(place: Place) -> None:
    assert place.stage
    sent = len(place.stage.double.statements)
    create(place.open("pr_1"), "pr_1")
    place.add_day(2)
    place.run("pr_1")
    place.open("pr_1").demolish()
    reads = re.compile(r"(--[^\n]*\n|\s)*(SELECT|SET|BEGIN|COMMIT|ROLLBACK|COPY|\Z)", re.IGNORECASE)
    written = re.compile(
        r"(--[^\n]*\n|\s)*(INSERT INTO|UPDATE|DELETE FROM|LOCK TABLE|DROP \w+|ANALYZE"
        r"|CREATE (TEMP )?(TABLE|VIEW|SCHEMA)( IF NOT EXISTS)?)\s+([\w.]+)",
        re.IGNORECASE,
    )
    temporary = r"\w+"
    for statement in place.stage.double.statements[sent:]:
        if not reads.match(statement.text):
            found = written.match(statement.text)
            assert found, statement.text
            assert re.fullmatch(rf"(staging|analytics)_pr_1(\.\w+)?|{temporary}", found[6])


@pytest.mark.parametrize("span_rows", [1_000_000, 1], ids=["at once", "in spans"])
def test_every_kind_of_difference_is_found(
    place: Place, monkeypatch: pytest.MonkeyPatch, span_rows: int
) -> None:
    monkeypatch.setattr("sparkify_dagster.loading.diff.SPAN_ROWS", span_rows)
    create(place.open("pr_1"), "pr_1")

    def change(session: Session) -> None:
        refresh(session, TABLES["songplays"], True, "run")
        session.run("UPDATE analytics.songplays SET level = NULL WHERE user_id < '2'")
        session.run("UPDATE analytics.songplays SET song_id = 'S2', length = 1 WHERE user_id = '0'")
        session.run("DELETE FROM analytics.songplays WHERE session_id = 1 AND user_id = '8'")
        session.run(
            "INSERT INTO analytics.songplays SELECT * FROM analytics.songplays WHERE user_id = '8'"
        )

    place.open("pr_1").transaction(change, "test", "run")
    found = place.differences("pr_1")["analytics.songplays"]
    assert (found.only_left, found.only_right, found.changed) == (1, 1, 2)
    assert found.values == {"level": 2, "song_id": 1, "length": 1}
    alone = [one for one in found.examples if not one.column]
    assert {(one.left, one.right) for one in alone} == {(1, 0), (0, 1)}
    # The first by key.
    for examples in (alone, [one for one in found.examples if one.column == "level"]):
        keys = [one.key["songplay_id"] for one in examples]
        assert (len(keys), keys) == (2, sorted(keys))
    shown = {(one.column, one.left, one.right) for one in found.examples if one.column}
    assert shown == {("level", "free", None), ("song_id", "S1", "S2"), ("length", 100.5, 1.0)}


def test_production_is_compared_with_a_rebuild(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.variables.items():
        monkeypatch.setenv(name, value)
    assert not any(one.rows or one.schema for one in run_diff("production", "rebuild"))
    by_hand(place, "DELETE FROM analytics.users WHERE user_id = '8'")
    by_hand(place, "DROP TABLE analytics.level_changes")
    found = {one.table: one for one in run_diff("production", "rebuild")}
    assert found["analytics.level_changes"].schema == ["only the second side has it"]
    assert (found["analytics.users"].only_right, found["analytics.users"].rows) == (1, 1)
    place.run()
    by_hand(place, "UPDATE analytics.artists SET name = 'N2'")
    create(place.open("pr_1"), "pr_1")
    create(place.open("pr_2"), "pr_2")
    assert not any(one.rows or one.schema for one in run_diff("pr_1", "pr_2"))
    shown = {one.table: one.values for one in run_diff("pr_1", "rebuild") if one.rows}
    assert shown == {"analytics.artists": {"name": 1}}
    assert place.open().environments() == ["pr_1", "pr_2"]


def by_hand(place: Place, text: str, environment: str = "") -> None:
    warehouse = place.open(environment)
    with warehouse.kept_open():
        warehouse.transaction(lambda session: session.run(text), "test", "run")
