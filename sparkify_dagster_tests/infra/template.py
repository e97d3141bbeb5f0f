"""What CloudFormation makes of the template: functions evaluated, parameters and rules enforced."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from cfnlint.decode.cfn_yaml import loads
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

CASES = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text("utf-8"))
NO_VALUE = object()
ACCOUNT, REGION = "123456789012", "us-west-2"
_load = cache(loads)


class Refused(Exception):
    """An error of AWS, of CloudFormation's own kind unless another code is given."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.message, self.code = message, code


class Rendered:
    """The template with values filled in; `real` are the attributes that AWS gives."""

    def __init__(
        self, body: str, values: dict[str, str], real: dict[str, str] | None = None
    ) -> None:
        self.template, self.real = _load(body), real or {}
        declared = self.template["Parameters"]
        if unknown := values.keys() - declared.keys():
            raise Refused(f"Parameters: {sorted(unknown)} do not exist in the template")
        defaults = {key: str(one["Default"]) for key, one in declared.items() if "Default" in one}
        self.given = defaults | values
        own = {"AccountId": ACCOUNT, "Region": REGION, "Partition": "aws", "NoValue": NO_VALUE}
        self.values: dict[str, Any] = self.given | {f"AWS::{key}": own[key] for key in own}
        for key, one in declared.items():
            if key not in self.given or not _fits(self.given[key], one):
                why = one.get("ConstraintDescription", "")
                raise Refused(f"Parameter {key} failed to satisfy constraint: {why}")
            if one["Type"] == "CommaDelimitedList":
                self.values[key] = self.given[key].split(",")
        for rule in self.template["Rules"].values():
            for assertion in rule["Assertions"] if self.value(rule["RuleCondition"]) else ():
                if not self.value(assertion["Assert"]):
                    raise Refused(assertion["AssertDescription"])

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [item for each in node if (item := self.value(each)) is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and (call := self._call(*next(iter(node.items())))) is not None:
            return call()
        values = {key: self.value(each) for key, each in node.items()}
        return {key: each for key, each in values.items() if each is not NO_VALUE}

    def _call(self, name: str, of: Any) -> Any:
        return {
            "Ref": lambda: self.values.get(of, f"<{of}>"),
            "Condition": lambda: self.value(self.template["Conditions"][of]),
            "Fn::If": lambda: self.value(of[1 if self.value({"Condition": of[0]}) else 2]),
            "Fn::GetAtt": lambda: self._named(".".join(of)),
            "Fn::Sub": lambda: re.sub(r"\$\{([^}]+)\}", lambda found: self._named(found[1]), of),
            "Fn::Equals": lambda: self.value(of[0]) == self.value(of[1]),
            "Fn::Not": lambda: not self.value(of[0]),
            "Fn::And": lambda: all(self.value(of)),
            "Fn::Join": lambda: of[0].join(self.value(of[1])),
        }.get(name)

    def _named(self, name: str) -> str:
        return str(self.values.get(name, self.real.get(name, f"<{name}>")))

    def _there(self, section: str) -> dict[str, dict[str, Any]]:
        """Return the section's entries whose condition holds, in which all is filled in."""
        found = {}
        for key, one in self.template[section].items():
            needs = {"Condition"} & one.keys()
            if all(self.value({name: one[name]}) for name in needs):
                found[key] = {name: self.value(one[name]) for name in one.keys() - needs}
        return found

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return what is made, in an order in which it can be."""
        return self._there("Resources")

    def outputs(self) -> list[dict[str, str]]:
        found = self._there("Outputs").items()
        return [{"OutputKey": key, "OutputValue": one.pop("Value"), **one} for key, one in found]


def _fits(text: str, one: dict[str, Any]) -> bool:
    is_number = one["Type"] == "Number"
    return (
        re.fullmatch(one.get("AllowedPattern", ".*"), text) is not None
        and text in one.get("AllowedValues", [text])
        and one.get("MinLength", 0) <= len(text) <= one.get("MaxLength", 4096)
        and (not is_number or one["MinValue"] <= float(text) <= one.get("MaxValue", 1e9))
    )


def create_only(kind: str) -> set[str]:
    """Return the properties whose change replaces the resource, from its published schema."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}
