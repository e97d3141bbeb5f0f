"""The tables, by the facts that tables.yaml says of them."""

from pathlib import Path
from typing import Any

import yaml

from sparkify_dagster.table import Table


def _table(name: str, facts: dict[str, Any]) -> Table:
    """Return a table from its entry in tables.yaml."""
    lists = {
        fact: tuple(said.items() if isinstance(said, dict) else said)
        for fact, said in facts.items()
        if isinstance(said, dict | list)
    }
    return Table(name, **facts | lists)


# By the parser in C, as all commands begin with it.
_FACTS = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
TABLES: dict[str, Table] = {
    name: _table(name, facts) for name, facts in yaml.load(_FACTS, yaml.CSafeLoader).items()
}
LOAD_CHECKS = {
    table.name: dict(table.load_checks) for table in TABLES.values() if table.load_checks
}
STAGING_EVENTS, STAGING_SONGS = TABLES["staging_events"], TABLES["staging_songs"]
USERS = TABLES["users"]

# Tables of analytics that there are no more: name, and the day they went.
DROPPED: dict[str, str] = {}


def in_group(group: str) -> list[Table]:
    """Return the tables of one group, in order."""
    return [table for table in TABLES.values() if table.group == group]


def readers(name: str) -> list[Table]:
    """Return the tables that are built from a table."""
    return [table for table in TABLES.values() if name in table.built_from]
