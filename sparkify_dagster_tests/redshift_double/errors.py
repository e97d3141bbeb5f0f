"""What the double answers when a statement fails, in Redshift's words and codes.

DuckDB's errors are turned into the SQLSTATE and wording that Redshift (PostgreSQL
8.0.2's family) uses, so that a client that classifies by code and message meets the
same cases.
"""

import re
from collections.abc import Callable

import duckdb


class ServerError(Exception):
    """An ErrorResponse: SQLSTATE, message and detail, as sent on the wire."""

    def __init__(
        self, sqlstate: str, message: str, detail: str = "", severity: str = "ERROR"
    ) -> None:
        super().__init__(f"{sqlstate} {message}")
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.severity = severity


def syntax_error(near: str) -> ServerError:
    """Answer as the parser does, naming the offending token."""
    if not near:
        return ServerError("42601", "syntax error at end of input")
    return ServerError("42601", f'syntax error at or near "{near}"')


def refused(feature: str) -> ServerError:
    """Refuse what Redshift does not have."""
    return ServerError("0A000", f"{feature} is not supported by Redshift")


def not_emulated(feature: str) -> ServerError:
    """Refuse what Redshift has but this double cannot carry out faithfully."""
    return ServerError("0A000", f"this Redshift double does not carry out {feature}")


def isolation_violation(detail: str = "") -> ServerError:
    """Answer a write conflict: XX000 with message 1023, never 40001."""
    return ServerError("XX000", "1023", detail or "Serializable isolation violation on table - 0")


def aborted_transaction() -> ServerError:
    """Answer any statement but ROLLBACK or COMMIT in a failed transaction."""
    return ServerError(
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
    )


def canceled(query_id: int) -> ServerError:
    """Answer a statement stopped by statement_timeout or by a cancel."""
    return ServerError("57014", f"Query ({query_id}) canceled on user's request")


Builder = Callable[[re.Match[str]], ServerError]


def _simple(sqlstate: str, template: str) -> Builder:
    return lambda match: ServerError(
        sqlstate, template.format(*(part or "" for part in match.groups()))
    )


_PATTERNS: list[tuple[str, Builder]] = [
    (
        r"does not exist because schema \"(.+?)\" does not exist",
        _simple("3F000", 'schema "{0}" does not exist'),
    ),
    (
        r"Table with name \"?(.+?)\"? does not exist",
        _simple("42P01", 'relation "{0}" does not exist'),
    ),
    (r"View with name \"?(.+?)\"? does not exist", _simple("42P01", 'view "{0}" does not exist')),
    (
        r"Schema with name \"?(.+?)\"? does not exist",
        _simple("3F000", 'schema "{0}" does not exist'),
    ),
    (
        r"Function with name \"?(.+?)\"? does not exist",
        _simple("42883", "function {0} does not exist"),
    ),
    (
        r"(?:Table|View) with name \"?(.+?)\"? already exists",
        _simple("42P07", 'Relation "{0}" already exists'),
    ),
    (
        r"Schema with name \"?(.+?)\"? already exists",
        _simple("42P06", 'schema "{0}" already exists'),
    ),
    (
        r"Existing object \"?(.+?)\"? is of type (\w+), trying to (?:drop|replace with) type (\w+)",
        lambda match: ServerError("42809", f'"{match[1]}" is not a {match[3].lower()}'),
    ),
    (
        r"Cannot drop entry \"(.+?)\"",
        _simple("2BP01", "cannot drop {0} because other objects depend on it"),
    ),
    (r"Referenced column \"(.+?)\" not found", _simple("42703", 'column "{0}" does not exist')),
    (r"does not have a column named \"(.+?)\"", _simple("42703", 'column "{0}" does not exist')),
    (
        r"Referenced table \"(.+?)\" not found",
        _simple("42P01", 'missing FROM-clause entry for table "{0}"'),
    ),
    (
        r"Ambiguous reference to column name \"(.+?)\"",
        _simple("42702", 'column reference "{0}" is ambiguous'),
    ),
    (
        r"column \"(.+?)\" must appear in the GROUP BY clause",
        _simple(
            "42803",
            'column "{0}" must appear in the GROUP BY clause or be used in an aggregate function',
        ),
    ),
    (
        r"NOT NULL constraint failed: \S+\.(\S+)",
        _simple("XX000", "Cannot insert a NULL value into column {0}"),
    ),
    (
        r"CHECK constraint failed .*strlen\(rtrim\(\"?(\w+)\"?, ' '\)\) <= (\d+)",
        _simple("22001", "value too long for type character varying({1})"),
    ),
    (r"Division by zero", _simple("22012", "Divide by zero")),
    (
        r"Could not convert string '(.*?)' to (\w+)",
        _simple("22P02", 'invalid input syntax for type {1}: "{0}"'),
    ),
    (r"(?:out of range|Overflow|Could not cast value)", _simple("22003", "Value out of range")),
    (
        r"cannot affect the same target row more than once",
        _simple("XX000", "Found multiple matches to update the same tuple."),
    ),
    (
        r"(?i)write-write conflict|transaction conflict|conflict on tuple|Conflict on",
        lambda _: isolation_violation(),
    ),
    (r"syntax error at or near \"(.+?)\"", _simple("42601", 'syntax error at or near "{0}"')),
    (
        r"table \S+ has (\d+) columns but (\d+) values",
        _simple("42601", "INSERT has more expressions than target columns"),
    ),
    (
        r"No function matches the given name and argument types '(.+?)'",
        _simple("42883", "function {0} does not exist"),
    ),
]


def from_duckdb(error: duckdb.Error) -> ServerError:
    """Name a DuckDB failure as Redshift would; the unknown keep DuckDB's text, as XX000."""
    text = str(error)
    for pattern, build in _PATTERNS:
        match = re.search(pattern, text, re.DOTALL)
        if match:
            return build(match)
    return ServerError("XX000", f"not foreseen by the Redshift double: {text}")
