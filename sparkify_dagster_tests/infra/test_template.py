"""The CloudFormation template asks for what `up` sends: both are brought to one form and compared.

The template is read by a small evaluator of the functions it uses; the requests are those that
botocore really sent.
"""

import json
import re
from importlib.resources import files
from typing import Any

import pytest
import yaml
from cfnlint import ConfigMixIn
from cfnlint.runner import Runner

from sparkify_dagster.infra import engine
from sparkify_dagster.infra.aws import Aws
from sparkify_dagster.infra.engine import Run
from sparkify_dagster.infra.settings import S3Prefix, Settings
from sparkify_dagster_tests.infra.conftest import settings_of
from sparkify_dagster_tests.infra.doubles import ACCOUNT, REGION, Cloud

TEMPLATE = files("sparkify_dagster.infra") / "cloudformation.yaml"
NO_VALUE = object()


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms as {"Fn::Name": argument}."""


def _short_form(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _short_form)


class Stack:
    """The template with parameters filled in."""

    def __init__(self, **parameters: str) -> None:
        self.template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader)
        defaults = {
            name: str(declared["Default"])
            for name, declared in self.template["Parameters"].items()
            if "Default" in declared
        }
        self.values: dict[str, Any] = defaults | parameters
        for name, declared in self.template["Parameters"].items():
            assert name in self.values, name
            pattern = declared.get("AllowedPattern")
            if pattern:
                assert re.fullmatch(pattern, self.values[name]), name
        subnets = self.values["SubnetIds"]
        self.values["SubnetIds"] = subnets.split(",") if subnets else []
        self.values |= {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::NoValue": NO_VALUE,
        }

    def condition(self, name: str) -> bool:
        return bool(self.value(self.template["Conditions"][name]))

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [item for each in node if (item := self.value(each)) is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (key, argument) = next(iter(node.items()))
            if key.startswith("Fn::"):
                return getattr(self, "fn_" + key[4:].lower())(argument)
        evaluated = {key: self.value(each) for key, each in node.items()}
        return {key: each for key, each in evaluated.items() if each is not NO_VALUE}

    def fn_ref(self, name: str) -> Any:
        return self.values.get(name, f"<{name}>")

    def fn_getatt(self, path: str) -> str:
        return f"<{path}>"

    def fn_sub(self, text: str) -> str:
        return re.sub(r"\$\{([^}]+)\}", lambda match: str(self.fn_ref(match[1])), text)

    def fn_if(self, argument: list[Any]) -> Any:
        return self.value(argument[1] if self.condition(argument[0]) else argument[2])

    def fn_equals(self, argument: list[Any]) -> bool:
        left, right = self.value(argument)
        return bool(left == right)

    def fn_not(self, argument: list[Any]) -> bool:
        return not self.value(argument[0])

    def fn_and(self, argument: list[Any]) -> bool:
        return all(self.value(argument))

    def fn_condition(self, name: str) -> bool:
        return self.condition(name)

    def fn_join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(self.value(argument[1]))

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return type -> properties of what this stack makes."""
        return {
            item["Type"]: self.value(item["Properties"])
            for item in self.template["Resources"].values()
            if "Condition" not in item or self.condition(item["Condition"])
        }

    def outputs(self) -> dict[str, Any]:
        """Return description -> value of the outputs."""
        return {
            item["Description"]: self.value(item["Value"])
            for item in self.template["Outputs"].values()
            if "Condition" not in item or self.condition(item["Condition"])
        }


def stack_for(settings: Settings, vpc: str) -> Stack:
    optional = {"AllowCidr": settings.allow_cidr} if settings.allow_cidr else {}
    return Stack(
        Name=settings.name,
        Kind=settings.kind,
        LakeBucket=settings.lake.bucket,
        LakePrefix=settings.lake.prefix,
        ManifestBucket=settings.manifests.bucket,
        ManifestPrefix=settings.manifests.prefix,
        VpcId=vpc,
        SubnetIds=",".join(settings.subnet_ids),
        PubliclyAccessible=str(settings.publicly_accessible).lower(),
        Database=settings.database,
        BaseRpu=str(settings.base_rpu),
        MaxRpu=str(settings.max_rpu),
        UsageLimit=str(settings.usage_limit),
        NodeType=settings.node_type,
        NodeCount=str(settings.node_count),
        SnapshotDays=str(settings.snapshot_days),
        **optional,
    )


def plain(value: Any) -> Any:
    """Bring both sides to one form: capital keys, tags as a dict, sorted; scalars as text."""
    if isinstance(value, list):
        items = [plain(item) for item in value]
        if items and all(
            isinstance(item, dict) and set(item) == {"Key", "Value"} for item in items
        ):
            return {item["Key"]: item["Value"] for item in items}
        return items
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: plain(item) for key, item in value.items()}
    return str(value).lower() if isinstance(value, bool) else str(value)


def requested(cloud: Cloud, references: dict[str, str]) -> dict[str, Any]:
    """Return type -> properties, from the requests of `up`, ids replaced by references."""
    text = json.dumps(
        {call.operation: call.params for call in cloud.writes if call.operation != "TagResource"}
    )
    for real, reference in references.items():
        text = text.replace(real, reference)
    sent = json.loads(text)
    role = sent["CreateRole"]
    document = json.loads(sent["PutRolePolicy"]["PolicyDocument"])
    role["Policies"] = [
        {"PolicyName": sent["PutRolePolicy"]["PolicyName"], "PolicyDocument": document}
    ]
    role["AssumeRolePolicyDocument"] = json.loads(role["AssumeRolePolicyDocument"])
    group = sent["CreateSecurityGroup"]
    group["GroupDescription"] = group.pop("Description")
    (group_tags,) = group.pop("TagSpecifications")
    group["Tags"] = group_tags["Tags"]
    rules = sent.get("AuthorizeSecurityGroupIngress", {}).get("IpPermissions", [])
    for rule in rules:
        (network,) = rule.pop("IpRanges")
        rule.update(network)
    group["SecurityGroupIngress"] = rules
    secret = sent["CreateSecret"]
    secret.pop("ClientRequestToken")  # botocore's, against a double creation by its own retry
    content = json.loads(secret.pop("SecretString"))
    length = len(content.pop("password"))
    secret["GenerateSecretString"] = {
        "SecretStringTemplate": json.dumps(content),
        "GenerateStringKey": "password",
        "PasswordLength": length,
        "ExcludePunctuation": True,
    }
    result = {
        "AWS::EC2::SecurityGroup": group,
        "AWS::IAM::Role": role,
        "AWS::SecretsManager::Secret": secret,
    }
    if "CreateNamespace" in sent:
        result["AWS::RedshiftServerless::Namespace"] = sent["CreateNamespace"]
        result["AWS::RedshiftServerless::Workgroup"] = sent["CreateWorkgroup"]
    else:
        parameters = sent["CreateClusterParameterGroup"]
        parameters["Parameters"] = sent["ModifyClusterParameterGroup"]["Parameters"]
        result["AWS::Redshift::ClusterParameterGroup"] = parameters
        result["AWS::Redshift::Cluster"] = sent["CreateCluster"]
        if "CreateClusterSubnetGroup" in sent:
            subnets = sent["CreateClusterSubnetGroup"]
            subnets.pop("ClusterSubnetGroupName")  # CloudFormation chooses it
            result["AWS::Redshift::ClusterSubnetGroup"] = subnets
    return {kind: plain(properties) for kind, properties in result.items()}


CASES = {
    "serverless": {},
    "serverless, public": {"publicly_accessible": True, "allow_cidr": "203.0.113.7/32"},
    "serverless, other sizes and places": {
        "name": "music-2",
        "database": "music",
        "base_rpu": 32,
        "max_rpu": 64,
        "lake": S3Prefix("music-lake", ""),
        "manifests": S3Prefix("music-work", "copy/lists/"),
        "allow_cidr": "10.0.0.0/8",
    },
    "cluster": {"kind": "provisioned"},
    "cluster, public, larger": {
        "kind": "provisioned",
        "publicly_accessible": True,
        "allow_cidr": "203.0.113.0/24",
        "node_type": "ra3.xlplus",
        "node_count": 2,
        "snapshot_days": 7,
    },
}


@pytest.mark.parametrize("in_subnets", [False, True], ids=["default VPC", "subnets"])
@pytest.mark.parametrize("case", CASES)
def test_template_and_up_ask_for_the_same(
    case: str, in_subnets: bool, cloud: Cloud, aws: Aws, run: Run
) -> None:
    answer = aws.client("ec2").describe_subnets()["Subnets"]
    subnets = tuple(subnet["SubnetId"] for subnet in answer[:3]) if in_subnets else ()
    settings = settings_of(**CASES[case], subnet_ids=subnets)
    values = engine.up(run, settings)
    stack = stack_for(settings, answer[0]["VpcId"])
    password = json.loads(cloud.sent("CreateSecret")[0]["SecretString"])["password"]
    group = engine.network.find(aws, settings.names)
    assert group is not None
    references = {
        group.raw["GroupId"]: "<SecurityGroup.GroupId>",
        f"arn:aws:iam::{ACCOUNT}:role/{settings.names.role}": "<CopyRole.Arn>",
    }
    if settings.kind == "provisioned":
        references |= {
            f'"ClusterParameterGroupName": "{settings.names.parameter_group}"': (
                '"ClusterParameterGroupName": "<ParameterGroup>"'
            ),
            f'"ClusterSubnetGroupName": "{settings.names.subnet_group}", "V': (
                '"ClusterSubnetGroupName": "<SubnetGroup>", "V'
            ),
        }
    wanted = requested(cloud, references)
    described = {kind: plain(properties) for kind, properties in stack.resources().items()}
    assert set(described) == set(wanted)
    resolved = "{{resolve:secretsmanager:<AdminSecret>:SecretString:password}}"
    for kind, properties in wanted.items():
        theirs = described[kind]
        assert theirs["Tags"].pop("sparkify:managed-by") == "cloudformation"
        assert properties["Tags"].pop("sparkify:managed-by") == "sparkify-infra"
        for key in ("AdminUserPassword", "MasterUserPassword"):
            if key in properties:
                assert properties[key] == password
                properties[key] = resolved
        if kind == "AWS::RedshiftServerless::Workgroup":
            properties["NamespaceName"] = "<Namespace>"
        if kind == "AWS::Redshift::Cluster" and in_subnets:
            properties["ClusterSubnetGroupName"] = "<SubnetGroup>"
        assert theirs == properties, kind
    outputs = stack.outputs()
    outputs.pop("Sets the usage limit, which CloudFormation cannot.", None)
    assert set(outputs) == set(values)
    for key in ("SPARKIFY_LAKE", "SPARKIFY_MANIFEST_PREFIX"):
        assert outputs[key].rstrip("/") == values[key]
    for key in ("SPARKIFY_TARGET", "AWS_REGION", "REDSHIFT_PORT", "REDSHIFT_DATABASE"):
        assert outputs[key] == values[key]


def test_the_usage_limit_of_the_template_s_command(cloud: Cloud, run: Run) -> None:
    engine.up(run, settings_of())
    (limit,) = cloud.sent("CreateUsageLimit")
    stack = stack_for(settings_of(), "vpc-1")
    words = stack.outputs()["Sets the usage limit, which CloudFormation cannot."].split()
    assert words[:3] == ["aws", "redshift-serverless", "create-usage-limit"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options == {
        "--usage-type": limit["usageType"],
        "--period": limit["period"],
        "--breach-action": limit["breachAction"],
        "--amount": str(limit["amount"]),
        "--resource-arn": "<Workgroup.Workgroup.WorkgroupArn>",
    }


def test_defaults_of_the_template_are_those_of_the_settings() -> None:
    values = Stack(LakeBucket="b", ManifestBucket="b", VpcId="vpc-1").values
    assert {
        "Name": "sparkify",
        "Kind": Settings.kind,
        "PubliclyAccessible": "false",
        "AllowCidr": "",
        "Database": Settings.database,
        "BaseRpu": str(Settings.base_rpu),
        "MaxRpu": str(Settings.max_rpu),
        "UsageLimit": str(Settings.usage_limit),
        "NodeType": Settings.node_type,
        "NodeCount": str(Settings.node_count),
        "SnapshotDays": str(Settings.snapshot_days),
    }.items() <= values.items()


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "10.0.0.0/7"])
def test_the_template_refuses_wide_networks_too(cidr: str) -> None:
    pattern = Stack(LakeBucket="b", ManifestBucket="b", VpcId="v").template["Parameters"][
        "AllowCidr"
    ]["AllowedPattern"]
    assert re.fullmatch(pattern, "203.0.113.7/32")
    assert re.fullmatch(pattern, "10.0.0.0/8")
    assert not re.fullmatch(pattern, cidr)


def test_the_template_asks_public_stacks_for_a_network() -> None:
    stack = Stack(LakeBucket="b", ManifestBucket="b", VpcId="v", PubliclyAccessible="true")
    (rule,) = stack.template["Rules"].values()
    (assertion,) = rule["Assertions"]
    assert stack.value(rule["RuleCondition"])
    assert not stack.value(assertion["Assert"])
    stack.values["AllowCidr"] = "203.0.113.7/32"
    assert stack.value(assertion["Assert"])


def test_cfn_lint_finds_nothing() -> None:
    config = ConfigMixIn(templates=[str(TEMPLATE)], regions=["us-east-1", "us-west-2", "eu-west-1"])
    assert [str(match) for match in Runner(config).run()] == []
