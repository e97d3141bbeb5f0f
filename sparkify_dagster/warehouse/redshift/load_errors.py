"""Finding the lines that COPY refused: from the system views back to the source files."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sparkify_dagster.lake.base import LakeError, SourceFile
from sparkify_dagster.lake.combine import Part
from sparkify_dagster.warehouse.base import SHOWN_LINES, BadLine, CopySource, WarehouseError
from sparkify_dagster.warehouse.copy_rules import Text
from sparkify_dagster.warehouse.redshift.connection import Connection
from sparkify_dagster.warehouse.statements import Keyword

_log = logging.getLogger(__name__)

# Their columns for the number of a query and of a session.
_VIEWS = {
    "redshift/load_errors": ("query_id", "session_id"),
    "redshift/load_errors_provisioned": ("query", "session"),
}
_URL_BYTES = 256  # that the views keep of a file's address
_VALUE_LENGTH = 100

Steps = Sequence[str | int]  # keys and indices from an object's top to a value


def read_load_errors(
    connection: Connection, query_id: int | None, session_id: int, since: datetime
) -> list[dict[str, Any]]:
    """Return what a COPY refused; where a view has nothing under its id, what its session did.

    Only what happened since a time counts. Empty where neither view may be read.
    """
    connection.set_autocommit(True)
    for view, columns in _VIEWS.items():
        try:
            for column, value in zip(columns, (query_id, session_id), strict=True):
                key = {"key_column": Keyword(column), "key_value": value, "since": since}
                if found := connection.query(view, **key):
                    return found
        except WarehouseError as error:
            _log.warning("the lines that COPY refused cannot be read: %s", error)
        else:
            return []
    return []


def bad_lines(
    found: Sequence[Mapping[str, Any]],
    steps: Mapping[str, Steps],
    read: Mapping[str, Part] | Mapping[str, SourceFile],
    source: CopySource,
    folder: Path,
) -> list[BadLine]:
    """Return rows of the views as lines of source files, in their order.

    `read` is what the COPY read, by address. The newer view does not hold the refused value; for
    the lines that are shown it is read from the file, at the column's `steps`.
    """
    by_address = {_kept(url): where for url, where in read.items()}
    places = []
    for row in found:
        line = int(row["line_number"])
        # Another COPY of the session may have left rows too.
        if where := by_address.get(row["file_name"]):
            place = where.origins[line - 1] if isinstance(where, Part) else (where.name, line)
            places.append((*place, row["column_name"], row["reason"], row["value"]))
    files = {file.name: file for file in source.files}

    @cache
    def objects(name: str) -> dict[int, bytes]:
        try:
            (path,) = source.lake.local_paths([files[name]], folder)
            return {line: text for _, line, text in Text(name, path, None).objects()}
        except LakeError:
            return {}

    lines = []
    for number, (file, line, column, reason, value) in enumerate(sorted(places)):
        shown = value
        if not value and number < SHOWN_LINES:
            shown = _value(objects(file).get(line, b""), steps.get(column))
        lines.append(BadLine(file, line, column, reason, shown[:_VALUE_LENGTH]))
    return lines


def _kept(url: str) -> str:
    return url.encode()[:_URL_BYTES].decode(errors="ignore")


def _value(text: bytes, steps: Steps | None) -> str:
    """Return the value at a place of an object; the whole text where there is none."""
    try:
        value = json.loads(text)
        for step in steps or ():
            value = value[step]
    except (ValueError, LookupError, TypeError):
        return text.decode("utf-8", "backslashreplace")
    return value if isinstance(value, str) else json.dumps(value)
