"""The statements about users, roles, rights and masking policies.

Rights are recorded and enforced (rights.py); of a masking policy only the record is kept.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

import sqlglot
from sqlglot.errors import SqlglotError

from .catalog import INTERNAL, Relation, Runs, relations_of, schemas
from .ddl import name_list
from .errors import ServerError, syntax_error
from .lexical import Token
from .rights import DATABASE, Grantee, Object, Rights, schema_object, table_object

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


@dataclass
class Access:
    """What these statements work on: the session's database, and the rights of its user.

    existing finds a table by schema and name, or raises ServerError 42P01; logins are the
    users the double lets in without a CREATE USER.
    """

    run: Runs
    rights: Rights
    existing: Callable[[str, str], Relation]
    logins: Container[str]

    def known(self, kind: str, name: str) -> None:
        """Raise ServerError 42704 for a user, role, group or policy that does not exist."""
        if name == "public" or (kind == "user" and name in self.logins):
            return
        if not _exists(self.run, kind, name):
            raise ServerError("42704", f'{kind} "{name}" does not exist')

    def create(self, kind: str, name: str, exists_is_fine: bool = False) -> None:
        """Record a user, role, group or policy."""
        if not _exists(self.run, kind, name):
            self.run(f"INSERT INTO {INTERNAL}.principals VALUES (?, ?)", [kind, name])
        elif not exists_is_fine:
            raise ServerError("42710", f'{kind} "{name}" already exists')


def _grantees(words: _Words, access: Access) -> list[Grantee]:
    found = []
    while True:
        kind = "user"
        if words.take("ROLE"):
            kind = "role"
        elif words.take("GROUP"):
            kind = "group"
        name = words.name()
        access.known(kind, name)
        found.append(Grantee("public" if name == "public" else kind, name))
        if words.take("WITH") and not words.take("ADMIN"):
            words.expect("GRANT")
        words.take("OPTION")
        if not words.take(","):
            break
    words.take("CASCADE", "RESTRICT")
    words.end()
    return found


def _privileges(words: _Words) -> list[tuple[str, str]]:
    """Read privileges, each with the column it is limited to or ""."""
    found = []
    while True:
        right = words.peek()
        if right not in _PRIVILEGES:
            raise syntax_error(right)
        words.at += 1
        words.take("PRIVILEGES")
        columns = []
        if words.take("("):
            while not words.take(")"):
                columns.append(words.name())
                words.take(",")
        found += [(right.lower(), column) for column in columns or [""]]
        if not words.take(","):
            return found


def _objects(words: _Words, access: Access) -> list[Object]:
    """Read what a privilege is on; schemas and tables must exist."""
    whole = words.take("ALL")
    if whole:
        if not words.take("TABLES", "FUNCTIONS", "PROCEDURES"):
            raise syntax_error(words.peek())
        words.expect("IN", "SCHEMA")
        kind = "SCHEMA"
    else:
        kind = words.peek()
        if not words.take(*_OBJECTS):
            kind = "TABLE"
    names = words.names()
    if kind == "TABLE":
        return [table_object(access.existing(schema, name)) for schema, name in names]
    if kind != "SCHEMA":
        return [DATABASE] if kind == "DATABASE" else []
    for _, name in names:
        if name not in schemas(access.run):
            raise ServerError("3F000", f'schema "{name}" does not exist')
    if not whole:
        return [schema_object(name) for _, name in names]
    return [
        Object("table", name, table)
        for _, name in names
        for table in relations_of(access.run, name)
    ]


def grant(tokens: list[Token], access: Access) -> str:
    """Carry out GRANT or REVOKE; objects and grantees must exist.

    Raises ServerError 42601 for another shape, 42704 for an unknown user, role or group,
    42501 for all but the owner and superusers.
    """
    words = _Words(tokens)
    tag = words.peek()
    words.at += 1
    if tag == "REVOKE" and words.take("GRANT"):
        words.expect("OPTION", "FOR")
    side = "TO" if tag == "GRANT" else "FROM"
    if words.take("ROLE"):
        roles = [role for _, role in words.names()]
        for role in roles:
            access.known("role", role)
        words.expect(side)
        _join(access, "role", roles, _grantees(words, access), tag == "REVOKE")
        return tag
    rights = _privileges(words)
    targets = _objects(words, access) if words.take("ON") else []
    words.expect(side)
    access.rights.grant(rights, targets, _grantees(words, access), tag == "REVOKE")
    return tag


def _join(
    access: Access, kind: str, groups: list[str], members: list[Grantee], leave: bool
) -> None:
    access.rights.require_superuser("change who belongs to a role or group")
    for group in groups:
        for member in members:
            values = [kind, group, member.kind, member.name]
            access.run(
                f"DELETE FROM {INTERNAL}.right_members WHERE role_kind = ? AND role = ? "
                "AND kind = ? AND name = ?",
                values,
            )
            if not leave:
                access.run(f"INSERT INTO {INTERNAL}.right_members VALUES (?, ?, ?, ?)", values)


def default_privileges(tokens: list[Token], access: Access) -> str:
    """Carry out ALTER DEFAULT PRIVILEGES ... GRANT or REVOKE."""
    words = _Words(tokens, 3)
    owners: list[str] = []
    places: list[str] = []
    if words.take("FOR"):
        words.expect("USER")
        owners = [name for _, name in words.names()]
        for owner in owners:
            access.known("user", owner)
    if words.take("IN"):
        words.expect("SCHEMA")
        places = [name for _, name in words.names()]
        for name in places:
            if name not in schemas(access.run):
                raise ServerError("3F000", f'schema "{name}" does not exist')
    tag = words.peek()
    if tag not in ("GRANT", "REVOKE"):
        raise syntax_error(tag)
    words.at += 1
    rights = _privileges(words)
    words.expect("ON")
    on_tables = words.take("TABLES")
    if not on_tables and not words.take("FUNCTIONS", "PROCEDURES"):
        raise syntax_error(words.peek())
    words.expect("TO" if tag == "GRANT" else "FROM")
    grantees = _grantees(words, access)
    access.rights.set_defaults(
        owners, places, rights if on_tables else [], grantees, tag == "REVOKE"
    )
    return "ALTER DEFAULT PRIVILEGES"


def principal(tokens: list[Token], access: Access) -> str:
    """Carry out CREATE, ALTER or DROP of a USER, ROLE or GROUP, as a superuser.

    CREATE has no IF NOT EXISTS in Redshift; a second one is an error.
    """
    words = _Words(tokens)
    verb = words.peek()
    word = tokens[1].upper
    words.at = 2
    kind = _KINDS[word]
    access.rights.require_superuser(f"{verb.lower()} a {kind}")
    if verb == "DROP":
        missing_is_fine = words.take("IF")
        if missing_is_fine:
            words.expect("EXISTS")
        for _, name in words.names():
            if not missing_is_fine:
                access.known(kind, name)
            _forget(access.run, kind, name)
        return f"DROP {word}"
    name = words.name()
    said = [token.upper for token in tokens]
    if verb == "CREATE":
        if word == "USER" and "PASSWORD" not in said:
            raise syntax_error("")
        access.create(kind, name)
    else:
        access.known(kind, name)
    _options(words, said, kind, name, access)
    return f"{verb} {word}"


def _options(words: _Words, said: list[str], kind: str, name: str, access: Access) -> None:
    """Take in what an option says of membership, and of superusers."""
    if kind == "group" and words.take("WITH", "ADD", "DROP"):
        leave = said[words.at - 1] == "DROP"
        words.expect("USER")
        members = [Grantee("user", member) for _, member in words.names()]
        for member in members:
            access.known("user", member.name)
        _join(access, "group", [name], members, leave)
    if kind == "user" and "CREATEUSER" in said:
        access.create("superuser", name, exists_is_fine=True)


def _forget(run: Runs, kind: str, name: str) -> None:
    run(f"DELETE FROM {INTERNAL}.principals WHERE kind = ? AND name = ?", [kind, name])
    members = f"DELETE FROM {INTERNAL}.right_members WHERE (kind = ? AND name = ?)"
    run(f"{members} OR (role_kind = ? AND role = ?)", [kind, name, kind, name])
    run(f"DELETE FROM {INTERNAL}.right_grants WHERE grantee_kind = ? AND grantee = ?", [kind, name])


def _bracketed(words: _Words) -> list[Token]:
    words.expect("(")
    depth, start = 1, words.at
    while depth and words.at < len(words.tokens):
        depth += {"(": 1, ")": -1}.get(words.peek(), 0)
        words.at += 1
    if depth:
        raise syntax_error("")
    return words.tokens[start : words.at - 1]


def _attachment(words: _Words, access: Access) -> None:
    attach = words.take("ATTACH") or not words.take("DETACH")
    words.expect("MASKING", "POLICY")
    access.known("masking policy", words.name())
    words.expect("ON")
    for schema, name in words.names():
        access.existing(schema, name)
    _bracketed(words)
    if words.take("USING"):
        _bracketed(words)
    words.expect("TO" if attach else "FROM")
    kind = "role" if words.take("ROLE") else "user"
    access.known(kind, words.name())
    if attach and words.take("PRIORITY"):
        words.at += 1
    words.end()


def masking_policy(text: str, tokens: list[Token], access: Access) -> str:
    """Carry out CREATE, DROP, ATTACH or DETACH MASKING POLICY, as far as records go.

    A superuser's work, or of the role sys:secadmin [D: CREATE MASKING POLICY].
    """
    access.rights.require_superuser("manage masking policies")
    words = _Words(tokens)
    verb = words.peek()
    if verb in ("ATTACH", "DETACH"):
        _attachment(words, access)
        return f"{verb} MASKING POLICY"
    words.at = 3
    kind = "masking policy"
    if verb == "DROP":
        name = words.name()
        access.known(kind, name)
        _forget(access.run, kind, name)
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
    access.create(kind, name, exists)
    return "CREATE MASKING POLICY"
