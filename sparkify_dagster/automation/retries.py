"""The sensor that asks again for what failed for a transient reason: a lock, a lost connection."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from sparkify_dagster.automation.jobs import sparkify_etl
from sparkify_dagster.automation.sensors import sensor_status
from sparkify_dagster.presentation import TRANSIENT_TAG
from sparkify_dagster.settings import Settings

PAUSES = (5 * 60, 15 * 60, 45 * 60)  # seconds after the failure, before each further try
ATTEMPT_TAG = "sparkify/retry"
RETRIED_TAG = "sparkify/retry_of"


def build_retry_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor."""

    @dg.sensor(
        name="retry_transient_failures",
        job=sparkify_etl,
        minimum_interval_seconds=60,
        default_status=sensor_status(settings),
        description=(
            "Asks again for a run that failed for a transient reason (a lock, a paused cluster, a "
            "lost connection): after 5, 15 and 45 minutes. Errors in data or settings it leaves."
        ),
    )
    def retry_transient_failures(
        context: dg.SensorEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        latest = context.instance.get_run_records(dg.RunsFilter(job_name=sparkify_etl.name), 1)
        if not latest:
            return dg.SkipReason("No run so far.")
        return decide(latest[0], time.time())

    return retry_transient_failures


def decide(latest: dg.RunRecord, now: float) -> dg.RunRequest | dg.SkipReason:
    """Return the request for the latest run once more, or why there is none.

    The key is made of the failed run: however often this is asked, it is requested once.
    """
    run = latest.dagster_run
    if run.status != dg.DagsterRunStatus.FAILURE:
        return dg.SkipReason(f"The latest run has not failed: {run.run_id}.")
    if TRANSIENT_TAG not in run.tags:
        return dg.SkipReason(f"Run {run.run_id} failed for a reason that stays: see its error.")
    attempt = int(run.tags.get(ATTEMPT_TAG, "0"))
    if attempt >= len(PAUSES):
        return dg.SkipReason(f"Run {run.run_id} was the last of {attempt} further tries.")
    left = (latest.end_time or now) + PAUSES[attempt] - now
    if left > 0:
        return dg.SkipReason(f"Run {run.run_id} is asked for again in {left:.0f} s.")
    return dg.RunRequest(
        run_key=f"retry-{run.run_id}",
        run_config=_unconfirmed(run.run_config),
        tags={ATTEMPT_TAG: str(attempt + 1), RETRIED_TAG: run.run_id},
    )


def _unconfirmed(config: Any) -> Any:
    """Return a run config that confirms no removals: the lake may lack more by now."""
    if not isinstance(config, Mapping):
        return config
    return {
        name: _unconfirmed(value) for name, value in config.items() if name != "accept_removals"
    }
