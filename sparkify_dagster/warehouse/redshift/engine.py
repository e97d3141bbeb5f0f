"""The Redshift warehouse: a session and a transaction for each change, done again after faults."""

import contextlib
import datetime as dt
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from typing import TypeVar

from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.warehouse.base import Result, Session, WarehouseError
from sparkify_dagster.warehouse.redshift.connection import Connection
from sparkify_dagster.warehouse.redshift.errors import (
    CANCELLED,
    MISSING_RELATION,
    ServerError,
    passing_reason,
)
from sparkify_dagster.warehouse.redshift.session import RedshiftSession
from sparkify_dagster.warehouse.redshift.settings import RedshiftSettings
from sparkify_dagster.warehouse.redshift.uploads import Uploads
from sparkify_dagster.warehouse.statements import literal, read_statement

_log = logging.getLogger(__name__)

Value = TypeVar("Value")

_FIRST_PAUSE = 1.0  # seconds
_LONGEST_PAUSE = 60.0
_COMMITS_KEPT = dt.timedelta(days=7)
_LOCK = "LOCK TABLE staging.load_lock"
_FOUNDATION = (
    "bookkeeping/schema_staging",
    "bookkeeping/schema_analytics",
    "bookkeeping/create_load_lock",
    "bookkeeping/create_commits",
)
# Another run created it between our look and our CREATE.
_EXISTS_NOW = ("42P06", "42P07", "23505")


class RedshiftWarehouse:
    """A database of a Redshift cluster or Serverless workgroup."""

    kind = "redshift"

    def __init__(
        self, settings: RedshiftSettings, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.place = settings.place
        self._settings = settings
        self._pause = pause
        self._prefix = S3Prefix(settings.manifest_prefix, "SPARKIFY_MANIFEST_PREFIX")

    def transaction(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        """Run `body` in one transaction; again as a whole after a fault that passes.

        Writing transactions take turns. Where COMMIT is not confirmed, the database is asked
        whether it took effect.

        Raises:
            WarehouseError: the transaction was not carried out, and nothing was changed; or it
                says that this is not known.
        """
        return self._with_retries(lambda: self._change(body, label, run_id))

    def read(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        """Run `body` on committed data, as it is at one moment; nothing it does stays."""
        return self._with_retries(lambda: self._look(body, label, run_id))

    def kept_open(self) -> contextlib.AbstractContextManager[None]:
        """Do nothing: every table has a session of its own, whose name says what it works for."""
        return contextlib.nullcontext()

    def _change(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        token = uuid.uuid4().hex
        uploads = Uploads(self._prefix, f"{run_id}/{token}", self._settings.keep_manifests)
        with self._session(label, run_id, uploads) as (connection, session):
            self._take_turn(connection)
            result = body(session)
            now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
            session.execute(
                "redshift/remember_commit", token=token, run_id=run_id, committed_at=now
            )
            session.execute("redshift/forget_commits", before=now - _COMMITS_KEPT)
            try:
                connection.commit()
            except WarehouseError:
                if not self._was_committed(token, label, run_id):
                    raise
            else:
                session.collect_costs()
        return result

    def _look(self, body: Callable[[Session], Result], label: str, run_id: str) -> Result:
        uploads = Uploads(self._prefix, run_id, self._settings.keep_manifests)
        with self._session(label, run_id, uploads) as (_, session):
            try:
                return body(session)
            except ServerError as error:
                if error.sqlstate in MISSING_RELATION:
                    raise WarehouseError(
                        f"{self.place}: no warehouse yet ({error.message}); run the job "
                        "sparkify_etl first"
                    ) from None
                raise

    @contextlib.contextmanager
    def _session(
        self, label: str, run_id: str, uploads: Uploads
    ) -> Iterator[tuple[Connection, RedshiftSession]]:
        """Open a session; whatever is not committed is rolled back."""
        connection = self._connect(label, run_id)
        try:
            session = RedshiftSession(
                self._settings, connection, lambda: self._connect(label, run_id), uploads
            )
            connection.set_autocommit(False)
            yield connection, session
        except Exception:
            connection.rollback()
            raise
        else:
            connection.rollback()
        finally:
            # An interrupted statement may still run: closing ends it, a ROLLBACK would wait.
            connection.close()
            uploads.remove()

    def _connect(self, label: str, run_id: str) -> Connection:
        connection = Connection(self._settings, label)
        try:
            connection.set_autocommit(True)
            for setting in (
                f"SET query_group TO {literal(run_id)}",
                "SET timezone TO 'UTC'",
                "SET search_path TO analytics, staging",
                f"SET statement_timeout TO {self._settings.statement_timeout * 1000}",
            ):
                connection.send(setting, setting)
        except BaseException:
            connection.close()
            raise
        return connection

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
            connection.rollback()
            self._lay_foundation(connection)
            self._lock(connection)

    def _lock(self, connection: Connection) -> None:
        settings = self._settings
        limit = "SET statement_timeout TO"
        connection.set_autocommit(True)
        connection.send(limit, f"{limit} {settings.lock_timeout * 1000}")
        connection.set_autocommit(False)
        try:
            connection.send(_LOCK, _LOCK)
        except ServerError as error:
            if error.sqlstate == CANCELLED:
                raise WarehouseError(
                    f"{self.place}: another run has held the warehouse for "
                    f"{settings.lock_timeout} s (SPARKIFY_LOCK_TIMEOUT); run again when it has "
                    "finished. A session left over from a run that died shows in SVV_TRANSACTIONS "
                    "and is ended by PG_TERMINATE_BACKEND."
                ) from None
            raise
        connection.send(limit, f"{limit} {settings.statement_timeout * 1000}")

    def _lay_foundation(self, connection: Connection) -> None:
        """Create what the lock and the record of commits need, in a transaction of its own."""
        try:
            for name in _FOUNDATION:
                connection.send(f"sql/{name}.sql", read_statement(name))
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
        uploads = Uploads(self._prefix, run_id, keep=True)

        def look() -> bool:
            with self._session(label, run_id, uploads) as (connection, session):
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
        for number in count(1):
            try:
                return attempt()
            except WarehouseError as error:
                reason = passing_reason(error)
                if not reason or number > self._settings.retries:
                    raise
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (number - 1))
                # Runs that collided should not meet again.
                pause = longest * random.uniform(0.5, 1)
                _log.warning("%s; trying again in %.1f s (%s)", error, pause, reason)
                self._pause(pause)
        raise AssertionError("count() does not end")
