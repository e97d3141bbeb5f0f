"""The files that `sparkify docs` writes, and whether they are current."""

import json
from pathlib import Path

from sparkify_dagster.documentation.dictionary import render_dictionary
from sparkify_dagster.documentation.erd import render_erd
from sparkify_dagster.documentation.lineage import derive_lineage
from sparkify_dagster.lineage import LINEAGE_FILE
from sparkify_dagster.loading.version import VERSIONS_FILE, render_versions
from sparkify_dagster.warehouse.duckdb.dialect import TRANSLATIONS_FILE, render_translations

ROOT = Path(__file__).resolve().parent.parent.parent


def render_files() -> dict[Path, str]:
    """Return the text of every generated file, by path."""
    lineage = derive_lineage()
    return {
        TRANSLATIONS_FILE: render_translations(),
        VERSIONS_FILE: render_versions(),
        LINEAGE_FILE: json.dumps(lineage, indent=1) + "\n",
        ROOT / "docs" / "data_dictionary.md": render_dictionary(lineage),
        ROOT / "docs" / "erd.md": render_erd(),
    }


def outdated(files: dict[Path, str]) -> list[Path]:
    """Return the files that are missing or differ from what they should be."""
    return [
        path
        for path, text in files.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
