"""The stack in CloudFormation: what would change, carrying it out, following it, deleting it."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import click
from click import ClickException

from sparkify_dagster.infra.options import TEMPLATE

Change = dict[str, Any]
POLL_SECONDS = 5.0
_PATIENCE = 24  # polls for events of the operation that was asked for, then the state counts
_STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
_REVIEW = "REVIEW_IN_PROGRESS"  # a name with a change set, and nothing made yet
_FINE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")
AS_BEFORE = "UPDATE_ROLLBACK_COMPLETE"
_WAYS_OUT = {
    AS_BEFORE: "all is as before: remove the cause, run the same command again",
    "UPDATE_ROLLBACK_FAILED": "remove the cause, run aws cloudformation continue-update-rollback "
    "--stack-name {name}, then the same command again",
}
_CLEAR_UP = "remove the cause, clear up by `sparkify infra down --name {name}`, then run again"
_BEING_MADE = ("CREATE_PENDING", "CREATE_IN_PROGRESS")
_DETECTING = "DETECTION_IN_PROGRESS"
_VERBS = {"Add": "make", "Modify": "change", "Remove": "delete", "True": "replace"}


class Stack:
    """One stack. `client` is botocore's of CloudFormation; every event is said."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name
        self._change_set = {"StackName": name, "ChangeSetName": "sparkify-infra"}
        self._executed = False

    def describe(self, stack_id: str = "") -> dict[str, Any]:
        """Return the stack as AWS describes it, empty where there is none."""
        try:
            return dict(self.client.describe_stacks(StackName=stack_id or self.name)["Stacks"][0])
        except self.client.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return {}
            raise

    def settled(self) -> dict[str, Any]:
        """Return the stack once nothing is under way in it; empty where nothing is made."""
        if _is_busy(stack := self.describe()):
            click.echo(f"{self.name} is {stack['StackStatus']}: waiting for it")
            self._follow(stack["StackId"])
            stack = self.describe()
        return stack if stack.get("StackStatus") != _REVIEW else {}

    def check(self, stack: Mapping[str, Any], *allowed: str) -> None:
        """Raise ClickException with cause and way out where the stack has failed."""
        status = stack.get("StackStatus", _REVIEW)
        if status not in (*_FINE, _REVIEW, *allowed) and not _is_busy(stack):
            way_out = _WAYS_OUT.get(status, _CLEAR_UP).format(name=self.name)
            cause = self._first_failure(stack["StackId"])
            raise ClickException(f"{self.name} is {status}: {cause}. To go on: {way_out}")

    @contextmanager
    def proposal(self, values: Mapping[str, str]) -> Iterator[list[Change] | None]:
        """Give the changes that the values would make, None for no change at all.

        Nothing is left behind unless `execute` is called meanwhile. Raises ClickException where
        CloudFormation refuses values or template.
        """
        self._executed = False
        try:
            yield self._propose(values)
        finally:
            if not self._executed:
                self._discard()

    def _propose(self, values: Mapping[str, str]) -> list[Change] | None:
        if stack := self.describe():
            self._delete_change_set()  # which an interrupted run left
        self.client.create_change_set(
            **self._change_set,
            ChangeSetType="UPDATE" if stack.get("StackStatus", _REVIEW) != _REVIEW else "CREATE",
            TemplateBody=TEMPLATE,
            Parameters=[{"ParameterKey": key, "ParameterValue": values[key]} for key in values],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": "sparkify:project", "Value": self.name}],  # which resources inherit
        )
        look = dict(self._change_set, IncludePropertyValues=True)
        while (answer := self.client.describe_change_set(**look))["Status"] in _BEING_MADE:
            time.sleep(POLL_SECONDS)
        reason = answer.get("StatusReason", "")
        if answer["Status"] == "CREATE_COMPLETE":
            return [change["ResourceChange"] for change in answer.get("Changes", [])]
        if "didn't contain changes" in reason or "No updates are to be performed" in reason:
            return None
        # What the validation before deployment found, such as a name that is taken, is said here.
        events = self.client.describe_events(**self._change_set).get("OperationEvents", [])
        found = [one for one in events if one.get("ValidationStatusReason")]
        causes = [f"{one['LogicalResourceId']}: {one['ValidationStatusReason']}" for one in found]
        raise ClickException("; ".join([f"CloudFormation refuses this: {reason}", *causes]))

    def _delete_change_set(self) -> None:
        with suppress(self.client.exceptions.ChangeSetNotFoundException):
            self.client.delete_change_set(**self._change_set)

    def _discard(self) -> None:
        """Delete the change set, and the empty stack that it may have brought along."""
        if stack := self.describe():
            self._delete_change_set()
            others = self.client.list_change_sets(StackName=self.name)["Summaries"]
            if stack["StackStatus"] == _REVIEW and not others:
                self.client.delete_stack(StackName=stack["StackId"])

    def execute(self) -> None:
        """Carry the proposal out and follow it; ClickException where it was rolled back."""
        self._executed = True
        self._carry_out(
            self.client.execute_change_set, self.describe()["StackId"], self._change_set
        )

    def delete(self, stack_id: str) -> None:
        """Delete the stack and follow it to its end; ClickException where something stays."""
        self._carry_out(self.client.delete_stack, stack_id, {"StackName": stack_id})

    def _carry_out(self, call: Any, stack_id: str, what: dict[str, str]) -> None:
        token = uuid.uuid4().hex
        call(**what, ClientRequestToken=token)
        self._follow(stack_id, token)
        self.check(self.describe(stack_id))

    def _follow(self, stack_id: str, token: str = "") -> None:
        """Say each event of the latest operation until it has ended.

        With `token`, of the one that was begun with it: AWS may show it a moment later only.
        """
        said = 0
        for polls in count():
            events = self._operation(stack_id, token)
            # In this order: a state that is older than the events may be that of before.
            is_over = not _is_busy(self.describe(stack_id)) and (events or polls >= _PATIENCE)
            events = self._operation(stack_id, token) if is_over else events
            for event in events[said:]:
                click.echo(_event_line(event))
            if is_over:
                return
            said = len(events)
            time.sleep(POLL_SECONDS)

    def _operation(self, stack_id: str, token: str = "") -> list[dict[str, Any]]:
        """Return the events of the latest operation, the oldest first."""
        events: list[dict[str, Any]] = []
        for page in self.client.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                events.insert(0, event)
                is_whole = event.get("PhysicalResourceId") == stack_id
                if is_whole and event["ResourceStatus"] in _STARTS:
                    return events if token in ("", event.get("ClientRequestToken")) else []
        return events

    def _first_failure(self, stack_id: str) -> str:
        """Return which resource failed first in the latest operation, and its own reason."""
        for event in self._operation(stack_id):
            reason = event.get("ResourceStatusReason", "no reason given")
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
                return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
        return "CloudFormation names no resource"

    def resources(self) -> dict[str, str]:
        """Return what the stack holds now: type by logical name."""
        found = self.client.list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        gone = ("DELETE_COMPLETE", "CREATE_FAILED")
        there = [one for one in found if one["ResourceStatus"] not in gone]
        return {one["LogicalResourceId"]: one["ResourceType"] for one in there}

    def drift(self) -> list[str]:
        """Return what differs from the template now, a line each. Takes about a minute."""
        detection = self.client.detect_stack_drift(StackName=self.name)["StackDriftDetectionId"]
        look = self.client.describe_stack_drift_detection_status
        while (answer := look(StackDriftDetectionId=detection))["DetectionStatus"] == _DETECTING:
            time.sleep(POLL_SECONDS)
        lines = [answer["DetectionStatusReason"]] if "DetectionStatusReason" in answer else []
        found = self.client.describe_stack_resource_drifts(
            StackName=self.name, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
        )["StackResourceDrifts"]
        for one in found:
            lines.append(f"{one['LogicalResourceId']} is {one['StackResourceDriftStatus']}")
            line = "  {PropertyPath}: {ExpectedValue} -> {ActualValue}"
            lines += [line.format(**each) for each in one.get("PropertyDifferences", [])]
        return lines


def change_lines(change: Change) -> list[str]:
    """Return a change for people: what happens to the resource, and every value that changes."""
    verb = _VERBS.get(change.get("Replacement", ""), _VERBS.get(change["Action"], change["Action"]))
    contexts = (change.get(key, "{}") for key in ("BeforeContext", "AfterContext"))
    before, after = (_flat(json.loads(context)) for context in contexts)
    lines = [f"{verb}  {change['LogicalResourceId']} ({change['ResourceType']})"]
    lines += [f"    - {line}" for line in before if line not in after]
    return lines + [f"    + {line}" for line in after if line not in before]


def refuse_data_loss(changes: list[Change]) -> None:
    """Raise ClickException where tables would be left behind, or another database be named."""
    for change in changes:
        names = [detail["Target"].get("Name") for detail in change.get("Details", [])]
        goes = "Remove" in change["Action"] or change.get("Replacement") == "True"
        if change["LogicalResourceId"] in ("Cluster", "Namespace") and (goes or "DbName" in names):
            raise ClickException(
                f"{change['LogicalResourceId']} holds the data and cannot be changed so in place: "
                "keep the option as it was, give another --name, or `sparkify infra down` first"
            )


def _flat(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [line for key in value for line in _flat(value[key], f"{path}.{key}")]
    if isinstance(value, list):
        return [line for one in value for line in _flat(one, path)]
    return [f"{path.removeprefix('.Properties').removeprefix('.')}: {value}"]


def _is_busy(stack: Mapping[str, Any]) -> bool:
    status: str = stack.get("StackStatus", _REVIEW)
    return status != _REVIEW and status.endswith("_IN_PROGRESS")


def _event_line(event: Mapping[str, Any]) -> str:
    status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
    shown = f"  {reason}" if status.endswith(("_FAILED", "ROLLBACK_IN_PROGRESS")) else ""
    return f"{event['Timestamp']:%H:%M:%S}  {status:<28} {event['LogicalResourceId']}{shown}"
