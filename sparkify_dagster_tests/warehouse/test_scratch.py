"""Folders of loads that run, ended or were killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkify_dagster.warehouse.scratch import scratch_folder
from sparkify_dagster_tests.conftest import REPOSITORY

_HOLDER = """
from sparkify_dagster.warehouse.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "part").write_text("half")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    """A process that is using a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        cwd=REPOSITORY,
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_folder_is_gone_afterwards(temporary: Path) -> None:
    with scratch_folder() as folder:
        (folder / "part").write_text("half")
    assert list(temporary.iterdir()) == []


def test_folder_of_a_running_process_stays(holder: subprocess.Popen[str]) -> None:
    assert holder.stdout is not None
    used = Path(holder.stdout.readline().strip())
    with scratch_folder() as folder:
        assert folder != used
        assert (used / "part").read_text() == "half"


def test_folder_of_a_killed_process_is_removed_by_the_next(
    holder: subprocess.Popen[str],
) -> None:
    assert holder.stdout is not None
    used = Path(holder.stdout.readline().strip())
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert used.exists()
    with scratch_folder():
        assert not used.exists()


@pytest.mark.parametrize("content", [[], ["new"]])
def test_folder_of_a_process_killed_as_it_made_it_is_removed_by_the_next(
    temporary: Path, content: list[str]
) -> None:
    with scratch_folder() as folder:
        made = temporary / f"{folder.name[: len('sparkify-scratch-')]}abandoned"
        made.mkdir()
        for name in content:
            (made / name).touch()
    with scratch_folder():
        assert not made.exists()
