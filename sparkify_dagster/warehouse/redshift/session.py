"""One open transaction on Redshift."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from sparkify_dagster.warehouse.base import (
    CopyResult,
    CopySource,
    CopyStep,
    Row,
    Session,
    WarehouseError,
)
from sparkify_dagster.warehouse.redshift.connection import Connection, place_of
from sparkify_dagster.warehouse.redshift.copy import Copier
from sparkify_dagster.warehouse.redshift.load_errors import read_load_errors
from sparkify_dagster.warehouse.redshift.settings import RedshiftSettings
from sparkify_dagster.warehouse.redshift.uploads import Uploads
from sparkify_dagster.warehouse.scratch import scratch_folder
from sparkify_dagster.warehouse.statements import (
    Keyword,
    literal,
    read_statement,
    read_statements,
    render,
)

# The protocol counts a statement's parameters in 16 bits; a statement may have 16 MB.
_PARAMETERS = 30_000
# What a statement is, past the comment that it may begin with.
_WORDS = r"(?:--[^\n]*\n|\s)*"
_READS = re.compile(_WORDS + r"(SELECT|WITH|SHOW|SET|EXPLAIN)\b", re.IGNORECASE)
_TEMPORARY = re.compile(_WORDS + r"CREATE TEMP TABLE (\w+)", re.IGNORECASE)
_DROP = re.compile(_WORDS + r"DROP TABLE (\w+)$", re.IGNORECASE)
# Own statements create a table only where there is none.
_FILLING = re.compile(
    _WORDS + r"(CREATE TABLE|DELETE FROM|INSERT INTO)(?: IF NOT EXISTS)? ([\w.]+)", re.IGNORECASE
)


class TurnNeeded(WarehouseError):
    """A session that only looks was to write."""


class RedshiftSession(Session):
    """One open transaction, or a look at what is committed, a query at a time."""

    def __init__(
        self,
        settings: RedshiftSettings,
        connection: Connection,
        connect: Callable[[], Connection],
        uploads: Uploads,
        label: str,
        kept: dict[tuple[str, str], Any],
        has_turn: bool,
    ) -> None:
        self.statements: list[str] = []
        self._has_turn = has_turn
        self.kept = kept
        self.has_written = False
        self.environment = settings.environment
        self.schemas = settings.schemas
        self.settings = settings
        self.uploads = uploads
        self._connection = connection
        self._connect = connect
        self._label = label
        self._temporary: dict[str, None] = {}  # tables, as a set that keeps their order
        self._since = connection.server_time()

    def whereabouts(self, side: str) -> dict[str, Any]:
        other = replace(self.settings, environment=side.rstrip(".")) if side else self.settings
        return {"schemas": other.schemas, "catalog": None}

    def take_turn(self) -> None:
        """Make sure that the session may write.

        Raises:
            TurnNeeded: it only looks; the engine calls the body again when it is its turn.
        """
        if not self._has_turn:
            raise TurnNeeded("nothing is written here")

    def execute(self, name: str, **parameters: Any) -> int:
        changed = -1
        for text in read_statements(name):
            changed = self.send(place_of(name), render(text, parameters))
        return changed

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        self.execute(name, **parameters)
        return self._connection.named_rows()

    def run(self, text: str) -> list[Row]:
        self.send(text, text)
        return self._connection.rows()

    def select(self, text: str, limit: int, seconds: int) -> tuple[list[str], list[Row]]:
        """Run a query that a person wrote.

        It may name a table without its schema. Our own statements never do: Redshift refuses a
        search_path with a schema that does not exist, so none is set before the first load.
        """
        if schemas := [
            row["schema_name"] for row in self.query("redshift/schemas", schemas=self.schemas)
        ]:
            self.run(f"SET search_path TO {', '.join(schemas)}")
        self.send("the time limit", f"SET statement_timeout TO {seconds * 1000}")
        self.send("the query", text)
        return self._connection.columns(), self._connection.rows()[:limit]

    def send(self, place: str, text: str) -> int:
        """Run a statement; return the number of rows it changed. `place` is named in errors."""
        if not _READS.match(text):
            self.take_turn()
            if (filling := _FILLING.match(text)) and self._is_spared(*filling.groups()):
                return 0
            if found := _TEMPORARY.match(text):
                self._temporary[found[1]] = None
            elif found := _DROP.match(text):
                self._temporary.pop(found[1], None)
            else:
                self._write()
        self.statements.append(text)
        return self._connection.send(place, text)

    def _is_spared(self, what: str, table: str) -> bool:
        """Tell whether rows are taken out of a table that the run has made and not filled yet."""
        if what.upper() == "CREATE TABLE":
            self.kept["empty", table] = True
        elif what.upper() == "DELETE FROM":
            return ("empty", table) in self.kept
        else:
            self.kept.pop(("empty", table), None)
        return False

    def _write(self) -> None:
        """Note that there is something to commit, and by which label its cost is found."""
        if not self.has_written:
            self.has_written = True
            label = f"SET LOCAL query_group TO {literal(self._label)}"
            self._connection.send(label, label)

    def drop_temporary_tables(self) -> None:
        """Drop what would be in the way of the next transaction of a kept session."""
        if self._temporary:
            self.run(f"DROP TABLE {', '.join(self._temporary)}")

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert rows from Python: as parameters of one statement, or more of them by a COPY."""
        self.take_turn()
        self._write()
        self.kept.pop(("empty", table), None)
        remaining, names = iter(rows), ", ".join(columns)
        values = [value for row in islice(remaining, _PARAMETERS // len(columns)) for value in row]
        if following := list(islice(remaining, 1)):
            most = zip(*[iter(values)] * len(columns), strict=True)
            places = {
                "relation": Keyword(table),
                "columns": Keyword(names),
                "rows": self.uploads.put_rows(columns, chain(most, following, remaining)),
                "iam_role": self.settings.role,
                "region": self.uploads.prefix.region,
            }
            text = render(read_statement("redshift/copy_rows"), places)
            self._connection.send(f"COPY {table}", text)
        elif values:
            marks = f"({', '.join('?' * len(columns))})"
            marked = ", ".join([marks] * (len(values) // len(columns)))
            text = f"INSERT INTO {table} ({names}) VALUES {marked}"  # noqa: S608 - own names
            self._connection.send(f"INSERT INTO {table}", text, values)

    def copy(self, step: CopyStep, source: CopySource, max_errors: int) -> CopyResult:
        """Load files into a staging table; with a LoadError, the transaction has ended."""
        with scratch_folder() as folder:
            return Copier(self, step, source, max_errors, folder).copy()

    def end(self) -> None:
        """Roll back; the session sends nothing more after that."""
        self._connection.end()

    def load_errors(self, query_id: int | None) -> list[dict[str, Any]]:
        """Return what a COPY refused, from the system views; where they do not know it by its id,
        what was refused in this session.

        A connection of its own asks them: one view may be denied, which would end a transaction.
        """
        with closing(self._connect()) as connection:
            return read_load_errors(connection, query_id, self._connection.id, self._since)
