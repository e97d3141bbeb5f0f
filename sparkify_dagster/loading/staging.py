"""Bringing the staging tables in line with the files that the lake holds."""

import datetime as dt
from collections import defaultdict
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from sparkify_dagster.lake.base import LOG_PREFIX, SONG_PREFIX, Lake, SourceFile, by_name
from sparkify_dagster.lake.changes import Total
from sparkify_dagster.loading.ledger import Ledger, kept, record_load, utc_now
from sparkify_dagster.loading.plan import (
    EVERYTHING,
    Known,
    KnownFile,
    Order,
    Plan,
    first_days,
    holds_all,
    plan_files,
)
from sparkify_dagster.loading.refresh import empty, refuse_rebuild
from sparkify_dagster.loading.rejects import Rejects, bad_still
from sparkify_dagster.loading.removals import (
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
from sparkify_dagster.tables import STAGING_EVENTS
from sparkify_dagster.warehouse.base import BadLine, CopyResult, CopySource, CopyStep, Session

_FINGERPRINT_THREADS = 4
_HELD_FILES = 20_000  # of a listing, before it is known whether it is needed: 7 MB


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


def load_files(
    session: Session, order: Order, listed: Sequence[SourceFile] | None = None
) -> StagingResult:
    """Load new and changed files; take out the rows of those gone.

    Event files as `listed`, where the caller has asked the lake already. With a change of the load
    SQL or of the JSONPaths, all files loaded before are read again, too.

    Raises:
        LakeError: a day was asked for whose file was loaded once and has gone.
        LoadError: lines or objects do not fit the table.
        RebuildRefused: the SQL or the JSONPaths have changed, and the table has more rows than may
            be built anew.
        RemovalRefused: more would be taken out than may, or the lake is another one.
    """
    table, lake, is_events = order.table, order.lake, order.table is STAGING_EVENTS
    if is_events and listed is None:
        listed = list_events(session, lake)
    ledger, rules = prepare(session), rules_of(table, lake)
    is_outdated = ledger.of(table).version != read_version(table, rules)
    read_again = order.full_refresh or is_outdated
    prefix = LOG_PREFIX if is_events else SONG_PREFIX
    if listed is None:
        bad = bad_still(session, table, order.refused, order.max_errors)
        may_be_same = bad is not None and not read_again
        listed = _list_changed(session, lake, table) if may_be_same else lake.list_songs()
        if listed is None:
            load_id, left_out = ledger.of(table).load_id, lake.left_out[prefix]
            return StagingResult(load_id, bad_files=bad or {}, left_out=left_out)
    known = known_files(session, table)
    _settle_lake(session, order, known, listed)
    is_full = is_outdated or not known or (order.full_refresh and order.days is None)
    rejects = Rejects(session, order, listed, read_again)
    plan = plan_files(
        rejects.others(),
        known if is_full else rejects.replaceable(known),
        None if order.days is None else {*order.days} - rejects.units,
        read_again,
        is_outdated,
        lake.fingerprint if is_events else None,
    )
    plan, has_more = first_days(plan, order.slice_days)
    if is_events:
        with ThreadPoolExecutor(_FINGERPRINT_THREADS) as pool:
            plan = replace(plan, read=list(pool.map(lake.fingerprint, plan.read)))
    if is_outdated and not order.full_refresh:
        refuse_rebuild(session, table, order.rebuild_limit)
    result = _carry_out(session, order, ledger, known, plan, is_full, rules)
    result.has_more = has_more
    result.bad_files = rejects.note(plan, result.rejected)
    result.left_out = lake.left_out.get(prefix, [])
    return result


def rules_of(table: Table, lake: Lake) -> str:
    """Return what decides the rows of a staging table besides its SQL: the JSONPaths."""
    return "\n".join(lake.read_jsonpaths()) if table is STAGING_EVENTS else ""


def known_files(session: Session, table: Table) -> dict[str, KnownFile]:
    """Return the files that a table was loaded from."""

    def find(session: Session) -> dict[str, KnownFile]:
        rows = session.query("bookkeeping/known_files", table_name=table.name)
        return {name: KnownFile(*found) for name, *found in (row.values() for row in rows)}

    return kept(session, ("files", table.name), find)


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

    def find(session: Session) -> dict[str, Place]:
        rows = session.query("bookkeeping/lakes")
        return {row["table_name"]: Place(row["lake"], bool(row["is_sample"])) for row in rows}

    return kept(session, LAKES, find).get(table.name)


def new_place(
    table: Table,
    before: Place | None,
    lake: Lake,
    listed: Sequence[SourceFile],
    known: Known,
    accepted: bool,
) -> Place | None:
    """Return the lake as the place of a table that was loaded from another, else None.

    Raises:
        RemovalRefused: it may not be loaded from this one unless that is accepted.
    """
    if before and before.lake == lake.address:
        return None
    now = Place(lake.address, lake.is_sample())
    refuse_other_lake(table.name, before, now, holds_all(listed, known), accepted)
    return now


def _settle_lake(
    session: Session, order: Order, known: Known, listed: Sequence[SourceFile]
) -> None:
    """Make sure that the lake is the one that the table was loaded from, and remember it."""
    table, before = order.table, read_place(session, order.table)
    accepted = order.removal_limit == EVERYTHING
    if now := new_place(table, before, order.lake, listed, known, accepted):
        if before:
            session.execute("bookkeeping/forget_lake", table_name=table.name)
        row = (table.name, now.lake, now.is_sample)
        session.insert("staging.lakes", ("table_name", "lake", "is_sample"), [row])
        session.kept[LAKES][table.name] = now


def _carry_out(
    session: Session,
    order: Order,
    ledger: Ledger,
    known: dict[str, KnownFile],
    plan: Plan,
    is_full: bool,
    rules: str,
) -> StagingResult:
    """Exchange the rows of the planned files and write down what was done."""
    table = order.table
    places: dict[str, Any] = {
        "table_name": table.name,
        "run_id": order.run_id,
        "loaded_at": utc_now(),
    }
    for file in plan.touched:
        session.execute(
            "bookkeeping/touch_file", file_name=file.name, version=file.version, **places
        )
    versions = {file.name: file.version for file in plan.touched}
    now = known | {n: replace(known[n], version=version) for n, version in versions.items()}
    session.kept["files", table.name] = now
    if not plan.read and not plan.replaced and not is_full:
        return StagingResult(ledger.of(table).load_id, known=now)
    refuse_removal(table.name, planned_removal(known, plan), order.removal_limit)
    take_over(session, ledger, table, with_rows=not is_full)
    places["load_id"] = ledger.next_id
    changes = None if is_full else f"{table.file}/changes"
    session.execute("bookkeeping/files_of_load")
    if is_full:
        empty(session, table)
        if known:
            session.execute("bookkeeping/forget_all_files", **places)
    elif plan.replaced:
        session.insert("replaced_files", ("file_name", "file_day"), list(plan.replaced.items()))
        session.execute(f"{table.file}/changes", **places)
        session.execute("bookkeeping/forget_files", **places)
    if before_copy := table.section("before_copy"):
        session.execute(before_copy)
    if plan.replaced and not is_full:
        session.execute(f"{table.file}/remove")
    copied = _copy(session, order, plan.read) if plan.read else CopyResult()
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
    removal = planned_removal(known, plan, rows)
    refuse_removal(table.name, removal, order.removal_limit)
    return StagingResult(
        load_id=record_load(session, ledger, table, is_full, order.run_id, rules),
        files_read=len(plan.read),
        files_removed=len(plan.gone),
        is_full=is_full,
        days={day: count for day, count in rows.items() if isinstance(day, dt.date)},
        rejected=copied.rejected,
        unknown_keys=copied.unknown_keys,
        removal=removal,
        known={name: old for name, old in now.items() if name not in plan.replaced}
        | {
            file.name: KnownFile(
                *(file.size, file.version, file.content_hash, file.day, counts[file.name])
            )
            for file in files
        },
    )


def _copy(session: Session, order: Order, files: Sequence[SourceFile]) -> CopyResult:
    table = order.table
    sections = {name: f"{table.file}/{name}" for name in ("landing", "copy", "insert")}
    step = CopyStep(table=table.name, stamp=table.section("stamp") or "", **sections)
    source = CopySource(
        order.lake,
        files,
        are_small=table is not STAGING_EVENTS,
        find_all=order.refused is not None,
    )
    return session.copy(step, source, order.max_errors)


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
