"""The schedules: everything every night, and pruning where it is wanted."""

from typing import Any

import dagster as dg

from sparkify_dagster.automation.jobs import sparkify_etl
from sparkify_dagster.settings import SettingError, Settings

PRUNING_CRON = "30 2 * * 0"  # Sundays, before the nightly run


def build_schedules(
    settings: Settings, prune_history: dg.JobDefinition
) -> list[dg.ScheduleDefinition]:
    """Return the schedules.

    Raises:
        SettingError: SPARKIFY_SCHEDULE_CRON is no cron line.
    """
    old = f"Deletes runs older than {settings.history_days} days."
    pruning = _schedule(settings, "prune_weekly", prune_history, PRUNING_CRON, old)
    return [build_nightly(settings), *([pruning] if settings.history_days else [])]


def build_nightly(settings: Settings) -> dg.ScheduleDefinition:
    """Return the schedule of the nightly run.

    Raises:
        SettingError: SPARKIFY_SCHEDULE_CRON is no cron line.
    """
    text = "Loads what is new or changed, also what a sensor has missed or a failed run left."
    try:
        return _schedule(settings, "nightly", sparkify_etl, settings.schedule_cron, text)
    except dg.DagsterInvalidDefinitionError:
        raise SettingError(
            f"SPARKIFY_SCHEDULE_CRON={settings.schedule_cron!r}: allowed is a cron line of five "
            "fields (minute hour day month weekday) as '0 3 * * *'"
        ) from None


def _schedule(
    settings: Settings, name: str, job: Any, cron: str, text: str
) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus["RUNNING" if settings.automation else "STOPPED"],
        description=text,
    )
