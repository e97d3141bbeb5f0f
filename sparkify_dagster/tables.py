"""The tables, by the facts that tables.yaml says of them, and the checks that loads tell."""

from pathlib import Path
from typing import Any

import yaml

from sparkify_dagster.table import Table

_FILE_CHECKS = {
    "known_keys": "The files read hold no key that the table does not know.",
    "all_lines_loaded": "No line was left out (SPARKIFY_COPY_MAX_ERRORS allows some).",
    "removed_files": "The load took out no rows that it did not put back.",
    "known_names": "The lake holds no name that looks like data and is none.",
}
# Told by the load of a staging table itself, not by a query; each is a warning.
LOAD_CHECKS = {
    "staging_events": {
        **_FILE_CHECKS,
        "newest_day_is_recent": (
            "The newest day is at most two days old. A lake without a file for more than 30 days "
            "has ended: nothing is due."
        ),
        "usual_volume": (
            "The days just loaded and the newest seven have about as many events as their weekday "
            "had in the eight weeks before."
        ),
    },
    "staging_songs": _FILE_CHECKS,
}


def _table(name: str, facts: dict[str, Any]) -> Table:
    """Return a table from its entry in tables.yaml."""
    lists = {
        fact: tuple(said.items() if isinstance(said, dict) else said)
        for fact, said in facts.items()
        if isinstance(said, dict | list)
    }
    return Table(name, **facts | lists)


# In an order in which each table comes after those it depends on. Read by the parser in C, as all
# commands begin with it.
_FACTS = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
TABLES: dict[str, Table] = {
    name: _table(name, facts) for name, facts in yaml.load(_FACTS, yaml.CSafeLoader).items()
}
STAGING_EVENTS, STAGING_SONGS = TABLES["staging_events"], TABLES["staging_songs"]
USERS = TABLES["users"]


def in_group(group: str) -> list[Table]:
    """Return the tables of one group, in order."""
    return [table for table in TABLES.values() if table.group == group]


def readers(name: str) -> list[Table]:
    """Return the tables that are built from a table."""
    return [table for table in TABLES.values() if name in table.built_from]
