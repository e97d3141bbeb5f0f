"""Charts of the analytics tables, for the UI and for the report page. Imports no Dagster."""

from pathlib import Path

from sparkify_dagster.settings import Settings


def report_path(settings: Settings) -> Path:
    """Return where the report is written: beside the warehouse file, or where that would be."""
    name = ".".join(filter(None, ("listening_report", settings.environment, "html")))
    return settings.duckdb_path.parent.resolve() / name
