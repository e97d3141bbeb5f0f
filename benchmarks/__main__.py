"""Measures the platform against an empty Dagster job, a script, dbt and SQLMesh.

    make bench SIZES="S M L" RUNS=5     or  python -m benchmarks full S M L --runs 5, then drift
    make bench-day HISTORY="30 365"     or  python -m benchmarks day 30 365 1000

A size is S, M, L or DAYSxEVENTS_A_DAYxSONGS. What was measured last stays in benchmarks/.work/ and
is written into the report together with what is measured now.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.compare import differences
from benchmarks.drift import drifted
from benchmarks.lakes import Lake, Size, add_last_day, make_lake, parse_size, without_last_day
from benchmarks.measure import Command, RunFailed, Sample, interleave, machine, run, say
from benchmarks.s3 import measure_s3
from benchmarks.startup import measure_imports, measure_ui
from benchmarks.subjects import (
    OURS,
    REPOSITORY,
    WORK,
    NotInstalled,
    Subject,
    competitors,
    install,
    own_subjects,
    pinned,
)

RESULTS = WORK / "results"
S3_RUNS = 15  # of a second or less each


class Differs(Exception):
    """Two warehouses that have to be equal are not."""


@dataclass(frozen=True)
class NewDay:
    """A day that arrives on top of a loaded history, as often as it is asked for."""

    label: str
    lake: Lake  # the history and the new day

    def command(self, subject: Subject) -> Command:
        """Return the process that loads the day."""
        day, after = self.lake.last_day, self.lake.day_after
        return subject.command(self.lake.folder, day, after, self.label, True)

    def load(self, subject: Subject) -> Sample:
        """Load the day, the history being as it was before."""
        _restore(subject, self.label)
        return run(self.command(subject))


def bench_size(size: Size, runs: int, only: Sequence[str]) -> dict[str, Any]:
    """Measure all subjects on one size: a full load, then one new day."""
    lake = make_lake(size)
    circumstances = _circumstances(lake, runs)
    subjects, skipped = _subjects(only)
    versions = _versions(subjects)
    shutil.rmtree(WORK / "homes", ignore_errors=True)
    say(f"{size.name}: warming up, comparing the tables")
    for subject in list(subjects):
        try:
            _load(subject, lake, lake.day_after, size.name)
        except RunFailed as error:
            _skip(subject, subjects, skipped, error)
    _compare(subjects)
    say(f"{size.name}: full load")
    samples = interleave(
        runs,
        {s.name: lambda s=s: _load(s, lake, lake.day_after, size.name) for s in subjects},
    )
    new_day = _prepare_new_day(lake, size.name, subjects)
    say(f"{size.name}: one new day")
    day_samples = interleave(runs, {s.name: lambda s=s: new_day.load(s) for s in subjects})
    shutil.rmtree(new_day.lake.folder)
    return {
        **circumstances,
        "versions": versions,
        "skipped": skipped,
        "full": _as_json(samples),
        "day": _as_json(day_samples),
    }


def bench_histories(
    histories: Sequence[int], events_per_day: int, songs: int, runs: int
) -> dict[str, Any]:
    """Measure one new day on top of so many days each: seconds, and rows written and scanned."""
    lakes = {
        days: make_lake(Size(f"history-{days}", days + 1, events_per_day, songs))
        for days in histories
    }
    circumstances = _circumstances(lakes[max(histories)], runs)
    subjects = own_subjects()
    shutil.rmtree(WORK / "homes", ignore_errors=True)
    new_days = {
        days: _prepare_new_day(lake, f"history-{days}", subjects) for days, lake in lakes.items()
    }
    say("one new day")
    # The histories take turns, too: one is held against the other.
    samples = interleave(
        runs,
        {
            f"{new_day.label} {s.name}": lambda s=s, new_day=new_day: new_day.load(s)
            for new_day in new_days.values()
            for s in subjects
        },
    )
    found = {}
    for days, new_day in new_days.items():
        of_day = {s.name: samples[f"{new_day.label} {s.name}"] for s in subjects}
        found[days] = {
            "day": _as_json(of_day),
            "rows": _count_rows(new_day, subjects[0]),
            "new_events": len(new_day.lake.last_file.read_bytes().splitlines()),
        }
        shutil.rmtree(new_day.lake.folder)
    return {**circumstances, "versions": _versions(subjects), "histories": found}


def _load(subject: Subject, lake: Lake, after: str, label: str) -> Sample:
    _remove(subject.warehouse)
    return run(subject.command(lake.folder, lake.last_day, after, label, False))


def _prepare_new_day(lake: Lake, label: str, subjects: Sequence[Subject]) -> NewDay:
    """Load all but the last day, let it arrive, and see that all make the same of it."""
    say(f"{label}: one new day, warming up, comparing the tables")
    growing = without_last_day(lake)
    for subject in subjects:
        _load(subject, growing, growing.last_day, label)
        _keep(subject, label)
    add_last_day(growing, lake)
    new_day = NewDay(label, growing)
    for subject in subjects:
        new_day.load(subject)
    _compare(subjects)
    return new_day


def _count_rows(new_day: NewDay, subject: Subject) -> dict[str, list[int]]:
    """Return the rows that loading the day writes and scans, by table."""
    _restore(subject, new_day.label)
    counted = WORK / "rows.json"
    plain = new_day.command(subject)
    words = [sys.executable, "-m", "benchmarks.rows", str(counted)]
    run(Command(words, plain.environment, plain.folder, plain.log))
    return json.loads(counted.read_text())


def bench_startup(runs: int) -> dict[str, Any]:
    """Measure the import of the definitions and the load of the code location in the UI."""
    lake = make_lake(parse_size("30x267x100"))
    circumstances = _circumstances(lake, runs)
    say("start-up: imports")
    imports = measure_imports(runs, str(lake.folder))
    say("start-up: code location in the UI")
    return {
        **circumstances,
        "imports": _as_json(imports),
        "ui": measure_ui(runs, str(lake.folder)),
    }


def bench_s3() -> dict[str, Any]:
    """Measure the reading of many small files from S3."""
    lake = make_lake(parse_size("S"))
    circumstances = _circumstances(lake, S3_RUNS)
    say("song files from S3")
    return {**circumstances, "read": _as_json(measure_s3(S3_RUNS, lake.folder))}


def bench_drift(size: Size, runs: int) -> dict[str, Any]:
    """Measure full loads of events that are slightly off beside those of the clean lake."""
    clean = make_lake(size)
    circumstances = _circumstances(clean, runs)
    lakes = {"clean": clean, **dict(drifted(clean))}
    ours = own_subjects()[0]
    one_bad_line = {**ours.environment, "SPARKIFY_COPY_MAX_ERRORS": "2"}
    subject = replace(ours, environment=one_bad_line)
    say("drift: warming up")
    _load(subject, clean, clean.day_after, "drift")
    samples = interleave(
        runs,
        {
            what: lambda lake=lake: _load(subject, lake, lake.day_after, "drift")
            for what, lake in lakes.items()
        },
    )
    for lake in lakes.values():
        if lake is not clean:
            shutil.rmtree(lake.folder)
    return {**circumstances, "full": _as_json(samples)}


def _subjects(only: Sequence[str]) -> tuple[list[Subject], dict[str, str]]:
    """Return what can be measured here, and why the rest cannot."""
    subjects, skipped = own_subjects(), {}
    for subject in competitors():
        if only and subject.name not in only:
            continue
        try:
            install(subject.competitor)
            subjects.append(subject)
        except NotInstalled as error:
            _skip(subject, subjects, skipped, error)
    return subjects, skipped


def _skip(
    subject: Subject, subjects: list[Subject], skipped: dict[str, str], error: Exception
) -> None:
    if not subject.competitor:
        raise error
    say(f"skipped {subject.name}: {error}")
    # The report is for everyone: no folders of this machine.
    skipped[subject.name] = error.summary if isinstance(error, RunFailed) else str(error)
    if subject in subjects:
        subjects.remove(subject)


def _compare(subjects: Sequence[Subject]) -> None:
    """Hold all tables against ours.

    Raises:
        Differs: naming table and rows.
    """
    ours, *others = [subject for subject in subjects if subject.has_tables]
    for other in others:
        # In a process of its own: what this one has used would count as its children's peak memory.
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            both = ours.has_analytics and other.has_analytics
            found = process.submit(differences, ours.warehouse, other.warehouse, both).result()
        if found:
            raise Differs(f"{other.name} and {ours.name} differ:\n" + "\n".join(found))
        say(f"  {other.name}: the same {'14' if both else 'seven'} tables")


def _kept(subject: Subject, label: str) -> Path:
    return subject.warehouse.with_suffix(f".before-{label}")


def _remove(warehouse: Path) -> None:
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".duckdb", ".duckdb.wal"):
        warehouse.with_suffix(suffix).unlink(missing_ok=True)


def _keep(subject: Subject, label: str) -> None:
    if subject.has_tables:
        shutil.copyfile(subject.warehouse, _kept(subject, label))


def _restore(subject: Subject, label: str) -> None:
    if subject.has_tables:
        _remove(subject.warehouse)
        shutil.copyfile(_kept(subject, label), subject.warehouse)


def _circumstances(lake: Lake, runs: int) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"machine": machine(), "lake": lake.facts, "runs": runs, "commit": commit}


def _versions(subjects: Sequence[Subject]) -> dict[str, dict[str, str]]:
    return {
        OURS: {name: version(name) for name in ("dagster", "duckdb", "sqlglot")},
        **{s.name: pinned(s.competitor) for s in subjects if s.competitor},
    }


def _as_json(samples: dict[str, list[Sample]]) -> dict[str, list[dict[str, float]]]:
    return {name: [asdict(sample) for sample in found] for name, found in samples.items()}


def _record(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1))


def main() -> int:
    """Measure what the command line asks for, then write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--runs", type=int, default=5, help="measured runs of each (5)")
    common.add_argument(
        "--report", type=Path, default=REPOSITORY / "docs", help="folder of the report (docs)"
    )
    commands = parser.add_subparsers(dest="what", required=True)
    full = commands.add_parser(
        "full", parents=[common], help="full loads and one new day; song files from S3"
    )
    full.add_argument("sizes", nargs="*", default=["S", "M"], help="S M")
    full.add_argument("--only", nargs="*", default=(), help="of the competitors, just these")
    day = commands.add_parser(
        "day", parents=[common], help="one new day after much history; start-up"
    )
    day.add_argument("history", nargs="*", type=int, default=[30, 365, 1000], help="30 365 1000")
    day.add_argument("--events-per-day", type=int, default=1000, help="1000")
    day.add_argument("--songs", type=int, default=15_000, help="15000")
    drift = commands.add_parser(
        "drift", parents=[common], help="full loads of events that are slightly off"
    )
    drift.add_argument("size", nargs="?", default="M", help="M")
    commands.add_parser("s3", parents=[common], help="song files from S3 alone")
    commands.add_parser("report", parents=[common], help="write the report anew")
    arguments = parser.parse_args()
    tasks: dict[str, Callable[[], dict[str, Any]]] = {}
    if arguments.what == "full":
        for size in map(parse_size, arguments.sizes):
            tasks[f"size-{size.name}"] = lambda size=size: bench_size(
                size, arguments.runs, arguments.only
            )
    if arguments.what == "drift":
        tasks["drift"] = lambda: bench_drift(parse_size(arguments.size), arguments.runs)
    if arguments.what in ("full", "s3"):
        tasks["s3"] = bench_s3
    if arguments.what == "day":
        tasks["startup"] = lambda: bench_startup(arguments.runs)
        tasks["histories"] = lambda: bench_histories(
            arguments.history, arguments.events_per_day, arguments.songs, arguments.runs
        )
    for name, task in tasks.items():
        _record(name, task())
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    say("\n" + report.write(found, arguments.report))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Differs, RunFailed) as error:
        sys.exit(f"Error: {error}")
