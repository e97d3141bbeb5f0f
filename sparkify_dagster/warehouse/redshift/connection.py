"""One connection to Redshift: logging in, sending a statement, and what an exception means."""

import contextlib
import datetime as dt
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import redshift_connector
from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError
from redshift_connector.error import DataError, Error, NotSupportedError

from sparkify_dagster.warehouse.base import Row, WarehouseError
from sparkify_dagster.warehouse.redshift.errors import (
    CANCELLED,
    PASSING_AWS,
    ConnectionLost,
    NoAnswer,
    ServerError,
    Unreachable,
)
from sparkify_dagster.warehouse.redshift.settings import RedshiftSettings
from sparkify_dagster.warehouse.statements import literal, placed, read_statement, render

_NAME_LENGTH = 250  # of application_name
_CLOCK_DRIFT = 2.0  # seconds that the two clocks may part in the course of a session
_ANSWER_GRACE = 60  # seconds that an answer may take beyond the server's own timeouts
# Raised by the driver before it sends anything.
_DRIVER_REFUSES = (DataError, NotSupportedError)


class Connection:
    """A session of the server. Every exception it raises is a WarehouseError."""

    def __init__(self, settings: RedshiftSettings, label: str, query_group: str) -> None:
        """Log in, and set what holds for the whole session.

        Raises:
            Unreachable: no connection, for a reason that may pass.
            WarehouseError: user, password, rights, certificate or names are wrong.
        """
        self.place = settings.place
        self._environment = settings.environment
        login = _login(settings)
        self._password = login.get("password", "")
        try:
            # The driver's timeout holds for each read, so COPY would be cut: it is set anew below.
            self._driver = redshift_connector.connect(
                **login,
                application_name=f"sparkify_dagster:{label}"[:_NAME_LENGTH],
                timeout=settings.connect_timeout,
                tcp_keepalive=True,
                tcp_keepalive_idle=settings.keepalive,
                tcp_keepalive_interval=10,
                tcp_keepalive_count=6,
                # Few statements are sent twice; unnamed ones need not be closed.
                max_prepared_statements=0,
            )
        except Exception as error:
            # The exception's own text could repeat what the driver was given.
            raise _connect_error(settings, self._password, error) from None
        longest = max(settings.statement_timeout, settings.lock_timeout)
        self._patience = longest + _ANSWER_GRACE if settings.statement_timeout else None
        self._driver._usock.settimeout(self._patience)
        self._cursor = self._driver.cursor()
        # Parameters are marked ?, so that a % in a statement means nothing.
        self._cursor.paramstyle = "qmark"
        self.is_usable = True
        try:
            self._introduce(query_group, settings.statement_timeout)
        except BaseException:
            self.close()
            raise

    def _introduce(self, query_group: str, statement_timeout: int) -> None:
        self.set_autocommit(True)
        for setting in (
            f"SET query_group TO {literal(query_group)}",
            "SET timezone TO 'UTC'",
            f"SET statement_timeout TO {statement_timeout * 1000}",
        ):
            self.send(setting, setting)
        (found,) = self.query("redshift/session")
        self.id = int(found["session_id"])
        self._started: dt.datetime = found["started_at"]
        self._clock = time.monotonic()

    def server_time(self) -> dt.datetime:
        """Return the time by the server's clock, a moment early; nothing is sent for it."""
        passed = time.monotonic() - self._clock
        return self._started + dt.timedelta(seconds=passed - _CLOCK_DRIFT)

    def set_autocommit(self, on: bool) -> None:
        """Make each statement its own transaction, or let the next one begin a longer one."""
        self._driver.autocommit = on
        self._has_ended = False

    def send(self, place: str, text: str, values: Sequence[Any] | None = None) -> int:
        """Send one statement; return the number of rows it changed, -1 where unknown.

        Raises:
            ServerError: Redshift refuses it; `place` says what was tried.
            ConnectionLost, NoAnswer: no answer came.
        """
        if not self.is_usable or self._has_ended:
            raise WarehouseError(f"{place}: the transaction has ended; nothing more is sent in it")
        with self._explained(place):
            self._cursor.execute(placed(text, self._environment), values)
        return int(self._cursor.rowcount)

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run the only statement of a section of `sql/`; return its rows by column name."""
        self.send(place_of(name), render(read_statement(name), parameters))
        return self.named_rows()

    def lock(self, text: str, seconds: int) -> bool:
        """Lock a table, waiting for those who hold it; tell whether it was got in time.

        The wait is limited here: whether statement_timeout ends it on Redshift is not documented.
        Given up, the session is at an end; the server notices when it gets the lock.
        """
        self._driver._usock.settimeout(seconds)
        try:
            self.send(text, text)
        except NoAnswer:
            self.close()
            return False
        except ServerError as error:
            if error.sqlstate != CANCELLED:
                raise
            return False
        finally:
            if self.is_usable:
                self._driver._usock.settimeout(self._patience)
        return True

    def rows(self) -> list[Row]:
        """Return the rows of the last statement; empty where it gives none."""
        if not self._cursor.description:
            return []
        return [tuple(_plain(value) for value in row) for row in self._cursor.fetchall()]

    def columns(self) -> list[str]:
        """Return the column names of the last statement."""
        return [column[0] for column in self._cursor.description or ()]

    def named_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the last statement by column name."""
        columns = self.columns()
        return [dict(zip(columns, row, strict=True)) for row in self.rows()]

    def commit(self) -> None:
        """Commit.

        Raises:
            ServerError: the transaction was not committed.
            ConnectionLost: it may or may not have been.
        """
        try:
            with self._explained("COMMIT"):
                self._driver.commit()
        except NoAnswer:
            raise ConnectionLost(f"COMMIT: {self.place} has not answered") from None

    def rollback(self) -> None:
        """Roll back where a connection is left to do it on; the server does so itself otherwise."""
        if not self.is_usable:
            return
        try:
            self._driver.rollback()
        except Exception:
            self.is_usable = False

    def end(self) -> None:
        """Roll back; nothing more is sent until it is said what a next transaction is."""
        self.rollback()
        self._has_ended = True

    def close(self) -> None:
        """Close the connection; the server rolls back what is not committed."""
        self.is_usable = False
        with contextlib.suppress(Error, OSError):
            self._driver.close()

    @contextlib.contextmanager
    def _explained(self, place: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._error(place, error) from None

    def _error(self, place: str, error: Exception) -> WarehouseError:
        answer = error.args[0] if error.args else None
        if isinstance(error, Error) and isinstance(answer, dict):
            message, detail = (
                _without_secrets(answer.get(field, ""), self._password) for field in "MD"
            )
            return ServerError(place, answer.get("C", ""), message, detail)
        if isinstance(error, _DRIVER_REFUSES):
            return WarehouseError(f"{place}: the driver refuses it: {error}")
        self.is_usable = False
        if isinstance(error, TimeoutError):
            return NoAnswer(
                f"{place}: {self.place} has not answered for {self._driver._usock.gettimeout():g} "
                "s, longer than REDSHIFT_STATEMENT_TIMEOUT and SPARKIFY_LOCK_TIMEOUT allow. The "
                "transaction was abandoned; look for the session in SVV_TRANSACTIONS."
            )
        # Whatever else the driver raises while it reads an answer, the answer was cut off.
        return ConnectionLost(f"{place}: the connection to {self.place} was lost")


def place_of(name: str) -> str:
    """Return where a section of `sql/` stands, for errors."""
    file, _, section = name.rpartition("/")
    return f"sql/{file}.sql, {section}"


def _plain(value: Any) -> Any:
    """Return a whole number as int; SUM of integers is a NUMERIC in Redshift."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value) if value.as_tuple().exponent == 0 else value
    return value


def _login(settings: RedshiftSettings) -> dict[str, Any]:
    """Return the driver's arguments for the configured way to log in."""
    # Said explicitly: the driver lets a wrong host name pass under its own default.
    login: dict[str, Any] = {"ssl": True, "sslmode": settings.sslmode}
    if settings.sslmode == "disable":
        login = {"ssl": False}
    if settings.secret_arn:
        return login | _secret(settings)
    if settings.host:
        login |= {"host": settings.host, "port": settings.port}
    login["database"] = settings.database
    if settings.cluster_id:
        login |= {"cluster_identifier": settings.cluster_id, "db_user": settings.user}
    elif settings.workgroup:
        login |= {"is_serverless": True, "serverless_work_group": settings.workgroup}
    else:
        return login | {"user": settings.user, "password": settings.password.reveal()}
    return login | {"iam": True, "region": settings.region}


def _secret(settings: RedshiftSettings) -> dict[str, Any]:
    """Return user, password and place from Secrets Manager.

    Raises:
        Unreachable: AWS does not answer for the moment.
        WarehouseError: the secret cannot be read or lacks a key.
    """
    where = f"REDSHIFT_SECRET_ARN={settings.secret_arn}"
    try:
        client = Session(region_name=settings.region).client("secretsmanager")
        text = client.get_secret_value(SecretId=settings.secret_arn)["SecretString"]
        secret = json.loads(text)
    except (BotoCoreError, ClientError) as error:
        raise _aws_error(f"{where} cannot be read", error) from None
    except (KeyError, ValueError):
        raise WarehouseError(f"{where}: holds no JSON text") from None
    secret["host"] = settings.host or secret.get("host")
    secret["dbname"] = settings.database or secret.get("dbname")
    missing = [key for key in ("username", "password", "host", "dbname") if not secret.get(key)]
    if missing:
        raise WarehouseError(
            f"{where}: lacks the keys {', '.join(missing)} (host and dbname may be given as "
            "REDSHIFT_HOST and REDSHIFT_DATABASE instead)"
        )
    return {
        "user": secret["username"],
        "password": secret["password"],
        "host": secret["host"],
        "database": secret["dbname"],
        "port": settings.port if settings.host else int(secret.get("port", settings.port)),
    }


def _connect_error(settings: RedshiftSettings, password: str, error: Exception) -> WarehouseError:
    """Return what an exception while logging in means; secrets that it repeats are left out."""
    where = f"{settings.place}: no connection"
    answer = error.args[0] if error.args else None
    if isinstance(answer, dict):
        detail = "Check REDSHIFT_USER and REDSHIFT_PASSWORD." * (answer.get("C") == "28000")
        text = _without_secrets(answer.get("M", ""), password)
        return ServerError(where, answer.get("C", ""), text, detail)
    if isinstance(error, (BotoCoreError, ClientError)):
        return _aws_error(where, error)
    if isinstance(error, KeyError):
        # A cluster that is being created, paused or resumed has no endpoint.
        return Unreachable(f"{where}: AWS names no endpoint; is the cluster paused?")
    # The driver puts what happened on the network second.
    cause = error.args[1] if len(error.args) > 1 else error
    reason = _without_secrets(str(cause), password)
    if isinstance(cause, (OSError, struct.error)):
        return _network_error(where, cause, reason)
    if "BrokenPipe" in reason or "refuses SSL" in reason:
        # The driver says the latter of a server that hangs up, too.
        return Unreachable(f"{where}: the server broke it off, or does not speak TLS")
    return WarehouseError(f"{where}: {reason}")


def _network_error(where: str, cause: OSError | struct.error, reason: str) -> WarehouseError:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return WarehouseError(
            f"{where}: its certificate is not accepted ({cause.verify_message}). Check "
            "REDSHIFT_HOST; REDSHIFT_SSLMODE=verify-ca accepts another name, and SSL_CERT_FILE "
            "names a further authority."
        )
    if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
        return WarehouseError(f"{where}: the host name is not known. Check REDSHIFT_HOST.")
    return Unreachable(
        f"{where} ({reason}). Check REDSHIFT_HOST and REDSHIFT_PORT, that the cluster is not "
        "paused, and that its security group admits this machine."
    )


def _aws_error(what: str, error: Exception) -> WarehouseError:
    if not isinstance(error, ClientError):
        return WarehouseError(f"{what}: {error}")
    code = error.response["Error"]["Code"]
    text = f"{what}: {error.response['Error'].get('Message', '')} ({code})"
    return Unreachable(text) if code in PASSING_AWS else WarehouseError(text)


def _without_secrets(text: str, password: str) -> str:
    return text.replace(password, "***") if password else text
