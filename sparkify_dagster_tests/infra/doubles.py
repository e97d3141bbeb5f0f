"""AWS for the tests: moto, Redshift Serverless (which moto lacks), and a record of all requests.

The double of Serverless answers at botocore's `before-call` event, where botocore's own Stubber
does, after botocore has validated and serialized the request; its answers are validated against
the service model. It keeps the rules of the service that provisioning can stumble over: one
parameter an update, no change while another is under way, a namespace that outlives no workgroup,
role texts instead of ARNs.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import botocore.handlers
from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator
from moto.backends import get_backend

ACCOUNT = "123456789012"
REGION = "us-west-2"
DEFAULT_NETWORK = (1, 4)  # VPCs and availability zones with a subnet, of moto's us-west-2
READS = ("Describe", "Get", "List")


class Interrupted(BaseException):
    """Stands for a killed process or Ctrl-C in the middle of a call."""


@dataclass
class Call:
    service: str
    operation: str
    params: dict[str, Any]
    body: Any = None

    @property
    def mutates(self) -> bool:
        return not self.operation.startswith(READS)


class ServiceError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Serverless:
    """Namespaces, workgroups, usage limits and snapshots of one account and region.

    A change takes `polls` look-ups until it is done.
    """

    polls: int = 1
    namespaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    workgroups: dict[str, dict[str, Any]] = field(default_factory=dict)
    limits: dict[str, dict[str, Any]] = field(default_factory=dict)
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def arn(self, kind: str) -> tuple[str, str]:
        self.made += 1
        number = f"00000000-0000-0000-0000-{self.made:012d}"
        return number, f"arn:aws:redshift-serverless:{REGION}:{ACCOUNT}:{kind}/{number}"

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in operation)
        return getattr(self, name)(**request)

    def look(self, store: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
        """Return the item as it is now; each look brings a change under way nearer its end."""
        if name not in store:
            raise ServiceError("ResourceNotFoundException", f"{name} not found")
        item = store[name]
        shown = deepcopy(item["shown"])
        if item["left"]:
            item["left"] -= 1
        elif shown["status"] == "DELETING":
            del store[name]
            raise ServiceError("ResourceNotFoundException", f"{name} not found")
        else:
            item["shown"]["status"] = shown["status"] = "AVAILABLE"
        return shown

    def change(self, store: dict[str, dict[str, Any]], name: str, status: str) -> dict[str, Any]:
        if name not in store:
            raise ServiceError("ResourceNotFoundException", f"{name} not found")
        if store[name]["left"]:
            raise ServiceError("ConflictException", f"There is an operation running on {name}")
        store[name]["left"] = self.polls
        store[name]["shown"]["status"] = status
        return store[name]["shown"]

    def set_one(self, shown: dict[str, Any], values: dict[str, Any]) -> None:
        if len(values) != 1:
            raise ServiceError(
                "ValidationException",
                "Can't update multiple configurations at the same time",
            )
        shown.update(values)

    def store_tags(self, arn: str, tags: list[dict[str, str]]) -> None:
        self.tags.setdefault(arn, {}).update({tag["key"]: tag["value"] for tag in tags})

    def _list_tags_for_resource(self, resourceArn: str) -> dict[str, Any]:
        tags = self.tags.get(resourceArn, {})
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _tag_resource(self, resourceArn: str, tags: list[dict[str, str]]) -> dict[str, Any]:
        self.store_tags(resourceArn, tags)
        return {}

    @staticmethod
    def roles(arns: list[str]) -> list[str]:
        return [f"IamRole(applyStatus=in-sync, iamRoleArn={arn})" for arn in arns]

    def _create_namespace(self, **request: Any) -> dict[str, Any]:
        name = request["namespaceName"]
        if name in self.namespaces:
            raise ServiceError("ConflictException", f"namespace {name} already exists")
        number, arn = self.arn("namespace")
        self.passwords[name] = request.pop("adminUserPassword")
        self.store_tags(arn, request.pop("tags", []))
        shown = {
            **request,
            "iamRoles": self.roles(request.get("iamRoles", [])),
            "namespaceId": number,
            "namespaceArn": arn,
            "kmsKeyId": "AWS_OWNED_KMS_KEY",
            "status": "AVAILABLE",
            "creationDate": datetime(2026, 1, 1, tzinfo=UTC),
        }
        self.namespaces[name] = {"shown": shown, "left": 0}
        return {"namespace": deepcopy(shown)}

    def _get_namespace(self, namespaceName: str) -> dict[str, Any]:
        return {"namespace": self.look(self.namespaces, namespaceName)}

    def _update_namespace(self, namespaceName: str, **values: Any) -> dict[str, Any]:
        shown = self.change(self.namespaces, namespaceName, "MODIFYING")
        if set(values) == {"adminUsername", "adminUserPassword"}:
            self.passwords[namespaceName] = values["adminUserPassword"]
            values = {"adminUsername": values["adminUsername"]}
        if "iamRoles" in values:
            values["iamRoles"] = self.roles(values["iamRoles"])
        self.set_one(shown, values)
        return {"namespace": deepcopy(shown)}

    def _delete_namespace(
        self,
        namespaceName: str,
        finalSnapshotName: str | None = None,
    ) -> dict[str, Any]:
        for workgroup in self.workgroups.values():
            if workgroup["shown"]["namespaceName"] == namespaceName:
                raise ServiceError("ConflictException", "the namespace has a workgroup")
        if finalSnapshotName in self.snapshots:
            raise ServiceError("ConflictException", f"snapshot {finalSnapshotName} exists")
        shown = self.change(self.namespaces, namespaceName, "DELETING")
        if finalSnapshotName:
            self.snapshots[finalSnapshotName] = {
                "snapshotName": finalSnapshotName,
                "namespaceName": namespaceName,
                "snapshotArn": self.arn("snapshot")[1],
                "status": "AVAILABLE",
            }
        return {"namespace": deepcopy(shown)}

    def _get_snapshot(self, snapshotName: str) -> dict[str, Any]:
        if snapshotName not in self.snapshots:
            raise ServiceError("ResourceNotFoundException", f"{snapshotName} not found")
        return {"snapshot": self.snapshots[snapshotName]}

    def _create_workgroup(self, **request: Any) -> dict[str, Any]:
        name = request["workgroupName"]
        if name in self.workgroups:
            raise ServiceError("ConflictException", f"workgroup {name} already exists")
        if request["namespaceName"] not in self.namespaces:
            raise ServiceError("ResourceNotFoundException", "no such namespace")
        number, arn = self.arn("workgroup")
        self.store_tags(arn, request.pop("tags", []))
        host = f"{name}.{ACCOUNT}.{REGION}.redshift-serverless.amazonaws.com"
        shown = {
            "subnetIds": ["subnet-1", "subnet-2", "subnet-3"],
            **request,
            "configParameters": [
                {"parameterKey": "auto_mv", "parameterValue": "true"},
                *request["configParameters"],
            ],
            "workgroupId": number,
            "workgroupArn": arn,
            "endpoint": {"address": host, "port": request["port"]},
            "status": "CREATING",
            "creationDate": datetime(2026, 1, 1, tzinfo=UTC),
        }
        self.workgroups[name] = {"shown": shown, "left": self.polls}
        return {"workgroup": deepcopy(shown)}

    def _get_workgroup(self, workgroupName: str) -> dict[str, Any]:
        return {"workgroup": self.look(self.workgroups, workgroupName)}

    def _update_workgroup(self, workgroupName: str, **values: Any) -> dict[str, Any]:
        shown = self.change(self.workgroups, workgroupName, "MODIFYING")
        self.set_one(shown, values)
        if shown["baseCapacity"] > shown["maxCapacity"]:
            raise ServiceError("ValidationException", "baseCapacity above maxCapacity")
        return {"workgroup": deepcopy(shown)}

    def _delete_workgroup(self, workgroupName: str) -> dict[str, Any]:
        shown = self.change(self.workgroups, workgroupName, "DELETING")
        return {"workgroup": deepcopy(shown)}

    def _create_usage_limit(self, **request: Any) -> dict[str, Any]:
        number, arn = self.arn("usagelimit")
        self.limits[number] = {**request, "usageLimitId": number, "usageLimitArn": arn}
        return {"usageLimit": self.limits[number]}

    def _list_usage_limits(self, resourceArn: str, usageType: str) -> dict[str, Any]:
        wanted = {"resourceArn": resourceArn, "usageType": usageType}
        found = [limit for limit in self.limits.values() if wanted.items() <= limit.items()]
        # By the service model the list is never empty: without a limit there is no list.
        return {"usageLimits": found} if found else {}

    def _update_usage_limit(self, usageLimitId: str, **values: Any) -> dict[str, Any]:
        self.limits[usageLimitId].update(values)
        return {"usageLimit": self.limits[usageLimitId]}

    def _delete_usage_limit(self, usageLimitId: str) -> dict[str, Any]:
        return {"usageLimit": self.limits.pop(usageLimitId)}


@dataclass
class Cloud:
    """One empty account: moto, Serverless, what moto's Redshift lacks, and all requests so far."""

    serverless: Serverless = field(default_factory=Serverless)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    stop_before: int | None = None  # the number of the call that is never sent, from 0
    stop_after: int | None = None  # the number of the call whose answer is lost
    refuse: Callable[[Call], ServiceError | None] = lambda call: None
    alter: Callable[[str, dict[str, Any]], None] = lambda operation, answer: None

    @property
    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.mutates]

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [call.params for call in self.calls if call.operation == operation]

    def started(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self.stop_before == len(self.calls):
            self.stop_before = None
            raise Interrupted
        service = model.service_model.signing_name
        self.calls.append(Call(service, model.name, deepcopy(params)))

    def serialized(self, params: dict[str, Any], model: Any, **_: Any) -> Any:
        call = self.calls[-1]
        call.body = params["body"]
        error = self.refuse(call)
        answer: dict[str, Any] | None = None
        try:
            if error:
                raise error
            if call.service == "redshift-serverless":
                answer = self.serverless.answer(model.name, json.loads(params["body"]))
            elif call.service == "redshift":
                answer = self.redshift(model.name, params["body"])
        except ServiceError as problem:
            wrong = {"Code": problem.code, "Message": str(problem)}
            return self.http(400), {"Error": wrong, "ResponseMetadata": {}}
        if answer is None:
            return None  # moto answers
        report = ParamValidator().validate(answer, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return self.http(200), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}

    @staticmethod
    def http(status: int) -> AWSResponse:
        return AWSResponse("https://double.invalid", status, {}, None)

    def redshift(self, operation: str, body: Any) -> dict[str, Any] | None:
        """Answer the four operations that moto 5.2 lacks, on moto's own clusters."""
        form = (
            {key: values[0] for key, values in parse_qs(body).items()}
            if isinstance(body, str)
            else dict(body)
        )
        backend: Any = get_backend("redshift")[ACCOUNT][REGION]
        if operation == "ModifyClusterParameterGroup":
            group = self.parameters.setdefault(form["ParameterGroupName"], {})
            group[form["Parameters.Parameter.1.ParameterName"]] = form[
                "Parameters.Parameter.1.ParameterValue"
            ]
            return {"ParameterGroupName": form["ParameterGroupName"]}
        if operation == "DescribeClusterParameters":
            values = {"require_ssl": "false"} | self.parameters.get(form["ParameterGroupName"], {})
            return {
                "Parameters": [
                    {"ParameterName": key, "ParameterValue": value} for key, value in values.items()
                ]
            }
        if operation == "ModifyClusterIamRoles":
            cluster = backend.clusters[form["ClusterIdentifier"]]
            cluster.iam_roles_arn.append(form["AddIamRoles.IamRoleArn.1"])
            return {}
        if operation == "ModifyClusterSubnetGroup":
            group = backend.subnet_groups[form["ClusterSubnetGroupName"]]
            group.subnet_ids = [v for k, v in form.items() if k.startswith("SubnetIds.")]
            return {}
        return None

    def answered(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        self.alter(model.name, parsed)
        if self.stop_after == len(self.calls) - 1:
            self.stop_after = None
            raise Interrupted


CURRENT: list[Cloud] = []


def _current(event: str) -> Callable[..., Any]:
    return lambda **arguments: getattr(CURRENT[-1], event)(**arguments) if CURRENT else None


HOOKS: list[tuple[str, Callable[..., Any]]] = [
    ("before-parameter-build", _current("started")),
    ("before-call", _current("serialized")),
    ("after-call", _current("answered")),
]
# As moto does it: every session that is made from now on, ours in the product included, has them.
botocore.handlers.BUILTIN_HANDLERS.extend(HOOKS)


@contextmanager
def empty_account(**settings: Any) -> Iterator[Cloud]:
    """Give an empty account, one at a time, within a running `mock_aws`.

    Only what was used is emptied: leaving and entering `mock_aws` takes ten times longer.
    """
    for service, region in (("iam", "aws"), ("secretsmanager", REGION), ("redshift", REGION)):
        emptied: Any = get_backend(service)[ACCOUNT][region]
        emptied.reset()
    ec2: Any = get_backend("ec2")[ACCOUNT][REGION]
    if (len(ec2.vpcs), len(ec2.subnets)) != DEFAULT_NETWORK:
        ec2.reset()
    for groups in ec2.groups.values():
        for group in [group for group in groups.values() if group.name != "default"]:
            del groups[group.id]
    CURRENT.append(Cloud(**settings))
    try:
        yield CURRENT[-1]
    finally:
        CURRENT.pop()
