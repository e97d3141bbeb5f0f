"""The data dictionary: every table with its columns, lineage and checks, as markdown."""

from sparkify_dagster.lineage import Lineage
from sparkify_dagster.loading.schema import bookkeeping
from sparkify_dagster.table import Check, Table
from sparkify_dagster.tables import LOAD_CHECKS, TABLES, in_group
from sparkify_dagster.warehouse.columns import Column, created_name, read_columns
from sparkify_dagster.warehouse.statements import read_statement, section_names

_INTRODUCTION = """# Data dictionary

Made by `sparkify docs` from `sql/` and the facts about the tables: change those, not this file.
The [diagram](erd.md) shows how the tables join.

Types are Redshift's; a length counts bytes. All times and days are UTC. "Made from" tells the
columns that a value is computed from, not those that decide which row is taken; a count of rows
comes from the key of the rows counted, and `$path` is the path of the file. Keys are not declared
in the database, which would trust them without looking; the checks look.
"""

_GROUPS = {
    "staging": "The lake's files as rows",
    "star": "The star schema",
    "analytics": "The analysts' questions",
}


def render_dictionary(lineage: Lineage) -> str:
    """Return the data dictionary."""
    parts = [_INTRODUCTION, _contents()]
    for group, heading in _GROUPS.items():
        parts.append(f"## {heading}\n")
        parts += [_table(table, lineage[table.name]) for table in in_group(group)]
    parts.append(_views())
    parts.append("## Bookkeeping\n\nFor the loads themselves; subject to change.\n")
    helpers = [helper for table in TABLES.values() for helper in table.helpers]
    parts += [_bookkeeping(name) for name in sorted((*bookkeeping(), *helpers), key=created_name)]
    return "\n".join(parts)


def _contents() -> str:
    rows = [
        f"| [{table.qualified_name}](#{_anchor(table.qualified_name)}) | {table.summary} |"
        for table in TABLES.values()
    ]
    return "\n".join(["| table | what it is |", "|---|---|", *rows, ""])


def _anchor(heading: str) -> str:
    return heading.replace(".", "")


def _table(table: Table, lineage: dict[str, list[str]]) -> str:
    facts = [f"- Built from: {_names(table.depends_on)}"]
    if table.key:
        facts.insert(0, f"- Key: {_names(table.key)}")
    facts += [f"- `{column}` joins `{other}`" for column, other in table.joins]
    head = ["| column | type | | meaning | made from |", "|---|---|---|---|---|"]
    columns = [
        f"| `{column.name}` | {column.type} | {_required(column)} | {column.description} "
        f"| {_names(lineage[column.name])} |"
        for column in table.columns
    ]
    return "\n".join(
        [
            f"### {table.qualified_name}",
            "",
            table.summary,
            "",
            *facts,
            "",
            *head,
            *columns,
            "",
            *_checks(table),
            "",
        ]
    )


def _checks(table: Table) -> list[str]:
    rows = [f"| {check.name} | {_weight(check)} | {check.description} |" for check in table.checks]
    checks = LOAD_CHECKS.get(table.name, {})
    rows += [f"| {name} | warning | {text} |" for name, text in checks.items()]
    return ["| check | if it fails | what has to hold |", "|---|---|---|", *rows]


def _weight(check: Check) -> str:
    is_blocking = check.severity == "blocking"
    return "error, stops what lies downstream" if is_blocking else check.severity


def _required(column: Column) -> str:
    return "not null" if column.required else ""


def _views() -> str:
    rows = [f"| `{created_name(view)}` | {_comment(view)} |" for view in section_names("views")]
    return "\n".join(["## Views\n", "| view | what it is |", "|---|---|", *rows, ""])


def _bookkeeping(statement: str) -> str:
    rows = [
        f"| `{column.name}` | {column.type} | {_required(column)} | {column.description} |"
        for column in read_columns(statement)
    ]
    head = ["| column | type | | meaning |", "|---|---|---|---|"]
    return "\n".join(
        [f"### {created_name(statement)}", "", _comment(statement), "", *head, *rows, ""]
    )


def _comment(statement: str) -> str:
    """Return the comment that a statement begins with."""
    lines = []
    for line in read_statement(statement).splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
