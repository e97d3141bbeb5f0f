"""Sequences of arrivals, corrections, runs and crashes, drawn by hypothesis.

On DuckDB, and through the wire on a Redshift double. After every run all tables are compared with a
model in plain Python, and after every complete run also with a full rebuild into a new DuckDB file.
SPARKIFY_HYPOTHESIS=deep draws more, anew each time; SPARKIFY_HYPOTHESIS_EXAMPLES says how many.
"""

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.table import Check, Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import (
    CopyResult,
    CopySource,
    CopyStep,
    Result,
    Row,
    Session,
    Warehouse,
    WarehouseError,
)
from sparkify_dagster_tests.support import star_model
from sparkify_dagster_tests.support.loads import CORE, check_numbers, rebuilt, run_table, tables_of
from sparkify_dagster_tests.support.redshift_stage import s3_url
from sparkify_dagster_tests.support.star_model import COLUMNS, difference, rows_of
from sparkify_dagster_tests.support.state_engines import Engine, duckdb_engine, redshift_engine
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, event_file, json_lines, song

__all__ = ["s3_url"]

DEEP = os.environ.get("SPARKIFY_HYPOTHESIS") == "deep"
EXAMPLES = os.environ.get("SPARKIFY_HYPOTHESIS_EXAMPLES")
SETTINGS = settings(
    stateful_step_count=40 if DEEP else 16,
    derandomize=not DEEP,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

# A deep run builds the tables without a model as well, and compares them with the rebuild.
RUN_TABLES = list(TABLES) if DEEP else list(CORE)
DAYS = ("2018-11-01", "2018-11-02", "2018-11-03", "2018-12-31")
SONG_FILES = ("A/A/A/TR1", "A/A/B/TR2", "A/B/A/TR3", "B/A/A/TR4")

# --- what a test draws: few values, so that they meet one another

USERS: dict[str | None, tuple[str | None, str | None, str | None]] = {
    "8": ("Ada", "Lima", "F"),
    "10": ("Bo", "Oduya", "M"),
    "101": ("Çağ", "O'Neil", "F"),
    "": (None, None, None),
    None: (None, None, None),
}
TITLES = st.sampled_from(["T1", "T1 ", "T2", "Ünï 'q' \\ \"x\""])
ARTISTS = st.sampled_from(["N1", "N2"])
LENGTHS = st.sampled_from([100.5, 200.25, 150.375, 0.0])


@st.composite
def drawn_event(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    """Draw an event, and the milliseconds between its file day's midnight and its ts."""
    user = draw(st.sampled_from(list(USERS)))
    first, last, gender = USERS[user]
    is_play = draw(st.booleans()) or draw(st.booleans())
    known = draw(st.integers(0, 7)) > 0
    fields = event(
        artist=draw(ARTISTS) if is_play and known else None,
        song=draw(TITLES) if is_play and known else None,
        length=draw(LENGTHS) if is_play and known else None,
        page="NextSong" if is_play else draw(st.sampled_from(["Home", "Upgrade"])),
        firstName=first,
        lastName=last,
        gender=gender,
        userId=user,
        level=draw(st.sampled_from(["free", "paid", "paid "])),
        location=draw(st.sampled_from(["Oslo", "Łódź, PL", None])),
        sessionId=draw(st.integers(1, 3)),
        itemInSession=draw(st.integers(0, 2)),
    )
    # Mostly on the file's own day, a few values, so that moments coincide; else a day off.
    offset = draw(st.sampled_from([0, 796, 86_399_999, 43_200_796]))
    day_off = draw(st.sampled_from([0, 0, 0, -1, 1])) * 86_400_000
    return offset + day_off, fields


@st.composite
def drawn_song(draw: st.DrawFn) -> dict[str, Any]:
    place = draw(st.sampled_from([(None, None), (1.5, -20.25)]))
    return song(
        artist_id=draw(st.sampled_from(["A1", "A2", "A3", None])),
        artist_latitude=place[0],
        artist_longitude=place[1],
        artist_location=draw(st.sampled_from(["", "Oslo", None])),
        artist_name=draw(ARTISTS),
        duration=draw(st.sampled_from([100.5, 200.25, 100.0, None])),
        song_id=draw(st.sampled_from(["S1", "S1 ", "S2", "S3", "S4"])),
        title=draw(TITLES | st.none()),
        year=draw(st.sampled_from([0, 1999, 2007, None])),
    )


EVENTS = st.lists(drawn_event(), min_size=1, max_size=4)
SONGS = st.lists(drawn_song(), min_size=1, max_size=2)
DAY = st.sampled_from(DAYS)
SONG_FILE = st.sampled_from(SONG_FILES)


def event_lines(day: str, drawn: Iterable[tuple[int, dict[str, Any]]]) -> bytes:
    midnight = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    start = int(midnight.timestamp()) * 1000
    return json_lines([fields | {"ts": start + offset} for offset, fields in drawn])


# --- a process that dies in the middle


class Killed(BaseException):
    """Stands for a process that dies: nothing in the platform may catch it and go on."""


class Fuse:
    """Burns down with every statement."""

    def __init__(self, length: int) -> None:
        self._left = length

    def burn(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed


class MortalSession:
    """A real session that dies at a given statement, before it or after it."""

    def __init__(self, session: Session, fuse: Fuse) -> None:
        self._session = session
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def execute(self, name: str, **parameters: Any) -> int:
        self._fuse.burn()
        return self._session.execute(name, **parameters)

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        self._fuse.burn()
        return self._session.query(name, **parameters)

    def run(self, text: str) -> list[Row]:
        self._fuse.burn()
        return self._session.run(text)

    def select(self, text: str) -> tuple[list[str], list[Row]]:
        self._fuse.burn()
        return self._session.select(text)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        self._fuse.burn()
        self._session.insert(table, columns, rows)

    def copy(self, step: CopyStep, source: CopySource, max_errors: int) -> CopyResult:
        self._fuse.burn()
        result = self._session.copy(step, source, max_errors)
        self._fuse.burn()
        return result


class MortalWarehouse:
    """A real warehouse whose sessions die; between two transactions the process may die as well."""

    def __init__(self, warehouse: Warehouse, statements: int) -> None:
        self._warehouse = warehouse
        self._fuse = Fuse(statements)
        self.kind = warehouse.kind
        self.place = warehouse.place

    def transaction(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        self._fuse.burn()
        return self._warehouse.transaction(
            lambda session: body(MortalSession(session, self._fuse)), label, run_id
        )

    def read(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        return self._warehouse.read(body, label, run_id)

    def kept_open(self) -> AbstractContextManager[None]:
        return self._warehouse.kept_open()


# --- the machine


class IncrementalStates(RuleBasedStateMachine):
    """A lake that changes, a warehouse that follows, and the model of what it has to hold."""

    open_engine: Engine
    rebuilds = 0  # that the tables of all examples were compared with

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="states-"))
        self.source = TinyLake(self.folder / "lake")
        self._open = ExitStack()
        self.warehouse, self.lake = self._open.enter_context(
            type(self).open_engine(self.source.folder)
        )
        self.is_prepared = False  # the tables exist
        # The files whose rows are in the staging tables, as they were then.
        self.staged_events: dict[str, bytes] = {}
        self.staged_songs: dict[str, bytes] = {}
        # What each table has to hold since its last run.
        self.expected: dict[str, list[Row]] = {name: [] for name in COLUMNS}

    def teardown(self) -> None:
        self._open.close()
        shutil.rmtree(self.folder)

    # --- the lake changes

    @initialize(events=EVENTS, day=DAY, songs=SONGS)
    def first_files(self, events: Any, day: str, songs: Any) -> None:
        self.source.write(event_file(day), event_lines(day, events))
        self.source.write_songs(SONG_FILES[0], songs)

    @rule(day=DAY, events=EVENTS, compressed=st.sampled_from([False, False, False, True]))
    def write_day(self, day: str, events: Any, compressed: bool) -> None:
        """A day arrives, or is replaced; compressed, it may lie beside the plain file."""
        self.source.write(event_file(day, compressed), event_lines(day, events))

    def event_names(self) -> list[str]:
        return sorted(name for name in self.source.files if name.startswith("log_data/"))

    def song_names(self) -> list[str]:
        return sorted(name for name in self.source.files if name.startswith("song_data/"))

    @precondition(lambda self: self.event_names())
    @rule(data=st.data(), events=EVENTS)
    def grow_day(self, data: st.DataObject, events: Any) -> None:
        name = data.draw(st.sampled_from(self.event_names()))
        if name.endswith(".gz"):
            return
        day = str(star_model.file_day(name))
        old = self.source.files[name]
        self.source.write(name, old + b"\n" * bool(old) + event_lines(day, events))

    @precondition(lambda self: self.event_names())
    @rule(data=st.data(), other=DAY)
    def repeat_event(self, data: st.DataObject, other: str) -> None:
        """An event of one day's file is delivered again in another's, corrected or not."""
        name = data.draw(st.sampled_from(self.event_names()))
        try:
            lines = rows_of(name, self.source.files[name])
        except (ValueError, OSError, EOFError):
            return
        if not lines:
            return
        line = data.draw(st.sampled_from(lines))
        change = data.draw(
            st.sampled_from([{}, {"level": "paid"}, {"page": "Home"}, {"userId": "10"}])
        )
        target = event_file(other)
        old = self.source.files.get(target, b"")
        self.source.write(target, old + b"\n" * bool(old) + json_lines([line | change]))

    @precondition(lambda self: self.source.files)
    @rule(data=st.data(), part=st.floats(0, 0.99))
    def truncate(self, data: st.DataObject, part: float) -> None:
        """A file is seen while it is being written."""
        name = data.draw(st.sampled_from(sorted(self.source.files)))
        stored = self.source.files[name]
        self.source.write_raw(name, stored[: int(len(stored) * part)])

    @precondition(lambda self: self.event_names())
    @rule(data=st.data())
    def empty_day(self, data: st.DataObject) -> None:
        self.source.write(data.draw(st.sampled_from(self.event_names())), b"")

    @precondition(lambda self: self.source.files)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.source.remove(data.draw(st.sampled_from(sorted(self.source.files))))

    @precondition(lambda self: self.source.files)
    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        """A new modification time, the same content."""
        name = data.draw(st.sampled_from(sorted(self.source.files)))
        os.utime(self.source.folder / name)

    @rule(file=SONG_FILE, songs=SONGS)
    def write_songs(self, file: str, songs: Any) -> None:
        self.source.write_songs(file, songs)

    # --- the warehouse follows

    @rule(full_refresh=st.sampled_from([False, False, False, False, True]))
    def run_everything(self, full_refresh: bool) -> None:
        if self._run(self.warehouse, None, full_refresh, RUN_TABLES):
            self._compare_with_rebuild()
            self._checks_agree()

    @rule(day=DAY, full_refresh=st.sampled_from([False, False, False, True]))
    def run_partition(self, day: str, full_refresh: bool) -> None:
        self._run(self.warehouse, [day], full_refresh, RUN_TABLES)

    @rule(first=st.integers(0, 2), count=st.integers(1, 3))
    def run_range(self, first: int, count: int) -> None:
        self._run(self.warehouse, DAYS[first : first + count], False, RUN_TABLES)

    @rule(
        table=st.sampled_from(RUN_TABLES),
        full_refresh=st.sampled_from([False, False, False, True]),
    )
    def run_one_table(self, table: str, full_refresh: bool) -> None:
        self._run(self.warehouse, None, full_refresh, [table])

    @rule()
    def run_staging(self) -> None:
        self._run(self.warehouse, None, False, ["staging_songs", "staging_events"])

    @rule(statements=st.integers(0, 250), full_refresh=st.sampled_from([False, False, True]))
    def run_and_die(self, statements: int, full_refresh: bool) -> None:
        """The process dies at some statement, between two tables, or not at all."""
        warehouse = MortalWarehouse(self.warehouse, statements)
        try:
            succeeded = self._run(warehouse, None, full_refresh, RUN_TABLES)
        except Killed:
            self._compare_with_model()
        else:
            if succeeded:
                self._compare_with_rebuild()

    # --- what is expected

    def _run(
        self,
        warehouse: Warehouse,
        days: Sequence[str] | None,
        full_refresh: bool,
        tables: Sequence[str],
    ) -> bool:
        """Run tables, keep the model in step and compare; tell whether all succeeded."""
        asked = None if days is None else [dt.date.fromisoformat(day) for day in days]
        with warehouse.kept_open():
            succeeded = all(
                self._run_table(warehouse, table, asked, full_refresh) for table in tables
            )
        self._compare_with_model()
        return succeeded

    def _run_table(
        self,
        warehouse: Warehouse,
        table: str,
        days: Sequence[dt.date] | None,
        full_refresh: bool,
    ) -> bool:
        faults = self._faults(table, days, full_refresh)
        if faults:
            with pytest.raises((LakeError, WarehouseError)) as caught:
                run_table(warehouse, self.lake, table, days, full_refresh)
            assert any(fault in str(caught.value) for fault in faults)
            return False
        run_table(warehouse, self.lake, table, days, full_refresh)
        self.is_prepared = True
        self._take_in(table, days)
        return True

    def _event_files_to_read(
        self, days: Sequence[dt.date] | None, full_refresh: bool
    ) -> dict[str, bytes]:
        """Return the files of the days that changed, of those asked for."""
        by_day: dict[dt.date, dict[str, bytes]] = {}
        for name in self.event_names():
            by_day.setdefault(star_model.file_day(name), {})[name] = self.source.files[name]
        result: dict[str, bytes] = {}
        for day, files in by_day.items():
            staged = {
                name: content
                for name, content in self.staged_events.items()
                if star_model.file_day(name) == day
            }
            if (days is None or day in days) and (full_refresh or files != staged):
                result |= files
        return result

    def _faults(self, table: str, days: Sequence[dt.date] | None, full_refresh: bool) -> list[str]:
        """Return what the error has to name, one of it at least; none where none is expected."""
        if table == "staging_events":
            if not self.event_names():
                return ["log_data/"]
            present = {star_model.file_day(name) for name in self.event_names()}
            for name in sorted(self.staged_events):
                day = star_model.file_day(name)
                if days is not None and day in days and day not in present:
                    return [name]
            files = self._event_files_to_read(days, full_refresh)
        elif table == "staging_songs":
            if not self.song_names():
                return ["song_data/"]
            files = {
                name: self.source.files[name]
                for name in self.song_names()
                if full_refresh or self.source.files[name] != self.staged_songs.get(name)
            }
        else:
            return []
        return [name for name, stored in files.items() if _damaged(name, stored)]

    def _take_in(self, table: str, days: Sequence[dt.date] | None) -> None:
        """Bring the model of a table up to date after its run succeeded."""
        if table == "staging_events":
            kept = {
                name: content
                for name, content in self.staged_events.items()
                if days is not None and star_model.file_day(name) not in days
            }
            present = {
                name: self.source.files[name]
                for name in self.event_names()
                if days is None or star_model.file_day(name) in days
            }
            self.staged_events = kept | present
        elif table == "staging_songs":
            self.staged_songs = {name: self.source.files[name] for name in self.song_names()}
        qualified = TABLES[table].qualified_name
        if qualified in COLUMNS:
            self.expected[qualified] = self._model(table)

    def _model(self, table: str) -> list[Row]:
        songs = self.expected["staging.staging_songs"]
        models: dict[str, Callable[[], list[Row]]] = {
            "staging_events": lambda: star_model.staging_events(self.staged_events),
            "staging_songs": lambda: star_model.staging_songs(self.staged_songs),
            "songs": lambda: star_model.songs(songs),
            "artists": lambda: star_model.artists(songs),
            "users": lambda: star_model.users(star_model.current_events(self.staged_events)),
            "songplays": lambda: star_model.songplays(
                star_model.current_events(self.staged_events), self.expected["analytics.songs"]
            ),
            "time": lambda: star_model.time(self.expected["analytics.songplays"]),
        }
        return models[table]()

    def _compare_with_model(self) -> None:
        if not self.is_prepared:
            return
        found, ledger = self.warehouse.read(_tables_and_ledger, "test/read", "run")
        for name, expected in self.expected.items():
            assert not (text := difference(name, found[name], expected)), text
        for table, staged in (
            ("staging_events", self.staged_events),
            ("staging_songs", self.staged_songs),
        ):
            rows = [row[1:] for row in ledger if row[0] == table]
            assert {name: size for name, size, _ in rows} == {
                name: len(content) for name, content in staged.items()
            }
            lines = sum(len(rows_of(name, content)) for name, content in staged.items())
            assert sum(count for *_, count in rows) == lines

    def _compare_with_rebuild(self) -> None:
        type(self).rebuilds += 1
        found = tables_of(self.warehouse, RUN_TABLES)
        local, path = LocalLake(str(self.source.folder)), self.folder / "rebuilt.duckdb"
        for name, expected in rebuilt(local, path, RUN_TABLES).items():
            assert not (text := difference(name, found[name], expected)), text

    def _checks_agree(self) -> None:
        """The checks find nothing wrong, on the whole tables and on what the last load changed."""
        for table, check, found in self.warehouse.read(_check_numbers, "test/checks", "run"):
            if check.severity != "warning":
                assert check.passes(found), (table.name, check.name, found)


def _tables_and_ledger(session: Session) -> tuple[dict[str, list[Row]], list[Row]]:
    ledger = session.run(
        "SELECT table_name, file_name, size_bytes, row_count FROM staging.loaded_files"
    )
    return star_model.read_tables(session.run), ledger


def _check_numbers(session: Session) -> list[tuple[Table, Check, dict[str, int]]]:
    return [
        (table, check, check_numbers(session, table, whole))
        for table in map(TABLES.get, RUN_TABLES)
        for whole in (True, False)
        for check in table.checks
    ]


def _damaged(name: str, stored: bytes) -> bool:
    try:
        return not all(isinstance(line, dict) for line in rows_of(name, stored))
    except (ValueError, OSError, EOFError):
        return True


def run_machine(engine: Engine, examples: int) -> int:
    """Draw sequences until one fails; return the number of rebuilds compared with."""

    class States(IncrementalStates):
        open_engine = staticmethod(engine)

    run_state_machine_as_test(
        States, settings=settings(SETTINGS, max_examples=int(EXAMPLES or examples))
    )
    return States.rebuilds


def test_any_sequence_of_changes_runs_and_crashes() -> None:
    assert run_machine(duckdb_engine, 1000 if DEEP else 20) >= 1


def test_any_sequence_of_changes_runs_and_crashes_on_redshift(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_machine(redshift_engine(s3_url, monkeypatch), 100 if DEEP else 4) >= 1
