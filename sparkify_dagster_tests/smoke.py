"""First contact with a cluster: looks at everything the platform relies on, writes a report.

`make smoke-redshift`, on an empty database: under five minutes and a dollar. What it makes it
removes, also after it was killed: the next start finds its mark.
"""

import datetime as dt
import os
import platform
import re
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dotenv import load_dotenv

from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.loading.ledger import EVERY_DAY
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.loading.schema import bookkeeping
from sparkify_dagster.loading.version import views
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.settings import SettingError
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session, WarehouseError
from sparkify_dagster.warehouse.redshift.connection import Connection
from sparkify_dagster.warehouse.redshift.engine import RedshiftWarehouse
from sparkify_dagster.warehouse.redshift.errors import (
    LOAD_FAILED,
    MISSING_RELATION,
    ServerError,
    failed_query,
)
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster.warehouse.statements import (
    Keyword,
    literal,
    read_statements,
    render,
    section_names,
)
from sparkify_dagster_tests.support.loads import load_events, load_songs

REPORT = Path("redshift-smoke.md")
EXPECTED, DIFFERS, DENIED = "as expected", "differs: ", "not allowed to look"
PREFIX = "SPARKIFY_MANIFEST_PREFIX"
NEEDED = (
    "Name a cluster or workgroup with an empty database, as .env.example says: "
    f"{PREFIX}=s3://bucket/prefix, REDSHIFT_IAM_ROLE, and REDSHIFT_HOST with REDSHIFT_DATABASE, "
    "REDSHIFT_USER and REDSHIFT_PASSWORD, or REDSHIFT_SECRET_ARN, or REDSHIFT_WORKGROUP or "
    "REDSHIFT_CLUSTER_ID with REDSHIFT_DATABASE and AWS_REGION."
)
SCHEMAS = ("staging", "analytics")
MARK = "staging.sparkify_smoke"
LOCK_SECONDS = 2
RIGHTS_MISSING = "42501"
RUN = f"smoke-{uuid.uuid4().hex[:8]}"

_WORDS = r"(?:--[^\n]*\n|\s)*"
_EXPLAINED = re.compile(
    _WORDS + r"(SELECT|WITH|INSERT|UPDATE|DELETE|CREATE TEMP TABLE \w+ AS)\b", re.IGNORECASE
)
_TEMPORARY = re.compile(_WORDS + r"CREATE TEMP TABLE (\w+)", re.IGNORECASE)
# Of tables that only an older version has.
_UNEXPLAINED = ("bookkeeping/former_versions", "bookkeeping/move_statements")
_OF_COMMITS = ("redshift/find_commit", "redshift/forget_commits", "redshift/remember_commit")


class Differs(Exception):
    """What was found in place of what is expected."""


class Refused(Exception):
    """The smoke test does not begin."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    verdict: str
    detail: str
    seconds: float


class Smoke:
    """The connections and the findings of one smoke test."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        root = f"{environment.get(PREFIX, '').rstrip('/')}/sparkify-smoke"
        given = {**environment, PREFIX: f"{root}/manifests" if environment.get(PREFIX) else ""}
        self.settings = load_redshift_settings(f"{root}/lake", LOCK_SECONDS, given)
        self.objects = S3Prefix(root, PREFIX)
        self.lake = S3Lake(f"{root}/lake")
        self.findings: list[Finding] = []
        self.connection = self.connect()

    def connect(self) -> Connection:
        """Log in anew."""
        return Connection(self.settings, "smoke", RUN)

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        """Send a statement in the open transaction; return its rows."""
        self.connection.send(" ".join(text.split())[:60], text)
        return self.connection.rows()

    def look(self, name: str, find: Callable[[], str]) -> None:
        """Look at one thing in a transaction that is rolled back, and note what was found."""
        started = time.monotonic()
        if not self.connection.is_usable:
            self.connection = self.connect()
        self.connection.set_autocommit(False)
        try:
            verdict, detail = EXPECTED, find()
        except ServerError as error:
            denied = error.sqlstate == RIGHTS_MISSING
            verdict, detail = (DENIED, str(error)) if denied else (f"{DIFFERS}{error}", "")
        except Exception as error:
            verdict, detail = f"{DIFFERS}{error or type(error).__name__}", ""
        self.connection.rollback()
        seconds = time.monotonic() - started
        self.findings.append(Finding(name, verdict, detail, seconds))
        print(f"{name}: {verdict.splitlines()[0]} ({seconds:.1f} s)", flush=True)

    # --- beginning and end

    def begin(self) -> None:
        """Remove what a smoke test that was killed has left; refuse any other content.

        Raises:
            Refused: a schema of the platform is there.
        """
        self.connection.set_autocommit(False)
        found = [name for (name,) in self.ask(_quoted_list(SCHEMAS))]
        if found:
            try:
                self.ask(f"SELECT COUNT(*) FROM {MARK}")
            except ServerError:
                raise Refused(
                    f"The database already has the schema {' and '.join(found)}: give an empty one."
                ) from None
            print("A smoke test that was killed has left its tables: removed.")
            self.remove(found)
        self.connection.rollback()
        self.objects.delete([name for name, _, _ in self.objects.list_below("")])

    def mark(self) -> None:
        """Make the schemas, with the mark that they are ours, in one transaction."""
        for schema in SCHEMAS:
            self.ask(f"CREATE SCHEMA {schema}")
        self.ask(f"CREATE TABLE {MARK} (a INTEGER)")
        self.connection.commit()

    def end(self) -> None:
        """Remove everything."""
        if not self.connection.is_usable:
            self.connection = self.connect()
        self.connection.rollback()
        self.connection.set_autocommit(False)
        self.remove([name for (name,) in self.ask(_quoted_list(SCHEMAS))])
        self.connection.close()
        self.objects.delete([name for name, _, _ in self.objects.list_below("")])

    def remove(self, schemas: Iterable[str]) -> None:
        """Drop schemas with all they hold."""
        for schema in schemas:
            self.ask(f"DROP SCHEMA {schema} CASCADE")
        self.connection.commit()

    # --- who and where

    def server(self) -> str:
        """Say which server this is."""
        (version,) = self.ask("SELECT VERSION()")[0]
        if "Redshift" not in version:
            raise Differs(version)
        return str(version)

    def isolation(self) -> str:
        """Say how transactions are kept apart; either level will do."""
        (database,) = self.ask("SELECT CURRENT_DATABASE()")[0]
        rows = self.ask(
            "SELECT database_isolation_level FROM svv_redshift_databases "
            f"WHERE database_name = {literal(database)}"
        )
        if not rows:
            raise Differs(f"SVV_REDSHIFT_DATABASES does not list {database}")
        return str(rows[0][0])

    def rights(self) -> str:
        """Say what the user may do in the database."""
        (user, may_create, may_have_temporary) = self.ask(
            "SELECT CURRENT_USER, HAS_DATABASE_PRIVILEGE(CURRENT_DATABASE(), 'CREATE'), "
            "HAS_DATABASE_PRIVILEGE(CURRENT_DATABASE(), 'TEMP')"
        )[0]
        if not may_create or not may_have_temporary:
            raise Differs(f"{user}: CREATE {may_create}, TEMP {may_have_temporary}")
        return f"{user} may create schemas and temporary tables"

    def missing_path(self) -> str:
        """Look whether a search_path to a schema that is not there is refused."""
        try:
            self.ask("SET search_path TO analytics, staging")
        except ServerError as error:
            return error.message
        raise Differs("a path to schemas that do not exist is accepted")

    # --- statements

    def lay(self) -> None:
        """Create all schemas, tables and views in the open transaction."""
        names = [f"bookkeeping/schema_{schema}" for schema in SCHEMAS]
        names += [*bookkeeping(), *(name for one in TABLES.values() for name in one.creates)]
        for name in (*names, *views()):
            for text in read_statements(name):
                self.connection.send(name, text)

    def creates(self) -> str:
        """Make every table and view, for nothing."""
        self.lay()
        return f"{sum(len(one.creates) for one in TABLES.values())} tables, {len(views())} views"

    def explain(self, kind: str) -> None:
        """Let the planner look at every statement of sql/, filled in for one kind of load.

        A statement that is refused is a finding; then all are looked at again without it.
        """
        refused: set[str] = set()
        while True:
            known = frozenset(refused)
            self.look(f"EXPLAIN of sql/, {kind}", partial(self._explain, kind, known, refused))
            if refused == known:
                return

    def _explain(self, kind: str, known: Collection[str], refused: set[str]) -> str:
        self.lay()
        count = 0
        for file in (
            "bookkeeping",
            "status",
            "redshift",
            "diff",
            *(one.file for one in TABLES.values()),
        ):
            temporary = []
            for name, text in _statements(file, _PLACES[kind]):
                if name in known:
                    continue
                refused.add(name)
                if _EXPLAINED.match(text):
                    self.connection.send(name, f"EXPLAIN {text}")
                    count += 1
                if made := _TEMPORARY.match(text):
                    self.connection.send(name, text)
                    temporary.append(made[1])
                refused.discard(name)
            self.ask(f"DROP TABLE {', '.join(temporary)}")
        return f"{count} statements{', without those above' * bool(known)}"

    # --- COPY

    def copy(self, name: str, *lines: str) -> None:
        """Load lines into a temporary table `landed`."""
        url = self.objects.put(f"copy/{name}.json", "\n".join(lines).encode())
        role = self.settings.iam_role
        self.ask(
            "CREATE TEMP TABLE landed (artist VARCHAR(8), ts TIMESTAMP NOT NULL, level CHAR(4))"
        )
        self.ask(
            f"COPY landed FROM {literal(url)} "
            f"IAM_ROLE {literal(Keyword(role) if role == 'default' else role)} "
            f"FORMAT AS JSON 'auto' TIMEFORMAT 'epochmillisecs' REGION '{self.objects.region}' "
            "COMPUPDATE OFF STATUPDATE OFF"
        )

    def good_copy(self) -> str:
        """Load a line: milliseconds, trailing blanks, NULL, and how many lines it was."""
        self.copy("good", '{"artist":"Foo  ","ts":1541105830796,"level":null}')
        found = self.ask(
            "SELECT CAST(ts AS VARCHAR(32)), OCTET_LENGTH(artist), artist = 'Foo', level IS NULL "
            "FROM landed"
        )
        if found != [("2018-11-01 20:57:10.796", 5, True, True)]:
            raise Differs(f"time, bytes of 'Foo  ', is 'Foo', level is NULL: {found}")
        (number, count) = self.ask("SELECT PG_LAST_COPY_ID(), PG_LAST_COPY_COUNT()")[0]
        if count != 1 or number < 1:
            raise Differs(f"PG_LAST_COPY_ID, PG_LAST_COPY_COUNT: {number}, {count}")
        return "2018-11-01 20:57:10.796, trailing blanks kept and ignored by =, null is NULL"

    def bad_copy(self) -> str:
        """Load a bad line: what the error says, and what the views then show."""
        try:
            self.copy("bad", '{"artist":"x","ts":"not a time","level":"free"}')
        except ServerError as error:
            number = failed_query(error)
            if not LOAD_FAILED.search(error.message) or number is None:
                raise Differs(f"{error.sqlstate} {error.message!r} {error.detail!r}") from None
        else:
            raise Differs("the line was loaded")
        self.connection.rollback()
        self.connection.set_autocommit(False)
        rows = self.ask(
            "SELECT TRIM(column_name), line_number, error_code, TRIM(error_message) "
            f"FROM sys_load_error_detail WHERE query_id = {number}"
        )
        if [row[:3] for row in rows] != [("ts", 1, 1206)]:
            raise Differs(f"SYS_LOAD_ERROR_DETAIL, column, line, code: {rows}")
        return str(rows[0][3])

    def older_view(self) -> str:
        """Look at the view that only provisioned clusters have."""
        try:
            return f"{self.ask('SELECT COUNT(*) FROM stl_load_errors')[0][0]} rows"
        except ServerError as error:
            if error.sqlstate in MISSING_RELATION:
                return "not there, as on Serverless"
            raise

    # --- other sessions

    def lock(self) -> str:
        """Wait for a lock that another session holds, as the engine does."""
        self.ask(f"LOCK TABLE {MARK}")
        other = self.connect()
        try:
            other.set_autocommit(False)
            if other.lock(f"LOCK TABLE {MARK}", LOCK_SECONDS):
                raise Differs("two sessions hold it")
        finally:
            other.close()
        self.connection.rollback()
        last = self.connect()
        try:
            last.set_autocommit(False)
            if not last.lock(f"LOCK TABLE {MARK}", 30):
                raise Differs("the session that gave up waiting holds it")
        finally:
            last.close()
        return f"given up after {LOCK_SECONDS} s; free again at once"

    def lock_timeout(self) -> str:
        """Look whether the server's own limit ends the wait; the engine does not rely on it."""
        self.ask(f"LOCK TABLE {MARK}")
        other = self.connect()
        try:
            other.set_autocommit(True)
            other.send("limit", f"SET statement_timeout TO {LOCK_SECONDS * 1000}")
            other.set_autocommit(False)
            if other.lock(f"LOCK TABLE {MARK}", 5 * LOCK_SECONDS):
                raise Differs("two sessions hold it")
            if not other.is_usable:
                raise Differs("statement_timeout does not end the wait for a lock")
        finally:
            other.close()
        return "statement_timeout ends the wait for a lock"

    def cut(self) -> str:
        """Cut the engine's connection in the middle of a transaction."""
        tries = []

        def body(session: Session) -> int:
            session.run(f"INSERT INTO {MARK} (a) VALUES (1)")
            if not tries:
                tries.append(1)
                self._cut(session)
            return int(session.run(f"SELECT COUNT(*) FROM {MARK}")[0][0])

        count = RedshiftWarehouse(self.settings).transaction(body, "smoke/cut", RUN)
        if count != 1:
            raise Differs(f"{count} rows in place of 1")
        return "rolled back, and done again on a new connection"

    @staticmethod
    def _cut(session: Any) -> None:
        session._connection._driver._usock.shutdown(socket.SHUT_RDWR)

    # --- rights

    def mask(self) -> None:
        """Make a role and a mask, for nothing."""
        name = "sparkify_smoke"
        self.ask("CREATE TABLE analytics.sparkify_smoke_names (name VARCHAR(256))")
        self.ask(f"CREATE ROLE {name}")
        self.ask(f"GRANT SELECT ON analytics.sparkify_smoke_names TO ROLE {name}")
        self.ask(
            f"CREATE MASKING POLICY {name} WITH (name VARCHAR(256)) "
            "USING (CAST('***' AS VARCHAR(256)))"
        )
        self.ask(
            f"ATTACH MASKING POLICY {name} ON analytics.sparkify_smoke_names (name) TO ROLE {name}"
        )

    def masks(self) -> str:
        """Make a role and a mask in a transaction."""
        self.mask()
        return "a role, a right and an attached masking policy, in a transaction"

    def drop_under_mask(self) -> str:
        """Drop a table that a mask is attached to."""
        self.mask()
        self.ask("DROP TABLE analytics.sparkify_smoke_names")
        return "a table can be dropped while a mask is attached"

    # --- loads

    def load(self, warehouse: RedshiftWarehouse) -> list[bool]:
        """Bring every table up to date; return which changed."""
        bodies: list[Callable[[Session], Any]] = [
            lambda session: load_events(session, self.lake, None, False, 0, RUN),
            lambda session: load_songs(session, self.lake, False, 0, RUN),
        ]
        others = [one for one in TABLES.values() if one.group != "staging"]
        bodies += [
            lambda session, one=one: refresh(session, one, False, RUN)  # type: ignore[misc]
            for one in others
        ]
        labels = ["events", "songs", *(one.name for one in others)]
        found = []
        for label, body in zip(labels, bodies, strict=True):
            result = warehouse.transaction(body, f"smoke/{label}", RUN)
            found.append(
                getattr(result, "changed", False) or bool(getattr(result, "files_read", 0))
            )
        return found

    def loads(self) -> str:
        """Load a lake of three days twice, with all checks, and say what it took."""
        with tempfile.TemporaryDirectory() as folder:
            lake = Path(folder) / "lake"
            write_sample_lake(lake, SampleSpec(days=3, events_per_day=60, songs=40, users=10))
            for path in sorted(lake.rglob("*.json")):
                self.objects.put(f"lake/{path.relative_to(lake).as_posix()}", path.read_bytes())
        warehouse = RedshiftWarehouse(self.settings)
        with warehouse.kept_open():
            clock = time.monotonic()
            if not all(self.load(warehouse)):
                raise Differs("the first load changed nothing in some table")
            first = time.monotonic() - clock
            if any(self.load(warehouse)):
                raise Differs("the second load changed something")
            second = time.monotonic() - clock - first
            failing = warehouse.read(_failing_checks, "smoke/checks", RUN)
        if failing:
            raise Differs(f"failing checks: {', '.join(failing)}")
        checks = sum(len(one.checks) for one in TABLES.values())
        return f"first load {first:.1f} s, nothing new {second:.1f} s, {checks} checks pass"

    def figures(self) -> str:
        """Say what compiling took."""
        (count, compiled, elapsed) = self.ask(
            "SELECT COUNT(*), SUM(compile_time), SUM(elapsed_time) FROM sys_query_history "
            f"WHERE SPLIT_PART(query_label, '/', 1) = '{RUN}'"
        )[0]
        return (
            f"{count} statements, {int(elapsed or 0) / 1e6:.1f} s of which "
            f"{int(compiled or 0) / 1e6:.1f} s compiling"
        )

    def scans(self) -> str:
        """Say how many scans were restricted to a range of blocks."""
        rows = self.ask(
            "SELECT steps.is_rrscan, COUNT(*) FROM sys_query_detail AS steps "
            "INNER JOIN sys_query_history AS queries ON steps.query_id = queries.query_id "
            f"WHERE SPLIT_PART(queries.query_label, '/', 1) = '{RUN}' "
            "AND TRIM(steps.step_name) = 'scan' GROUP BY steps.is_rrscan"
        )
        return ", ".join(f"{kind}: {count}" for kind, count in rows) or "no scans are listed"

    def run(self) -> None:
        """Look at everything."""
        self.look("server", self.server)
        self.look("isolation level", self.isolation)
        self.look("own rights", self.rights)
        self.look("search_path to a missing schema", self.missing_path)
        self.look("every CREATE", self.creates)
        for kind in _PLACES:
            self.explain(kind)
        self.look("COPY of a good line", self.good_copy)
        self.look("COPY of a bad line", self.bad_copy)
        self.look("STL_LOAD_ERRORS", self.older_view)
        self.connection.set_autocommit(False)
        self.mark()
        self.look("LOCK", self.lock)
        self.look("statement_timeout and LOCK", self.lock_timeout)
        self.look("roles and masks", self.masks)
        self.look("DROP TABLE under a mask", self.drop_under_mask)
        self.look("a connection that is cut", self.cut)
        self.look("a lake of three days, loaded twice", self.loads)
        self.look("SYS_QUERY_HISTORY", self.figures)
        self.look("range-restricted scans", self.scans)

    def report(self) -> str:
        """Return the findings as Markdown."""
        when = dt.datetime.now(dt.UTC)
        lines = [
            "# Smoke test of sparkify_dagster on Redshift",
            "",
            f"{when:%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, "
            f"{sum(one.seconds for one in self.findings):.0f} s.",
            "",
            "| looked at | finding | detail | s |",
            "|---|---|---|--:|",
        ]
        lines += [
            f"| {_cell(one.name)} | {_cell(one.verdict)} | {_cell(one.detail)} "
            f"| {one.seconds:.1f} |"
            for one in self.findings
        ]
        return "\n".join(lines) + "\n"


_NOW = dt.datetime(2018, 11, 2, 12, 0, 0)
_LATER = {
    "run_id": "run", "loaded_at": _NOW, "committed_at": _NOW, "before": _NOW, "version": "v",
    "token": "t", "table_name": "staging_events", "file_name": "log_data/a.json",
    "source_file": "log_data/a.json", "load_id": 7, "full_load_id": 3, "taken_in": 5,
    "least_rows": 0, "sources": ("", "staging_events"), "first_day": dt.date(2018, 11, 1),
    "last_day": dt.date(2018, 11, 2), "table_names": ("staging.staging_events",),
    "last_load_id": 7, "file_names": ("log_data/a.json",), "schemas": SCHEMAS, "catalog": None,
    "left_side": Keyword("analytics.users"), "right_side": Keyword("analytics.users"),
    "within": Keyword("1 = 1"), "columns": Keyword("user_id, level"), "keys": Keyword("user_id"),
    "selected": Keyword(
        "user_id, MAX(CASE WHEN surplus > 0 THEN level END) AS left_level, "
        "MAX(CASE WHEN surplus < 0 THEN level END) AS right_level"
    ),
    "values": Keyword("left_level, right_level"),
    "counts": Keyword("SUM(CASE WHEN left_level = right_level THEN 0 ELSE 1 END) AS level"),
    "differs": Keyword("CASE WHEN left_level = right_level THEN 0 ELSE 1 END = 1"),
    "row_count": 9, "statements": "[]", "last": "t",
}  # fmt: skip
_PLACES: dict[str, dict[str, Any]] = {
    "a later load": _LATER,
    "a full load": {
        **_LATER,
        "load_id": 0,
        "sources": ("",),
        "least_rows": 1,
        "first_day": EVERY_DAY.first_day,
        "last_day": EVERY_DAY.last_day,
    },
}


def _statements(file: str, places: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the statements of a file that can be explained, and those that these need before."""
    before = ("bookkeeping/pending", "bookkeeping/files_of_load")
    names = _OF_COMMITS if file == "redshift" else section_names(file)
    for name in dict.fromkeys((*before, *names)):
        if name in _UNEXPLAINED:
            continue
        for number, text in enumerate(read_statements(name), 1):
            if _EXPLAINED.match(text) or _TEMPORARY.match(text):
                yield f"{name} {number}", render(text, dict(places))


def _failing_checks(session: Session) -> list[str]:
    return [name for table in TABLES.values() for name in _failing(session, table)]


def _failing(session: Session, table: Table) -> Iterator[str]:
    days = {"first_day": EVERY_DAY.first_day, "last_day": EVERY_DAY.last_day}
    (found,) = session.query(f"{table.file}/check", **days, least_rows=1)
    numbers = {name: int(value or 0) for name, value in found.items()}
    for check in table.checks:
        if not check.passes(numbers) and check.severity != "warning":
            yield f"{table.name}.{check.name}"


def _quoted_list(names: Iterable[str]) -> str:
    return f"SELECT nspname FROM pg_namespace WHERE nspname IN ({literal(tuple(names))})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Run the smoke test; return 0 where nothing differs."""
    load_dotenv(Path.cwd() / ".env")
    try:
        smoke = Smoke(os.environ)
    except SettingError as error:
        print(f"{error}\n{NEEDED}", file=sys.stderr)
        return 2
    except WarehouseError as error:
        REPORT.write_text(f"# Smoke test of sparkify_dagster on Redshift\n\nlogin: {error}\n")
        print(f"{error}\nWritten to {REPORT}.", file=sys.stderr)
        return 1
    try:
        smoke.begin()
    except Refused as error:
        smoke.connection.close()
        print(error, file=sys.stderr)
        return 2
    try:
        smoke.run()
    finally:
        REPORT.write_text(smoke.report(), encoding="utf-8")
        smoke.end()
    differing = [one for one in smoke.findings if one.verdict.startswith(DIFFERS)]
    print(f"{len(smoke.findings)} findings, {len(differing)} differ. Written to {REPORT}.")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
