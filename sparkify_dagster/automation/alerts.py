"""Alerts: a failed run is told to a webhook, as Slack and its likes take them."""

import http.client
import json
import re
import urllib.error
import urllib.request
from typing import Any

import dagster as dg

from sparkify_dagster.settings import Settings

TIMEOUT = 10  # seconds
LONGEST_LINE = 300  # characters of an error

_CLASS_PATH = re.compile(r"^(?:\w+\.)+(?=\w+: )")


class AlertError(Exception):
    """A webhook did not take a message. Never says which address: that is a secret."""


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensor that posts failed runs, or none where SPARKIFY_ALERT_WEBHOOK is not set.

    It sees the runs that Dagster launched; one started from a shell shows its failure there.
    """
    webhook = settings.alert_webhook
    if webhook is None:
        return []

    @dg.run_failure_sensor(
        name="alert_on_failure",
        minimum_interval_seconds=30,
        default_status=(
            dg.DefaultSensorStatus.RUNNING
            if settings.automation
            else dg.DefaultSensorStatus.STOPPED
        ),
        description="Posts every failed run to the webhook SPARKIFY_ALERT_WEBHOOK.",
    )
    def alert_on_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        try:
            post(webhook, describe_failure(context, settings.ui_url))
        except AlertError as error:
            message = f"Run {context.dagster_run.run_id} failed, and no alert was sent: {error}"
            context.log.error(message)
            return dg.SkipReason(message)
        return None

    return [alert_on_failure]


def describe_failure(context: dg.RunFailureSensorContext, ui_url: str | None) -> str:
    """Return what people are told of a failed run: job, run, failed steps, errors, link."""
    run = context.dagster_run
    lines = [f"{run.job_name} failed in run {run.run_id}"]
    failures = context.get_step_failure_events()
    for event in failures:
        lines.append(f"{event.step_key}: {first_error_line(event)}")
    if not failures:
        lines.append(_shortened(context.failure_event.message or "No step failed."))
    if ui_url:
        lines.append(f"{ui_url}/runs/{run.run_id}")
    return "\n".join(lines)


def first_error_line(event: dg.DagsterEvent) -> str:
    """Return the first line of the error that made a step fail."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return _shortened(failure.user_failure_data.description)
    error = failure.error
    if error is None:
        return _shortened(event.message or "")
    if error.cause and error.cls_name == dg.DagsterExecutionStepExecutionError.__name__:
        # Dagster's own wrapping says no more than the name of the step.
        error = error.cause
    return _shortened(_CLASS_PATH.sub("", error.message))


def post(url: str, text: str) -> None:
    """Post a text to a webhook.

    Raises:
        AlertError: it was not taken.
    """
    # Slack's rule for text: https://docs.slack.dev/messaging/formatting-message-text
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    problem = None
    try:
        request = urllib.request.Request(
            url,
            json.dumps({"text": escaped}).encode(),
            {"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
            pass
    except urllib.error.HTTPError as error:
        problem = f"the webhook answered with HTTP {error.code}"
        error.close()
    except TimeoutError:
        problem = f"the webhook did not answer within {TIMEOUT} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            problem = f"the webhook could not be reached within {TIMEOUT} s"
        else:
            # Texts of these errors may quote the address.
            problem = f"the webhook could not be reached ({type(reason).__name__})"
    if problem:
        # Raised out here, as a traceback would show the first error along with this one.
        raise AlertError(problem)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to follow: a redirected POST becomes a GET, which delivers nothing."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _shortened(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()] or [""]
    # Dagster names what a failed check found on the line after.
    first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return first if len(first) <= LONGEST_LINE else first[: LONGEST_LINE - 1] + "…"
