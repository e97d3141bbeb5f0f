"""A load that finds the song files as they were holds no list of them, and misses nothing for it.

On both engines, as each makes the number of its own that the listing is compared with.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sparkify_dagster.lake.base import Lake
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.loading import staging
from sparkify_dagster.loading.rejects import Refused, skipping
from sparkify_dagster.loading.schema import reset
from sparkify_dagster.loading.staging import StagingResult
from sparkify_dagster.warehouse.base import LoadError, Session, Warehouse
from sparkify_dagster_tests.support.loads import load_songs, select
from sparkify_dagster_tests.support.redshift_stage import s3_url
from sparkify_dagster_tests.support.state_engines import duckdb_engine, redshift_engine
from sparkify_dagster_tests.support.tiny_lake import TinyLake, song

__all__ = ["s3_url"]

ODD = "B/é 'q' \\ü/TR3"
NAMES = ["song_data/A/TR1.json", "song_data/A/TR2.json", f"song_data/{ODD}.json"]


class Stage(NamedTuple):
    """A lake of three songs, loaded into a warehouse."""

    source: TinyLake
    warehouse: Warehouse
    lake: Lake

    def load(
        self, skip: bool = False, max_errors: int = 0, full_refresh: bool = False
    ) -> StagingResult:
        refused: Refused | None = {} if skip else None
        return skipping(lambda: self._load(refused, max_errors, full_refresh), refused)

    def _load(self, refused: Refused | None, max_errors: int, full_refresh: bool) -> StagingResult:
        def body(session: Session) -> StagingResult:
            return load_songs(session, self.lake, full_refresh, max_errors, "run", refused=refused)

        return self.warehouse.transaction(body, "test/songs", "run")

    def change(self, statement: str) -> None:
        self.warehouse.transaction(lambda session: session.run(statement), "test", "by hand")

    def songs(self) -> list[str]:
        rows = select(self.warehouse, "SELECT song_id FROM staging.staging_songs ORDER BY 1")
        return [song_id for (song_id,) in rows]


@pytest.fixture(params=["duckdb", "redshift"])
def stage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    source = TinyLake(tmp_path / "lake")
    for number, name in enumerate(("A/TR1", "A/TR2", ODD), 1):
        source.write_songs(name, [song(song_id=f"S{number}")])
    opened = duckdb_engine
    if request.param == "redshift":
        opened = redshift_engine(request.getfixturevalue("s3_url"), monkeypatch)
    with opened(source.folder) as (warehouse, lake):
        stage = Stage(source, warehouse, lake)
        assert stage.load().files_read == 3
        yield stage


def test_nothing_new_needs_no_list_of_files(stage: Stage) -> None:
    def statements(session: Session) -> list[str]:
        load_songs(session, stage.lake, False, 0, "run")
        return list(session.statements)

    def asks_for_list() -> bool:
        texts = stage.warehouse.transaction(statements, "test", "run")
        return any("content_hash" in text for text in texts)

    assert not asks_for_list()
    stage.source.write_songs("A/TR4", [song(song_id="S4")])
    assert asks_for_list()
    assert not asks_for_list()


def test_files_of_events_and_bad_ones_do_not_make_it_ask(stage: Stage) -> None:
    stage.change(
        "INSERT INTO staging.loaded_files (table_name, file_name, size_bytes, version, "
        "content_hash, row_count, run_id, loaded_at) "
        "VALUES ('staging_events', 'log_data/1', 1, '', '', 1, '', '2018-11-01')"
    )
    stage.change(
        "INSERT INTO staging.rejected_files VALUES "
        "('staging_events', 'log_data/2', NULL, 1, '', 0, 'bad', '', '2018-11-01')"
    )
    assert stage.load().known == {}
    for name in ("song_data/A/TR2.json", "song_data/A/TR5.json"):  # loaded before, and new
        stage.source.write(name, b'{"song_id": ')
    assert len(stage.load(skip=True).bad_files) == 2
    assert stage.load(skip=True).known == {}


def _rename(source: TinyLake) -> None:
    path = source.folder / NAMES[0]
    path.rename(path.with_name("TR9.json"))


CHANGES: dict[str, tuple[Callable[[TinyLake], object], list[str]]] = {
    "new": (lambda lake: lake.write_songs("A/TR4", [song(song_id="S4")]), ["S1", "S2", "S3", "S4"]),
    "changed": (lambda lake: lake.write_songs("A/TR1", [song(song_id="S9")]), ["S2", "S3", "S9"]),
    "odd name": (lambda lake: lake.write_songs(ODD, [song(song_id="S9")]), ["S1", "S2", "S9"]),
    "gone": (lambda lake: lake.remove(NAMES[1]), ["S1", "S3"]),
    "another name": (_rename, ["S1", "S2", "S3"]),
}


# Two: of a listing of one to four files, the rest is not held.
@pytest.mark.parametrize("held", [2, 100])
@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_each_change_is_noticed_however_much_of_the_listing_is_held(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    held: int,
    change: Callable[[TinyLake], object],
    expected: list[str],
) -> None:
    monkeypatch.setattr(staging, "_HELD_FILES", held)
    load_id = stage.load().load_id
    change(stage.source)
    assert stage.load().load_id > load_id
    assert stage.songs() == expected
    files = select(stage.warehouse, "SELECT file_name FROM staging.loaded_files ORDER BY 1")
    assert [name for (name,) in files] == [file.name for file in stage.lake.list_songs()]
    assert stage.load().files_read == 0


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        (f"DELETE FROM staging.loaded_files WHERE file_name = '{NAMES[0]}'", 1),
        (f"UPDATE staging.loaded_files SET version = 'x' WHERE file_name = '{NAMES[0]}'", 1),
        (f"UPDATE staging.loaded_files SET size_bytes = 1 WHERE file_name = '{NAMES[0]}'", 1),
        ("DELETE FROM staging.loaded_files", 3),
        ("DELETE FROM staging.staging_songs WHERE song_id = 'S1'", 3),
        ("DROP TABLE staging.loaded_files", 3),
        ("DROP TABLE staging.lakes", 0),
        ("UPDATE staging.ledger SET version = NULL WHERE table_name = 'staging.staging_songs'", 3),
    ],
)
def test_what_was_done_by_hand_is_noticed_in_an_unchanged_lake(
    stage: Stage, statement: str, read: int
) -> None:
    stage.change(statement)
    assert stage.load().files_read == read
    assert stage.songs() in (["S1", "S2", "S3"], ["S1", "S1", "S2", "S3"])
    assert len(select(stage.warehouse, "SELECT lake FROM staging.lakes")) == 1
    assert stage.load().files_read == 0


def test_what_asks_for_all_files_reads_them(stage: Stage) -> None:
    assert stage.load(full_refresh=True).files_read == 3
    stage.warehouse.transaction(reset, "test", "run")
    assert stage.load().files_read == 3


def test_what_was_rolled_back_is_not_taken_for_loaded(stage: Stage) -> None:
    stage.source.write_songs("A/TR4", [song(song_id="S4")])

    def body(session: Session) -> None:
        assert load_songs(session, stage.lake, False, 0, "run").files_read == 1
        raise LoadError("test", [])

    with pytest.raises(LoadError):
        stage.warehouse.transaction(body, "test", "run")
    assert stage.load().files_read == 1
    assert stage.load().files_read == 0


def test_names_that_are_not_taken_are_told_again(stage: Stage) -> None:
    stage.source.write("song_data/A/TR1.JSON", b"{}")
    assert stage.load().left_out == stage.load().left_out == ["song_data/A/TR1.JSON"]


def test_bad_file_is_left_out_until_it_or_what_is_allowed_changes(stage: Stage) -> None:
    bad = "song_data/A/TR2.json"
    stage.source.write(bad, b'{"song_id": ')
    first, again = stage.load(skip=True), stage.load(skip=True)
    assert list(first.bad_files) == [bad]
    assert (again.bad_files, again.files_read) == (first.bad_files, 0)
    with pytest.raises(LoadError):
        stage.load()
    assert stage.load(skip=True, max_errors=9).bad_files == {}
    stage.source.write(bad, b'{"song_id": 1')
    assert list(stage.load(skip=True).bad_files) == [bad]
    stage.change("DELETE FROM staging.rejected_files")
    assert list(stage.load(skip=True).bad_files) == [bad]
    stage.source.write_songs("A/TR2", [song(song_id="S5")])
    assert (stage.load(skip=True).bad_files, stage.songs()) == ({}, ["S1", "S3", "S5"])


def test_the_same_files_in_another_folder_are_noted(tmp_path: Path) -> None:
    source = TinyLake(tmp_path / "lake")
    source.write_songs("A/TR1", [song()])
    with duckdb_engine(source.folder) as (warehouse, lake):
        Stage(source, warehouse, lake).load()
        other = shutil.copytree(source.folder, tmp_path / "other")
        assert Stage(source, warehouse, LocalLake(str(other))).load().files_read == 0
        assert select(warehouse, "SELECT lake FROM staging.lakes") == [(str(other),)]
