"""A process that runs the loads in children that may be killed: `python crash_driver.py LAKE FILE`.

Each line on standard input starts a run: the largest file, in bytes, that it may write, or 0 for no
limit. The child's process id is printed at its start, and how it ended at its end. Starting a child
costs a fork; the imports are paid once.
"""

import os
import resource
import sys
from pathlib import Path

from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import run_all


def main() -> None:
    lake, warehouse = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(lake, warehouse, int(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(lake: str, warehouse: str, largest_file: int) -> None:
    status = 1
    try:
        os.setsid()
        if largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        run_all(DuckDBWarehouse(Path(warehouse), 10, snapshot=True), LocalLake(lake))
        status = 0
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
