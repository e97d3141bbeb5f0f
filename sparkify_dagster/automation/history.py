"""Dagster's run history on SQLite, without the same work at every event.

Dagster makes an SQLAlchemy engine and opens and closes a connection for each event it writes. So
SQLAlchemy compiles the same statements anew each time, and SQLite, as it comes, waits for the disk
at each commit and at the close of a file's last connection: some 2,000 waits in a run. Together
that is half of the time of a small run. Here each file has one engine and one connection that stays
open, and commits wait for the disk at checkpoints only. By SQLite's rules for WAL files a power cut
may then lose the latest events of the history, but never damages it; the warehouse is not
concerned. PostgreSQL is not touched.

The UI follows a run by watching for changes of its file, and events that went to the WAL file only
are none: so the file is touched after each write.
"""

import contextlib
import os
import sqlite3
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

# Each makes its engines by its own `create_engine`.
_STORAGES = (
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
)
_HELD_FILES = 8  # a run writes to three; a long-lived process meets the files of many runs


def write_history_without_waiting() -> None:
    """Have Dagster write its SQLite history in this process as told above.

    A process that executes a run has loaded its history's storage before it loads the definitions;
    others do without, and are spared the import.
    """
    for name in _STORAGES:
        if name in sys.modules:
            vars(sys.modules[name])["create_engine"] = _create_engine


def _create_engine(
    url: str, poolclass: Any, connect_args: dict[str, Any] | None = None
) -> "Engine":
    return _held_engine(url, poolclass, *(connect_args or {}).items())


@lru_cache(maxsize=_HELD_FILES)
def _held_engine(url: str, poolclass: Any, *connect_args: tuple[str, Any]) -> "Engine":
    from sqlalchemy import create_engine, event

    engine = create_engine(url, poolclass=poolclass, connect_args=dict(connect_args))
    path = str(engine.url.database)
    held = sqlite3.connect(path, check_same_thread=False)

    def relax(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        # A connection counts as open on the WAL file only once it has read something.
        held.execute("SELECT COUNT(*) FROM sqlite_master").fetchall()

    def announce(connection: sqlite3.Connection, _record: object) -> None:
        # Not after reading: a process that follows the file would send itself on for ever.
        if connection.total_changes:
            with contextlib.suppress(OSError):  # deleted meanwhile, or another user's
                os.utime(path)

    event.listen(engine, "connect", relax)
    event.listen(engine, "close", announce)
    return engine
