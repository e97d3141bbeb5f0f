import os
import stat
from pathlib import Path

import pytest

from sparkify_dagster.infra.envfile import merged, write_env

VALUES = {"SPARKIFY_TARGET": "redshift", "REDSHIFT_WORKGROUP": "sparkify"}


def test_other_lines_are_kept_and_values_set_in_place() -> None:
    old = "# mine\nexport SPARKIFY_TARGET = duckdb\n\nOTHER=a=b # c\nSPARKIFY_TARGET_X=1\n"
    assert merged(old, VALUES) == (
        "# mine\nSPARKIFY_TARGET=redshift\n\nOTHER=a=b # c\nSPARKIFY_TARGET_X=1\n"
        "REDSHIFT_WORKGROUP=sparkify\n"
    )


def test_the_warehouse_of_the_other_kind_is_dropped() -> None:
    old = "REDSHIFT_CLUSTER_ID=old\nREDSHIFT_WORKGROUP=older\nREDSHIFT_USER=me\n"
    assert merged(old, VALUES) == (
        "REDSHIFT_WORKGROUP=sparkify\nREDSHIFT_USER=me\nSPARKIFY_TARGET=redshift\n"
    )


def test_a_commented_value_stays_a_comment() -> None:
    assert merged("#SPARKIFY_TARGET=duckdb\n", VALUES).startswith("#SPARKIFY_TARGET=duckdb\n")


def test_a_variable_that_is_set_twice_ends_with_the_new_value() -> None:
    text = merged("SPARKIFY_TARGET=a\nSPARKIFY_TARGET=b\n", VALUES)
    assert "=a" not in text
    assert "=b" not in text


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert write_env(path, VALUES)
    first = path.stat()
    assert stat.S_IMODE(first.st_mode) == 0o600
    assert not write_env(path, VALUES)
    assert path.stat().st_mtime_ns == first.st_mtime_ns
    assert os.listdir(tmp_path) == [".env"]


def test_the_mode_of_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n", encoding="utf-8")
    path.chmod(0o640)
    write_env(path, VALUES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_env(tmp_path / "none" / ".env", VALUES)
