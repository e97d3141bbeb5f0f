"""The embedded engine: runs Redshift's SQL on DuckDB, COPY included."""
