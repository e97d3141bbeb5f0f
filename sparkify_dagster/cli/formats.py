"""Rows of a query as text: for eyes, for spreadsheets, for programs."""

import datetime as dt
import json
import math
from collections.abc import Container, Sequence
from decimal import Decimal
from typing import Any

import click

from sparkify_dagster.text import printable
from sparkify_dagster.warehouse.base import Row

Rows = Sequence[Row]


def aligned(lines: Sequence[Sequence[str]], numbers: Container[int], gap: str = " ") -> str:
    """Return cells in columns, those at the positions of numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    places = [f"{{:{'>' if at in numbers else ''}{width}}}" for at, width in enumerate(widths)]
    return "".join(f"{gap.join(places)}\n".format(*line) for line in lines)


def as_table(columns: Sequence[str], rows: Rows) -> str:
    """Return rows in aligned columns, numbers to the right, NULL by name."""
    lines = [[printable(_text(value, null="NULL")) for value in row] for row in (columns, *rows)]
    numbers = {at for row in rows for at, value in enumerate(row) if _is_number(value)}
    return aligned(lines, numbers) + "(no rows)\n" * (not rows)


def as_csv(columns: Sequence[str], rows: Rows) -> str:
    """Return rows as CSV with a header; NULL is empty, empty text is ""."""
    # The csv module does not tell NULL and empty text apart.
    lines = [",".join(_quoted(name) for name in columns)]
    lines += [",".join(_quoted(_text(value), value == "") for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def as_json(columns: Sequence[str], rows: Rows) -> str:
    """Return rows as a JSON array of objects; decimals keep all their digits.

    Raises:
        click.ClickException: two columns share a name, of which an object could keep one.
    """
    if len(set(columns)) < len(columns):
        raise click.ClickException("two columns have the same name; name them apart with AS")
    values = [
        [f"{_json(n)}: {_json(v)}" for n, v in zip(columns, row, strict=True)] for row in rows
    ]
    return "[" + ",\n ".join(f"{{{', '.join(row)}}}" for row in values) + "]\n"


FORMATS = {"table": as_table, "csv": as_csv, "json": as_json}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _text(value: Any, null: str = "") -> str:
    match value:
        case None:
            return null
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case dt.datetime():
            text = value.isoformat(sep=" ")
            return text.rstrip("0") if "." in text and value.tzinfo is None else text
        case bytes():
            return value.hex()
    return str(value)


def _quoted(text: str, always: bool = False) -> str:
    if always or any(letter in text for letter in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _json(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return _text(value)
    text = json.dumps(_text(value), ensure_ascii=False)
    # Beyond what JSON itself asks for: a terminal heeds some of these, too.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
