"""AWS for the tests of `sparkify infra`, behind botocore: requests are validated, signed and sent.

Every answer is held to botocore's model of the service, written as the service writes it, and read
by botocore's own parser. The rules are from the CloudFormation User Guide and API Reference: a
change set of a new stack leaves a stack in REVIEW_IN_PROGRESS; a state is shown a moment late; an
operation takes several looks; a failed resource cancels the others and rolls back; a stack that was
rolled back at its creation can only be deleted.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator

from sparkify_dagster_tests.infra.template import ACCOUNT, REGION, Refused, Rendered, create_only

READS = ("Describe", "Get", "List", "Detect")
ARN = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"


class ServiceError(Exception):
    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message)
        self.code = code


class Cloud:
    """The account: stacks with their events, snapshots, usage limits and subnets."""

    def __init__(self) -> None:
        self.stacks: dict[str, dict[str, Any]] = {}  # by id, deleted ones too
        self.snapshots: dict[str, int] = {}  # looks left until each is available
        self.limits: dict[str, dict[str, Any]] = {}
        self.subnets = [(f"subnet-{zone}" + "0" * 8, f"{REGION}{zone}", "vpc-1") for zone in "abc"]
        self.fails: dict[str, str] = {}  # resource or call: the reason
        self.outputs: dict[str, str] = {}  # in place of those of the template
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.cut: tuple[int, bool] | None = None  # the call's number, and whether it takes effect
        self.is_throttled = False
        self.drifts: list[dict[str, Any]] = []
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self._params: dict[str, Any] = {}
        self._throttled: set[int] = set()

    # --- behind botocore

    def remember(self, params: dict[str, Any], **_: Any) -> None:
        self._params = dict(params)
        self.calls.append(("", {}))

    def answer(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        _, service, operation = event_name.split(".")
        model = self.model(service).operation_model(operation)
        number, params = len(self.calls) - 1, self._params
        self.calls[-1] = (f"{service}:{operation}", params)
        is_cut = self.cut is not None and self.cut[0] == number
        try:
            if self.is_throttled and number not in self._throttled:
                self._throttled.add(number)
                raise ServiceError("Throttling", "Rate exceeded")
            if is_cut and self.cut is not None and not self.cut[1]:
                raise KeyboardInterrupt
            if operation in self.fails:
                raise ServiceError("AccessDenied", self.fails[operation])
            result = getattr(self, operation)(**params) or {}
        except ServiceError as error:
            return _response(request, 400, _error(model, error))
        except Refused as error:
            return _response(
                request, 400, _error(model, ServiceError("ValidationError", str(error)))
            )
        if is_cut:
            raise KeyboardInterrupt
        if model.output_shape:
            report = ParamValidator().validate(result, model.output_shape)
            assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        return _response(request, 200, _success(model, result))

    model: Callable[[str], Any]  # of a service, from botocore

    @property
    def writes(self) -> list[str]:
        names = [name.partition(":")[2] for name, _ in self.calls]
        return [name for name in names if not name.startswith(READS)]

    # --- CloudFormation

    def stack(self, name: str) -> dict[str, Any]:
        for stack in self.stacks.values():
            if name == stack["StackId"] or (
                name == stack["StackName"] and stack["StackStatus"] != "DELETE_COMPLETE"
            ):
                return stack
        raise ServiceError("ValidationError", f"Stack with id {name} does not exist")

    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        stack = self.stack(StackName)
        shown = {key: one for key, one in stack.items() if key[0].isupper()}
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
        except ServiceError:
            number = f"{len(self.stacks):08d}"
            stack = {"StackId": ARN.format("cloudformation", f"stack/{StackName}/{number}"),
                     "StackName": StackName, "StackStatus": "REVIEW_IN_PROGRESS",
                     "CreationTime": self.clock, "EnableTerminationProtection": False,
                     "work": iter(()), "events": [], "sets": {}, "made": {}}  # fmt: skip
            self.stacks[stack["StackId"]] = stack
        is_new = stack["StackStatus"] == "REVIEW_IN_PROGRESS"
        if (ChangeSetType == "CREATE") is not is_new or stack["StackStatus"] == "ROLLBACK_COMPLETE":
            state = stack["StackStatus"]
            raise ServiceError(
                "ValidationError", f"Stack is in {state} state and can not be updated"
            )
        if rest["ChangeSetName"] in stack["sets"]:
            raise ServiceError("AlreadyExistsException", "ChangeSet sparkify-infra already exists")
        changes = _changes(stack["made"], new.resources())
        same = not changes and new.outputs() == stack.get("Outputs")
        stack["sets"][rest["ChangeSetName"]] = {
            "new": new,
            "changes": changes,
            "same": same,
            "looks": 1,
        }
        return {"Id": ARN.format("cloudformation", "changeSet/x"), "StackId": stack["StackId"]}

    def _set(self, stack_name: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self.stack(stack_name)["sets"].get(name)
        if found is None:
            raise ServiceError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist")
        return found

    def DescribeChangeSet(
        self, StackName: str, ChangeSetName: str, IncludePropertyValues: bool
    ) -> dict[str, Any]:
        found = self._set(StackName, ChangeSetName)
        assert IncludePropertyValues
        if found["looks"]:
            found["looks"] -= 1
            return {"Status": "CREATE_IN_PROGRESS"}
        if "validation" in self.fails:
            return {"Status": "FAILED", "StatusReason": "The following validation failed"}
        if found["same"]:
            text = "The submitted information didn't contain changes."
            return {"Status": "FAILED", "StatusReason": text}
        return {
            "Status": "CREATE_COMPLETE",
            "Changes": [{"ResourceChange": one} for one in found["changes"]],
        }

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
        stack["work"] = self._carry_out(stack, found, ClientRequestToken)

    def _carry_out(
        self, stack: dict[str, Any], found: dict[str, Any], token: str
    ) -> Iterator[None]:
        yield  # shown a moment late
        word = "CREATE" if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else "UPDATE"
        say = self._sayer(stack, token)
        say(f"{word}_IN_PROGRESS", reason="User Initiated")
        yield
        before = dict(stack["made"])
        for change in found["changes"]:
            name, own = (
                change["LogicalResourceId"],
                {"Add": "CREATE"}.get(change["Action"], "UPDATE"),
            )
            say(f"{own}_IN_PROGRESS", name, change["ResourceType"])
            yield
            if name in self.fails:
                say(f"{own}_FAILED", name, change["ResourceType"], self.fails[name])
                say(f"{own}_FAILED", "Other", "AWS::X::Y", "Resource creation cancelled")
                back = "ROLLBACK" if word == "CREATE" else "UPDATE_ROLLBACK"
                say(f"{back}_IN_PROGRESS", reason=f"The following failed: [{name}]")
                yield
                stack["made"] = {} if word == "CREATE" else before
                say(f"{back}_{'FAILED' if 'rollback' in self.fails else 'COMPLETE'}")
                return
            if change["Action"] == "Remove":
                del stack["made"][name]
            else:
                stack["made"][name] = found["new"].resources()[name]
            say(f"{own}_COMPLETE", name, change["ResourceType"])
        given = found["new"].given
        stack["Parameters"] = [{"ParameterKey": k, "ParameterValue": given[k]} for k in given]
        stack["Outputs"] = found["new"].outputs()
        for one in stack["Outputs"]:
            one["OutputValue"] = self.outputs.get(one["Description"], one["OutputValue"])
        say(f"{word}_COMPLETE")

    def DeleteStack(self, StackName: str, ClientRequestToken: str = "") -> None:
        stack = self.stack(StackName)
        if stack["EnableTerminationProtection"]:
            raise ServiceError("ValidationError", "Stack cannot be deleted: TerminationProtection")
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            stack["StackStatus"] = "DELETE_COMPLETE"
        elif stack["StackStatus"] not in ("DELETE_IN_PROGRESS", "DELETE_COMPLETE"):
            stack["work"] = self._take_down(stack, ClientRequestToken)

    def _take_down(self, stack: dict[str, Any], token: str) -> Iterator[None]:
        yield
        say = self._sayer(stack, token)
        say("DELETE_IN_PROGRESS", reason="User Initiated")
        for name in reversed(list(stack["made"])):
            yield
            kind = stack["made"][name]["Type"]
            if name in self.fails:
                say("DELETE_FAILED", name, kind, self.fails[name])
                say("DELETE_FAILED", reason=f"The following failed: [{name}]")
                return
            del stack["made"][name]
            say("DELETE_COMPLETE", name, kind)
        say("DELETE_COMPLETE")

    def _sayer(self, stack: dict[str, Any], token: str) -> Callable[..., None]:
        def say(status: str, name: str = "", kind: str = "", reason: str = "") -> None:
            self.clock += timedelta(seconds=1)
            event = {"StackId": stack["StackId"], "EventId": f"{len(stack['events'])}",
                     "StackName": stack["StackName"], "Timestamp": self.clock,
                     "LogicalResourceId": name or stack["StackName"], "ResourceStatus": status,
                     "PhysicalResourceId": name or stack["StackId"],
                     "ResourceType": kind or "AWS::CloudFormation::Stack",
                     "ResourceStatusReason": reason, "ClientRequestToken": token}  # fmt: skip
            stack["events"].insert(0, {key: one for key, one in event.items() if one})
            if not name:
                stack["StackStatus"] = status

        return say

    def DescribeStackEvents(self, StackName: str, NextToken: str = "0") -> dict[str, Any]:
        events, start = self.stack(StackName)["events"], int(NextToken)
        more = {"NextToken": str(start + 3)} if len(events) > start + 3 else {}
        return {"StackEvents": events[start : start + 3], **more}

    def ListStackResources(self, StackName: str) -> dict[str, Any]:
        return {"StackResourceSummaries": [
            {"LogicalResourceId": key, "ResourceType": one["Type"],
             "LastUpdatedTimestamp": self.clock, "ResourceStatus": "CREATE_COMPLETE"}
            for key, one in self.stack(StackName)["made"].items()
        ]}  # fmt: skip

    def DetectStackDrift(self, StackName: str) -> dict[str, Any]:
        return {"StackDriftDetectionId": self.stack(StackName)["StackName"]}

    def DescribeStackDriftDetectionStatus(self, StackDriftDetectionId: str) -> dict[str, Any]:
        asked = sum("DriftDetectionStatus" in name for name, _ in self.calls)
        state = "DETECTION_IN_PROGRESS" if asked == 1 else "DETECTION_COMPLETE"
        return {"StackId": "x", "StackDriftDetectionId": StackDriftDetectionId,
                "DetectionStatus": state, "Timestamp": self.clock}  # fmt: skip

    def DescribeStackResourceDrifts(self, **_: Any) -> dict[str, Any]:
        return {"StackResourceDrifts": self.drifts}

    # --- Redshift and the network

    def attributes(self, name: str) -> dict[str, str]:
        place = f"{ACCOUNT}.{REGION}.redshift"
        return {
            "CopyRole.Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}-copy",
            "Cluster.Endpoint.Address": f"{name}.{place}.amazonaws.com",
            "Workgroup.Workgroup.Endpoint.Address": f"{name}.{place}-serverless.amazonaws.com",
            "Workgroup.Workgroup.WorkgroupArn": ARN.format("redshift-serverless", "workgroup/w-1"),
        }

    def secret(self, name: str) -> str:
        return self.outputs.get("secret") or ARN.format(
            "secretsmanager", f"secret:redshift!{name}-a1"
        )

    def GetNamespace(self, namespaceName: str) -> dict[str, Any]:
        assert "Namespace" in self.stack(namespaceName)["made"]
        return {"namespace": {"adminPasswordSecretArn": self.secret(namespaceName)}}

    def DescribeClusters(self, ClusterIdentifier: str) -> dict[str, Any]:
        assert "Cluster" in self.stack(ClusterIdentifier)["made"]
        return {"Clusters": [{"MasterPasswordSecretArn": self.secret(ClusterIdentifier)}]}

    def ListUsageLimits(self, resourceArn: str, usageType: str) -> dict[str, Any]:
        return {"usageLimits": list(self.limits.values())} if self.limits else {}

    def CreateUsageLimit(self, **limit: Any) -> dict[str, Any]:
        if self.limits:
            raise ServiceError("ConflictException", "a limit of this kind exists")
        self.limits["limit-1"] = {"usageLimitId": "limit-1", **limit}
        return {"usageLimit": self.limits["limit-1"]}

    def DeleteUsageLimit(self, usageLimitId: str) -> dict[str, Any]:
        return {"usageLimit": self.limits.pop(usageLimitId)}

    def _make_snapshot(self, of: str, stack: str, name: str, code: str) -> None:
        assert of in self.stack(stack)["made"]
        if name in self.snapshots:
            raise ServiceError(code, f"{name} exists already")
        self.snapshots[name] = 1

    def CreateSnapshot(self, namespaceName: str, snapshotName: str) -> None:
        self._make_snapshot("Namespace", namespaceName, snapshotName, "ConflictException")

    def CreateClusterSnapshot(self, ClusterIdentifier: str, SnapshotIdentifier: str) -> None:
        code = "ClusterSnapshotAlreadyExists"
        self._make_snapshot("Cluster", ClusterIdentifier, SnapshotIdentifier, code)

    def _snapshot(self, name: str, code: str) -> str:
        if name not in self.snapshots:
            raise ServiceError(code, f"{name} not found")
        self.snapshots[name] -= 1
        state = "creating" if self.snapshots[name] >= 0 else "available"
        return "failed" if "snapshot" in self.fails else state

    def GetSnapshot(self, snapshotName: str) -> dict[str, Any]:
        state = self._snapshot(snapshotName, "ResourceNotFoundException").upper()
        return {"snapshot": {"status": state}}

    def DescribeClusterSnapshots(self, SnapshotIdentifier: str) -> dict[str, Any]:
        state = self._snapshot(SnapshotIdentifier, "ClusterSnapshotNotFound")
        return {"Snapshots": [{"Status": state}]}

    def DescribeSubnets(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        (asked,) = Filters
        found = [
            {"SubnetId": subnet, "AvailabilityZone": zone, "VpcId": vpc}
            for subnet, zone, vpc in self.subnets
            if asked["Name"] == "default-for-az" or subnet in asked["Values"]
        ]
        return {"Subnets": found}


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a change set shows, as CloudFormation tells it from both states."""
    changes = []
    for name in [*new, *(old.keys() - new.keys())]:
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
            change["Details"] = [
                {"Target": {"Attribute": "Properties", "Name": key}} for key in names
            ]
        changes.append(change)
    return changes


# --- as each service writes its answers


def _response(request: Any, status: int, body: str) -> AWSResponse:
    class Raw:
        def stream(self, **_: Any) -> Iterator[bytes]:
            yield body.encode()

    return AWSResponse(request.url, status, {}, Raw())


def _error(model: Any, error: ServiceError) -> str:
    code, text = error.code, escape(str(error))
    if model.service_model.metadata["protocol"] == "json":
        return json.dumps({"__type": code, "message": str(error)})
    both = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    is_ec2 = model.service_model.metadata["protocol"] == "ec2"
    return f"<Response><Errors>{both}</Errors></Response>" if is_ec2 else f"<E>{both}</E>"


def _success(model: Any, result: dict[str, Any]) -> str:
    if model.service_model.metadata["protocol"] == "json":
        return json.dumps(result)
    shape = model.output_shape
    tag = shape.serialization.get("resultWrapper", "Result") if shape else "Result"
    inner = _xml(shape, result, tag) if shape else ""
    return (
        inner if model.service_model.metadata["protocol"] == "ec2" else f"<Answer>{inner}</Answer>"
    )


def _xml(shape: Any, value: Any, tag: str) -> str:
    if shape.type_name == "structure":
        pairs = [(shape.members[key], one, key) for key, one in value.items()]
        inner = "".join(_xml(s, one, s.serialization.get("name", key)) for s, one, key in pairs)
    elif shape.type_name == "list":
        own = shape.member.serialization.get("name", "member")
        inner = "".join(_xml(shape.member, one, own) for one in value)
    elif isinstance(value, datetime):
        inner = value.isoformat()
    else:
        inner = str(value).lower() if isinstance(value, bool) else escape(str(value))
    return f"<{tag}>{inner}</{tag}>"
