"""Which columns each column is made from, as `sparkify docs` read it off the SQL.

Kept in a file, as reading it off takes a parser of half a second.
"""

import json
from functools import cache
from pathlib import Path

Lineage = dict[str, dict[str, list[str]]]  # table, column, sources as "table.column"

LINEAGE_FILE = Path(__file__).with_name("lineage.json")


@cache
def read_lineage() -> Lineage:
    """Return the sources of every column of every table."""
    found: Lineage = json.loads(LINEAGE_FILE.read_text(encoding="utf-8"))
    return found
