"""`sparkify run`: the main job through `dagster job execute`, and what came of it on one page."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import click

from sparkify_dagster.settings import DEFAULT_LAKE, load_settings

JOB = "sparkify_etl"
_INVOCATION_TAG = "sparkify/invocation"
# Dagster's own console log tells each step's start and end; here only trouble is worth a line.
_QUIET = "loggers:\n  console:\n    config:\n      log_level: WARNING\n"


@click.command("run")
def command() -> None:
    """Run the main job and print the tables, the checks and what to look at next.

    Exits with 1 where a step or a check of severity ERROR failed, blocking or not.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise click.UsageError("DAGSTER_HOME is not set; `make run` sets it, or name a folder")
    if not os.environ.get("SPARKIFY_LAKE"):
        _make_sample_lake()
    settings = load_settings()
    click.echo(f"Running {JOB} on {settings.lake} ...")
    invocation = uuid.uuid4().hex
    exit_code = _execute(invocation)
    # Imported after the job has run: the two processes need not share the memory.
    from sparkify_dagster.cli.summary import print_summary

    fine = print_summary(_INVOCATION_TAG, invocation, settings)
    sys.exit(0 if fine and exit_code == 0 else 1)


def _execute(invocation: str) -> int:
    dagster = shutil.which("dagster", path=str(Path(sys.executable).parent)) or "dagster"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(_QUIET)
        config.flush()
        job = ["-m", "sparkify_dagster.definitions", "-j", JOB, "-c", config.name]
        tags = json.dumps({_INVOCATION_TAG: invocation})
        # The command is superseded by one of a package that users need not install.
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        return subprocess.run(
            [dagster, "job", "execute", *job, "--tags", tags], env=environment, check=False
        ).returncode


def _make_sample_lake() -> None:
    from sparkify_dagster.cli.sample_data import command as sample_data

    sample_data.main(args=[DEFAULT_LAKE], standalone_mode=False)
