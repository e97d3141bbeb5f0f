"""The entity-relationship diagram of the tables that people query, in mermaid."""

from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.columns import Column

_INTRODUCTION = """# How the tables join

Made by `sparkify docs` from the facts about the tables: change those, not this file. PK marks the
columns of a table's key, FK those that hold another table's key. The columns are explained in the
[data dictionary](data_dictionary.md).
"""


def render_erd() -> str:
    """Return the diagram, as a markdown page."""
    tables = [table for table in TABLES.values() if table.group != "staging"]
    lines = [line for table in tables for line in _entity(table)]
    lines += [line for table in tables for line in _relations(table)]
    body = "\n".join(f"    {line}" for line in lines)
    return f"{_INTRODUCTION}\n```mermaid\nerDiagram\n{body}\n```\n"


def _entity(table: Table) -> list[str]:
    columns = [
        f"    {_type(column)} {column.name}{_marks(table, column)}" for column in table.columns
    ]
    return [f"{table.name} {{", *columns, "}"]


def _type(column: Column) -> str:
    return column.type.replace(" ", "_")


def _marks(table: Table, column: Column) -> str:
    foreign = column.name in {name for name, _ in table.joins}
    marks = ["PK"] * (column.name in table.key) + ["FK"] * foreign
    return f" {', '.join(marks)}" if marks else ""


def _relations(table: Table) -> list[str]:
    """Return a line for each join; a column that may be NULL joins one row or none."""
    required = {column.name for column in table.columns if column.required}
    return [
        f"{table.name} }}o--{'||' if column in required else 'o|'} {other} : {column}"
        for column, other in table.joins
    ]
