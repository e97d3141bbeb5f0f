"""The schedules: everything every night, and pruning where it is wanted."""

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
    pruning = dg.ScheduleDefinition(
        name="prune_weekly",
        job=prune_history,
        cron_schedule=PRUNING_CRON,
        execution_timezone=settings.timezone,
        default_status=_status(settings),
        description=f"Deletes runs older than {settings.history_days} days.",
    )
    return [build_nightly(settings), *([pruning] if settings.history_days else [])]


def build_nightly(settings: Settings) -> dg.ScheduleDefinition:
    """Return the schedule of the nightly run.

    Raises:
        SettingError: SPARKIFY_SCHEDULE_CRON is no cron line.
    """
    try:
        return dg.ScheduleDefinition(
            name="nightly",
            job=sparkify_etl,
            cron_schedule=settings.schedule_cron,
            execution_timezone=settings.timezone,
            default_status=_status(settings),
            description=(
                "Loads what is new or changed, also what a sensor has missed or a failed run left."
            ),
        )
    except dg.DagsterInvalidDefinitionError:
        raise SettingError(
            f"SPARKIFY_SCHEDULE_CRON={settings.schedule_cron!r}: allowed is a cron line of five "
            "fields (minute hour day month weekday) as '0 3 * * *'"
        ) from None


def _status(settings: Settings) -> dg.DefaultScheduleStatus:
    running, stopped = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    return running if settings.automation else stopped
