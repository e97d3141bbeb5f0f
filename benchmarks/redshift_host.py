"""What this host does for Redshift, one kind of work a process, which prints a line of JSON.

python -m benchmarks.redshift_host combine LAKE   its event files into gzipped parts
python -m benchmarks.redshift_host list COUNT     so many files into the list of a load, by COPY
"""

import json
import os
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparkify_dagster.lake.base import SourceFile
from sparkify_dagster.lake.combine import PART_BYTES, combine
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.lake.shapes import Shapes
from sparkify_dagster.loading.staging import note_files
from sparkify_dagster.tables import STAGING_EVENTS
from sparkify_dagster.warehouse.base import CopyResult, CopySource, CopyStep
from sparkify_dagster.warehouse.copy_rules import plan_copy
from sparkify_dagster.warehouse.redshift.engine import RedshiftWarehouse
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster.warehouse.redshift.uploads import Uploads


class _Nowhere:
    """Takes in place of S3 what is written."""

    def put(self, name: str, content: bytes) -> str:
        return name


def combine_events(folder: str) -> tuple[float, Callable[[], Any]]:
    """Return the size of a lake's event files, and what combines them and compresses the parts."""
    lake = LocalLake(folder)
    files = lake.list_events()
    sections = (f"{STAGING_EVENTS.file}/{name}" for name in ("landing", "copy", "insert"))
    plan = plan_copy(CopyStep(STAGING_EVENTS.name, *sections), CopySource(lake, files), 0)
    texts = [column.key for column in plan.columns if column.type == "VARCHAR"]
    uploads: Any = Uploads(_Nowhere(), "parts", keep=True)  # type: ignore[arg-type]

    def work() -> None:
        with TemporaryDirectory() as name:
            combine(lake, files, Path(name), PART_BYTES, Shapes(texts), uploads.put_part)

    return sum(file.size for file in files), work


def write_list(text: str) -> tuple[float, Callable[[], Any]]:
    """Return a number of files, and what notes them in the warehouse of the environment."""
    numbers = random.Random(1)
    hashes = (f"{numbers.getrandbits(128):032x}" for _ in range(2 * int(text)))
    files = [
        SourceFile(f"song_data/A/B/C/TR{n:016}.json", 250, next(hashes), None, next(hashes), 1)
        for n in range(int(text))
    ]
    settings = load_redshift_settings(os.environ["SPARKIFY_LAKE"], 20, os.environ)

    def note(session: Any) -> None:
        session.execute("bookkeeping/files_of_load")
        note_files(session, files, CopyResult())

    return len(files), lambda: RedshiftWarehouse(settings).transaction(note, "list", "run-1")


def main() -> None:
    """Do the work that the arguments name."""
    what, argument = sys.argv[1:]
    amount, work = {"combine": combine_events, "list": write_list}[what](argument)
    before, started = _megabytes(), time.process_time()
    work()
    print(json.dumps([amount, time.process_time() - started, before, _megabytes()]))


def _megabytes() -> float:
    """Return the most memory so far; getrusage would count that of the parent in, on Linux."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
