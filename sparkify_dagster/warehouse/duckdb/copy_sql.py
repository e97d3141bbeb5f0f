"""The SQL of COPY on DuckDB: copy.yaml, filled in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import OBJECT_BYTES
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


def take_rows(session: Session, found: Found, files: Sequence[str], rows: str) -> None:
    """Take rows on into the staging table: of a table and a test, with the number of their file."""
    plan = found.plan
    columns = [f'"{column.name}"' for column in plan.columns]
    columns += [f"{literal(list(files))}[file + 1] AS source_file"] * plan.stamps_file
    session.run(
        f"CREATE TEMP VIEW {plan.statement.target} AS SELECT {', '.join(columns)} FROM {rows}"
    )
    found.rows += session.execute(plan.step.insert)
    session.run(f"DROP VIEW {plan.statement.target}")


def take_keys(
    session: Session, found: Found, objects: str, shapes: Sequence[Sequence[str]] = ()
) -> None:
    """Take in which keys are new, and which are missing in how many objects of which file.

    `objects` is a query of the file's name and, for each object, the number of its shape, or its
    keys where it is of none; an object whose keys cannot be told has neither.
    """
    of_shape = Keyword(f"{literal(list(shapes))}[shape + 1]" if shapes else "NULL")
    known = found.plan.known_keys
    places = {"known": known, "of_shape": of_shape, "objects": Keyword(objects)}
    for name, key, count in session.run(filled(RULES["keys"], **places)):
        if key in known:
            found.add_lacking(name, key, int(count))
        else:
            found.unknown_keys.add(key)
