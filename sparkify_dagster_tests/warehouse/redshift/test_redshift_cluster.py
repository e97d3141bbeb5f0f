"""The suite on a real cluster when asked for, `make test-redshift`; else on doubles in its place.

Schemas and objects on S3 are its own: it refuses a database that has such schemas, and removes
what it made.
"""

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.redshift.connection import Connection
from sparkify_dagster.warehouse.redshift.engine import RedshiftWarehouse
from sparkify_dagster.warehouse.redshift.settings import RedshiftSettings, load_redshift_settings
from sparkify_dagster_tests.support.redshift_stage import Bucket, open_stage, s3_url
from sparkify_dagster_tests.support.redshift_suite import (
    expected,
    small_lake,
    test_a_bad_line_is_named_as_duckdb_names_it,
    test_a_malformed_line_is_named,
    test_bad_objects_are_found_in_the_file_they_are_from,
    test_checks_and_reports_tell_what_they_tell_on_duckdb,
    test_compressed_event_files_are_said_to_be,
    test_costs_are_numbers,
    test_insert_takes_many_rows_and_odd_values,
    test_lines_within_maxerror_are_left_out_and_named,
    test_loads_the_same_tables_as_duckdb,
    test_loads_the_same_tables_as_duckdb_from_the_real_data,
    test_manifests_and_parts_are_removed,
    test_read_sees_what_is_committed_and_changes_nothing,
    test_takes_in_changes_as_duckdb_does,
    test_two_runs_take_turns,
)

__all__ = [
    "expected",
    "s3_url",
    "small_lake",
    "test_a_bad_line_is_named_as_duckdb_names_it",
    "test_a_malformed_line_is_named",
    "test_bad_objects_are_found_in_the_file_they_are_from",
    "test_checks_and_reports_tell_what_they_tell_on_duckdb",
    "test_compressed_event_files_are_said_to_be",
    "test_costs_are_numbers",
    "test_insert_takes_many_rows_and_odd_values",
    "test_lines_within_maxerror_are_left_out_and_named",
    "test_loads_the_same_tables_as_duckdb",
    "test_loads_the_same_tables_as_duckdb_from_the_real_data",
    "test_manifests_and_parts_are_removed",
    "test_read_sees_what_is_committed_and_changes_nothing",
    "test_takes_in_changes_as_duckdb_does",
    "test_two_runs_take_turns",
]

IS_ASKED = os.environ.get("SPARKIFY_TEST_REDSHIFT") == "yes"
pytestmark = [pytest.mark.redshift] * IS_ASKED
PREFIX = "SPARKIFY_MANIFEST_PREFIX"
# Tests see nothing of the environment they are started in; this is for the cluster.
GIVEN = {
    name: value
    for name, value in os.environ.items()
    if name.startswith(("REDSHIFT_", "AWS_")) or name == PREFIX
}

if IS_ASKED and not GIVEN.get(PREFIX):
    pytest.skip(
        "not run: no cluster is given (make test-redshift with REDSHIFT_... and "
        "SPARKIFY_MANIFEST_PREFIX)",
        allow_module_level=True,
    )


class ClusterBucket:
    """What the suite puts on S3."""

    def __init__(self, root: str, double: Bucket | None) -> None:
        self._root = root
        self._double = double
        self._objects = S3Prefix(root, PREFIX)

    def put(self, name: str, content: bytes) -> None:
        if self._double:
            self._double.put(name, content, f"{self._root}/lake")
        else:
            self._objects.put(f"lake/{name}", content)

    def put_folder(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*.*")):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def remove(self, name: str) -> None:
        self._objects.delete([f"lake/{name}"])

    def keys(self, prefix: str) -> list[str]:
        return [name for name, _, _ in self._objects.list_below(prefix)]

    def clear(self) -> None:
        self._objects.delete(self.keys(""))


class ClusterStage:
    """A cluster, or what stands in for it, and a lake of its own."""

    def __init__(self, given: Mapping[str, str], double: Bucket | None) -> None:
        self._given = given
        self._root = f"{given[PREFIX].rstrip('/')}/sparkify-test-{uuid.uuid4().hex[:8]}"
        self.bucket = ClusterBucket(self._root, double)
        self.lake = S3Lake(f"{self._root}/lake")
        self.pauses: list[float] = []

    def _settings(self, lock_timeout: int, **changes: str) -> RedshiftSettings:
        environment = {**self._given, PREFIX: f"{self._root}/manifests", **changes}
        return load_redshift_settings(f"{self._root}/lake", lock_timeout, environment)

    def warehouse(self, lock_timeout: int = 300, **changes: str) -> RedshiftWarehouse:
        return RedshiftWarehouse(self._settings(lock_timeout, **changes), self._pause)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        time.sleep(seconds)

    def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        def body(session: Session) -> list[tuple[Any, ...]]:
            return sorted(session.run(f"SELECT {columns} FROM {table}"), key=repr)

        return self.warehouse().read(body, "test", "test")

    def send(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements past the engine; return the rows of the last."""
        connection = Connection(self._settings(1), "test", "test")
        try:
            connection.set_autocommit(True)
            for statement in statements:
                connection.send(statement, statement)
            return connection.rows()
        finally:
            connection.close()


SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname IN ('staging', 'analytics')"
DROP = ("DROP SCHEMA IF EXISTS analytics CASCADE", "DROP SCHEMA IF EXISTS staging CASCADE")


@pytest.fixture
def given(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Mapping[str, str], Bucket | None]]:
    """Return what leads to the cluster, or to the doubles."""
    if IS_ASKED:
        for name, value in GIVEN.items():
            monkeypatch.setenv(name, value)
        yield GIVEN, None
    else:
        with open_stage(request.getfixturevalue("s3_url"), monkeypatch) as doubles:
            yield doubles.environment(), doubles.bucket


@pytest.fixture
def stage(given: tuple[Mapping[str, str], Bucket | None]) -> Iterator[ClusterStage]:
    stage = ClusterStage(*given)
    found = [name for (name,) in stage.send(SCHEMAS)]
    if found:
        pytest.exit(f"the database already has {' and '.join(found)}: give an empty one", 2)
    try:
        yield stage
    finally:
        stage.send(*DROP)
        stage.bucket.clear()
