"""Build the image, start the services of compose.yaml from it, and see runs succeed.

For a host that reaches no registry of images: the base is made with debootstrap, PostgreSQL is the
host's, and the containers share the host's network. As root on Debian 12:

    apt-get install buildah podman runc catatonit debootstrap postgresql
    .venv/bin/python deploy/try_image.py
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
BASE, IMAGE, NAME = "localhost/sparkify-base:try", "localhost/sparkify_dagster:try", "sparkify-try"
SERVICES = ("code", "webserver", "daemon")
LAUNCH = """
mutation ($job: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $job, runConfigData: {}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on PipelineNotFoundError { message } ... on RunConfigValidationInvalid { pipelineName }
  }
}
"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def main() -> None:
    """Do all of it and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="sparkify-try-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        build(folder)
        try:
            with postgres(folder) as database:
                try_services(folder, database)
        finally:
            for service in (*SERVICES, "hold"):
                run("podman", "rm", "--force", "--ignore", "--time", "5", f"{NAME}-{service}")
            volumes = [f"{NAME}-{volume}" for volume in ("data", "logs", "socket")]
            run("podman", "volume", "rm", "--force", *volumes, check=False)
            run("buildah", "rmi", "--force", IMAGE, BASE, check=False)


def build(folder: Path) -> None:
    """Make the base as the Python image is, Debian with Python 3.11, and the image on it."""
    base = folder / "base"
    packages = "python3,python3-venv,python3-distutils,ca-certificates"
    run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(base))
    # The authorities that this host trusts: some networks have their own before the package index.
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    shutil.copy(authorities, base / authorities[1:])
    container = run("buildah", "from", "scratch")
    run("buildah", "add", "--quiet", container, str(base), "/")
    run("buildah", "config", "--env", f"SSL_CERT_FILE={authorities}", container)
    run("buildah", "commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(base)
    run(
        *("buildah", "build", "--isolation", "chroot", "--build-arg", f"BASE={BASE}"),
        *("--tag", IMAGE, str(ROOT)),
    )


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[dict[str, str]]:
    """Run a PostgreSQL of its own; yield the variables that name it."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    data, password = folder / "postgres", folder / "password"
    data.mkdir()
    password.write_text(secrets.token_hex(16))
    for path in (data, password):
        shutil.chown(path, "postgres", "postgres")
    as_postgres = ("runuser", "-u", "postgres", "--")
    access = ("-A", "scram-sha-256", "-U", "dagster", f"--pwfile={password}")
    run(*as_postgres, str(programs / "initdb"), "-D", str(data), *access)
    port = free_port()
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    control = (*as_postgres, str(programs / "pg_ctl"), "-D", str(data), "-w")
    run(*control, "-l", str(data / "log"), "-o", options, "start")
    try:
        yield {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(port),
            "DAGSTER_PG_USER": "dagster",
            "DAGSTER_PG_PASSWORD": password.read_text(),
            "DAGSTER_PG_DB": "postgres",
        }
    finally:
        run(*control, "-m", "fast", "stop")


def try_services(folder: Path, database: dict[str, str]) -> None:
    """Launch runs through the UI and the queue, before and after a change of the code server."""
    environment = folder / ".env"
    lines = [f"{name}={value}\n" for name, value in database.items()]
    environment.write_text("".join(lines))
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    port = free_port()
    arguments = {name: podman_arguments(services[name], environment) for name in SERVICES}

    # The sample lake, and a first load: what `docker compose run --rm code sparkify run` does.
    print(run("podman", "run", "--rm", *arguments["code"], "sparkify", "run"))
    for name in SERVICES:
        words = [str(port) if word == "3000" else word for word in services[name]["command"]]
        run("podman", "run", "--detach", "--name", f"{NAME}-{name}", *arguments[name], *words)
        check = [word.replace("3000", str(port)) for word in services[name]["healthcheck"]["test"]]
        wait_until(partial(is_healthy, name, check[1:]), f"{name} is healthy")

    graphql = f"http://127.0.0.1:{port}/graphql"
    first = launch(graphql)
    wait_until(lambda: status(graphql, first) == "SUCCESS", "a run through the UI and the queue")

    # New code during a run that another process holds up at the warehouse, for longer than
    # Dagster's own 30 s: the daemon starts nothing new, the run ends, and the webserver stays.
    hold = (
        "import duckdb, time; held = duckdb.connect('data/sparkify.duckdb'); "
        "print('held', flush=True); time.sleep(600)"
    )
    run(
        "podman", "run", "--detach", f"--name={NAME}-hold", *arguments["code"], "python", "-c", hold
    )
    wait_until(lambda: run("podman", "logs", f"{NAME}-hold") == "held", "the warehouse is held")
    second = launch(graphql)
    wait_until(lambda: status(graphql, second) == "STARTED", "a run under way")
    run("podman", "stop", "--time", "30", f"{NAME}-daemon")
    began = time.monotonic()
    with subprocess.Popen(["podman", "stop", "--time", "300", f"{NAME}-code"]):
        time.sleep(60)
        assert status(graphql, second) == "STARTED"
        run("podman", "rm", "--force", "--time", "0", f"{NAME}-hold")
    print(f"ok: the code server stopped after {time.monotonic() - began:.0f} s", flush=True)
    assert status(graphql, second) == "SUCCESS"
    run("podman", "start", f"{NAME}-daemon", f"{NAME}-code")
    test = services["code"]["healthcheck"]["test"]
    wait_until(lambda: is_healthy("code", test[1:]), "the code server is back")
    third = launch(graphql)
    wait_until(lambda: status(graphql, third) == "SUCCESS", "a run on it, the webserver untouched")


def podman_arguments(service: dict[str, Any], environment: Path) -> list[str]:
    """Translate what compose.yaml says of a service; ports and PostgreSQL are the host's."""
    assert service["read_only"]
    volumes = [f"--volume={NAME}-{volume}" for volume in service["volumes"]]
    drops = [f"--cap-drop={name}" for name in service["cap_drop"]]
    options = [
        f"--security-opt={option.replace(':true', '')}" for option in service["security_opt"]
    ]
    mounts = [f"--tmpfs={path}" for path in service["tmpfs"]]
    fixed = ["--read-only", "--init", "--network=host", f"--env-file={environment}"]
    return [*fixed, *volumes, *drops, *options, *mounts, IMAGE]


def is_healthy(service: str, test: list[str]) -> bool:
    """Run the health check of a service in it."""
    command = ["podman", "exec", f"{NAME}-{service}", *test]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def launch(graphql: str) -> str:
    """Put `sparkify_etl` into the queue, as the UI does; return the run's id."""
    job = {
        "repositoryLocationName": "sparkify_dagster.definitions",
        "repositoryName": "__repository__",
        "jobName": "sparkify_etl",
    }
    for _ in range(60):
        answer = ask(graphql, LAUNCH, {"job": job})["launchRun"]
        # The webserver looks for its code server again in intervals.
        if answer["__typename"] != "PipelineNotFoundError":
            break
        time.sleep(1)
    assert "run" in answer, answer
    return str(answer["run"]["runId"])


def status(graphql: str, run_id: str) -> str:
    """Return the status of a run; a failed one ends the trial."""
    found = str(ask(graphql, STATUS, {"id": run_id})["runOrError"]["status"])
    assert found not in ("FAILURE", "CANCELED"), found
    return found


def ask(graphql: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Send a query to the webserver."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(graphql, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def wait_until(holds: Callable[[], bool], what: str, seconds: int = 300) -> None:
    """Ask again each second until it holds."""
    for _ in range(seconds):
        if holds():
            print(f"ok: {what}", flush=True)
            return
        time.sleep(1)
    for service in SERVICES:
        subprocess.run(["podman", "logs", "--tail", "30", f"{NAME}-{service}"], check=False)
    sys.exit(f"not in {seconds} s: {what}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(*command: str, check: bool = True) -> str:
    """Run a command; return what it prints, or end with it where it fails."""
    result = subprocess.run(
        command, cwd="/", env=os.environ, stdout=subprocess.PIPE, text=True, check=False
    )
    if check and result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}")
    return result.stdout.strip()


if __name__ == "__main__":
    main()
