"""What CloudFormation makes of the template: functions evaluated, parameters and rules enforced."""

import re
from functools import cache
from typing import Any

import yaml
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

NO_VALUE = object()
ACCOUNT, REGION = "123456789012", "us-west-2"


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms as {"Fn::Name": argument}."""


def _short_form(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {f"Fn::{suffix}": loader.construct_scalar(node)}
    return {f"Fn::{suffix}": loader.construct_sequence(node, deep=True)}


Loader.add_multi_constructor("!", _short_form)
_load = cache(lambda body: yaml.load(body, Loader))


class Refused(Exception):
    """CloudFormation's ValidationError."""


class Rendered:
    """The template with values filled in; `real` are the attributes that AWS gives."""

    def __init__(
        self, body: str, values: dict[str, str], real: dict[str, str] | None = None
    ) -> None:
        self.template = _load(body)
        self.real = real or {}
        declared = self.template["Parameters"]
        if unknown := values.keys() - declared.keys():
            raise Refused(f"Parameters: {sorted(unknown)} do not exist in the template")
        defaults = {key: str(one["Default"]) for key, one in declared.items() if "Default" in one}
        self.given = defaults | values
        for key, one in declared.items():
            self._check(key, one)
        own = {"AccountId": ACCOUNT, "Region": REGION, "Partition": "aws", "NoValue": NO_VALUE}
        self.values: dict[str, Any] = self.given | {f"AWS::{key}": own[key] for key in own}
        for key, one in declared.items():
            if one["Type"] == "CommaDelimitedList":
                self.values[key] = self.given[key].split(",")
        for rule in self.template["Rules"].values():
            for assertion in rule["Assertions"] if self.value(rule["RuleCondition"]) else ():
                if not self.value(assertion["Assert"]):
                    raise Refused(assertion["AssertDescription"])

    def _check(self, key: str, one: dict[str, Any]) -> None:
        if key not in self.given:
            raise Refused(f"Parameters: [{key}] must have values")
        text = self.given[key]
        fits = re.fullmatch(one.get("AllowedPattern", ".*"), text) is not None
        fits &= text in one.get("AllowedValues", [text])
        if one["Type"] == "Number":
            fits &= one.get("MinValue", 0) <= float(text) <= one.get("MaxValue", 1e9)
        fits &= one.get("MinLength", 0) <= len(text) <= one.get("MaxLength", 4096)
        if not fits:
            why = one.get("ConstraintDescription", "")
            raise Refused(f"Parameter {key} failed to satisfy constraint: {why}")

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [item for each in node if (item := self.value(each)) is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        key, argument = next(iter(node.items()))
        if key.startswith("Fn::"):
            return self._call(key[4:], argument)
        values = {key: self.value(each) for key, each in node.items()}
        return {key: each for key, each in values.items() if each is not NO_VALUE}

    def _call(self, name: str, argument: Any) -> Any:
        if name == "If":
            return self.value(argument[1] if self.condition(argument[0]) else argument[2])
        return {
            "Ref": lambda: self.values.get(argument, f"<{argument}>"),
            "GetAtt": lambda: self.real.get(argument, f"<{argument}>"),
            "Sub": lambda: re.sub(r"\$\{([^}]+)\}", self._substitute, argument),
            "Equals": lambda: self.value(argument[0]) == self.value(argument[1]),
            "Not": lambda: not self.value(argument[0]),
            "And": lambda: all(self.value(argument)),
            "Join": lambda: argument[0].join(self.value(argument[1])),
            "Condition": lambda: self.condition(argument),
        }[name]()

    def _substitute(self, match: re.Match[str]) -> str:
        return str(self.values.get(match[1], self.real.get(match[1], f"<{match[1]}>")))

    def condition(self, name: str) -> bool:
        return bool(self.value(self.template["Conditions"][name]))

    def _there(self, section: str) -> dict[str, Any]:
        items = self.template[section].items()
        return {k: v for k, v in items if "Condition" not in v or self.condition(v["Condition"])}

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return what is made, in an order in which it can be, with type and properties."""
        return {
            key: {"Type": one["Type"], "Properties": self.value(one["Properties"])}
            for key, one in self._there("Resources").items()
        }

    def outputs(self) -> list[dict[str, str]]:
        return [
            {"OutputKey": key, "OutputValue": str(self.value(one["Value"])),
             "Description": one["Description"]}
            for key, one in self._there("Outputs").items()
        ]  # fmt: skip


def create_only(kind: str) -> set[str]:
    """Return the properties whose change replaces the resource, from its published schema."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}
