"""Dagster's run history on SQLite, without waiting for the disk at every event.

Dagster opens and closes a connection for each event it writes, and SQLite, as it comes, waits for
the disk at each commit and again at the close of a file's last connection: some 2,000 waits in a
run, more than half of its time. Here commits wait at checkpoints only, and one connection per file
stays open. By SQLite's rules for WAL files a power cut may then lose the latest events of the
history, but never damages it; the warehouse is not concerned. PostgreSQL is not touched.
"""

import sqlite3
from collections import OrderedDict
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_HELD_FILES = 8  # a run writes to three; a long-lived process meets the files of many runs
_held: OrderedDict[str, sqlite3.Connection] = OrderedDict()


def write_history_without_waiting() -> None:
    """Have SQLite connections that are opened from now on in this process work as told above."""
    if not event.contains(Engine, "connect", _relax):
        event.listen(Engine, "connect", _relax)


def _relax(connection: Any, _record: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.execute("PRAGMA synchronous = NORMAL")
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    if not path:
        return
    if path not in _held:
        _held[path] = sqlite3.connect(path, check_same_thread=False)
    _held.move_to_end(path)
    # A connection counts as open on the WAL file only once it has read something.
    _held[path].execute("SELECT COUNT(*) FROM sqlite_master").fetchall()
    while len(_held) > _HELD_FILES:
        _held.popitem(last=False)[1].close()
