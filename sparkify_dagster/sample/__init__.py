"""Sample lakes: invented events and songs in the layout of the real ones. Imports no Dagster."""

from sparkify_dagster.sample.lake import Outcome, read_marker, write_sample_lake
from sparkify_dagster.sample.spec import SampleDataError, SampleSpec, users_for

__all__ = [
    "Outcome",
    "SampleDataError",
    "SampleSpec",
    "read_marker",
    "users_for",
    "write_sample_lake",
]
