"""The DuckDB warehouse: one file, one writer at a time."""

import datetime as dt
import fcntl
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from sparkify_dagster.lake.combine import combine
from sparkify_dagster.settings import PRODUCTION
from sparkify_dagster.text import printable
from sparkify_dagster.warehouse.base import (
    BusyError,
    CopyResult,
    CopySource,
    CopyStep,
    NoEnvironment,
    NothingYetError,
    Result,
    Row,
    Session,
    Warehouse,
    WarehouseError,
)
from sparkify_dagster.warehouse.duckdb.copy import copy
from sparkify_dagster.warehouse.duckdb.dialect import fill_in, translate, translated
from sparkify_dagster.warehouse.duckdb.snapshot import snapshot_of, take_snapshot
from sparkify_dagster.warehouse.scratch import scratch_folder

_CONFIG: dict[str, Any] = {
    # What DuckDB is not built with stays out: it would come from the network, at a file's word.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # Redshift divides whole numbers as whole numbers and has no use for insertion order.
    "integer_division": "true",
    "preserve_insertion_order": "false",
    # What a large query gives back is the next one's, not held beside it.
    "allocator_bulk_deallocation_flush_threshold": "8MB",
    # Beyond that it spills to disk: on two cores ten million events take no longer so.
    "memory_limit": f"{600 * max(2, os.cpu_count() or 1)}MB",
}
# Who only reads the tables has no business with other files.
_READ_ONLY = {"enable_external_access": "false"}
# The first thing that a load makes; a load that failed leaves nothing but schemas.
_LEDGER = (
    "SELECT 1 FROM duckdb_tables() "
    "WHERE table_name = 'ledger' AND database_name = CURRENT_DATABASE()"
)
_STORED = (
    "SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns() "
    "WHERE database_name = CURRENT_DATABASE() AND table_oid IN (SELECT table_oid FROM "
    "duckdb_tables() WHERE database_name = CURRENT_DATABASE())"
)
_SCHEMAS = ("CREATE SCHEMA IF NOT EXISTS staging", "CREATE SCHEMA IF NOT EXISTS analytics")
_SEARCH_PATH = "SET search_path = 'analytics,staging'"
# What DuckDB raises where a file cannot be written, at COMMIT as well, or memory runs out.
_OUT_OF_ROOM = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
    duckdb.FatalException,
)
_INTERRUPTED = "Query interrupted"  # what DuckDB makes of an interrupt from the keyboard
_DAMAGE = re.compile(r"corrupt|checksum|not read enough bytes|deserialize", re.IGNORECASE)
_HEADER_BYTES = 3 * 4096  # of a DuckDB file: with these it is whole, if empty
_LOCK_POLL = 0.2  # seconds between two tries to open a file that another process holds


class DuckDBSession(Session):
    """One open transaction on a DuckDB connection."""

    schemas = ("analytics", "staging")  # of an environment, too: it has a file of its own

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        kept: dict[tuple[str, str], Any] | None = None,
        environment: str = "",
    ) -> None:
        self.statements: list[str] = []
        self.kept = {} if kept is None else kept
        self.environment = environment
        self._connection = connection

    def whereabouts(self, side: str) -> dict[str, Any]:
        return {"schemas": self.schemas, "catalog": side.rstrip(".") or None}

    def take_turn(self) -> None:
        """Do nothing: who has the file open has the turn."""

    def execute(self, name: str, **parameters: Any) -> int:
        rows: list[Row] = []
        for text in translated(name):
            rows = self.run(fill_in(text, parameters))
        return int(rows[0][0]) if len(rows) == 1 and isinstance(rows[0][0], int) else -1

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        (text,) = translated(name)
        rows = self.run(fill_in(text, parameters))
        columns = [column[0] for column in self._connection.description or []]
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def run(self, text: str) -> list[Row]:
        """Run a statement in DuckDB's own dialect; return its rows."""
        if not text:
            return []
        self.statements.append(text)
        return self._connection.execute(text).fetchall()

    def select(self, text: str, limit: int, seconds: int) -> tuple[list[str], list[Row]]:
        from sqlglot.errors import SqlglotError

        alarm = threading.Timer(seconds, self._connection.interrupt)
        alarm.start()
        try:
            rows = self._connection.execute(translate(text)).fetchmany(limit)
        except duckdb.InterruptException as error:
            raise WarehouseError(f"the query was stopped after {seconds} s") from error
        except (duckdb.Error, SqlglotError) as error:
            raise WarehouseError("\n".join(map(printable, str(error).splitlines()))) from error
        finally:
            alarm.cancel()
        return [column[0] for column in self._connection.description or []], rows

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert rows from Python in one statement, as JSON that DuckDB unpacks by columns."""
        by_column = list(zip(*rows, strict=True))
        if not by_column:
            return
        values = ", ".join(f"unnest(by_column[{at}])" for at in range(1, len(columns) + 1))
        self._connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {values} FROM (SELECT from_json($1, '[[\"VARCHAR\"]]') AS by_column)",
            [json.dumps(by_column, default=str)],
        )

    def copy(self, step: CopyStep, source: CopySource, max_errors: int) -> CopyResult:
        with scratch_folder() as folder:
            if source.are_small:
                combined = combine(source.lake, source.files, folder)
                parts = replace(source, parts=combined.parts)
                return replace(copy(self, step, parts, max_errors, folder), files=combined.files)
            try:
                return copy(self, step, source, max_errors, folder)
            finally:
                # Also where lines are refused: half of a file is no fault of its lines.
                source.lake.refuse_changed(source.files)


def connect_in_memory() -> duckdb.DuckDBPyConnection:
    """Return an empty warehouse that lives as long as the connection, for few rows."""
    connection = duckdb.connect(config={**_CONFIG, "threads": 1})
    for text in (*_SCHEMAS, _SEARCH_PATH):
        connection.execute(text)
    return connection


class DuckDBWarehouse(Warehouse):
    """A DuckDB file that holds the tables."""

    kind = "duckdb"

    def __init__(
        self,
        path: Path,
        lock_timeout: int,
        snapshot: bool = False,
        environment: str = "",
        beside: Mapping[str, Path] | None = None,
    ) -> None:
        self._path = path
        self._has_snapshot = snapshot
        self._environment = environment
        self._beside = beside or {}
        self._lock_timeout = lock_timeout
        self._keeps_open = False
        self._kept: duckdb.DuckDBPyConnection | None = None
        self._learned: dict[tuple[str, str], Any] = {}  # while the file is kept open
        self.place = str(path)

    def environments(self) -> list[str]:
        production = self._beside.get(PRODUCTION, self._path)
        stem, suffix = map(re.escape, (production.stem, production.suffix))
        named = re.compile(rf"{stem}\.(?!snapshot\b)(\w+){suffix}")
        return sorted(
            match[1]
            for path in production.parent.glob("*")
            if (match := named.fullmatch(path.name))
        )

    def read_all_blocks(self) -> None:
        """Read every column of every table; DuckDB compares each block with its checksum."""
        if not self._path.exists():
            raise self._nothing_yet()
        if found := self._unreadable():
            raise self._damaged(found)

    def lay_out(self) -> None:
        with self._connect():
            pass

    def demolish(self) -> None:
        self._open(read_only=False).close()
        for path in (self._path, Path(f"{self._path}.wal"), snapshot_of(self._path)):
            path.unlink(missing_ok=True)

    def transaction(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        if self._environment and not self._path.exists():
            raise NoEnvironment(self._environment)
        with self._connect() as connection:
            session = self._session(connection)
            connection.execute("BEGIN TRANSACTION")
            try:
                result = body(session)
                connection.execute("COMMIT")
            except BaseException as error:
                # A failed COMMIT has ended the transaction itself, a full disk the whole
                # connection.
                with suppress(duckdb.Error):
                    connection.execute("ROLLBACK")
                self._let_go()
                if isinstance(error, duckdb.Error) and _DAMAGE.search(str(error)):
                    raise self._damaged_by(error, connection) from error
                if isinstance(error, _OUT_OF_ROOM):
                    raise WarehouseError(
                        f"{self._path}: {error}\nNothing of this load was kept. Where the disk or "
                        "the memory is full, make room, then run again."
                    ) from error
                raise
            return result

    def read(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        if not self._path.exists():
            raise self._nothing_yet()
        with self._connect(read_only=True) as connection:
            try:
                return body(self._session(connection))
            except (duckdb.Error, WarehouseError) as error:
                if _DAMAGE.search(str(error)):
                    raise self._damaged_by(error, connection) from error
                if not connection.execute(_LEDGER).fetchall():
                    raise self._nothing_yet() from None
                raise

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Open the file once for all transactions within, from the first that writes."""
        self._keeps_open = True
        try:
            yield
        finally:
            self._keeps_open = False
            self._let_go()
            if self._has_snapshot:
                take_snapshot(self._path)
            else:
                # Nobody is to go on with what is never brought up to date.
                snapshot_of(self._path).unlink(missing_ok=True)

    def for_readers(self) -> "DuckDBWarehouse":
        """Return the snapshot; the file itself where there is none."""
        snapshot = snapshot_of(self._path)
        if not self._has_snapshot or not snapshot.exists():
            return self
        found = DuckDBWarehouse(
            snapshot, self._lock_timeout, self._has_snapshot, self._environment, self._beside
        )
        found.as_of = dt.datetime.fromtimestamp(snapshot.stat().st_mtime, dt.UTC)
        return found

    def _let_go(self) -> None:
        self._learned.clear()
        if self._kept:
            self._kept.close()
            self._kept = None

    @contextmanager
    def _connect(self, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        # Connections of one process to one file share it, if they ask for the same rights.
        connection = self._open(read_only and not self._kept)
        try:
            if not read_only and not self._kept:
                # What a killed process had spilled; no other process is at work in here.
                shutil.rmtree(f"{self._path}.tmp", ignore_errors=True)
                for schema in _SCHEMAS:
                    connection.execute(schema)
                if self._keeps_open:
                    self._kept = self._open(read_only)
            # What the log has was written just now: it is in memory alone, and has to stay there.
            if read_only and self._kept and not Path(f"{self._path}.wal").exists():
                _let_go_of_blocks(connection)
            try:
                connection.execute(_SEARCH_PATH)
            except duckdb.CatalogException:  # a file of somebody else's
                raise self._nothing_yet() from None
            yield connection
        except RuntimeError as error:
            if str(error) == _INTERRUPTED:
                raise KeyboardInterrupt from None
            raise
        finally:
            connection.close()

    def _session(self, connection: duckdb.DuckDBPyConnection) -> DuckDBSession:
        return DuckDBSession(connection, self._learned if self._kept else None, self._environment)

    def _nothing_yet(self) -> WarehouseError:
        if self._environment:
            return NoEnvironment(self._environment)
        return NothingYetError(self.place)

    def _unreadable(self) -> list[str]:
        """Return the tables of which something cannot be read, with the columns."""
        found: dict[str, list[str]] = {}
        with self._connect(read_only=True) as connection:
            for table, column in connection.execute(_STORED).fetchall():
                try:
                    connection.execute(f"SELECT MAX(HASH({column})) FROM {table}").fetchall()  # noqa: S608
                except duckdb.Error:
                    found.setdefault(table, []).append(column)
        return [f"{table} ({', '.join(columns)})" for table, columns in found.items()]

    def _damaged_by(
        self, error: Exception, connection: duckdb.DuckDBPyConnection
    ) -> WarehouseError:
        connection.close()
        return self._damaged(self._unreadable() or [_first_line(error)])

    def _damaged(self, found: Sequence[str]) -> WarehouseError:
        way = f"; `sparkify environments drop {self._environment}`" if self._environment else ""
        return WarehouseError(
            f"{printable(str(self._path))}: is damaged, and cannot be read in: {', '.join(found)}. "
            f"Nothing was changed. The way back: remove it and run: the lake has everything{way}"
        )

    def _open(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + self._lock_timeout
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WarehouseError(
                f"SPARKIFY_DUCKDB_PATH={str(self._path)!r}: its folder cannot be made "
                f"({error.strerror})"
            ) from error
        # In full, as DuckDB would take what is before a colon for another database's name.
        path = str(self._path.absolute())
        config = _CONFIG | (_READ_ONLY if read_only and not self._beside else {})
        while True:
            connection = None
            try:
                connection = duckdb.connect(path, read_only=read_only, config=config)
                self._attach(connection, read_only)
                return connection
            except duckdb.Error as error:
                if connection:
                    connection.close()
                if "Could not set lock" in str(error):
                    if time.monotonic() >= deadline:
                        raise BusyError(
                            f"{self._path}: another process has held the warehouse for "
                            f"{self._lock_timeout} s (SPARKIFY_LOCK_TIMEOUT); run again when it "
                            "has finished"
                        ) from error
                    time.sleep(_LOCK_POLL)
                elif not read_only and _is_unfinished(self._path):
                    _finish(self._path)
                else:
                    raise WarehouseError(
                        f"SPARKIFY_DUCKDB_PATH={str(self._path)!r}: cannot be opened: "
                        f"{_first_line(error)}. Name another file; a warehouse that is damaged, "
                        "remove and run: the lake has everything"
                    ) from error

    def _attach(self, connection: duckdb.DuckDBPyConnection, read_only: bool) -> None:
        """Let statements name the tables of other files, which are only read."""
        for name, file in self._beside.items():
            snapshot = snapshot_of(file)
            # So that no run of theirs waits for one of ours.
            path = snapshot if self._has_snapshot and snapshot.exists() else file
            if path.exists():
                place = str(path.absolute()).replace("'", "''")
                connection.execute(f"ATTACH IF NOT EXISTS '{place}' AS {name} (READ_ONLY)")
        if self._beside and read_only:
            for setting, value in _READ_ONLY.items():
                connection.execute(f"SET {setting} = {value}")


def _let_go_of_blocks(connection: duckdb.DuckDBPyConnection) -> None:
    """Give back the memory of what former statements have read.

    With a million songs, this and what a check holds itself would be 60 MB more than either.
    """
    with suppress(duckdb.OutOfMemoryException):  # some may be in use
        connection.execute("SET memory_limit = '1MB'")
    connection.execute(f"SET memory_limit = '{_CONFIG['memory_limit']}'")


def _first_line(error: Exception) -> str:
    return printable(str(error).partition("\n")[0]).rstrip(".!")


def _is_unfinished(path: Path) -> bool:
    """Tell whether a process died, or the disk was full, while it made the file."""
    is_short = path.is_file() and path.stat().st_size < _HEADER_BYTES
    return is_short and _is_cut_off_header(path.read_bytes())


def _is_cut_off_header(content: bytes) -> bool:
    return len(content) < _HEADER_BYTES and (not content or content[8:12] == b"DUCK")


def _finish(path: Path) -> None:
    """Make an unfinished file an empty warehouse, in place: another process may be waiting for it.

    Raises:
        WarehouseError: there is no room for it.
    """
    with scratch_folder() as folder:
        empty = folder / "empty.duckdb"
        try:
            duckdb.connect(str(empty), config=_CONFIG).close()
        except duckdb.IOException as error:
            raise WarehouseError(
                f"{path}: is unfinished and cannot be made anew: {error}"
            ) from error
        with path.open("r+b") as file:
            # The lock that DuckDB takes, too; to open the file a second time would give it up.
            fcntl.lockf(file, fcntl.LOCK_EX)
            if _is_cut_off_header(file.read()):
                file.seek(0)
                file.write(empty.read_bytes())
