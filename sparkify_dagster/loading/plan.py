"""Which files a load reads, and which files' rows it takes out. Asks neither lake nor warehouse.

What is loaded and taken out as a whole, a unit, is a day of events or a song file.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparkify_dagster.lake.base import Lake, LakeError, SourceFile
from sparkify_dagster.table import Table
from sparkify_dagster.warehouse.base import BadLine

EVERYTHING = 100  # percent: what a run may take out when that was confirmed

Refused = dict[str, list[BadLine]]  # what is wrong with files, by name, as this run has found


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as it was when its rows were loaded."""

    size: int  # bytes
    version: str
    content_hash: str | None
    day: dt.date | None
    rows: int = 0  # that it gave


Known = Mapping[str, KnownFile]


@dataclass(frozen=True)
class Order:
    """A load of a staging table, as a run asks for it."""

    table: Table
    lake: Lake
    run_id: str
    full_refresh: bool = False
    max_errors: int = 0  # MAXERROR of COPY, in lines
    # Percent of the rows, days or files that may be taken out; all confirms another lake, too.
    removal_limit: int = EVERYTHING
    rebuild_limit: int | None = None  # rows that may be built anew unasked; None: any
    # The bad files that an attempt of this run has found, which are left out as are those of former
    # runs that are the same still; None: a bad file fails the load.
    refused: Refused | None = None
    days: Collection[dt.date] | None = None  # of the events, that are looked at; None: all
    slice_days: int | None = None  # without rows so far, that are taken in at the most


@dataclass(frozen=True)
class Plan:
    """What a load does with the files of a lake."""

    read: list[SourceFile] = field(default_factory=list)
    replaced: dict[str, dt.date | None] = field(default_factory=dict)  # whose rows are taken out
    touched: list[SourceFile] = field(default_factory=list)  # same content, new modification time
    gone: list[str] = field(default_factory=list)  # of the replaced, those that the lake lacks


def plan_files(
    listed: Sequence[SourceFile],
    known: Known,
    days: Collection[dt.date] | None = None,
    read_again: bool = False,
    is_outdated: bool = False,
    fingerprint: Callable[[SourceFile], SourceFile] | None = None,
) -> Plan:
    """Return the plan for the files of a table; of events, all of them or those of `days`.

    A day that never had a file gives no rows; one whose file has gone loses its rows, unless it was
    asked for by name: then something is amiss at the source. With `read_again`, unchanged files are
    read as well; where the rows of the table `is_outdated`, the days loaded before are, too.
    `fingerprint` returns a file with its hash, which tells what was merely touched; without it, as
    of song files, that is read.

    Raises:
        LakeError: a day was asked for whose file was loaded once and has gone.
    """
    if days is not None:
        _refuse_gone_days(days, listed, known)
        days = {*days, *(old.day for old in known.values() if is_outdated and old.day)}
    chosen = [file for file in listed if days is None or file.day in days]
    names = {file.name for file in chosen if file.name in known}
    gone = [
        name
        for name, old in known.items()
        if (days is None or old.day in days) and name not in names
    ]
    changed, touched = chosen, []
    if not read_again:
        changed = [file for file in chosen if not _is_same(file, known)]
        if fingerprint:
            changed = [fingerprint(file) if file.name in known else file for file in changed]
            touched = [file for file in changed if _has_same_content(file, known)]
            changed = [file for file in changed if not _has_same_content(file, known)]
    units = {file.day or file.name for file in changed if file.day or file.name in known}
    units |= {known[name].day or name for name in gone}
    return Plan(
        # Of a day all files; a song file stands for itself.
        read=[file for file in listed if file.day in units] or changed,
        replaced={name: old.day for name, old in known.items() if (old.day or name) in units},
        # A touched file of a day that is read anyway needs no separate note.
        touched=[file for file in touched if file.day not in units],
        gone=gone,
    )


def first_days(plan: Plan, most: int | None) -> tuple[Plan, bool]:
    """Return the plan with the first new days only, and whether that leaves some for later."""
    new = {file.day for file in plan.read if file.day} - {*plan.replaced.values()}
    later = {*sorted(new)[most or len(new) :]}
    return replace(plan, read=[file for file in plan.read if file.day not in later]), bool(later)


def holds_all(listed: Sequence[SourceFile], known: Known) -> bool:
    """Tell whether every known file is listed, as it was when it was loaded."""
    return sum(_is_same(file, known) for file in listed) == len(known)


def _is_same(file: SourceFile, known: Known) -> bool:
    old = known.get(file.name)
    return old is not None and (old.size, old.version) == (file.size, file.version)


def _has_same_content(file: SourceFile, known: Known) -> bool:
    old = known.get(file.name)
    return old is not None and old.content_hash == file.content_hash is not None


def _refuse_gone_days(
    days: Collection[dt.date], listed: Sequence[SourceFile], known: Known
) -> None:
    present = {file.day for file in listed}
    for name, old in sorted(known.items()):
        if old.day in days and old.day not in present:
            raise LakeError(
                f"{name}: was loaded before and has gone from the lake. Put it back and run "
                "again, or run without days, which takes its rows out."
            )
