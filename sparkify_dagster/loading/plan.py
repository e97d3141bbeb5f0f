"""Which files a load reads, and which files' rows it takes out. Asks neither lake nor warehouse."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparkify_dagster.lake.base import LakeError, SourceFile


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
class Plan:
    """What a load does with the files of a lake."""

    read: list[SourceFile] = field(default_factory=list)
    replaced: dict[str, dt.date | None] = field(default_factory=dict)  # whose rows are taken out
    touched: list[SourceFile] = field(default_factory=list)  # same content, new modification time
    gone: list[str] = field(default_factory=list)  # of the replaced, those that the lake lacks


def plan_events(
    listed: Sequence[SourceFile],
    known: Known,
    days: Collection[dt.date] | None,
    read_again: bool,
    is_outdated: bool,
    fingerprint: Callable[[SourceFile], SourceFile],
) -> Plan:
    """Return the plan for the event files, all of them or those of `days`.

    A day is replaced as a whole. One that never had a file gives no rows; one whose file has gone
    loses its rows, unless it was asked for by name: then something is amiss at the source. With
    `read_again`, unchanged files are read as well; where the rows of the table `is_outdated`, the
    days loaded before are, too. `fingerprint` returns a file with its hash.

    Raises:
        LakeError: a day was asked for whose file was loaded once and has gone.
    """
    if days is not None:
        _refuse_gone_days(days, listed, known)
        days = {*days, *(old.day for old in known.values() if is_outdated and old.day)}
    chosen = [file for file in listed if days is None or file.day in days]
    names = {file.name for file in chosen}
    gone = [
        name
        for name, old in known.items()
        if (days is None or old.day in days) and name not in names
    ]
    changed, touched = chosen, []
    if not read_again:
        looked_at = [
            fingerprint(file) if file.name in known else file
            for file in chosen
            if not _is_same(file, known)
        ]
        touched = [file for file in looked_at if _has_same_content(file, known)]
        changed = [file for file in looked_at if file not in touched]
    changed_days = {file.day for file in changed} | {known[name].day for name in gone}
    return Plan(
        read=[file for file in listed if file.day in changed_days],
        replaced={name: old.day for name, old in known.items() if old.day in changed_days},
        # A touched file of a day that is read anyway needs no separate note.
        touched=[file for file in touched if file.day not in changed_days],
        gone=gone,
    )


def plan_songs(listed: Sequence[SourceFile], known: Known, read_again: bool) -> Plan:
    """Return the plan for the song files; with `read_again`, unchanged ones are read as well."""
    names = {file.name for file in listed}
    gone = [name for name in known if name not in names]
    changed = [file for file in listed if read_again or not _is_same(file, known)]
    replaced = [*gone, *(file.name for file in changed if file.name in known)]
    return Plan(changed, dict.fromkeys(replaced), [], gone)


def first_days(plan: Plan, most: int) -> tuple[Plan, bool]:
    """Return the plan with the first new days only, and whether that leaves some for later."""
    new = {file.day for file in plan.read if file.day} - {*plan.replaced.values()}
    later = {*sorted(new)[most:]}
    return replace(plan, read=[file for file in plan.read if file.day not in later]), bool(later)


def holds_all(listed: Sequence[SourceFile], known: Known) -> bool:
    """Tell whether every known file is listed, as it was when it was loaded."""
    same = sum(_is_same(file, known) for file in listed)
    return same == len(known)


def _is_same(file: SourceFile, known: Known) -> bool:
    old = known.get(file.name)
    return old is not None and (old.size, old.version) == (file.size, file.version)


def _has_same_content(file: SourceFile, known: Known) -> bool:
    old = known.get(file.name)
    return (
        old is not None and file.content_hash is not None and old.content_hash == file.content_hash
    )


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
