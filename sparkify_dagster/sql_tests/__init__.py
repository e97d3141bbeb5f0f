"""The tests of `sql/` that are data: `sql/tests/<table>.yaml`. Imports no Dagster."""
