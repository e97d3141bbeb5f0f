"""The files that `sparkify docs` writes, and whether they are current."""

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from sparkify_dagster.documentation.contracts import (
    CONTRACTS_FILE,
    agree_contracts,
    describe_changes,
    read_contracts,
)
from sparkify_dagster.documentation.lineage import derive_lineage
from sparkify_dagster.lineage import LINEAGE_FILE
from sparkify_dagster.loading.schema import bookkeeping
from sparkify_dagster.loading.version import VERSIONS_FILE, render_versions
from sparkify_dagster.table import Check
from sparkify_dagster.tables import DROPPED, LOAD_CHECKS, TABLES
from sparkify_dagster.warehouse.columns import created_name, read_columns
from sparkify_dagster.warehouse.duckdb.dialect import TRANSLATIONS_FILE, render_translations
from sparkify_dagster.warehouse.statements import read_statement, section_names

ROOT = Path(__file__).resolve().parent.parent.parent
GROUPS = {
    "staging": "The lake's files as rows",
    "star": "The star schema",
    "analytics": "The analysts' questions",
}


def render_files() -> dict[Path, str]:
    """Return the text of every generated file, by path.

    Raises:
        ContractError: a table of analytics has changed in a way that is not declared.
    """
    contracts = agree_contracts(TABLES.values(), read_contracts(), DROPPED)
    lineage = derive_lineage()
    helpers = [helper for table in TABLES.values() for helper in table.helpers]
    facts = {
        "tables": TABLES,
        "groups": GROUPS,
        "lineage": lineage,
        "load_checks": LOAD_CHECKS,
        "weight": weight,
        "changes": {name: list(describe_changes(found)) for name, found in contracts.items()},
        "views": [_made(view) for view in section_names("views")],
        "bookkeeping": [
            _made(name) for name in sorted((*bookkeeping(), *helpers), key=created_name)
        ],
    }
    return {
        TRANSLATIONS_FILE: render_translations(),
        VERSIONS_FILE: render_versions(),
        CONTRACTS_FILE: json.dumps(contracts, indent=1) + "\n",
        LINEAGE_FILE: json.dumps(lineage, indent=1) + "\n",
        ROOT / "docs" / "data_dictionary.md": _render("data_dictionary.md", facts),
        ROOT / "docs" / "erd.md": _render("erd.md", facts),
    }


def weight(check: Check) -> str:
    """Return what happens where a check fails."""
    is_blocking = check.severity == "blocking"
    return "error, stops what lies downstream" if is_blocking else check.severity


def outdated(files: dict[Path, str]) -> list[Path]:
    """Return the files that are missing or differ from what they should be."""
    return [
        path
        for path, text in files.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def _render(name: str, facts: dict[str, Any]) -> str:
    source = Path(__file__).with_name(f"{name}.jinja").read_text(encoding="utf-8")
    template = Template(source, undefined=StrictUndefined, keep_trailing_newline=True)
    text: str = template.render(facts)
    return text


def _made(statement: str) -> dict[str, Any]:
    """Return name, columns and opening comment of what a CREATE statement makes."""
    text = read_statement(statement)
    comment = takewhile(lambda line: line.startswith("--"), text.splitlines())
    return {
        "name": created_name(statement),
        "columns": read_columns(statement),
        "comment": " ".join(line.removeprefix("--").strip() for line in comment),
    }
