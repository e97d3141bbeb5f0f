"""The listening report: one HTML page that needs nothing but itself.

The charts are drawn when the page is written, so it is small, prints well and works without
scripts; a few lines of script show the numbers under the pointer. Its content security policy
forbids it any network.
"""

import base64
import hashlib
import html
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from sparkify_dagster.report.charts import Data, Record
from sparkify_dagster.report.renderer import Renderer
from sparkify_dagster.report.sections import SECTIONS, Section, listed

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #fff; --text: #1b1f24; --quiet: #59636e; --line: #dde1e6;
}
@media (prefers-color-scheme: dark) {
  :root { --page: #12151a; --card: #1b1f26; --text: #e6e9ee; --quiet: #9aa4b0; --line: #323842; }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 1.5rem .7rem 3rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif;
}
main { max-width: 70rem; margin: 0 auto; }
h1 { font-size: 1.7rem; margin: 0; }
h2 { font-size: 1.2rem; margin: 0; }
p { margin: .2rem 0 .8rem; color: var(--quiet); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; }
.tile, section {
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem;
}
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--quiet); font-size: .9rem; }
section { min-width: 0; }
.sections { display: grid; gap: 1rem; margin-top: 1rem; }
.charts { display: grid; gap: 1rem; }
@media (min-width: 60rem) {
  .sections, .wide .charts { grid-template-columns: 1fr 1fr; }
  .wide { grid-column: span 2; }
}
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; max-width: 36rem; }
#pointed {
  position: fixed; left: 0; bottom: 0; padding: .3rem .8rem; border-radius: 0 .5rem 0 0;
  background: var(--text); color: var(--page); font-size: .9rem;
}
details { margin-top: .8rem; }
summary { cursor: pointer; color: var(--quiet); }
.rows { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
"""

_NO_CHART = "<p>This chart could not be drawn; the output of the run says why.</p>"
_SCRIPT = """
const pointed = document.getElementById('pointed');
addEventListener('pointerover', event => {
  const mark = event.target.closest('[role="graphics-symbol"][aria-label]');
  pointed.hidden = !mark;
  pointed.textContent = mark ? mark.getAttribute('aria-label') : '';
});
"""


def write_page(path: Path, data: dict[str, Data], renderer: Renderer) -> None:
    """Write the page, in one move: a reader sees the former one or this one, never half of it.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    text = render_page(data, renderer)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp's file is for its owner alone; the page is for whoever may read the folder.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def render_page(data: dict[str, Data], renderer: Renderer) -> str:
    """Return the page for the rows of every section, by table."""
    drawn = {
        name: [renderer.svg(chart) for chart in section.draw(data[name])]
        for name, section in SECTIONS.items()
    }
    sections = "\n".join(
        _section(section, data[name], [svg() for svg in drawn[name]])
        for name, section in SECTIONS.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Listening report</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Listening report</h1>
<p>{html.escape(_period(data))}</p>
{_tiles(data)}
<div class="sections">
{sections}
</div>
</main>
<output id="pointed" hidden></output>
{_json_block("data", data)}
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _period(data: dict[str, Data]) -> str:
    (span,) = data["daily_engagement"]["report_totals"]
    if span["first_day"] is None:
        return "No plays yet: run the job sparkify_etl on a lake with events."
    return (
        f"Plays from {span['first_day']} to {span['last_day']}. All days and hours are UTC. Charts "
        "by day show the latest 366 days."
    )


def _tiles(data: dict[str, Data]) -> str:
    numbers: Record = {}
    for section in SECTIONS.values():
        numbers |= section.numbers(data[section.table])
    shown = {
        "plays": numbers.get("total_plays", 0),
        "users in the last 7 days": numbers.get("latest_weekly_active_users", 0),
        "of plays on the paid level": _percent(numbers.get("total_paid_plays", 0), numbers),
        "of plays found in the catalogue": _percent(numbers.get("matched_plays", 0), numbers),
        "upgrades": numbers.get("upgrades", 0),
        "downgrades": numbers.get("downgrades", 0),
    }
    tiles = "".join(
        f'<div class="tile"><b>{_text(value)}</b><span>{label}</span></div>'
        for label, value in shown.items()
    )
    return f'<div class="tiles">{tiles}</div>'


def _percent(part: int, numbers: Record) -> str:
    whole = numbers.get("total_plays", 0)
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _section(section: Section, data: Data, charts: list[str]) -> str:
    figures = "".join(f"<figure>{chart or _NO_CHART}</figure>" for chart in charts)
    return f"""<section class="{"wide" if len(charts) > 1 else ""}">
<h2>{html.escape(section.heading)}</h2>
<p>{html.escape(section.text)} Table: <code>analytics.{section.table}</code></p>
<div class="charts">{figures}</div>
<details>
<summary>First rows</summary>
<div class="rows">{_table(listed(data))}</div>
</details>
</section>"""


def _table(rows: list[Record]) -> str:
    if not rows:
        return "<p>No rows.</p>"
    head = "".join(f"<th{_kind(value)}>{name}</th>" for name, value in rows[0].items())
    body = "".join(
        "<tr>"
        + "".join(f"<td{_kind(value)}>{_text(value)}</td>" for value in row.values())
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _kind(value: Any) -> str:
    return ' class="number"' if isinstance(value, int | float) else ""


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case int():
            return f"{value:,}"
    return html.escape(str(value))


def _json_block(name: str, content: Any) -> str:
    # "<" would let a song title end the script element.
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'
