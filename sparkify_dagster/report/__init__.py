"""Charts of the analytics tables, for the UI and for the report page. Imports no Dagster."""
