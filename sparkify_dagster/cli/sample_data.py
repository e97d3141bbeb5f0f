"""`sparkify sample-data`: writes a sample lake."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from sparkify_dagster.sample import SampleSpec, read_marker, users_for, write_sample_lake
from sparkify_dagster.sample.lake import Progress

DEFAULTS = SampleSpec()
_WAITING = "Another process is writing this folder: waiting for it."


def _number(name: str, text: str) -> Callable[[Any], Any]:
    default = getattr(DEFAULTS, name.replace("-", "_"))
    return click.option(f"--{name}", default=default, show_default=True, help=text)


@click.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    default=f"{DEFAULTS.start}",
    show_default=True,
    metavar="YYYY-MM-DD",
    help="First day with events, UTC.",
)
@_number("days", "Days with events, one file each.")
@_number("events-per-day", "Mean over a week; weekends have fewer.")
@_number("songs", "Files in song_data.")
@click.option(
    "--users",
    type=int,
    help=f"Listeners.  [default: {DEFAULTS.users}, or a third of --events-per-day if more]",
)
@_number("seed", "Another number, another lake; the same arguments give the same bytes.")
def command(
    *, directory: str, start: datetime, events_per_day: int, users: int | None, **numbers: int
) -> None:
    """Write a sample lake into DIR: invented data in the exact layout of the real one.

    DIR has to be new, empty or a sample lake. A sample lake of the same arguments is left as it
    is; one of other arguments is replaced.
    """
    if "://" in directory:
        raise click.ClickException(
            f"{directory} is not a local folder: write to one, then copy it, "
            "for example with `aws s3 sync`"
        )
    path = Path(directory)
    try:
        users = users_for(events_per_day) if users is None else users
        spec = SampleSpec(start.date(), events_per_day=events_per_day, users=users, **numbers)
        with _progress_bar(spec) as progress:
            outcome = write_sample_lake(
                path, spec, progress, lambda: click.echo(_WAITING, err=True)
            )
        marker = read_marker(path)
    except OSError as error:
        place, reason = error.filename or path, error.strerror or error
        raise click.ClickException(f"{place}: {reason}") from error
    assert marker is not None
    last = f" to {spec.end}" if spec.days > 1 else ""
    days = f"{spec.days} day{'s' if last else ''} ({spec.start}{last})"
    click.echo(
        f"{outcome.value} {directory}: {days}, {marker['events']:,} events, "
        f"{marker['plays']:,} plays ({marker['matched_plays']:,} of songs in the catalogue), "
        f"{spec.songs:,} songs."
    )


@contextlib.contextmanager
def _progress_bar(spec: SampleSpec) -> Iterator[Progress]:
    """Show a bar where a person is watching; yield what advances it."""
    if not sys.stderr.isatty():
        yield lambda _kind, _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description:>6}"), BarColumn(), MofNCompleteColumn(), Remaining())
    totals = {"songs": spec.songs, "events": spec.days * spec.events_per_day}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {kind: bar.add_task(kind, total=total) for kind, total in totals.items()}
        yield lambda kind, count: bar.update(tasks[kind], advance=count)
