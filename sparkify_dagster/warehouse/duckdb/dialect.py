"""From Redshift's dialect to DuckDB's: every difference of the two engines is settled here.

`sql/` keeps to a subset that means the same after this translation; a lint in the tests refuses
the rest.
"""

from functools import lru_cache

from sqlglot import exp, parse_one
from sqlglot.errors import ErrorLevel

# What Redshift does for speed or order and DuckDB has no use for.
_PHYSICAL = (
    exp.DistKeyProperty,
    exp.DistStyleProperty,
    exp.SortKeyProperty,
)
_NO_OPERATION = ("LOCK", "ANALYZE", "GRANT", "REVOKE")


@lru_cache(maxsize=512)
def translate(text: str) -> str:
    """Return a statement in DuckDB's dialect; empty where DuckDB has nothing to do.

    Raises:
        sqlglot.errors.SqlglotError: the statement cannot be parsed or has no equivalent.
    """
    words = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    if "\n".join(words).split(maxsplit=1)[0].upper() in _NO_OPERATION:
        return ""
    tree = parse_one(text, read="redshift")
    for physical in list(tree.find_all(*_PHYSICAL)):
        physical.pop()
    for node in tree.walk():
        node.comments = None
    return tree.sql("duckdb", unsupported_level=ErrorLevel.RAISE, pretty=True)
