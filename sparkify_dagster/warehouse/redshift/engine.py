"""The Redshift warehouse: a session and a transaction for each change, done again after faults."""

import contextlib
import datetime as dt
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.warehouse.base import (
    BusyError,
    NoEnvironment,
    NothingYetError,
    Result,
    Session,
    Warehouse,
    WarehouseError,
)
from sparkify_dagster.warehouse.redshift.connection import Connection
from sparkify_dagster.warehouse.redshift.errors import (
    MISSING_RELATION,
    Overtaken,
    ServerError,
)
from sparkify_dagster.warehouse.redshift.session import RedshiftSession, TurnNeeded
from sparkify_dagster.warehouse.redshift.settings import RedshiftSettings
from sparkify_dagster.warehouse.redshift.uploads import Uploads

_log = logging.getLogger(__name__)

Value = TypeVar("Value")

_FIRST_PAUSE = 1.0  # seconds
_LONGEST_PAUSE = 60.0
_COMMITS_KEPT = dt.timedelta(days=7)
_LOCK = "LOCK TABLE staging.load_lock"
_COMMIT = ("commit", "")  # the run's latest, as what it has learned is kept
_SCHEMAS = ("analytics", "staging")
_FOUNDATION = ("bookkeeping/create_load_lock", "bookkeeping/create_commits")
# Another run created it between our look and our CREATE.
_EXISTS_NOW = ("42P06", "42P07", "23505")


class RedshiftWarehouse(Warehouse):
    """A database of a Redshift cluster or Serverless workgroup."""

    kind = "redshift"

    def __init__(
        self, settings: RedshiftSettings, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.place = settings.place
        self._settings = settings
        self._pause = pause
        self._keeps = False
        self._idle: Connection | None = None  # the kept session, while no transaction uses it
        self._learned: dict[tuple[str, str], Any] = {}  # by the transactions of the kept session
        self._since: dt.datetime | None = None  # by the server's clock
        self._has_changed = False  # a transaction has committed something
        self._prefix = S3Prefix(settings.manifest_prefix, "SPARKIFY_MANIFEST_PREFIX")

    def transaction(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        """Run `body` in one transaction; again as a whole after a fault that passes.

        In a kept session `body` looks first whether there is anything to write, each query on its
        own: a BEGIN, LOCK and ROLLBACK for every table with nothing new would be most of what a run
        sends. Where COMMIT is not confirmed, the database is asked whether it took effect.

        Raises:
            WarehouseError: the transaction was not carried out, and nothing was changed; or it
                says that this is not known.
        """
        if self._keeps:
            with contextlib.suppress(TurnNeeded, ServerError):
                return self._with_retries(lambda: self._look(body, label, run_id))
        uploads = self._uploads(f"{run_id}/{uuid.uuid4().hex}")
        try:
            return self._with_retries(lambda: self._change(body, label, run_id, uploads))
        finally:
            uploads.remove()

    def read(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        """Run `body` on committed data; nothing it does stays.

        As the data are at one moment, but in a kept session as they are at each query.
        """
        try:
            return self._with_retries(lambda: self._look(body, label, run_id))
        except ServerError as error:
            if error.sqlstate in MISSING_RELATION and not error.passes:
                if self._settings.environment:
                    raise NoEnvironment(self._settings.environment) from error
                raise NothingYetError(f"{self.place} ({error.message})") from None
            raise

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep one session for all transactions within; where it is lost, the next is kept."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False
            self._learned = {}
            if self._idle:
                self._idle.close()
            self._idle = None

    def costs(self, run_id: str) -> dict[str, dict[str, float | int]]:
        """Ask nothing where nothing has changed; without the right to look, only warn."""
        if not self._has_changed:
            return {}
        costs: dict[str, dict[str, float | int]] = {}
        try:
            with self._connected("costs", run_id, in_transaction=False) as connection:
                since = self._since or connection.server_time()
                for row in connection.query("redshift/costs", run_id=run_id, since=since):
                    label = row.pop("query_label").removeprefix(f"{run_id}/")
                    costs[label] = dict(_cost(*item) for item in row.items())
        except WarehouseError as error:
            _log.warning("the cost of the statements is not known: %s", error)
            return {}
        return costs

    def environments(self) -> list[str]:
        """Return the names of the environments, told by a table that production has not."""
        with self._connected("environments", "", in_transaction=False) as connection:
            return [row["name"] for row in connection.query("redshift/environments")]

    def read_all_blocks(self) -> None:
        """Do nothing: Redshift keeps copies of its blocks and mends them itself."""

    def lay_out(self) -> None:
        """Make the schemas; wants CREATE on the database."""
        with self._connected("environments", "") as connection:
            self._lay_foundation(connection)

    def demolish(self) -> None:
        with self._connected("environments", "") as connection:
            self._lock(connection)
            for schema in self._settings.schemas:
                connection.send("the environment", f"DROP SCHEMA {schema} CASCADE")
            connection.commit()

    def _change(
        self, body: Callable[[Session], Result], label: str, run_id: str, uploads: Uploads
    ) -> Result:
        token = uuid.uuid4().hex
        with self._session(label, run_id, True, uploads) as (connection, session):
            self._take_turn(connection)
            result = body(session)
            if not session.has_written:
                return result
            now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
            last = session.kept.get(_COMMIT, "")
            places = {"token": token, "run_id": run_id, "committed_at": now, "last": last}
            if not session.execute("redshift/remember_commit", **places):
                raise Overtaken(f"{self.place}: another run has committed in between")
            session.kept[_COMMIT] = token
            if not self._has_changed:
                session.execute("redshift/forget_commits", before=now - _COMMITS_KEPT)
            if self._keeps:
                session.drop_temporary_tables()
            try:
                connection.commit()
            except WarehouseError:
                if not self._was_committed(token, label, run_id):
                    raise
            self._has_changed = True
        return result

    def _look(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        with self._session(label, run_id, not self._keeps) as (_, session):
            return body(session)

    @contextlib.contextmanager
    def _session(
        self, label: str, run_id: str, in_transaction: bool, uploads: Uploads | None = None
    ) -> Iterator[tuple[Connection, RedshiftSession]]:
        """Begin what is to be one transaction; whatever is not committed is rolled back.

        Without one, nothing can be written.
        """
        kept = self._learned
        if in_transaction:
            # What a transaction learns is true once it is committed; what the run has learned
            # before, where its latest commit is still the latest of all, which committing tells.
            kept, self._learned = dict(kept) if _COMMIT in kept else {}, {}
        with self._connected(label, run_id, in_transaction) as connection:
            session = RedshiftSession(
                self._settings,
                connection,
                lambda: Connection(self._settings, label, run_id),
                uploads or self._uploads(run_id),
                f"{run_id}/{label}",
                kept,
                in_transaction,
            )
            yield connection, session
        self._learned = kept if self._keeps else {}

    def _uploads(self, folder: str) -> Uploads:
        return Uploads(self._prefix, folder, self._settings.keep_manifests)

    @contextlib.contextmanager
    def _connected(
        self, label: str, run_id: str, in_transaction: bool = True
    ) -> Iterator[Connection]:
        """Lend the session that is kept, or a new one; it is left without a transaction."""
        connection, self._idle = self._idle, None
        if connection is None:
            # A kept session works for the whole job, whose name comes first.
            name = label.partition("/")[0] if self._keeps else label
            connection = Connection(self._settings, name, run_id)
            self._since = self._since or connection.server_time()
        connection.set_autocommit(not in_transaction)
        try:
            yield connection
        except BaseException as error:
            # An interrupted statement may still run: closing ends it, a ROLLBACK would wait.
            if not isinstance(error, Exception):
                connection.close()
            raise
        finally:
            connection.rollback()
            if self._keeps and connection.is_usable and self._idle is None:
                self._idle = connection
            else:
                connection.close()

    def _take_turn(self, connection: Connection) -> None:
        """Begin the transaction by waiting for the one of another run.

        The lock comes before anything else is looked at: Redshift shows a transaction the data as
        of its first query.
        """
        try:
            self._lock(connection)
        except ServerError as error:
            if error.sqlstate not in MISSING_RELATION:
                raise
            if self._settings.environment:
                raise NoEnvironment(self._settings.environment) from None
            connection.rollback()
            self._lay_foundation(connection)
            self._lock(connection)

    def _lock(self, connection: Connection) -> None:
        if not connection.lock(_LOCK, self._settings.lock_timeout):
            raise BusyError(
                f"{self.place}: another run has held the warehouse for longer than "
                f"SPARKIFY_LOCK_TIMEOUT ({self._settings.lock_timeout} s) or "
                "REDSHIFT_STATEMENT_TIMEOUT allows; run again when it has finished. A session left "
                "over from a run that died shows in SVV_TRANSACTIONS and is ended by "
                "PG_TERMINATE_BACKEND."
            )

    def _lay_foundation(self, connection: Connection) -> None:
        """Create what the lock and the record of commits need, in a transaction of its own.

        A schema is looked for first: CREATE SCHEMA IF NOT EXISTS takes the right to create schemas
        even where there is nothing to do, and a loader may work in schemas that a DBA has made.
        """
        try:
            schemas = self._settings.schemas
            found = connection.query("redshift/schemas", schemas=schemas)
            present = {row["schema_name"] for row in found}
            made = zip(_SCHEMAS, schemas, strict=True)
            missing = [f"bookkeeping/schema_{one}" for one, name in made if name not in present]
            for name in (*missing, *_FOUNDATION):
                connection.query(name)
            connection.commit()
        except ServerError as error:
            connection.rollback()
            if error.sqlstate not in _EXISTS_NOW:
                raise

    def _was_committed(self, token: str, label: str, run_id: str) -> bool:
        """Tell whether the transaction that left this token took effect.

        The lock is waited for first: the transaction holds it until it has ended either way.

        Raises:
            WarehouseError: it cannot be told.
        """

        def look() -> bool:
            with self._session(label, run_id, True) as (connection, session):
                self._lock(connection)
                return bool(session.query("redshift/find_commit", token=token)[0]["found"])

        try:
            return self._with_retries(look)
        except WarehouseError as error:
            raise WarehouseError(
                f"{self.place}: the connection was lost while committing, and whether the "
                "transaction took effect cannot be told. Run again: what was committed is "
                f"recognised and not done twice.\n{error}"
            ) from None

    def _with_retries(self, attempt: Callable[[], Value]) -> Value:
        number = 0
        while True:
            number += 1
            try:
                return attempt()
            except WarehouseError as error:
                if not error.passes or number > self._settings.retries:
                    raise
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (number - 1))
                # Runs that collided should not meet again.
                pause = longest * random.uniform(0.5, 1)
                _log.warning("%s; trying again in %.1f s (%s)", error, pause, error.passes)
                self._pause(pause)


def _cost(name: str, value: Any) -> tuple[str, float | int]:
    if name.endswith("_time"):  # in microseconds
        return f"{name.removesuffix('_time')}_seconds", float(value or 0) / 1_000_000
    return name, int(value or 0)
