"""What an environment shares with production: views, until a table of its own is needed.

A shared table's entry in the ledger is production's, counted as `environments/production` says.
Where production has moved on, all that the environment has built from it starts afresh.
"""

from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.loading.ledger import Entry, Ledger, read_entry, read_ledger
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.columns import created_name, definition, read_columns

# What a run keeps of all tables.
RELATIONS, LAKES, REJECTS = ("relations", ""), ("lakes", ""), ("rejects", "")
MARK = "staging.environment"  # the table that only an environment has


def relations(session: Session, side: str = "") -> dict[str, str]:
    """Return the types of the tables and views that are there, by schema.table."""
    names = session.whereabouts(side)
    plain = dict(zip(names["schemas"], ("analytics", "staging"), strict=True))
    return {
        f"{plain[row['table_schema']]}.{row['table_name']}": row["table_type"]
        for row in session.query("bookkeeping/relations", **names)
    }


def list_events(session: Session, lake: Lake) -> list[SourceFile]:
    """Return the event files of the lake; in an environment of some days, of these days."""
    listed, first = lake.list_events(), None
    if session.environment:
        first = session.query("environments/describe")[0]["first_day"]
    return [file for file in listed if not first or (file.day and file.day >= first)]


def share(session: Session) -> None:
    """Make views of production's tables, of those that are defined there as they are here."""
    production = read_production(session)
    defined = {name: entry.definition for name, entry in production.items()}
    for table in TABLES.values():
        wanted = {created_name(name): definition(read_columns(name)) for name in table.creates}
        if wanted.items() <= defined.items():
            for statement in table.creates:
                name, columns = created_name(statement), _columns(statement)
                session.run(f"CREATE VIEW {name} AS SELECT {columns} FROM production.{name}")  # noqa: S608


def follow(session: Session, existing: dict[str, str]) -> Ledger:
    """Return the environment's ledger; entries of shared tables are brought to production's."""
    ledger = read_ledger(session)
    views = {name for name, kind in existing.items() if kind == "VIEW"}
    ledger.shared = {name for table in TABLES.values() for name in table.stored} & views
    if not ledger.shared:
        return ledger
    production, moved = read_production(session), set()
    for table in TABLES.values():
        if views.issuperset(table.stored):
            for name in {table.qualified_name, *table.stored} & production.keys():
                ours = ledger.entries.get(name)
                # Without rows of its own, a table is the environment's own once it has an entry.
                if not ours or (table.stored and ours.load_id != production[name].load_id):
                    moved.add(name)
    if moved:
        session.execute("environments/follow", names=tuple(sorted(moved)))
        for key in [key for key in session.kept if key[1] or key in (REJECTS, LAKES)]:
            del session.kept[key]
        ledger.entries |= {name: production[name] for name in moved}
    return ledger


def take_over(session: Session, ledger: Ledger, table: Table, with_rows: bool) -> None:
    """Make a shared table the environment's own, before its rows are changed."""
    for statement in table.creates:
        name = created_name(statement)
        if name in ledger.shared:
            ledger.shared.remove(name)
            session.kept.pop(RELATIONS, None)
            session.run(f"DROP VIEW {name}")
            session.execute(statement)
            if with_rows:
                columns = _columns(statement)
                session.run(
                    f"INSERT INTO {name} ({columns}) SELECT {columns} FROM production.{name}"  # noqa: S608
                )


def read_production(session: Session) -> dict[str, Entry]:
    """Return production's ledger, counted as the environment counts."""
    rows = session.query("environments/production")
    return {row["table_name"]: read_entry(row) for row in rows}


def _columns(statement: str) -> str:
    return ", ".join(column.name for column in read_columns(statement))
