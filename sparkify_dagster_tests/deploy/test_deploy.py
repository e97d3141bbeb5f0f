"""The files to deploy with: they agree with each other, and with the tools that read them."""

import importlib
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from dagster import Shape
from dagster._config import process_config
from dagster._core.workspace.config_schema import process_workspace_config
from moto import mock_aws

from sparkify_dagster_tests.conftest import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
UNITS = {unit.stem.removeprefix("sparkify-"): unit for unit in DEPLOY.glob("systemd/*.service")}
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")
WORKFLOW = (REPOSITORY / ".github/workflows/ci.yml").read_text("utf-8")
PROCESSES = ("code", "webserver", "daemon")
# Where the image has what a host keeps in the release.
IN_THE_IMAGE = {
    "/opt/sparkify/current/.venv/bin/": "",
    "/opt/sparkify/current/deploy/": "/opt/sparkify/",
}


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _services() -> dict[str, Any]:
    services: dict[str, Any] = _yaml(REPOSITORY / "compose.yaml")["services"]
    return services


def _containers() -> dict[str, Any]:
    containers = _yaml(DEPLOY / "ecs-task.yaml")["containerDefinitions"]
    return {container["name"]: container for container in containers}


def _settings(unit: Path) -> dict[str, str]:
    lines = re.findall(r"^(\w+)=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    return dict(lines)


def _host_words(command: list[str]) -> list[str]:
    """Return a container's command as a unit has it: its UI listens on the host alone."""
    return ["127.0.0.1" if word == "0.0.0.0" else word for word in command]


def test_all_three_ways_start_the_same_three_processes() -> None:
    assert set(_services()) == {*PROCESSES, "postgres"}
    assert set(UNITS) == set(_containers()) == set(PROCESSES)
    for name in PROCESSES:
        command = _services()[name]["command"]
        on_host = _settings(UNITS[name])["ExecStart"]
        for host, image in IN_THE_IMAGE.items():
            on_host = on_host.replace(host, image)
        assert on_host.split() == _host_words(command)
        assert _containers()[name]["command"] == command


def test_every_variable_of_the_example_reaches_every_process() -> None:
    example = (REPOSITORY / ".env.example").read_text("utf-8")
    names = set(re.findall(r"^#?([A-Z][A-Z_]+)=", example, re.MULTILINE))
    for name in PROCESSES:
        service = _services()[name]
        assert service["env_file"] == ".env"
        for variable, value in service["environment"].items():
            # Nothing hides what .env says.
            assert variable in names
            assert value.startswith((f"${{{variable}:-", f"${{{variable}:?"))
        settings = UNITS[name].read_text("utf-8")
        assert "\nEnvironmentFile=/etc/sparkify/sparkify.env\n" in settings
        assert re.findall(r"^Environment=(\w+)=", settings, re.MULTILINE) == ["DAGSTER_HOME"]
        assert "environmentFiles" in _containers()[name]


@pytest.mark.parametrize(
    "path",
    [
        *("compose.yaml", "deploy/dagster.production.yaml", "deploy/dagster.ecs.yaml"),
        "deploy/try_image.py",
    ],
)
def test_what_the_files_read_is_in_the_example(path: str) -> None:
    example = (REPOSITORY / ".env.example").read_text("utf-8")
    text = (REPOSITORY / path).read_text("utf-8")
    read = re.findall(r"\$\{(\w+):|\{env: (\w+)\}|\"(DAGSTER_PG_\w+)\"", text)
    names = {name for found in read for name in found if name} - {"AWS_REGION"}
    assert names
    for name in names:
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name


def test_every_service_says_whether_it_is_well_and_keeps_its_data() -> None:
    services = _services()
    for name, service in services.items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped"
    declared = set(_yaml(REPOSITORY / "compose.yaml")["volumes"])
    mounts = [volume.split(":") for service in services.values() for volume in service["volumes"]]
    assert {name for name, _ in mounts} == declared
    for name in PROCESSES:
        for _, folder in (volume.split(":") for volume in services[name]["volumes"]):
            # A new volume takes its owner from the folder of the image.
            assert re.search(rf"install -d -o sparkify .*{folder}\b", DOCKERFILE), folder
    for name in ("webserver", "daemon"):
        assert services[name]["depends_on"]["code"] == {"condition": "service_healthy"}
    assert services["webserver"]["ports"] == ["127.0.0.1:3000:3000"]


def test_the_code_server_has_the_time_that_a_run_may_take() -> None:
    longest = _yaml(DEPLOY / "dagster.production.yaml")["run_monitoring"]["max_runtime_seconds"]
    unit = _settings(UNITS["code"])
    assert int(unit["TimeoutStopSec"]) > longest
    assert int(_services()["code"]["stop_grace_period"].rstrip("s")) > longest
    # Only the server is told to stop: a signal to the run would end it.
    assert unit["KillMode"] == "mixed"


def test_the_code_location_has_one_name() -> None:
    name = _yaml(REPOSITORY / "workspace.yaml")["load_from"][0]["python_module"]["location_name"]
    workspace = _yaml(DEPLOY / "workspace.yaml")
    assert process_workspace_config(workspace).success
    server = workspace["load_from"][0]["grpc_server"]
    command = _services()["code"]["command"]
    cloud = _yaml(REPOSITORY / "dagster_cloud.yaml")["locations"][0]
    assert server["location_name"] == name == cloud["location_name"]
    assert command[command.index("--location-name") + 1] == name
    assert command[command.index("--socket") + 1] == server["socket"]
    assert command[command.index("--module-name") + 1] == cloud["code_source"]["module_name"]
    for unit in UNITS.values():
        words = _settings(unit)["ExecStart"].split()
        if "--workspace" in words:
            path = words[words.index("--workspace") + 1]
            assert (REPOSITORY / path.removeprefix("/opt/sparkify/current/")).samefile(
                DEPLOY / "workspace.yaml"
            )


def test_the_image_has_the_project_s_python_and_its_lock() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    version = f"{project['tool']['mypy']['python_version']}"
    assert project["project"]["requires-python"].startswith(f">={version},")
    assert re.search(rf"^ARG BASE=\S+/python:{re.escape(version)}-slim-\w+$", DOCKERFILE, re.M)
    assert set(re.findall(r"python3\.\d+", DOCKERFILE)) == {f"python{version}"}
    installs = re.findall(r"pip install .*", DOCKERFILE)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes -r " in install or "--no-deps --no-build-isolation ." in install
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_the_lock_of_production_fits_the_others() -> None:
    pins = {
        name: dict(
            re.findall(
                r"^([\w.-]+)==([^\s;]+)",
                (REPOSITORY / f"requirements/{name}.txt").read_text(),
                re.M,
            )
        )
        for name in ("run", "dev", "production")
    }
    assert {"dagster-postgres", "psycopg2-binary"} == set(pins["production"])
    assert pins["production"].items() <= pins["dev"].items()
    assert pins["production"]["dagster-postgres"] == pins["run"]["dagster-aws"]


def test_the_build_sees_what_it_copies_and_no_more() -> None:
    allowed = re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text("utf-8"), re.M)
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {path for line in lines for path in line.split()}
    assert copied == set(allowed)
    for path in copied:
        assert (REPOSITORY / path).exists(), path


def test_compose_file_is_read_by_compose() -> None:
    if not (compose := shutil.which("podman-compose")):
        pytest.skip("podman-compose is not installed")
    read = subprocess.run(
        [compose, "-f", "compose.yaml", "config"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
        env={"DAGSTER_PG_PASSWORD": "x"},
    )
    assert all(f"{name}:" in read.stdout for name in _services())


def _systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not (analyze := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(
        [analyze, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("name", PROCESSES)
def test_unit_is_hardened(name: str) -> None:
    assert _settings(UNITS[name])["UMask"] == "0027"
    result = _systemd_analyze(
        "security", "--offline=true", "--threshold=30", "--no-pager", str(UNITS[name])
    )
    # Exit code 1: more exposed than the threshold, in tenths.
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Overall exposure level" in result.stdout


@pytest.mark.parametrize("name", PROCESSES)
def test_unit_is_understood(name: str, tmp_path: Path) -> None:
    # The commands are not where a host has them, which alone would be an error.
    text = UNITS[name].read_text("utf-8")
    unit = tmp_path / UNITS[name].name
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    result = _systemd_analyze("verify", str(unit))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_ecs_takes_the_task() -> None:
    task = _yaml(DEPLOY / "ecs-task.yaml")
    with mock_aws():
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        made = boto3.client("ecs", "us-west-2", **keys).register_task_definition(**task)
    images = {container["image"] for container in made["taskDefinition"]["containerDefinitions"]}
    assert len(images) == 1
    assert images.pop().endswith("/sparkify_dagster:latest")


@pytest.mark.parametrize("name", ["run_launcher", "compute_logs"])
def test_ecs_file_fits_the_classes_it_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKIFY_LOG_BUCKET", "logs")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    production = (REPOSITORY / "deploy/dagster.production.yaml").read_text("utf-8")
    added = (REPOSITORY / "deploy/dagster.ecs.yaml").read_text("utf-8")
    # As the file says: one after the other, without a key that is there twice.
    assert not yaml.safe_load(production).keys() & yaml.safe_load(added).keys()
    block = yaml.safe_load(production + added)[name]
    named = getattr(importlib.import_module(block["module"]), block["class"])
    result = process_config(Shape(named.config_type()), block["config"])
    assert result.success, result.errors


def test_workflow_does_what_ci_does() -> None:
    jobs = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    ours = re.findall(r"^make [\w-]+", (REPOSITORY / ".ci/run").read_text("utf-8"), re.M)
    assert len(ours) >= 4
    assert [step for step in steps if step.startswith("make ")] == ours
    assert any("dagster job execute -m sparkify_dagster.definitions -j sparkify_etl" in s
               for s in steps)  # fmt: skip


def test_actions_of_the_workflow_are_pinned() -> None:
    actions = re.findall(r"uses: (.+)", WORKFLOW)
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action
