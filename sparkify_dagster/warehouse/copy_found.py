"""What a COPY finds in its files: rows, bad lines, keys that are new or have gone."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from sparkify_dagster.lake.base import event_day
from sparkify_dagster.warehouse.base import SHOWN_LINES, BadLine, CopyResult, CopySource, LoadError
from sparkify_dagster.warehouse.copy_rules import CopiedColumn, Plan, Text

_REMEDY = "; if it came later, say so behind the column in landing.sql: -- since YYYY-MM-DD"


class Found:
    """What has been found so far. Every rule is one of a file, however files are batched."""

    def __init__(self, plan: Plan, source: CopySource) -> None:
        self.rows = 0
        self.unknown_keys: set[str] = set()
        self.objects: dict[str, int] = {}  # in files that do not hold an object a line
        self.totals: Counter[str] = Counter()  # objects of each file that may hold several
        self.malformed: Counter[str] = Counter()  # of these, whose keys cannot be told
        self.last_lines: dict[str, int] = {}  # of files that may lack a key
        self.plan = plan
        self._limit = max(1, plan.statement.max_errors)
        self._bad_lines: dict[str, list[BadLine]] = defaultdict(list)
        self._bad_counts: Counter[str] = Counter()
        self._lacking: Counter[tuple[str, str]] = Counter()
        self._in_parts = source.parts is not None
        origins = (origin for part in source.parts or () for origin in part.origins)
        for name, found in groupby(origins, itemgetter(0)):
            lines = [line for _, line in found]
            if len(lines) > 1:
                self.totals[name], self.last_lines[name] = len(lines), max(lines)

    def add_bad_line(self, lines: Sequence[BadLine]) -> None:
        """Take in what is wrong with one line."""
        name = lines[0].file
        self._bad_counts[name] += 1
        # A file may be bad from end to end: what nobody will see is not kept.
        if self._bad_counts[name] <= self._limit + SHOWN_LINES:
            self._bad_lines[name].extend(lines)

    def add_lacking(self, name: str, key: str, count: int) -> None:
        """Take in objects that lack a key of the table."""
        if not self._in_parts or name in self.totals:
            self._lacking[name, key] += count

    def take_end(self, text: Text) -> None:
        """Take in that a file was read: the error of a key that is in none names its last line."""
        if any(self._is_in_none(text.name, column.key) for column in self.plan.columns):
            self.last_lines[text.name] = max(line for _, line, _ in text.objects())

    def result(self) -> CopyResult:
        """Return what was found.

        Raises:
            LoadError: a file has more bad lines than MAXERROR allows, or a key is in none of its
                several objects: its producer dropped it. A file of a day before it came is fine.
        """
        refused = [name for name, count in self._bad_counts.items() if count >= self._limit]
        if refused:
            lines = [line for name in refused for line in self._bad_lines[name]]
            count = sum(self._bad_counts[name] for name in refused)
            raise LoadError(self.plan.step.table, lines, count)
        vanished = [bad for column in self.plan.columns for bad in self._vanished(column)]
        if vanished:
            raise LoadError(self.plan.step.table, vanished)
        rejected = [line for lines in self._bad_lines.values() for line in lines]
        return CopyResult(self.rows, rejected, self.unknown_keys, self.objects)

    def _vanished(self, column: CopiedColumn) -> list[BadLine]:
        found = []
        for name in sorted(name for name, key in self._lacking if key == column.key):
            day = event_day(name)
            if column.since and day and day < column.since:
                continue
            if self._is_in_none(name, column.key):
                reason = f"key {column.key!r} is in none of the file's {self.totals[name]} objects"
                reason += "" if self._in_parts else _REMEDY
                found.append(BadLine(name, self.last_lines[name], column.name, reason))
        return found

    def _is_in_none(self, name: str, key: str) -> bool:
        lacking, total = self._lacking[name, key], self.totals[name]
        return 0 < lacking == total - self.malformed[name] and total > 1
