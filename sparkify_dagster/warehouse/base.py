"""What every engine offers, and the errors they share."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.lake.combine import Part
from sparkify_dagster.text import printable

Result = TypeVar("Result")
Row = tuple[Any, ...]

SHOWN_LINES = 20


class WarehouseError(Exception):
    """The warehouse cannot do what was asked; the message says why and what helps."""

    transient = False  # whether the same may succeed some minutes later
    passes = ""  # why it may do so at the next try of the transaction, if it may


class NoEnvironment(WarehouseError):
    """The environment that is named has not been made."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"SPARKIFY_ENVIRONMENT={name}: there is no such environment; `sparkify environments "
            f"list` names those there are, `sparkify environments create {name}` makes it"
        )


class NothingYetError(WarehouseError):
    """There is no warehouse: no load has made its tables."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place}: no warehouse yet; run the job sparkify_etl first")


class BusyError(WarehouseError):
    """Another run has held the warehouse for as long as this one was to wait."""

    transient = True


@dataclass(frozen=True)
class BadLine:
    """One object of a source file that a COPY refuses."""

    file: str
    line: int  # from 1; the last line of the object; 0 where the file as a whole is bad
    column: str  # empty where the object as a whole is malformed
    reason: str
    value: str = ""  # cut off at 100 characters

    def __str__(self) -> str:
        """Return the place and the reason in one line."""
        where = (
            self.file
            + (f", line {self.line}" * bool(self.line))
            + (f", column {self.column}" * bool(self.column))
        )
        value = f" (value {self.value!r})" if self.value else ""
        return printable(f"{where}: {self.reason}{value}")


class LoadError(WarehouseError):
    """Source files hold lines that do not fit the table; nothing was changed."""

    def __init__(self, table: str, bad_lines: Sequence[BadLine], count: int | None = None) -> None:
        self.table = table
        self.bad_lines = tuple(bad_lines[:SHOWN_LINES])
        self.by_file: dict[str, list[BadLine]] = defaultdict(list)
        for line in bad_lines:
            if len(self.by_file[line.file]) < SHOWN_LINES:
                self.by_file[line.file].append(line)
        self.count = len(bad_lines) if count is None else count
        shown = "\n".join(f"  {line}" for line in self.bad_lines)
        # A line may be bad in several ways.
        more = self.count - len({(line.file, line.line) for line in self.bad_lines})
        super().__init__(
            f"{table}: {self.count} line(s) of the source cannot be loaded; the table is as it was."
            f" Correct the files and run again.\n{shown}" + (f"\n  and {more} more" * bool(more))
        )


@dataclass(frozen=True)
class CopyStep:
    """The statements that bring files into a staging table, as names of sections in sql/."""

    table: str
    landing: str  # creates the temporary table that COPY fills
    copy: str
    insert: str  # from the landing table into the staging table
    stamp: str = ""  # says the file of rows that were loaded from one by itself


@dataclass(frozen=True)
class CopySource:
    """What a COPY reads: files of the lake, and the parts they were combined into, if they were."""

    lake: Lake
    files: Sequence[SourceFile]
    parts: Sequence[Part] | None = None
    are_small: bool = False  # so many that every engine combines them
    find_all: bool = False  # name every file that is bad, as the load is done again without them


@dataclass
class CopyResult:
    """What a COPY found besides the rows it loaded."""

    rows: int = 0
    rejected: list[BadLine] = field(default_factory=list)  # skipped within MAXERROR
    unknown_keys: set[str] = field(default_factory=set)  # in the files, not in the table
    objects: dict[str, int] = field(default_factory=dict)  # in each file, if looked at one by one
    files: list[SourceFile] = field(default_factory=list)  # with what combining them told


class Session(Protocol):
    """One open transaction, or a look at committed data."""

    environment: str  # whose tables it works on; empty: production's
    schemas: tuple[str, str]  # analytics and staging, by the names that the catalog has
    statements: list[str]  # as sent to the engine
    # What the sessions of a run have learned, by what it is and the table it is of; nothing is
    # committed that rests on what another run has changed since.
    kept: dict[tuple[str, str], Any]

    def whereabouts(self, side: str) -> dict[str, Any]:
        """Return what the catalog calls schemas and database of a side, as `production.`.

        The session's own side is empty; so is its database, None.
        """

    def take_turn(self) -> None:
        """Wait for one's turn to write; for a body that would otherwise look in vain before."""

    def execute(self, name: str, **parameters: Any) -> int:
        """Run a section of `sql/`, as `star/time/load`.

        Return the number of rows that its last statement changed, -1 where unknown.
        """

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run the query of a section of `sql/` and return its rows by column name."""

    def run(self, text: str) -> list[Row]:
        """Run a trivial statement, which means the same on every engine; return its rows."""

    def select(self, text: str, limit: int, seconds: int) -> tuple[list[str], list[Row]]:
        """Run a query that a person wrote, in Redshift's dialect; return column names and rows.

        At most `limit` rows, and for `seconds` at most.

        Raises:
            WarehouseError: the engine refuses it, with the engine's reason.
        """

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert rows from Python, in few round trips."""

    def copy(self, step: CopyStep, source: CopySource, max_errors: int) -> CopyResult:
        """Load files into a staging table by Redshift's rules.

        Raises:
            LoadError: more lines than `max_errors` allows do not fit, or a key is in none of a
                file's objects.
            LakeError, WarehouseError: the files cannot be read.
        """


class Warehouse(Protocol):
    """An engine that holds the tables."""

    kind: str  # the icon in the Dagster UI
    place: str  # where it is, for people; no secret
    as_of: dt.datetime | None = None  # UTC; None: what is committed by now

    def environments(self) -> list[str]:
        """Return the names of the environments beside production's tables."""

    def read_all_blocks(self) -> None:
        """Read all that is stored, where nobody else watches over it.

        Raises:
            WarehouseError: some of it is damaged: what, and the way back.
        """

    def lay_out(self) -> None:
        """Make the room for an environment's tables: a file, or schemas."""

    def demolish(self) -> None:
        """Remove an environment with all that is in it, when no run works there."""

    def transaction(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        """Run `body` in one transaction of its own session: all of it is visible, or nothing.

        The schemas exist. Transactions take turns, so `body` sees all that others committed.
        `body` may be called again after a fault that passes, so it changes nothing outside the
        session. `label` names the asset and job to a DBA.

        Within `kept_open`, an engine may let `body` look first, without its turn and from what is
        kept, and call it again as soon as it has something to write; or once more, where what was
        kept turns out to be no longer true.
        """

    def read(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        """Run `body` on committed data; it changes nothing."""

    def kept_open(self) -> AbstractContextManager[None]:
        """Allow the engine to stay connected between the transactions made within.

        For one run's work in one process; others may have to wait until its end.
        """

    def for_readers(self) -> "Warehouse":
        """Return what `read` looks into without waiting for a run: all that ended runs committed.

        A process that loads or checks reads from the warehouse itself.
        """
        return self

    def costs(self, run_id: str) -> dict[str, dict[str, float | int]]:
        """Return what the transactions of a run that changed something took, by their label.

        Empty where it is not known. Keys: `queries`, `elapsed_seconds`, `queue_seconds`,
        `execution_seconds`, `returned_rows`, `returned_bytes`, `scanned_rows`, `scanned_bytes`.
        """
        return {}
