"""Whether a load may take out what it would take out, and whether the lake is the one meant.

A file that is not there counts as deleted, so a lake that is half copied, or another one, would
empty a warehouse. Here is decided what is too much to happen unasked; nothing is read or changed.
"""

import datetime as dt
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from sparkify_dagster.lake.changes import describe_days
from sparkify_dagster.loading.plan import EVERYTHING, Known, Plan
from sparkify_dagster.text import printable
from sparkify_dagster.warehouse.base import WarehouseError

CONFIRMATION = (
    "`sparkify run --accept-removals`, or accept_removals: true in the run config of the asset"
)

_SHOWN_NAMES = 3
# A correction may take a few lines out of a day of few; a share says nothing there.
_FEW_ROWS = 5


class RemovalRefused(WarehouseError):
    """A load would take out more than may go unasked; nothing was changed."""


@dataclass(frozen=True)
class Place:
    """Where the rows of a table are from."""

    lake: str  # a folder's full path, or s3://bucket/prefix
    is_sample: bool  # invented by `sparkify sample-data`


@dataclass(frozen=True)
class Unit:
    """What is loaded and taken out as a whole: a day of events, a song file."""

    name: str  # of its first file
    rows: int
    day: dt.date | None = None


@dataclass(frozen=True)
class Removal:
    """What a load takes out and does not put back."""

    files: int = 0  # loaded before: days of events, or song files
    rows: int = 0
    gone: tuple[Unit, ...] = ()  # without a file now, by name
    shrunk: tuple[tuple[Unit, int], ...] = ()  # with fewer rows now, by name: how many are lost

    @property
    def is_of_days(self) -> bool:
        """Tell whether it is of days; else it is of song files."""
        return any(unit.day for unit in (*self.gone, *(unit for unit, _ in self.shrunk)))

    @property
    def rows_lost(self) -> int:
        """Return the number of rows of what has gone, and of those missing from what shrank."""
        return sum(unit.rows for unit in self.gone) + sum(lost for _, lost in self.shrunk)


def _units(known: Known) -> dict[Hashable, Unit]:
    found: dict[Hashable, Unit] = {}
    for name, file in known.items():
        first = found.get(file.day or name, Unit(name, 0, file.day))
        found[file.day or name] = Unit(first.name, first.rows + file.rows, file.day)
    return found


def planned_removal(
    known: Known, plan: Plan, rows: Mapping[Hashable, int] | None = None
) -> Removal:
    """Return what a load takes out and does not put back.

    `rows` are those of the days or files that it read; before they are read, of those gone only.
    """
    read = {file.day or file.name for file in plan.read}
    replaced = {day or name for name, day in plan.replaced.items()}
    after: dict[Hashable, int | None] = dict.fromkeys(replaced - read)
    after |= {key: rows.get(key, 0) for key in replaced & read} if rows is not None else {}
    return measure(_units(known), after)


def measure(before: Mapping[Hashable, Unit], after: Mapping[Hashable, int | None]) -> Removal:
    """Return what a load takes out.

    `before` has all units of the table, `after` the rows of those that the load read again, and
    None for those without a file.
    """
    left = ((before[key], rows) for key, rows in after.items() if key in before)
    less = [(unit, rows) for unit, rows in left if rows is None or rows < unit.rows]
    less.sort(key=lambda one: one[0].name)
    return Removal(
        len(before),
        sum(unit.rows for unit in before.values()),
        tuple(unit for unit, rows in less if rows is None),
        tuple((unit, unit.rows - rows) for unit, rows in less if rows is not None),
    )


def exceeds(removal: Removal, percent: int) -> bool:
    """Tell whether a load takes out more than may go unasked.

    That is `percent` of the files or of the rows of a table; in a small lake one file, and the rows
    of two of average size. Of a day that stays, it is `percent` of its rows, but never all of them.
    """
    few = percent > 0 and removal.files > 1
    files_share = max(percent / 100, few / max(1, removal.files))
    rows_share = max(percent / 100, few * min(0.5, 2 / max(1, removal.files)))
    return (
        len(removal.gone) > files_share * removal.files
        or removal.rows_lost > rows_share * removal.rows
        or any(_shrank_too_far(unit, lost, percent) for unit, lost in removal.shrunk)
    )


def refuse_removal(table: str, removal: Removal, percent: int) -> None:
    """Stop a load that takes out too much; with a limit of 100 none does.

    Raises:
        RemovalRefused: saying what, why that is too much, and how to confirm it.
    """
    if percent < EVERYTHING and exceeds(removal, percent):
        raise RemovalRefused(
            f"{table}: this run would take out {len(removal.gone):,} of {removal.files:,} "
            f"{'days' if removal.is_of_days else 'files'} and {removal.rows_lost:,} of "
            f"{removal.rows:,} rows, which is more than may go unasked ({percent} %, "
            f"SPARKIFY_REMOVAL_LIMIT_PERCENT); nothing was changed. {describe(removal)} If that is "
            f"meant, confirm it with {CONFIRMATION}."
        )


def refuse_other_lake(
    table: str, loaded_from: Place | None, now: Place, is_same: bool, accepted: bool
) -> None:
    """Stop a load from another lake than that which the table was loaded from.

    `is_same` says that every file loaded so far lies in the lake as it was loaded: the lake has
    moved.

    Raises:
        RemovalRefused: naming both, and how to confirm the change; that to a sample lake cannot be.
    """
    if loaded_from is None or loaded_from.lake == now.lake:
        return
    both = printable(
        f"{table}: this warehouse was loaded from the lake {loaded_from.lake}, and SPARKIFY_LAKE "
        f"is now {now.lake}"
    )
    if now.is_sample and not loaded_from.is_sample:
        raise RemovalRefused(
            f"{both}, which is sample data; nothing was changed. Correct SPARKIFY_LAKE, or name "
            "another warehouse for the sample data."
        )
    if not is_same and not accepted:
        raise RemovalRefused(
            f"{both}; nothing was changed. Correct SPARKIFY_LAKE, or, to have the one replaced by "
            f"the other, confirm it with {CONFIRMATION}."
        )


def _shrank_too_far(unit: Unit, lost: int, percent: int) -> bool:
    if unit.day is None:
        return False
    return lost == unit.rows or lost > max(_FEW_ROWS * (percent > 0), unit.rows * percent / 100)


def describe(removal: Removal) -> str:
    """Return what has gone in words; empty where nothing has."""
    most = [unit for unit, _ in sorted(removal.shrunk, key=lambda one: -one[1])]
    said = {"Gone": removal.gone, "With fewer rows": most}
    return " ".join(f"{what}: {_named(units)}." for what, units in said.items() if units)


def _named(units: Sequence[Unit]) -> str:
    names = ", ".join(printable(unit.name) for unit in units[:_SHOWN_NAMES])
    left_out = f" and {len(units) - _SHOWN_NAMES:,} more" if len(units) > _SHOWN_NAMES else ""
    days = [unit.day for unit in units if unit.day]
    return (f"{describe_days(days)} (" if days else "") + names + left_out + ")" * bool(days)
