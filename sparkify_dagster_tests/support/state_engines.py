"""The engines that the state machine runs on: a warehouse, and the same lake as it reads it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.redshift_stage import LAKE, Bucket, open_stage

# Opens an empty warehouse, and the lake that lies in a folder.
Engine = Callable[[Path], AbstractContextManager[tuple[Warehouse, Lake]]]


class MirroredLake(S3Lake):
    """A bucket that is brought in line with a folder whenever it is listed."""

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        super().__init__(LAKE)
        self._bucket = bucket
        self._folder = folder
        self._mirrored: dict[str, bytes] = {}

    def list_events(self) -> list[SourceFile]:
        self._mirror()
        return super().list_events()

    def each_song(self) -> Iterator[SourceFile]:
        self._mirror()
        return super().each_song()

    def _mirror(self) -> None:
        present = {
            path.relative_to(self._folder).as_posix(): path.read_bytes()
            for path in self._folder.rglob("*")
            if path.is_file()
        }
        for name in self._mirrored.keys() - present.keys():
            self._bucket.remove(name)
        for name, content in present.items():
            if self._mirrored.get(name) != content:
                self._bucket.put(name, content)
        self._mirrored = present


@contextmanager
def duckdb_engine(lake: Path) -> Iterator[tuple[Warehouse, Lake]]:
    yield DuckDBWarehouse(lake.parent / "warehouse.duckdb", 10), LocalLake(str(lake))


def redshift_engine(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return the engine that works on a Redshift double, a new one each time."""

    @contextmanager
    def opened(lake: Path) -> Iterator[tuple[Warehouse, Lake]]:
        with open_stage(s3_url, monkeypatch) as stage:
            yield stage.warehouse(), MirroredLake(stage.bucket, lake)
            assert stage.pauses == [], "the engine met faults that nobody caused"

    return opened
