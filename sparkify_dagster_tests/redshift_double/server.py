"""The double itself: a TCP server that answers as Amazon Redshift would."""

import itertools
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from . import catalog, certificates
from .backend import Backend, Shared
from .faults import Fault, Faults
from .locks import Locks
from .meter import Counts, Latency, Meter
from .objects import Store
from .session import Session, Settings, Statement
from .system import SystemLog

_STOP_SECONDS = 10.0
_HANDSHAKE_SECONDS = 30.0


class RedshiftDouble:
    """A Redshift double on 127.0.0.1, started and stopped as a context manager.

    user, password: the login; `passwords` may be given more, and None as a password lets
        a user in with any (temporary credentials that another double has issued).
    s3_endpoint: URL of the S3 that COPY reads; without it COPY is refused.
    region: where the "cluster" is; COPY from a bucket elsewhere needs REGION.
    denied_views: monitoring views that answer 42501 (may be changed while running).
    latency: seconds to add up on `clock` for what was asked; nothing is slept.
    tls: with it, connections without TLS are refused; `ca_file` is the authority to trust.
    """

    def __init__(
        self,
        *,
        user: str = "awsuser",
        password: str = "Correct-horse-battery-1",
        database: str = "dev",
        s3_endpoint: str | None = None,
        region: str = "us-west-2",
        denied_views: Iterable[str] = (),
        faults: Iterable[Fault] = (),
        protocol_version: int = 2,
        tls: bool = True,
        latency: Latency | None = None,
    ) -> None:
        self.host = certificates.HOST
        self.port = 0
        self.user = user
        self.password = password
        self.database = database
        self.passwords: dict[str, str | None] = {user: password}
        self.superusers = {user}
        self._meter = Meter(latency)
        self.faults = Faults(faults)
        self.statements: list[Statement] = []
        self.denied_views = set(denied_views)
        self.failures: list[BaseException] = []
        self._s3_endpoint = s3_endpoint
        self._region = region
        self._protocol_version = protocol_version
        self._tls = tls
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._sessions: dict[Session, threading.Thread] = {}
        self._ids = itertools.count(20001)
        self._directory = tempfile.TemporaryDirectory(prefix="redshift-double-")
        self.ca_file = str(Path(self._directory.name) / "authority.pem")

    def __enter__(self) -> "RedshiftDouble":
        context = None
        if self._tls:
            _, certificate, key = certificates.make(Path(self._directory.name))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
        self._duck = duckdb.connect(":memory:", config={"integer_division": "true", "threads": "1"})
        self._duck.execute("SET python_enable_replacements = false")
        self._duck.execute("SET GLOBAL TimeZone = 'UTC'")
        self._duck.execute(f"ATTACH ':memory:' AS \"{self.database}\"")
        self._duck.execute(f'USE "{self.database}"')
        catalog.set_up(self.rows)
        store = Store(self._s3_endpoint, self._region) if self._s3_endpoint else None
        self._shared = Shared(
            database=self.database,
            locks=Locks(),
            log=SystemLog(),
            store=store,
            denied_views=self.denied_views,
            owner=self.user,
            superusers=self.superusers,
            logins=self.passwords,
            meter=self._meter,
        )
        self._settings = Settings(
            database=self.database,
            passwords=self.passwords,
            protocol_version=self._protocol_version,
            tls=context,
            faults=self.faults,
            statements=self.statements,
            stopping=self._stopping,
            new_backend=self._new_backend,
            report=self.failures.append,
            meter=self._meter,
            superusers=self.superusers,
        )
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="redshift-double", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        # A connection of our own wakes accept(), which closing does not do everywhere.
        with socket.create_connection((self.host, self.port), timeout=_STOP_SECONDS):
            self._acceptor.join(_STOP_SECONDS)
        self._listener.close()
        self._shared.locks.close()
        with self._lock:
            running = dict(self._sessions)
        for session, thread in running.items():
            session.abort()
            thread.join(_STOP_SECONDS)
        left = [thread.name for thread in running.values() if thread.is_alive()]
        if self._shared.store is not None:
            self._shared.store.close()
        self._duck.close()
        self._directory.cleanup()
        if error is None and (left or self.failures):
            raise AssertionError(f"sessions left: {left}; failures: {self.failures!r}")

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping.is_set():
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session_id = next(self._ids)
            session = Session(connection, session_id, self._settings)
            thread = threading.Thread(
                target=self._serve, args=(session,), name=f"session-{session_id}", daemon=True
            )
            with self._lock:
                self._sessions[session] = thread
            thread.start()

    def _serve(self, session: Session) -> None:
        try:
            session.serve()
        finally:
            with self._lock:
                del self._sessions[session]

    def _new_backend(self, session_id: int, user: str) -> Backend:
        with self._lock:
            connection = self._duck.cursor()
        return Backend(connection, self._shared, session_id, user)

    def rows(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Read committed state past the wire, in DuckDB's SQL; for a test's assertions."""
        with self._lock:
            cursor = self._duck.cursor()
        try:
            cursor.execute(f'USE "{self.database}"')
            return cursor.execute(sql, parameters).fetchall()
        finally:
            cursor.close()

    @property
    def counts(self) -> Counts:
        """What was asked of the double so far: statements, sessions, copies, commits, ..."""
        return self._meter.counts

    @property
    def clock(self) -> float:
        """The seconds that `latency` gives all this, over all sessions."""
        return self._meter.clock

    def wait_for_waiter(self, seconds: float) -> bool:
        """Wait until some session waits for a table lock; False if none does in time."""
        return self._shared.locks.wait_for_waiter(seconds)

    def texts(self, pattern: str = "") -> list[str]:
        """Give the texts of the recorded statements that hold a piece of text."""
        return [s.text for s in list(self.statements) if pattern.lower() in s.text.lower()]
