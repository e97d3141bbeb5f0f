"""Bringing the staging tables in line with the files that the lake holds."""

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sparkify_dagster.lake.base import Lake, LakeError, SourceFile
from sparkify_dagster.lake.combine import combine
from sparkify_dagster.loading.log import Load, last_load, record_load, utc_now
from sparkify_dagster.loading.schema import is_current, mark_current, prepare
from sparkify_dagster.scratch import scratch_folder
from sparkify_dagster.tables import STAGING_EVENTS, STAGING_SONGS, Table
from sparkify_dagster.warehouse.base import (
    BadLine,
    CopyResult,
    CopySource,
    CopyStep,
    Session,
)
from sparkify_dagster.warehouse.statements import folder_statements

_FINGERPRINT_THREADS = 4


@dataclass
class StagingResult:
    """What a load of a staging table did."""

    files_read: int = 0
    files_removed: int = 0
    is_full: bool = False
    days: dict[dt.date, int] = field(default_factory=dict)  # loaded day: rows
    rejected: list[BadLine] = field(default_factory=list)
    unknown_keys: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Known:
    """A file as it was when its rows were loaded."""

    size: int
    version: str
    content_hash: str | None
    day: dt.date | None


@dataclass(frozen=True)
class _Plan:
    """Which files to read, and which files' rows to take out before."""

    read: list[SourceFile]
    replaced: dict[str, dt.date | None]
    touched: list[SourceFile]  # same content under a new modification time
    removed: int = 0


def load_events(
    session: Session,
    lake: Lake,
    days: Collection[dt.date] | None,
    full_refresh: bool,
    max_errors: int,
    run_id: str,
) -> StagingResult:
    """Load new and changed event files, all of them or those of `days`.

    A day is replaced as a whole. A day that never had a file gives no rows; one whose file has
    gone loses its rows, unless it was asked for by name: then something is amiss at the source.
    With a change of the load SQL or of the JSONPaths, all days loaded before are read again, too.

    Raises:
        LakeError: a day was asked for whose file was loaded once and has gone.
        LoadError: lines do not fit the table.
    """
    prepare(session)
    listed = lake.list_events()
    known = _known_files(session, STAGING_EVENTS)
    rules = "\n".join(lake.read_jsonpaths())
    rebuild = not is_current(session, STAGING_EVENTS, rules)
    if days is not None:
        _refuse_gone_days(days, listed, known)
    wanted: set[dt.date | None] = set(days or ())
    if days is None:
        wanted |= {file.day for file in listed}
    if days is None or rebuild:
        wanted |= {old.day for old in known.values()}
    reload_all = rebuild or full_refresh
    is_full = rebuild or not known or (full_refresh and days is None)
    chosen = [file for file in listed if file.day in wanted]
    gone = {name for name, old in known.items() if old.day in wanted}
    gone -= {file.name for file in chosen}
    changed = chosen if reload_all else _changed(lake, chosen, known)
    touched = [file for file in changed if _same_content(file, known)] if not reload_all else []
    untouched = {file.name for file in changed} - {file.name for file in touched}
    changed_days = {file.day for file in changed if file.name in untouched}
    changed_days |= {known[name].day for name in gone}
    # A touched file of a day that is read anyway needs no separate note.
    plan = _Plan(
        read=[file for file in listed if file.day in changed_days],
        replaced={name: old.day for name, old in known.items() if old.day in changed_days},
        touched=[file for file in touched if file.day not in changed_days],
        removed=len(gone),
    )
    plan = _Plan(_fingerprints(lake, plan.read), plan.replaced, plan.touched, plan.removed)
    result = _load(
        session,
        STAGING_EVENTS,
        plan,
        is_full,
        run_id,
        lambda step: (
            session.copy(step, CopySource(lake, plan.read), max_errors),
            plan.read,
        ),
        rules,
    )
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
    prepare(session)
    listed = lake.list_songs()
    known = _known_files(session, STAGING_SONGS)
    is_full = full_refresh or not known or not is_current(session, STAGING_SONGS)
    gone = set(known) - {file.name for file in listed}
    changed = listed if is_full else [file for file in listed if not _is_same(file, known)]
    replaced = dict.fromkeys(gone)
    replaced |= {file.name: None for file in changed if file.name in known}
    plan = _Plan(changed, replaced, [], len(gone))

    def copy(step: CopyStep) -> tuple[CopyResult, list[SourceFile]]:
        with scratch_folder() as folder:
            combined = combine(lake, plan.read, folder)
            source = CopySource(lake, plan.read, combined.parts)
            return session.copy(step, source, max_errors), combined.files

    return _load(session, STAGING_SONGS, plan, is_full, run_id, copy)


def _load(
    session: Session,
    table: Table,
    plan: _Plan,
    is_full: bool,
    run_id: str,
    copy: Callable[[CopyStep], tuple[CopyResult, list[SourceFile]]],
    rules: str = "",
) -> StagingResult:
    """Exchange the rows of the planned files and write down what was done, by which `rules`."""
    _remember_touched(session, table, plan.touched)
    if not plan.read and not plan.replaced and not is_full:
        return StagingResult()
    load = Load(last_load(session, table.name).load_id + 1, is_full)
    parameters = {
        "table_name": table.name,
        "is_full": is_full,
        "load_id": load.load_id,
        "run_id": run_id,
        "loaded_at": utc_now(),
    }
    session.execute("staging/new_files")
    session.execute("staging/replaced_files")
    if not is_full:
        session.insert("replaced_files", ("file_name", "file_day"), list(plan.replaced.items()))
    session.execute(f"{table.folder}/changes", **parameters)
    for statement in folder_statements(f"{table.folder}/before_copy"):
        session.execute(statement, **parameters)
    step = CopyStep(
        table=table.name,
        landing=f"{table.folder}/landing",
        copy=f"{table.folder}/copy",
        insert=f"{table.folder}/insert",
    )
    copied, files = copy(step) if plan.read else (CopyResult(), [])
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
    for statement in folder_statements(f"{table.folder}/after_copy"):
        session.execute(statement, **parameters)
    session.execute(f"{table.folder}/changes", **parameters)
    session.execute("staging/forget_files", **parameters)
    session.execute(f"{table.folder}/remember_files", **parameters)
    record_load(session, table.name, load, run_id)
    mark_current(session, table, rules)
    return StagingResult(
        files_read=len(plan.read),
        files_removed=plan.removed,
        is_full=is_full,
        rejected=copied.rejected,
        unknown_keys=copied.unknown_keys,
    )


def _known_files(session: Session, table: Table) -> dict[str, _Known]:
    return {
        row["file_name"]: _Known(
            int(row["size_bytes"]), row["version"], row["content_hash"], row["file_day"]
        )
        for row in session.query("bookkeeping/known_files", table_name=table.name)
    }


def _is_same(file: SourceFile, known: dict[str, _Known]) -> bool:
    old = known.get(file.name)
    return old is not None and (old.size, old.version) == (file.size, file.version)


def _same_content(file: SourceFile, known: dict[str, _Known]) -> bool:
    old = known.get(file.name)
    return (
        old is not None
        and None not in (old.content_hash, file.content_hash)
        and (old.content_hash == file.content_hash)
    )


def _changed(lake: Lake, files: Sequence[SourceFile], known: dict[str, _Known]) -> list[SourceFile]:
    """Return the files that look new or changed, those known before with their present hash."""
    changed = [file for file in files if not _is_same(file, known)]
    return [lake.fingerprint(file) if file.name in known else file for file in changed]


def _fingerprints(lake: Lake, files: Sequence[SourceFile]) -> list[SourceFile]:
    with ThreadPoolExecutor(_FINGERPRINT_THREADS) as pool:
        return list(pool.map(lake.fingerprint, files))


def _refuse_gone_days(
    days: Collection[dt.date], listed: Sequence[SourceFile], known: dict[str, _Known]
) -> None:
    present = {file.day for file in listed}
    for name, old in sorted(known.items()):
        if old.day in days and old.day not in present:
            raise LakeError(
                f"{name}: was loaded before and has gone from the lake. Put it back and run "
                "again, or run without a partition, which takes its rows out."
            )


def _remember_touched(session: Session, table: Table, files: Sequence[SourceFile]) -> None:
    for file in files:
        session.execute(
            "bookkeeping/touch_file",
            table_name=table.name,
            file_name=file.name,
            version=file.version,
        )


def _rows_by_day(session: Session) -> dict[dt.date, int]:
    rows = session.query("bookkeeping/rows_by_day")
    return {row["file_day"]: int(row["row_count"]) for row in rows}
