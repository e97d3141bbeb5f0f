"""What a failed check is about: the first rows or keys, and the query that finds them."""

from dataclasses import dataclass

from sparkify_dagster.loading.ledger import EVERY_DAY, Span
from sparkify_dagster.table import Check, Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Row, Session, WarehouseError
from sparkify_dagster.warehouse.statements import read_statement

SHOWN_ROWS = 10
_LIMIT = f"\nLIMIT {SHOWN_ROWS}"


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
    if section := table.section(f"check_{check.name}"):
        found = session.query(section)
        query = read_statement(section).removesuffix(_LIMIT)
        rows = tuple(tuple(row.values()) for row in found)
        return Findings(query, tuple(found[0]) if found else (), rows)
    columns, query = _generic(table, check)
    if not columns:
        return Findings(read_statement(f"{table.file}/check"))
    return Findings(query, columns, tuple(session.run(query + _LIMIT)))


def remedy(table: Table, check: Check) -> str:
    """Return what to do about a failed check."""
    if table.group == "staging" or check.name.endswith("_domain"):
        return (
            "The files have it so: correct them at the source and run again; if it is right, "
            f"allow it in sql/{table.file}.sql. If rows were changed by hand: {_rebuild(table)}."
        )
    return (
        f"Build the table anew: {_rebuild(table)}. If it fails again, the load in "
        f"sql/{table.file}.sql is at fault."
    )


def _rebuild(table: Table) -> str:
    return (
        f"`sparkify run --rebuild {table.name}`, or full_refresh: true in the config of "
        f"{table.name}"
    )


def _generic(table: Table, check: Check) -> tuple[tuple[str, ...], str]:
    """Return the columns and the query for a check of a key or a reference."""
    name, keys = table.qualified_name, ", ".join(table.key)
    if check.name == "unique_key":
        query = (
            f"SELECT {keys}, COUNT(*) AS copies\nFROM {name}\nGROUP BY {keys}\n"
            f"HAVING COUNT(*) > 1\nORDER BY {keys}"
        )
        return (*table.key, "copies"), query
    if check.name == "key_not_null":
        columns = tuple(column.name for column in table.columns)
        query = f"SELECT {', '.join(columns)}\nFROM {name}\nWHERE {keys} IS NULL"
        return columns, query
    for column, other in table.joins:
        if check.name == f"{column}_in_{other}":
            target, key = TABLES[other], TABLES[other].key[0]
            query = (
                f"SELECT {keys}, {column}\nFROM {name}\nWHERE {column} IS NOT NULL\n"  # noqa: S608
                f"    AND {column} NOT IN (SELECT {key} FROM {target.qualified_name} "
                f"WHERE {key} IS NOT NULL)\n"
                f"ORDER BY {keys}"
            )
            return (*table.key, column), query
    return (), ""
