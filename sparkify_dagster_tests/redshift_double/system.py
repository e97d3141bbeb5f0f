"""The monitoring views: what was run and loaded, kept outside every transaction.

Columns and types follow the AWS Redshift Database Developer Guide's pages of each view.
"""

import itertools
import threading
from datetime import UTC, datetime
from typing import Any

VIEWS: dict[str, dict[str, str]] = {
    "sys_query_history": {
        "user_id": "integer",
        "query_id": "bigint",
        "query_label": "character(320)",
        "transaction_id": "bigint",
        "session_id": "integer",
        "database_name": "character(128)",
        "query_type": "character(32)",
        "status": "character(10)",
        "result_cache_hit": "boolean",
        "start_time": "timestamp without time zone",
        "end_time": "timestamp without time zone",
        "elapsed_time": "bigint",
        "queue_time": "bigint",
        "execution_time": "bigint",
        "error_message": "character(512)",
        "returned_rows": "bigint",
        "returned_bytes": "bigint",
        "query_text": "character(4000)",
        "redshift_version": "character(256)",
        "usage_limit": "character(150)",
        "compute_type": "character varying(32)",
        "compile_time": "bigint",
        "planning_time": "bigint",
        "lock_wait_time": "bigint",
    },
    # Never filled: the double has no steps.
    "sys_query_detail": {
        "user_id": "integer",
        "query_id": "bigint",
        "child_query_sequence": "integer",
        "stream_id": "integer",
        "segment_id": "integer",
        "step_id": "integer",
        "step_name": "character(30)",
        "table_id": "integer",
        "table_name": "character(136)",
        "start_time": "timestamp without time zone",
        "end_time": "timestamp without time zone",
        "duration": "bigint",
        "input_bytes": "bigint",
        "input_rows": "bigint",
        "output_bytes": "bigint",
        "output_rows": "bigint",
        "blocks_read": "bigint",
        "blocks_write": "bigint",
    },
    "sys_load_detail": {
        "user_id": "integer",
        "query_id": "integer",
        "file_name": "character(256)",
        "bytes_scanned": "integer",
        "lines_scanned": "integer",
        "record_time": "timestamp without time zone",
        "splits_scanned": "integer",
        "start_time": "timestamp without time zone",
        "end_time": "timestamp without time zone",
        "file_etag": "character(256)",
        "file_last_modified": "timestamp without time zone",
    },
    "sys_load_error_detail": {
        "user_id": "integer",
        "query_id": "bigint",
        "transaction_id": "bigint",
        "session_id": "integer",
        "database_name": "character(64)",
        "table_id": "integer",
        "start_time": "timestamp without time zone",
        "file_name": "character(256)",
        "line_number": "bigint",
        "column_name": "character(127)",
        "column_type": "character(10)",
        "column_length": "character(10)",
        "position": "integer",
        "error_code": "integer",
        "error_message": "character(512)",
    },
    "stl_load_errors": {
        "userid": "integer",
        "slice": "integer",
        "tbl": "integer",
        "starttime": "timestamp without time zone",
        "session": "integer",
        "query": "integer",
        "filename": "character(256)",
        "line_number": "bigint",
        "colname": "character(127)",
        "type": "character(10)",
        "col_length": "character(10)",
        "position": "integer",
        "raw_line": "character(1024)",
        "raw_field_value": "character(1024)",
        "err_code": "integer",
        "err_reason": "character(100)",
    },
}
USER_ID = 100
REDSHIFT_VERSION = "Redshift 1.0.99999"


def utc_now() -> datetime:
    """Give the time as Redshift keeps it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _cut(text: str, length: int) -> str:
    return text.encode()[:length].decode(errors="ignore")


class SystemLog:
    """Rows of the monitoring views of one double; safe between sessions."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in VIEWS}
        self._lock = threading.Lock()
        self._query_ids = itertools.count(1001)
        self._transaction_ids = itertools.count(5001)

    def next_query(self) -> int:
        """Number a query."""
        return next(self._query_ids)

    def next_transaction(self) -> int:
        """Number a transaction."""
        return next(self._transaction_ids)

    def add(self, view: str, row: dict[str, Any]) -> dict[str, Any]:
        """Append a row; the caller may go on changing it (a running query)."""
        with self._lock:
            self._rows[view].append(row)
        return row

    def rows(self, view: str) -> list[dict[str, Any]]:
        """Give the rows with every CHAR cut to its declared bytes."""
        limits = {
            name: int(kind[10:-1])
            for name, kind in VIEWS[view].items()
            if kind.startswith("character(")
        }
        with self._lock:
            copies = [dict(row) for row in self._rows[view]]
        for row in copies:
            for name, length in limits.items():
                if row.get(name) is not None:
                    row[name] = _cut(str(row[name]), length)
        return copies
