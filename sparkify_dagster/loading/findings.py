"""What a failed check is about: the first rows or keys, and the query that finds them."""

from dataclasses import dataclass
from typing import Any

from sparkify_dagster.loading.ledger import EVERY_DAY, Span
from sparkify_dagster.table import Check, Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row, Session, WarehouseError
from sparkify_dagster.warehouse.statements import Keyword, read_statement, render

_LIMIT = "\nLIMIT 10"


@dataclass(frozen=True)
class Findings:
    """The first rows that break a rule; none where the check compares sums."""

    query: str  # finds all of them
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def look(session: Session, table: Table, span: Span) -> dict[str, int]:
    """Run the check query of a table over some days; return what each column of it says.

    Raises WarehouseError where one says NULL, which is neither yes nor no.
    """
    (found,) = session.query(
        f"{table.file}/check",
        first_day=span.first_day,
        last_day=span.last_day,
        least_rows=int(span is EVERY_DAY),
    )
    if unclear := [name for name, value in found.items() if value is None]:
        where = f"sql/{table.file}.sql, check: {', '.join(unclear)}"
        raise WarehouseError(f"{where} is NULL; COALESCE(..., 0) makes it a number")
    return {name: int(value) for name, value in found.items()}


def find(session: Session, table: Table, check: Check) -> Findings:
    """Return what a failed check is about.

    A section `check_<name>` of the table's file finds it; for keys and references, what the facts
    about the table say is enough.
    """
    section, places = _finder(table, check)
    if not section:
        return Findings(read_statement(f"{table.file}/check"))
    found = session.query(section, **places)
    query = render(read_statement(section), places).removesuffix(_LIMIT)
    rows = tuple(tuple(row.values()) for row in found)
    return Findings(query, tuple(found[0]) if found else (), rows)


def _finder(table: Table, check: Check) -> tuple[str | None, dict[str, Any]]:
    """Return the section that finds what a check is about, and what is filled in; None: no one."""
    if section := table.section(f"check_{check.name}"):
        return section, {}
    joins = {f"{own}_in_{other}": (own, TABLES[other]) for own, other in table.joins.items()}
    names = {"keys": ", ".join(table.key), "relation": table.qualified_name}
    section = None
    if check.name in ("unique_key", "key_not_null"):
        section = f"findings/{check.name}"
        names["columns"] = ", ".join(column.name for column in table.columns)
    elif check.name in joins:
        column, other = joins[check.name]
        section = "findings/reference"
        names |= {"reference": column, "other": other.qualified_name, "other_key": other.key[0]}
    return section, {place: Keyword(name) for place, name in names.items()}


def remedy(table: Table, check: Check) -> str:
    """Return what to do about a failed check."""
    rebuild = (
        f"`sparkify run --rebuild {table.name}`, or full_refresh: true in the config of "
        f"{table.name}"
    )
    if table.group == "staging" or check.name.endswith("_domain"):
        return (
            "The files have it so: correct them at the source and run again; if it is right, "
            f"allow it in sql/{table.file}.sql. If rows were changed by hand: {rebuild}."
        )
    return (
        f"Build the table anew: {rebuild}. If it fails again, the load in "
        f"sql/{table.file}.sql is at fault."
    )
