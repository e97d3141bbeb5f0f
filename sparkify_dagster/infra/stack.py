"""The stack in CloudFormation, and what that has no resource for: usage limit, final snapshot."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import click
from click import ClickException

from sparkify_dagster.infra.options import TEMPLATE

POLL_SECONDS = 5.0
_STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
_REVIEW = "REVIEW_IN_PROGRESS"  # a name with a change set, and nothing made yet
_FINE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", _REVIEW)
AS_BEFORE = "UPDATE_ROLLBACK_COMPLETE"
_WAYS_OUT = {
    AS_BEFORE: "all is as before: remove the cause, run the same command again",
    "UPDATE_ROLLBACK_FAILED": "remove the cause, run aws cloudformation continue-update-rollback "
    "--stack-name {name}, then the same command again",
}
_CLEAR_UP = "remove the cause, clear up by `sparkify infra down --name {name}`, then run again"
_DAILY = {"usageType": "serverless-compute", "period": "daily", "breachAction": "deactivate"}
_VERBS = {"Add": "make", "Modify": "change", "Remove": "delete", "True": "replace"}


class Stack:
    """One stack. `clients` gives botocore's by the name of the service; every event is said."""

    def __init__(self, clients: Callable[[str], Any], name: str) -> None:
        self.clients, self.client, self.name = clients, clients("cloudformation"), name
        self._change_set = {"StackName": name, "ChangeSetName": "sparkify-infra"}

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
        stack = self.describe()
        status = stack.get("StackStatus", _REVIEW)
        if status != _REVIEW and status.endswith("_IN_PROGRESS"):
            click.echo(f"{self.name} is {status}: waiting for it")
            self._follow(stack["StackId"])
            stack = self.describe()
        return stack if status != _REVIEW else {}

    def check(self, stack: Mapping[str, Any], *allowed: str) -> None:
        """Raise ClickException where the stack has failed, with the first resource's own reason."""
        status = stack.get("StackStatus", _REVIEW)
        if status in _FINE + allowed or status.endswith("_IN_PROGRESS"):
            return
        cause = "CloudFormation names no resource"
        for event in reversed(self._operation(stack["StackId"])):
            reason = event.get("ResourceStatusReason", "no reason given")
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
                cause = f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
        way_out = _WAYS_OUT.get(status, _CLEAR_UP).format(name=self.name)
        raise ClickException(f"{self.name} is {status}: {cause}. To go on: {way_out}")

    def change(self, values: Mapping[str, str], is_plan: bool) -> None:
        """Say what the values would change; carry it out and follow it, unless `is_plan`.

        A plan leaves nothing behind. Raises ClickException where CloudFormation refuses values or
        template, where data would be lost, or where the change was rolled back.
        """
        with ExitStack() as at_end:
            at_end.callback(self._discard)
            changes = self._propose(values)
            lines = [line for change in changes or [] for line in change_lines(change)]
            click.echo("\n".join(lines or ["No resource changes."]))
            refuse_data_loss(changes or [])
            if changes is None or is_plan:
                return
            at_end.pop_all()
        call, change_set = self.client.execute_change_set, self._change_set["ChangeSetName"]
        self.carry_out(call, self.describe()["StackId"], ChangeSetName=change_set)

    def _propose(self, values: Mapping[str, str]) -> list[dict[str, Any]] | None:
        """Return the changes that the values would make, None for no change at all."""
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
        busy = ("CREATE_PENDING", "CREATE_IN_PROGRESS")
        while (answer := self.client.describe_change_set(**look))["Status"] in busy:
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

    def carry_out(self, call: Callable[..., Any], stack_id: str, **more: str) -> None:
        """Have a call change or delete the stack and follow that; ClickException where it fails."""
        token = f"sparkify-{time.time_ns()}"
        call(StackName=stack_id, ClientRequestToken=token, **more)
        self._follow(stack_id, token)
        self.check(self.describe(stack_id))

    def _follow(self, stack_id: str, token: str = "") -> None:
        """Say an operation's events to its end; all have its token (API Reference, StackEvent)."""
        said = 0
        while True:
            # AWS shows either of them a moment late: both have to tell the end.
            state, events = self.describe(stack_id)["StackStatus"], self._operation(stack_id, token)
            for one in events[said:]:
                status, line = one["ResourceStatus"], one["LogicalResourceId"]
                if status.endswith(("_FAILED", "ROLLBACK_IN_PROGRESS")):
                    line += f"  {one.get('ResourceStatusReason', '')}"
                click.echo(f"{one['Timestamp']:%H:%M:%S}  {status:<28} {line}")
            said = len(events)
            told = {(one["LogicalResourceId"], one["ResourceStatus"]) for one in events}
            if (self.name, state) in told and not state.endswith("_IN_PROGRESS"):
                return
            time.sleep(POLL_SECONDS)

    def _operation(self, stack_id: str, token: str = "") -> list[dict[str, Any]]:
        """Return the events from the start of the latest operation, or the token's, once shown."""
        events: list[dict[str, Any]] = []
        pages = self.client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        for event in pages.search("StackEvents[]"):
            events.insert(0, event)
            is_stacks = event["LogicalResourceId"] == self.name
            is_ours = token in ("", event.get("ClientRequestToken"))
            if is_stacks and is_ours and event["ResourceStatus"] in _STARTS:
                return events
        return []

    def resources(self) -> dict[str, str]:
        """Return what the stack holds now: type by logical name."""
        found = self.client.list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        gone = ("DELETE_COMPLETE", "CREATE_FAILED")
        there = [one for one in found if one["ResourceStatus"] not in gone]
        return {one["LogicalResourceId"]: one["ResourceType"] for one in there}

    def drift(self) -> list[str]:
        """Return what differs from the template now, a line each. Takes about a minute."""
        run = self.client.detect_stack_drift(StackName=self.name)["StackDriftDetectionId"]
        look = self.client.describe_stack_drift_detection_status
        while (answer := look(StackDriftDetectionId=run))["DetectionStatus"].endswith("_PROGRESS"):
            time.sleep(POLL_SECONDS)
        lines = [answer["DetectionStatusReason"]] if "DetectionStatusReason" in answer else []
        what = {"StackName": self.name, "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
        for one in self.client.describe_stack_resource_drifts(**what)["StackResourceDrifts"]:
            lines.append(f"{one['LogicalResourceId']} is {one['StackResourceDriftStatus']}")
            line = "  {PropertyPath}: {ExpectedValue} -> {ActualValue}"
            lines += [line.format(**each) for each in one.get("PropertyDifferences", [])]
        return lines

    def usage_limits(self, workgroup_arn: str) -> dict[str, int]:
        """Return the daily limits by id, in RPU-hours, past which queries are refused."""
        answer = self.clients("redshift-serverless").list_usage_limits(resourceArn=workgroup_arn)
        daily = [one for one in answer.get("usageLimits", []) if _DAILY.items() <= one.items()]
        return {one["usageLimitId"]: one["amount"] for one in daily}

    def set_usage_limit(self, workgroup_arn: str, amount: int | None) -> None:
        """Have queries refused past `amount` RPU-hours a day; None takes the limit away."""
        client, limits = self.clients("redshift-serverless"), self.usage_limits(workgroup_arn)
        for limit in [limit for limit in limits if limits[limit] != amount]:
            client.delete_usage_limit(usageLimitId=limit)
        if amount is not None and amount not in limits.values():
            client.create_usage_limit(resourceArn=workgroup_arn, amount=amount, **_DAILY)

    def make_snapshot(self, snapshot: str, is_serverless: bool) -> None:
        """Make a snapshot and wait for it, or for one that an interrupted `down` has begun.

        Raises ClickException where there is one of this name already, or it fails.
        """
        client = self.clients("redshift-serverless" if is_serverless else "redshift")
        if (status := _status(client, snapshot, is_serverless)) == "available":
            raise ClickException(f"--final-snapshot: {snapshot} exists already: give another name")
        if not status and is_serverless:
            client.create_snapshot(namespaceName=self.name, snapshotName=snapshot)
        elif not status:
            client.create_cluster_snapshot(ClusterIdentifier=self.name, SnapshotIdentifier=snapshot)
        # AWS may show a new one a moment later only.
        while (status := _status(client, snapshot, is_serverless)) in ("", "creating"):
            time.sleep(POLL_SECONDS)
        if status != "available":
            raise ClickException(f"the snapshot {snapshot} is {status}: nothing was deleted")


def change_lines(change: dict[str, Any]) -> list[str]:
    """Return a change for people: what happens to the resource, and every value that changes."""
    verb = _VERBS.get(change.get("Replacement", ""), _VERBS.get(change["Action"], change["Action"]))
    contexts = (change.get(key, "{}") for key in ("BeforeContext", "AfterContext"))
    before, after = (_flat(json.loads(context)) for context in contexts)
    lines = [f"{verb}  {change['LogicalResourceId']} ({change['ResourceType']})"]
    lines += [f"    - {line}" for line in before if line not in after]
    return lines + [f"    + {line}" for line in after if line not in before]


def refuse_data_loss(changes: list[dict[str, Any]]) -> None:
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


def _status(client: Any, snapshot: str, is_serverless: bool) -> str:
    try:
        if is_serverless:
            return str(client.get_snapshot(snapshotName=snapshot)["snapshot"]["status"]).lower()
        found = client.describe_cluster_snapshots(SnapshotIdentifier=snapshot)["Snapshots"]
        return str(found[0]["Status"]).lower()
    except client.exceptions.ClientError as error:
        if "NotFound" not in error.response["Error"]["Code"]:
            raise
        return ""
