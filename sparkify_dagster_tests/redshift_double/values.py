"""JSON values into column types by COPY's rules, one field at a time.

Every accepted value becomes text that DuckDB casts to the column's type without loss.
Codes and rules: AWS Redshift Database Developer Guide, Load error reference and Data
conversion parameters. Wording that AWS does not document is near to what users report.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any

from .catalog import TableColumn
from .copy_statement import Copy
from .errors import not_emulated


class Number(str):
    """A JSON number with its digits as written in the file."""

    __slots__ = ()


@dataclass
class FieldError(Exception):
    """Why a field cannot be loaded: error code, reason and the place in the field."""

    code: int
    reason: str
    position: int = 0
    value: str = ""


_RANGES = {"smallint": 15, "integer": 31, "bigint": 63}
_LONG_NAMES = {"smallint": "Short", "integer": "Integer", "bigint": "Long"}


def _plain(value: Any) -> Any:
    """Give a JSON value with ordinary numbers, for writing it out again."""
    if isinstance(value, Number):
        return int(value) if re.fullmatch(r"-?\d+", value) else float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _as_json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return _as_json(value)


def _integer(text: str, column: TableColumn) -> str:
    match = re.match(r"[+-]?\d*", text)
    good = match.group() if match else ""
    kind = column.type.name
    if good != text or not good.strip("+-"):
        at = len(good)
        bad = text[at : at + 1]
        reason = f"Invalid digit, Value '{bad}', Pos {at}, Type: {_LONG_NAMES[kind]}"
        raise FieldError(1207, reason, at)
    number = int(text)
    if not -(2 ** _RANGES[kind]) <= number < 2 ** _RANGES[kind]:
        raise FieldError(1222, f"Overflow, Type: {_LONG_NAMES[kind]}")
    return str(number)


def _float(text: str, _column: TableColumn) -> str:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        raise FieldError(1208, "Invalid float format or data")
    if not math.isfinite(float(text)):
        raise FieldError(1222, "Overflow, Type: Double")
    return text


def _decimal(text: str, column: TableColumn, rounding: str) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise FieldError(1209, "Invalid decimal format or data") from None
    if not value.is_finite():
        raise FieldError(1209, "Invalid decimal format or data")
    scale, precision = column.type.scale or 0, column.type.precision or 18
    with localcontext() as context:
        context.prec = 100
        value = value.quantize(Decimal(1).scaleb(-scale), rounding=rounding)
    if abs(value) >= Decimal(10) ** (precision - scale):
        raise FieldError(1209, "Numeric overflow")
    return format(value, "f")


_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}


def _boolean(text: str, _column: TableColumn) -> str:
    lower = text.lower()
    if lower not in _TRUE | _FALSE:
        raise FieldError(1210, "Invalid boolean format or data")
    return "true" if lower in _TRUE else "false"


def _date(text: str, _column: TableColumn) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise FieldError(1205, "Invalid Date Format - length must be 10 or more")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise FieldError(1205, f"Invalid date - value out of range [{text}]") from None


_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_AUTO_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
)
_EPOCH = datetime(1970, 1, 1)


def _epoch(text: str, micros: int) -> str:
    if not re.fullmatch(r"-?\d+", text):
        raise FieldError(1206, "Invalid timestamp format or value [epoch]")
    try:
        moment = _EPOCH + timedelta(microseconds=int(text) * micros)
    except OverflowError:
        raise FieldError(1206, "Invalid timestamp - value out of range") from None
    return moment.isoformat(" ")


def _timestamp(text: str, column: TableColumn, time_format: str) -> str:
    """Read a timestamp; the format words are case-sensitive, as AWS says."""
    if time_format == "epochmillisecs":
        return _epoch(text, 1000)
    if time_format == "epochsecs":
        return _epoch(text, 1_000_000)
    if time_format not in ("", "auto", "YYYY-MM-DD HH:MI:SS"):
        raise not_emulated(f"TIMEFORMAT '{time_format}'")
    pattern = _AUTO_TIMESTAMP if time_format == "auto" else _TIMESTAMP
    if not pattern.fullmatch(text):
        expected = time_format or "YYYY-MM-DD HH:MI:SS"
        raise FieldError(1206, f"Invalid timestamp format or value [{expected}]")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FieldError(1206, "Invalid timestamp - value out of range") from None
    if moment.tzinfo and column.type.name == "timestamp without time zone":
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(" ")


def _time(text: str, _column: TableColumn) -> str:
    try:
        return time.fromisoformat(text).isoformat()
    except ValueError:
        raise FieldError(1206, "Invalid time format or value") from None


def _cut(text: str, length: int) -> str:
    return text.encode()[:length].decode(errors="ignore")


def _valid(text: str, copy: Copy) -> str:
    """Check UTF-8: bytes that are none arrive as lone surrogates, one for each byte."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    if copy.accept_invalid is None:
        raise FieldError(1220, "Multibyte character not supported or invalid UTF-8")
    return re.sub("[\ud800-\udfff]", copy.accept_invalid, text)


def _number_as_text(value: Number) -> str:
    """Print a fraction as Redshift prints floats: 231.52281 is seen as 231.52280999999999."""
    if re.fullmatch(r"-?\d+", value):
        return str(value)
    return format(float(value), ".17g")


def _character(value: Any, column: TableColumn, copy: Copy) -> str | None:
    if isinstance(value, list | dict):
        raise FieldError(1216, "Invalid value for a text")
    text = _number_as_text(value) if isinstance(value, Number) else _as_text(value)
    text = _valid(text, copy)
    if "\0" in text:
        raise FieldError(1220, "Invalid null byte in character field", text.index("\0"))
    if (copy.empty_as_null and text == "") or (copy.blanks_as_null and not text.strip()):
        return None
    if column.type.name == "character" and not text.isascii():
        raise FieldError(1215, "Multibyte character not allowed in CHAR")
    length = column.type.length or 0
    if len(text.encode()) <= length:
        return text
    if copy.truncate_columns:
        return _cut(text, length)
    trimmed = text.rstrip(" ")
    if len(trimmed.encode()) <= length:
        return _cut(text, length)
    raise FieldError(1204, "String length exceeds DDL length", length)


Convert = Callable[[str, TableColumn], str]
_CONVERTERS: dict[str, Convert] = {
    "smallint": _integer,
    "integer": _integer,
    "bigint": _integer,
    "real": _float,
    "double precision": _float,
    "boolean": _boolean,
    "date": _date,
    "time without time zone": _time,
}


def convert(value: Any, column: TableColumn, copy: Copy) -> str | None:
    """Turn one JSON value into text for its column; None is NULL.

    Raises FieldError for a value COPY refuses, and for NULL in a NOT NULL column.
    """
    try:
        result = None if value is None else _converted(value, column, copy)
    except FieldError as error:
        error.value = _as_text(value)
        raise
    if result is None and not column.nullable:
        raise FieldError(1213, "Missing data for not-null field")
    return result


def _converted(value: Any, column: TableColumn, copy: Copy) -> str | None:
    name = column.type.name
    if column.type.is_text:
        return _character(value, column, copy)
    if name == "super":
        return _as_json(value)
    text = _as_text(value).strip()
    if not text:
        return None  # empty and blank fields of other types are NULL
    _valid(text, copy)
    if name == "numeric":
        return _decimal(text, column, ROUND_HALF_UP if copy.round_decimals else ROUND_DOWN)
    if name.startswith("timestamp"):
        return _timestamp(text, column, copy.time_format)
    if name == "date" and copy.date_format not in ("", "auto", "YYYY-MM-DD"):
        raise not_emulated(f"DATEFORMAT '{copy.date_format}'")
    if name not in _CONVERTERS:
        raise not_emulated(f"COPY into {name}")
    return _CONVERTERS[name](text, column)
