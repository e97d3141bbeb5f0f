"""Finding and reading the source files, local or S3. Imports no Dagster."""

import os

from sparkify_dagster.lake.base import Lake, LakeError
from sparkify_dagster.lake.local import LocalLake


def open_lake(location: str) -> Lake:
    """Return the lake in a local folder or at s3://bucket/prefix; nothing is read yet.

    Raises:
        LakeError: the location is of another form.
    """
    if location.startswith("s3://"):
        # boto3 takes 0.3 s to import.
        from sparkify_dagster.lake.s3 import S3Lake

        return S3Lake(location)
    if "://" in location:
        raise LakeError(
            f"SPARKIFY_LAKE={location!r}: allowed are a local folder or s3://bucket/prefix"
        )
    # Errors name it as whoever reads them finds it.
    return LocalLake(os.path.abspath(location))
