"""Who owns what and who may do what: users, groups, roles, grants and default privileges.

[D: GRANT, Default database user permissions, ALTER DEFAULT PRIVILEGES, Manage database
security]. A superuser may everything; an owner everything with the own object; everybody else
what was granted to him, to a role or group of his, or to PUBLIC. All of it is kept in tables,
so that it follows the transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .catalog import INTERNAL, Relation, Runs
from .errors import ServerError

Kind = Literal["database", "schema", "table"]
_ALL = {
    "database": ("create", "temp"),
    "schema": ("create", "usage", "alter", "drop"),
    "table": (
        "select", "insert", "update", "delete", "references", "drop", "alter", "truncate",
    ),
}  # fmt: skip
_MINE = f"""
    WITH RECURSIVE mine(kind, name) AS (
        SELECT * FROM (VALUES ('user', $user), ('public', 'public'))
        UNION
        SELECT m.role_kind, m.role FROM {INTERNAL}.right_members m
        JOIN mine ON m.kind = mine.kind AND m.name = mine.name)
"""


def denied(what: str, name: str) -> ServerError:
    """Answer a missing right, in PostgreSQL's words."""
    return ServerError("42501", f"permission denied for {what} {name}")


@dataclass(frozen=True)
class Object:
    """What a right is on; the database has neither schema nor name."""

    kind: Kind
    schema: str = ""
    name: str = ""


@dataclass(frozen=True)
class Grantee:
    """Who a right is given to: a user, role or group, or PUBLIC."""

    kind: str
    name: str


DATABASE = Object("database")


def schema_object(name: str) -> Object:
    """Name a schema."""
    return Object("schema", "", name)


def table_object(relation: Relation) -> Object:
    """Name a table or view."""
    return Object("table", relation.schema, relation.name)


class Rights:
    """The rights of one session's user, as its transaction sees them."""

    def __init__(
        self,
        run: Runs,
        user: str,
        database: str,
        owner: str,
        superusers: set[str],
        recorded: set[str],
    ) -> None:
        self._run = run
        self._recorded = recorded
        self.user = user.lower()
        self._database = database
        self._database_owner = owner.lower()
        self._superusers = superusers

    def _ask(self, sql: str, *values: str) -> list[tuple[object, ...]]:
        return self._run(sql, list(values))

    # -- superusers and owners --------------------------------------------------------

    @property
    def is_superuser(self) -> bool:
        """Whether no right is asked of the user."""
        if self.user in {name.lower() for name in self._superusers}:
            return True
        sql = f"SELECT 1 FROM {INTERNAL}.principals WHERE kind = 'superuser' AND name = ?"
        return bool(self._ask(sql, self.user))

    def require_superuser(self, what: str) -> None:
        """Raise ServerError 42501 for all but a superuser."""
        if not self.is_superuser:
            raise ServerError("42501", f"must be superuser to {what}")

    def owner(self, target: Object) -> str:
        """Name the owner; what nobody is recorded for belongs to the database's owner."""
        sql = (
            f"SELECT owner FROM {INTERNAL}.right_owners WHERE kind = ? AND schema = ? AND name = ?"
        )
        values = (target.kind, target.schema, target.name)
        rows = self._ask(sql, *values) if "owner" in self._recorded else []
        return str(rows[-1][0]) if rows else self._database_owner

    def set_owner(self, target: Object, owner: str) -> None:
        """Record an owner."""
        if "owner" in self._recorded:
            sql = f"DELETE FROM {INTERNAL}.right_owners WHERE kind = ? AND schema = ? AND name = ?"
            self._ask(sql, target.kind, target.schema, target.name)
        if owner.lower() != self._database_owner:
            self._recorded.add("owner")
            sql = f"INSERT INTO {INTERNAL}.right_owners VALUES (?, ?, ?, ?)"
            self._ask(sql, target.kind, target.schema, target.name, owner.lower())

    def is_owner(self, target: Object) -> bool:
        """Whether the user owns an object."""
        return self.owner(target) == self.user

    def require_owner(self, relation: Relation, right: str = "") -> None:
        """Raise ServerError 42501 for all but owner, superuser and who was given the right.

        ALTER, DROP and TRUNCATE can be granted [D: GRANT]; VACUUM and ANALYZE want the owner
        [D: VACUUM, ANALYZE].
        """
        target = table_object(relation)
        if relation.temporary or self.is_superuser or self.is_owner(target):
            return
        if not right or not self.granted(right, target):
            raise ServerError("42501", f"must be owner of relation {relation.name}")

    def require_schema_owner(self, name: str, right: str = "") -> None:
        """Raise ServerError 42501 for all but owner, superuser and who was given the right."""
        target = schema_object(name)
        if self.is_superuser or self.is_owner(target):
            return
        if not right or not self.granted(right, target):
            raise ServerError("42501", f"must be owner of schema {name}")

    # -- rights -----------------------------------------------------------------------

    def granted(self, right: str, target: Object, user: str = "") -> bool:
        """Whether a right on a whole object was granted, to the user or one of his roles."""
        return "" in self._columns(right, target, user)

    def _columns(self, right: str, target: Object, user: str = "") -> set[object]:
        sql = f"""{_MINE}
            SELECT g.column_name FROM {INTERNAL}.right_grants g
            JOIN mine ON g.grantee_kind = mine.kind AND g.grantee = mine.name
            WHERE g.privilege = $right AND g.kind = $kind AND g.schema = $schema
              AND g.name = $name"""
        values = {
            "user": user or self.user, "right": right, "kind": target.kind,
            "schema": target.schema, "name": target.name,
        }  # fmt: skip
        return {row[0] for row in self._run(sql, values)}  # type: ignore[arg-type]

    def may(self, right: str, target: Object, user: str = "") -> bool:
        """Whether a user has a right, whatever it comes from."""
        if not user and self.is_superuser:
            return True
        owned = self.owner(target) == (user or self.user)
        return owned or self.granted(right, target, user)

    def require_database(self, right: str) -> None:
        """Raise ServerError 42501 without CREATE or TEMP on the database."""
        if self.may(right, DATABASE):
            return
        if right == "temp":
            raise ServerError(
                "42501",
                f'permission denied to create temporary tables in database "{self._database}"',
            )
        raise denied("database", self._database)

    def require_schema(self, right: str, name: str) -> None:
        """Raise ServerError 42501 without CREATE or USAGE on a schema."""
        if not self.may(right, schema_object(name)):
            raise denied("schema", name)

    def require_table(
        self, right: str, relation: Relation, columns: Iterable[str] | None = None
    ) -> None:
        """Raise ServerError 42501 without a right on a table, or on all of the columns named.

        A view reads with its owner's rights [D: CREATE VIEW], so these are asked too.
        """
        target = table_object(relation)
        if relation.temporary:
            return
        if not self.may(right, target):
            wanted = set(columns or ())
            if not wanted or not wanted <= self._columns(right, target):
                raise denied("relation", relation.name)
        owner = self.owner(target)
        if relation.is_view and owner != self._database_owner:
            for key in relation.notes.get("reads", []):
                schema, _, name = key.partition(".")
                if not self.may("select", Object("table", schema, name), owner):
                    raise denied("relation", name)

    # -- records ----------------------------------------------------------------------

    def grant(
        self,
        rights: list[tuple[str, str]],
        targets: list[Object],
        grantees: list[Grantee],
        revoke: bool = False,
    ) -> None:
        """Record or take back rights, each with the column it is limited to or "".

        Raises ServerError 42501 for all but owner and superuser.
        """
        self._recorded.add("grant")
        for target in targets:
            if not self.is_superuser and not self.is_owner(target):
                raise denied(_WORDS[target.kind], target.name or self._database)
            for right, column in _spelled(rights, target.kind):
                for grantee in grantees:
                    self._record(target, column, right, grantee, revoke)

    def _record(
        self, target: Object, column: str, right: str, grantee: Grantee, revoke: bool
    ) -> None:
        values = [
            target.kind, target.schema, target.name, column, right, grantee.kind, grantee.name,
        ]  # fmt: skip
        self._ask(
            f"DELETE FROM {INTERNAL}.right_grants WHERE kind = ? AND schema = ? AND name = ? "
            "AND column_name = ? AND privilege = ? AND grantee_kind = ? AND grantee = ?",
            *values,
        )
        if not revoke:
            self._ask(f"INSERT INTO {INTERNAL}.right_grants VALUES (?, ?, ?, ?, ?, ?, ?)", *values)

    def set_defaults(
        self,
        owners: list[str],
        schemas: list[str],
        rights: list[tuple[str, str]],
        grantees: list[Grantee],
        revoke: bool,
    ) -> None:
        """Record rights on the tables that users are still to create.

        Only a superuser for others; in a schema only with CREATE on it
        [D: ALTER DEFAULT PRIVILEGES]. Raises ServerError 42501.
        """
        self._recorded.add("default")
        if any(owner != self.user for owner in owners):
            self.require_superuser("change the default privileges of other users")
        for schema in schemas:
            self.require_schema("create", schema)
        for owner in owners or [self.user]:
            for schema in schemas or [""]:
                for right, _ in _spelled(rights, "table"):
                    for grantee in grantees:
                        values = [owner, schema, right, grantee.kind, grantee.name]
                        self._ask(
                            f"DELETE FROM {INTERNAL}.right_defaults WHERE owner = ? AND schema = ? "
                            "AND privilege = ? AND grantee_kind = ? AND grantee = ?",
                            *values,
                        )
                        if not revoke:
                            insert = f"INSERT INTO {INTERNAL}.right_defaults VALUES (?, ?, ?, ?, ?)"
                            self._ask(insert, *values)

    def created(self, target: Object) -> None:
        """Make the user the owner of a new object, and give what the defaults promise."""
        if self.user != self._database_owner:
            self.set_owner(target, self.user)
        if target.kind == "table" and "default" in self._recorded:
            self._ask(
                f"INSERT INTO {INTERNAL}.right_grants SELECT 'table', ?, ?, '', privilege, "
                f"grantee_kind, grantee FROM {INTERNAL}.right_defaults WHERE owner = ? "
                "AND schema IN ('', ?)",
                target.schema, target.name, self.user, target.schema,
            )  # fmt: skip

    def dropped(self, kind: Kind, schema: str, name: str) -> None:
        """Forget what was recorded of an object, and of what a schema held."""
        for table in ("right_owners", "right_grants") if self._recorded else ():
            self._ask(
                f"DELETE FROM {INTERNAL}.{table} WHERE kind = ? AND schema = ? AND name = ?",
                kind, schema, name,
            )  # fmt: skip
            if kind == "schema":
                self._ask(f"DELETE FROM {INTERNAL}.{table} WHERE schema = ?", name)

    def renamed(self, relation: Relation, name: str) -> None:
        """Carry what was recorded of a table over to its new name."""
        for table in ("right_owners", "right_grants"):
            self._ask(
                f"UPDATE {INTERNAL}.{table} SET name = ? "
                "WHERE kind = 'table' AND schema = ? AND name = ?",
                name, relation.schema, relation.name,
            )  # fmt: skip

    def visible(self) -> list[str]:
        """Name the tables (`schema.table`) that information_schema shows to the user.

        Those he owns or has any right on [PostgreSQL 8.0: information_schema.tables].
        """
        sql = f"""{_MINE}
            SELECT g.schema || '.' || g.name FROM {INTERNAL}.right_grants g
            JOIN mine ON g.grantee_kind = mine.kind AND g.grantee = mine.name
            WHERE g.kind = 'table'
            UNION
            SELECT schema || '.' || name FROM {INTERNAL}.right_owners
            WHERE kind = 'table' AND owner = $user"""
        rows = self._run(sql, {"user": self.user})  # type: ignore[arg-type]
        return [row[0] for row in rows]

    def owned_schemas(self) -> list[str]:
        """Name the schemas that information_schema.schemata shows: the user's own."""
        sql = f"SELECT name FROM {INTERNAL}.right_owners WHERE kind = 'schema' AND owner = ?"
        return [str(row[0]) for row in self._ask(sql, self.user)]


_WORDS = {"database": "database", "schema": "schema", "table": "relation"}


def _spelled(rights: list[tuple[str, str]], kind: Kind) -> list[tuple[str, str]]:
    """Write ALL out, and TEMPORARY short."""
    spelled = []
    for right, column in rights:
        names = _ALL[kind] if right == "all" else (right.replace("temporary", "temp"),)
        spelled += [(name, column) for name in names]
    return spelled
