"""The process of `sparkify run`: a job as `dagster job execute` runs it, then its page.

In one process, as Dagster takes a second to import and half of one to leave.
"""

import json
import signal
import sys
import uuid
from pathlib import Path

from sparkify_dagster.locks import locked
from sparkify_dagster.settings import load_settings

_INVOCATION_TAG = "sparkify/invocation"


def main(home: str, job: str, config: str) -> int:
    """Run a job with the run config of a file; return the exit code."""
    from dagster import DagsterExecutionInterruptedError
    from dagster._cli import main as dagster

    _begin_history(Path(home))
    invocation = uuid.uuid4().hex
    sys.argv = ["dagster", "job", "execute", "-m", "sparkify_dagster.definitions", "-j", job]
    sys.argv += ["-c", config, "--tags", json.dumps({_INVOCATION_TAG: invocation})]
    failed: object = False
    try:
        dagster()  # type: ignore[no-untyped-call]
    except SystemExit as ended:
        failed = ended.code
    except DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    # Imported after the job: DuckDB's binding is not to be there when the definitions are loaded.
    from sparkify_dagster.cli.summary import print_summary

    fine = print_summary(_INVOCATION_TAG, invocation, load_settings())
    return 0 if fine and not failed else 1


def _begin_history(home: Path) -> None:
    """Have Dagster make the files of its history, one process at a time.

    Two that make them at once leave versions of the schema behind that contradict each other.
    """
    with locked(home):
        if not (home / "history" / "runs.db").exists():
            import dagster as dg

            with dg.DagsterInstance.get() as instance:
                instance.get_runs_count()
                instance.event_log_storage.get_maximum_record_id()
                instance.all_instigator_state()


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
