"""The UI in a real browser, on an empty warehouse: what a newcomer clicks and sees.

Run by `make test-ui`, which needs Debian's chromium. With SPARKIFY_SCREENSHOTS=1 the pictures of
the README are made anew.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster_tests.conftest import REPOSITORY

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")

IMAGES = REPOSITORY / "docs" / "images"
GROUPS = ("lake", "staging", "star", "analytics")
PAGE = {"width": 1500, "height": 1100}
START_SECONDS = 120
RUN_MILLISECONDS = 240_000


@contextmanager
def dagster_dev(folder: Path, lake: Path) -> Iterator[str]:
    """Run `dagster dev` on a free port; yield its address."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copy(REPOSITORY / "deploy" / "dagster.development.yaml", home / "dagster.yaml")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "dagster.log").open("w")
    # Without a shell in between, so that an interrupt reaches all its processes.
    server = subprocess.Popen(
        ["dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "DAGSTER_HOME": str(home),
            "SPARKIFY_LAKE": str(lake),
            "SPARKIFY_DUCKDB_PATH": str(folder / "data" / "sparkify.duckdb"),
        },
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # A shell's background jobs ignore interrupts, and so would all that Dagster starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(base, server, folder / "dagster.log")
        yield base
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()


def _wait_for(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{base}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the UI did not start in {START_SECONDS} s:\n{log.read_text()}")


def _ask(base: str, query: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{base}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
    return data


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=chromium,
            headless=True,
            args=["--disable-gpu", "--no-sandbox", "--disable-background-networking"],
            viewport=PAGE,
        )
        context.set_default_timeout(60_000)
        yield context
        context.close()


def _graph_address(base: str) -> str:
    expanded = "%2C".join(f"global%40global%3A{group}" for group in GROUPS)
    return f"{base}/asset-groups?expanded={expanded}"


def _materialize_all(page: Any, base: str) -> None:
    """Press "Materialize all", answer the dialog about days, wait until nothing runs."""
    page.goto(_graph_address(base))
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
    dialog.get_by_role("button", name="All", exact=True).click()
    dialog.get_by_role("button", name="Launch", exact=False).last.click()
    deadline = time.monotonic() + RUN_MILLISECONDS / 1000
    while time.monotonic() < deadline:
        backfills = _ask(
            base, "{partitionBackfillsOrError{... on PartitionBackfills{results{status}}}}"
        )
        runs = _ask(base, "{runsOrError{... on Runs{results{status}}}}")["runsOrError"]["results"]
        states = {run["status"] for run in runs}
        states |= {b["status"] for b in backfills["partitionBackfillsOrError"]["results"]}
        if states and states <= {"SUCCESS", "FAILURE", "COMPLETED_SUCCESS", "COMPLETED_FAILED"}:
            return
        time.sleep(0.5)
    pytest.fail("the runs did not end")


def _picture(page: Any, name: str) -> None:
    if os.environ.get("SPARKIFY_SCREENSHOTS"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(3_000)  # colours and states follow the text
        page.screenshot(path=str(IMAGES / name))


def test_materialize_all_on_an_empty_warehouse(
    browser: Any, sample_lake: Path, tmp_path: Path
) -> None:
    with dagster_dev(tmp_path, sample_lake) as base:
        page = browser.new_page()
        _materialize_all(page, base)
        runs = _ask(base, "{runsOrError{... on Runs{results{status}}}}")["runsOrError"]["results"]
        assert {run["status"] for run in runs} == {"SUCCESS"}

        page.set_viewport_size({"width": 1900, "height": 1750})
        page.goto(_graph_address(base))
        page.get_by_text("songplays", exact=True).first.wait_for()
        page.get_by_text("Hide navigation").click()
        page.reload()  # fits the graph into the room it now has
        page.get_by_text("songplays", exact=True).first.wait_for()
        _picture(page, "graph.png")
        page.set_viewport_size(PAGE)

        page.goto(f"{base}/assets/songplays")
        page.get_by_text("songplay_id").first.wait_for()
        page.goto(f"{base}/assets/top_songs")
        page.get_by_text("matched_plays").first.wait_for()
        _picture(page, "asset.png")
        page.goto(f"{base}/assets/songplays?view=events")
        page.get_by_text("dagster/row_count").first.wait_for()
        page.get_by_text("preview").first.wait_for()
        page.goto(f"{base}/assets/songplays?view=checks")
        page.get_by_text("unique_key").first.wait_for()
        page.get_by_text("Passed").first.wait_for()

        page.goto(f"{base}/assets/top_songs?view=events")
        chart = page.locator("tr").filter(has_text="chart").last
        chart.get_by_text("Show Markdown").click()
        drawing = page.get_by_role("dialog").locator("img[src^='data:image/png']")
        drawing.wait_for()
        assert drawing.evaluate("image => image.naturalWidth") > 100
        page.goto(f"{base}/assets/listening_report?view=events")
        page.get_by_text("listening_report.html").first.wait_for()

        page.goto(f"file://{tmp_path}/data/listening_report.html")
        page.get_by_role("heading", name="Listening report").wait_for()
        assert page.locator("svg").count() > 5
        _picture(page, "report.png")


def test_wrong_lake_is_a_readable_error(browser: Any, tmp_path: Path) -> None:
    with dagster_dev(tmp_path, tmp_path / "no-such-lake") as base:
        page = browser.new_page()
        page.goto(f"{base}/assets/staging_songs")
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_text("Launched run").wait_for()
        page.goto(base + page.locator("a[href*='/runs/']").first.get_attribute("href"))
        page.get_by_text("no-such-lake").first.wait_for(timeout=RUN_MILLISECONDS)
        page.get_by_text("holds no folder song_data/").first.wait_for()
