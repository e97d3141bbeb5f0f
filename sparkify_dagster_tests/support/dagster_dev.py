"""`dagster dev` for the browser tests. It ends when its test does, however that ends."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sparkify_dagster_tests.conftest import REPOSITORY

START_SECONDS = 300
STOP_SECONDS = 20

# A process of its own, because a test that is killed cannot stop anything any more: its end of the
# pipe is closed all the same. Interrupts are allowed again first: what a shell started in the
# background ignores them, and Dagster then ignores SIGTERM too.
_GUARD = f"""
import os, signal, subprocess, sys, threading

def stop():
    sys.stdin.read()
    server.send_signal(signal.SIGINT)
    try:
        server.wait({STOP_SECONDS})
    except subprocess.TimeoutExpired:
        server.kill()

signal.signal(signal.SIGINT, signal.default_int_handler)
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
signal.signal(signal.SIGINT, signal.SIG_IGN)
threading.Thread(target=stop, daemon=True).start()
server.wait()
os.killpg(0, signal.SIGKILL)  # the runs and code servers that outlived it, and this process
"""


@dataclass(frozen=True)
class Server:
    """A running `dagster dev`."""

    address: str
    folder: Path
    environment: dict[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "dagster.log"


@contextmanager
def dagster_dev(folder: Path, lake: Path) -> Iterator[Server]:
    """Run `dagster dev` on a free port, with the instance of `make ui` and an empty warehouse."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copy(REPOSITORY / "deploy" / "dagster.development.yaml", home / "dagster.yaml")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", folder, _environment(home, lake, folder))
    options = ["-w", str(REPOSITORY / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    with server.log.open("w") as log:
        guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD, sys.executable, "-m", "dagster", "dev", *options],
            cwd=folder,  # and not where somebody's .env is
            env=server.environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert guard.stdin is not None
    try:
        _await_start(server, guard)
        yield server
    finally:
        guard.stdin.close()
        guard.wait(timeout=STOP_SECONDS + 10)


def _environment(home: Path, lake: Path, folder: Path) -> dict[str, str]:
    foreign = ("SPARKIFY_", "REDSHIFT_", "AWS_", "DAGSTER_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONWARNINGS": "ignore:Function `dev_command`",  # as `make ui`
        "DAGSTER_HOME": str(home),
        "SPARKIFY_LAKE": str(lake),
        "SPARKIFY_DUCKDB_PATH": str(folder / "data" / "sparkify.duckdb"),
    }


def _await_start(server: Server, guard: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"{server.address}/server_info", timeout=START_SECONDS),
        ):
            return
        with suppress(subprocess.TimeoutExpired):
            guard.wait(timeout=0.2)
            break
    log = server.log.read_text()
    raise AssertionError(f"{server.address} did not answer in {START_SECONDS} s:\n{log}")
