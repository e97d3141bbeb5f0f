"""The data dictionary as one HTML page: lineage drawn, checks, the last run's figures, search."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

from sparkify_dagster.documentation.files import GROUPS, weight
from sparkify_dagster.lineage import read_lineage
from sparkify_dagster.table import Table
from sparkify_dagster.tables import LOAD_CHECKS, TABLES, in_group

_PAGE = Path(__file__).with_name("page.html")

Results = Mapping[tuple[str, str], str]  # by table and check


def render_page(state: str, figures: Mapping[str, str], results: Results) -> str:
    """Return the page, which needs no network.

    `state` says what the figures are of, `figures` is a line about each table, by name.
    """
    tables, lineage = TABLES.values(), read_lineage()
    data = {
        "state": state,
        "layers": _layers(),
        "lineage": {f"{t}.{name}": made for t in TABLES for name, made in lineage[t].items()},
        "tables": [_table(table, figures.get(table.name, ""), results) for table in tables],
    }
    # Within a script, nothing may look like its end.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(data=text)


def _layers() -> list[list[tuple[str, list[str]]]]:
    lake: dict[str, dict[str, None]] = {}
    for table in in_group("staging"):
        for sources in read_lineage()[table.name].values():
            for source in sources:
                folder, _, key = source.partition(".")
                lake.setdefault(folder, {})[key] = None
    tables = [
        [(table.name, [column.name for column in table.columns]) for table in in_group(group)]
        for group in GROUPS
    ]
    return [[(folder, list(keys)) for folder, keys in lake.items()], *tables]


def _table(table: Table, figures: str, results: Results) -> dict[str, object]:
    facts = [figures] * bool(figures) + [f"Key: {', '.join(table.key)}"] * bool(table.key)
    facts.append(f"Built from: {', '.join(table.depends_on)}")
    checks = [(check.name, weight(check), check.description) for check in table.checks]
    checks += [(name, "warning", text) for name, text in LOAD_CHECKS.get(table.name, {}).items()]
    return {
        "name": table.qualified_name,
        "summary": table.summary,
        "facts": facts,
        "columns": [
            (
                column.name,
                column.type + " NOT NULL" * column.required,
                column.description,
                ", ".join(read_lineage()[table.name][column.name]),
            )
            for column in table.columns
        ],
        "checks": [(*check, results.get((table.name, check[0]), "")) for check in checks],
    }
