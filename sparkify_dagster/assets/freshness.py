"""Freshness: what turns the UI red when a day is missing."""

import datetime as dt
import json
from pathlib import Path

import dagster as dg

from sparkify_dagster.lake.base import SAMPLE_MARKER
from sparkify_dagster.settings import Settings

# A day, and some hours for a file or a run that is late.
WARN_AFTER = dt.timedelta(hours=26)
FAIL_AFTER = dt.timedelta(hours=36)


def daily_freshness(settings: Settings) -> dg.FreshnessPolicy | None:
    """Return the policy of log_data, or None where no day is due.

    None is as long as the automation is off, nor in a sample lake whose last day is over: it would
    be red for ever.
    """
    end = sample_end(settings.lake)
    is_over = end is not None and end < dt.datetime.now(dt.UTC).date()
    if is_over or not settings.automation:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=FAIL_AFTER, warn_window=WARN_AFTER)


def sample_end(lake: str) -> dt.date | None:
    """Return the last day of a sample lake, which says it itself; None of any other."""
    marker = Path(lake) / SAMPLE_MARKER
    if "://" in lake or not marker.is_file():
        return None
    try:
        return dt.date.fromisoformat(json.loads(marker.read_bytes())["end"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # another's file of that name
