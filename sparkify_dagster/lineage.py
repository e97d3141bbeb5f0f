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
    found: Lineage = json.loads(LINEAGE_FILE.read_text(encoding="utf-8"))
    return found


def made_with(columns: Iterable[str]) -> list[str]:
    """Return all that columns ("table.column") have a part in, directly or not; not themselves.

    The numbers of checks and of the report count as columns of `table/check`, `table/report`.
    """
    readers = defaultdict(list)
    for table, found in read_lineage().items():
        for column, sources in found.items():
            for source in sources:
                readers[source].append(f"{table}.{column}")
    return _reach(columns, readers)


def made_from(columns: Iterable[str]) -> list[str]:
    """Return all columns that columns are made from, directly or not, back to the lake's keys."""
    sources = {
        f"{table}.{column}": found
        for table, columns_of in read_lineage().items()
        for column, found in columns_of.items()
    }
    return _reach(columns, sources)


def _reach(columns: Iterable[str], edges: Mapping[str, list[str]]) -> list[str]:
    started = list(columns)
    found = dict.fromkeys(started)
    waiting = [*started]
    while waiting:
        for other in edges.get(waiting.pop(0), ()):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return list(found)[len(set(started)) :]
