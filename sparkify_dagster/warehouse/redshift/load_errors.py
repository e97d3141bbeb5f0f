"""Finding the lines that COPY refused: from the system views back to the source files."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sparkify_dagster.lake.base import Lake, LakeError, SourceFile
from sparkify_dagster.lake.objects import decompress, split_objects
from sparkify_dagster.warehouse.base import SHOWN_LINES, BadLine, WarehouseError
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


class Origins:
    """Where the lines that COPY read are from."""

    def __init__(self, lake: Lake, files: Sequence[SourceFile], folder: Path) -> None:
        self._lake = lake
        self._folder = folder
        self._files = {file.name: file for file in files}
        self._urls = {_kept(lake.url(file.name)): file.name for file in files}
        self._parts: dict[str, Sequence[tuple[str, int]]] = {}
        self._texts: dict[str, dict[int, bytes]] = {}

    def add_part(self, url: str, origins: Sequence[tuple[str, int]]) -> None:
        """Note an object on S3 whose lines were combined from files."""
        self._parts[_kept(url)] = origins

    def bad_lines(
        self,
        found: Sequence[Mapping[str, Any]],
        steps: Mapping[str, Steps],
        urls: Sequence[str],
    ) -> list[BadLine]:
        """Return rows of the views as lines of source files, in their order.

        The newer view does not hold the refused value; for the lines that are shown it is read
        from the file, at the column's `steps`.
        """
        read = {_kept(url) for url in urls}
        places = []
        for row in found:
            place = self._place(row["file_name"], int(row["line_number"]))
            # Another COPY of the session may have left rows too.
            if place is not None and row["file_name"] in read:
                places.append((*place, row["column_name"], row["reason"], row["value"]))
        lines = []
        for number, (file, line, column, reason, value) in enumerate(sorted(places)):
            shown = value
            if not value and number < SHOWN_LINES:
                shown = _value(self._text(file, line), steps.get(column))
            lines.append(BadLine(file, line, column, reason, shown[:_VALUE_LENGTH]))
        return lines

    def _place(self, url: str, line: int) -> tuple[str, int] | None:
        if url in self._parts:
            return self._parts[url][line - 1]
        name = self._urls.get(url)
        return (name, line) if name else None

    def _text(self, name: str, line: int) -> bytes:
        if name not in self._texts:
            try:
                (path,) = self._lake.local_paths([self._files[name]], self._folder)
                content = decompress(name, path.read_bytes())
            except (LakeError, OSError, EOFError):
                content = b""
            self._texts[name] = dict(split_objects(content))
        return self._texts[name].get(line, b"")


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
