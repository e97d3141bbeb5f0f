"""AWS for the tests of `sparkify infra`, behind botocore: requests are validated, signed and sent.

Every answer is held to botocore's model of the service, written as the service writes it, and read
by botocore's own parser. The rules are from the CloudFormation User Guide and API Reference: a
change set of a new stack leaves a stack in REVIEW_IN_PROGRESS; a state is shown a moment late; an
operation takes several looks; a failed resource cancels the others and rolls back; a stack that was
rolled back at its creation can only be deleted.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator
from moto.core.botocore_stubber import MockRawResponse
from moto.core.serialize import SERIALIZERS
from moto.core.utils import get_service_model

from sparkify_dagster_tests.infra.template import CASES, Refused, Rendered, create_only

READS = ("Describe", "Get", "List", "Detect")
CHANGE_SET = "arn:aws:cloudformation:us-west-2:123456789012:changeSet/x"


class Cloud:
    """The account: stacks with their events, snapshots, usage limits and subnets."""

    def __init__(self) -> None:
        self.stacks: dict[str, dict[str, Any]] = {}  # by id, deleted ones too
        self.snapshots: dict[str, int] = {}  # looks left until each is available
        self.limits: dict[str, dict[str, Any]] = {}
        self.subnets = [(f"subnet-{zone}", f"us-west-2{zone}", "vpc-1") for zone in "abc"]
        self.fails: dict[str, str] = {}  # resource or call: the reason
        self.outputs: dict[str, str] = {}  # in place of the template's, or attributes
        self.calls: list[tuple[str, dict[str, Any]]] = []  # name and parameters
        self.cut = (-1, False)  # the call's number, and whether it takes effect
        self.throttled: dict[str, Any] | None = None  # what was last, where each call is once
        self.is_protected = False
        self.drifts: list[dict[str, Any]] = []
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)

    # --- behind botocore

    def remember(self, params: dict[str, Any], **_: Any) -> None:
        self.calls.append(("", dict(params)))

    def answer(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        _, service, operation = event_name.split(".")
        number, params = len(self.calls) - 1, self.calls[-1][1]
        self.calls[-1] = (operation, params)
        model = get_service_model(service).operation_model(operation)
        try:
            if self.throttled is not None and self.throttled is not params:
                self.throttled = params
                raise Refused("Rate exceeded", "Throttling")
            if self.cut == (number, False):
                raise KeyboardInterrupt
            if operation in self.fails:
                raise Refused(self.fails[operation], "AccessDenied")
            result: Any = getattr(self, operation)(**params) or {}
            if model.output_shape:
                report = ParamValidator().validate(result, model.output_shape)
                assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        except Refused as error:
            result = error
        if self.cut == (number, True):
            raise KeyboardInterrupt
        told = SERIALIZERS[model.service_model.protocol](model).serialize(result)
        body = MockRawResponse(told["body"])
        return AWSResponse(request.url, told["status_code"], told["headers"], body)

    @property
    def writes(self) -> list[str]:
        return [name for name, _ in self.calls if not name.startswith(READS)]

    # --- CloudFormation

    def stack(self, name: str) -> dict[str, Any]:
        for one in self.stacks.values():
            is_there = one["StackStatus"] != "DELETE_COMPLETE"
            if name == one["StackId"] or (name == one["StackName"] and is_there):
                return one
        raise Refused(f"Stack with id {name} does not exist")

    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        stack = self.stack(StackName)
        shown = {key: one for key, one in stack.items() if key[0].isupper()}
        shown["EnableTerminationProtection"] = self.is_protected
        next(stack["work"], None)  # AWS works on, whether or not anybody looks
        return {"Stacks": [shown]}

    def CreateChangeSet(
        self, StackName: str, ChangeSetType: str, TemplateBody: str, Parameters: Any, **rest: Any
    ) -> dict[str, Any]:
        values = {one["ParameterKey"]: one["ParameterValue"] for one in Parameters}
        new = Rendered(TemplateBody, values, self.attributes(StackName))
        assert rest["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
        try:
            stack = self.stack(StackName)
        except Refused:
            stack = {"StackId": f"{StackName}/{len(self.stacks)}", "StackName": StackName,
                     "StackStatus": "REVIEW_IN_PROGRESS", "CreationTime": self.clock,
                     "work": iter(()), "events": [], "sets": {}, "made": {}}  # fmt: skip
            self.stacks[stack["StackId"]] = stack
        state, name = stack["StackStatus"], rest["ChangeSetName"]
        is_new = state == "REVIEW_IN_PROGRESS"
        if (ChangeSetType == "CREATE") is not is_new or state == "ROLLBACK_COMPLETE":
            raise Refused(f"Stack is in {state} state and can not be updated")
        if name in stack["sets"]:
            raise Refused(f"ChangeSet {name} already exists", "AlreadyExistsException")
        changes = _changes(stack["made"], new.resources())
        made: dict[str, Any] = {"Status": "CREATE_COMPLETE"}
        made["Changes"] = [{"ResourceChange": one} for one in changes]
        if not changes and new.outputs() == stack.get("Outputs"):
            refusal = "The submitted information didn't contain changes."
            made = {"Status": "FAILED", "StatusReason": refusal}
        if "validation" in self.fails:
            made = {"Status": "FAILED", "StatusReason": "The following validation failed"}
        looks = chain([{"Status": "CREATE_IN_PROGRESS"}], repeat(made))
        stack["sets"][name] = {"new": new, "changes": changes, "shown": looks}
        return {"Id": CHANGE_SET, "StackId": stack["StackId"]}

    def _set(self, stack_name: str, name: str) -> dict[str, Any]:
        if name not in (sets := self.stack(stack_name)["sets"]):
            raise Refused(f"ChangeSet [{name}] does not exist", "ChangeSetNotFound")
        return dict(sets[name])

    def DescribeChangeSet(
        self, StackName: str, ChangeSetName: str, IncludePropertyValues: bool
    ) -> dict[str, Any]:
        assert IncludePropertyValues
        return dict(next(self._set(StackName, ChangeSetName)["shown"]))

    def DescribeEvents(self, **_: Any) -> dict[str, Any]:
        event = {"EventType": "VALIDATION_ERROR", "LogicalResourceId": "CopyRole",
                 "ValidationStatusReason": self.fails["validation"]}  # fmt: skip
        return {"OperationEvents": [event, {"EventType": "STACK_EVENT"}]}

    def DeleteChangeSet(self, StackName: str, ChangeSetName: str) -> None:
        self._set(StackName, ChangeSetName)
        del self.stack(StackName)["sets"][ChangeSetName]

    def ListChangeSets(self, StackName: str) -> dict[str, Any]:
        return {"Summaries": [{"ChangeSetName": one} for one in self.stack(StackName)["sets"]]}

    def ExecuteChangeSet(self, StackName: str, ChangeSetName: str, ClientRequestToken: str) -> None:
        stack, found = self.stack(StackName), self._set(StackName, ChangeSetName)
        stack["sets"].clear()
        word = "CREATE" if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else "UPDATE"
        stack["work"] = self._work(stack, ClientRequestToken, word, found["changes"], found["new"])

    def DeleteStack(self, StackName: str, ClientRequestToken: str = "") -> None:
        stack = self.stack(StackName)
        if self.is_protected:
            raise Refused("Stack cannot be deleted: TerminationProtection")
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            stack["StackStatus"] = "DELETE_COMPLETE"
        elif stack["StackStatus"] not in ("DELETE_IN_PROGRESS", "DELETE_COMPLETE"):
            changes = _changes(stack["made"], {})[::-1]
            stack["work"] = self._work(stack, ClientRequestToken, "DELETE", changes)

    def _work(
        self, stack: dict[str, Any], token: str, word: str, changes: Any, new: Any = None
    ) -> Iterator[None]:
        """Carry the changes out, a step at a look; undo them where a resource fails."""

        def say(status: str, name: str = "", kind: str = "", reason: str = "") -> None:
            self.clock += timedelta(seconds=1)
            event = {"StackId": stack["StackId"], "EventId": f"{len(stack['events'])}",
                     "StackName": stack["StackName"], "Timestamp": self.clock,
                     "LogicalResourceId": name or stack["StackName"], "ResourceStatus": status,
                     "ResourceType": kind or "AWS::CloudFormation::Stack",
                     "ResourceStatusReason": reason, "ClientRequestToken": token}  # fmt: skip
            stack["events"].insert(0, {key: one for key, one in event.items() if one})
            stack["StackStatus"] = stack["StackStatus"] if name else status

        yield  # shown a moment late
        say(f"{word}_IN_PROGRESS", reason="User Initiated")
        before, made = dict(stack["made"]), stack["made"]
        for change in changes:
            name, kind = change["LogicalResourceId"], change["ResourceType"]
            own = {"Add": "CREATE", "Modify": "UPDATE", "Remove": "DELETE"}[change["Action"]]
            say(f"{own}_IN_PROGRESS", name, kind)
            yield
            if name in self.fails:
                say(f"{own}_FAILED", name, kind, self.fails[name])
                say(f"{own}_FAILED", "Other", "AWS::X::Y", "Resource creation cancelled")
                if word != "DELETE":
                    word = {"CREATE": "ROLLBACK", "UPDATE": "UPDATE_ROLLBACK"}[word]
                    say(f"{word}_IN_PROGRESS", reason=f"The following failed: [{name}]")
                    yield
                    stack["made"] = before
                is_stuck = word == "DELETE" or "rollback" in self.fails
                say(f"{word}_{'FAILED' if is_stuck else 'COMPLETE'}")
                return
            if own == "DELETE":
                del made[name]
            else:
                made[name] = new.resources()[name]
            say(f"{own}_COMPLETE", name, kind)
        if new:
            given = new.given.items()
            stack["Parameters"] = [{"ParameterKey": k, "ParameterValue": v} for k, v in given]
            stack["Outputs"] = new.outputs()
            for one in stack["Outputs"]:
                one["OutputValue"] = self.outputs.get(one["Description"], one["OutputValue"])
        say(f"{word}_COMPLETE")

    def DescribeStackEvents(self, StackName: str, NextToken: str = "0") -> dict[str, Any]:
        events, start = self.stack(StackName)["events"], int(NextToken)
        more = {"NextToken": str(start + 3)} if len(events) > start + 3 else {}
        return {"StackEvents": events[start : start + 3], **more}

    def ListStackResources(self, StackName: str) -> dict[str, Any]:
        return {"StackResourceSummaries": [
            {"LogicalResourceId": name, "ResourceType": one["Type"],
             "ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": self.clock}
            for name, one in self.stack(StackName)["made"].items()
        ]}  # fmt: skip

    def DetectStackDrift(self, StackName: str) -> dict[str, Any]:
        return {"StackDriftDetectionId": self.stack(StackName)["StackName"]}

    def DescribeStackDriftDetectionStatus(self, StackDriftDetectionId: str) -> dict[str, Any]:
        state = "IN_PROGRESS" if self.calls[-2][0] == "DetectStackDrift" else "COMPLETE"
        return {"StackId": "x", "StackDriftDetectionId": StackDriftDetectionId,
                "DetectionStatus": f"DETECTION_{state}", "Timestamp": self.clock}  # fmt: skip

    def DescribeStackResourceDrifts(self, **_: Any) -> dict[str, Any]:
        return {"StackResourceDrifts": self.drifts}

    # --- Redshift and the network

    def attributes(self, name: str) -> dict[str, str]:
        made = {key: text.format(name=name) for key, text in CASES["attributes"].items()}
        return made | self.outputs

    def GetNamespace(self, namespaceName: str) -> dict[str, Any]:
        assert "Namespace" in self.stack(namespaceName)["made"]
        secret = self.attributes(namespaceName)["Cluster.MasterPasswordSecretArn"]
        return {"namespace": {"adminPasswordSecretArn": secret}}

    def ListUsageLimits(self, resourceArn: str) -> dict[str, Any]:
        return {"usageLimits": list(self.limits.values())} if self.limits else {}

    def CreateUsageLimit(self, **limit: Any) -> dict[str, Any]:
        if self.limits:
            raise Refused("a limit of this kind exists", "ConflictException")
        self.limits["limit-1"] = {"usageLimitId": "limit-1", **limit}
        return {"usageLimit": self.limits["limit-1"]}

    def DeleteUsageLimit(self, usageLimitId: str) -> dict[str, Any]:
        return {"usageLimit": self.limits.pop(usageLimitId)}

    def CreateSnapshot(self, namespaceName: str, snapshotName: str, of: str = "Namespace") -> None:
        assert of in self.stack(namespaceName)["made"]
        assert snapshotName not in self.snapshots
        self.snapshots[snapshotName] = 1

    def CreateClusterSnapshot(self, ClusterIdentifier: str, SnapshotIdentifier: str) -> None:
        self.CreateSnapshot(ClusterIdentifier, SnapshotIdentifier, "Cluster")

    def _snapshot(self, name: str, code: str) -> str:
        if name not in self.snapshots:
            raise Refused(f"{name} not found", code)
        self.snapshots[name] -= 1
        if "snapshot" in self.fails:
            return "failed"
        return "creating" if self.snapshots[name] >= 0 else "available"

    def GetSnapshot(self, snapshotName: str) -> dict[str, Any]:
        state = self._snapshot(snapshotName, "ResourceNotFoundException")
        return {"snapshot": {"status": state.upper()}}

    def DescribeClusterSnapshots(self, SnapshotIdentifier: str) -> dict[str, Any]:
        state = self._snapshot(SnapshotIdentifier, "ClusterSnapshotNotFound")
        return {"Snapshots": [{"Status": state}]}

    def DescribeSubnets(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        (asked,) = Filters
        keys = ("SubnetId", "AvailabilityZone", "VpcId")
        there = [dict(zip(keys, one, strict=True)) for one in self.subnets]
        named = [one for one in there if one["SubnetId"] in asked["Values"]]
        return {"Subnets": there if asked["Name"] == "default-for-az" else named}


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a change set shows, as CloudFormation tells it from both states."""
    changes = []
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        kind = (after or before or {})["Type"]
        change: dict[str, Any] = {"LogicalResourceId": name, "ResourceType": kind}
        change["Action"] = "Modify" if before and after else "Add" if after else "Remove"
        for key, one in (("BeforeContext", before), ("AfterContext", after)):
            if one:
                change[key] = json.dumps({"Properties": one["Properties"]})
        if before and after:
            both = before["Properties"], after["Properties"]
            names = {key for key in both[0] | both[1] if both[0].get(key) != both[1].get(key)}
            change["Replacement"] = str(bool(names & create_only(kind)))
            change["Details"] = [{"Target": {"Name": key}} for key in names]
        changes.append(change)
    return changes
