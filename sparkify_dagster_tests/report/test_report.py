"""What is shown: charts and numbers in the UI, and the report page."""

import base64
import datetime as dt
import io
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from PIL import Image, ImageChops

from sparkify_dagster.report import drawing
from sparkify_dagster.report.page import render_page, write_page
from sparkify_dagster.report.renderer import Renderer
from sparkify_dagster.report.sections import SECTIONS, Data, read
from sparkify_dagster.tables import in_group
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import load_all, rows_of

ANALYTICS = [table.name for table in in_group("analytics")]
MOST_BYTES = 40_000
CHART = {"mark": "point"}


@pytest.fixture(scope="module")
def run(sample_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The main job on the sample lake: the materializations, the warehouse and the page."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SPARKIFY_LAKE", str(sample_lake))
        patch.setenv("SPARKIFY_DUCKDB_PATH", str(folder / "w.duckdb"))
        from sparkify_dagster.definitions import defs

        result = defs.resolve_job_def("sparkify_etl").execute_in_process(instance=instance)
        assert result.success
        metadata = {
            event.asset_key.to_user_string(): event.metadata
            for event in (
                found.event_specific_data.materialization
                for found in result.get_asset_materialization_events()
            )
        }
        yield SimpleNamespace(
            metadata=metadata,
            warehouse=folder / "w.duckdb",
            page=folder / "listening_report.html",
        )


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with closing(Renderer()) as process:
        yield process


class Page(HTMLParser):
    """The parts of the page that a test looks at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.json: dict[str, Any] = {}
        self._block = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        is_data = attributes.get("type") == "application/json"
        self._block = attributes["id"] or "" if is_data else ""

    def handle_data(self, data: str) -> None:
        if self._block:
            self.json[self._block] = json.loads(data)
            self._block = ""


# --- in the UI


@pytest.mark.parametrize("table", ANALYTICS)
def test_materialization_shows_a_small_chart_and_the_first_rows(
    run: SimpleNamespace, table: str
) -> None:
    metadata = run.metadata[table]
    found = re.fullmatch(r"!\[.+\]\(data:image/png;base64,(.+)\)", str(metadata["chart"].value))
    assert found is not None
    png = base64.b64decode(found[1])
    assert len(png) < MOST_BYTES
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert 300 < width < 800
    assert 100 < height < 800
    lines = str(metadata["first_rows"].value).splitlines()
    assert len(lines) == 2 + min(10, metadata["dagster/row_count"].value)


def test_few_colours_show_the_same_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(colours: int) -> Image.Image:
        monkeypatch.setattr(drawing, "_COLOURS", colours)
        png = base64.b64decode(drawing.draw_png(drawing._FIRST))
        return Image.open(io.BytesIO(png)).convert("RGB")

    few, many = drawn(drawing._COLOURS), drawn(256)
    assert few.size == many.size
    furthest = max(high for _, high in ImageChops.difference(few, many).getextrema())
    assert furthest < 16  # of 255


def test_numbers_equal_the_tables(run: SimpleNamespace) -> None:
    def number(table: str, name: str) -> object:
        return run.metadata[table][name].value

    def one(table: str, expression: str) -> object:
        return rows_of(run.warehouse, f"analytics.{table}", expression)[0][0]

    plays = one("songplays", "count(*)")
    assert number("daily_engagement", "total_plays") == plays
    assert number("top_songs", "top_song_plays") == one("top_songs", "max(plays)")
    assert number("top_artists", "top_artist_plays") == one("top_artists", "max(plays)")
    assert number("listening_hours", "busiest_hour_plays") == one("listening_hours", "max(plays)")
    for name, level in (("upgrades", "paid"), ("downgrades", "free")):
        expected = one("level_changes", f"count(*) FILTER (to_level = '{level}')")
        assert number("level_changes", name) == expected
    assert number("catalogue_coverage", "matched_plays") == one("songplays", "count(song_id)")
    latest = one("daily_engagement", "max(day)")
    assert number("daily_engagement", "latest_day") == str(latest)
    for name in ("active_users", "weekly_active_users", "plays", "plays_per_session"):
        expected = one("daily_engagement", f"arg_max({name}, day)")
        assert number("daily_engagement", f"latest_{name}") == expected


# --- the page


def test_page_lies_beside_the_warehouse_and_the_run_says_where(run: SimpleNamespace) -> None:
    metadata = run.metadata["listening_report"]
    assert metadata["path"] == dg.MetadataValue.path(run.page)
    assert run.page.is_file()
    # Nothing of its writing is left over.
    assert {path.name for path in run.page.parent.glob("*.html")} == {run.page.name}
    assert not list(run.page.parent.glob(".*"))


def test_numbers_of_the_page_equal_the_tables(run: SimpleNamespace) -> None:
    data = Page(run.page.read_text(encoding="utf-8")).json["data"]
    whole = ("daily_engagement", "listener_demographics", "listening_hours", "catalogue_coverage")
    for table in whole:
        shown = data[table]["report"]
        columns = ", ".join(shown[0])
        expected = [
            tuple(str(value) if isinstance(value, dt.date) else value for value in row)
            for row in rows_of(run.warehouse, f"analytics.{table}", columns)
        ]
        assert sorted((tuple(row.values()) for row in shown), key=repr) == sorted(
            expected, key=repr
        )
    for table, key in (("top_songs", "title"), ("top_artists", "artist_name")):
        shown = data[table]["report"]
        rows = rows_of(run.warehouse, f"analytics.{table}", "plays")
        assert [row["plays"] for row in shown] == sorted((n for (n,) in rows), reverse=True)[:15]
        assert all(row[key] for row in shown)
    changes = rows_of(run.warehouse, "analytics.level_changes", "to_level")
    days = data["level_changes"]["report_days"]
    assert sum(day["upgrades"] for day in days) == changes.count(("paid",))
    assert sum(day["downgrades"] for day in days) == changes.count(("free",))


def test_page_needs_nothing_but_itself(run: SimpleNamespace) -> None:
    text = run.page.read_text(encoding="utf-8")
    page = Page(text)
    policies = [
        attributes["content"]
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies
    assert str(policies[0]).startswith("default-src 'none'")
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe")
        assert not attributes.get("src")
        assert str(attributes.get("href", "#")).startswith("#")
    # Names of XML dialects are no addresses.
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_page_is_for_phones_and_for_dark_rooms(run: SimpleNamespace) -> None:
    text = run.page.read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "@media (prefers-color-scheme: dark)" in text
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == sum(
        len(section.draw(_data(run.warehouse)[name])) for name, section in SECTIONS.items()
    )
    # Text takes the colour of the page around it.
    for drawn in drawings:
        assert 'fill="currentColor"' in drawn
        assert 'fill="#000"' not in drawn


def _data(path: Path) -> dict[str, Data]:
    warehouse = DuckDBWarehouse(path, lock_timeout=10)
    return warehouse.read(
        lambda session: {name: read(session, section) for name, section in SECTIONS.items()},
        "report",
        "test",
    )


def test_titles_cannot_break_out_of_the_page(
    run: SimpleNamespace, renderer: Renderer, tmp_path: Path
) -> None:
    data = _data(run.warehouse)
    evil = "</script><script>alert(1)</script> & \"quoted\" 'too'"
    data["top_songs"]["report"][0]["title"] = evil
    data["top_artists"]["report"][0]["artist_name"] = None
    page = Page(render_page(data, renderer))
    assert page.json["data"]["top_songs"]["report"][0]["title"] == evil
    assert [tag for tag, _ in page.tags].count("script") == 2
    write_page(tmp_path / "new" / "page.html", data, renderer)
    assert "(unknown)" in (tmp_path / "new" / "page.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_made_leaves_the_former_one(
    renderer: Renderer, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("former")
    folder = tmp_path / "folder.html"
    folder.mkdir()
    (folder / "in the way").touch()
    empty = {
        "daily_engagement": {
            "report": [],
            "report_totals": [{"first_day": None, "last_day": None, "plays": 0, "paid_plays": 0}],
        },
        **{
            name: {
                query: []
                for query in ("report", "report_days", "report_totals", "report_time_to_upgrade")
            }
            for name in SECTIONS
            if name != "daily_engagement"
        },
    }
    with pytest.raises(KeyError):
        write_page(page, {}, renderer)
    assert page.read_text() == "former"
    with pytest.raises(ValueError, match="unpack"):
        write_page(page, empty, renderer)
    assert page.read_text() == "former"
    empty["level_changes"]["report_totals"] = [{"upgrades": 0, "downgrades": 0}]
    empty["catalogue_coverage"]["report_totals"] = [{"plays": 0, "matched_plays": 0}]
    with pytest.raises(OSError, match=r"folder\.html"):
        write_page(folder, empty, renderer)
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", "folder.html"}
    write_page(page, empty, renderer)
    assert "No plays yet" in page.read_text()


# --- the charts say what the rows say


@pytest.mark.real_data
def test_charts_of_the_real_data(real_lake: Path, renderer: Renderer, tmp_path: Path) -> None:
    load_all(real_lake, tmp_path / "w.duckdb")
    data = _data(tmp_path / "w.duckdb")
    said = {
        name: [_marks(renderer.svg(chart)()) for chart in section.draw(data[name])]
        for name, section in SECTIONS.items()
    }
    assert said["top_songs"][0][0] == "You're The One – Dwight Yoakam: 37 plays"
    waits = [re.search(r"users: (\d+)", text) for text in said["level_changes"][1]]
    assert sum(int(found[1]) for found in waits if found) == 7
    people = [re.search(r"plays: (\d+)", text) for text in said["listener_demographics"][1]]
    assert sum(int(found[1]) for found in people if found) == 6820
    for section in SECTIONS.values():
        for drawn in section.draw(data[section.table]):
            assert len(base64.b64decode(renderer.png(drawn)())) < MOST_BYTES


def _marks(svg: str) -> list[str]:
    """What a reader of the page is told of each mark."""
    found = [attributes for _, attributes in Page(svg).tags]
    return [str(one["aria-label"]) for one in found if one.get("aria-roledescription") == "bar"]


def test_control_characters_of_the_logs_do_not_end_the_renderer(renderer: Renderer) -> None:
    names = [chr(code) + "It" + chr(code) + "s" for code in (*range(32), 127, 0xFFFE)]
    rows = [{"title": name, "artist_name": name, "plays": 1} for name in names]
    assert len(renderer.png(SECTIONS["top_songs"].draw({"report": rows})[0])()) > 1_000


def test_a_chart_is_drawn_once(renderer: Renderer) -> None:
    chart = {"mark": "point", "title": "once"}
    first = renderer.svg(chart)()
    begun = len(renderer._begun)
    assert renderer.svg(chart)() == first == drawing.draw_svg(chart)
    assert len(renderer._begun) == begun


def test_a_renderer_that_died_costs_nothing_but_time(caplog: pytest.LogCaptureFixture) -> None:
    with closing(Renderer()) as renderer:
        renderer._process.kill()
        assert renderer.svg(CHART)().startswith("<svg")
        assert "ended with status -9" in caplog.text


def test_a_chart_that_ends_every_renderer_is_left_out() -> None:
    with closing(Renderer()) as renderer:
        assert renderer.svg({"mark": {"type": "no such mark"}})() == ""
        assert renderer.svg(CHART)() == ""  # it has died too often


def test_a_renderer_leaves_no_process() -> None:
    waking = Renderer()
    waking.close()
    assert waking._process.poll() is not None


def test_a_renderer_ends_with_the_process_it_draws_for() -> None:
    code = (
        "import os, signal\n"
        "from sparkify_dagster.report.renderer import Renderer\n"
        "renderer = Renderer()\n"
        "renderer.svg({'mark': 'point'})()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The renderer shares the standard error, which is read to its end: it comes with the last of
    # the two, or the time is up.
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == -9


@pytest.mark.parametrize("days", [[0], [0, 39], [0, 40, 400], list(range(200))])
def test_waits_fall_into_spans_of_equal_length(renderer: Renderer, days: list[int]) -> None:
    rows = [{"days_to_upgrade": day, "users": 1 + day % 2} for day in days]
    chart = SECTIONS["level_changes"].draw({"report_days": [], "report_time_to_upgrade": rows})[1]
    spans = [
        [int(number) for number in re.findall(r"\d+", text)]
        for text in _marks(renderer.svg(chart)())
    ]
    assert len(spans) <= 41
    assert len({end - start for start, end, _ in spans}) == 1
    for start, end, users in spans:
        assert users == sum(row["users"] for row in rows if start <= row["days_to_upgrade"] < end)
    assert sum(users for *_, users in spans) == sum(row["users"] for row in rows)
