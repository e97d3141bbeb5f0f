"""What is measured: the platform, empty Dagster jobs, a script, what users would pick instead."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Command, say

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent
WORK = FOLDER / ".work"
BIN = Path(sys.executable).parent

OURS = "sparkify_dagster"
SEVEN = "sparkify_dagster, seven tables"
EMPTY = "empty job 7+10"
EMPTY_SAME = "empty job, our shape"
SCRIPT = "script"
SCRIPT_SEVEN = "script, seven tables"


class NotInstalled(Exception):
    """A competitor cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Subject:
    """One thing to measure.

    In words and environment stand {lake}, {warehouse}, {home} (a DAGSTER_HOME), {day} (the last day
    of the lake) and {after} (the day after the last loaded one).
    """

    name: str
    full: tuple[str, ...]  # fills an empty warehouse
    new_day: tuple[str, ...]  # adds the last day
    environment: Mapping[str, str] = field(default_factory=dict)
    new_day_environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = REPOSITORY
    competitor: str = ""  # its file in requirements/
    has_tables: bool = True
    has_analytics: bool = False
    stock_home: bool = False  # an instance of Dagster as it is, instead of the platform's

    @property
    def warehouse(self) -> Path:
        """Return the DuckDB file, named as a catalog may be: SQLMesh writes it into its views."""
        return WORK / "warehouses" / f"of_{re.sub('[^a-z]+', '_', self.name)}.duckdb"

    def command(self, lake: Path, day: str, after: str, label: str, is_new_day: bool) -> Command:
        """Return the process for one lake."""
        home = WORK / "homes" / f"{self.name} {label}".replace(" ", "-").replace(",", "")
        prepare_home(home, self.stock_home)
        values = {
            "lake": str(lake),
            "warehouse": str(self.warehouse),
            "home": str(home),
            "day": day,
            "after": after,
        }
        words = self.new_day if is_new_day else self.full
        extra = {**self.environment, **(self.new_day_environment if is_new_day else {})}
        return Command(
            [word.format(**values) for word in words],
            {**base_environment(), **{key: value.format(**values) for key, value in extra.items()}},
            self.folder,
            WORK / "logs" / f"{self.name}.log",
        )


def base_environment() -> dict[str, str]:
    """Return the environment that every process starts from: nothing of this shell's settings."""
    home = WORK / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "HOME": str(home),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }


def prepare_home(home: Path, stock: bool = False) -> None:
    """Make a DAGSTER_HOME as `make run` does, or with Dagster's own defaults."""
    home.mkdir(parents=True, exist_ok=True)
    if stock:
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    else:
        shutil.copy(REPOSITORY / "deploy" / "dagster.development.yaml", home / "dagster.yaml")


def own_subjects() -> list[Subject]:
    """Return the platform and what it is held against, all of this environment."""
    job = (str(BIN / "dagster"), "job", "execute", "-m")
    python = {"PYTHONPATH": str(REPOSITORY)}
    dagster = {**python, "DAGSTER_HOME": "{home}"}
    ours = (*job, "sparkify_dagster.definitions", "-j", "sparkify_etl")
    seven = (*job, "benchmarks.seven_tables", "-j", "seven_tables")
    empty = (*job, "benchmarks.empty_job", "-j", "empty", "-a")
    script = (sys.executable, "-m", "benchmarks.script", "{lake}", "{warehouse}")
    return [
        Subject(
            OURS,
            ours,
            ours,
            {**dagster, "SPARKIFY_LAKE": "{lake}", "SPARKIFY_DUCKDB_PATH": "{warehouse}"},
            has_analytics=True,
        ),
        Subject(
            SEVEN,
            seven,
            seven,
            {**dagster, "SPARKIFY_LAKE": "{lake}", "SPARKIFY_DUCKDB_PATH": "{warehouse}"},
        ),
        Subject(
            EMPTY,
            (*empty, "seven_and_ten"),
            (*empty, "seven_and_ten"),
            dagster,
            has_tables=False,
            stock_home=True,
        ),
        Subject(
            EMPTY_SAME, (*empty, "same_shape"), (*empty, "same_shape"), dagster, has_tables=False
        ),
        Subject(
            SCRIPT,
            (*script, "--analysts"),
            (*script, "--analysts", "--day", "{day}"),
            python,
            has_analytics=True,
        ),
        Subject(SCRIPT_SEVEN, script, (*script, "--day", "{day}"), python),
    ]


def competitors() -> list[Subject]:
    """Return what users would pick instead, each in an environment of its own."""
    lake = {"LAKE": "{lake}", "WAREHOUSE": "{warehouse}"}
    plan = (
        *(
            str(_environment("sqlmesh") / "sqlmesh"),
            "--log-file-dir",
            str(WORK / "sqlmesh" / "log"),
        ),
        *("plan", "--auto-apply", "--no-prompts", "--run", "--execution-time", "{after}"),
    )
    dbt = (str(_environment("dbt") / "dbt"), "build")
    dagster_dbt = (
        str(_environment("dagster-dbt") / "dagster"),
        *("job", "execute", "-f", "orchestrated.py", "-j"),
    )
    return [
        Subject(
            "dbt",
            dbt,
            (*dbt, "--select", "staging_events+"),
            {**lake, **_dbt_environment("dbt")},
            {"NEW_DAY": "{day}"},
            FOLDER / "dbt_project",
            "dbt",
        ),
        Subject(
            "sqlmesh",
            plan,
            plan,
            {**lake, "CACHE": str(WORK / "sqlmesh" / "cache")},
            {},
            FOLDER / "sqlmesh_project",
            "sqlmesh",
        ),
        Subject(
            "dagster-dbt",
            (*dagster_dbt, "everything"),
            (*dagster_dbt, "new_day"),
            {
                **lake,
                **_dbt_environment("dagster-dbt"),
                "DAGSTER_HOME": "{home}",
                "PATH": f"{_environment('dagster-dbt')}{os.pathsep}{os.environ.get('PATH', '')}",
            },
            {"NEW_DAY": "{day}"},
            FOLDER / "dbt_project",
            "dagster-dbt",
            stock_home=True,
        ),
    ]


def install(competitor: str) -> None:
    """Put a competitor into its environment, unless these very versions are there.

    Raises:
        NotInstalled: with what the installer said last.
    """
    requirements = FOLDER / "requirements" / f"{competitor}.txt"
    folder = _environment(competitor).parent
    marker = folder / "installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if marker.is_file() and marker.read_text() == wanted:
        return
    uv = shutil.which("uv", path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise NotInstalled("uv is not installed, which makes the environments")
    say(f"installing {competitor}")
    for words in (
        (uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)),
        (uv, "pip", "install", "--quiet", "--python", str(folder), "-r", str(requirements)),
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["without a message"])[-1]
            raise NotInstalled(f"uv {' '.join(words[1:3])} failed: {last.strip()}")
    marker.write_text(wanted)


def pinned(competitor: str) -> dict[str, str]:
    """Return the versions that a competitor is installed in."""
    wanted = (
        "dbt-core",
        "dbt-duckdb",
        "dbt-redshift",
        "dagster",
        "dagster-dbt",
        "sqlmesh",
        "duckdb",
    )
    text = (FOLDER / "requirements" / f"{competitor}.txt").read_text(encoding="utf-8")
    pins = (line.split("==") for line in text.splitlines() if "==" in line)
    return {name: version for name, version in pins if name in wanted}


def _environment(competitor: str) -> Path:
    return WORK / f"venv-{competitor}" / "bin"


def _dbt_environment(name: str) -> dict[str, str]:
    return {
        "DBT_TARGET_PATH": str(WORK / name / "target"),
        "DBT_LOG_PATH": str(WORK / name / "log"),
    }
