"""Bytes of the Redshift wire protocol: messages, row descriptions, values.

Redshift speaks PostgreSQL's protocol 3.0 with its own additions: a digest
authentication (code 13), four names and a flag word per column from protocol
version 1 on, and numerics as scaled binary integers from version 2 on.
"""

import struct
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

from .errors import ServerError, not_emulated

SSL_REQUEST = 80877103
CANCEL_REQUEST = 80877102
GSS_REQUEST = 80877104
PROTOCOL_3 = 196608

BOOLEAN, BIGINT, SMALLINT, INTEGER = 16, 20, 21, 23
TEXT, REAL, DOUBLE, UNKNOWN = 25, 700, 701, 705
BPCHAR, VARCHAR, DATE, TIME = 1042, 1043, 1082, 1083
TIMESTAMP, TIMESTAMPTZ, INTERVAL_DAY_TO_SECOND, NUMERIC = 1114, 1184, 1190, 1700
SUPER, VARBYTE = 4000, 6551

_EPOCH = datetime(2000, 1, 1)
_WIDE = Context(prec=60)
_SIZES = {
    BOOLEAN: 1, SMALLINT: 2, INTEGER: 4, BIGINT: 8, REAL: 4, DOUBLE: 8,
    DATE: 4, TIME: 8, TIMESTAMP: 8, TIMESTAMPTZ: 8, INTERVAL_DAY_TO_SECOND: 8,
}  # fmt: skip


@dataclass
class Column:
    """One column of a result, with the source it can be traced to (else empty names)."""

    name: str
    oid: int
    modifier: int = -1
    schema: str = ""
    table: str = ""
    source: str = ""
    table_oid: int = 0
    number: int = 0
    nullable: bool = True
    catalog: str = field(default="")

    @property
    def scale(self) -> int:
        """Digits after the point of a NUMERIC."""
        return (self.modifier - 4) & 0xFFFF

    @property
    def precision(self) -> int:
        """All digits of a NUMERIC."""
        return (self.modifier - 4) >> 16


def numeric_modifier(precision: int, scale: int) -> int:
    """Pack precision and scale as the type modifier of a NUMERIC."""
    return ((precision << 16) | scale) + 4


def message(code: bytes, body: bytes = b"") -> bytes:
    """Frame a message: type, length including itself, body."""
    return code + struct.pack("!i", len(body) + 4) + body


def cstring(text: str) -> bytes:
    """Encode a zero-terminated string."""
    return text.encode() + b"\0"


def fields_message(code: bytes, severity: str, error: ServerError) -> bytes:
    """Frame an ErrorResponse (E) or a NoticeResponse (N)."""
    parts = [("S", severity), ("C", error.sqlstate), ("M", error.message)]
    if error.detail:
        parts.append(("D", error.detail))
    parts += [("F", "redshift_double"), ("L", "1"), ("R", "execute")]
    return message(code, b"".join(k.encode() + cstring(v) for k, v in parts) + b"\0")


def row_description(columns: list[Column], version: int) -> bytes:
    """Frame a RowDescription for a protocol version."""
    body = struct.pack("!h", len(columns))
    for column in columns:
        body += cstring(column.name) + struct.pack(
            "!ihihih",
            column.table_oid,
            column.number,
            column.oid,
            _SIZES.get(column.oid, -1),
            column.modifier,
            0,
        )
        if version >= 1:
            for name in (column.schema, column.table, column.source, column.catalog):
                body += cstring(name)
            searchable = 1 << 12
            read_only = 0 if column.table else 1 << 8
            body += struct.pack("!h", int(column.nullable) | read_only | searchable)
    return message(b"T", body)


def data_row(
    row: tuple[Any, ...], columns: list[Column], formats: list[int], version: int
) -> bytes:
    """Frame a DataRow in the formats (0 text, 1 binary) that Bind asked for."""
    parts = [struct.pack("!h", len(row))]
    for value, column, code in zip(row, columns, formats, strict=True):
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
            continue
        raw = _binary(value, column, version) if code else _text(value, column)
        parts.append(struct.pack("!i", len(raw)) + raw)
    return message(b"D", b"".join(parts))


def _microseconds(span: timedelta) -> int:
    return (span.days * 86400 + span.seconds) * 1_000_000 + span.microseconds


def _numeric(value: Any, column: Column) -> bytes:
    scaled = int(_WIDE.scaleb(Decimal(value), column.scale))
    return scaled.to_bytes(8 if column.precision <= 18 else 16, "big", signed=True)


def _clock(value: time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _timestamptz(value: datetime) -> int:
    return _microseconds(value.astimezone(UTC).replace(tzinfo=None) - _EPOCH)


_PACKERS: dict[int, Any] = {
    BOOLEAN: lambda v: b"\x01" if v else b"\x00",
    SMALLINT: lambda v: struct.pack("!h", v),
    INTEGER: lambda v: struct.pack("!i", v),
    BIGINT: lambda v: struct.pack("!q", v),
    REAL: lambda v: struct.pack("!f", v),
    DOUBLE: lambda v: struct.pack("!d", v),
    DATE: lambda v: struct.pack("!i", (v - _EPOCH.date()).days),
    TIME: lambda v: struct.pack("!q", _clock(v)),
    TIMESTAMP: lambda v: struct.pack("!q", _microseconds(v - _EPOCH)),
    TIMESTAMPTZ: lambda v: struct.pack("!q", _timestamptz(v)),
    INTERVAL_DAY_TO_SECOND: lambda v: struct.pack("!q", _microseconds(v)),
}


def _binary(value: Any, column: Column, version: int) -> bytes:
    if column.oid == NUMERIC:
        if version < 2:
            raise not_emulated("binary numerics before protocol version 2")
        return _numeric(value, column)
    packer = _PACKERS.get(column.oid)
    return packer(value) if packer else _text(value, column)


def _text(value: Any, column: Column) -> bytes:
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, (bytes, bytearray)):
        return value.hex().encode()
    if isinstance(value, datetime):
        return value.isoformat(" ").encode()
    if column.oid == BPCHAR:
        return str(value).ljust(column.modifier - 4).encode()
    return str(value).encode()


def _unpack(layout: str) -> Any:
    return lambda raw: struct.unpack(layout, raw)[0]


def _timestamp(raw: bytes) -> datetime:
    return _EPOCH + timedelta(microseconds=struct.unpack("!q", raw)[0])


_UNPACKERS: dict[int, Any] = {
    BOOLEAN: lambda raw: raw == b"\x01",
    SMALLINT: _unpack("!h"),
    INTEGER: _unpack("!i"),
    BIGINT: _unpack("!q"),
    DOUBLE: _unpack("!d"),
    TIMESTAMP: _timestamp,
    TIMESTAMPTZ: lambda raw: _timestamp(raw).replace(tzinfo=UTC),
}
_READERS: dict[int, Any] = {
    SMALLINT: int, INTEGER: int, BIGINT: int, DOUBLE: float, NUMERIC: Decimal,
    DATE: date.fromisoformat, TIME: time.fromisoformat,
}  # fmt: skip


def decode_parameter(oid: int, code: int, raw: bytes | None) -> Any:
    """Read a bound parameter.

    Raises ServerError 0A000 for a type the driver does not send, 22P02 for bad text.
    """
    if raw is None:
        return None
    if code == 1:
        if oid not in _UNPACKERS:
            raise not_emulated(f"a binary parameter of type {oid}")
        return _UNPACKERS[oid](raw)
    try:
        return _READERS.get(oid, str)(raw.decode())
    except ValueError as error:
        raise ServerError("22P02", f"invalid input syntax for parameter: {error}") from error


class Reader:
    """Takes fields off the front of a message body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def string(self) -> str:
        """Take a zero-terminated string."""
        end = self._body.index(b"\0", self._at)
        text = self._body[self._at : end].decode()
        self._at = end + 1
        return text

    def take(self, layout: str) -> Any:
        """Take one number, given its struct code."""
        value = struct.unpack_from("!" + layout, self._body, self._at)[0]
        self._at += struct.calcsize("!" + layout)
        return value

    def raw(self, length: int) -> bytes:
        """Take bytes."""
        self._at += length
        return self._body[self._at - length : self._at]

    def value(self) -> bytes | None:
        """Take a length-prefixed value; a length of -1 is NULL."""
        length = self.take("i")
        return None if length < 0 else self.raw(length)

    @property
    def left(self) -> int:
        """Bytes not yet taken."""
        return len(self._body) - self._at
