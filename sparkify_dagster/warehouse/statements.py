"""The SQL files: finding, reading and filling them in.

`sql/` is written once, in Redshift's dialect, one statement a file, with `:name` for what a run
fills in. A folder's numbered files are the steps of one transaction, in that order.
"""

import datetime as dt
import re
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent.parent
# An installed package carries the SQL inside; a checkout has it beside the package.
SQL_ROOT = _PACKAGE / "sql" if (_PACKAGE / "sql").is_dir() else _PACKAGE.parent / "sql"

_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


class Keyword(str):
    """A word of SQL, which is filled in without quotes."""


@cache
def read_statement(name: str) -> str:
    """Return the text of `sql/<name>.sql`."""
    return (SQL_ROOT / f"{name}.sql").read_text(encoding="utf-8").strip()


def statement_names() -> list[str]:
    """Return the names of all statements."""
    paths = (path.relative_to(SQL_ROOT).with_suffix("") for path in SQL_ROOT.rglob("*.sql"))
    return sorted(path.as_posix() for path in paths)


@cache
def folder_statements(name: str) -> tuple[str, ...]:
    """Return the names of the statements of one folder, in the order of their numbers."""
    folder = SQL_ROOT / name
    paths = sorted(folder.glob("*.sql"), key=lambda path: int(path.name.split("_")[0]))
    return tuple(f"{name}/{path.stem}" for path in paths)


def has_statement(name: str) -> bool:
    """Tell whether `sql/<name>.sql` exists."""
    return (SQL_ROOT / f"{name}.sql").is_file()


def render(text: str, parameters: dict[str, Any]) -> str:
    """Fill in the `:name` places of a statement as literals of Redshift's dialect.

    Raises:
        KeyError: a name has no value.
    """
    return _PLACEHOLDER.sub(lambda match: literal(parameters[match[1]]), text)


def literal(value: Any) -> str:
    """Return a value as a literal of Redshift's dialect (in text, a backslash escapes)."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | Keyword():
            return str(value)
        case dt.datetime():
            return f"'{value:%Y-%m-%d %H:%M:%S.%f}'"
        case dt.date():
            return f"'{value.isoformat()}'"
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    raise TypeError(f"no SQL literal for {type(value).__name__}")
