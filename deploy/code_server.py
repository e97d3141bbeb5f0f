"""Dagster's code server which, told to stop, lets the runs under way end first.

Dagster's own waits 30 s for what it has started (GrpcServerProcess.wait), then ends and takes its
runs with it. As an argument: the command that starts it.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Run the command; on SIGTERM or SIGINT, end it when it has no run under way."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.append(number))
    # A session of its own, as a terminal's Ctrl-C would reach the runs as well.
    server = subprocess.Popen(sys.argv[1:], start_new_session=True)
    while server.poll() is None and not told:
        time.sleep(1)
    if runs(server.pid):
        print("Told to stop: waiting for the runs under way", flush=True)
        while server.poll() is None and runs(server.pid):
            time.sleep(1)
    if server.poll() is None:
        server.terminate()
    return server.wait()


def runs(server: int) -> list[int]:
    """Return the processes of runs: those below the server that it made by multiprocessing."""
    commands, children = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # After the command's name, which may hold blanks: the state, then the parent.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(folder.name)] = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    below = list(children.get(server, ()))
    for pid in below:
        below += children.get(pid, ())
    return [pid for pid in below if b"--multiprocessing-fork" in commands[pid]]


if __name__ == "__main__":
    sys.exit(main())
