"""`sparkify impact` and the page of `sparkify docs --html`."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.cli import main
from sparkify_dagster.tables import TABLES
from sparkify_dagster_tests.support.loads import load_all
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song


def invoke(*words: str, **variables: str) -> Result:
    return CliRunner(env=variables).invoke(main, words)


def parts(result: Result) -> dict[str, list[str]]:
    """Return what is named under each heading."""
    assert result.exit_code == 0
    found: dict[str, list[str]] = {}
    heading = ""
    for line in result.output.splitlines()[1:]:
        if line.startswith("  "):
            found[heading].append(re.split(r"[: ]", line.strip())[0])
        else:
            heading = line.rstrip(":")
            found[heading] = []
    return found


@pytest.mark.parametrize("name", ["songplays.level", "analytics.songplays.level"])
def test_up_to_the_lake_and_down_to_checks_and_report(name: str) -> None:
    found = parts(invoke("impact", name))
    assert found["Made from"] == ["staging_events.level", "log_data.level"]
    columns = found["Part of the columns"]
    assert {"top_songs.paid_plays", "top_artists.paid_plays", "listener_demographics.level"} <= {
        *columns
    }
    assert "level_changes.to_level" not in columns
    # Of level_changes, a check looks at the levels of plays, in a condition.
    checks = found["Part of the checks"]
    assert {"songplays.level_domain", "level_changes.plays_reconcile"} <= {*checks}
    assert "users.level_domain" not in checks
    assert "top_songs/report.paid_plays" in found["Part of the report"]


def test_a_key_of_the_lake_and_a_column_that_nothing_is_made_of() -> None:
    assert "users.level" in parts(invoke("impact", "log_data.level"))["Part of the columns"]
    assert parts(invoke("impact", "time.week"))["Part of the columns"] == ["nothing"]


@pytest.mark.parametrize(("name", "near"), [("users.levl", "users.level"), ("users", "users.")])
def test_a_column_that_there_is_not_is_one_line(name: str, near: str) -> None:
    result = invoke("impact", name)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert near in result.stderr


def test_the_page_before_and_after_a_run(tmp_path: Path) -> None:
    source, page = TinyLake(tmp_path / "lake"), tmp_path / "page.html"
    source.write_events("2018-11-01", [event(), event(itemInSession=1)])
    source.write_songs("A/A/A/TR1", [song()])
    variables = {"SPARKIFY_DUCKDB_PATH": str(tmp_path / "w.duckdb")}
    assert invoke("docs", "--html", str(page), **variables).exit_code == 0
    assert "nothing is loaded yet" in content(page)["state"]
    load_all(source.folder, tmp_path / "w.duckdb")
    assert invoke("docs", "--html", str(page), **variables).exit_code == 0
    tables = {table["name"]: table for table in content(page)["tables"]}
    assert list(tables) == [table.qualified_name for table in TABLES.values()]
    assert tables["analytics.songplays"]["facts"][0].startswith("2 rows, last changed 20")
    assert not re.search(r"(?:src|href)=|https?://(?!www\.w3\.org/2000/svg)", page.read_text())
    assert invoke("docs", "--html", str(tmp_path), **variables).exit_code != 0


def content(page: Path) -> dict[str, object]:
    """Return the data that the page shows."""
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])
