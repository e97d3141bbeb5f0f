"""What holds on a Redshift double and on a real cluster alike: `stage` is either of them."""

import gzip
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import LoadError, WarehouseError
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.redshift_stage import (
    BUILT,
    Stage,
    assert_same_tables,
    change,
    duckdb_tables,
    events,
    load_all,
    numbers,
    songs,
)

LINES = "SELECT COUNT(*) FROM staging.staging_events"


@pytest.fixture(scope="module")
def expected(sample_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    return duckdb_tables(tmp_path_factory.mktemp("expected"), sample_lake)


@pytest.fixture(scope="module")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "lake"
    write_sample_lake(folder, SampleSpec(days=2, events_per_day=30, songs=20, users=8))
    return folder


def event_file(folder: Path, number: int = 0) -> Path:
    return sorted(folder.glob("log_data/*/*/*.json"))[number]


def test_loads_the_same_tables_as_duckdb(
    stage: Stage, sample_lake: Path, expected: dict[str, list]
) -> None:
    stage.bucket.put_folder(sample_lake)
    warehouse = stage.warehouse()
    said = load_all(warehouse, stage.lake)
    assert_same_tables(stage, expected)
    assert sum(said[0].days.values()) == len(expected["staging.staging_events"])
    assert stage.pauses == []
    # Nothing new: nothing is read, nothing changes.
    again = load_all(warehouse, stage.lake)
    assert again[0].files_read == again[1].files_read == 0
    assert [result.changed for result in again[2:]] == [False] * len(BUILT)
    assert_same_tables(stage, expected)


def test_takes_in_changes_as_duckdb_does(stage: Stage, sample_lake: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(sample_lake, tmp_path / "changed")
    lines = event_file(changed).read_text().split("\n")
    event_file(changed).write_text("\n".join(lines[:-3]))
    event_file(changed, 2).write_text(lines[-1] + "\n" + event_file(changed, 2).read_text())
    gone, corrected, *_ = sorted(changed.glob("song_data/**/*.json"))
    gone.unlink()
    song = json.loads(corrected.read_text())
    corrected.write_text(json.dumps(song | {"title": "Another \\ 'title'"}))
    stage.bucket.put_folder(sample_lake)
    warehouse = stage.warehouse()
    load_all(warehouse, stage.lake)
    stage.bucket.remove(gone.relative_to(changed).as_posix())
    for path in (event_file(changed), event_file(changed, 2), corrected):
        stage.bucket.put(path.relative_to(changed).as_posix(), path.read_bytes())
    said = load_all(warehouse, stage.lake)
    assert (said[0].files_read, said[1].files_read, said[1].files_removed) == (2, 1, 1)
    assert_same_tables(stage, duckdb_tables(tmp_path, [sample_lake, changed]))


@pytest.mark.real_data
def test_loads_the_same_tables_as_duckdb_from_the_real_data(
    stage: Stage, real_lake: Path, tmp_path: Path
) -> None:
    stage.bucket.put_folder(real_lake)
    load_all(stage.warehouse(), stage.lake)
    assert_same_tables(stage, duckdb_tables(tmp_path, real_lake))
    assert len(stage.rows("analytics.songs")) == 14896
    assert len(stage.rows("analytics.songplays")) == 6820


def test_compressed_event_files_are_said_to_be(
    stage: Stage, sample_lake: Path, expected: dict[str, list]
) -> None:
    stage.bucket.put_folder(sample_lake)
    path = event_file(sample_lake)
    name = path.relative_to(sample_lake).as_posix()
    stage.bucket.remove(name)
    stage.bucket.put(f"{name}.gz", gzip.compress(path.read_bytes()))
    change(stage.warehouse(), events(stage.lake))
    assert stage.rows("staging.staging_events") == expected["staging.staging_events"]


def test_manifests_and_parts_are_removed(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    load_all(stage.warehouse(), stage.lake)
    assert stage.bucket.keys("manifests/") == []


def test_insert_takes_many_rows_and_odd_values(stage: Stage) -> None:
    # One row more than a statement has parameters for.
    rows = [(f"it's \\ “{number}”\n", number * 10**12, None) for number in range(10_001)]

    def body(session: Any) -> None:
        session.run("CREATE TABLE staging.many (a VARCHAR(64), b BIGINT, c DATE)")
        session.insert("staging.many", ("a", "b", "c"), iter(rows))
        session.insert("staging.many", ("a", "b", "c"), [])

    stage.warehouse().transaction(body, "test", "run-1")
    assert stage.rows("staging.many") == sorted(rows, key=repr)


def both(stage: Stage, lake: Path, folder: Path, step: Callable[..., Any]) -> list[LoadError]:
    """Return how the two engines refuse the same lake."""
    refusals = []
    duckdb = DuckDBWarehouse(folder / "refusing.duckdb", lock_timeout=0)
    for warehouse, source in ((duckdb, LocalLake(str(lake))), (stage.warehouse(), stage.lake)):
        with pytest.raises(LoadError) as caught:
            change(warehouse, step(source))
        refusals.append(caught.value)
    return refusals


def spoil(lake: Path, folder: Path, number: int, **values: Any) -> Path:
    """Return a copy of a lake in which the second event of a day has other values."""
    copy = shutil.copytree(lake, folder / "spoilt")
    path = event_file(copy, number)
    lines = path.read_text().split("\n")
    lines[1] = json.dumps(json.loads(lines[1]) | values)
    path.write_text("\n".join(lines))
    return copy


@pytest.mark.parametrize(
    ("values", "column", "shown"),
    [
        ({"ts": "not a time"}, "ts", "not a time"),
        ({"level": "x" * 30}, "level", "x" * 30),
        ({"sessionId": None}, "session_id", ""),
        ({"itemInSession": 3_000_000_000}, "item_in_session", "3000000000"),
    ],
)
def test_a_bad_line_is_named_as_duckdb_names_it(
    stage: Stage, small_lake: Path, tmp_path: Path, values: Any, column: str, shown: str
) -> None:
    lake = spoil(small_lake, tmp_path, 1, **values)
    stage.bucket.put_folder(lake)
    on_duckdb, on_redshift = both(stage, lake, tmp_path, events)
    (found,) = on_redshift.bad_lines
    name = event_file(lake, 1).relative_to(lake).as_posix()
    assert (found.file, found.line, found.column) == (name, 2, column)
    assert found.reason
    if shown:
        assert found.value == shown
    same = [(bad.file, bad.line, bad.column) for bad in on_duckdb.bad_lines]
    assert same == [(found.file, found.line, found.column)]
    assert f"{name}, line 2, column {column}" in str(on_redshift)
    # The next load is not hindered.
    stage.bucket.put_folder(small_lake)
    change(stage.warehouse(), events(stage.lake))
    assert stage.rows("staging.staging_events")


def test_a_malformed_line_is_named(stage: Stage, small_lake: Path, tmp_path: Path) -> None:
    lake = shutil.copytree(small_lake, tmp_path / "spoilt")
    event_file(lake).write_text(event_file(lake).read_text() + '\n{"artist": nonsense')
    stage.bucket.put_folder(lake)
    on_duckdb, on_redshift = both(stage, lake, tmp_path, events)
    (found,) = on_redshift.bad_lines
    (wanted,) = on_duckdb.bad_lines
    assert (found.file, found.line, found.column) == (wanted.file, wanted.line, wanted.column)
    assert found.value == '{"artist": nonsense'


def test_bad_objects_are_found_in_the_file_they_are_from(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    lake = shutil.copytree(small_lake, tmp_path / "spoilt")
    paths = sorted(lake.glob("song_data/**/*.json"))
    for path in (paths[3], paths[11]):
        path.write_text("\n\n" + json.dumps(json.loads(path.read_text()) | {"year": "MCMLX"}))
    stage.bucket.put_folder(lake)
    on_duckdb, on_redshift = both(stage, lake, tmp_path, songs)
    found = [(bad.file, bad.line, bad.column, bad.value) for bad in on_redshift.bad_lines]
    assert found[0] in [(bad.file, bad.line, bad.column, bad.value) for bad in on_duckdb.bad_lines]
    assert found[0][1:] == (3, "year", "MCMLX")
    assert stage.bucket.keys("manifests/") == []


def test_lines_within_maxerror_are_left_out_and_named(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    lake = spoil(small_lake, tmp_path, 0, ts="not a time")
    path = event_file(lake, 1)
    path.write_text(path.read_text() + '\n{"artist": nonsense')
    stage.bucket.put_folder(lake)
    duckdb = DuckDBWarehouse(tmp_path / "three.duckdb", lock_timeout=0)
    wanted = change(duckdb, events(LocalLake(str(lake)), max_errors=3))
    found = change(stage.warehouse(), events(stage.lake, max_errors=3))
    named = [(bad.file, bad.line, bad.column) for bad in found.rejected]
    assert named == [(bad.file, bad.line, bad.column) for bad in wanted.rejected]
    assert len(named) == 2
    assert found.days == wanted.days
    # The limit is each file's, and COPY fails where it is reached.
    again = change(stage.warehouse(), events(stage.lake, full_refresh=True, max_errors=2))
    assert len(again.rejected) == 2
    with pytest.raises(LoadError, match=r"nonsense|not a time"):
        change(stage.warehouse(), events(stage.lake, full_refresh=True, max_errors=1))


def test_read_sees_what_is_committed_and_changes_nothing(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    warehouse = stage.warehouse()
    with pytest.raises(WarehouseError, match=r"no warehouse yet.*sparkify_etl"):
        warehouse.read(lambda session: session.run(LINES), "check", "run-1")
    load_all(warehouse, stage.lake)
    before = stage.rows("staging.staging_events")

    def body(session: Any) -> Any:
        session.run("DELETE FROM staging.staging_events")
        return session.run(LINES)[0][0]

    assert warehouse.read(body, "check", "run-1") == 0
    assert stage.rows("staging.staging_events") == before


def test_checks_and_reports_tell_what_they_tell_on_duckdb(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    stage.bucket.put_folder(small_lake)
    duckdb = DuckDBWarehouse(tmp_path / "numbers.duckdb", lock_timeout=0)
    found = []
    for warehouse, lake in ((duckdb, LocalLake(str(small_lake))), (stage.warehouse(), stage.lake)):
        load_all(warehouse, lake)
        found.append(warehouse.read(numbers, "check", "run-1"))
    assert found[0] == found[1]
    assert len(found[0]) > 2 * len(TABLES)


def test_costs_are_numbers(stage: Stage) -> None:
    warehouse = stage.warehouse()
    with warehouse.kept_open():
        for number in (1, 2):
            create = f"CREATE TABLE staging.kept_{number} (a INTEGER)"
            warehouse.transaction(
                lambda session, text=create: session.run(text), f"test/table_{number}", "run-1"
            )
        warehouse.transaction(lambda session: session.run("SELECT 1"), "test/none", "run-1")
        costs = warehouse.costs("run-1")
    assert costs.keys() == {"test/table_1", "test/table_2"}
    for found in costs.values():
        assert found["queries"] > 1
        assert found["elapsed_seconds"] > 0
        assert all(isinstance(number, int | float) for number in found.values())


def test_two_runs_take_turns(stage: Stage, small_lake: Path, tmp_path: Path) -> None:
    stage.bucket.put_folder(small_lake)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            load_all(stage.warehouse(lock_timeout=600), stage.lake)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for name, rows in duckdb_tables(tmp_path, small_lake).items():
        # What changed is noted for the readers until the last has seen it: that depends.
        if name != "staging.load_changes":
            assert stage.rows(name) == rows, name
