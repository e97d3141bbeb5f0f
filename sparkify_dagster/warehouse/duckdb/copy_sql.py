"""The SQL that both ways of COPY on DuckDB share."""

from collections.abc import Sequence

from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import Plan
from sparkify_dagster.warehouse.duckdb.dialect import literal


def names(values: Sequence[str]) -> str:
    """Return texts as a list of DuckDB's dialect."""
    return "[" + ", ".join(literal(value) for value in values) + "]"


def stamped(plan: Plan, files: Sequence[str]) -> str:
    """Return the columns of the landing table, of rows that have the number of their file."""
    columns = ", ".join(f'"{column.name}"' for column in plan.columns)
    return columns + (f", {names(files)}[file + 1] AS source_file" if plan.stamps_file else "")


def take_keys(
    session: Session, plan: Plan, objects: str, shapes: Sequence[Sequence[str]], found: Found
) -> None:
    """Take in which keys are new, and which are missing in how many objects of which file.

    `objects` is a query of the file's name and, for each object, the number of its shape, or its
    keys where it is of none; an object whose keys cannot be told has neither.
    """
    known = names(plan.known_keys)
    of_shape = f"[{', '.join(map(names, shapes))}][shape + 1]" if shapes else "NULL"
    rows = session.run(
        "SELECT name, key, sum(count) FROM (SELECT name, count, unnest("
        f"list_filter({known}, lambda key : NOT list_contains(all_keys, key)) || "
        f"list_filter(all_keys, lambda key : NOT list_contains({known}, key))) AS key "
        f"FROM (SELECT name, count, COALESCE(keys, {of_shape}) AS all_keys "
        # Objects are many, kinds of them few.
        f"FROM (SELECT name, shape, keys, count(*) AS count FROM ({objects}) GROUP BY ALL)) "
        "WHERE all_keys IS NOT NULL) GROUP BY ALL"
    )
    for name, key, count in rows:
        if key in plan.known_keys:
            found.add_lacking(name, key, int(count))
        else:
            found.unknown_keys.add(key)
