"""Freshness: what turns the UI red when a day is missing."""

import datetime as dt

import dagster as dg

from sparkify_dagster.settings import Settings

# A day, and some hours for a file or a run that is late.
WARN_AFTER = dt.timedelta(hours=26)
FAIL_AFTER = dt.timedelta(hours=36)


def daily_freshness(settings: Settings) -> dg.FreshnessPolicy | None:
    """Return the policy of what is due every day, or None where nothing is.

    Nothing is due as long as the automation is off, nor in a lake whose last day is over: a
    sample lake, or one with SPARKIFY_PARTITION_END. Its assets would be red for ever.
    """
    is_over = (
        settings.partition_end is not None
        and settings.partition_end < dt.datetime.now(dt.UTC).date()
    )
    if is_over or not settings.automation:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=FAIL_AFTER, warn_window=WARN_AFTER)
