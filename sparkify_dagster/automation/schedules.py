"""The schedule: everything, every night."""

import dagster as dg

from sparkify_dagster.automation.jobs import sparkify_etl
from sparkify_dagster.settings import SettingError, Settings, load_settings


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
            default_status=(
                dg.DefaultScheduleStatus.RUNNING
                if settings.automation
                else dg.DefaultScheduleStatus.STOPPED
            ),
            description=(
                "Loads what is new or changed, also what a sensor has missed or a failed run left."
            ),
        )
    except dg.DagsterInvalidDefinitionError:
        raise SettingError(
            f"SPARKIFY_SCHEDULE_CRON={settings.schedule_cron!r}: allowed is a cron line of five "
            "fields (minute hour day month weekday) as '0 3 * * *'"
        ) from None


nightly = build_nightly(load_settings())
