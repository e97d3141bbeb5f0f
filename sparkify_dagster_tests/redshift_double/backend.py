"""One session's SQL: transactions, dispatch of statements, results. No sockets here."""

import contextlib
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import duckdb
import pandas
from sqlglot import exp

from . import (
    catalog,
    ddl,
    dml,
    explain,
    lexical,
    privileges,
    restrictions,
    settings,
    system,
    translate,
)
from .column_types import RedshiftType, from_duckdb, parse_type
from .copy_load import Load, Loader, LoadError
from .copy_statement import Copy, parse_copy
from .errors import (
    ServerError,
    aborted_transaction,
    canceled,
    not_emulated,
    refused,
    syntax_error,
)
from .errors import from_duckdb as error_from_duckdb
from .lexical import Token
from .locks import Locks
from .meter import Meter
from .objects import Store
from .privileges import Access
from .protocol import VARCHAR, Column
from .rights import DATABASE, Object, Rights, schema_object, table_object
from .scopes import Scopes, Source


@dataclass
class Shared:
    """What all sessions of a double have in common."""

    database: str
    locks: Locks
    log: system.SystemLog
    store: Store | None
    denied_views: set[str]
    owner: str = "awsuser"
    superusers: set[str] = field(default_factory=lambda: {"awsuser"})
    logins: Container[str] = ("awsuser",)
    meter: Meter = field(default_factory=lambda: Meter(None))
    user_ids: dict[str, int] = field(default_factory=dict)
    # What anyone has recorded of rights; while it is empty nobody need look.
    recorded: set[str] = field(default_factory=set)
    # Rises with each commit that may have changed the catalog; the lock holds both together.
    catalog_version: int = 0
    catalog_lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Result:
    """The outcome of a statement."""

    tag: str
    columns: list[Column] | None = None
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    notices: list[tuple[str, ServerError]] = field(default_factory=list)


@dataclass
class _Statement:
    text: str
    tokens: list[Token]
    parameters: list[exp.Expr]
    query_id: int

    @property
    def word(self) -> str:
        return self.tokens[0].upper

    def words(self, count: int) -> list[str]:
        return [token.upper for token in self.tokens[:count]]


_ENDS = ("ROLLBACK", "ABORT", "COMMIT", "END")
_QUERIES = ("SELECT", "WITH", "(")
_NOT_EMULATED = ("UNLOAD", "CALL", "PREPARE", "EXECUTE", "DECLARE", "FETCH", "CANCEL")
_WRITES = {
    "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "CREATE", "ALTER", "DROP", "GRANT", "REVOKE",
    "ATTACH", "DETACH",
}  # fmt: skip
_CHANGES_CATALOG = {"CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "SET", "RESET"}
# Of all doubles of the process, each with the relations that it was made for.
_translations: dict[tuple[str, ...], tuple[dict[tuple[str, str], Any], Any]] = {}
_TRANSLATIONS = 5_000
Translation = TypeVar("Translation")
_VACUUMS = ("FULL", "SORT", "DELETE", "ONLY", "REINDEX", "RECLUSTER")
_TYPES = {
    "SELECT": "SELECT", "WITH": "SELECT", "(": "SELECT", "INSERT": "INSERT", "UPDATE": "UPDATE",
    "DELETE": "DELETE", "MERGE": "MERGE", "COPY": "COPY", "CREATE": "DDL", "ALTER": "DDL",
    "DROP": "DDL", "TRUNCATE": "DDL",
}  # fmt: skip


def is_query(text: str) -> bool:
    """Tell whether a statement gives rows by reading tables."""
    found = lexical.tokens(text)
    return bool(found) and found[0].upper in _QUERIES


def _text_column(name: str) -> Column:
    return Column(name, VARCHAR)


class Backend:
    """Runs the statements of one session on its own DuckDB connection."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, shared: Shared, session_id: int, user: str
    ) -> None:
        self._duck = connection
        self._shared = shared
        self.session_id = session_id
        self._user = user
        self.state = "I"
        self._open = False
        self._settings = dict(settings.DEFAULTS)
        self._last_copy_id = -1
        self._last_copy_count = 0
        self._saved = (dict(self._settings), self._last_copy_id)
        self.transaction_id = 0
        self._transaction_start = system.utc_now()
        self._deadline: float | None = None
        self._timed_out = False
        self._lock_wait = 0.0
        self._frames: list[str] = []
        self._found: dict[tuple[str, str], catalog.Relation | None] = {}
        self._found_before = self._found
        self._listed: catalog.Listed = {}
        self._unlisted: set[str] | None = None  # names listed before they changed; None is all
        self._found_at = 0
        self._defined = False
        self._wrote = False
        self._read_log = False
        self.rights = Rights(
            self._run, user, shared.database, shared.owner, shared.superusers, shared.recorded
        )
        self._access = Access(self._run, self.rights, self._existing, shared.logins)
        shared.user_ids.setdefault(shared.owner, system.USER_ID)
        self._user_id = shared.user_ids.setdefault(user, system.USER_ID + len(shared.user_ids))
        self._duck.execute(f'USE "{shared.database}".public')

    # -- running DuckDB ---------------------------------------------------------------

    def name_application(self, name: str) -> None:
        """Take over the application's name from the start-up packet."""
        self._settings["application_name"] = name
        self._saved = (dict(self._settings), self._last_copy_id)

    def _run(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._duck.execute(sql, parameters).fetchall()
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise error_from_duckdb(error) from error

    def _describe(self, sql: str) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self._run(f"DESCRIBE {sql}")]

    def _find(self, schema: str, name: str) -> catalog.Relation | None:
        """Find a table or view, once for a catalog; a schema's name wants USAGE on it."""
        key = (schema, name)
        if key not in self._found:
            path = settings.search_path(self._settings["search_path"])
            if self._unlisted is None or name in self._unlisted:
                self._listed, self._unlisted = catalog.listed(self._run), set()
            found = catalog.find(self._run, self._listed, schema, name, path)
            if schema and found is not None:
                self.rights.require_schema("usage", schema)
            self._found[key] = found
        return self._found[key]

    def _forget_old(self) -> None:
        """Forget what was found in an earlier catalog."""
        # Only of a superuser no right is asked, which may have gone since.
        if self._found_at != self._shared.catalog_version or not self.rights.is_superuser:
            self._found.clear()
            self._unlisted = None
        self._found_at = self._shared.catalog_version

    def _forget_changed(self, statement: _Statement) -> None:
        """Forget what a statement may have changed of the catalog."""
        if statement.word not in _CHANGES_CATALOG:
            return
        self._defined = True
        if statement.word in ("CREATE", "DROP") and statement.words(2)[-1] != "SCHEMA":
            named = {token.value for token in statement.tokens}
            if "cascade" not in named:
                self._found = {k: v for k, v in self._found.items() if k[1] not in named}
                self._unlisted = None if self._unlisted is None else self._unlisted | named
                return
        self._found.clear()
        self._unlisted = None

    def _existing(self, schema: str, name: str) -> catalog.Relation:
        found = self._find(schema, name)
        if found is not None:
            return found
        if schema and schema not in catalog.schemas(self._run):
            raise ServerError("3F000", f'schema "{schema}" does not exist')
        raise ServerError(
            "42P01", f'relation "{schema + "." if schema else ""}{name}" does not exist'
        )

    def _begin_work(self, locks: list[str] | None = None) -> None:
        """Take the locks, and only then the snapshot, so that a waiter sees the newest state."""
        if locks:
            try:
                self._lock_wait += self._shared.locks.acquire(
                    locks, self.session_id, self._deadline
                )
            except TimeoutError:
                self._timed_out = True
                raise
        if not self._open:
            with self._shared.catalog_lock:
                self._run("BEGIN TRANSACTION")
                self._open = True
                self._apply_search_path()  # which takes the snapshot
                self._forget_old()
                self._found_before = dict(self._found)

    def _apply_search_path(self) -> None:
        value = self._settings["search_path"]
        if value == settings.DEFAULTS["search_path"]:
            names = ["public"]
        else:
            names = [n for n in settings.search_path(value) if n in catalog.schemas(self._run)]
        joined = ",".join(f"{self._shared.database}.{name}" for name in names or ["public"])
        self._run(f"SET search_path = '{joined}'")

    # -- transactions -----------------------------------------------------------------

    def _save(self) -> None:
        self._saved = (dict(self._settings), self._last_copy_id)
        self.transaction_id = self._shared.log.next_transaction()
        self._transaction_start = system.utc_now()

    def _commit(self) -> None:
        self.state = "I"
        try:
            if self._open:
                self._end_open()
            if self._wrote:
                self._shared.meter.add("commits")
        except ServerError:
            self._undo()
            raise
        finally:
            self._open = self._wrote = self._defined = False
            self._shared.locks.release(self.session_id)

    def _end_open(self) -> None:
        with self._shared.catalog_lock:
            self._run("COMMIT")
            if self._defined:
                # What is found here is of the new catalog, unless others have made one as well.
                alone = self._found_at == self._shared.catalog_version
                self._shared.catalog_version += 1
                self._found_at += alone

    def _undo(self) -> None:
        """Take back the DuckDB transaction and the session's settings; keep the locks."""
        if self._open:
            self._open = False
            with contextlib.suppress(duckdb.Error):  # DuckDB may have ended it by itself
                self._duck.execute("ROLLBACK")
        if self._defined:
            self._found, self._unlisted = self._found_before, None
        self._wrote = self._defined = False
        self._settings, self._last_copy_id = dict(self._saved[0]), self._saved[1]

    def fail(self) -> None:
        """Put the session into the state that follows an error."""
        self._undo()
        if self.state == "I":
            self._shared.locks.release(self.session_id)
        else:
            self.state = "E"

    def rollback(self) -> None:
        """End the transaction without effect; also what a lost connection means."""
        self._undo()
        self.state = "I"
        self._shared.locks.release(self.session_id)

    def check_state(self, text: str) -> None:
        """Raise ServerError 25P02 for all but the end of a failed transaction."""
        if self.state == "E" and lexical.tokens(text)[0].upper not in _ENDS:
            raise aborted_transaction()

    # -- the two entry points ---------------------------------------------------------

    def describe(self, text: str, parameters: list[exp.Expr]) -> list[Column] | None:
        """Give the result columns of a statement before it runs; None if it has none.

        Raises ServerError.
        """
        tokens = lexical.tokens(text)
        self.check_state(text)
        if not self._open:
            self._forget_old()
        if tokens[0].upper == "SHOW":
            return [_text_column(settings.parse_name(tokens))]
        if tokens[0].upper == "EXPLAIN":
            return [_text_column("QUERY PLAN")]
        if tokens[0].upper not in _QUERIES:
            return None
        statement = _Statement(text, tokens, parameters, 0)
        if self.state == "T":
            self._begin_work()
        else:
            self._apply_search_path()
        with self._frames_released():
            return self._columns(statement)

    def execute(self, text: str, parameters: list[exp.Expr], wait: float = 0.0) -> Result:
        """Run a statement, after an injected wait in seconds.

        Raises ServerError as Redshift would answer; the caller then calls fail().
        """
        self.check_state(text)
        log = self._shared.log
        tokens = lexical.without_database(lexical.tokens(text), self._shared.database)
        statement = _Statement(text, tokens, parameters, log.next_query())
        if self.state == "I":
            self._save()
        started, clock = system.utc_now(), time.monotonic()
        self._lock_wait = 0.0
        if not self._open:
            self._forget_old()
        self._read_log = False
        row = log.add("sys_query_history", self._history(statement, started))
        try:
            with self._timed(wait), self._frames_released():
                result = self._dispatch(statement)
                self._wrote = self._wrote or statement.word in _WRITES
                self._forget_changed(statement)
                if self._read_log:
                    self._shared.meter.add("system_views")
                if self.state == "I":
                    self._commit()
        except (duckdb.InterruptException, TimeoutError) as error:
            row.update(status="canceled", error_message="Query canceled on user's request")
            raise canceled(statement.query_id) from error
        except ServerError as error:
            row.update(status="failed", error_message=error.message)
            raise
        finally:
            elapsed = int((time.monotonic() - clock) * 1_000_000)
            waited = int(self._lock_wait * 1_000_000)
            row.update(
                end_time=system.utc_now(),
                elapsed_time=elapsed,
                lock_wait_time=waited,
                execution_time=max(0, elapsed - waited),
            )
        sizes = sum(len(str(value)) for line in result.rows for value in line)
        row.update(status="success", returned_rows=len(result.rows), returned_bytes=sizes)
        return result

    def _history(self, statement: _Statement, started: Any) -> dict[str, Any]:
        return {
            "user_id": self._user_id,
            "query_id": statement.query_id,
            "query_label": self._settings["query_group"],
            "transaction_id": self.transaction_id,
            "session_id": self.session_id,
            "database_name": self._shared.database,
            "query_type": _TYPES.get(statement.word, "UTILITY"),
            "status": "running",
            "result_cache_hit": False,
            "start_time": started,
            "queue_time": 0,
            "query_text": statement.text,
            "redshift_version": system.REDSHIFT_VERSION,
            "usage_limit": "",
            "compute_type": "primary",
            "compile_time": 0,
            "planning_time": 0,
        }

    @contextmanager
    def _timed(self, wait: float) -> Iterator[None]:
        """Hold the statement to statement_timeout; an injected wait counts as running."""
        limit = int(self._settings["statement_timeout"]) / 1000
        self._timed_out = False
        if limit and wait >= limit:
            raise TimeoutError
        if not limit:
            self._deadline = None
            yield
            return
        self._deadline = time.monotonic() + limit - wait
        ended = threading.Event()

        def stop() -> None:
            pause = limit - wait
            # More than once: what is not yet running forgets that it was interrupted.
            while not ended.wait(pause):
                self.interrupt()
                pause = 0.1

        timer = threading.Thread(target=stop, daemon=True)
        timer.start()
        try:
            yield
        finally:
            ended.set()
            timer.join()
            self._deadline = None

    @property
    def timeout(self) -> float:
        """Seconds of statement_timeout; 0 is none."""
        return int(self._settings["statement_timeout"]) / 1000

    def interrupt(self) -> None:
        """Stop what DuckDB runs for this session; safe from another thread."""
        with contextlib.suppress(duckdb.Error):  # closed in the meantime
            self._duck.interrupt()

    def close(self) -> None:
        """End the session: roll back, drop its temporary tables, give back its locks."""
        self.rollback()
        self._duck.close()

    @contextmanager
    def _frames_released(self) -> Iterator[None]:
        try:
            yield
        finally:
            for name in self._frames:
                with contextlib.suppress(duckdb.Error):  # gone with the transaction that saw it
                    self._duck.unregister(name)
            self._frames.clear()

    def _register(self, columns: list[str], rows: list[list[Any]]) -> str:
        """Show Python rows to DuckDB as a relation of text columns; give its name."""
        name = f"redshift_double_frame_{self.session_id}_{len(self._frames)}"
        data = {
            column: pandas.Series([row[i] for row in rows], dtype=object)
            for i, column in enumerate(columns)
        }
        self._duck.register(name, pandas.DataFrame(data, dtype=object))
        self._frames.append(name)
        return name

    def _dispatch(self, statement: _Statement) -> Result:
        word = statement.word
        if word in _QUERIES:
            return self._query(statement)
        if word in _NOT_EMULATED:
            raise not_emulated(word)
        if word in ("SAVEPOINT", "RELEASE"):
            raise refused(f'SQL command "{word}"')
        handler = _HANDLERS.get(word)
        if handler is None:
            raise syntax_error(statement.tokens[0].text)
        return handler(self, statement)

    # -- queries ----------------------------------------------------------------------

    def _context(self, statement: _Statement) -> translate.Context:
        version = f"PostgreSQL 8.0.2 on i686-pc-linux-gnu, {system.REDSHIFT_VERSION}"
        return translate.Context(
            describe=self._describe,
            find=self._find,
            system_view=self._system_view,
            functions={
                "PG_LAST_COPY_ID": self._last_copy_id,
                "PG_LAST_COPY_COUNT": self._last_copy_count,
                "PG_BACKEND_PID": self.session_id,
                "VERSION": version,
                "CURRENT_VERSION": version,
                "CURRENT_USER": self._user,
                "SESSION_USER": self._user,
                "CURRENT_DATABASE": self._shared.database,
                "CURRENT_SCHEMA": (
                    settings.search_path(self._settings["search_path"]) or ["public"]
                )[0],
            },
            database=self._shared.database,
            now=system.utc_now(),
            transaction_start=self._transaction_start,
            authorize=self._authorize,
            has_privilege=self._has_privilege,
            visible=None if self.rights.is_superuser else self.rights,
            leader_functions=restrictions.leader_functions(statement.tokens),
            parameters=statement.parameters,
        )

    def _authorize(self, scopes: Scopes) -> None:
        """Ask SELECT on all that a statement reads, by the columns it names."""
        if self.rights.is_superuser:
            return
        for source, columns in _reads(scopes):
            if source.relation is not None:
                self.rights.require_table("select", source.relation, columns)

    def _has_privilege(self, kind: str, words: list[str]) -> bool:
        """Answer HAS_DATABASE_PRIVILEGE and its like [D: the pages of these functions]."""
        user, name, right = [self._user, *words] if len(words) == 2 else words
        right = right.lower().replace("temporary", "temp")
        if kind == "database":
            target = DATABASE
        elif kind == "schema":
            if name not in catalog.schemas(self._run):
                raise ServerError("3F000", f'schema "{name}" does not exist')
            target = schema_object(name)
        else:
            schema, _, table = name.rpartition(".")
            target = table_object(self._existing(schema, table))
        if user.lower() == self.rights.user:
            return self.rights.may(right, target)
        return self.rights.may(right, target, user.lower())

    def _system_view(self, name: str) -> str:
        if name in self._shared.denied_views:
            raise ServerError("42501", f"permission denied for relation {name}")
        kinds = system.VIEWS[name]
        self._read_log = True
        # Others than superusers see their own rows only [D: Visibility of data in system tables].
        everything = self.rights.is_superuser
        rows = [
            [None if row.get(c) is None else str(row[c]) for c in kinds]
            for row in self._shared.log.rows(name)
            if everything or row.get("user_id", row.get("userid")) == self._user_id
        ]
        frame = self._register(list(kinds), rows)
        casts = ", ".join(
            f'CAST("{column}" AS {parse_type(kind).stored}) AS "{column}"'
            for column, kind in kinds.items()
        )
        return f"SELECT {casts} FROM {frame}"

    def _translated(
        self, statement: _Statement, make: Callable[[translate.Context], Translation]
    ) -> Translation:
        """Translate, or take what came of the same text where all that it names is the same."""
        is_kept = self.rights.is_superuser and len(statement.text) < lexical.LONG
        values = [parameter.sql() for parameter in statement.parameters] if is_kept else []
        key = (self._shared.database, statement.text, *values)
        known = _translations.get(key) if is_kept else None
        if known and all(self._find(*name) == found for name, found in known[0].items()):
            return known[1]
        finds: dict[tuple[str, str], catalog.Relation | None] = {}

        def find(schema: str, name: str) -> catalog.Relation | None:
            return finds.setdefault((schema, name), self._find(schema, name))

        context = replace(self._context(statement), find=find)
        made = make(context)
        if is_kept and context.is_lasting:
            if len(_translations) >= _TRANSLATIONS:
                _translations.clear()
            _translations[key] = finds, made
        return made

    def _prepare_query(self, statement: _Statement) -> str:
        return self._translated(statement, lambda context: _translated_query(statement, context))

    def _columns(self, statement: _Statement) -> list[Column]:
        described = self._describe(self._prepare_query(statement))
        tree = translate.parse(statement.text)
        sources = dml.sources(tree, self._find)
        names = dml.spread(translate.result_names(tree), len(described))
        columns = []
        for position, (name, kind) in enumerate(described):
            label = (names[position] if names else None) or name.lower()
            source = sources[position] if len(sources) == len(described) else None
            columns.append(_column(label, from_duckdb(kind), source))
        return columns

    def _query(self, statement: _Statement) -> Result:
        self._begin_work()
        return Result("SELECT", rows=self._run(self._prepare_query(statement)))

    # -- control ----------------------------------------------------------------------

    def _begin(self, statement: _Statement) -> Result:
        notices = []
        if self.state == "T":
            warning = ServerError("25001", "there is already a transaction in progress")
            notices.append(("WARNING", warning))
        self.state = "T"
        return Result(
            "BEGIN" if statement.word == "BEGIN" else "START TRANSACTION", notices=notices
        )

    def _end(self, statement: _Statement) -> Result:
        """COMMIT of a failed transaction rolls back and says so in its tag only."""
        if statement.word in ("ROLLBACK", "ABORT"):
            if "TO" in statement.words(3):
                raise refused('SQL command "ROLLBACK TO SAVEPOINT"')
            self.rollback()
            return Result("ROLLBACK")
        if self.state == "E":
            self.rollback()
            return Result("ROLLBACK")
        notices = []
        if self.state == "I":
            warning = ServerError("25P01", "there is no transaction in progress")
            notices.append(("WARNING", warning))
        self._commit()
        return Result("COMMIT", notices=notices)

    def _set(self, statement: _Statement) -> Result:
        if statement.word == "RESET":
            name = settings.parse_name(statement.tokens)
            self._settings[name] = settings.DEFAULTS[name]
            return Result("RESET")
        name, value = settings.parse_set(statement.tokens)
        if name == "search_path":
            known = catalog.schemas(self._run) | {"pg_catalog", "information_schema", "pg_temp"}
            for schema in settings.named_path(statement.tokens):
                # As PostgreSQL 8.0 does [I: airbytehq/airbyte#12005, dbeaver/dbeaver#40898].
                if schema not in known:
                    raise ServerError("3F000", f'schema "{schema}" does not exist')
        self._settings[name] = value
        if name == "search_path" and self._open:
            self._apply_search_path()
        return Result("SET")

    def _show(self, statement: _Statement) -> Result:
        name = settings.parse_name(statement.tokens)
        return Result("SHOW", [_text_column(name)], [(self._settings[name],)])

    def _lock(self, statement: _Statement) -> Result:
        start = 1 + (statement.words(2)[-1] == "TABLE")
        names, index = ddl.name_list(statement.tokens, start)
        if index < len(statement.tokens):
            raise syntax_error(statement.tokens[index].text)
        relations = [self._existing(*name) for name in names]
        for relation in relations:
            self._require_lock(relation)
        keys = sorted(key for relation in relations for key in relation.locks)
        self._shared.locks.acquire(keys, self.session_id, self._deadline)
        return Result("LOCK TABLE")

    def _require_lock(self, relation: catalog.Relation) -> None:
        """LOCK wants UPDATE or DELETE [PostgreSQL 8.0: LockTableCommand]; Redshift says nothing."""
        try:
            self.rights.require_table("update", relation)
        except ServerError:
            self.rights.require_table("delete", relation)

    # -- data -------------------------------------------------------------------------

    def _writable(self, schema: str, name: str) -> catalog.Relation:
        relation = self._existing(schema, name)
        if relation.is_view:
            raise ServerError("0A000", f'cannot change view "{name}"')
        return relation

    def _change(self, statement: _Statement) -> Result:
        """Run INSERT, UPDATE, DELETE or MERGE."""
        rows = self._run(self._prepare_change(statement))
        count = rows[0][0] if rows else 0
        word = statement.word
        return Result(f"INSERT 0 {count}" if word == "INSERT" else f"{word} {count}")

    def _prepare_change(self, statement: _Statement, lock: bool = True) -> str:
        tree = dml.parse_change(statement.text, statement.tokens)
        target = dml.target(tree)
        relation = self._writable(target.db, target.name)
        for right in dml.rights(tree):
            self.rights.require_table(right, relation)
        self._begin_work(relation.locks if lock else None)

        def make(context: translate.Context) -> str:
            context.find(target.db, target.name)
            if isinstance(tree, exp.Merge):
                dml.check_merge(tree, relation)
            rewritten = translate.rewrite(tree, context, into_table=True)
            if isinstance(rewritten, exp.Insert):
                dml.check_insert(rewritten, relation, self._describe)
            return translate.to_duckdb(rewritten)

        return self._translated(statement, make)

    def _explain(self, statement: _Statement) -> Result:
        """Parse, check names and rights, and bind a statement without running it."""
        inner = explain.inner(statement.text, statement.tokens)
        explained = _Statement(
            inner, lexical.tokens(inner), statement.parameters, statement.query_id
        )
        if explained.word in _QUERIES:
            self._begin_work()
            sql = self._prepare_query(explained)
        elif explained.word == "CREATE":
            self._begin_work()
            self._may_create(explained, "TABLE")
            (sql,), _ = ddl.create_table(inner, self._context(explained))
        else:
            sql = self._prepare_change(explained, lock=False)
        self._run(f"EXPLAIN {sql}")
        plan = explain.plan(translate.parse(inner), self._find)
        return Result("EXPLAIN", [_text_column("QUERY PLAN")], [(line,) for line in plan])

    def _truncate(self, statement: _Statement) -> Result:
        """TRUNCATE commits whatever the transaction has done; no rollback brings it back."""
        start = 1 + (statement.words(2)[-1] == "TABLE")
        (name, *others), _ = ddl.name_list(statement.tokens, start)
        if others:
            raise syntax_error(",")
        relation = self._writable(*name)
        self.rights.require_owner(relation, "truncate")
        self._begin_work(relation.locks)
        self._run(f"DELETE FROM {relation.quoted}")
        self._wrote = True
        self._commit()
        return Result("TRUNCATE TABLE")

    def _alone(self, what: str) -> None:
        if self.state != "I":
            raise ServerError("25001", f"{what} cannot run inside a transaction block")

    def _vacuum(self, statement: _Statement) -> Result:
        self._alone("VACUUM")
        words = statement.tokens[1:]
        while words and words[0].upper in _VACUUMS:
            words = words[1:]
        if words:
            (name, *_), _ = ddl.name_list(words, 0)
            self.rights.require_owner(self._existing(*name))
        return Result("VACUUM")

    def _analyze(self, statement: _Statement) -> Result:
        words = [token for token in statement.tokens[1:] if token.upper != "VERBOSE"]
        if words and words[0].upper != "COMPRESSION":
            (name, *_), _ = ddl.name_list(words, 0)
            self.rights.require_owner(self._existing(*name))
        return Result("ANALYZE")

    def _copy(self, statement: _Statement) -> Result:
        copy = parse_copy(statement.text)
        relation = self._find(copy.schema, copy.table)
        if relation is None or relation.is_view:
            raise ServerError("XX000", f"Cannot COPY into nonexistent table {copy.table}")
        if self._shared.store is None:
            raise not_emulated("COPY without an S3 endpoint")
        self.rights.require_table("insert", relation)
        if copy.statistics == "ON":
            self.rights.require_owner(relation)
        self._begin_work(relation.locks)
        started = system.utc_now()
        self._last_copy_id, self._last_copy_count = statement.query_id, 0
        try:
            load = Loader(copy, relation, self._shared.store).load()
        except ServerError as error:
            error.detail = _copy_detail(error.message, statement.query_id, self.session_id)
            raise
        self._shared.meter.add("copies")
        self._shared.meter.add("copy_bytes", sum(loaded.item.size for loaded in load.files))
        self._log_load(statement, relation, load, started)
        failed = len(load.errors) >= max(copy.maxerror, 1) and not copy.ignore_all_errors
        if failed:
            raise _load_failed(relation.name, statement.query_id, self.session_id)
        if not copy.no_load:
            self._insert(relation, load)
            self._last_copy_count = len(load.values)
        return Result("COPY", notices=_load_notices(relation.name, copy, load))

    def _insert(self, relation: catalog.Relation, load: Load) -> None:
        names = [column.name for column in load.columns]
        frame = self._register(names, [list(row) for row in load.values])
        listed = ", ".join(f'"{name}"' for name in names)
        casts = ", ".join(f'CAST("{c.name}" AS {c.type.stored})' for c in load.columns)
        self._run(f"INSERT INTO {relation.quoted} ({listed}) SELECT {casts} FROM {frame}")

    def _log_load(
        self, statement: _Statement, relation: catalog.Relation, load: Load, started: Any
    ) -> None:
        log, now = self._shared.log, system.utc_now()
        for loaded in load.files:
            log.add(
                "sys_load_detail",
                {
                    "user_id": self._user_id,
                    "query_id": statement.query_id,
                    "file_name": loaded.item.url,
                    "bytes_scanned": loaded.item.size,
                    "lines_scanned": loaded.lines,
                    "record_time": now,
                    "splits_scanned": 1,
                    "start_time": started,
                    "end_time": now,
                    "file_etag": loaded.item.etag,
                    "file_last_modified": loaded.item.last_modified,
                },
            )
        for error in load.errors:
            self._log_error(statement.query_id, relation, error, started)

    def _log_error(
        self, query_id: int, relation: catalog.Relation, error: LoadError, started: Any
    ) -> None:
        kind, length = _load_type(error.column.type) if error.column else ("", "")
        name = error.column.name if error.column else ""
        self._shared.log.add(
            "sys_load_error_detail",
            {
                "user_id": self._user_id,
                "query_id": query_id,
                "transaction_id": self.transaction_id,
                "session_id": self.session_id,
                "database_name": self._shared.database,
                "table_id": relation.oid,
                "start_time": started,
                "file_name": error.file,
                "line_number": error.line,
                "column_name": name,
                "column_type": kind,
                "column_length": length,
                "position": error.error.position,
                "error_code": error.error.code,
                "error_message": error.error.reason,
            },
        )
        self._shared.log.add(
            "stl_load_errors",
            {
                "userid": self._user_id,
                "slice": error.slice,
                "tbl": relation.oid,
                "starttime": started,
                "session": self.session_id,
                "query": query_id,
                "filename": error.file,
                "line_number": error.line,
                "colname": name,
                "type": kind,
                "col_length": length,
                "position": error.error.position,
                "raw_line": _ascii(error.raw_line),
                "raw_field_value": _ascii(error.error.value),
                "err_code": error.error.code,
                "err_reason": error.error.reason,
            },
        )

    # -- definitions ------------------------------------------------------------------

    def _all(self, statements: list[str]) -> None:
        for sql in statements:
            self._run(sql)

    def _definition_lock(self, tokens: list[Token]) -> list[str]:
        """Name the permanent relations a definition changes, to lock them before the snapshot."""
        if {"TEMP", "TEMPORARY"} & {token.upper for token in tokens[:3]}:
            return []
        start = next(
            (i + 1 for i, t in enumerate(tokens) if t.upper in ("TABLE", "VIEW", "SCHEMA")), 0
        )
        while start < len(tokens) and tokens[start].upper in ("IF", "NOT", "EXISTS"):
            start += 1
        (first, *others), _ = ddl.name_list(tokens, start)
        keys = []
        for schema, name in [first, *others]:
            found = self._find(schema, name)
            if found is None and not name.startswith("#"):
                keys.append(f"{schema or 'public'}.{name}")
            elif found is not None:
                keys += found.locks
        return sorted(keys)

    def _may_create(self, statement: _Statement, kind: str) -> tuple[str, str]:
        """Check the right to make a table or view; give its schema ("" if temporary) and name.

        Even where it exists and IF NOT EXISTS will skip it: nothing else is known of Redshift,
        which asks so for a schema [I: airbytehq/airbyte#85152].
        """
        tokens = statement.tokens
        at = next(i for i, token in enumerate(tokens) if token.upper == kind)
        temporary = bool({"TEMP", "TEMPORARY"} & {token.upper for token in tokens[:at]})
        at += 1
        while at < len(tokens) and tokens[at].upper in ("IF", "NOT", "EXISTS"):
            at += 1
        (schema, name), _ = ddl.name_list(tokens, at)[0][0], None
        if temporary or name.startswith("#"):
            self.rights.require_database("temp")
            return "", name
        schema = schema or self._current_schema()
        if not self.rights.is_superuser and schema in catalog.schemas(self._run):
            self.rights.require_schema("create", schema)
        return schema, name

    def _current_schema(self) -> str:
        known = catalog.schemas(self._run)
        path = settings.search_path(self._settings["search_path"])
        return next((name for name in path if name in known), "public")

    def _create(self, statement: _Statement) -> Result:
        words = [w for w in statement.words(6) if w not in ("OR", "REPLACE", "LOCAL")]
        kind = words[1] if len(words) > 1 else ""
        if kind in ("TEMP", "TEMPORARY"):
            kind = words[2] if len(words) > 2 else ""
        if kind in ("USER", "ROLE", "GROUP"):
            self._begin_work()
            return Result(privileges.principal(statement.tokens, self._access))
        if kind == "MASKING":
            return self._masking_policy(statement)
        if kind == "SCHEMA":
            return self._create_schema(statement)
        if words[1:3] == ["EXTERNAL", "TABLE"]:
            self._alone("CREATE EXTERNAL TABLE")  # [D: CREATE EXTERNAL TABLE]
        if kind not in ("TABLE", "VIEW"):
            raise (refused if kind in ("INDEX", "SEQUENCE", "UNIQUE") else not_emulated)(
                f"CREATE {kind}"
            )
        schema, name = self._may_create(statement, kind)
        skipped = self._skip_existing_table(statement, kind)
        if skipped is not None:
            return skipped
        self._begin_work(self._definition_lock(statement.tokens))
        return self._define(statement, kind, schema, name)

    def _define(self, statement: _Statement, kind: str, schema: str, name: str) -> Result:
        text = statement.text
        if kind == "VIEW":
            old = self._find(schema, name)
            if old is not None and "REPLACE" in statement.words(3):
                self.rights.require_owner(old)
            self._all(self._translated(statement, lambda found: ddl.create_view(text, found)))
            if old is None:
                self.rights.created(Object("table", schema, name))
            return Result("CREATE VIEW")
        statements, selected = self._translated(
            statement, lambda found: ddl.create_table(text, found)
        )
        self._all(statements)
        if schema and statements:
            self.rights.created(Object("table", schema, name))
        return Result("SELECT" if selected else "CREATE TABLE")

    def _skip_existing_table(self, statement: _Statement, kind: str) -> Result | None:
        """Answer CREATE TABLE IF NOT EXISTS of a table that exists: a notice, and no lock."""
        words = [token.upper for token in statement.tokens]
        at = words.index(kind) + 1
        if kind != "TABLE" or words[at : at + 3] != ["IF", "NOT", "EXISTS"]:
            return None
        (name, *_), after = ddl.name_list(statement.tokens, at + 3)
        found = self._find(*name)
        temporary = bool({"TEMP", "TEMPORARY"} & set(words[:at]))
        if found is None or found.temporary != temporary or words[after : after + 1] == ["AS"]:
            return None
        return Result("CREATE TABLE", notices=[_skipped("Relation", found.name)])

    def _create_schema(self, statement: _Statement) -> Result:
        exists = statement.words(5)[2:5] == ["IF", "NOT", "EXISTS"]
        rest = statement.tokens[5 if exists else 2 :]
        if not rest or rest[0].kind not in ("word", "quoted"):
            raise syntax_error(rest[0].text if rest else "")
        if len(rest) > 1 and rest[1].upper not in ("AUTHORIZATION", "QUOTA"):
            raise syntax_error(rest[1].text)
        name = rest[0].value
        # Asked for although the schema exists [I: airbytehq/airbyte#85152].
        self.rights.require_database("create")
        said = [token.upper for token in rest]
        owner = rest[said.index("AUTHORIZATION") + 1].value if "AUTHORIZATION" in said else ""
        if owner not in ("", self.rights.user):
            self.rights.require_superuser("create schemas of other users")
            self._access.known("user", owner)
        if exists and name in catalog.schemas(self._run):
            return Result("CREATE SCHEMA", notices=[_skipped("Schema", name)])
        self._begin_work([f"schema {name}"])
        self._run(f'CREATE SCHEMA {"IF NOT EXISTS " if exists else ""}"{name}"')
        self.rights.created(schema_object(name))
        if owner:
            self.rights.set_owner(schema_object(name), owner)
        return Result("CREATE SCHEMA")

    def _alter_schema(self, statement: _Statement) -> Result:
        name, words = statement.tokens[2].value, statement.words(5)
        if name not in catalog.schemas(self._run):
            raise ServerError("3F000", f'schema "{name}" does not exist')
        self.rights.require_schema_owner(name, "alter")
        if words[3:5] == ["OWNER", "TO"]:
            self._begin_work([f"schema {name}"])
            self._access.known("user", statement.tokens[5].value)
            self.rights.set_owner(schema_object(name), statement.tokens[5].value)
        elif words[3:4] != ["QUOTA"]:
            raise not_emulated("ALTER SCHEMA but OWNER TO and QUOTA")
        return Result("ALTER SCHEMA")

    def _alter(self, statement: _Statement) -> Result:
        kind = statement.words(2)[-1]
        if kind == "DEFAULT":
            self._begin_work()
            return Result(privileges.default_privileges(statement.tokens, self._access))
        if kind in ("USER", "ROLE", "GROUP"):
            self._begin_work()
            return Result(privileges.principal(statement.tokens, self._access))
        if kind == "SCHEMA":
            return self._alter_schema(statement)
        if kind != "TABLE":
            raise not_emulated(f"ALTER {kind}")
        append = ddl.append_from(statement.tokens)
        if append is not None:
            return self._append(*append)
        (name, *_), _ = ddl.name_list(statement.tokens, 2)
        relation = self._existing(*name)
        self.rights.require_owner(relation, "alter")
        self._begin_work(relation.locks)
        self._all(ddl.alter_table(statement.text, relation))
        change = [token for token in statement.tokens if token.kind != "string"]
        words = [token.upper for token in change]
        if words[-3:-1] == ["OWNER", "TO"]:
            self._access.known("user", change[-1].value)
            self.rights.set_owner(table_object(relation), change[-1].value)
        if words[-3:-1] == ["RENAME", "TO"]:
            self.rights.renamed(relation, change[-1].value)
        return Result("ALTER TABLE")

    def _append(self, target: tuple[str, str], source: tuple[str, str]) -> Result:
        self._alone("ALTER TABLE APPEND")
        into, taken = self._writable(*target), self._writable(*source)
        for relation in (into, taken):
            self.rights.require_owner(relation)
        if into.temporary or taken.temporary:
            raise ServerError("0A000", "ALTER TABLE APPEND requires permanent tables")
        if {c.name: c.type for c in into.columns} != {c.name: c.type for c in taken.columns}:
            raise ServerError("42804", "ALTER TABLE APPEND requires equal columns")
        self._begin_work(sorted([into.key, taken.key]))
        self._run(f"INSERT INTO {into.quoted} BY NAME SELECT * FROM {taken.quoted}")
        self._run(f"DELETE FROM {taken.quoted}")
        return Result("ALTER TABLE APPEND")

    def _drop(self, statement: _Statement) -> Result:
        kind = statement.words(2)[-1]
        if kind in ("USER", "ROLE", "GROUP"):
            self._begin_work()
            return Result(privileges.principal(statement.tokens, self._access))
        if kind == "MASKING":
            return self._masking_policy(statement)
        if kind not in ("TABLE", "VIEW", "SCHEMA"):
            raise not_emulated(f"DROP {kind}")
        parsed = ddl.parse_drop(statement.tokens)
        self._may_drop(parsed)
        keys = [f"schema {name}" for _, name in parsed.names]
        if kind != "SCHEMA":
            keys = self._definition_lock(statement.tokens)
        self._begin_work(keys)
        self._all(ddl.drop(parsed, self._run, self._find))
        for schema, name in parsed.names:
            found = None if kind == "SCHEMA" else self._find(schema, name)
            if kind == "SCHEMA":
                self.rights.dropped("schema", "", name)
            elif found is not None and not found.temporary:
                self.rights.dropped("table", found.schema, found.name)
        return Result(f"DROP {kind}")

    def _may_drop(self, parsed: ddl.Drop) -> None:
        for schema, name in parsed.names:
            if parsed.kind == "SCHEMA":
                if name in catalog.schemas(self._run):
                    self.rights.require_schema_owner(name, "drop")
                continue
            found = self._find(schema, name)
            if found is not None:
                self.rights.require_owner(found, "drop")

    def _grant(self, statement: _Statement) -> Result:
        self._begin_work()
        return Result(privileges.grant(statement.tokens, self._access))

    def _masking_policy(self, statement: _Statement) -> Result:
        self._begin_work()
        tag = privileges.masking_policy(statement.text, statement.tokens, self._access)
        return Result(tag)

    def _comment(self, _statement: _Statement) -> Result:
        return Result("COMMENT")


Handler = Callable[[Backend, _Statement], Result]
_HANDLERS: dict[str, Handler] = {
    "BEGIN": Backend._begin,
    "START": Backend._begin,
    "COMMIT": Backend._end,
    "END": Backend._end,
    "ROLLBACK": Backend._end,
    "ABORT": Backend._end,
    "SET": Backend._set,
    "RESET": Backend._set,
    "SHOW": Backend._show,
    "LOCK": Backend._lock,
    "EXPLAIN": Backend._explain,
    "INSERT": Backend._change,
    "UPDATE": Backend._change,
    "DELETE": Backend._change,
    "MERGE": Backend._change,
    "COPY": Backend._copy,
    "TRUNCATE": Backend._truncate,
    "VACUUM": Backend._vacuum,
    "ANALYZE": Backend._analyze,
    "CREATE": Backend._create,
    "ALTER": Backend._alter,
    "DROP": Backend._drop,
    "GRANT": Backend._grant,
    "REVOKE": Backend._grant,
    "ATTACH": Backend._masking_policy,
    "DETACH": Backend._masking_policy,
    "COMMENT": Backend._comment,
}


def _translated_query(statement: _Statement, context: translate.Context) -> str:
    tree = translate.parse(statement.text)
    if not isinstance(tree, exp.Query):
        raise syntax_error(statement.tokens[0].text)
    if tree.args.get("into"):
        raise not_emulated("SELECT INTO")
    return translate.to_duckdb(translate.rewrite(tree, context))


def _column(name: str, kind: RedshiftType, source: dml.Source | None) -> Column:
    if source is None or source.column.type.stored != kind.stored:
        return Column(name, kind.oid, kind.modifier)
    declared = source.column.type
    return Column(
        name,
        declared.oid,
        declared.modifier,
        schema=source.schema,
        table=source.table,
        source=source.column.name,
        table_oid=source.table_oid,
        number=source.number,
        nullable=source.column.nullable,
    )


def _skipped(what: str, name: str) -> tuple[str, ServerError]:
    return "INFO", ServerError("00000", f'{what} "{name}" already exists and will be skipped')


_LOAD_TYPES = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "boolean": "bool",
    "character": "char",
    "character varying": "varchar",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}


def _load_type(kind: RedshiftType) -> tuple[str, str]:
    """Name a type as the load-error views do, with its length."""
    if kind.name == "numeric":
        return "numeric", f"{kind.precision}, {kind.scale}"
    return _LOAD_TYPES.get(kind.name, kind.name), "" if kind.length is None else str(kind.length)


def _ascii(text: str) -> str:
    """Replace multibyte characters with dots, as the load-error views do."""
    return "".join(character if character.isascii() else "." for character in text)


def _reads(scopes: Scopes) -> list[tuple[Source, set[str]]]:
    """Give every source with the columns a statement names of it."""
    used: dict[int, set[str]] = {}
    for block in scopes.blocks:
        for column in block.columns:
            found = scopes.resolve(column)
            if found is not None:
                used.setdefault(id(found.source), set()).add(column.name)
        starred = any(node.is_star for node in getattr(block.node, "selects", []))
        for source in block.sources if starred else []:
            names = {output.name for output in source.outputs or []}
            used.setdefault(id(source), set()).update(names)
    sources = [source for block in scopes.blocks for source in block.sources]
    return [(source, used.get(id(source), set())) for source in sources]


def _load_failed(table: str, query_id: int, session_id: int) -> ServerError:
    message = (
        f"Load into table '{table}' failed.  Check 'stl_load_errors' system table for details."
    )
    return ServerError("XX000", message, _copy_detail(message, query_id, session_id))


def _copy_detail(message: str, query_id: int, session_id: int) -> str:
    """Write COPY's detail, whose query is the one of the monitoring views."""
    rule = "-" * 47
    return (
        f"\n  {rule}\n  error:  {message}\n  code:      8001\n  context:   \n"
        f"  query:     {query_id}\n  location:  redshift_double\n"
        f"  process:   padbmaster [pid={session_id}]\n  {rule}\n"
    )


def _load_notices(table: str, copy: Copy, load: Load) -> list[tuple[str, ServerError]]:
    done = f"Load into table '{table}' completed, {len(load.values)} record(s) loaded successfully."
    if copy.no_load:
        done = f"Load into table '{table}' completed, {len(load.values)} record(s) could be loaded."
    notices = [("INFO", ServerError("00000", done))]
    if load.errors:
        refused_rows = (
            f"Load into table '{table}' completed, {len(load.errors)} record(s) could not be "
            "loaded.  Check 'stl_load_errors' system table for details."
        )
        notices.append(("INFO", ServerError("00000", refused_rows)))
    return notices
