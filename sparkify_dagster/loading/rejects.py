"""What a load leaves out, and what is remembered of it: bad lines and bad files.

With SPARKIFY_BAD_FILES=skip a bad file counts as not delivered: what was loaded before of its day,
or of the song file, stays. It is read again when it or SPARKIFY_COPY_MAX_ERRORS changes, or where
everything is read again.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from sparkify_dagster.lake.base import DamagedFileError, Lake, LakeError, SourceFile
from sparkify_dagster.lake.objects import read_objects
from sparkify_dagster.loading.ledger import kept, utc_now
from sparkify_dagster.loading.plan import Known, Order, Plan, Refused
from sparkify_dagster.loading.sharing import REJECTS
from sparkify_dagster.table import Table
from sparkify_dagster.warehouse.base import BadLine, LoadError, Row, Session
from sparkify_dagster.warehouse.scratch import scratch_folder

Result = TypeVar("Result")

_FILE_COLUMNS = (
    *("table_name", "file_name", "file_day", "size_bytes", "version", "max_errors", "reason"),
    *("run_id", "rejected_at"),
)
_LINE_COLUMNS = (
    *("table_name", "file_name", "line", "column_name", "reason", "raw_text"),
    *("run_id", "rejected_at"),
)
_REASONS = 5  # lines of a bad file that say why
_RAW_BYTES = 4096  # of a line: as much as staging.rejected_lines has room for


def _rejects(session: Session, table: Table) -> dict[str, dict[str, Any]]:
    """Return the files of former runs of which nothing, or where no reason is said, not all lines
    were loaded; asked for once a run where none is added.
    """
    rows = kept(session, REJECTS, lambda found: found.query("bookkeeping/rejects"))
    return {row["file_name"]: row for row in rows if row["table_name"] == table.name}


def bad_still(
    session: Session, table: Table, refused: Refused | None, max_errors: int
) -> dict[str, str] | None:
    """Return why files of former runs stay left out while they are the same.

    None: they would be read again.
    """
    bad = [row for row in _rejects(session, table).values() if row["reason"]]
    if bad and (refused is None or any(row["max_errors"] != max_errors for row in bad)):
        return None
    return {row["file_name"]: row["reason"] for row in bad}


def skipping(attempt: Callable[[], Result], refused: Refused | None) -> Result:
    """Call what loads in one transaction, and again without the files that it finds bad.

    `refused` takes them up. None: they fail the load.

    Raises:
        LakeError, LoadError: for any other reason, or where nothing is to be skipped.
    """
    while True:
        try:
            return attempt()
        except (LoadError, DamagedFileError) as error:
            if isinstance(error, LoadError):
                found: Refused = error.by_file
            else:
                found = {error.name: [BadLine(error.name, 0, "", error.reason)]}
            if refused is None or found.keys() <= refused.keys():
                raise
            refused.update(found)


class Rejects:
    """What one load of a table leaves out, and what former loads did."""

    def __init__(
        self, session: Session, order: Order, listed: Sequence[SourceFile], read_again: bool
    ) -> None:
        self._session, self._order, self._listed = session, order, listed
        self._refused = order.refused or {}
        self._before = _rejects(session, order.table)
        self._bad = {
            file.name: file
            for file in listed
            if order.refused is not None
            and (file.name in order.refused or (not read_again and self._is_bad_still(file)))
        }
        self.units = {file.day or file.name for file in self._bad.values()}

    def others(self) -> list[SourceFile]:
        """Return the listed files without the bad ones, and without all others of their days."""
        return [file for file in self._listed if (file.day or file.name) not in self.units]

    def replaceable(self, known: Known) -> Known:
        """Return the files loaded before, without those whose rows stay."""
        return {name: old for name, old in known.items() if (old.day or name) not in self.units}

    def note(self, plan: Plan, left_out: Sequence[BadLine]) -> dict[str, str]:
        """Write down what is left out, in place of what is so no longer.

        Nothing is written where all is as before. Return why, by bad file.
        """
        session, table = self._session, self._order.table.name
        new = {name: self._refused[name] for name in self._bad if name in self._refused}
        gone = {*new, *plan.replaced, *(file.name for file in plan.read)}
        still = {
            name: row["reason"]
            for name, row in self._before.items()
            if name not in gone and (name in self._bad or not row["reason"])
        }
        if forgotten := tuple(self._before.keys() - still.keys()):
            for section in ("forget_rejected_files", "forget_rejected_lines"):
                session.execute(f"bookkeeping/{section}", table_name=table, file_names=forgotten)
        reasons = {name: "\n".join(map(str, lines[:_REASONS])) for name, lines in new.items()}
        by = (self._order.run_id, utc_now())
        files: list[Row] = [
            (table, name, file.day, file.size, file.version, self._order.max_errors, reason, *by)
            for name, reason in reasons.items()
            for file in [self._bad[name]]
        ]
        if files:
            session.insert("staging.rejected_files", _FILE_COLUMNS, files)
        found = {file.name: file for file in (*plan.read, *self._bad.values())}
        bad_lines = [*left_out, *(line for name in new for line in self._refused[name])]
        lines = [(table, *row, *by) for row in _lines(self._order.lake, found, bad_lines)]
        if lines:
            session.insert("staging.rejected_lines", _LINE_COLUMNS, lines)
        if files or lines or forgotten:
            del session.kept[REJECTS]
        return {name: reason for name, reason in {**still, **reasons}.items() if reason}

    def _is_bad_still(self, file: SourceFile) -> bool:
        old = self._before.get(file.name, {})
        now = (file.size, file.version, self._order.max_errors)
        was = (old.get("size_bytes"), old.get("version"), old.get("max_errors"))
        return bool(old.get("reason")) and was == now


def _lines(lake: Lake, files: Mapping[str, SourceFile], lines: Sequence[BadLine]) -> Iterator[Row]:
    """Yield bad lines with their text, as it is in the file."""
    for name, found in groupby(sorted(lines, key=lambda bad: bad.file), lambda bad: bad.file):
        bad_lines = list(found)
        texts = _texts(lake, files[name], {bad.line for bad in bad_lines})
        for bad in bad_lines:
            yield name, bad.line, bad.column, bad.reason, texts.get(bad.line)


def _texts(lake: Lake, file: SourceFile, wanted: Collection[int]) -> dict[int, str]:
    texts = {}
    try:
        with scratch_folder() as folder:
            (path,) = lake.local_paths([file], folder)
            with path.open("rb") as stored:
                for line, text in read_objects(file.name, stored):
                    if line in wanted:
                        texts[line] = _storable(text)
    except (LakeError, OSError):
        pass  # damaged from there on, or gone by now: what is wrong is known without
    return texts


def _storable(text: bytes) -> str:
    # Redshift's text has no U+0000.
    shown = text.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    return shown.encode()[:_RAW_BYTES].decode(errors="ignore")
