"""Which columns each column is made from, as `sparkify docs` read it off the SQL.

Kept in a file, as reading it off takes a parser of half a second.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

Lineage = dict[str, dict[str, list[str]]]  # table, column, sources as "table.column"

LINEAGE_FILE = Path(__file__).with_name("lineage.json")


@cache
def read_lineage() -> Lineage:
    """Return the sources of every column of every table."""
    return json.loads(LINEAGE_FILE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def made_with(columns: Iterable[str]) -> list[str]:
    """Return all that columns ("table.column") have a part in, directly or not; not themselves.

    The numbers of checks and of the report count as columns of `table/check`, `table/report`.
    """
    readers = defaultdict(list)
    for column, sources in _sources().items():
        for source in sources:
            readers[source].append(column)
    return _reach(columns, readers)


def made_from(columns: Iterable[str]) -> list[str]:
    """Return all columns that columns are made from, directly or not, back to the lake's keys."""
    return _reach(columns, _sources())


def _sources() -> dict[str, list[str]]:
    return {
        f"{table}.{column}": sources
        for table, columns in read_lineage().items()
        for column, sources in columns.items()
    }


def _reach(columns: Iterable[str], edges: Mapping[str, list[str]]) -> list[str]:
    found = dict.fromkeys(columns)
    started, waiting = len(found), [*found]
    for column in waiting:  # which grows meanwhile
        new = [other for other in dict.fromkeys(edges.get(column, ())) if other not in found]
        found |= dict.fromkeys(new)
        waiting += new
    return list(found)[started:]
