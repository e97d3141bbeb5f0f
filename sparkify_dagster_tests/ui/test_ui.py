"""The UI in a real browser: what a newcomer clicks and sees, on sample data and on the real data.

Run by `make test-ui`, which needs Debian's chromium. With SPARKIFY_SCREENSHOTS=1 the pictures of
the README are made anew.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sparkify_dagster.assets.common import PREVIEW_ROWS
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.tables import TABLES
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.support.dagster_dev import Server, dagster_dev
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")

IMAGES = REPOSITORY / "docs" / "images"
MOST_KILOBYTES = 300
MOST_PICTURES = 50
GROUPS = ("lake", "staging", "star", "analytics")
PAGE = {"width": 1500, "height": 1100}
# As narrow as the graph itself, so that its names stay legible where the picture is scaled down.
GRAPH_PAGE = {"width": 1400, "height": 1500}
WAIT_MILLISECONDS = 120_000
RUN_MILLISECONDS = 400_000  # some seconds, where nothing else is at work
LOCATION = "sparkify_dagster.definitions"
BUILT = {*TABLES, "listening_report"}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            args=["--disable-gpu", "--no-sandbox", "--disable-background-networking"],
            timeout=WAIT_MILLISECONDS,
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    page = chromium.new_page(viewport=PAGE)
    page.set_default_timeout(WAIT_MILLISECONDS)
    yield page
    # pytest shows this where the test failed.
    page.screenshot(path=tmp_path / "last.png")
    print(f"the page at the end of the test: {tmp_path / 'last.png'}")
    page.close()


@dataclass(frozen=True)
class Platform:
    """A UI on an empty warehouse, and how many days its lake has."""

    server: Server
    days: int


@pytest.fixture(scope="module", params=["sample", "real"])
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("ui")
    lake, days = folder / "lake", 7
    if request.param == "real":
        lake, days = request.getfixturevalue("real_lake"), 30
    else:
        write_sample_lake(lake, SampleSpec(days=7, events_per_day=200, songs=150, users=30))
    with dagster_dev(folder, lake) as server:
        yield Platform(server, days)


@pytest.fixture(scope="module")
def filled(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A UI in which "Materialize all" was pressed on an empty warehouse of sample data."""
    folder = tmp_path_factory.mktemp("ui")
    write_sample_lake(folder / "lake", SampleSpec(days=7, events_per_day=200, songs=150, users=30))
    with dagster_dev(folder, folder / "lake") as server:
        page = chromium.new_page(viewport=PAGE)
        page.set_default_timeout(WAIT_MILLISECONDS)
        page.goto(_graph_address(server))
        assert _materialize(page, server, "Materialize all") == "Success"
        page.close()
        yield server


def _graph_address(server: Server) -> str:
    expanded = "%2C".join(f"global%40global%3A{group}" for group in GROUPS)
    return f"{server.address}/asset-groups?expanded={expanded}"


def _launch(page: Any, server: Server, asset: str) -> str:
    """Materialize one asset from its page; return how the run ended."""
    page.goto(f"{server.address}/assets/{asset}")
    return _materialize(page, server, "Materialize")


def _materialize(page: Any, server: Server, button: str) -> str:
    """Press a button, without any setting, go to the page of the run, return how it ended."""
    page.get_by_role("button", name=button).first.click()
    page.get_by_text("Launched run").wait_for()
    # The page has links to earlier runs, too.
    run = page.locator("a[href*='/runs/']").filter(has_text="View").get_attribute("href")
    page.goto(server.address + run)
    return _await_end(page)


def _await_end(page: Any) -> str:
    """Return how the run of this page ended, as the page says without being loaded again."""
    end = page.get_by_text("Success", exact=True).or_(page.get_by_text("Failure", exact=True)).first
    end.wait_for(timeout=RUN_MILLISECONDS)
    said: str = end.inner_text()
    return said


def _ask(server: Server, query: str) -> Any:
    request = urllib.request.Request(
        f"{server.address}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]


def _runs(server: Server) -> list[dict[str, Any]]:
    """Return the runs, the latest first."""
    query = (
        "{runsOrError{... on Runs{results{runId status assetMaterializations{assetKey{path}} "
        "stepStats{stepKey}}}}}"
    )
    runs: list[dict[str, Any]] = _ask(server, query)["runsOrError"]["results"]
    return runs


def _assert_one_run_did_all(server: Server, earlier: int) -> None:
    runs = _runs(server)
    assert len(runs) == earlier + 1
    assert runs[0]["status"] == "SUCCESS"
    built = {event["assetKey"]["path"][-1] for event in runs[0]["assetMaterializations"]}
    assert built == BUILT
    steps = {step["stepKey"] for step in runs[0]["stepStats"]}
    assert {f"{table}_checks" for table in TABLES} <= steps
    nodes = _ask(server, "{assetNodes{assetKey{path} staleStatus isMaterializable}}")["assetNodes"]
    stale = {node["assetKey"]["path"][-1] for node in nodes if node["staleStatus"] != "FRESH"}
    assert stale & BUILT == set()


def _picture(page: Any, name: str) -> None:
    """Make a picture of the README once the page has come to rest; in each run it must be small."""
    earlier, now = b"", page.screenshot()
    for _ in range(MOST_PICTURES):
        if earlier == now:
            break
        earlier, now = now, page.screenshot()
    else:
        pytest.fail(f"{page.url} does not come to rest for {name}")
    assert len(now) < MOST_KILOBYTES * 1024
    if os.environ.get("SPARKIFY_SCREENSHOTS"):
        (IMAGES / name).write_bytes(now)


@pytest.mark.parametrize("warehouse", ["empty", "filled"])
def test_materialize_all_is_one_run(page: Any, platform: Platform, warehouse: str) -> None:
    server = platform.server
    earlier = len(_runs(server))
    assert (earlier == 0) is (warehouse == "empty")
    page.goto(_graph_address(server))
    assert _materialize(page, server, "Materialize all") == "Success"
    _assert_one_run_did_all(server, earlier)


def test_the_job_is_launched_from_its_page(page: Any, platform: Platform) -> None:
    server = platform.server
    earlier = len(_runs(server))
    page.goto(f"{server.address}/locations/{LOCATION}/jobs/sparkify_etl")
    assert _materialize(page, server, "Materialize all") == "Success"
    _assert_one_run_did_all(server, earlier)


def test_an_asset_is_materialized_from_its_page(page: Any, platform: Platform) -> None:
    server = platform.server
    earlier = len(_runs(server))
    assert _launch(page, server, "staging_events") == "Success"
    assert len(_runs(server)) == earlier + 1


def test_the_days_are_partitions_of_the_folder(page: Any, platform: Platform) -> None:
    server = platform.server
    query = (
        '{assetNodeOrError(assetKey:{path:["log_data"]}){... on AssetNode{partitionKeys '
        "partitionStats{numMaterialized numPartitions}}}}"
    )
    node = _ask(server, query)["assetNodeOrError"]
    assert len(node["partitionKeys"]) == platform.days
    assert node["partitionStats"] == {
        "numMaterialized": platform.days,
        "numPartitions": platform.days,
    }
    page.goto(f"{server.address}/assets/log_data?view=partitions&partition=2018-11-02")
    page.get_by_text("dagster/partition_row_count").wait_for()
    page.get_by_text("loaded", exact=True).wait_for()


def test_errors_say_what_to_mend(page: Any, tmp_path: Path) -> None:
    lake = tmp_path / "lake-to-be"
    with dagster_dev(tmp_path / "ui", lake) as server:
        assert _launch(page, server, "staging_songs") == "Failure"
        page.get_by_text("lake-to-be': holds no folder song_data/").first.wait_for()

        write_sample_lake(lake, SampleSpec(days=1, events_per_day=10, songs=5, users=3))
        song = sorted((lake / "song_data").rglob("*.json"))[0]
        right = song.read_text()
        song.write_text(json.dumps(json.loads(right) | {"year": "long ago"}))
        assert _launch(page, server, "staging_songs") == "Failure"
        page.get_by_text(f"{song.name}, line 1, column year").first.wait_for()

        song.write_text(right)
        assert _launch(page, server, "staging_songs") == "Success"
        page.get_by_text("RUN_SUCCESS").wait_for()


def test_a_run_launched_from_the_shell_finds_its_code(page: Any, filled: Server) -> None:
    words = ["job", "launch", "-m", LOCATION, "-j", "sparkify_etl"]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", *words],
        env=filled.environment,
        cwd=filled.folder,
        check=True,
    )
    page.goto(f"{filled.address}/runs/{_runs(filled)[0]['runId']}")
    assert _await_end(page) == "Success"


def test_nothing_is_warned_of(filled: Server) -> None:
    log = filled.log.read_text()
    assert "RUN_SUCCESS" in log
    assert [line for line in log.splitlines() if "Warning" in line or "WARNING" in line] == []


def test_graph_reads_from_left_to_right(page: Any, filled: Server) -> None:
    page.set_viewport_size(GRAPH_PAGE)
    page.goto(_graph_address(filled))
    page.get_by_text("listening_report", exact=True).wait_for()
    page.get_by_text("Hide navigation").click()
    page.get_by_role("button").filter(has=page.get_by_label("panel_show_right")).click()
    page.get_by_text("Jump to").wait_for(state="hidden")
    page.mouse.dblclick(300, 300)  # fits the graph into the room it now has
    built = page.locator("[style*='--color-accent-green']").filter(has_text="listening_report")
    built.wait_for()
    left = [page.get_by_text(group, exact=True).bounding_box()["x"] for group in GROUPS]
    assert left == sorted(set(left))
    _picture(page, "graph.png")


def test_page_of_a_table(page: Any, filled: Server) -> None:
    page.goto(f"{filled.address}/assets/songplays")
    page.get_by_text("One row per event with page NextSong").wait_for()
    page.get_by_text("Row count").wait_for()
    columns = page.get_by_role("row").filter(has_text="songplay_id").first
    columns.filter(has_text="VARCHAR(32)").filter(has_text="unique").wait_for()
    lineage = page.get_by_role("row").filter(has_text="made from").first
    lineage.filter(has_text="staging_events.item_in_session").wait_for()

    page.goto(f"{filled.address}/assets/songplays?view=checks")
    page.get_by_text("unique_key").first.click()
    page.get_by_text("Passed").wait_for()
    page.get_by_text("looked_at").first.wait_for()

    page.goto(f"{filled.address}/assets/songplays?view=events")
    page.get_by_text("dagster/row_count").wait_for()
    page.get_by_role("row").filter(has_text="preview").get_by_text("Show Markdown").click()
    preview = page.get_by_role("dialog").locator("tr")
    preview.filter(has_text="songplay_id").wait_for()
    assert preview.count() == 1 + PREVIEW_ROWS


def test_page_of_an_answer_has_its_chart(page: Any, filled: Server) -> None:
    page.goto(f"{filled.address}/assets/top_songs")
    page.get_by_text("matched_plays").first.wait_for()
    page.get_by_text("Row count").wait_for()
    _picture(page, "asset.png")
    page.get_by_role("row").filter(has_text="chart").get_by_text("Show Markdown").click()
    drawing = page.get_by_role("dialog").locator("img[src^='data:image/png']")
    drawing.wait_for()
    assert drawing.evaluate("image => image.naturalWidth") > 100


def test_report_opens(page: Any, filled: Server) -> None:
    page.goto(f"{filled.address}/assets/listening_report?view=events")
    page.get_by_text("listening_report.html").first.wait_for()
    page.goto((filled.folder / "data" / "listening_report.html").as_uri())
    page.get_by_role("heading", name="Listening report").wait_for()
    assert page.locator("svg").count() > 5
    _picture(page, "report.png")


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that notes what it is asked for."""
    asked: list[str] = []

    class Notes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Notes) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def _hostile_texts(address: str) -> list[str]:
    """Return as many as a preview has rows."""
    return [
        f"![x]({address}/markdown)",
        f"<img src={address}/image>",
        f"<script>fetch('{address}/script')</script>",
        f"a\\|![x]({address}/cell)|",
        f"{address}/address<b> www.x.example&lt;_a@b.example_ **bold** `code`",
    ]


def _shown_markdown(page: Any) -> str:
    """Open all that is shown in a dialog on this page; return the text of it."""
    buttons = page.get_by_text("[Show Markdown]")
    buttons.first.wait_for()
    found = ""
    for number in range(buttons.count()):
        buttons.nth(number).click()
        dialog = page.get_by_role("dialog")
        dialog.locator("table, pre, img").first.wait_for()
        found += dialog.inner_text()
        dialog.get_by_role("button", name="Close").click()
        dialog.wait_for(state="hidden")
    return found


def test_a_hostile_lake_is_shown_as_it_is_and_makes_no_browser_ask_for_anything(
    page: Any, tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    address, asked = listener
    texts = _hostile_texts(address)
    lake = TinyLake(tmp_path / "lake")
    for number, text in enumerate(texts):
        found = song(song_id=f"S{number}", artist_id=f"A{number}", title=text, artist_name=text)
        lake.write_songs(f"A/A/A/TR{number}", [found | {"artist_location": text}])
    user = f"![]({address}/u)"
    people = {"userId": user, "level": "gold", "firstName": texts[0], "location": texts[1]}
    events = [
        event(itemInSession=number, song=text, artist=text, userAgent=text, **people)
        for number, text in enumerate(texts)
    ]
    lake.write_events("2018-11-01", [events[0] | {texts[3]: 1}, *events[1:]])
    left_out = "![x](http:a)<img src=x>.json"
    lake.write(f"log_data/2018/11/{left_out}", b"")
    with dagster_dev(tmp_path / "ui", lake.folder) as server:
        page.goto(_graph_address(server))
        assert _materialize(page, server, "Materialize all") == "Success"
        for asset in ("staging_events", "staging_songs", "songplays", "top_songs"):
            page.goto(f"{server.address}/assets/{asset}?view=events")
            # What is short stands on the page itself.
            shown = _shown_markdown(page) + page.locator("body").inner_text()
            assert [text for text in texts if text not in shown] == []
            page.goto(f"{server.address}/assets/{asset}")
            page.get_by_text("Row count").wait_for()
            page.get_by_text("made from").wait_for()
            page.goto(f"{server.address}/assets/{asset}?view=lineage")
            page.locator("svg foreignObject").first.wait_for()
        for check, text in (
            ("known_keys", f"Ignored: {texts[3]}"),
            ("known_names", f"Not taken: log_data/2018/11/{left_out}"),
        ):
            page.goto(f"{server.address}/assets/staging_events?view=checks")
            page.get_by_text(check).first.click()
            page.get_by_text(text).wait_for()
        page.goto(f"{server.address}/assets/users?view=checks")
        page.get_by_text("level_domain").first.click()
        assert user in _shown_markdown(page)
        page.goto((server.folder / "data" / "listening_report.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(table => table.open = true)")
        page.get_by_role("cell", name=texts[0], exact=True).first.wait_for()

        lake.write_events("2018-11-02", [event(status=texts[3]), event(length=texts[1])])
        assert _launch(page, server, "staging_events") == "Failure"
        page.get_by_text(f"number expected (value '{texts[1]}')").first.wait_for()
        page.get_by_text("View full message").first.click()
        page.get_by_role("dialog").get_by_text("[Show Markdown]").click()
        bad = page.get_by_role("dialog").last.get_by_role("row").filter(has_text="status")
        assert texts[3] in bad.inner_text()
    assert asked == []
    page.goto(f"{address}/asked")
    assert asked[0] == "/asked"
