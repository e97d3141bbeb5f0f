"""The lakes that are measured on, all of `sparkify sample-data`."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import say
from benchmarks.subjects import REPOSITORY, WORK


@dataclass(frozen=True)
class Size:
    """How large a lake is."""

    name: str
    days: int
    events_per_day: int
    songs: int = 15_000


SIZES = {
    "S": Size("S", 30, 267),
    "M": Size("M", 30, 33_333),
    "L": Size("L", 365, 27_397),
}


@dataclass(frozen=True)
class Lake:
    """A lake, and its last day's file by itself."""

    folder: Path
    facts: dict[str, str | int]  # as sample.json has them

    @property
    def last_day(self) -> str:
        """Return the last day, as 2018-11-30."""
        return str(self.facts["end"])

    @property
    def day_after(self) -> str:
        """Return the day after the last one."""
        return str(dt.date.fromisoformat(self.last_day) + dt.timedelta(days=1))

    @property
    def last_file(self) -> Path:
        """Return the file of the last day."""
        day = self.last_day
        return self.folder / f"log_data/{day[:4]}/{day[5:7]}/{day}-events.json"


def parse_size(text: str) -> Size:
    """Return S, M, L, or what DAYSxEVENTS_A_DAYxSONGS says.

    Raises:
        ValueError: it is neither.
    """
    if text in SIZES:
        return SIZES[text]
    days, events_per_day, songs = (int(part) for part in text.split("x"))
    return Size(text, days, events_per_day, songs)


def make_lake(size: Size) -> Lake:
    """Write the lake, or take it as it is if these arguments made it."""
    folder = WORK / "lakes" / size.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-c", "from sparkify_dagster.cli import main; main()"),
            *("sample-data", str(folder)),
            *("--days", str(size.days), "--events-per-day", str(size.events_per_day)),
            *("--songs", str(size.songs)),
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=WORK,
        check=True,
    )
    return Lake(folder, json.loads((folder / "sample.json").read_text()))


def without_last_day(lake: Lake) -> Lake:
    """Return a second lake of the same files (hard links) that lacks the last day's."""
    folder = lake.folder.parent / f"{lake.folder.name}-growing"
    say(f"linking {folder.name}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lake.folder, folder, copy_function=os.link)
    growing = Lake(folder, lake.facts)
    growing.last_file.unlink()
    return growing


def add_last_day(growing: Lake, lake: Lake) -> None:
    """Let the last day arrive."""
    os.link(lake.last_file, growing.last_file)
