"""`sparkify environments`, `diff` and `verify`, as they are called."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from sparkify_dagster.cli.diff import render
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.loading.diff import Difference, Example
from sparkify_dagster.loading.environments import load_all
from sparkify_dagster.settings import SettingError, load_settings
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster.warehouse.statements import SQL_ROOT
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lake(tmp_path: Path) -> TinyLake:
    lake = TinyLake(tmp_path / "lake")
    lake.write_events("2018-11-01", [event(), event(itemInSession=1, level="paid", userId="9")])
    lake.write_songs("A/A/A/TR1", [song()])
    return lake


@pytest.fixture
def call(run_command: Run, lake: TinyLake) -> Run:
    """Return the command `sparkify`, on a lake."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return run_command("sparkify", *words, SPARKIFY_LAKE=str(lake.folder), **variables)

    return run


@pytest.fixture
def filled(lake: TinyLake, tmp_path: Path) -> Path:
    """Return the file of a warehouse that has loaded the lake."""
    path = tmp_path / "warehouse.duckdb"
    load_all(DuckDBWarehouse(path, 5), LocalLake(str(lake.folder)), "run")
    return path


def test_an_environment_from_its_making_to_its_end(call: Run, filled: Path, lake: TinyLake) -> None:
    before = filled.read_bytes()
    assert call("environments", "list").stdout == "There is no environment.\n"
    made = call("environments", "create", "pr_1")
    assert made.stdout == "Next: SPARKIFY_ENVIRONMENT=pr_1 sparkify run, then sparkify diff pr_1\n"
    lake.write_events("2018-11-02", [event(sessionId=2, ts=1541116800796)])
    ran = call("run", SPARKIFY_ENVIRONMENT="pr_1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (filled.parent / "listening_report.pr_1.html").is_file()
    found = call("diff", "pr_1", "--fail-on", "schema").stdout
    assert "only in pr_1" in found
    assert call("diff", "pr_1", "--fail-on", "any").returncode == 1
    listed = call("environments", "list", SPARKIFY_ENVIRONMENT_DAYS="0").stdout
    assert "songplays" in listed
    assert "left over: 0 days old" in listed
    assert call("environments", "drop", "pr_1").stdout == "Dropped: pr_1.\n"
    assert filled.read_bytes() == before
    assert not list(filled.parent.glob("*pr_1*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("environments", "drop", "production"), "production is no environment"),
        (("environments", "create", "production"), "production is no environment"),
        (("environments", "drop", "pr_9"), "no such environment"),
        (("environments", "create", "PR-9"), "allowed is a name of a-z, 0-9 and _"),
        (("environments", "create", "snapshot"), "allowed is a name of a-z, 0-9 and _"),
        (("diff",), "name one side or two"),
        (("diff", "production"), "are the same"),
        (("diff", "--", "-x"), "-x: is neither production, nor rebuild, nor an environment"),
        (("diff", "no_commit"), "no_commit: is neither production, nor rebuild"),
        (("diff", "rebuild", "--fail-on", "users.colour"), "there is no such column"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    call: Run, filled: Path, words: tuple[str, ...], message: str
) -> None:
    found = call(*words)
    assert found.returncode != 0
    assert message in found.stderr
    assert "Traceback" not in found.stderr
    assert (
        sorted(path.name for path in filled.parent.glob("warehouse*"))
        == [
            "warehouse.duckdb",
            "warehouse.snapshot.duckdb",
        ][: 1 + filled.with_suffix(".snapshot.duckdb").exists()]
    )


@pytest.mark.parametrize(
    "words",
    [("environments", "create", "pr_1"), ("diff", "rebuild"), ("diff", "pr_1"), ("verify",)],
)
def test_before_the_first_run(call: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    found = call(*words)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    assert not list(tmp_path.glob("*.duckdb"))


def test_verify_names_what_hands_did(call: Run, filled: Path) -> None:
    found = call("verify")
    assert (found.returncode, found.stdout.count("\n")) == (0, 3), found.stdout + found.stderr
    with duckdb.connect(str(filled)) as connection:
        connection.execute("UPDATE analytics.users SET level = 'gold' WHERE user_id = '9'")
        connection.execute("UPDATE analytics.users SET first_name = 'Eve' WHERE user_id = '8'")
    found = call("verify")
    assert found.returncode == 1
    assert "user_id=9" in found.stdout
    assert "gold" in found.stdout
    assert "Eve" not in found.stdout  # who somebody is, is not for a log
    assert sorted(path.name for path in filled.parent.glob("*built*")) == []


def test_verify_and_a_run_say_what_is_damaged(call: Run, filled: Path) -> None:
    with duckdb.connect(str(filled)) as connection:
        (block,) = connection.execute(
            "SELECT block_id FROM pragma_storage_info('analytics.users') WHERE column_name = "
            "'user_id' AND block_id >= 0 LIMIT 1"
        ).fetchone() or (None,)
        assert block is not None
    content = bytearray(filled.read_bytes())
    for at in range(64):
        content[3 * 4096 + block * 262_144 + 64 + at] ^= 0xFF
    filled.write_bytes(content)
    for words in (("verify",), ("run",)):
        found = call(*words)
        assert found.returncode == 1
        assert "analytics.users (user_id" in found.stderr
        assert "The way back: remove it and run: the lake has everything" in found.stderr


def test_two_commits_of_sql_are_compared(run_command: Run, lake: TinyLake, tmp_path: Path) -> None:
    """In a checkout of its own, where sql/ has a history."""
    checkout = tmp_path / "checkout"
    package = SQL_ROOT.parent / "sparkify_dagster"
    shutil.copytree(package, checkout / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SQL_ROOT, checkout / "sql")

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=checkout, check=True, capture_output=True)

    git("init", "-b", "main")
    git("add", "sql")
    git("commit", "-m", "first")
    songs = checkout / "sql/star/songs.sql"
    songs.write_text(songs.read_text().replace("NULLIF(year, 0)", "NULLIF(year, 1)"))
    git("commit", "-am", "second")
    found = run_command(
        "sparkify", "diff", "HEAD~1", "HEAD", "--format", "markdown", "--fail-on", "songs.year",
        PYTHONPATH=str(checkout), SPARKIFY_LAKE=str(lake.folder),
    )  # fmt: skip
    assert found.returncode == 1, found.stderr
    assert "| analytics.songs | 0 | 0 | 1 | year 1 |" in found.stdout
    assert "| analytics.songs | song&#95;id=S1 | year | NULL | 0 |" in found.stdout.replace(
        "song_id", "song&#95;id"
    )
    assert not list(tmp_path.glob("*.duckdb"))


def test_markdown_of_a_table_that_is_new() -> None:
    found = [
        Difference("analytics.a", ["only the second side has it"]),
        Difference("analytics.b", only_left=1, examples=[Example({"k": "|"}, left=1, right=0)]),
    ]
    text = render(found, "production", "pr_1", "markdown")
    assert text.index("only the second") < text.index("| analytics.b | 1 | 0 | 0 |  |")
    assert "k=&#124;" in text


def test_an_environment_has_its_own_names_and_no_automation() -> None:
    found = load_settings(
        {
            "SPARKIFY_ENVIRONMENT": "pr_1",
            "SPARKIFY_AUTOMATION": "on",
            "SPARKIFY_ASSET_KEY_PREFIX": "music",
            "SPARKIFY_DUCKDB_PATH": f"data{os.sep}w.duckdb",
        }
    )
    assert found.asset_key_prefix == ("music", "pr_1")
    assert not found.automation
    assert found.duckdb_path == Path("data/w.pr_1.duckdb")
    assert load_settings({"SPARKIFY_ENVIRONMENT": "production"}).environment == ""
    with pytest.raises(SettingError, match="SPARKIFY_ENVIRONMENT='1'"):
        load_settings({"SPARKIFY_ENVIRONMENT": "1"})
