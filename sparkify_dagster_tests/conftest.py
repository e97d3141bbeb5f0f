"""What tests share: lakes, and an environment that names nothing of this machine's."""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import botocore.session
import duckdb  # noqa: F401 - first, or the definitions freeze what its list of leaks is about
import pytest

from sparkify_dagster_tests.support.own_sql import own_sql  # noqa: F401

pytest.register_assert_rewrite(
    "sparkify_dagster_tests.support.redshift_stage", "sparkify_dagster_tests.support.redshift_suite"
)

REPOSITORY = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")
REAL_DATA = REPOSITORY.parent / "shared" / "data" / "sparkify_real.tar.gz"


# Each session of botocore reads megabytes of JSON anew: a fifth of a second for every client.
botocore.session.create_loader = cache(botocore.session.create_loader)


def pytest_configure() -> None:
    """Put temporary files into memory where there is room: on a disk half of a run is waiting."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    found = os.statvfs(MEMORY)
    # The tests start programs there.
    if found.f_bavail * found.f_frsize > 4 << 30 and not found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - {"SPARKIFY_SCREENSHOTS"}:
        if name.startswith(("SPARKIFY_", "REDSHIFT_", "AWS_", "DAGSTER_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample lake, for reading only."""
    from sparkify_dagster.sample import SampleSpec, write_sample_lake

    folder = tmp_path_factory.mktemp("lake") / "sample"
    write_sample_lake(folder, SampleSpec(days=7, events_per_day=200, songs=150, users=30))
    return folder


@pytest.fixture(scope="session")
def real_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real data set, unpacked outside the repository; skips where it is not at hand."""
    if not REAL_DATA.is_file():
        pytest.skip("the real data set is not at hand (shared/data beside the repository)")
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(REAL_DATA) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def run_command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command of the platform in an empty folder."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TMPDIR")
        },
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "DAGSTER_HOME": str(home),
        "SPARKIFY_DUCKDB_PATH": str(tmp_path / "warehouse.duckdb"),
        "COLUMNS": "200",
    }

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run
