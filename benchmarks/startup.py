"""How long the definitions take to load: imported, and as a code location of the UI."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from benchmarks.measure import Command, Sample, interleave, run
from benchmarks.subjects import BIN, REPOSITORY, WORK, base_environment, prepare_home

MODULE = "sparkify_dagster.definitions"
_RELOAD = """mutation {
  reloadRepositoryLocation(repositoryLocationName: "sparkify_dagster.definitions") {
    __typename ... on WorkspaceLocationEntry { locationOrLoadError { __typename } }
  }
}"""


def measure_imports(runs: int, lake: str) -> dict[str, list[Sample]]:
    """Time `import dagster` and the import of the definitions, in turn, as processes."""
    environment = {**base_environment(), "PYTHONPATH": str(REPOSITORY), "SPARKIFY_LAKE": lake}
    commands = {
        module: Command(
            [sys.executable, "-c", f"import {module}"],
            environment,
            REPOSITORY,
            WORK / "logs" / "import.log",
        )
        for module in ("dagster", MODULE)
    }
    for command in commands.values():
        run(command)
    return interleave(
        runs, {f"import {name}": lambda c=command: run(c) for name, command in commands.items()}
    )


def measure_ui(runs: int, lake: str) -> list[float]:
    """Return the seconds of the UI's button "Reload", time after time: the location is loaded anew.

    Raises:
        RuntimeError: the webserver does not come up, or the location does not load.
    """
    home = WORK / "homes" / "ui"
    prepare_home(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (WORK / "logs" / "webserver.log").open("wb")
    server = subprocess.Popen(
        [str(BIN / "dagster-webserver"), "-m", MODULE, "-h", "127.0.0.1", "-p", str(port)],
        cwd=REPOSITORY,
        env={
            **base_environment(),
            "PYTHONPATH": str(REPOSITORY),
            "DAGSTER_HOME": str(home),
            "SPARKIFY_LAKE": lake,
        },
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait(server, f"http://127.0.0.1:{port}/server_info")
        return [_reload(f"http://127.0.0.1:{port}/graphql") for _ in range(runs + 1)][1:]
    finally:
        # The code server is a child of the webserver.
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        log.close()


def _wait(server: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"dagster-webserver did not come up; see {WORK / 'logs' / 'webserver.log'}")


def _reload(address: str) -> float:
    body = json.dumps({"query": _RELOAD}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as response:
        answer: dict[str, Any] = json.load(response)
    seconds = time.perf_counter() - started
    if "RepositoryLocation" not in json.dumps(answer.get("data")):
        raise RuntimeError(f"the code location did not load: {answer}")
    return seconds
