"""One connection: start-up, authentication and the extended query protocol."""

import contextlib
import functools
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from . import lexical, protocol, translate
from .backend import Backend, Result
from .errors import ServerError, not_emulated
from .faults import Fault, Faults
from .meter import Meter
from .protocol import Column, Reader

_FLUSH_AT = 1 << 16


class Gone(Exception):
    """The connection is over: the client left, or a fault cut it."""


@dataclass
class Statement:
    """One executed statement, as recorded by the double.

    transaction is the state it met: I outside, T inside a transaction, E in a failed one.
    outcome is the command tag, an SQLSTATE, or "cut" where the client got no answer.
    """

    session_id: int
    transaction: str
    text: str
    outcome: str = ""


@dataclass
class Settings:
    """What a session must know of its double."""

    database: str
    passwords: dict[str, str | None]
    protocol_version: int
    tls: ssl.SSLContext | None
    faults: Faults
    statements: list[Statement]
    stopping: threading.Event
    new_backend: Callable[[int, str], Backend]
    report: Callable[[BaseException], None]
    meter: Meter
    superusers: set[str]


@dataclass
class _Prepared:
    text: str
    oids: list[int]
    columns: list[Column] | None = None


@dataclass
class _Portal:
    prepared: _Prepared
    parameters: list[exp.Expr]
    formats: list[int] = field(default_factory=list)


class Session:
    """Serves one client until it leaves; runs in a thread of its own."""

    def __init__(self, connection: socket.socket, session_id: int, settings: Settings) -> None:
        self._socket = connection
        self._id = session_id
        self._settings = settings
        self._version = 0
        self._backend: Backend | None = None
        self._prepared: dict[str, _Prepared] = {}
        self._portals: dict[str, _Portal] = {}
        self._out = bytearray()
        self._skipping = False
        self._input: Any = None

    # -- life -------------------------------------------------------------------------

    def serve(self) -> None:
        """Talk until the end of the connection; failures of the double itself are reported."""
        try:
            if self._start_up():
                self._loop()
        except (Gone, OSError, EOFError, struct.error):
            pass
        except BaseException as error:
            self._settings.report(error)
        finally:
            self.close()

    def close(self) -> None:
        """Roll back first, then let the client see the end of the connection."""
        if self._backend is not None:
            backend, self._backend = self._backend, None
            backend.close()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._input is not None:
            self._input.close()
        self._socket.close()

    def abort(self) -> None:
        """End the session from another thread: stop its query and its reading."""
        backend = self._backend
        if backend is not None:
            backend.interrupt()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self, count: int) -> bytes:
        raw = self._input.read(count)
        if len(raw) < count:
            raise Gone
        return bytes(raw)

    def _message(self) -> tuple[bytes, Reader]:
        code = self._read(1)
        length = struct.unpack("!i", self._read(4))[0]
        return code, Reader(self._read(length - 4))

    def _send(self, raw: bytes) -> None:
        self._out += raw
        if len(self._out) >= _FLUSH_AT:
            self._flush()

    def _flush(self) -> None:
        raw, self._out = bytes(self._out), bytearray()
        if raw:
            self._socket.sendall(raw)

    # -- start-up ---------------------------------------------------------------------

    def _first_packet(self) -> tuple[int, bytes]:
        length = struct.unpack("!i", self._raw(4))[0]
        body = self._raw(length - 4)
        return struct.unpack("!i", body[:4])[0], body[4:]

    def _raw(self, count: int) -> bytes:
        """Read without buffering: what follows may be a TLS handshake."""
        raw = b""
        while len(raw) < count:
            part = self._socket.recv(count - len(raw))
            if not part:
                raise Gone
            raw += part
        return raw

    def _negotiate(self) -> bytes:
        """Answer the TLS request and give the start-up parameters."""
        encrypted = False
        while True:
            code, body = self._first_packet()
            if code == protocol.SSL_REQUEST and self._settings.tls is not None:
                self._socket.sendall(b"S")
                self._socket = self._settings.tls.wrap_socket(self._socket, server_side=True)
                encrypted = True
            elif code in (protocol.SSL_REQUEST, protocol.GSS_REQUEST):
                self._socket.sendall(b"N")
            elif code == protocol.PROTOCOL_3:
                self._input = self._socket.makefile("rb")
                if self._settings.tls is not None and not encrypted:
                    raise ServerError("28000", "no pg_hba.conf entry for host, SSL off")
                return body
            else:
                raise Gone

    def _start_up(self) -> bool:
        faults = self._settings.faults.at_connect()
        if any(fault.what == "cut_before" for fault in faults):
            return False
        try:
            raw = self._negotiate()
            parameters = dict(_pairs(raw))
            self._inject(faults)
            user = parameters.get("user", "")
            self._authenticate(user, parameters.get("database", user))
        except ServerError as error:
            self._send(protocol.fields_message(b"E", "FATAL", error))
            self._flush()
            return False
        self._backend = self._settings.new_backend(self._id, user)
        self._backend.name_application(parameters.get("application_name", ""))
        self._settings.meter.add("sessions")
        self._welcome(parameters)
        if any(fault.what in ("cut_after", "cut_mid") for fault in faults):
            return False
        self._flush()
        return True

    def _inject(self, faults: list[Fault]) -> None:
        for fault in faults:
            if fault.what == "delay":
                self._wait(fault.seconds)
            elif fault.what == "error":
                raise ServerError(fault.sqlstate, fault.message, fault.detail)

    def _wait(self, seconds: float) -> None:
        if self._settings.stopping.wait(seconds):
            raise Gone

    def _authenticate(self, user: str, database: str) -> None:
        """Ask for Redshift's digest: SHA256(SHA256(password + salt) + nonce + client nonce)."""
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(16)
        body = struct.pack("!iii", 13, 0, len(salt)) + salt + struct.pack("!i", len(nonce)) + nonce
        self._send(protocol.message(b"R", body))
        self._flush()
        code, reader = self._message()
        if code != b"d":
            raise ServerError("08P01", f"expected a digest, got message {code!r}")
        digest, client_nonce = reader.value() or b"", reader.value() or b""
        known = user in self._settings.passwords
        password = self._settings.passwords.get(user)
        if known and password is not None:
            inner = hashlib.sha256(password.encode() + salt).digest()
            expected = hashlib.sha256(inner + nonce + client_nonce).digest()
            known = hmac.compare_digest(expected, digest)
        if not known:
            raise ServerError("28000", f'password authentication failed for user "{user}"')
        if database != self._settings.database:
            raise ServerError("3D000", f'database "{database}" does not exist')

    def _welcome(self, parameters: dict[str, str]) -> None:
        self._send(protocol.message(b"R", struct.pack("!i", 0)))
        status = {
            "client_encoding": "UTF8",
            "DateStyle": "ISO, MDY",
            "integer_datetimes": "on",
            "is_superuser": "on" if self._running.rights.is_superuser else "off",
            "server_encoding": "UTF8",
            "server_version": "8.0.2",
            "session_authorization": parameters.get("user", ""),
            "standard_conforming_strings": "off",
            "TimeZone": "UTC",
            "datashare_enabled": "off",
        }
        if "client_protocol_version" in parameters:
            wanted = int(parameters["client_protocol_version"])
            self._version = min(wanted, self._settings.protocol_version)
            status["server_protocol_version"] = str(self._version)
        for name, value in status.items():
            body = protocol.cstring(name) + protocol.cstring(value)
            self._send(protocol.message(b"S", body))
        self._send(protocol.message(b"K", struct.pack("!ii", self._id, secrets.randbits(31))))
        self._ready()

    # -- messages ---------------------------------------------------------------------

    @property
    def _running(self) -> Backend:
        assert self._backend is not None
        return self._backend

    def _ready(self) -> None:
        self._send(protocol.message(b"Z", self._running.state.encode()))

    def _loop(self) -> None:
        handlers: dict[bytes, Callable[[Reader], None]] = {
            b"P": self._on_parse,
            b"B": self._on_bind,
            b"D": self._on_describe,
            b"E": self._on_execute,
            b"C": self._on_close,
            b"H": lambda _: self._flush(),
            b"Q": self._on_simple_query,
        }
        while True:
            code, reader = self._message()
            if code == b"X":
                return
            if code == b"S":
                self._settings.meter.add("round_trips")
                self._skipping = False
                self._ready()
                self._flush()
            elif not self._skipping:
                self._handle(handlers.get(code), code, reader)

    def _handle(
        self, handler: Callable[[Reader], None] | None, code: bytes, reader: Reader
    ) -> None:
        try:
            if handler is None:
                raise ServerError("08P01", f"unknown message {code!r}")
            handler(reader)
        except ServerError as error:
            self._running.fail()
            self._send(protocol.fields_message(b"E", error.severity, error))
            self._skipping = True

    def _on_parse(self, reader: Reader) -> None:
        name, text = reader.string(), reader.string()
        oids = [reader.take("i") for _ in range(reader.take("h"))]
        statements = lexical.statements(text)
        if len(statements) > 1:
            raise ServerError("42601", "cannot insert multiple commands into a prepared statement")
        text = statements[0] if statements else ""
        count = lexical.parameter_count(text) if text else 0
        oids += [protocol.UNKNOWN] * (count - len(oids))
        if text:
            self._running.check_state(text)
        self._prepared[name] = _Prepared(text, oids)
        self._send(protocol.message(b"1"))

    def _on_describe(self, reader: Reader) -> None:
        kind, name = reader.raw(1), reader.string()
        if kind == b"S":
            prepared = self._find_prepared(name)
            oids = prepared.oids
            body = struct.pack("!h", len(oids)) + b"".join(struct.pack("!i", o) for o in oids)
            self._send(protocol.message(b"t", body))
        else:
            prepared = self._find_portal(name).prepared
        if prepared.text:
            typed = [_typed_null(oid) for oid in prepared.oids]
            prepared.columns = self._try(prepared.text, lambda b: b.describe(prepared.text, typed))
        if prepared.columns is None:
            self._send(protocol.message(b"n"))
        else:
            self._send(protocol.row_description(prepared.columns, self._version))

    def _try(self, text: str, run: Callable[[Backend], Any]) -> Any:
        """Record a statement that fails before it is executed."""
        try:
            return run(self._running)
        except ServerError as error:
            self._record(text).outcome = error.sqlstate
            raise

    def _record(self, text: str) -> Statement:
        statement = Statement(self._id, self._running.state, text)
        self._settings.statements.append(statement)
        self._settings.meter.add("statements")
        return statement

    def _find_prepared(self, name: str) -> _Prepared:
        if name not in self._prepared:
            raise ServerError("26000", f'prepared statement "{name}" does not exist')
        return self._prepared[name]

    def _find_portal(self, name: str) -> _Portal:
        if name not in self._portals:
            raise ServerError("34000", f'portal "{name}" does not exist')
        return self._portals[name]

    def _on_bind(self, reader: Reader) -> None:
        portal, prepared = reader.string(), self._find_prepared(reader.string())
        codes = [reader.take("h") for _ in range(reader.take("h"))]
        count = reader.take("h")
        if count != len(prepared.oids):
            raise ServerError(
                "08P01",
                f"bind message supplies {count} parameters, but prepared statement requires "
                f"{len(prepared.oids)}",
            )
        codes = codes * count if len(codes) == 1 else codes or [0] * count
        values = [
            translate.literal(protocol.decode_parameter(oid, code, reader.value()))
            for oid, code in zip(prepared.oids, codes, strict=True)
        ]
        formats = [reader.take("h") for _ in range(reader.take("h"))]
        self._portals[portal] = _Portal(prepared, values, formats)
        self._send(protocol.message(b"2"))

    def _on_close(self, reader: Reader) -> None:
        kind, name = reader.raw(1), reader.string()
        (self._prepared if kind == b"S" else self._portals).pop(name, None)
        self._send(protocol.message(b"3"))

    def _on_simple_query(self, _reader: Reader) -> None:
        self._skipping = False
        error = not_emulated("the simple query protocol")
        self._running.fail()
        self._send(protocol.fields_message(b"E", error.severity, error))
        self._ready()
        self._flush()

    def _on_execute(self, reader: Reader) -> None:
        portal = self._find_portal(reader.string())
        if reader.take("i"):
            raise not_emulated("fetching a portal in pieces")
        text = portal.prepared.text
        if not text:
            self._send(protocol.message(b"I"))
            return
        record = self._record(text)
        is_commit = lexical.tokens(text)[0].upper in ("COMMIT", "END")
        faults = self._settings.faults.at_statement(text, is_commit)
        what = {fault.what for fault in faults}
        if "cut_before" in what:
            self._cut(record)
        try:
            result = self._execute(text, portal.parameters, faults)
        except ServerError as error:
            record.outcome = error.sqlstate
            raise
        if "cut_after" in what:
            self._cut(record)
        answer = self._answer(result, portal)
        if "cut_mid" in what:
            self._cut(record, answer[: max(1, len(answer) // 2)])
        self._send(answer)
        record.outcome = result.tag

    def _execute(self, text: str, parameters: list[Any], faults: list[Fault]) -> Result:
        backend = self._running
        wait = sum(fault.seconds for fault in faults if fault.what == "delay")
        if wait:
            self._wait(min(wait, backend.timeout or wait))
        for fault in faults:
            if fault.what == "error":
                if lexical.tokens(text)[0].upper in ("COMMIT", "END"):
                    backend.rollback()
                raise ServerError(fault.sqlstate, fault.message, fault.detail)
        return backend.execute(text, parameters, wait)

    def _answer(self, result: Result, portal: _Portal) -> bytes:
        parts = [
            protocol.fields_message(b"N", severity, notice) for severity, notice in result.notices
        ]
        columns = portal.prepared.columns
        if columns is not None:
            formats = portal.formats
            if len(formats) <= 1:
                formats = (formats or [0]) * len(columns)
            if any(len(row) != len(columns) for row in result.rows[:1]):
                raise ServerError("0A000", "cached plan must not change result type")
            parts += [
                protocol.data_row(row, columns, formats, self._version) for row in result.rows
            ]
        parts.append(protocol.message(b"C", protocol.cstring(result.tag)))
        return b"".join(parts)

    def _cut(self, record: Statement, last_words: bytes = b"") -> None:
        """End the connection as a lost network does, once the client waits for its answer.

        What is already on its way is read first: unread bytes would make the system answer
        the client with a reset at one time and an end of file at another.
        """
        record.outcome = "cut"
        self._out.clear()
        while self._message()[0] != b"S":
            pass
        if last_words:
            self._send(last_words)
            self._flush()
        raise Gone


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    words = raw.split(b"\0")
    return [
        (name.decode(), value.decode())
        for name, value in zip(words[::2], words[1::2], strict=False)
        if name
    ]


_NULLS = {
    protocol.BOOLEAN: "BOOLEAN",
    protocol.SMALLINT: "INT",
    protocol.INTEGER: "INT",
    protocol.BIGINT: "BIGINT",
    protocol.DOUBLE: "DOUBLE",
    protocol.NUMERIC: "DECIMAL(38,10)",
    protocol.DATE: "DATE",
    protocol.TIME: "TIME",
    protocol.TIMESTAMP: "TIMESTAMP",
    protocol.TIMESTAMPTZ: "TIMESTAMPTZ",
}


@functools.cache
def _typed_null(oid: int) -> exp.Expr:
    """Stand in for a parameter whose value is not known yet."""
    kind = _NULLS.get(oid, "VARCHAR(65535)")
    return exp.Cast(this=exp.null(), to=exp.DataType.build(kind, dialect="redshift"))
