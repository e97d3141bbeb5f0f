"""How the tables of two environments differ: columns first, then rows, then values.

Everything is compared by the engine, whole rows at a time, in spans of time that its memory holds.
As Redshift compares text, trailing blanks do not count there.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sparkify_dagster.loading.schema import HASH
from sparkify_dagster.loading.sharing import relations
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.statements import Keyword

SPAN_ROWS = 1_000_000  # of both sides, compared at a time
_NUMBERS = ("SMALLINT", "INTEGER", "BIGINT", "DOUBLE PRECISION")
_MOMENTS = {"TIMESTAMP NOT NULL", "DATE NOT NULL"}
_NO_COLUMNS = re.compile(r"[0-9a-f]{64}|")

Columns = dict[str, str]  # types by name, in order


@dataclass(frozen=True)
class Example:
    """A row or a value that differs."""

    key: dict[str, Any]
    column: str = ""  # empty: the whole row, which the other side lacks
    left: Any = None
    right: Any = None


@dataclass
class Difference:
    """How a table differs."""

    table: str  # schema.table
    schema: list[str] = field(default_factory=list)  # each change of its columns, in words
    columns: frozenset[str] = frozenset()  # of either side
    only_left: int = 0  # rows
    only_right: int = 0
    changed: int = 0  # rows that have the same key and other values
    values: dict[str, int] = field(default_factory=dict)  # that changed, by column
    examples: list[Example] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Return the number of rows that differ."""
        return self.only_left + self.only_right + self.changed


def compare(session: Session, left: str, right: str) -> list[Difference]:
    """Return how every table differs; each side is the prefix of its tables, as `production.`."""
    before, after = _read_columns(session, left), _read_columns(session, right)
    kinds = relations(session)
    known = [name for table in TABLES.values() for name in (table.qualified_name, *table.stored)]
    stored = {name for table in TABLES.values() for name in table.stored}
    found = []
    for name in sorted({*before, *after}, key=lambda n: (known.index(n) if n in known else 99, n)):
        if name not in before or name not in after:
            only = [f"only the {'second' if name in after else 'first'} side has it"]
            found.append(Difference(name, only, frozenset({**before, **after}[name])))
            continue
        # One side may not say it: a view that an older version made.
        sides = before[name] or after[name], after[name] or before[name]
        difference = Difference(name, _schema_changes(*sides), frozenset().union(*sides))
        is_shared = name in stored and kinds.get(name) == "VIEW" and "production." in (left, right)
        if not is_shared:
            _compare_rows(session, difference, *sides, left + name, right + name)
        found.append(difference)
    return found


def _read_columns(session: Session, side: str) -> dict[str, Columns]:
    """Return the columns of every table, as the ledger of a side has them."""
    rows = session.run(f"SELECT table_name, definition FROM {side}staging.ledger")  # noqa: S608
    there = relations(session, side)
    tables = {table.qualified_name: table for table in TABLES.values()}
    found = {}
    for name, definition in rows:
        if name not in there:
            continue  # dropped by hand
        text = definition.partition(HASH)[0]
        if not _NO_COLUMNS.fullmatch(text):
            found[name] = dict(column.split(" ", 1) for column in text.split(", "))
        elif name in tables:
            found[name] = {}
    return found


def _schema_changes(before: Columns, after: Columns) -> list[str]:
    changes = [f"{name} is gone" for name in before if name not in after]
    changes += [f"{name} {kind} is new" for name, kind in after.items() if name not in before]
    common = [name for name in before if name in after]
    changes += [
        f"{name} is {after[name]}, was {before[name]}"
        + ("" if _is_comparable(before[name], after[name]) else "; its values are not compared")
        for name in common
        if before[name] != after[name]
    ]
    if common != [name for name in after if name in before]:
        changes.append("the columns are in another order")
    return changes


def _is_comparable(before: str, after: str) -> bool:
    kinds = {kind.removesuffix(" NOT NULL").partition("(")[0] for kind in (before, after)}
    return len(kinds) == 1 or kinds <= set(_NUMBERS)


def _compare_rows(
    session: Session, found: Difference, before: Columns, after: Columns, left: str, right: str
) -> None:
    columns = [c for c in before if c in after and _is_comparable(before[c], after[c])]
    table = next((one for one in TABLES.values() if one.qualified_name == found.table), None)
    keys = list(table.key) if table and table.key and set(table.key) <= set(columns) else columns
    values = [column for column in columns if column not in keys]
    sides = {"left_side": Keyword(left), "right_side": Keyword(right)}
    places = {"columns": _listed(columns), "keys": _listed(keys)}
    session.execute("diff/begin", **places, **sides)
    span = next((c for c in columns if {before[c], after[c]} <= _MOMENTS), None)
    for within in _spans(session, span, left, right):
        session.execute("diff/find_differences", within=Keyword(within), **places, **sides)
    session.execute("diff/pair", selected=_listed([*keys, *map(_both, values)]), **places)
    (alone,) = session.query("diff/count_alone")
    found.only_left, found.only_right = int(alone["only_left"]), int(alone["only_right"])
    if found.only_left or found.only_right:
        for row in session.query("diff/show_alone", **places):
            key = {name: row[name] for name in keys}
            found.examples.append(Example(key, left=int(row["lefts"]), right=int(row["rights"])))
    if values:
        counts = _listed([f"SUM(CASE WHEN {_differs(c)} THEN 1 ELSE 0 END) AS {c}" for c in values])
        (changed,) = session.query("diff/count_changed", counts=counts)
        found.changed = int(changed.pop("changed_rows"))
        found.values = {name: int(count) for name, count in changed.items() if count}
    for name in found.values:
        shown = _listed([f"left_{name}", f"right_{name}"])
        differs = Keyword(_differs(name))
        for row in session.query("diff/show_changed", values=shown, differs=differs, **places):
            key = {one: row[one] for one in keys}
            found.examples.append(Example(key, name, row[f"left_{name}"], row[f"right_{name}"]))
    for temporary in ("differences", "pairs"):
        session.run(f"DROP TABLE {temporary}")


def _spans(session: Session, column: str | None, left: str, right: str) -> Iterator[str]:
    """Yield conditions that part the rows of both sides, so that equal rows stay together."""
    if column is None:
        yield "1 = 1"
        return
    rows = [
        session.run(f"SELECT MIN({column}), MAX({column}), COUNT(*) FROM {side}")[0]  # noqa: S608
        for side in (left, right)
    ]
    ends = [end for row in rows for end in row[:2] if end is not None]
    parts = 1 + sum(int(row[2]) for row in rows) // SPAN_ROWS if ends else 1
    cuts = {min(ends) + (max(ends) - min(ends)) * part / parts for part in range(1, parts)}
    bounds = [None, *sorted(cuts), None]
    for start, end in pairwise(bounds):
        conditions = [
            f"{column} {sign} CAST('{bound}' AS TIMESTAMP)"
            for sign, bound in ((">=", start), ("<", end))
            if bound is not None
        ]
        yield " AND ".join(conditions) or "1 = 1"


def _listed(columns: Sequence[str]) -> Keyword:
    return Keyword(", ".join(columns))


def _both(column: str) -> str:
    return ", ".join(
        f"MAX(CASE WHEN surplus {sign} 0 THEN {column} END) AS {side}_{column}"
        for sign, side in ((">", "left"), ("<", "right"))
    )


def _differs(column: str) -> str:
    left, right = f"left_{column}", f"right_{column}"
    same = f"{left} = {right} OR ({left} IS NULL AND {right} IS NULL)"
    return f"CASE WHEN {same} THEN 0 ELSE 1 END = 1"
