"""The listening report: one HTML page that needs nothing but itself.

The charts are drawn when the page is written, so it is small, prints well and works without
scripts; a few lines of script show the numbers under the pointer. Its content security policy
forbids it any network.
"""

import base64
import hashlib
import json
import os
import tempfile
from pathlib import Path

from jinja2 import Template

from sparkify_dagster.report.renderer import Renderer
from sparkify_dagster.report.sections import SECTIONS, Data, Record, listed

_FOLDER = Path(__file__).parent


def write_page(
    path: Path, data: dict[str, Data], renderer: Renderer, environment: str = ""
) -> None:
    """Write the page, in one move: a reader sees the former one or this one, never half of it.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    text = render_page(data, renderer, environment)
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


def render_page(data: dict[str, Data], renderer: Renderer, environment: str = "") -> str:
    """Return the page for the rows of every section, by table; an environment is named on it."""
    drawn = {
        name: [renderer.svg(chart) for chart in section.draw(data[name])]
        for name, section in SECTIONS.items()
    }
    template = Template((_FOLDER / "page.html.jinja").read_text(encoding="utf-8"), autoescape=True)
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    (span,) = data["daily_engagement"]["report_totals"]
    page: str = template.render(
        environment=environment,
        span=span,
        tiles=_tiles(data),
        sections=[
            {
                "table": name,
                "heading": section.heading,
                "text": section.text,
                "charts": [svg() for svg in drawn[name]],
                "rows": listed(data[name]),
            }
            for name, section in SECTIONS.items()
        ],
        # "<" would let a song title end the script element.
        json=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page


def _tiles(data: dict[str, Data]) -> Record:
    """Return the numbers at the top of the page by what is written under them."""
    numbers: Record = {}
    for name, section in SECTIONS.items():
        numbers |= section.numbers(data[name])
    plays = numbers.get("total_plays", 0)

    def percent(name: str) -> str:
        return f"{100 * numbers.get(name, 0) / plays:.1f} %" if plays else "-"

    return {
        "plays": plays,
        "users in the last 7 days": numbers.get("latest_weekly_active_users", 0),
        "of plays on the paid level": percent("total_paid_plays"),
        "of plays found in the catalogue": percent("matched_plays"),
        "upgrades": numbers.get("upgrades", 0),
        "downgrades": numbers.get("downgrades", 0),
    }
