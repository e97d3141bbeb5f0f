"""The SQL of COPY on DuckDB: copy.yaml, filled in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import OBJECT_BYTES, CopiedColumn
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


def places_of(column: CopiedColumn, **given: Any) -> dict[str, Any]:
    """Return what the rules of a column's type ask for; given are parts that are known already."""
    target = Keyword(RULES["types"][column.type]["target"])
    places = {"path": column.path, "limit": column.limit, "target": target, **given}
    for part, text in RULES["parts"].items():
        places.setdefault(part, filled(text, **places))
    return places


def faults_of(column: CopiedColumn, places: dict[str, Any]) -> dict[Keyword, str]:
    """Return by condition the faults that a column's value may have."""
    rules = RULES["types"][column.type]
    faults = {
        filled(condition, **places): str(filled(reason, **places))
        for reason, condition in rules["faults"].items()
    }
    if column.required:
        faults[filled(rules["missing"], **places)] = "a value is required"
    return faults


def take_rows(session: Session, found: Found, files: Sequence[str], rows: str) -> int:
    """Take rows on into the staging table: of a table and a test, with the number of their file.

    Return how many they are.
    """
    plan = found.plan
    columns = [f'"{column.name}"' for column in plan.columns]
    columns += [f"{literal(list(files))}[file + 1] AS source_file"] * plan.stamps_file
    session.run(
        f"CREATE TEMP VIEW {plan.statement.target} AS SELECT {', '.join(columns)} FROM {rows}"
    )
    count = session.execute(plan.step.insert)
    session.run(f"DROP VIEW {plan.statement.target}")
    found.rows += count
    return count


def take_keys(
    session: Session, found: Found, objects: str, shapes: Sequence[Sequence[str]] = ()
) -> None:
    """Take in which keys are new, and which are missing in how many objects of which file.

    `objects` is a query of the file's name, the number of a shape, or the keys where it is of none,
    and the count of such objects; those whose keys cannot be told have neither.
    """
    of_shape = Keyword(f"{literal(list(shapes))}[shape + 1]" if shapes else "NULL")
    known = found.plan.known_keys
    places = {"known": known, "of_shape": of_shape, "objects": Keyword(objects)}
    for name, key, count in session.run(filled(RULES["keys"], **places)):
        if key in known:
            found.add_lacking(name, key, int(count))
        else:
            found.unknown_keys.add(key)
