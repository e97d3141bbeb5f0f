"""Bringing the staging tables in line with the files that the lake holds."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from sparkify_dagster.lake.base import LOG_PREFIX, SONG_PREFIX, Lake, SourceFile, by_name
from sparkify_dagster.lake.changes import Total
from sparkify_dagster.loading.ledger import Ledger, record_load, utc_now
from sparkify_dagster.loading.plan import (
    KnownFile,
    Plan,
    first_days,
    holds_all,
    plan_events,
    plan_songs,
)
from sparkify_dagster.loading.refresh import empty, refuse_rebuild
from sparkify_dagster.loading.rejects import Refused, Rejects, bad_still
from sparkify_dagster.loading.removals import (
    EVERYTHING,
    Place,
    Removal,
    planned_removal,
    refuse_other_lake,
    refuse_removal,
)
from sparkify_dagster.loading.schema import prepare
from sparkify_dagster.loading.sharing import LAKES, list_events, take_over
from sparkify_dagster.loading.version import read_version
from sparkify_dagster.table import Table
from sparkify_dagster.tables import STAGING_EVENTS, STAGING_SONGS
from sparkify_dagster.warehouse.base import BadLine, CopyResult, CopySource, CopyStep, Session

_FINGERPRINT_THREADS = 4
_HELD_FILES = 20_000  # of a listing, before it is known whether it is needed: 7 MB

Copy = Callable[[CopyStep], CopyResult]


class Books(NamedTuple):
    """What a load of a staging table begins with."""

    ledger: Ledger
    known: dict[str, KnownFile]


@dataclass
class StagingResult:
    """What a load of a staging table did."""

    load_id: int = 0  # the table's latest load
    files_read: int = 0
    files_removed: int = 0
    is_full: bool = False
    days: dict[dt.date, int] = field(default_factory=dict)  # loaded day: rows
    rejected: list[BadLine] = field(default_factory=list)
    bad_files: dict[str, str] = field(default_factory=dict)  # left out, with the reasons
    unknown_keys: set[str] = field(default_factory=set)
    removal: Removal = field(default_factory=Removal)
    left_out: list[str] = field(default_factory=list)  # names that look like data and are none
    # What the table is loaded from now; equal results may come from files read in other ways.
    known: dict[str, KnownFile] = field(default_factory=dict, compare=False)
    has_more: bool = False  # days are left for the next load

    def after(self, before: "StagingResult") -> "StagingResult":
        """Return what this load and the one before did together."""
        return replace(
            self,
            files_read=before.files_read + self.files_read,
            files_removed=before.files_removed + self.files_removed,
            is_full=before.is_full or self.is_full,
            days=before.days | self.days,
            rejected=before.rejected + self.rejected,
            unknown_keys=before.unknown_keys | self.unknown_keys,
            removal=before.removal if before.removal.rows_lost else self.removal,
        )


@dataclass(frozen=True)
class _Load:
    """A load of a staging table, as far as it is decided before its files are looked at."""

    table: Table
    ledger: Ledger
    known: dict[str, KnownFile]
    rules: str  # the JSONPaths
    run_id: str
    removal_limit: int  # percent
    rebuild_limit: int | None  # rows

    @property
    def is_outdated(self) -> bool:
        """Tell whether the rows were loaded by other SQL than now, or never."""
        return self.ledger.of(self.table).version != read_version(self.table, self.rules)


def load_events(
    session: Session,
    lake: Lake,
    days: Collection[dt.date] | None,
    full_refresh: bool,
    max_errors: int,
    run_id: str,
    removal_limit: int = EVERYTHING,
    books: Books | None = None,
    refused: Refused | None = None,
    rebuild_limit: int | None = None,
    slice_days: int | None = None,
) -> StagingResult:
    """Load new and changed event files, all of them or those of `days`.

    With a change of the load SQL or of the JSONPaths, all days loaded before are read again, too.
    `removal_limit` is the percentage of the rows or of the days that may be taken out; EVERYTHING
    confirms all, and another lake than before. `books` are those opened in this
    transaction, where the caller has asked for it already. With `refused`, bad files are left out:
    these, which an attempt of this run has found, and those of former runs that are the same still.
    Of the days without rows, no more than the first `slice_days` are taken in.

    Raises:
        LakeError: a day was asked for whose file was loaded once and has gone.
        LoadError: lines do not fit the table.
        RebuildRefused: the SQL or the JSONPaths have changed, and the table has more than
            `rebuild_limit` rows.
        RemovalRefused: more would be taken out, or the lake is another one.
    """
    listed = list_events(session, lake)
    rules = "\n".join(lake.read_jsonpaths())
    limit = None if full_refresh else rebuild_limit
    load = _begin(session, STAGING_EVENTS, run_id, removal_limit, limit, rules, books)
    _settle_lake(session, lake, load, listed)
    is_full = load.is_outdated or not load.known or (full_refresh and days is None)
    read_again = full_refresh or load.is_outdated
    rejects = Rejects(session, load.table, listed, refused, max_errors, read_again)
    plan = plan_events(
        rejects.others(),
        load.known if is_full else rejects.replaceable(load.known),
        days=None if days is None else {*days} - rejects.units,
        read_again=read_again,
        is_outdated=load.is_outdated,
        fingerprint=lake.fingerprint,
    )
    plan, has_more = first_days(plan, slice_days or len(plan.read))
    plan = replace(plan, read=_fingerprints(lake, plan.read))

    def copy(step: CopyStep) -> CopyResult:
        return session.copy(
            step, CopySource(lake, plan.read, find_all=refused is not None), max_errors
        )

    result = _carry_out(session, load, plan, is_full, copy)
    result.has_more = has_more
    result.bad_files = rejects.note(lake, plan.read, plan.replaced, result.rejected, run_id)
    result.left_out = lake.left_out.get(LOG_PREFIX, [])
    return result


def load_songs(
    session: Session,
    lake: Lake,
    full_refresh: bool,
    max_errors: int,
    run_id: str,
    removal_limit: int = EVERYTHING,
    refused: Refused | None = None,
    rebuild_limit: int | None = None,
) -> StagingResult:
    """Load new and changed song files, combined into larger ones; drop the rows of those gone.

    Raises:
        LoadError: objects do not fit the table.
        RebuildRefused: the SQL has changed, and the table has more than `rebuild_limit` rows.
        RemovalRefused: more than `removal_limit` percent would be taken out, or the lake is another
            one.
    """
    limit = None if full_refresh else rebuild_limit
    books = Books(prepare(session), {})
    load = _begin(session, STAGING_SONGS, run_id, removal_limit, limit, books=books)
    bad = bad_still(session, load.table, refused, max_errors)
    may_be_same = bad is not None and not full_refresh and not load.is_outdated
    listed = _list_changed(session, lake, load.table) if may_be_same else lake.list_songs()
    if listed is None:
        return StagingResult(
            load.ledger.of(load.table).load_id,
            bad_files=bad or {},
            left_out=lake.left_out[SONG_PREFIX],
        )
    load = replace(load, known=known_files(session, load.table))
    _settle_lake(session, lake, load, listed)
    is_full = full_refresh or load.is_outdated or not load.known
    rejects = Rejects(session, load.table, listed, refused, max_errors, is_full)
    known = load.known if is_full else rejects.replaceable(load.known)
    plan = plan_songs(rejects.others(), known, read_again=is_full)

    def copy(step: CopyStep) -> CopyResult:
        return session.copy(
            step,
            CopySource(lake, plan.read, are_small=True, find_all=refused is not None),
            max_errors,
        )

    result = _carry_out(session, load, plan, is_full, copy)
    result.bad_files = rejects.note(lake, plan.read, plan.replaced, result.rejected, run_id)
    result.left_out = lake.left_out.get(SONG_PREFIX, [])
    return result


def _begin(
    session: Session,
    table: Table,
    run_id: str,
    removal_limit: int,
    rebuild_limit: int | None,
    rules: str = "",
    books: Books | None = None,
) -> _Load:
    ledger, known = books or open_books(session, table)
    return _Load(table, ledger, known, rules, run_id, removal_limit, rebuild_limit)


def open_books(session: Session, table: Table) -> Books:
    """Return the ledger and the files that a table was loaded from."""
    return Books(prepare(session), known_files(session, table))


def known_files(session: Session, table: Table) -> dict[str, KnownFile]:
    """Return the files that a table was loaded from."""
    key = ("files", table.name)
    if key not in session.kept:
        session.kept[key] = {
            row["file_name"]: KnownFile(
                int(row["size_bytes"]),
                row["version"],
                row["content_hash"],
                row["file_day"],
                int(row["row_count"]),
            )
            for row in session.query("bookkeeping/known_files", table_name=table.name)
        }
    found: dict[str, KnownFile] = session.kept[key]
    return found


def _list_changed(session: Session, lake: Lake, table: Table) -> list[SourceFile] | None:
    """Return all song files, or None where they are those that the table was last loaded from.

    Then neither list is held as a whole: there may be a million. Where they are not, a long listing
    is made twice.
    """
    place = read_place(session, table)
    if not place or place.lake != lake.address:
        return lake.list_songs()
    (known,) = session.query("bookkeeping/known_total", table_name=table.name)
    files = lake.each_song()
    held = list(islice(files, _HELD_FILES))
    total = Total().plus(held).plus(files)
    if total == Total(known["file_count"], int(known["checksum"] or 0)):
        return None
    return by_name(held) if total.count == len(held) else lake.list_songs()


def read_place(session: Session, table: Table) -> Place | None:
    """Return the lake that a staging table was loaded from."""
    if LAKES not in session.kept:
        session.kept[LAKES] = {
            row["table_name"]: Place(row["lake"], bool(row["is_sample"]))
            for row in session.query("bookkeeping/lakes")
        }
    places: dict[str, Place] = session.kept[LAKES]
    return places.get(table.name)


def _settle_lake(session: Session, lake: Lake, load: _Load, listed: Sequence[SourceFile]) -> None:
    """Make sure that the lake is the one that the table was loaded from, and remember it.

    Raises:
        RemovalRefused: it is another one, and that was not confirmed.
    """
    table = load.table.name
    before = read_place(session, load.table)
    if before and before.lake == lake.address:
        return
    now = Place(lake.address, lake.is_sample())
    is_same = holds_all(listed, load.known)
    refuse_other_lake(table, before, now, is_same, load.removal_limit == EVERYTHING)
    if before:
        session.execute("bookkeeping/forget_lake", table_name=table)
    session.insert(
        "staging.lakes", ("table_name", "lake", "is_sample"), [(table, now.lake, now.is_sample)]
    )
    session.kept[LAKES][table] = now


def _carry_out(
    session: Session, load: _Load, plan: Plan, is_full: bool, copy: Copy
) -> StagingResult:
    """Exchange the rows of the planned files and write down what was done."""
    table = load.table
    known = load.known | {
        file.name: replace(load.known[file.name], version=file.version) for file in plan.touched
    }
    for file in plan.touched:
        session.execute(
            "bookkeeping/touch_file",
            table_name=table.name,
            file_name=file.name,
            version=file.version,
        )
    session.kept["files", table.name] = known
    if not plan.read and not plan.replaced and not is_full:
        return StagingResult(load.ledger.of(table).load_id, known=known)
    if load.is_outdated:
        refuse_rebuild(session, table, load.rebuild_limit)
    refuse_removal(table.name, planned_removal(load.known, plan), load.removal_limit)
    take_over(session, load.ledger, table, with_rows=not is_full)
    places = {
        "table_name": table.name,
        "load_id": load.ledger.next_id,
        "run_id": load.run_id,
        "loaded_at": utc_now(),
    }
    changes = None if is_full else f"{table.file}/changes"
    session.execute("bookkeeping/files_of_load")
    if changes and plan.replaced:
        session.insert("replaced_files", ("file_name", "file_day"), list(plan.replaced.items()))
        session.execute(changes, **places)
        session.execute("bookkeeping/forget_files", **places)
    elif is_full:
        empty(session, table)
        if load.known:
            session.execute("bookkeeping/forget_all_files", **places)
    if before_copy := table.section("before_copy"):
        session.execute(before_copy)
    if changes and plan.replaced:
        session.execute(f"{table.file}/remove")
    step = CopyStep(
        table=table.name,
        landing=f"{table.file}/landing",
        copy=f"{table.file}/copy",
        insert=f"{table.file}/insert",
        stamp=table.section("stamp") or "",
    )
    copied = copy(step) if plan.read else CopyResult()
    files = copied.files or plan.read
    note_files(session, files, copied)
    for section in (table.section("after_copy"), changes, f"{table.file}/remember_files"):
        if section:
            session.execute(section, **places)
    found = session.query("bookkeeping/rows_of_load", table_name=table.name) if files else []
    counts = {row["file_name"]: int(row["row_count"]) for row in found}
    rows: dict[Hashable, int] = defaultdict(int)  # of each day or song file that was read
    for file in files:
        rows[file.day or file.name] += counts[file.name]
    removal = planned_removal(load.known, plan, rows)
    refuse_removal(table.name, removal, load.removal_limit)
    return StagingResult(
        load_id=record_load(session, load.ledger, table, is_full, load.run_id, load.rules),
        files_read=len(plan.read),
        files_removed=len(plan.gone),
        is_full=is_full,
        days={day: count for day, count in rows.items() if isinstance(day, dt.date)},
        rejected=copied.rejected,
        unknown_keys=copied.unknown_keys,
        removal=removal,
        known={name: old for name, old in known.items() if name not in plan.replaced}
        | {
            file.name: KnownFile(
                *(file.size, file.version, file.content_hash, file.day, counts[file.name])
            )
            for file in files
        },
    )


def note_files(session: Session, files: Sequence[SourceFile], copied: CopyResult) -> None:
    """Write down the files read, in the temporary table that the statements look at."""
    session.insert(
        "new_files",
        ("file_name", "file_day", "size_bytes", "version", "content_hash", "line_count"),
        (
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
        ),
    )


def _fingerprints(lake: Lake, files: Sequence[SourceFile]) -> list[SourceFile]:
    with ThreadPoolExecutor(_FINGERPRINT_THREADS) as pool:
        return list(pool.map(lake.fingerprint, files))
