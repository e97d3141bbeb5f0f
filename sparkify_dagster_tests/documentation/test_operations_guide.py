"""The commands of docs/operations.md, carried out in their order in a copy of the project."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster_tests.conftest import REPOSITORY

GUIDE = (REPOSITORY / "docs/operations.md").read_text("utf-8")
# The blocks of the guide: language, what is said beside it, content.
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
FOLDERS = ("sparkify_dagster", "sql", "deploy", "docs")


def _project(folder: Path) -> Path:
    for name in FOLDERS:
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("workspace.yaml", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    command = folder / "bin" / "sparkify"
    command.parent.mkdir()
    code = "from sparkify_dagster.cli import main; main(prog_name='sparkify')"
    command.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", code])} "$@"\n')
    command.chmod(0o755)
    return folder


def _environment(folder: Path) -> dict[str, str]:
    places = [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {
        "PATH": os.pathsep.join(places),
        "HOME": str(folder),
        "PYTHONPATH": str(folder),
        "DAGSTER_HOME": str(folder / ".dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "SPARKIFY_LAKE": "data/sample-lake",
        "PYTHONWARNINGS": "ignore",
        "COLUMNS": "200",
    }


def test_the_guide_does_what_it_says(tmp_path: Path) -> None:
    folder = _project(tmp_path)
    environment = _environment(folder)
    # The guide's default, with fewer rows.
    lake = SampleSpec(days=20, events_per_day=60, songs=40, users=10)
    write_sample_lake(folder / "data/sample-lake", lake)
    output = ""
    done = {"run": 0, "fails": 0, "file": 0}
    for language, word, content in BLOCKS:
        if word in ("run", "fails"):
            result = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", content],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=120,
            )
            output = result.stdout
            assert (result.returncode == 0) is (word == "run"), f"{content}\n{output[-3000:]}"
            done[word] += 1
        elif language == "text":
            for line in content.splitlines():
                assert line in output
        elif word.endswith("tables.yaml"):
            with (folder / word).open("a", encoding="utf-8") as entries:
                entries.write(f"\n{content}")
        elif word:
            (folder / word).parent.mkdir(parents=True, exist_ok=True)
            (folder / word).write_text(content, "utf-8")
            done["file"] += 1
    assert min(done.values()) >= 1, done
    _assert_the_table_needs_nothing_else(folder, environment)


def _assert_the_table_needs_nothing_else(folder: Path, environment: dict[str, str]) -> None:
    """The lint and the tests of a table hold for the guide's, with no other file touched."""
    tests = "sparkify_dagster_tests"
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / tests, folder / tests, ignore=no_caches)
    files = [f"{tests}/{name}.py" for name in ("sql/test_sql_lint", "assets/test_definitions")]
    words = [sys.executable, "-m", "pytest", "-q", "-k", "listening_sessions", *files]
    result = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout


def test_the_guide_names_files_and_variables_that_exist() -> None:
    for path in re.findall(r"(?:deploy|requirements|docs)/[\w./-]+\w", GUIDE):
        assert (REPOSITORY / path).exists(), path
    example = (REPOSITORY / ".env.example").read_text("utf-8")
    for name in set(re.findall(r"\b(?:SPARKIFY|REDSHIFT|DAGSTER_PG)_[A-Z_]*[A-Z]\b", GUIDE)):
        assert f"{name}=" in example or f"{name}_" in example, name
