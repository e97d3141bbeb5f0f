"""Redshift's column types: how DuckDB stores them, how the wire and the catalog name them."""

import re
from dataclasses import dataclass

from sqlglot import exp

from . import protocol
from .errors import ServerError, not_emulated

_T = exp.DataType.Type
_NAMES = {
    _T.SMALLINT: "smallint",
    _T.INT: "integer",
    _T.BIGINT: "bigint",
    _T.DECIMAL: "numeric",
    _T.FLOAT: "real",
    _T.DOUBLE: "double precision",
    _T.BOOLEAN: "boolean",
    _T.CHAR: "character",
    _T.NCHAR: "character",
    _T.BPCHAR: "character",
    _T.VARCHAR: "character varying",
    _T.NVARCHAR: "character varying",
    _T.TEXT: "character varying",
    _T.DATE: "date",
    _T.TIME: "time without time zone",
    _T.TIMESTAMP: "timestamp without time zone",
    _T.TIMESTAMPNTZ: "timestamp without time zone",
    _T.TIMESTAMPTZ: "timestamp with time zone",
    _T.SUPER: "super",
    _T.VARBINARY: "binary varying",
}
_STORED = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "character": "VARCHAR",
    "character varying": "VARCHAR",
    "date": "DATE",
    "time without time zone": "TIME",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "super": "JSON",
    "binary varying": "BLOB",
}
_OIDS = {
    "smallint": protocol.SMALLINT,
    "integer": protocol.INTEGER,
    "bigint": protocol.BIGINT,
    "numeric": protocol.NUMERIC,
    "real": protocol.REAL,
    "double precision": protocol.DOUBLE,
    "boolean": protocol.BOOLEAN,
    "character": protocol.BPCHAR,
    "character varying": protocol.VARCHAR,
    "date": protocol.DATE,
    "time without time zone": protocol.TIME,
    "timestamp without time zone": protocol.TIMESTAMP,
    "timestamp with time zone": protocol.TIMESTAMPTZ,
    "interval day to second": protocol.INTERVAL_DAY_TO_SECOND,
    "super": protocol.SUPER,
    "binary varying": protocol.VARBYTE,
}
_FROM_DUCKDB = {
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "SMALLINT": "smallint",
    "USMALLINT": "integer",
    "INTEGER": "integer",
    "UINTEGER": "bigint",
    "BIGINT": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "VARCHAR": "character varying",
    '"NULL"': "character varying",
    "DATE": "date",
    "TIME": "time without time zone",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP_S": "timestamp without time zone",
    "TIMESTAMP_MS": "timestamp without time zone",
    "TIMESTAMP_NS": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "INTERVAL": "interval day to second",
    "JSON": "super",
    "BLOB": "binary varying",
}
MAX_VARCHAR = 65535
_DEFAULT_LENGTH = {_T.VARCHAR: 256, _T.NVARCHAR: 256, _T.TEXT: 256}
_MAX_LENGTH = {"character": 4096, "character varying": MAX_VARCHAR}


@dataclass(frozen=True)
class RedshiftType:
    """A type by its information_schema name, with length in bytes or precision and scale."""

    name: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None

    @property
    def stored(self) -> str:
        """The DuckDB type that holds it."""
        if self.name == "numeric":
            return f"DECIMAL({self.precision},{self.scale})"
        return _STORED[self.name]

    @property
    def is_text(self) -> bool:
        """Whether it is CHAR or VARCHAR, the types whose length counts bytes."""
        return self.name in _MAX_LENGTH

    @property
    def is_integer(self) -> bool:
        """Whether it is SMALLINT, INTEGER or BIGINT."""
        return self.name in ("smallint", "integer", "bigint")

    @property
    def oid(self) -> int:
        """The type's number on the wire."""
        return _OIDS[self.name]

    @property
    def modifier(self) -> int:
        """The type modifier on the wire."""
        if self.name == "numeric":
            return protocol.numeric_modifier(self.precision or 18, self.scale or 0)
        return -1 if self.length is None else self.length + 4

    def __str__(self) -> str:
        if self.name == "numeric":
            return f"numeric({self.precision},{self.scale})"
        return self.name if self.length is None else f"{self.name}({self.length})"


def parse_type(text: str) -> RedshiftType:
    """Read what str() of a RedshiftType wrote."""
    match = re.fullmatch(r"([a-z ]+?)(?:\((\d+)(?:,(\d+))?\))?", text)
    assert match, text
    name, first, second = match[1], match[2], match[3]
    if name == "numeric":
        return RedshiftType(name, precision=int(first), scale=int(second))
    return RedshiftType(name, length=int(first) if first else None)


def from_sql(node: exp.DataType) -> RedshiftType:
    """Read a type as written in SQL.

    Rules: no length means 256 bytes for VARCHAR and TEXT and 1 for CHAR, MAX means 65535
    or 4096; NUMERIC without precision is (18,0) [AWS: Character types, Numeric types].
    Raises ServerError 42704 for a type Redshift does not have.
    """
    name = _NAMES.get(node.this)
    if name is None:
        raise ServerError("42704", f'type "{node.sql("redshift").lower()}" does not exist')
    sizes = [parameter.name.upper() for parameter in node.expressions]
    if name == "numeric":
        precision = int(sizes[0]) if sizes else 18
        scale = int(sizes[1]) if len(sizes) > 1 else 0
        if not 0 <= scale <= precision <= 38:
            raise ServerError("22023", f"NUMERIC precision {precision} scale {scale} is not valid")
        return RedshiftType(name, precision=precision, scale=scale)
    if name not in _MAX_LENGTH:
        return RedshiftType(name)
    longest = _MAX_LENGTH[name]
    if not sizes:
        return RedshiftType(name, length=_DEFAULT_LENGTH.get(node.this, 1))
    length = longest if sizes[0] == "MAX" else int(sizes[0])
    if not 1 <= length <= longest:
        raise ServerError("22023", f"length for type {name} must be between 1 and {longest}")
    return RedshiftType(name, length=length)


def from_duckdb(text: str) -> RedshiftType:
    """Name the type of a DuckDB result column as Redshift would see it.

    Raises ServerError 0A000 for types with no counterpart (lists, structs...).
    """
    match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", text)
    if match:
        return RedshiftType("numeric", precision=int(match[1]), scale=int(match[2]))
    if text in ("HUGEINT", "UBIGINT", "UHUGEINT"):
        return RedshiftType("numeric", precision=38, scale=0)
    name = _FROM_DUCKDB.get(text)
    if name is None:
        raise not_emulated(f"a result of DuckDB's type {text}")
    return RedshiftType(name, length=MAX_VARCHAR if name == "character varying" else None)
