"""The first deployment on AWS as docs/operations.md tells it: its own commands, against doubles."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.infra.conftest import Sparkify
from sparkify_dagster_tests.support import access_double, redshift_stage
from sparkify_dagster_tests.support.redshift_stage import LAKE, PASSWORD, REGION, Stage, s3_url
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

__all__ = ["s3_url"]

GUIDE = (REPOSITORY / "docs/operations.md").read_text("utf-8")
SECTION = GUIDE.partition("\nOn AWS, in this order.")[2].partition("\n## ")[0]
STEPS = re.split(r"^\d\. ", SECTION, flags=re.M)[1:]
LOADER = "Quite-other-5b1d"


@pytest.fixture
def stage(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    access_double.know_rights(monkeypatch)
    monkeypatch.setattr(redshift_stage, "RedshiftDouble", access_double.AccessDouble)
    with redshift_stage.open_stage(s3_url, monkeypatch) as running:
        yield running


def commands(step: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Give the commands of a step of the guide: the variables before each, and its words."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```$", step, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
            yield given, [word for word in words if not re.match(r"[A-Z_]+=", word)]


def test_every_step_works_without_an_edit_that_the_guide_does_not_name(
    stage: Stage,
    sparkify: Sparkify,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_command: Callable[..., subprocess.CompletedProcess[str]],
    s3_url: str,
) -> None:
    lake = TinyLake(tmp_path / "lake")
    lake.write_events("2018-11-01", [event()])
    lake.write_songs("A/A/A/TR1", [song()])
    stage.bucket.put_folder(lake.folder)
    double, env_file = stage.double, sparkify.env_file
    secrets = boto3.client("secretsmanager", region_name=REGION)
    place = {"host": double.host, "port": double.port, "dbname": double.database}

    def secret(name: str, **content: str | int) -> str:
        return str(secrets.create_secret(Name=name, SecretString=json.dumps(content))["ARN"])

    # AWS makes the admin's secret, without a place, and tells the place as the stack's outputs.
    admin = secret("redshift!sparkify-admin", username=double.user, password=PASSWORD)
    sparkify.cloud.outputs = {
        "REDSHIFT_HOST": double.host, "REDSHIFT_PORT": str(double.port), "AWS_REGION": REGION,
        "REDSHIFT_DATABASE": double.database, "Cluster.MasterPasswordSecretArn": admin}  # fmt: skip
    own = secret("sparkify/dagster", username="dagster", password=LOADER, **place)

    def make_the_user(text: str) -> None:
        assert "`CREATE USER dagster PASSWORD" in text
        for key in ("username", "password", *place):
            assert f'"{key}": ' in text
        double.passwords["dagster"] = LOADER  # the double has no CREATE USER
        for user in ("dagster", "ann"):
            double.rows("INSERT INTO redshift_internal.principals VALUES ('user', ?)", [user])

    def change_the_secret(text: str) -> None:
        assert "In `.env`, set `REDSHIFT_SECRET_ARN` to the secret of step 2." in text
        env_file.write_text(env_file.read_text().replace(admin, own))

    by_hand = {2: make_the_user, 4: change_the_secret}
    said: dict[str, str] = {}
    shell = {"AWS_ENDPOINT_URL": s3_url, "AWS_ACCESS_KEY_ID": "AKIDWIRE",
             "AWS_SECRET_ACCESS_KEY": "x", "SSL_CERT_FILE": double.ca_file}  # fmt: skip
    for number, told in enumerate(STEPS, 1):
        by_hand.get(number, lambda _: None)(" ".join(told.split()))
        text = told.replace("s3://my-bucket/sparkify", LAKE).replace("us-west-2", REGION)
        for given, words in commands(re.sub(r"'arn:[^']*redshift!\.\.\.'", admin, text)):
            if words == ["export"]:
                shell |= given
                for name in given:
                    monkeypatch.setenv(name, given[name])
            elif words[1:2] == ["infra"] and words[2] in ("plan", "up"):
                said[" ".join(words)] = sparkify(*words[2:])
            else:
                result = run_command(*words, **shell, **given)
                assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
                assert "trying again" not in result.stderr
                said[" ".join(words)] = result.stdout
    assert [" ".join(words) for step in STEPS for _, words in commands(step)] == ["export", *said]
    assert "GRANT ROLE sparkify_loader" in said["sparkify grants --loader dagster"]
    assert own in said["sparkify infra host-policy"]
    assert admin not in said["sparkify infra host-policy"]
    assert "songplays" in said["sparkify status"]
    assert len(stage.rows("analytics.songplays")) == 1
    assert stage.bucket.keys("in/put/manifests/") == []
    assert 'GRANT ROLE sparkify_analyst TO "ann"' in said["sparkify grants --analyst ann"]
    # A later `up` leaves the loading user's login in place.
    before = env_file.read_text()
    assert "is yours and stays" in sparkify("up")
    assert env_file.read_text() == before
