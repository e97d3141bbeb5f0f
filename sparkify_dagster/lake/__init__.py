"""Finding and reading the source files, local or S3. Imports no Dagster."""
