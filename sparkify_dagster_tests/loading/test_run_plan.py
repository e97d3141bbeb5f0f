"""`sparkify plan` tells what the next run does, changing nothing; large rebuilds are asked for."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.cli import main
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.loading.refresh import RebuildRefused, refresh
from sparkify_dagster.loading.run_plan import NOTHING, REBUILD, REFUSED, UPDATE, TablePlan, plan_run
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import load_events, run_all, select
from sparkify_dagster_tests.support.own_sql import edit
from sparkify_dagster_tests.support.redshift_stage import Stage, load_all, s3_url, stage
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, event_file, song

__all__ = ["s3_url", "stage"]

DAYS = tuple(f"2018-11-{number:02}" for number in range(1, 21))


class Platform:
    """A small lake, a warehouse, and the settings that lead there."""

    def __init__(self, folder: Path) -> None:
        self.source = TinyLake(folder / "lake")
        for number, day in enumerate(DAYS):
            self.write_day(day, number)
        for number in range(20):
            self.source.write_songs(f"A/A/A/TR{number:02}", [song(song_id=f"S{number:02}")])
        self.lake = LocalLake(str(self.source.folder))
        self.warehouse = DuckDBWarehouse(folder / "warehouse.duckdb", 5)
        self.variables = {
            "SPARKIFY_LAKE": str(self.source.folder),
            "SPARKIFY_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
        }

    def write_day(self, day: str, number: int, **fields: Any) -> None:
        moment = int(dt.datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp() * 1000)
        events = [event(sessionId=number, itemInSession=at, ts=moment, **fields) for at in (0, 1)]
        self.source.write_events(day, events)

    def run(self) -> None:
        run_all(self.warehouse, self.lake, TABLES)

    def plan(self, **variables: str) -> dict[str, TablePlan]:
        settings = load_settings(self.variables | variables)
        found = plan_run(self.warehouse, self.lake, settings)
        return {plan.table.partition(".")[2]: plan for plan in found}

    def command(self, *words: str, **variables: str) -> Result:
        return CliRunner(env=self.variables | variables).invoke(main, ["plan", *words])

    def loads(self) -> dict[str, tuple[int, int]]:
        rows = select(
            self.warehouse,
            "SELECT table_name, load_id, full_load_id FROM staging.ledger WHERE load_id > 0",
        )
        return {name.partition(".")[2]: (load, full) for name, load, full in rows}

    def assert_as_planned(self) -> dict[str, TablePlan]:
        """Run, and hold what was done to each table against what was planned."""
        planned, before = self.plan(), self.loads()
        self.run()
        after = self.loads()
        done = {
            name: NOTHING
            if after[name] == before[name]
            else REBUILD
            if after[name][1] != before[name][1]
            else UPDATE
            for name in planned
        }
        assert done == {name: plan.action for name, plan in planned.items()}
        return planned


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


@pytest.fixture
def loaded(platform: Platform) -> Platform:
    platform.run()
    return platform


def test_before_the_first_run_everything_is_new_and_nothing_is_made(platform: Platform) -> None:
    planned = platform.plan()
    assert {(plan.state, plan.action) for plan in planned.values()} == {("new", REBUILD)}
    assert len(planned["staging_events"].files) == len(DAYS)
    assert platform.command().exit_code == 0
    assert not Path(platform.variables["SPARKIFY_DUCKDB_PATH"]).exists()


def test_after_a_run_there_is_nothing_to_do(loaded: Platform) -> None:
    planned = loaded.assert_as_planned()
    assert {(plan.state, plan.action) for plan in planned.values()} == {("unchanged", NOTHING)}
    assert loaded.command().output.rstrip().endswith("Nothing to do.")


def test_new_changed_and_gone_files_with_their_days(loaded: Platform) -> None:
    loaded.write_day("2018-11-25", 25)
    loaded.write_day(DAYS[3], 3, level="paid")
    loaded.source.remove(event_file(DAYS[5]))
    size = len(loaded.source.files[event_file(DAYS[3])])
    planned = loaded.assert_as_planned()
    events = planned["staging_events"]
    assert sorted((file.change, f"{file.day}") for file in events.files) == [
        ("changed", DAYS[3]),
        ("gone", DAYS[5]),
        ("new", "2018-11-25"),
    ]
    assert [file.size for file in events.files if file.change == "changed"] == [size]
    days = [dt.date.fromisoformat(day) for day in (DAYS[3], DAYS[5], "2018-11-25")]
    assert planned["songplays"].days == planned["daily_engagement"].days == days
    assert planned["songs"].action == NOTHING


def test_a_file_written_again_as_it_was_is_nothing(loaded: Platform) -> None:
    os.utime(loaded.source.folder / event_file(DAYS[2]), ns=(1, 1))
    assert loaded.assert_as_planned()["staging_events"].action == NOTHING


def test_what_one_table_has_not_taken_in_yet_is_planned(loaded: Platform) -> None:
    loaded.write_day(DAYS[1], 1, level="paid")
    run_all(loaded.warehouse, loaded.lake, ["staging_events", "users"])
    planned = loaded.assert_as_planned()
    assert planned["staging_events"].action == planned["users"].action == NOTHING
    assert planned["songplays"].days == [dt.date.fromisoformat(DAYS[1])]


def test_changed_sql_with_its_diff_and_the_columns_that_follow(
    loaded: Platform, own_sql: Path
) -> None:
    loaded.write_day(DAYS[0], 7)
    loaded.run()
    edit(own_sql / "star" / "songs.sql", "NULLIF(year, 0)", "NULLIF(year, 1900)")
    edit(own_sql / "star" / "songplays.sql", "events.level,\n    song_", "'free',\n    song_")
    planned = loaded.assert_as_planned()
    songs, plays = planned["songs"], planned["songplays"]
    assert songs.state == plays.state == "SQL changed"
    changed = [line for line in songs.diff.splitlines() if line[:1] in "+-"][2:]
    assert [line.split() for line in changed] == [
        ["-", "NULLIF(year,", "0),"],
        ["+", "NULLIF(year,", "1900),"],
    ]
    assert songs.affected == ["songs.year"]
    assert {"songplays.level", "top_songs.paid_plays"} <= set(plays.affected)
    assert "songplays.title" not in plays.affected
    assert planned["top_songs"].state == "built from one that changed"
    assert planned["users"].action == NOTHING


def test_which_rows_are_taken_affects_every_column(loaded: Platform, own_sql: Path) -> None:
    edit(own_sql / "star" / "songs.sql", "WHERE choice = 1", "WHERE choice = 2")
    assert {"songs.title", "songplays.song_id"} <= set(loaded.plan()["songs"].affected)


def test_a_comment_or_a_check_changes_nothing(loaded: Platform, own_sql: Path) -> None:
    edit(own_sql / "star" / "songs.sql", "-- name: load\n", "-- name: load\n-- A remark.\n")
    edit(own_sql / "star" / "songs.sql", "COUNT(*) AS row_count", "COUNT(1) AS row_count")
    assert loaded.plan()["songs"].state == "unchanged"


def test_changed_jsonpaths_are_told(loaded: Platform) -> None:
    loaded.source.write_jsonpaths([f"$.{key}" for key in event()])
    planned = loaded.plan()["staging_events"]
    assert (planned.state, planned.action) == ("SQL changed", REBUILD)
    assert "+$.artist" in planned.diff


def test_a_table_that_sql_no_longer_has_is_gone(loaded: Platform) -> None:
    def add(session: Any) -> None:
        row = ("analytics.former", "a INTEGER", 1, 1)
        session.insert(
            "staging.ledger", ("table_name", "definition", "load_id", "full_load_id"), [row]
        )

    loaded.warehouse.transaction(add, "test", "run")
    assert loaded.plan()["former"].state == "gone"


def test_a_warehouse_from_before_the_statements_were_kept(loaded: Platform, own_sql: Path) -> None:
    loaded.warehouse.transaction(
        lambda session: session.run("ALTER TABLE staging.ledger DROP COLUMN statements"),
        "test",
        "run",
    )
    edit(own_sql / "star" / "songs.sql", "NULLIF(year, 0)", "NULLIF(year, 1900)")
    songs = loaded.plan()["songs"]
    assert "not kept" in songs.reasons[1]
    loaded.assert_as_planned()
    edit(own_sql / "star" / "songs.sql", "NULLIF(year, 1900)", "NULLIF(year, 0)")
    assert loaded.plan()["songs"].diff


def test_statements_that_were_kept_apart_are_moved(loaded: Platform) -> None:
    kept = "SELECT table_name, statements FROM staging.ledger WHERE statements IS NOT NULL"
    found = sorted(select(loaded.warehouse, kept))

    def as_before(session: Session) -> None:
        session.run(f"CREATE TABLE staging.statements AS {kept}")
        session.run("ALTER TABLE staging.ledger DROP COLUMN statements")

    loaded.warehouse.transaction(as_before, "test", "run")
    loaded.run()
    assert sorted(select(loaded.warehouse, kept)) == found
    assert not select(
        loaded.warehouse, "SELECT 1 FROM information_schema.tables WHERE table_name = 'statements'"
    )


def test_what_cannot_be_applied_or_goes_too_far_stops_a_run(
    loaded: Platform, own_sql: Path
) -> None:
    for day in DAYS[:10]:
        loaded.source.remove(event_file(day))
    planned = loaded.plan()
    assert planned["songplays"].action == planned["staging_events"].action == REFUSED
    assert planned["songs"].action == NOTHING
    edit(own_sql / "star" / "songs.sql", "year INTEGER", "year BIGINT")
    assert "reset_warehouse" in loaded.plan()["songs"].reasons[-1]
    assert {plan.action for plan in loaded.plan().values()} == {REFUSED}
    result = loaded.command()
    assert (result.exit_code, "A run stops at staging.staging_events" in result.output) == (2, True)


def test_a_large_rebuild_is_refused_until_confirmed(loaded: Platform, own_sql: Path) -> None:
    edit(own_sql / "star" / "songs.sql", "NULLIF(year, 0)", "NULLIF(year, 1900)")
    assert not loaded.plan(SPARKIFY_REBUILD_LIMIT_ROWS="20")["songs"].needs_confirmation
    result = loaded.command(SPARKIFY_REBUILD_LIMIT_ROWS="19")
    assert result.exit_code == 2
    assert "confirm with `sparkify run --yes`" in result.output
    songs, before = TABLES["songs"], loaded.loads()

    def load(limit: int | None, full: bool = False) -> object:
        return loaded.warehouse.transaction(
            lambda session: refresh(session, songs, full, "run", limit), "test", "run"
        )

    message = r"songs: this run would build it anew.*20 rows.*\(19, SPARKIFY.*`sparkify run --yes`"
    with pytest.raises(RebuildRefused, match=message):
        load(19)
    assert loaded.loads() == before
    load(19, full=True)
    load(20)
    edit(
        own_sql / "staging" / "staging_events.sql",
        "    method,\n    page",
        "    UPPER(method),\n    page",
    )
    with pytest.raises(RebuildRefused, match="staging_events"):
        loaded.warehouse.transaction(
            lambda session: load_events(
                session, loaded.lake, None, False, 0, "r", rebuild_limit=39
            ),
            "test",
            "run",
        )


def test_the_formats_agree(loaded: Platform) -> None:
    loaded.write_day("2018-11-25", 25)
    found = json.loads(loaded.command("--format", "json").output)
    assert found["exit_code"] == 0
    actions = {table["table"]: table["action"] for table in found["tables"]}
    assert actions["staging.staging_events"] == UPDATE
    assert found["tables"][0]["files"][0]["day"] == "2018-11-25"
    for style in ("text", "markdown"):
        text = loaded.command("--format", style).output
        assert "2018-11-25-events.json" in text
        assert all(table in text for table in actions)


def test_a_lake_that_is_not_there_is_one_line(platform: Platform) -> None:
    result = platform.command(SPARKIFY_LAKE=str(platform.source.folder / "none"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


def test_the_same_plan_through_the_wire_by_reading_alone_and_what_it_costs(
    stage: Stage, loaded: Platform, own_sql: Path
) -> None:
    stage.bucket.put_folder(loaded.source.folder)
    load_all(stage.warehouse(), stage.lake)
    edit(own_sql / "star" / "songs.sql", "NULLIF(year, 0)", "NULLIF(year, 1900)")
    loaded.write_day(DAYS[3], 3, level="paid")
    stage.bucket.put_folder(loaded.source.folder)
    stage.double.statements.clear()
    found = plan_run(stage.warehouse(), stage.lake, load_settings(loaded.variables))
    texts = [one.text for one in stage.double.statements]
    assert {text.lstrip().split()[0].upper() for text in texts if "--" not in text[:2]} <= {
        "SELECT", "BEGIN", "ROLLBACK", "SET", "SHOW",
    }  # fmt: skip
    expected = loaded.plan()
    assert [
        (plan.table, plan.state, plan.action, plan.days, plan.diff, plan.rows, plan.statements)
        for plan in found
    ] == [
        (plan.table, plan.state, plan.action, plan.days, plan.diff, plan.rows, plan.statements)
        for plan in expected.values()
    ]
    stage.double.statements.clear()
    load_all(stage.warehouse(), stage.lake)
    sent = len(stage.double.statements)
    assert sum(plan.statements for plan in found) == pytest.approx(sent, rel=0.25)
