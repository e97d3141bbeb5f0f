"""Bringing the staging tables in line with the files that the lake holds."""

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.lake.combine import combine
from sparkify_dagster.loading.ledger import Ledger, record_load, utc_now
from sparkify_dagster.loading.plan import KnownFile, Plan, plan_events, plan_songs
from sparkify_dagster.loading.refresh import empty
from sparkify_dagster.loading.schema import prepare
from sparkify_dagster.loading.version import read_version
from sparkify_dagster.table import Table
from sparkify_dagster.tables import STAGING_EVENTS, STAGING_SONGS
from sparkify_dagster.warehouse.base import BadLine, CopyResult, CopySource, CopyStep, Session
from sparkify_dagster.warehouse.scratch import scratch_folder

_FINGERPRINT_THREADS = 4

Copy = Callable[[CopyStep], tuple[CopyResult, list[SourceFile]]]


@dataclass
class StagingResult:
    """What a load of a staging table did."""

    load_id: int = 0  # the table's latest load
    files_read: int = 0
    files_removed: int = 0
    is_full: bool = False
    days: dict[dt.date, int] = field(default_factory=dict)  # loaded day: rows
    rejected: list[BadLine] = field(default_factory=list)
    unknown_keys: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Load:
    """A load of a staging table, as far as it is decided before its files are looked at."""

    table: Table
    ledger: Ledger
    known: dict[str, KnownFile]
    version: str
    run_id: str

    @property
    def is_outdated(self) -> bool:
        """Tell whether the rows were loaded by other SQL than now, or never."""
        return self.ledger.of(self.table).version != self.version


def load_events(
    session: Session,
    lake: Lake,
    days: Collection[dt.date] | None,
    full_refresh: bool,
    max_errors: int,
    run_id: str,
) -> StagingResult:
    """Load new and changed event files, all of them or those of `days`.

    With a change of the load SQL or of the JSONPaths, all days loaded before are read again, too.

    Raises:
        LakeError: a day was asked for whose file was loaded once and has gone.
        LoadError: lines do not fit the table.
    """
    load = _begin(session, STAGING_EVENTS, run_id, rules="\n".join(lake.read_jsonpaths()))
    plan = plan_events(
        lake.list_events(),
        load.known,
        days=days,
        read_again=full_refresh or load.is_outdated,
        is_outdated=load.is_outdated,
        fingerprint=lake.fingerprint,
    )
    plan = replace(plan, read=_fingerprints(lake, plan.read))
    is_full = load.is_outdated or not load.known or (full_refresh and days is None)

    def copy(step: CopyStep) -> tuple[CopyResult, list[SourceFile]]:
        return session.copy(step, CopySource(lake, plan.read), max_errors), plan.read

    result = _carry_out(session, load, plan, is_full, copy)
    if plan.read:
        result.days = _rows_by_day(session)
    return result


def load_songs(
    session: Session, lake: Lake, full_refresh: bool, max_errors: int, run_id: str
) -> StagingResult:
    """Load new and changed song files, combined into larger ones; drop the rows of those gone.

    Raises:
        LoadError: objects do not fit the table.
    """
    load = _begin(session, STAGING_SONGS, run_id)
    is_full = full_refresh or load.is_outdated or not load.known
    plan = plan_songs(lake.list_songs(), load.known, read_again=is_full)

    def copy(step: CopyStep) -> tuple[CopyResult, list[SourceFile]]:
        with scratch_folder() as folder:
            combined = combine(lake, plan.read, folder)
            source = CopySource(lake, plan.read, combined.parts)
            return session.copy(step, source, max_errors), combined.files

    return _carry_out(session, load, plan, is_full, copy)


def _begin(session: Session, table: Table, run_id: str, rules: str = "") -> _Load:
    ledger = prepare(session)
    known = {
        row["file_name"]: KnownFile(
            int(row["size_bytes"]), row["version"], row["content_hash"], row["file_day"]
        )
        for row in session.query("bookkeeping/known_files", table_name=table.name)
    }
    return _Load(table, ledger, known, read_version(table, rules), run_id)


def _carry_out(
    session: Session, load: _Load, plan: Plan, is_full: bool, copy: Copy
) -> StagingResult:
    """Exchange the rows of the planned files and write down what was done."""
    table = load.table
    for file in plan.touched:
        session.execute(
            "bookkeeping/touch_file",
            table_name=table.name,
            file_name=file.name,
            version=file.version,
        )
    if not plan.read and not plan.replaced and not is_full:
        return StagingResult(load.ledger.of(table).load_id)
    places = {
        "table_name": table.name,
        "load_id": load.ledger.next_id,
        "run_id": load.run_id,
        "loaded_at": utc_now(),
    }
    changes = None if is_full else f"{table.file}/changes"
    _take_out(session, load, plan, changes, places)
    step = CopyStep(
        table=table.name,
        landing=f"{table.file}/landing",
        copy=f"{table.file}/copy",
        insert=f"{table.file}/insert",
    )
    copied, files = copy(step) if plan.read else (CopyResult(), [])
    _note_files(session, files, copied)
    for section in (table.section("after_copy"), changes, f"{table.file}/remember_files"):
        if section:
            session.execute(section, **places)
    return StagingResult(
        load_id=record_load(session, load.ledger, table, load.version, is_full, load.run_id),
        files_read=len(plan.read),
        files_removed=len(plan.gone),
        is_full=is_full,
        rejected=copied.rejected,
        unknown_keys=copied.unknown_keys,
    )


def _take_out(
    session: Session,
    load: _Load,
    plan: Plan,
    changes: str | None,
    places: dict[str, object],
) -> None:
    """Take out the rows of the replaced files, or all where no changes are noted."""
    session.execute("bookkeeping/files_of_load")
    if changes:
        session.insert("replaced_files", ("file_name", "file_day"), list(plan.replaced.items()))
        session.execute(changes, **places)
        session.execute("bookkeeping/forget_files", **places)
    else:
        empty(session, load.table)
        session.execute("bookkeeping/forget_all_files", **places)
    session.execute(f"{load.table.file}/remove", **places)


def _note_files(session: Session, files: Sequence[SourceFile], copied: CopyResult) -> None:
    """Write down the files read, in the temporary table that the statements look at."""
    session.insert(
        "new_files",
        ("file_name", "file_day", "size_bytes", "version", "content_hash", "line_count"),
        [
            (
                file.name,
                file.day,
                file.size,
                file.version,
                file.content_hash,
                # With lines left out, only the rows themselves can be counted.
                None if copied.rejected else copied.objects.get(file.name, file.line_count),
            )
            for file in files
        ],
    )


def _fingerprints(lake: Lake, files: Sequence[SourceFile]) -> list[SourceFile]:
    with ThreadPoolExecutor(_FINGERPRINT_THREADS) as pool:
        return list(pool.map(lake.fingerprint, files))


def _rows_by_day(session: Session) -> dict[dt.date, int]:
    rows = session.query("bookkeeping/rows_by_day")
    return {row["file_day"]: int(row["row_count"]) for row in rows}
