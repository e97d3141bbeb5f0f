"""Alerts: failed runs and checks are told to a webhook, as Slack and its likes take them."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from html import escape, unescape
from typing import Any

import dagster as dg

from sparkify_dagster.automation.sensors import sensor_status
from sparkify_dagster.settings import Settings
from sparkify_dagster.text import printable

TIMEOUT = 10  # seconds
# Seconds before each further try; Dagster gives a sensor 60 s.
PAUSES: tuple[float, ...] = (2, 5)
LONGEST_LINE = 300  # characters of an error

_CLASS_PATH = re.compile(r"^(?:\w+\.)+(?=\w+: )")


class AlertError(Exception):
    """A webhook did not take a message. Never says which address: that is a secret."""


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensors that post to SPARKIFY_ALERT_WEBHOOK, or none where it is not set.

    They see the runs that Dagster launched; one started from a shell shows its failure there.
    """
    webhook = settings.alert_webhook
    if webhook is None:
        return []
    common: dict[str, Any] = {
        "minimum_interval_seconds": 30,
        "default_status": sensor_status(settings),
    }

    def send(context: dg.RunStatusSensorContext, lines: list[str]) -> dg.SkipReason | None:
        run_id = context.dagster_run.run_id
        link = [f"{settings.ui_url}/runs/{run_id}"] if settings.ui_url else []
        try:
            post(webhook, "\n".join([*lines, *link]))
        except AlertError as error:
            message = f"Run {run_id}: no alert was sent: {error}"
            context.log.error(message)
            return dg.SkipReason(message)
        return None

    @dg.run_failure_sensor(
        description="Posts every failed run to the webhook SPARKIFY_ALERT_WEBHOOK.", **common
    )
    def alert_on_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        return send(context, _failure_lines(context))

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        description=(
            "Posts the checks of severity ERROR that failed in a run which succeeded, as they do "
            "not block it, to the webhook SPARKIFY_ALERT_WEBHOOK."
        ),
        **common,
    )
    def alert_on_failed_checks(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        run = context.dagster_run
        lines = _failed_check_lines(context.instance, run.run_id)
        if not lines:
            return dg.SkipReason(f"No check failed in run {run.run_id}.")
        head = f"{run.job_name} succeeded with failed checks in run {run.run_id}"
        return send(context, [head, *lines])

    return [alert_on_failure, alert_on_failed_checks]


def _failure_lines(context: dg.RunFailureSensorContext) -> list[str]:
    """Return what people are told of a failed run: job, run, failed steps, errors, checks."""
    run, failures = context.dagster_run, context.get_step_failure_events()
    return [
        f"{run.job_name} failed in run {run.run_id}",
        *(f"{event.step_key}: {_first_error_line(event)}" for event in failures),
        *([] if failures else [_shortened(context.failure_event.message or "No step failed.")]),
        *_failed_check_lines(context.instance, run.run_id),
    ]


def _failed_check_lines(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return a line for each check of severity ERROR that failed in a run."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [
        event.dagster_event.asset_check_evaluation_data for event in events if event.dagster_event
    ]
    return [
        _shortened(
            f"{check.asset_key.to_user_string()}: check {check.check_name} failed. "
            # Written for the UI, which reads markdown.
            f"{' '.join(unescape(check.description or '').split())}".rstrip()
        )
        for check in found
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]


def _first_error_line(event: dg.DagsterEvent) -> str:
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
    """Post a text to a webhook; again after a pause where it says that it cannot take it now.

    Raises:
        AlertError: it was not taken.
    """
    # Slack's rule for text: https://docs.slack.dev/messaging/formatting-message-text
    escaped = escape(text, quote=False)
    # Others that take Slack's messages would fetch a picture; this ends every link's mark.
    escaped = escaped.replace("](", "] (")
    for pause in (*PAUSES, None):
        problem, passes = _try_to_post(url, escaped)
        if not problem:
            return
        if not passes or pause is None:
            # Raised out here, as a traceback would show the first error along with this one.
            raise AlertError(problem)
        time.sleep(pause)


def _try_to_post(url: str, text: str) -> tuple[str, bool]:
    """Return what went wrong, if anything, and whether it may pass."""
    try:
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
            return "", False
    except urllib.error.HTTPError as error:
        error.close()
        passes = error.code == http.HTTPStatus.TOO_MANY_REQUESTS or error.code >= 500
        return f"the webhook answered with HTTP {error.code}", passes
    except TimeoutError:
        return f"the webhook did not answer within {TIMEOUT} s", False
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            return f"the webhook could not be reached within {TIMEOUT} s", False
        # Texts of these errors may quote the address.
        return f"the webhook could not be reached ({type(reason).__name__})", False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to follow: a redirected POST becomes a GET, which delivers nothing."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _shortened(message: str) -> str:
    lines = [line for line in message.splitlines() if line.strip()] or [""]
    first = _cut(lines[0])
    # Dagster names what a failed check found on the line after, a load its first bad line.
    if len(lines) > 1 and (first.endswith(":") or lines[1].startswith("  ")):
        return f"{first} {_cut(lines[1])}"
    return first


def _cut(line: str) -> str:
    line = printable(line.strip())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
