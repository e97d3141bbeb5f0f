"""The report: tables in markdown, the goals, and a chart."""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vl_convert

from benchmarks.lakes import SIZES
from benchmarks.measure import median, ratios
from benchmarks.subjects import EMPTY, EMPTY_SAME, OURS, SCRIPT, SCRIPT_SEVEN, SEVEN

Result = dict[str, Any]
Samples = dict[str, list[dict[str, float]]]

_LARGE = SIZES["L"].days * SIZES["L"].events_per_day
# What is measured, and what it is held against: the same tables, the same number of steps.
_VARIANTS = (
    (OURS, "", EMPTY_SAME, SCRIPT),
    (SEVEN, ", seven tables", EMPTY, SCRIPT_SEVEN),
)
_COLUMNS = ("", "seconds", "spread", "CPU seconds", "peak memory", f"{OURS} / this")


@dataclass(frozen=True)
class Goal:
    """What is to be reached, and whether it is."""

    text: str
    limit: float
    values: Sequence[float]  # one a run; their median is judged
    unit: str = "x"

    @property
    def line(self) -> tuple[str, ...]:
        """Return the goal as a row of the table."""
        value = median(self.values)
        spread = f"{min(self.values):.2f} to {max(self.values):.2f}"
        verdict = "met" if value <= self.limit else "**missed**"
        return self.text, f"{self.limit:g} {self.unit}", f"{value:.2f} {self.unit}", spread, verdict


def write(results: dict[str, Result], folder: Path) -> str:
    """Write benchmark.md and benchmark.png into `folder`; return the former's text."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {
        name.removeprefix("size-"): result
        for name, result in sorted(results.items(), key=lambda item: _events(item[1]))
        if name.startswith("size-")
    }
    measured = results.get("histories", {}).get("histories", {})
    histories = {int(days): measured[days] for days in sorted(measured, key=int)}
    parts = ["# Benchmark", _HOW]
    if sizes:
        (folder / "benchmark.png").write_bytes(_chart(sizes))
        parts.append("![Seconds of a full load and of one new day](benchmark.png)")
    goals = [
        goal.line
        for goal in (
            *_goals(sizes, histories, results.get("startup"), results.get("s3")),
            *_drift_goals(results.get("drift")),
        )
    ]
    if goals:
        head = ("goal", "limit", "median", "spread", "")
        parts += ["## Goals", _table(head, goals)]
    for name, result in sizes.items():
        lake = result["lake"]
        parts += [
            f"## {name}: {lake['events']:,} events, {lake['days']} days, {lake['songs']:,} songs",
            "Full load with all tests into an empty warehouse:",
            _table(_COLUMNS, list(_lines(result["full"]))),
            "One new day on top of the others:",
            _table(_COLUMNS, list(_lines(result["day"]))),
        ]
        parts += [f"Skipped: {who}, {why}" for who, why in result["skipped"].items()]
    if "drift" in results:
        drift = results["drift"]
        parts += [
            f"## Events that are slightly off ({drift['lake']['events']:,}, full load)",
            _table(_COLUMNS[:5], [line[:5] for line in _lines(drift["full"])]),
        ]
    if histories:
        parts += ["## One new day after much history", *_history_parts(histories)]
    if "startup" in results:
        startup = results["startup"]
        seconds = ", ".join(f"{value:.2f}" for value in sorted(startup["ui"]))
        parts += [
            "## Start-up",
            _table(_COLUMNS[:5], [line[:5] for line in _lines(startup["imports"])]),
            f"Reload of the code location in the UI, seconds: {seconds}.",
        ]
    if "s3" in results:
        s3 = results["s3"]
        parts += [
            f"## {s3['lake']['songs']:,} song files from S3",
            "From an endpoint on loopback that answers from memory. The platform hashes the files "
            "and combines them for COPY; the others get them and no more, in so many threads.",
            _table(_COLUMNS[:5], [line[:5] for line in _lines(s3["read"])]),
        ]
    parts += ["## Where it was measured", _circumstances(results)]
    text = "\n\n".join(parts) + "\n"
    (folder / "benchmark.md").write_text(text, encoding="utf-8")
    return text


_HOW = f"""\
Whole processes, from start to exit, on files in the file cache; the tables of all are
compared row by row before anything is timed. The subjects take turns (A B C A B C ...), medians of
the runs are shown, the spread is the fastest and the slowest. Ratios are medians of the ratios
within each turn. CPU seconds are user and system time, children included; peak memory is that of
the largest process.

`{OURS}` is `dagster job execute` of `sparkify_etl` with all checks, metadata, the analysts' tables
and the report; `{SEVEN}` leaves the last two out, as dbt and SQLMesh do. Both hash the files and
count their lines, which nobody else does. `{EMPTY_SAME}` is a Dagster job of as many steps and
check results as ours that do nothing, on an instance with our settings; `{EMPTY}` has 7 assets and
10 checks, on an instance with Dagster's own settings. `{SCRIPT}` is `benchmarks/script.py`: DuckDB
in one process, the same tables and tests, no orchestration, no record of what is loaded; it is told
the new day.

What runs ask of Redshift is [a document of its own](benchmark_redshift.md)."""


def _goals(
    sizes: dict[str, Result],
    histories: dict[int, Result],
    startup: Result | None,
    s3: Result | None,
) -> Iterator[Goal]:
    for name, result in sizes.items():
        full, day = _seconds(result["full"]), _seconds(result["day"])
        limit = 1.5 if _events(result) >= _LARGE * 0.95 else 1.25
        for ours, which, empty, script in _VARIANTS:
            text = f"{name}: full load{which} / (empty job + script)"
            yield Goal(text, limit, ratios(full[ours], full[empty], full[script]))
        for other in ("dbt", "sqlmesh"):
            if other in full:
                text = f"{name}: full load, seven tables / {other}"
                yield Goal(text, 1, ratios(full[SEVEN], full[other]))
        memory = [sample["memory"] / 1000 for sample in result["full"][OURS]]
        yield Goal(f"{name}: peak memory", 1.5, memory, "GB")
        yield from _new_day_goals(f"{name}: one new day", day)
    for days, result in histories.items():
        yield from _new_day_goals(f"One new day after {days:,} days", _seconds(result["day"]))
    if len(histories) > 1:
        first, *_, last = histories
        least, most = (_seconds(histories[days]["day"]) for days in (first, last))
        for name, which, *_ in _VARIANTS:
            text = f"One new day{which} after {last:,} days / after {first:,} days"
            yield Goal(text, 1.1, ratios(most[name], least[name]))
    if startup:
        theirs, ours = _seconds(startup["imports"]).values()
        yield Goal("Import of the definitions / import dagster", 1.2, ratios(ours, theirs))
        yield Goal("UI: load of the code location", 3, startup["ui"], "s")
    if s3:
        ours, *plain = _seconds(s3["read"]).values()
        fastest = min(plain, key=median)
        text = f"Song files from S3 on loopback ({s3['lake']['songs']:,}) / the fastest plain GETs"
        yield Goal(text, 1.5, ratios(ours, fastest))


def _new_day_goals(text: str, seconds: dict[str, list[float]]) -> Iterator[Goal]:
    for ours, which, empty, _ in _VARIANTS:
        yield Goal(f"{text}{which} / empty job", 1.3, ratios(seconds[ours], seconds[empty]))


def _drift_goals(drift: Result | None) -> Iterator[Goal]:
    if drift:
        clean, *odd = drift["full"]
        for what in odd:
            for figure, name, limit in (("cpu", "CPU seconds", 1.15), ("memory", "memory", 1.2)):
                values = [
                    [sample[figure] for sample in drift["full"][lake]] for lake in (what, clean)
                ]
                yield Goal(f"{name}, {what} / clean", limit, ratios(*values))


def _lines(samples: Samples) -> Iterator[tuple[str, ...]]:
    seconds = _seconds(samples)
    for name, found in samples.items():
        values = seconds[name]
        cpu = median([sample["cpu"] for sample in found])
        memory = median([sample["memory"] for sample in found])
        ratio = ratios(seconds[OURS], values) if OURS in seconds and name != OURS else None
        yield (
            name,
            f"{median(values):.2f}",
            f"{min(values):.2f} to {max(values):.2f}",
            f"{cpu:.2f}",
            f"{memory:,.0f} MB",
            f"{median(ratio):.2f}" if ratio else "",
        )


def _history_parts(histories: dict[int, Result]) -> Iterator[str]:
    columns = ("days of history", "new events", *_COLUMNS)
    yield _table(
        columns,
        [
            (f"{days:,}", f"{result['new_events']:,}", *line)
            for days, result in histories.items()
            for line in _lines(result["day"])
        ],
    )
    yield "Rows that this run wrote (inserted, deleted, updated) and scanned, by table:"
    tables = sorted({table for result in histories.values() for table in result["rows"]})
    counts = {
        table: [n for r in histories.values() for n in r["rows"].get(table, (0, 0))]
        for table in tables
    }
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    what = [f"{what} after {days:,}" for days in histories for what in ("written", "scanned")]
    yield _table(
        ("table", *what),
        [(table, *(f"{number:,}" for number in numbers)) for table, numbers in counts.items()],
    )


def _circumstances(results: dict[str, Result]) -> str:
    lines = []
    for name, result in sorted(results.items()):
        facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
        lines.append(f"- {name}: commit {result['commit']}, {result['runs']} runs, {facts}")
    versions = {
        who: pins for result in results.values() for who, pins in result.get("versions", {}).items()
    }
    lines += [
        f"- {who}: {', '.join(f'{name} {pin}' for name, pin in pins.items())}"
        for who, pins in versions.items()
    ]
    return "\n".join(lines)


def _chart(sizes: dict[str, Result]) -> bytes:
    """Return bars of the medians, with lines from the fastest to the slowest run, as PNG."""
    rows = [
        {
            "what": f"{name}, {what}",
            "who": who,
            "seconds": median(values),
            "least": min(values),
            "most": max(values),
            "label": f"{median(values):.1f} s",
        }
        for name, result in sizes.items()
        for what, key in (("full load", "full"), ("one new day", "day"))
        for who, values in _seconds(result[key]).items()
    ]
    y = {"field": "who", "type": "nominal", "sort": None, "title": None}
    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": rows},
        "columns": 2,
        "facet": {
            "field": "what",
            "sort": None,
            "title": None,
            "header": {"labelFontSize": 13, "labelFontWeight": "bold"},
        },
        "spec": {
            "width": 300,
            "height": {"step": 22},
            "encoding": {"y": y},
            "layer": [
                {
                    "mark": "bar",
                    "encoding": {
                        "x": {"field": "seconds", "type": "quantitative", "title": "seconds"},
                        "color": {
                            "condition": {"test": f"datum.who === '{OURS}'", "value": "#1f6feb"},
                            "value": "#b6c2cf",
                        },
                    },
                },
                {
                    "mark": {"type": "rule", "color": "#57606a"},
                    "encoding": {
                        "x": {"field": "least", "type": "quantitative"},
                        "x2": {"field": "most"},
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 4},
                    "encoding": {
                        "x": {"field": "most", "type": "quantitative"},
                        "text": {"field": "label"},
                    },
                },
            ],
        },
        "resolve": {"scale": {"x": "independent"}},
        "config": {"view": {"stroke": None}, "font": "sans-serif"},
    }
    return _pack(vl_convert.vegalite_to_png(json.dumps(specification), scale=1.5))


def _pack(png: bytes) -> bytes:
    """Return the same picture, compressed harder: vl-convert is fast and leaves it 4 x as large."""
    packed, data, position = png[:8], b"", 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        kind, content = png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        position += length + 12
        if kind == b"IDAT":
            data += content
            continue
        if kind == b"IEND":
            packed += _chunk(b"IDAT", zlib.compress(zlib.decompress(data), 9))
        packed += _chunk(kind, content)
    return packed


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + checksum


def _seconds(samples: Samples) -> dict[str, list[float]]:
    return {name: [sample["seconds"] for sample in found] for name, found in samples.items()}


def _events(result: Result) -> int:
    return int(result["lake"]["events"])


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a markdown table, aligned so that it reads well as text too."""
    rows = [tuple(head), *map(tuple, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]

    def write_row(row: Sequence[str]) -> str:
        first, *others = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join([first, *others]) + " |"

    first, *others = widths
    rule = "|" + "|".join(["-" * (first + 2), *("-" * (width + 1) + ":" for width in others)]) + "|"
    return "\n".join([write_row(rows[0]), rule, *map(write_row, rows[1:])])
