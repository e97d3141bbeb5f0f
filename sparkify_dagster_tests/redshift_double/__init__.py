"""A wire-level double of Amazon Redshift, for tests with the unmodified driver."""

from .faults import Fault
from .server import RedshiftDouble
from .session import Statement

__all__ = ["Fault", "RedshiftDouble", "Statement"]
