"""Users, roles, grants and masking policies: checked for shape and recorded, not enforced."""

from collections.abc import Callable
from dataclasses import dataclass

import sqlglot
from sqlglot.errors import SqlglotError

from .catalog import INTERNAL, Runs, schemas
from .ddl import name_list
from .errors import ServerError, syntax_error
from .lexical import Token

_PRIVILEGES = {
    "SELECT", "INSERT", "UPDATE", "DELETE", "DROP", "REFERENCES", "ALTER", "TRUNCATE", "ALL",
    "CREATE", "USAGE", "TEMPORARY", "TEMP", "EXECUTE", "ASSUMEROLE", "SHARE", "EXPLAIN",
}  # fmt: skip
_OBJECTS = {"TABLE", "SCHEMA", "DATABASE", "FUNCTION", "PROCEDURE", "LANGUAGE"}
_KINDS = {"USER": "user", "ROLE": "role", "GROUP": "group"}


@dataclass
class _Words:
    tokens: list[Token]
    at: int = 0

    def peek(self) -> str:
        return self.tokens[self.at].upper if self.at < len(self.tokens) else ""

    def take(self, *words: str) -> bool:
        if self.peek() in words:
            self.at += 1
            return True
        return False

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.take(word):
                raise syntax_error(self.peek())

    def name(self) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at].kind not in ("word", "quoted"):
            raise syntax_error(self.peek())
        self.at += 1
        return self.tokens[self.at - 1].value

    def names(self) -> list[tuple[str, str]]:
        found, self.at = name_list(self.tokens, self.at)
        return found

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise syntax_error(self.peek())


def _exists(run: Runs, kind: str, name: str) -> bool:
    rows = run(f"SELECT 1 FROM {INTERNAL}.principals WHERE kind = ? AND name = ?", [kind, name])
    return bool(rows)


def _known(run: Runs, kind: str, name: str) -> None:
    if name not in ("public", "awsuser") and not _exists(run, kind, name):
        raise ServerError("42704", f'{kind} "{name}" does not exist')


def _create(run: Runs, kind: str, name: str, exists_is_fine: bool = False) -> None:
    if not _exists(run, kind, name):
        run(f"INSERT INTO {INTERNAL}.principals VALUES (?, ?)", [kind, name])
    elif not exists_is_fine:
        raise ServerError("42710", f'{kind} "{name}" already exists')


def _grantees(words: _Words, run: Runs) -> None:
    while True:
        kind = "user"
        if words.take("ROLE"):
            kind = "role"
        elif words.take("GROUP"):
            kind = "group"
        _known(run, kind, words.name())
        if words.take("WITH"):
            words.expect("GRANT", "OPTION")
        if not words.take(","):
            break
    words.take("CASCADE", "RESTRICT")
    words.end()


def _privileges(words: _Words) -> None:
    while True:
        if words.peek() not in _PRIVILEGES:
            raise syntax_error(words.peek())
        words.at += 1
        words.take("PRIVILEGES")
        if words.take("("):
            while not words.take(")"):
                words.name()
                words.take(",")
        if not words.take(","):
            return


Existing = Callable[[str, str], object]


def _objects(words: _Words, run: Runs, existing: Existing) -> None:
    """Read what a privilege is on; schemas and tables must exist."""
    if words.take("ALL"):
        if not words.take("TABLES", "FUNCTIONS", "PROCEDURES"):
            raise syntax_error(words.peek())
        words.expect("IN", "SCHEMA")
        kind = "SCHEMA"
    else:
        kind = words.peek() if words.take(*_OBJECTS) else "TABLE"
    for schema, name in words.names():
        if kind == "SCHEMA" and name not in schemas(run):
            raise ServerError("3F000", f'schema "{name}" does not exist')
        if kind == "TABLE":
            existing(schema, name)


def grant(tokens: list[Token], run: Runs, existing: Existing) -> str:
    """Check GRANT or REVOKE; objects and grantees must exist.

    existing: finds a table by schema and name, or raises ServerError 42P01.
    Raises ServerError 42601 for another shape, 42704 for an unknown user, role or group.
    """
    words = _Words(tokens)
    tag = words.peek()
    words.at += 1
    if tag == "REVOKE" and words.take("GRANT"):
        words.expect("OPTION", "FOR")
    if words.take("ROLE"):
        for _, role in words.names():
            _known(run, "role", role)
    else:
        _privileges(words)
        if words.take("ON"):
            _objects(words, run, existing)
    words.expect("TO" if tag == "GRANT" else "FROM")
    _grantees(words, run)
    return tag


def default_privileges(tokens: list[Token], run: Runs) -> str:
    """Check ALTER DEFAULT PRIVILEGES ... GRANT or REVOKE."""
    words = _Words(tokens, 3)
    if words.take("FOR"):
        words.expect("USER")
        words.names()
    if words.take("IN"):
        words.expect("SCHEMA")
        words.names()
    tag = words.peek()
    if tag not in ("GRANT", "REVOKE"):
        raise syntax_error(tag)
    words.at += 1
    _privileges(words)
    words.expect("ON")
    if not words.take("TABLES", "FUNCTIONS", "PROCEDURES"):
        raise syntax_error(words.peek())
    words.expect("TO" if tag == "GRANT" else "FROM")
    _grantees(words, run)
    return "ALTER DEFAULT PRIVILEGES"


def principal(tokens: list[Token], run: Runs) -> str:
    """Carry out CREATE, ALTER or DROP of a USER, ROLE or GROUP.

    CREATE has no IF NOT EXISTS in Redshift; a second one is an error.
    """
    words = _Words(tokens)
    verb = words.peek()
    word = tokens[1].upper
    words.at = 2
    kind = _KINDS[word]
    if verb == "CREATE":
        name = words.name()
        if word == "USER" and "PASSWORD" not in [token.upper for token in tokens]:
            raise syntax_error("")
        _create(run, kind, name)
    elif verb == "DROP":
        missing_is_fine = words.take("IF")
        if missing_is_fine:
            words.expect("EXISTS")
        for _, name in words.names():
            if not missing_is_fine:
                _known(run, kind, name)
            run(f"DELETE FROM {INTERNAL}.principals WHERE kind = ? AND name = ?", [kind, name])
    else:
        _known(run, kind, words.name())
    return f"{verb} {word}"


def _bracketed(words: _Words) -> list[Token]:
    words.expect("(")
    depth, start = 1, words.at
    while depth and words.at < len(words.tokens):
        depth += {"(": 1, ")": -1}.get(words.peek(), 0)
        words.at += 1
    if depth:
        raise syntax_error("")
    return words.tokens[start : words.at - 1]


def _attachment(words: _Words, run: Runs, existing: Existing) -> None:
    attach = words.take("ATTACH") or not words.take("DETACH")
    words.expect("MASKING", "POLICY")
    _known(run, "masking policy", words.name())
    words.expect("ON")
    for schema, name in words.names():
        existing(schema, name)
    _bracketed(words)
    if words.take("USING"):
        _bracketed(words)
    words.expect("TO" if attach else "FROM")
    kind = "role" if words.take("ROLE") else "user"
    _known(run, kind, words.name())
    if attach and words.take("PRIORITY"):
        words.at += 1
    words.end()


def masking_policy(text: str, tokens: list[Token], run: Runs, existing: Existing) -> str:
    """Carry out CREATE, DROP, ATTACH or DETACH MASKING POLICY, as far as records go."""
    words = _Words(tokens)
    verb = words.peek()
    if verb in ("ATTACH", "DETACH"):
        _attachment(words, run, existing)
        return f"{verb} MASKING POLICY"
    words.at = 3
    kind = "masking policy"
    if verb == "DROP":
        name = words.name()
        _known(run, kind, name)
        run(f"DELETE FROM {INTERNAL}.principals WHERE kind = ? AND name = ?", [kind, name])
        return "DROP MASKING POLICY"
    exists = words.take("IF")
    if exists:
        words.expect("NOT", "EXISTS")
    name = words.name()
    words.expect("WITH")
    _bracketed(words)
    words.expect("USING")
    inner = _bracketed(words)
    words.end()
    expression = text[inner[0].start : inner[-1].end] if inner else ""
    try:
        sqlglot.parse_one(f"SELECT {expression}", read="redshift")
    except SqlglotError as error:
        raise syntax_error(expression) from error
    _create(run, kind, name, exists)
    return "CREATE MASKING POLICY"
