"""The lake: finding and reading the source files, local or S3. Imports no Dagster."""

from sparkify_dagster.lake.base import Lake
from sparkify_dagster.lake.local import LocalLake


def open_lake(location: str) -> Lake:
    """Return the lake at `location`: a local folder, or s3://bucket/prefix."""
    return LocalLake(location)
