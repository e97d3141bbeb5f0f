"""The tables, by the facts that tables.yaml says of them."""

from pathlib import Path

import yaml

from sparkify_dagster.table import Table

# By the parser in C, as all commands begin with it.
_FACTS = yaml.load(Path(__file__).with_suffix(".yaml").read_text("utf-8"), yaml.CSafeLoader)
TABLES: dict[str, Table] = {name: Table(name, **facts) for name, facts in _FACTS.items()}
LOAD_CHECKS = {table.name: table.load_checks for table in TABLES.values() if table.load_checks}
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
