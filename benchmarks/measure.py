"""Running whole processes and writing down what they took."""

import datetime as dt
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class RunFailed(Exception):
    """A measured process ended with another exit code than 0."""

    def __init__(self, command: "Command", code: int) -> None:
        self.summary = f"{Path(command.words[0]).name} ended with exit code {code}"
        last = command.log.read_text(errors="replace").splitlines()[-15:]
        super().__init__(
            f"{self.summary}; all of its output is in {command.log}, the end:\n"
            + "\n".join(f"  {line}" for line in last)
        )


@dataclass(frozen=True)
class Sample:
    """What one process took, its children included."""

    seconds: float  # from start to exit
    cpu: float  # seconds, user and system
    memory: float  # MB, the largest process's resident set at its peak


@dataclass(frozen=True)
class Command:
    """A process to be started."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path  # where it runs
    log: Path  # takes its output


def run(command: Command) -> Sample:
    """Run a process to its end.

    Raises:
        RunFailed: with the last lines of its output.
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.words,
            cwd=command.folder,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RunFailed(command, process.returncode)
    # Linux counts in KiB, macOS in bytes.
    unit = 1e6 if platform.system() == "Darwin" else 1e6 / 1024
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def interleave(runs: int, subjects: Mapping[str, Callable[[], Sample]]) -> dict[str, list[Sample]]:
    """Run every subject in turn, A B C A B C ..., so that all see the same weather."""
    samples: dict[str, list[Sample]] = {name: [] for name in subjects}
    for number in range(runs):
        for name, once in subjects.items():
            sample = once()
            samples[name].append(sample)
            say(f"  {number + 1}/{runs} {name}: {sample.seconds:.2f} s, CPU {sample.cpu:.2f} s")
    return samples


def ratios(tops: Sequence[float], *bottoms: Sequence[float]) -> list[float]:
    """Return top divided by the sum of the bottoms, run by run."""
    return [top / sum(parts) for top, *parts in zip(tops, *bottoms, strict=True)]


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def machine() -> dict[str, str]:
    """Return what the numbers depend on besides the code."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "when": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
    }


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
