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
_KEPT_FILES = 8  # a run writes to three; a long-lived process meets the files of many runs


def write_history_without_waiting() -> None:
    """Have Dagster write its SQLite history in this process as told above.

    A process that executes a run has loaded its history's storage before it loads the definitions;
    others do without, and are spared the import.
    """
    for name in _STORAGES:
        if name in sys.modules:
            vars(sys.modules[name])["create_engine"] = _create_engine


def _create_engine(
    url: str, poolclass: Any = None, connect_args: dict[str, Any] | None = None
) -> "Engine":
    return _kept_engine(url, *(connect_args or {}).items())


@lru_cache(maxsize=_KEPT_FILES)
def _kept_engine(url: str, *connect_args: tuple[str, Any]) -> "Engine":
    from sqlalchemy import QueuePool, create_engine, event

    class KeptPool(QueuePool):
        """Keeps its connection when Dagster disposes of the engine, as it does at every event."""

        def dispose(self) -> None:
            pass

        def recreate(self) -> "KeptPool":
            return self

    engine = create_engine(
        url,
        poolclass=KeptPool,
        pool_size=1,
        max_overflow=-1,
        connect_args={**dict(connect_args), "check_same_thread": False},
    )
    path = str(engine.url.database)

    def relax(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")

    def announce(connection: sqlite3.Connection, record: Any) -> None:
        # Not after reading: a process that follows the file would send itself on for ever.
        if connection.total_changes > record.info.get("announced", 0):
            record.info["announced"] = connection.total_changes
            with contextlib.suppress(OSError):  # deleted meanwhile, or another user's
                os.utime(path)

    event.listen(engine, "connect", relax)
    event.listen(engine, "checkin", announce)
    return engine
