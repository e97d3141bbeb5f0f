"""The SQL files: finding, reading and filling them in.

`sql/` is written once, in Redshift's dialect. A file holds what belongs together, in sections
headed `-- name: load` (aiosql's heading), whose statements end with `;`. A statement's name is its
file and section, as `star/songplays/load`. `:name` is what a run fills in; `:name(column)` is a
fragment of `sql/fragments.sql`, put in when the file is read. A section that does not exist is a
KeyError, as is a place without a value.
"""

import datetime as dt
import re
from functools import cache
from pathlib import Path
from typing import Any

from sparkify_dagster.settings import PRODUCTION

_PACKAGE = Path(__file__).resolve().parent.parent
# An installed package carries the SQL inside; a checkout has it beside the package.
SQL_ROOT = _PACKAGE / "sql" if (_PACKAGE / "sql").is_dir() else _PACKAGE.parent / "sql"

_FRAGMENTS = "fragments"
_HEADING = re.compile(r"^-- name: (\w+)(?:\((\w+)\))?\n", re.MULTILINE)
_FRAGMENT = re.compile(
    r"^(?P<indent> *)(?P<before>.*?):(?P<name>[a-z_]+)\((?P<column>[\w.]*)\)", re.M
)
_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z_]+)\b")
# What a word may stand in without being one of the statement's.
_OTHER = r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|\"[^\"]*\""
# A schema before a table, perhaps with an environment before it; or one that is made.
_SCHEMA = re.compile(
    rf"(?<![\w.])(?:(?P<environment>\w+)\.)?(?P<quote>\"?)(?P<schema>staging|analytics)(?P=quote)"
    rf"(?=\s*\.)|(?<=\bSCHEMA IF NOT EXISTS )(?P<made>staging|analytics)\b|{_OTHER}",
    re.DOTALL | re.IGNORECASE,
)
_VIEW = re.compile(r"(?:--[^\n]*\n|\s)*CREATE VIEW\b", re.IGNORECASE)
# What a `;` may stand in without ending a statement, or what ends one.
_LEXEME = re.compile(rf"{_OTHER}|;", re.DOTALL)


class Keyword(str):
    """A word of SQL, which is filled in without quotes."""


def read_statements(name: str) -> tuple[str, ...]:
    """Return the statements of a section, in order, each with its comments and without its `;`."""
    file, _, section = name.rpartition("/")
    return _sections(file)[section]


def read_statement(name: str) -> str:
    """Return the only statement of a section; several are a ValueError."""
    (statement,) = read_statements(name)
    return statement


def section_names(file: str) -> tuple[str, ...]:
    """Return the names of all statements of `sql/<file>.sql`, in order."""
    return tuple(f"{file}/{section}" for section in _sections(file))


def has_section(name: str) -> bool:
    """Tell whether there is a section of this name."""
    file, _, section = name.rpartition("/")
    return section in _sections(file)


def statement_names() -> list[str]:
    """Return the names of all sections of all files."""
    paths = (path.relative_to(SQL_ROOT).with_suffix("") for path in SQL_ROOT.rglob("*.sql"))
    files = sorted(path.as_posix() for path in paths)
    return [name for file in files if file != _FRAGMENTS for name in section_names(file)]


def render(text: str, parameters: dict[str, Any]) -> str:
    """Fill in the `:name` places of a statement as literals of Redshift's dialect."""
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
        case dt.date():
            return f"'{value}'"
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
        case tuple():
            return ", ".join(map(literal, value))
    raise TypeError(f"no SQL literal for {type(value).__name__}")


def schema_of(schema: str, environment: str) -> str:
    """Return the name that an environment's schema has where it lies beside production's."""
    alone = environment in ("", PRODUCTION)
    return schema.lower() if alone else f"{schema.lower()}_{environment}"


def placed(text: str, environment: str) -> str:
    """Put an environment's schemas into a statement; in production's nothing is to be put.

    `production.staging.songs` names another environment's table. Views look only when they are
    asked, as production may exchange what they read: Redshift would refuse it a DROP.
    """
    if not environment:
        return text

    def put(match: re.Match[str]) -> str:
        if schema := match["schema"] or match["made"]:
            return schema_of(schema, match["environment"] or environment)
        return match[0]

    return _SCHEMA.sub(put, text) + "\nWITH NO SCHEMA BINDING" * bool(_VIEW.match(text))


def split(text: str) -> tuple[str, ...]:
    """Return the statements of a text that `;` ends; one in a comment or a literal ends none."""
    ends = [match.start() for match in _LEXEME.finditer(text) if match[0] == ";"]
    parts = (
        text[start:end] for start, end in zip([0, *(end + 1 for end in ends)], ends, strict=False)
    )
    return tuple(part.strip() for part in parts)


def clear() -> None:
    """Forget what was read, for tests that change files."""
    _sections.cache_clear()
    _fragments.cache_clear()


@cache
def _sections(file: str) -> dict[str, tuple[str, ...]]:
    return {name: split(_put_in(body)) for name, _, body in _bodies(file)}


@cache
def _fragments() -> dict[str, tuple[str, str]]:
    """Return the place and the text of each fragment, by name."""
    return {name: (place, split(body)[0]) for name, place, body in _bodies(_FRAGMENTS)}


def _bodies(file: str) -> list[tuple[str, str, str]]:
    text = (SQL_ROOT / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = _HEADING.split(text)
    return list(zip(parts[::3], (place or "" for place in parts[1::3]), parts[2::3], strict=True))


def _put_in(text: str) -> str:
    """Expand the fragments, indented as the line that asks for them."""

    def expand(match: re.Match[str]) -> str:
        place, fragment = _fragments()[match["name"]]
        filled = fragment.replace(f":{place}", match["column"]) if place else fragment
        return match["indent"] + match["before"] + filled.replace("\n", "\n" + match["indent"])

    return _FRAGMENT.sub(expand, text)
