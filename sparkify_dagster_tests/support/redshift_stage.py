"""A Redshift double and an S3 double with a lake on it, and the engine that works on them."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session, Warehouse
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster.warehouse.redshift.engine import RedshiftWarehouse
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster.warehouse.statements import section_names
from sparkify_dagster_tests.redshift_double import RedshiftDouble
from sparkify_dagster_tests.support.loads import (
    check_numbers,
    load_events,
    load_songs,
    stored_tables,
)

BUCKET = "wire-lake"
LAKE = f"s3://{BUCKET}/in/put"
MANIFESTS = f"s3://{BUCKET}/manifests"
REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/copy"
PASSWORD = "Quite-secret-7f3a"
AWS_KEY = "vErY-sEcReT-aws-key"
# Built from the staging tables, in an order that serves.
BUILT = tuple(table.name for table in TABLES.values() if table.group != "staging")


class Bucket:
    """The bucket, past its HTTP interface: putting 15,000 objects takes a second."""

    def __init__(self) -> None:
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        if BUCKET in self._backend.buckets:
            self.clear()
        else:
            self._backend.create_bucket(BUCKET, REGION)

    def put(self, name: str, content: bytes, root: str = LAKE) -> None:
        key = f"{root}/{name}".removeprefix(f"s3://{BUCKET}/")
        self._backend.put_object(BUCKET, key, content)

    def put_folder(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def get(self, key: str) -> bytes:
        return bytes(self._backend.get_object(BUCKET, key).value)

    def remove(self, name: str) -> None:
        self._backend.delete_object(BUCKET, f"in/put/{name}")

    def keys(self, prefix: str) -> list[str]:
        return [name for name in self._backend.get_bucket(BUCKET).keys if name.startswith(prefix)]

    def clear(self) -> None:
        for key in self.keys(""):
            self._backend.delete_object(BUCKET, key)


class Stage:
    """Both doubles, and how to work on them."""

    def __init__(self, double: RedshiftDouble, bucket: Bucket) -> None:
        self.double = double
        self.bucket = bucket
        self.lake = S3Lake(LAKE)
        self.pauses: list[float] = []

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the variables that lead to the doubles."""
        return {
            "SPARKIFY_TARGET": "redshift",
            "SPARKIFY_LAKE": LAKE,
            "SPARKIFY_MANIFEST_PREFIX": MANIFESTS,
            "REDSHIFT_HOST": self.double.host,
            "REDSHIFT_PORT": str(self.double.port),
            "REDSHIFT_DATABASE": self.double.database,
            "REDSHIFT_USER": self.double.user,
            "REDSHIFT_PASSWORD": PASSWORD,
            "REDSHIFT_IAM_ROLE": ROLE,
            "AWS_REGION": REGION,
        } | changes

    def warehouse(self, lock_timeout: int = 20, **changes: str) -> RedshiftWarehouse:
        """Return the engine; its pauses between tries are noted, not waited for."""
        settings = load_redshift_settings(LAKE, lock_timeout, self.environment(**changes))
        return RedshiftWarehouse(settings, self.pauses.append)

    def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        return sorted(self.double.rows(f"SELECT {columns} FROM {table}"), key=repr)


@contextmanager
def open_stage(s3_url: str, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Iterator[Stage]:
    """Start a Redshift double beside an empty bucket, and lead the environment there."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_ACCESS_KEY_ID": "AKIDWIRE",
        "AWS_SECRET_ACCESS_KEY": AWS_KEY,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    with RedshiftDouble(
        s3_endpoint=s3_url, region=REGION, password=PASSWORD, **arguments
    ) as double:
        monkeypatch.setenv("SSL_CERT_FILE", double.ca_file)
        yield Stage(double, Bucket())


class ObjectHandler(MotoRequestHandler):
    """Gives whole objects itself, at a tenth of moto's time; moto answers all the rest."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        found = None
        if self.command == "GET" and "?" not in self.path and "Range" not in self.headers:
            name, _, key = unquote(self.path.removeprefix("/")).partition("/")
            backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
            found = backend.get_object(name, key) if name in backend.buckets and key else None
        if found is None or self.headers.get("If-Match", found.etag) != found.etag:
            super().run_wsgi()
            return
        lines = (
            "HTTP/1.1 200 OK",
            f"Content-Length: {len(found.value)}",
            f"ETag: {found.etag}",
            f"Last-Modified: {found.last_modified_RFC1123}",
        )
        self.wfile.write("\r\n".join((*lines, "", "")).encode() + found.value)


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, moto, threaded=True, request_handler=ObjectHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stage(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with open_stage(s3_url, monkeypatch) as running:
        yield running


Step = Callable[[Session], Any]


def events(lake: Any, full_refresh: bool = False, max_errors: int = 0) -> Step:
    return lambda session: load_events(session, lake, None, full_refresh, max_errors, "run-1")


def songs(lake: Any, full_refresh: bool = False, max_errors: int = 0) -> Step:
    return lambda session: load_songs(session, lake, full_refresh, max_errors, "run-1")


def table(name: str, full_refresh: bool = False) -> Step:
    return lambda session: refresh(session, TABLES[name], full_refresh, "run-1")


def change(warehouse: Warehouse, step: Step) -> Any:
    return warehouse.transaction(step, "sparkify_etl/table", "run-1")


def load_all(warehouse: Warehouse, lake: Any) -> list[Any]:
    """Bring all tables up to date, as a run does; return what each load said."""
    with warehouse.kept_open():
        return load_each(warehouse, lake)


def load_each(warehouse: Warehouse, lake: Any) -> list[Any]:
    """Bring all tables up to date in a warehouse that is kept open, or is not to be."""
    steps = [events(lake), songs(lake), *(table(name) for name in BUILT)]
    return [change(warehouse, step) for step in steps]


def duckdb_tables(folder: Path, lake: Path | list[Path]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what DuckDB makes of a local lake, or of several states of one after each other."""
    warehouse = DuckDBWarehouse(folder / "expected.duckdb", lock_timeout=0)
    for state in lake if isinstance(lake, list) else [lake]:
        load_all(warehouse, LocalLake(str(state)))
    return warehouse.read(
        lambda session: {
            name: sorted(session.run(f"SELECT * FROM {name}"), key=repr) for name in compared()
        },
        "test",
        "run-1",
    )


def compared() -> list[str]:
    """Return all tables that hold data, with schema."""
    return [*stored_tables(), "staging.load_changes"]


def assert_same_tables(stage: Stage, expected: dict[str, list[tuple[Any, ...]]]) -> None:
    for name, rows in expected.items():
        assert stage.rows(name) == rows, name


def numbers(session: Session) -> dict[str, Any]:
    """Return what every check and every report of sql/ says."""
    found = {}
    for one in TABLES.values():
        for whole in (True, False):
            found[f"checks of {one.name}, {whole}"] = check_numbers(session, one, whole)
        for name in section_names(one.file):
            if "/report" in name:
                found[name] = session.query(name)
    return found
