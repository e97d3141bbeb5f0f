"""The columns of tables and views, as their CREATE statements in `sql/` say them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from sparkify_dagster.warehouse.statements import read_statement

# One column a line: name, type, NOT NULL, comment. A lint holds this against a real SQL parser.
_COLUMN = re.compile(
    r"^    (?P<name>[a-z_]+) (?P<type>[A-Z]+(?: PRECISION)?(?:\(\d+\))?)(?P<required> NOT NULL)?"
    r"(?: DEFAULT [^,]+)?,?(?: +-- (?P<description>.+))?$",
    re.MULTILINE,
)
_CREATED = re.compile(r"(?<!\S)(?:staging|analytics)\.\w+")
_LEXEME = re.compile(
    r"--\s*(?P<comment>[^\n]*)|'(?:[^'\\]|\\.|'')*'|(?P<word>\w+)|(?P<mark>[(),;])"
)


@dataclass(frozen=True)
class Column:
    """A column of a table or view."""

    name: str
    type: str
    required: bool
    description: str


@cache
def read_columns(name: str) -> tuple[Column, ...]:
    """Return the columns that the CREATE statement `name` of `sql/` defines.

    A table's stand a line each; a view's under a comment `-- TYPE: description`.
    """
    text = read_statement(name)
    if is_view(name):
        return tuple(
            Column(column, kind, False, description)
            for comment, column in selected(text)
            for kind, _, description in [comment.partition(": ")]
        )
    return tuple(
        Column(match["name"], match["type"], bool(match["required"]), match["description"] or "")
        for match in _COLUMN.finditer(text)
    )


def definition(columns: tuple[Column, ...]) -> str:
    """Return names and types of columns as the ledger keeps them."""
    return ", ".join(
        f"{column.name} {column.type}{' NOT NULL' * column.required}" for column in columns
    )


def is_view(name: str) -> bool:
    """Tell whether the CREATE statement `name` of `sql/` makes a view."""
    return "CREATE VIEW " in read_statement(name)


def created_name(name: str) -> str:
    """Return the schema and name of what the CREATE statement `name` of `sql/` makes."""
    found = _CREATED.search(read_statement(name))
    assert found
    return found[0]


def selected(text: str) -> Iterator[tuple[str, str]]:
    """Yield the comment above and the name of each column that a query selects."""
    comments: list[str] = []
    depth, last, started = 0, "", False
    for match in _LEXEME.finditer(text):
        if match["mark"] == "(":
            depth += 1
        elif match["mark"] == ")":
            depth -= 1
        if depth or match["mark"] == ")":
            continue
        word = (match["word"] or "").upper()
        if word == "SELECT":
            comments, started = [], True
        elif word == "FROM" and started:
            yield " ".join(comments), last
            return
        elif match["mark"] == "," and started:
            yield " ".join(comments), last
            comments = []
        elif match["comment"] is not None:
            comments.append(match["comment"])
        elif match["word"]:
            last = match["word"]
