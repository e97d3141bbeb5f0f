"""A copy of sql/ that a test may edit."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse import columns, statements


@pytest.fixture
def own_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of sql/ that a test may edit."""
    root = tmp_path / "sql"
    shutil.copytree(statements.SQL_ROOT, root)
    monkeypatch.setattr(statements, "SQL_ROOT", root)
    _forget_sql()
    yield root
    monkeypatch.undo()
    _forget_sql()


def _forget_sql() -> None:
    """Let the next statement be read from disk, as in a new process."""
    statements.clear()
    columns.read_columns.cache_clear()
    for table in TABLES.values():
        for read in ("columns", "checks", "helpers"):
            table.__dict__.pop(read, None)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    _forget_sql()
