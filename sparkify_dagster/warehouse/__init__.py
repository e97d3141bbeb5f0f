"""The engines, DuckDB and Redshift, behind one small interface. Imports no Dagster."""
