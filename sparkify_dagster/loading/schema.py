"""Creating the tables and views, and noticing where their definition has changed."""

import hashlib
from collections.abc import Iterator

from sparkify_dagster.tables import (
    BOOKKEEPING,
    TABLES,
    VIEWS,
    Column,
    Table,
    read_columns,
)
from sparkify_dagster.warehouse.base import Session, WarehouseError
from sparkify_dagster.warehouse.statements import read_statement


def prepare(session: Session) -> None:
    """Create or migrate what is missing.

    Raises:
        WarehouseError: a table differs from its definition in a way that needs a decision.
    """
    session.execute("bookkeeping/table_versions/create")
    existing = {
        row["table_name"]: row["column_list"] for row in session.query("bookkeeping/versions")
    }
    migrated = False
    for statement in _create_statements():
        migrated |= _prepare_table(session, statement, existing)
    for view in VIEWS:
        _prepare_view(session, view, existing, replace=migrated)


def reset(session: Session) -> None:
    """Drop all tables and views of the platform, whatever their state, and create them anew."""
    for view in reversed(VIEWS):
        session.run(f"DROP VIEW IF EXISTS {created_name(view)} CASCADE")
    for statement in (*_create_statements(), "bookkeeping/table_versions/create"):
        session.run(f"DROP TABLE IF EXISTS {created_name(statement)} CASCADE")
    prepare(session)


def load_version(table: Table, rules: str = "") -> str:
    """Return a hash of all SQL, and of further rules, that decide what a table holds."""
    texts = [read_statement(name) for name in table.all_statements]
    texts += [read_statement(view) for view in VIEWS]
    return hashlib.sha256("\n".join([*texts, rules]).encode()).hexdigest()


def is_current(session: Session, table: Table, rules: str = "") -> bool:
    """Tell whether a table was last built with the SQL and, besides it, the `rules` as now."""
    versions = {
        row["table_name"]: row["load_version"] for row in session.query("bookkeeping/versions")
    }
    return bool(versions.get(table.qualified_name) == load_version(table, rules))


def mark_current(session: Session, table: Table, rules: str = "") -> None:
    """Remember that a table has been built with the SQL and the `rules` as they are now."""
    session.execute(
        "bookkeeping/mark_current",
        table_name=table.qualified_name,
        load_version=load_version(table, rules),
    )


def created_name(statement: str) -> str:
    """Return the schema and name of what a CREATE statement creates."""
    words = read_statement(statement).replace("(", " ").split()
    return next(word for word in words if word.startswith(("staging.", "analytics.")))


def _create_statements() -> Iterator[str]:
    for name in BOOKKEEPING:
        if name != "table_versions":
            yield f"bookkeeping/{name}/create"
    for table in TABLES.values():
        yield f"{table.folder}/create"
        yield from (f"{helper}/create" for helper in table.helpers)


def _prepare_table(session: Session, statement: str, existing: dict[str, str]) -> bool:
    """Create a table, or add its new columns; tell whether columns were added."""
    name = created_name(statement)
    columns = read_columns(statement)
    wanted = _column_list(columns)
    if existing.get(name) == wanted:
        return False
    if name not in existing:
        session.execute(statement)
        _record_version(session, name, wanted)
        return False
    added = _added_columns(existing[name], columns)
    if added is None:
        raise WarehouseError(
            f"{name}: sql/{statement}.sql has changed in a way that cannot be applied to the "
            f"existing table.\n  warehouse: {existing[name]}\n  sql/: {wanted}\n"
            "Run the job reset_warehouse, which drops and recreates all tables, then sparkify_etl."
        )
    for column in added:
        session.run(f"ALTER TABLE {name} ADD COLUMN {column.name} {column.type}")
    _record_version(session, name, wanted)
    return True


def _prepare_view(session: Session, view: str, existing: dict[str, str], replace: bool) -> None:
    name = created_name(view)
    wanted = hashlib.sha256(read_statement(view).encode()).hexdigest()
    if existing.get(name) == wanted and not replace:
        return
    if name in existing:
        # Redshift replaces a view only by one with the same columns.
        session.run(f"DROP VIEW IF EXISTS {name}")
    session.execute(view)
    _record_version(session, name, wanted)


def _record_version(session: Session, name: str, wanted: str) -> None:
    """Write down what a table or view now is; its next load is a full one."""
    session.execute("bookkeeping/forget_version", table_name=name)
    session.insert("staging.table_versions", ("table_name", "column_list"), [(name, wanted)])


def _column_list(columns: tuple[Column, ...]) -> str:
    return ", ".join(
        f"{column.name} {column.type}{' NOT NULL' * column.required}" for column in columns
    )


def _added_columns(existing: str, columns: tuple[Column, ...]) -> tuple[Column, ...] | None:
    """Return the columns added at the end that may be NULL; None where more has changed."""
    for count in range(len(columns)):
        if _column_list(columns[:count]) == existing:
            added = columns[count:]
            return None if any(column.required for column in added) else added
    return None
