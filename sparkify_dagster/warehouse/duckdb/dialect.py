"""From Redshift's dialect to DuckDB's: every difference of the two engines is settled here.

`sql/` keeps to a subset that means the same after this translation; a lint in the tests refuses
the rest. `sparkify docs` keeps the translations in a file, as making them takes a tenth of a run's
time; a statement that has changed since is translated on the spot.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from sparkify_dagster.warehouse import statements
from sparkify_dagster.warehouse.statements import Keyword, read_statements, statement_names

TRANSLATIONS_FILE = Path(__file__).with_name("translations.json")

_NO_OPERATION = ("LOCK", "ANALYZE", "GRANT", "REVOKE")
# COPY is carried out statement by statement, the others are Redshift's own.
_NOT_TRANSLATED = re.compile(r"redshift/|access/|.*/copy$")
_PLACE = re.compile(r"\$([a-z_]+)\b")


def translated(name: str) -> tuple[str, ...]:
    """Return the statements of a section in DuckDB's dialect, `$name` where a run fills in."""
    return _translated(name, read_statements(name))


@cache
def _translated(name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    kept = _kept_translations().get(name, {})
    if kept.get("sha256") == _digest(texts):
        return tuple(kept["duckdb"])
    return tuple(translate(text) for text in texts)


def translate(text: str) -> str:
    """Return a statement in DuckDB's dialect; empty where DuckDB has nothing to do.

    Raises:
        sqlglot.errors.SqlglotError: the statement cannot be parsed or has no equivalent.
    """
    # A run seldom needs the translator, which takes long to import.
    from sqlglot import exp, parse_one
    from sqlglot.errors import ErrorLevel

    words = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    if "\n".join(words).split(maxsplit=1)[0].upper() in _NO_OPERATION:
        return ""
    tree = parse_one(text, read="redshift")
    # What Redshift does for speed or order and DuckDB has no use for.
    physical = (exp.DistKeyProperty, exp.DistStyleProperty, exp.SortKeyProperty)
    for found in list(tree.find_all(*physical)):
        found.pop()
    # Few texts end with a blank: to look costs a tenth of DuckDB's RTRIM.
    for trim in list(tree.find_all(exp.Trim)):
        if trim.args.get("position") == "TRAILING":
            ends = exp.func("ENDS_WITH", trim.this.copy(), trim.expression.copy(), dialect="duckdb")
            trim.replace(exp.Case(default=trim.this.copy()).when(ends, trim.copy()))
    for node in tree.walk():
        node.comments = None
    return tree.sql("duckdb", unsupported_level=ErrorLevel.RAISE, pretty=True)


def fill_in(text: str, parameters: dict[str, Any]) -> str:
    """Fill in the `$name` places of a translated statement as literals of DuckDB's dialect."""
    return _PLACE.sub(lambda match: literal(parameters[match[1]]), text)


def literal(value: Any) -> str:
    """Return a value as a literal of DuckDB's dialect (in text, a backslash is a letter)."""
    if isinstance(value, tuple | list):
        items = ", ".join(map(literal, value))
        return items if isinstance(value, tuple) else f"[{items}]"
    if isinstance(value, str) and not isinstance(value, Keyword):
        return "'" + value.replace("'", "''") + "'"
    return statements.literal(value)


def render_translations() -> str:
    """Return what TRANSLATIONS_FILE has to hold."""
    found = {}
    for name in statement_names():
        if not _NOT_TRANSLATED.match(name):
            texts = read_statements(name)
            found[name] = {"sha256": _digest(texts), "duckdb": [translate(text) for text in texts]}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


@cache
def _kept_translations() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(TRANSLATIONS_FILE.read_text(encoding="utf-8"))
    return found


def _digest(texts: tuple[str, ...]) -> str:
    return hashlib.sha256(";\n".join(texts).encode()).hexdigest()
