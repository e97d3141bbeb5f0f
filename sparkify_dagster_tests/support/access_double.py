"""The Redshift double with a memory for rights, so that a second `sparkify grants` meets the first.

What the double checks for shape only is kept here and answered by the system views, and refused
where AWS's documentation says so: GRANT's usage notes on column-level access, and the pages of
ATTACH, DETACH and DROP MASKING POLICY.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
from sqlglot import exp

from sparkify_dagster_tests.redshift_double import RedshiftDouble, system
from sparkify_dagster_tests.redshift_double.backend import Backend, Result
from sparkify_dagster_tests.redshift_double.errors import ServerError

_VIEWS = {
    "svv_roles": "SELECT name AS role_name FROM redshift_internal.principals WHERE kind = 'role'",
    "svv_masking_policy": (
        "SELECT name AS policy_name FROM redshift_internal.principals WHERE kind = 'masking policy'"
    ),
    "svv_user_grants": "SELECT user_name, role_name FROM redshift_internal.members",
    "svv_attached_masking_policy": (
        "SELECT policy_name, 'analytics' AS schema_name, table_name, grantee, "
        "'[\"' || column_name || '\"]' AS output_columns FROM redshift_internal.masks"
    ),
    "svv_default_privileges": (
        "SELECT schema_name, owner_name, grantee_name FROM redshift_internal.defaults"
    ),
    "pg_tables": (
        "SELECT schema_name AS schemaname, table_name AS tablename, COALESCE((SELECT owner "
        "FROM redshift_internal.right_owners AS owners WHERE owners.kind = 'table' "
        "AND owners.schema = schema_name AND owners.name = table_name), 'awsuser') AS tableowner "
        "FROM duckdb_tables()"
    ),
    "pg_views": (
        "SELECT schema_name AS schemaname, view_name AS viewname, COALESCE((SELECT owner "
        "FROM redshift_internal.right_owners AS owners WHERE owners.kind = 'table' "
        "AND owners.schema = schema_name AND owners.name = view_name), 'awsuser') AS viewowner "
        "FROM duckdb_views()"
    ),
}
_TABLES = (
    "members (user_name VARCHAR, role_name VARCHAR)",
    "masks (policy_name VARCHAR, table_name VARCHAR, column_name VARCHAR, grantee VARCHAR)",
    "defaults (schema_name VARCHAR, owner_name VARCHAR, grantee_name VARCHAR, rights VARCHAR)",
    "rights (place VARCHAR, columns VARCHAR, grantee VARCHAR)",
)
_NAME = r'"?([\w:]+)"?'


class RememberingBackend(Backend):
    """A session that keeps rights in the double's database, in the session's transaction."""

    def _system_view(self, name: str) -> str:
        return _VIEWS[name] if name in _VIEWS else super()._system_view(name)

    def execute(self, text: str, parameters: list[exp.Expr], wait: float = 0.0) -> Result:
        result = super().execute(text, parameters, wait)
        plain = " ".join(line for line in text.splitlines() if not line.startswith("--"))
        for pattern, remember in _RULES:
            found = re.fullmatch(pattern, plain, re.IGNORECASE)
            if found:
                self._begin_work()
                remember(self._run, *found.groups())
        return result


Runs = Callable[..., list[tuple[Any, ...]]]


def _member(run: Runs, role: str, user: str) -> None:
    if run("SELECT 1 FROM redshift_internal.members WHERE user_name = ? AND role_name = ?",
           [user, role]):  # fmt: skip
        raise ServerError("42710", f'user "{user}" already has role "{role}"')
    run("INSERT INTO redshift_internal.members VALUES (?, ?)", [user, role])


def _default(run: Runs, user: str, schemas: str, verb: str, rights: str, role: str) -> None:
    for schema in schemas.split(", "):
        row = [schema, user, role, rights]
        run(
            "DELETE FROM redshift_internal.defaults WHERE schema_name = ? AND owner_name = ? "
            "AND grantee_name = ? AND rights = ?",
            row,
        )
        if verb.upper() == "GRANT":
            run("INSERT INTO redshift_internal.defaults VALUES (?, ?, ?, ?)", row)


def _grant(run: Runs, columns: str | None, places: str, role: str) -> None:
    for place in places.split(", "):
        held = run(
            "SELECT columns FROM redshift_internal.rights WHERE place = ? AND grantee = ?",
            [place, role],
        )
        if any(old for (old,) in held) and not columns:
            raise ServerError("42501", f"column privileges on {place} exist; revoke them first")
        if not held:
            run("INSERT INTO redshift_internal.rights VALUES (?, ?, ?)", [place, columns, role])


def _revoke(run: Runs, place: str, role: str) -> None:
    run("DELETE FROM redshift_internal.rights WHERE place = ? AND grantee = ?", [place, role])


def _attach(run: Runs, policy: str, table: str, column: str, role: str) -> None:
    row = [policy, table, column, role]
    if run("SELECT 1 FROM redshift_internal.masks WHERE table_name = ? AND column_name = ? "
           "AND grantee = ?", row[1:]):  # fmt: skip
        raise ServerError("42710", f"a policy is attached to {column} for {role} already")
    run("INSERT INTO redshift_internal.masks VALUES (?, ?, ?, ?)", row)


def _detach(run: Runs, policy: str, table: str, column: str, role: str) -> None:
    condition = "policy_name = ? AND table_name = ? AND column_name = ? AND grantee = ?"
    row = [policy, table, column, role]
    if not run(f"SELECT 1 FROM redshift_internal.masks WHERE {condition}", row):
        raise ServerError("42704", f"{policy} is not attached to {column}")
    run(f"DELETE FROM redshift_internal.masks WHERE {condition}", row)


def _drop_policy(run: Runs, policy: str) -> None:
    if run("SELECT 1 FROM redshift_internal.masks WHERE policy_name = ?", [policy]):
        raise ServerError("2BP01", f"{policy} is attached")


_RULES: tuple[tuple[str, Callable[..., None]], ...] = (
    (rf"GRANT ROLE (\w+) TO {_NAME}", _member),
    (
        rf"ALTER DEFAULT PRIVILEGES FOR USER {_NAME} IN SCHEMA ([\w, ]+) (GRANT|REVOKE) (\w+) "
        r"ON TABLES (?:TO|FROM) ROLE (\w+)",
        _default,
    ),
    (r"GRANT SELECT (?:\(([\w, ]+)\) )?ON ([\w., ]+) TO ROLE (\w+)", _grant),
    (r"REVOKE SELECT ON ([\w.]+) FROM ROLE (\w+)", _revoke),
    (r"ATTACH MASKING POLICY (\w+) ON analytics\.(\w+) \((\w+)\) TO ROLE (\w+)", _attach),
    (r"DETACH MASKING POLICY (\w+) ON analytics\.(\w+) \((\w+)\) FROM ROLE (\w+)", _detach),
    (r"DROP MASKING POLICY (\w+)", _drop_policy),
)


class AccessDouble(RedshiftDouble):
    """The double whose sessions remember rights."""

    def __enter__(self) -> Self:
        super().__enter__()
        for table in _TABLES:
            self.rows(f"CREATE TABLE redshift_internal.{table}")
        return self

    def _new_backend(self, session_id: int, user: str) -> Backend:
        with self._lock:
            connection = self._duck.cursor()
        return RememberingBackend(connection, self._shared, session_id, user)

    def rights(self) -> dict[str, Any]:
        """Return all that is remembered, to compare one moment with another."""
        names = ("principals", "right_owners", *(table.split(" ")[0] for table in _TABLES))
        return {
            name: sorted(self.rows(f"SELECT * FROM redshift_internal.{name}"), key=str)
            for name in names
        }

    def changes(self) -> list[str]:
        """Return the statements on rights that were carried out, and forget all statements."""
        words = ("CREATE ROLE", "GRANT", "REVOKE", "ALTER DEFAULT", "CREATE MASKING", "ATTACH",
                 "DETACH", "DROP MASKING", "ALTER TABLE")  # fmt: skip
        plain = [
            " ".join(line for line in found.text.splitlines() if not line.startswith("--"))
            for found in self.statements
        ]
        self.statements.clear()
        return [text for text in plain if text.startswith(words)]


def know_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the double know the system views on rights."""
    for name in _VIEWS:
        monkeypatch.setitem(system.VIEWS, name, {})


@contextmanager
def access_double(monkeypatch: pytest.MonkeyPatch) -> Iterator[AccessDouble]:
    """Run a double that knows the system views on rights, with the platform pointed at it."""
    know_rights(monkeypatch)
    with AccessDouble() as double:
        for name, value in {
            "SSL_CERT_FILE": double.ca_file,
            "SPARKIFY_TARGET": "redshift",
            "SPARKIFY_LAKE": "s3://lake/sparkify",
            "SPARKIFY_MANIFEST_PREFIX": "s3://lake/manifests",
            "REDSHIFT_HOST": double.host,
            "REDSHIFT_PORT": str(double.port),
            "REDSHIFT_DATABASE": double.database,
            "REDSHIFT_USER": double.user,
            "REDSHIFT_PASSWORD": double.password,
            "AWS_REGION": "us-west-2",
        }.items():
            monkeypatch.setenv(name, value)
        yield double
