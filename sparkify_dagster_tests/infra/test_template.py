"""Who may reach the warehouse, who may assume its role, what is encrypted, for every option."""

import json
from typing import Any

import pytest
from cfnlint import ConfigMixIn
from cfnlint.runner import Runner

from sparkify_dagster.infra.options import FOLDER, TEMPLATE, host_policy, places
from sparkify_dagster_tests.infra.template import ACCOUNT, REGION, Refused, Rendered

NEEDED = {"LakeBucket": "music", "LakePrefix": "in/", "ManifestBucket": "copy", "VpcId": "vpc-1"}
CLUSTER = {"Provisioned": "true"}
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1-2"
CIDR = {"AllowCidr": "203.0.113.7/32"}
INGRESS = [{"IpProtocol": "tcp", "FromPort": 5439, "ToPort": 5439, "CidrIp": CIDR["AllowCidr"],
            "Description": "--allow-cidr"}]  # fmt: skip
REDSHIFT = f"arn:aws:redshift:{REGION}:{ACCOUNT}"
TLS = [{"ParameterName": "require_ssl", "ParameterValue": "true"}]
# What is given, the resource, and what its properties have to be; None: not there.
OPTIONS: list[tuple[dict[str, str], str, dict[str, Any]]] = [
    ({}, "SecurityGroup", {"SecurityGroupIngress": [], "VpcId": "vpc-1"}),
    (CIDR, "SecurityGroup", {"SecurityGroupIngress": INGRESS}),
    ({"Name": "music-2"}, "SecurityGroup", {"GroupName": "music-2-redshift"}),
    ({}, "Workgroup", {
        "PubliclyAccessible": "false", "SecurityGroupIds": ["<SecurityGroup.GroupId>"],
        "SubnetIds": None,
        "ConfigParameters": [{"ParameterKey": "require_ssl", "ParameterValue": "true"}]}),
    (CIDR | {"Public": "true"}, "Workgroup", {"PubliclyAccessible": "true"}),
    ({"SubnetId": "a,b"}, "Workgroup", {"SubnetIds": ["a", "b"]}),
    ({"BaseRpu": "32", "MaxRpu": "64"}, "Workgroup", {"BaseCapacity": "32", "MaxCapacity": "64"}),
    ({"Database": "music"}, "Namespace", {
        "ManageAdminPassword": True, "AdminUserPassword": None, "IamRoles": ["<CopyRole.Arn>"],
        "DbName": "music"}),
    (CLUSTER, "Cluster", {
        "PubliclyAccessible": "false", "Encrypted": True, "ManageMasterPassword": True,
        "MasterUserPassword": None, "VpcSecurityGroupIds": ["<SecurityGroup.GroupId>"],
        "IamRoles": ["<CopyRole.Arn>"], "ClusterParameterGroupName": "<ParameterGroup>",
        "ClusterSubnetGroupName": None, "NumberOfNodes": None}),
    (CLUSTER, "ParameterGroup", {"Parameters": TLS}),
    (CLUSTER | CIDR | {"Public": "true"}, "Cluster", {"PubliclyAccessible": "true"}),
    (CLUSTER | {"SubnetId": "a"}, "Cluster", {"ClusterSubnetGroupName": "<SubnetGroup>"}),
    (CLUSTER | {"SubnetId": "a"}, "SubnetGroup", {"SubnetIds": ["a"]}),
    (CLUSTER | {"Database": "music"}, "Cluster", {"DBName": "music"}),
    (CLUSTER | {"NodeType": "ra3.xlplus"}, "Cluster", {"NodeType": "ra3.xlplus"}),
    (CLUSTER | {"Nodes": "2"}, "Cluster", {"NumberOfNodes": "2", "ClusterType": "multi-node"}),
    (CLUSTER | {"SnapshotDays": "7"}, "Cluster", {"AutomatedSnapshotRetentionPeriod": "7"}),
]  # fmt: skip


def properties(given: dict[str, str], resource: str) -> dict[str, Any]:
    made: dict[str, Any] = Rendered(TEMPLATE, NEEDED | given).resources()[resource]["Properties"]
    return made


@pytest.mark.parametrize(("given", "resource", "wanted"), OPTIONS)
def test_what_each_option_makes(given: dict[str, str], resource: str, wanted: Any) -> None:
    made = properties(given, resource)
    assert {name: made.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("given", [{}, CLUSTER], ids=["serverless", "cluster"])
def test_who_may_assume_the_role(given: dict[str, str]) -> None:
    (trust,) = properties(given, "CopyRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    serverless = REDSHIFT.replace("redshift", "redshift-serverless")
    whose = f"{REDSHIFT}:cluster:sparkify" if given else [f"{serverless}:*", f"{REDSHIFT}:*"]
    assert trust["Condition"]["ArnLike"] == {"aws:SourceArn": whose}
    services = ["redshift-serverless.amazonaws.com", "redshift.amazonaws.com"]
    assert trust["Principal"] == {"Service": services[1] if given else services}


def allowed(statements: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    """Return the prefixes by action and resource."""
    found = {}
    for one in statements:
        assert one["Effect"] == "Allow"
        for action in one["Action"] if isinstance(one["Action"], list) else [one["Action"]]:
            for arn in one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]:
                assert (action, arn) not in found
                found[action, arn] = one.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
    return found


DATA = ["in/log_data/*", "in/song_data/*", "in/log_json_path.json"]
READ = {("s3:ListBucket", "arn:aws:s3:::music"): DATA,
        ("s3:ListBucket", "arn:aws:s3:::copy"): "manifests/*",
        ("s3:GetObject", "arn:aws:s3:::copy/manifests/*"): None,
        **{("s3:GetObject", f"arn:aws:s3:::music/{key}"): None for key in DATA}}  # fmt: skip


def test_copy_may_read_lake_and_manifests_and_nothing_else() -> None:
    for given, more in (({}, {}), ({"KmsKeyArn": KEY}, {("kms:Decrypt", KEY): None})):
        role = properties(given, "CopyRole")
        (policy,) = role["Policies"]
        assert allowed(policy["PolicyDocument"]["Statement"]) == READ | more
        assert "ManagedPolicyArns" not in role


SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:sparkify/dagster-x"
ROLE = {"REDSHIFT_IAM_ROLE": f"arn:aws:iam::{ACCOUNT}:role/c", "AWS_REGION": REGION}
LOGINS: list[tuple[dict[str, str], dict[tuple[str, str], None]]] = [
    ({}, {}),
    ({"KmsKeyArn": KEY}, {("kms:Decrypt", KEY): None, ("kms:GenerateDataKey", KEY): None}),
    ({"REDSHIFT_SECRET_ARN": SECRET}, {("secretsmanager:GetSecretValue", SECRET): None}),
    (ROLE | {"REDSHIFT_WORKGROUP": "w"},
     {(f"redshift-serverless:{name}",
       f"arn:aws:redshift-serverless:{REGION}:{ACCOUNT}:workgroup/*"): None
      for name in ("GetCredentials", "GetWorkgroup")}),
    (ROLE | {"REDSHIFT_CLUSTER_ID": "c", "REDSHIFT_USER": "u", "REDSHIFT_DATABASE": "d"},
     {("redshift:GetClusterCredentials", f"{REDSHIFT}:dbuser:c/u"): None,
      ("redshift:GetClusterCredentials", f"{REDSHIFT}:dbname:c/d"): None,
      ("redshift:DescribeClusters", f"{REDSHIFT}:cluster:c"): None}),
]  # fmt: skip


@pytest.mark.parametrize(("login", "more"), LOGINS)
def test_rights_of_the_host(login: dict[str, str], more: dict[tuple[str, str], None]) -> None:
    policy = host_policy(places("s3://music/in", "s3://copy/manifests") | login)
    manifests = "arn:aws:s3:::copy/manifests/*"
    kept = {("s3:PutObject", manifests): None, ("s3:DeleteObject", manifests): None}
    assert allowed(policy["Statement"]) == READ | kept | more
    assert all(one["Sid"].isalnum() for one in policy["Statement"])
    assert "$" not in json.dumps(policy)


REFUSED = [
    {"AllowCidr": cidr} for cidr in ("0.0.0.0/0", "::/0", "10.0.0.0/7", "10.0.0.256/32", "10.0.0.0")
] + [
    {"Public": "true"}, {"Name": "No"}, {"Name": "a--b"}, {"LakePrefix": "a*/"},
    {"LakePrefix": "in"}, {"ManifestPrefix": ""}, {"Database": "a b"}, {"KmsKeyArn": "*"},
    {"BaseRpu": "2"}, {"UsageLimit": "0"}, {"Nodes": "0"}, {"SnapshotDays": "36"},
    {"Provisioned": "maybe"},
]  # fmt: skip


@pytest.mark.parametrize("given", REFUSED, ids=str)
def test_what_the_template_refuses(given: dict[str, str]) -> None:
    with pytest.raises(Refused):
        Rendered(TEMPLATE, NEEDED | given)


def test_cfn_lint_finds_nothing_and_no_password_passes_through() -> None:
    path = str(FOLDER / "cloudformation.yaml")
    config = ConfigMixIn(templates=[path], regions=["us-east-1", "us-west-2", "eu-west-1"])
    assert [str(match) for match in Runner(config).run()] == []
    assert not any(word in TEMPLATE for word in ("UserPassword", "resolve:", "GenerateSecret"))
