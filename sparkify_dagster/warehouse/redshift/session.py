"""One open transaction on Redshift."""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from sparkify_dagster.warehouse.base import CopyResult, CopySource, CopyStep, Row, WarehouseError
from sparkify_dagster.warehouse.redshift.connection import Connection
from sparkify_dagster.warehouse.redshift.copy import copy
from sparkify_dagster.warehouse.redshift.load_errors import read_load_errors
from sparkify_dagster.warehouse.redshift.settings import RedshiftSettings
from sparkify_dagster.warehouse.redshift.uploads import Uploads
from sparkify_dagster.warehouse.statements import read_statements, render

_log = logging.getLogger(__name__)

# The protocol counts a statement's parameters in 16 bits; a statement may have 16 MB.
_PARAMETERS = 30_000
_MICROSECONDS = 1_000_000


class RedshiftSession:
    """One open transaction on a connection of its own."""

    def __init__(
        self,
        settings: RedshiftSettings,
        connection: Connection,
        connect: Callable[[], Connection],
        uploads: Uploads,
    ) -> None:
        self.statements: list[str] = []
        self.settings = settings
        self.uploads = uploads
        self._connection = connection
        self._connect = connect
        self._costs: dict[str, float | int] = {}
        self._id, self._since = self._find_itself()

    def execute(self, name: str, **parameters: Any) -> int:
        """Run a section of `sql/`; return the number of rows its last statement changed."""
        changed = -1
        file, _, section = name.rpartition("/")
        for text in read_statements(name):
            changed = self.send(f"sql/{file}.sql, {section}", render(text, parameters))
        return changed

    def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run the query of a section of `sql/` and return its rows by column name."""
        self.execute(name, **parameters)
        columns = self._connection.columns()
        return [dict(zip(columns, row, strict=True)) for row in self._connection.rows()]

    def run(self, text: str) -> list[Row]:
        """Run a trivial statement given as text; return its rows."""
        self.send(text, text)
        return self._connection.rows()

    def select(self, text: str, limit: int, seconds: int) -> tuple[list[str], list[Row]]:
        """Run a query that a person wrote; return column names and rows."""
        self.send("the time limit", f"SET statement_timeout TO {seconds * 1000}")
        self.send("the query", text)
        return self._connection.columns(), self._connection.rows()[:limit]

    def send(self, place: str, text: str) -> int:
        """Run a statement; return the number of rows it changed. `place` is named in errors."""
        self.statements.append(text)
        return self._connection.send(place, text)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert rows from Python, some thousands a statement."""
        marks = f"({', '.join('?' * len(columns))})"
        remaining = iter(rows)
        while chunk := list(islice(remaining, _PARAMETERS // len(columns))):
            self._connection.send(
                f"INSERT INTO {table}",
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - own names
                + ", ".join([marks] * len(chunk)),
                [value for row in chunk for value in row],
            )

    def copy(self, step: CopyStep, source: CopySource, max_errors: int) -> CopyResult:
        """Load files into a staging table with COPY.

        Raises:
            LoadError: more lines than `max_errors` allows do not fit; the transaction has ended.
            WarehouseError: COPY could not read the files, or the lake is not on S3.
        """
        return copy(self, step, source, max_errors)

    def end(self) -> None:
        """Roll back; the session sends nothing more after that."""
        self._connection.rollback()
        self._connection.is_usable = False

    def load_errors(self) -> list[dict[str, Any]]:
        """Return what COPY refused in this session, from the system views.

        A connection of its own asks them: one view may be denied, which would end a transaction.
        """
        connection = self._connect()
        try:
            return read_load_errors(connection, self._id, self._since)
        finally:
            connection.close()

    def costs(self) -> dict[str, float | int]:
        """Return what the statements took, as Redshift's system views say; empty before the commit.

        What this user may not see is left out.
        """
        return dict(self._costs)

    def collect_costs(self) -> None:
        """Read the costs after the commit; without the right to do so, only warn."""
        self._connection.set_autocommit(True)
        for name in ("redshift/session_costs", "redshift/session_scans"):
            try:
                found = self.query(name, session_id=self._id, since=self._since)[0]
            except WarehouseError as error:
                _log.warning("the cost of the statements is not known: %s", error)
                continue
            for key, value in found.items():
                if key.endswith("_time"):
                    seconds = float(value or 0) / _MICROSECONDS
                    self._costs[f"{key.removesuffix('_time')}_seconds"] = seconds
                else:
                    self._costs[key] = int(value or 0)

    def _find_itself(self) -> tuple[int, dt.datetime]:
        found = self.query("redshift/session")[0]
        return int(found["session_id"]), found["started_at"]
