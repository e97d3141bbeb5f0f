"""The drawing of Vega-Lite specifications as SVG and PNG.

Run as a program it answers each line it reads, a request as JSON, with a line: the chart as a JSON
text.
"""

import base64
import io
import json
import re
import sys
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

Specification = dict[str, Any]

_INK = "#1b1f24"
_COLOURS = 32  # of a chart and the edges of its letters
_NO_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Drawn by a process before it is asked for anything: to wake the renderer and to find the fonts
# takes as long as ten charts.
_FIRST: Specification = {
    "data": {"values": [{"name": "a", "number": 1}]},
    "mark": "bar",
    "encoding": {
        "x": {"field": "number", "type": "quantitative"},
        "y": {"field": "name", "type": "nominal"},
    },
}


def draw_svg(specification: Specification) -> str:
    """Return a chart as SVG, 420 pixels wide, in the colour of the text around it."""
    return _draw(json.dumps(drawable(specification)))


def draw_png(specification: Specification) -> str:
    """Return a chart as PNG on white, 420 pixels wide, in base64."""
    import vl_convert
    from PIL import Image

    head, mark, rest = draw_svg(specification).partition("<g ")
    paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
    svg = f"{head}{paper}{mark}{rest}".replace("currentColor", _INK)
    png = io.BytesIO()
    # Every run keeps one of each chart: with so few colours it takes a third of the room.
    with Image.open(io.BytesIO(vl_convert.svg_to_png(svg))) as drawn:
        drawn.convert("RGB").quantize(_COLOURS).save(png, "PNG", optimize=True)
    return base64.b64encode(png.getvalue()).decode()


def drawable(value: Any) -> Any:
    """Return a specification with every character that XML forbids replaced.

    The logs hold control characters where an apostrophe was; the renderer ends the whole process
    on one, as it cannot report an error from within its text layout.
    """
    if isinstance(value, str):
        return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {key: drawable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [drawable(item) for item in value]
    return value


@lru_cache(maxsize=32)
def _draw(specification: str) -> str:
    """Draw a chart, once for the UI and the page."""
    # The charts' specifications are made without the renderer.
    import vl_convert

    return str(vl_convert.vegalite_to_svg({**_style(), **json.loads(specification)}))


@cache
def _style() -> Specification:
    style: Specification = yaml.load(
        Path(__file__).with_name("style.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
    )
    return style


def _answer_requests() -> None:
    draw = {"svg": draw_svg, "png": draw_png}
    draw_png(_FIRST)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(draw[request["form"]](request["chart"])), flush=True)


if __name__ == "__main__":
    _answer_requests()
