"""Dagster's run history on SQLite, without the same work at every event.

Dagster makes an SQLAlchemy engine and opens and closes a connection for each event it writes. So
SQLAlchemy compiles the same statements anew each time, and SQLite, as it comes, waits for the disk
at each commit and at the close of a file's last connection: some 2,000 waits in a run. Together
that is half of the time of a small run. Here each file has one engine and one connection that stays
open, and commits wait for the disk at checkpoints only. By SQLite's rules for WAL files a power cut
may then lose the latest events of the history, but never damages it; the warehouse is not
concerned.

The UI follows a run by watching for changes of its file, and events that went to the WAL file only
are none: so the file is touched after each write.

Named in deploy/dagster.development.yaml; an instance that names another storage has that one.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from dagster import StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import QueuePool, create_engine, event
from sqlalchemy.engine import Connection, Engine

_KEPT_FILES = 8  # a run writes to three; a long-lived process meets the files of many runs


class _InHome:
    """A storage below the folder that the instance file names as `home`."""

    @classmethod
    def config_type(cls) -> Any:
        """Return what the instance file has to say."""
        return {"home": StringSource}


class QuickRunStorage(_InHome, SqliteRunStorage):
    """Runs, in `home`/history as Dagster's own storage keeps them."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept = _engine(conn_string)
        super().__init__(conn_string, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Any:
        """Return the storage that the instance file names."""
        return cls.from_local(os.path.join(config_value["home"], "history"), inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Lend the kept connection for one transaction."""
        with self._kept.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file, whose log is then written back into it."""
        self._kept.dispose()
        super().dispose()


class QuickEventLogStorage(_InHome, SqliteEventLogStorage):
    """Events, in `home`/history/runs as Dagster's own storage keeps them: a file a run."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._made: set[str] = set()
        self._turn = threading.Lock()
        self._kept: dict[str, Engine] = {}  # by address, the one used last at the end
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Any:
        """Return the storage that the instance file names."""
        return cls(os.path.join(config_value["home"], "history", "runs"), inst_data)

    @contextmanager
    def run_connection(self, run_id: str | None = None) -> Iterator[Connection]:
        """Lend the kept connection to a run's file."""
        shard = str(run_id)
        if shard not in self._made:
            with super().run_connection(shard):
                self._made.add(shard)  # the file and its tables were made, if need be
        with self._turn, self._engine(self.conn_string_for_shard(shard)).begin() as connection:
            yield connection

    def index_connection(self) -> AbstractContextManager[Connection]:
        """Lend the kept connection to the file of all runs."""
        return self.run_connection(INDEX_SHARD_NAME)

    def dispose(self) -> None:
        """Close the files, whose logs are then written back into them."""
        with self._turn:
            while self._kept:
                self._kept.popitem()[1].dispose()
        super().dispose()

    def _engine(self, url: str) -> Engine:
        engine = self._kept.pop(url) if url in self._kept else _engine(url)
        self._kept[url] = engine
        if len(self._kept) > _KEPT_FILES:
            self._kept.pop(next(iter(self._kept))).dispose()
        return engine


def _engine(url: str) -> Engine:
    """Return an engine that keeps one connection open."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
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
