"""Lakes whose events are slightly off, as those of a service that changes: clean ones made odd."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.lakes import Lake
from benchmarks.measure import say

_SEED = 7
_CHANCE = random.Random(_SEED)


def _unknown_key(line: bytes) -> bytes:
    return line[:-1] + b',"appVersion":"7.1"}'


def _missing_key(line: bytes) -> bytes:
    """Take `method`, which no table needs, from one line in twenty."""
    if _CHANCE.random() >= 0.05:
        return line
    before, key, after = line.partition(b'"method":')
    return before + after.partition(b",")[2] if key else line


def _two_objects_a_line(content: bytes) -> bytes:
    first, second, *rest = content.splitlines()
    return b"\n".join([first + b" " + second, *rest]) + b"\n"


def _bad_line(content: bytes) -> bytes:
    first, *rest = content.splitlines()
    return b"\n".join([first, b'{"page": oops}', *rest]) + b"\n"


def _each_line(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: b"\n".join(map(change, content.splitlines())) + b"\n"


# What is odd: the change, and in how many of the files (None: in all).
DRIFTS: dict[str, tuple[Callable[[bytes], bytes], int | None]] = {
    "an unknown key in every line": (_each_line(_unknown_key), None),
    "a key missing from 5 % of the lines": (_each_line(_missing_key), None),
    "two objects on a line of one file": (_two_objects_a_line, 1),
    "one bad line, which is left out": (_bad_line, 1),
}


def drifted(lake: Lake) -> Iterator[tuple[str, Lake]]:
    """Write each lake beside the clean one, and yield it with what is odd in it."""
    for number, (what, (change, files)) in enumerate(DRIFTS.items()):
        folder = lake.folder.parent / f"{lake.folder.name}-drift-{number}"
        say(f"writing {folder.name}: {what}")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(lake.folder, folder, copy_function=os.link)
        for path in sorted((folder / "log_data").rglob("*.json"))[:files]:
            _rewrite(path, change)
        yield what, replace(lake, folder=folder)


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    content = path.read_bytes()
    path.unlink()  # a hard link of the clean one
    path.write_bytes(change(content))
