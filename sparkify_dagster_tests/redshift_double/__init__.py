"""A wire-level double of Amazon Redshift, for tests with the unmodified driver."""

from .faults import Fault
from .meter import Counts, Latency
from .server import RedshiftDouble
from .session import Statement

__all__ = ["Counts", "Fault", "Latency", "RedshiftDouble", "Statement"]
