"""What a table is: the facts that `tables.yaml` says of each, and those that its SQL file says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sparkify_dagster.warehouse.columns import Column, created_name, is_view, read_columns, selected
from sparkify_dagster.warehouse.statements import has_section, read_statement, section_names

SEVERITIES = ("blocking", "error", "warning")
_CHECK = re.compile(rf"({'|'.join(SEVERITIES)}): (.+)")


@dataclass(frozen=True)
class Check:
    """What has to hold for a table: a column of the `check` query in the table's SQL file.

    It has to be 0; or, where a column `<name>_expected` follows, to equal that one. A blocking
    check stops what is built from the table.
    """

    name: str
    description: str
    severity: str  # one of SEVERITIES
    columns: tuple[str, ...]  # of the query, that tell about it and are shown with the result

    def passes(self, numbers: dict[str, int]) -> bool:
        """Tell whether it holds, from the row that the `check` query gives."""
        return numbers[self.name] == numbers.get(f"{self.name}_expected", 0)


@dataclass(frozen=True, eq=False)
class Table:
    """A table or view: an asset of the same name, with a file of its own in `sql/`."""

    name: str
    group: str  # folder in sql/ and asset group
    summary: str  # what it is and its grain
    built_from: Sequence[str]  # its sources: a load of one of them makes it out of date
    key: Sequence[str] = ()
    checked_against: Sequence[str] = ()  # what its checks look at besides
    # The table whose changed days the checks look at, where it is not this one.
    days_of: str = ""
    # Name and description of the checks that its load tells.
    load_checks: Mapping[str, str] = field(default_factory=dict)
    # The version and the day of the last change of columns or key that readers have to follow.
    contract: Sequence[Any] = (1, "")
    # Columns that hold another table's key, with that table.
    joins: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        """Return the schema: files as rows apart from what is made of them."""
        return "staging" if self.group == "staging" else "analytics"

    @property
    def qualified_name(self) -> str:
        """Return schema.table."""
        return f"{self.schema}.{self.name}"

    @property
    def file(self) -> str:
        """Return the table's file in sql/."""
        return f"{self.group}/{self.name}"

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Return what has to be there before: its sources, and what its checks look at."""
        return tuple(dict.fromkeys((*self.built_from, *self.checked_against)))

    @property
    def create(self) -> str:
        """Return the name of the statement that makes it."""
        return f"{self.file}/create"

    @property
    def is_view(self) -> bool:
        """Tell whether it is a view, of which `load` fills what it adds up."""
        return is_view(self.create)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns in order."""
        return read_columns(self.create)

    @cached_property
    def helpers(self) -> tuple[str, ...]:
        """Return the statements that make further tables, which are built along for it alone."""
        prefix = f"{self.file}/create_"
        return tuple(name for name in section_names(self.file) if name.startswith(prefix))

    @property
    def creates(self) -> tuple[str, ...]:
        """Return the statements that make the tables whose rows its load writes."""
        return (*self.helpers, *(() if self.is_view else (self.create,)))

    @property
    def stored(self) -> tuple[str, ...]:
        """Return the schema and name of each of these tables."""
        return tuple(created_name(name) for name in self.creates)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks, in the order of the `check` query."""
        return tuple(_checks(f"{self.file}/check"))

    def section(self, name: str) -> str | None:
        """Return the name of a section of its file, None where it has no such section."""
        found = f"{self.file}/{name}"
        return found if has_section(found) else None


def _checks(name: str) -> Iterator[Check]:
    """Yield the checks of a query: each begins with a comment, and further columns follow."""
    check = None
    for comment, column in selected(read_statement(name)):
        if match := _CHECK.fullmatch(comment):
            if check:
                yield check
            check = Check(column, match[2], match[1], (column,))
        elif check:
            check = replace(check, columns=(*check.columns, column))
    if check:
        yield check
