"""`sparkify run`: the main job in a process of its own, and what came of it on one page."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from sparkify_dagster.lake import open_lake
from sparkify_dagster.settings import DEFAULT_LAKE, load_settings
from sparkify_dagster.tables import TABLES

JOB = "sparkify_etl"
# Dagster's own console log shows a failure by its stack, twice; the page ends with the reason.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_GRACE = 20  # seconds that a job is given to end by itself


@click.command("run")
@click.option(
    "--accept-removals",
    is_flag=True,
    help="Take out whatever the lake lacks, however much; or load another lake than before.",
)
@click.option(
    "--rebuild",
    multiple=True,
    metavar="TABLE",
    type=click.Choice(list(TABLES)),
    help="Build this table anew, and those built from it; may be given several times.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Build tables anew, however large, where their SQL has changed (see sparkify plan).",
)
def command(*, accept_removals: bool, rebuild: tuple[str, ...], yes: bool) -> None:
    """Run the main job and print the tables, the checks and what to look at next.

    Exits with 1 where a step or a check of severity ERROR failed, blocking or not.
    """
    home = dagster_home()
    settings = load_settings()
    if not os.environ.get("SPARKIFY_LAKE"):
        from sparkify_dagster.cli.sample_data import command as sample_data

        sample_data.main(args=[DEFAULT_LAKE], standalone_mode=False)
    open_lake(settings.lake).refuse_missing()
    click.echo(f"Running {JOB} on {settings.lake} ...")
    steps = {}  # each is named by its asset's whole key
    for name, table in TABLES.items():
        config = {"full_refresh": name in rebuild, "accept_rebuild": yes}
        if table.group == "staging":
            config["accept_removals"] = accept_removals
        steps["__".join((*settings.asset_key_prefix, name))] = {"config": config}
    sys.exit(_execute(home, steps))


def dagster_home() -> Path:
    """Return the folder of Dagster's history.

    Raises:
        click.ClickException: DAGSTER_HOME does not name one.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise click.ClickException("DAGSTER_HOME is not set; `make run` sets it, or name a folder")
    path = Path(home)
    if path.is_absolute() and path.is_dir():
        return path
    raise click.ClickException(
        f"DAGSTER_HOME={home!r}: has to be the full path of a folder that is there"
    )


def _execute(home: Path, steps: Mapping[str, object]) -> int:
    """Run the job to its end, which it finds where this process is told to end, too."""

    def leave(told: int, _frame: object) -> None:
        sys.exit(128 + told)

    # The command is superseded by one of a package that users need not install.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    # Of a terminal that closes, too, this process alone is told; nohup has it take no notice.
    before = {
        told: signal.signal(told, leave)
        for told in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(told) is not signal.SIG_IGN
    }
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            json.dump({**_QUIET, "ops": steps}, config)
            config.flush()
            job = [sys.executable, "-m", "sparkify_dagster.cli.job", str(home), JOB, config.name]
            # Told of an interrupt from the keyboard by this process, once; the second one would end
            # Dagster amid its note of the first.
            with subprocess.Popen(job, env=environment, start_new_session=True) as process:
                try:
                    return process.wait()
                except BaseException:
                    _end(process)
                    raise
    finally:
        for told, handler in before.items():
            signal.signal(told, handler)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a job: asked to by an interrupt, it rolls back and says so in its history."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
