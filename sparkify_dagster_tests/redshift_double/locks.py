"""Table locks between sessions: one writer a table until its transaction ends."""

import threading
import time
from collections.abc import Iterable

from .errors import ServerError


class Locks:
    """Exclusive locks by table name, as writes and LOCK TABLE take them in Redshift.

    Readers take none: they see the last committed state, as in Redshift.
    """

    def __init__(self) -> None:
        self._owners: dict[str, int] = {}
        self._waits: dict[int, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def acquire(self, names: Iterable[str], session: int, deadline: float | None = None) -> float:
        """Wait for every lock; give the seconds waited.

        Raises ServerError 40P01 on a deadlock, TimeoutError at the deadline (monotonic
        seconds), ConnectionAbortedError when the double stops.
        """
        started = time.monotonic()
        with self._changed:
            for name in names:
                while self._owners.get(name, session) != session:
                    self._wait(self._owners[name], session, deadline)
                self._owners[name] = session
        return time.monotonic() - started

    def _wait(self, owner: int, session: int, deadline: float | None) -> None:
        if session not in self._waits:
            self._waits[session] = owner
            self._changed.notify_all()
        try:
            seen = owner
            while seen in self._waits:
                seen = self._waits[seen]
                if seen == session:
                    raise ServerError("40P01", "deadlock detected")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self._changed.wait(left)
            if self._closed:
                raise ConnectionAbortedError("the double has stopped")
        finally:
            self._waits.pop(session, None)

    def wait_for_waiter(self, seconds: float) -> bool:
        """Wait until some session waits for a lock; False if none does in time."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._waits), seconds)

    def release(self, session: int) -> None:
        """Give back all locks of a session."""
        with self._changed:
            for name in [name for name, owner in self._owners.items() if owner == session]:
                del self._owners[name]
            self._changed.notify_all()

    def close(self) -> None:
        """Wake every waiter with an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
