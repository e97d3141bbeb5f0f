"""The version of a table: what decides its rows, so that a change of it builds the table anew.

It is a hash of the syntax trees of the table's SQL and of the views that this reads. Comments,
blank space, what only speeds things up and what only looks (checks, the report) have no part in it.
Parsing takes long, so `sparkify docs` keeps the versions in a file; where the SQL has changed
since, the version is worked out on the spot.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.statements import read_statement, read_statements, section_names

VERSIONS_FILE = Path(__file__).with_name("versions.json")

_ONLY_LOOKS = re.compile(r".*/(check|report)(_\w+)?$")
_COMMENT = re.compile(r"--[^\n]*")


def views() -> tuple[str, ...]:
    """Return the statements that create views, each after those it reads."""
    return (
        *section_names("views"),
        *(table.create for table in TABLES.values() if table.is_view),
    )


def read_version(table: Table, rules: str = "") -> str:
    """Return the version of a table, of its SQL and of further `rules`."""
    texts = decisive_statements(table)
    kept = _kept().get(table.name, {})
    of_sql = kept["version"] if kept.get("sha256") == _hash(texts) else _hash_of_trees(texts)
    return _hash((of_sql, rules)) if rules else of_sql


def render_versions() -> str:
    """Return what VERSIONS_FILE has to hold."""
    found = {}
    for table in TABLES.values():
        texts = decisive_statements(table)
        found[table.name] = {"sha256": _hash(texts), "version": _hash_of_trees(texts)}
    return json.dumps(found, indent=1) + "\n"


def decisive_statements(table: Table) -> tuple[str, ...]:
    """Return the statements that decide what the table holds."""
    names = [name for name in section_names(table.file) if not _ONLY_LOOKS.match(name)]
    texts = tuple(text for name in names for text in read_statements(name))
    return _with_views(texts, tuple((created_name(v), read_statement(v)) for v in views()))


@cache
def _with_views(texts: tuple[str, ...], views: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    found = list(texts)
    # A view reads only those before it.
    for name, text in reversed(views):
        pattern = rf"\b{re.escape(name)}\b"
        if text not in found and any(re.search(pattern, other) for other in found):
            found.append(text)
    return tuple(found)


@cache
def _hash_of_trees(texts: tuple[str, ...]) -> str:
    return _hash(tuple(normalised(text) for text in texts))


def normalised(text: str, pretty: bool = False) -> str:
    """Return a statement as its syntax tree is written; empty where it decides nothing."""
    from sqlglot import exp, parse_one

    bare = " ".join(_COMMENT.sub("", text).split())
    if bare.startswith("ANALYZE"):
        return ""
    if bare.startswith("COPY"):
        return bare
    tree = parse_one(text, read="redshift")
    physical = (exp.DistKeyProperty, exp.DistStyleProperty, exp.SortKeyProperty)
    for found in list(tree.find_all(*physical)):
        found.pop()
    return tree.sql("redshift", comments=False, pretty=pretty)


def _hash(texts: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(text for text in texts if text).encode()).hexdigest()


@cache
def _kept() -> Any:
    return json.loads(VERSIONS_FILE.read_text("utf-8")) if VERSIONS_FILE.exists() else {}
