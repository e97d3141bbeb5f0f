"""The SQL of COPY on DuckDB: copy.yaml, filled in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import OBJECT_BYTES, Plan
from sparkify_dagster.warehouse.duckdb.dialect import fill_in, literal
from sparkify_dagster.warehouse.statements import Keyword

RULES = yaml.load(
    Path(__file__).with_name("copy.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
)
SEPARATOR = "\x01"  # not allowed in JSON text
_EVERYWHERE = {
    "object_bytes": OBJECT_BYTES,
    "separator": SEPARATOR,
    # Milliseconds since 1970 of the moments that Python's datetime can say as well.
    "first_moment": -62_135_596_800_000,
    "last_moment": 253_402_300_799_999,
}


def filled(text: str, /, **places: Any) -> Keyword:
    """Return a text of RULES with its places filled in."""
    return Keyword(fill_in(text, _EVERYWHERE | places))


def stamped(plan: Plan, files: Sequence[str]) -> str:
    """Return the columns of the landing table, of rows that have the number of their file."""
    columns = ", ".join(f'"{column.name}"' for column in plan.columns)
    stamp = f", {literal(list(files))}[file + 1] AS source_file"
    return columns + stamp * plan.stamps_file


def take_keys(
    session: Session, plan: Plan, objects: str, shapes: Sequence[Sequence[str]], found: Found
) -> None:
    """Take in which keys are new, and which are missing in how many objects of which file.

    `objects` is a query of the file's name and, for each object, the number of its shape, or its
    keys where it is of none; an object whose keys cannot be told has neither.
    """
    of_shape = Keyword(f"{literal(list(shapes))}[shape + 1]" if shapes else "NULL")
    places = {"known": plan.known_keys, "of_shape": of_shape, "objects": Keyword(objects)}
    for name, key, count in session.run(filled(RULES["keys"], **places)):
        if key in plan.known_keys:
            found.add_lacking(name, key, int(count))
        else:
            found.unknown_keys.add(key)
