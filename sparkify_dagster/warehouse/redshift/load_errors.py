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
from sparkify_dagster.warehouse.statements import read_statement, render

_log = logging.getLogger(__name__)

_VIEWS = ("redshift/load_errors", "redshift/load_errors_provisioned")
_URL_BYTES = 256  # that the views keep of a file's address
_VALUE_LENGTH = 100

Steps = Sequence[str | int]  # keys and indices from an object's top to a value


def read_load_errors(
    connection: Connection, session_id: int, since: datetime
) -> list[dict[str, Any]]:
    """Return what COPY refused in a session since a time; empty where neither view may be read."""
    connection.set_autocommit(True)
    for view in _VIEWS:
        text = render(read_statement(view), {"session_id": session_id, "since": since})
        try:
            connection.send(f"sql/{view}.sql", text)
        except WarehouseError as error:
            _log.warning("the lines that COPY refused cannot be read: %s", error)
            continue
        columns = connection.columns()
        return [dict(zip(columns, row, strict=True)) for row in connection.rows()]
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
        self, found: Sequence[Mapping[str, Any]], steps: Mapping[str, Steps]
    ) -> list[BadLine]:
        """Return rows of the views as lines of source files, in their order.

        The newer view does not hold the refused value; for the lines that are shown it is read
        from the file, at the column's `steps`.
        """
        places = []
        for row in found:
            place = self._place(row["file_name"], int(row["line_number"]))
            # Another COPY of the session may have left rows too.
            if place is not None:
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
