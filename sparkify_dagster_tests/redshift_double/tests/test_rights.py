"""Rights by user: [D: GRANT, REVOKE, Default database user permissions, CREATE SCHEMA, ANALYZE,
VACUUM, DROP TABLE, ALTER TABLE, ALTER DEFAULT PRIVILEGES, CREATE VIEW].
"""

from typing import Any

import pytest

from sparkify_dagster_tests.redshift_double import RedshiftDouble

from .conftest import Connect
from .support import answer, refused, rows, run


@pytest.fixture
def owner(login: Connect) -> Any:
    """The database's owner, who has laid out two schemas."""
    connection = login(autocommit=True)
    run(
        connection,
        "CREATE SCHEMA staging",
        "CREATE TABLE staging.events (id INT, name VARCHAR(20))",
        "INSERT INTO staging.events VALUES (1, 'x')",
        "CREATE SCHEMA star",
        "CREATE TABLE star.users (id INT, name VARCHAR(20), phone VARCHAR(20))",
        "CREATE VIEW star.people AS SELECT id, name FROM staging.events",
    )
    return connection


# What an ordinary user is refused, and the one GRANT that lets him.
WANTED = [
    ("CREATE SCHEMA mine", "GRANT CREATE ON DATABASE dev TO loader"),
    ("CREATE SCHEMA IF NOT EXISTS star", "GRANT CREATE ON DATABASE dev TO loader"),
    ("SELECT id FROM staging.events", "GRANT SELECT ON staging.events TO loader"),
    ("SELECT COUNT(*) FROM staging.events", "GRANT SELECT ON staging.events TO PUBLIC"),
    ("SELECT id FROM staging.events", "GRANT SELECT ON ALL TABLES IN SCHEMA staging TO loader"),
    ("SELECT id FROM staging.events", "GRANT SELECT (id) ON staging.events TO loader"),
    ("SELECT id FROM star.people", "GRANT SELECT ON star.people TO loader"),
    ("SELECT 1 WHERE EXISTS (SELECT id FROM staging.events)",
     "GRANT ALL ON staging.events TO loader"),
    ("EXPLAIN SELECT id FROM staging.events", "GRANT SELECT ON staging.events TO loader"),
    ("INSERT INTO staging.events VALUES (2, 'y')", "GRANT INSERT ON staging.events TO loader"),
    ("CREATE TABLE staging.t (a INT)", "GRANT CREATE ON SCHEMA staging TO loader"),
    ("CREATE TABLE IF NOT EXISTS staging.events (a INT)",
     "GRANT CREATE ON SCHEMA staging TO loader"),
    ("CREATE VIEW staging.v AS SELECT 1 AS a", "GRANT CREATE ON SCHEMA staging TO loader"),
    ("CREATE TABLE staging.t AS SELECT 1 AS a", "GRANT ALL ON SCHEMA staging TO loader"),
    ("TRUNCATE staging.events", "GRANT TRUNCATE ON staging.events TO loader"),
    ("ALTER TABLE star.users ADD COLUMN age INT", "GRANT ALTER ON star.users TO loader"),
    ("DROP TABLE star.users", "GRANT DROP ON star.users TO loader"),
    ("LOCK TABLE staging.events", "GRANT UPDATE ON staging.events TO loader"),
    ("ANALYZE staging.events", "ALTER TABLE staging.events OWNER TO loader"),
    ("VACUUM staging.events", "ALTER TABLE staging.events OWNER TO loader"),
    ("ALTER TABLE star.users RENAME TO u", "ALTER TABLE star.users OWNER TO loader"),
    ("DROP SCHEMA star CASCADE", "ALTER SCHEMA star OWNER TO loader"),
    ("GRANT SELECT ON staging.events TO analyst", "ALTER TABLE staging.events OWNER TO loader"),
    ("GRANT USAGE ON SCHEMA star TO analyst", "ALTER SCHEMA star OWNER TO loader"),
    ("ALTER DEFAULT PRIVILEGES IN SCHEMA star GRANT SELECT ON TABLES TO analyst",
     "GRANT CREATE ON SCHEMA star TO loader"),
]  # fmt: skip


def test_each_right_is_asked_and_one_grant_gives_it(owner: Any, login: Connect) -> None:
    run(owner, *(f"GRANT USAGE ON SCHEMA {name} TO loader" for name in ("staging", "star")))
    loader = login("loader")
    found = []
    for wanted, grant in WANTED:
        alone = wanted.startswith("VACUUM")
        loader.autocommit = alone
        before = answer(loader, wanted)
        run(owner, "BEGIN", grant, "COMMIT")
        after = answer(loader, wanted)
        found.append((wanted, before, after))
        # Everything back, TRUNCATE's commit included.
        for name in ("staging.events", "star.users", "star.people"):
            run(owner, f"ALTER TABLE {name} OWNER TO awsuser", f"REVOKE ALL ON {name} FROM loader")
            run(owner, f"REVOKE ALL ON {name} FROM PUBLIC")
        run(owner, "REVOKE SELECT (id) ON staging.events FROM loader")
        for name in ("staging", "star"):
            run(owner, f"ALTER SCHEMA {name} OWNER TO awsuser")
            run(owner, f"REVOKE CREATE ON SCHEMA {name} FROM loader")
        run(owner, "REVOKE CREATE ON DATABASE dev FROM loader")
        if alone:
            loader.autocommit = False
    assert found == [(wanted, "42501", "") for wanted, _ in WANTED]


def test_a_schema_wants_usage(owner: Any, login: Connect) -> None:
    run(owner, "GRANT SELECT ON staging.events TO analyst")
    analyst = login("analyst", autocommit=True)
    fields = refused(lambda: run(analyst, "SELECT id FROM staging.events"))
    assert (fields["C"], fields["M"]) == ("42501", "permission denied for schema staging")
    run(owner, "GRANT USAGE ON SCHEMA staging TO analyst")
    assert rows(analyst, "SELECT id FROM staging.events") == [(1,)]
    fields = refused(lambda: run(analyst, "SELECT id FROM nosuch.events"))
    assert fields["C"] == "3F000"


def test_update_and_delete_want_select_too(owner: Any, login: Connect) -> None:
    run(owner, "GRANT USAGE ON SCHEMA staging TO loader")
    run(owner, "GRANT UPDATE, DELETE ON staging.events TO loader")
    loader = login("loader")
    changes = ("UPDATE staging.events SET name = 'z'", "DELETE FROM staging.events WHERE id = 1")
    assert [answer(loader, sql) for sql in changes] == ["42501", "42501"]
    run(owner, "GRANT SELECT ON staging.events TO loader")
    assert [answer(loader, sql) for sql in changes] == ["", ""]


def test_the_words_of_a_refusal(owner: Any, login: Connect) -> None:
    run(owner, "GRANT USAGE ON SCHEMA staging TO loader", "REVOKE TEMP ON DATABASE dev FROM PUBLIC")
    words = [
        ("CREATE SCHEMA IF NOT EXISTS staging", "permission denied for database dev"),
        ("CREATE TABLE staging.t (a INT)", "permission denied for schema staging"),
        ("SELECT id FROM staging.events", "permission denied for relation events"),
        ("ANALYZE staging.events", "must be owner of relation events"),
        ("DROP SCHEMA staging", "must be owner of schema staging"),
        ("CREATE TEMP TABLE t (a INT)",
         'permission denied to create temporary tables in database "dev"'),
    ]  # fmt: skip
    loader = login("loader", autocommit=True)
    assert [(sql, refused(lambda sql=sql: run(loader, sql))["M"]) for sql, _ in words] == words


def test_everybody_has_temporary_tables_and_the_schema_public(login: Connect) -> None:
    loader = login("loader", autocommit=True)
    run(
        loader,
        "CREATE TEMP TABLE t (a INT)",
        "INSERT INTO t VALUES (1)",
        "ANALYZE t",
        "DROP TABLE t",
        "CREATE TABLE mine (a INT)",
        "INSERT INTO mine SELECT 1",
        "ANALYZE mine",
    )
    fields = refused(lambda: run(login("analyst"), "SELECT a FROM mine"))
    assert fields["M"] == "permission denied for relation mine"


def test_who_makes_a_table_owns_it(owner: Any, login: Connect) -> None:
    run(owner, "GRANT USAGE, CREATE ON SCHEMA staging TO loader")
    loader = login("loader", autocommit=True)
    run(loader, "CREATE TABLE staging.t (a INT)", "ALTER TABLE staging.t ADD COLUMN b INT")
    run(loader, "ANALYZE staging.t", "GRANT SELECT ON staging.t TO analyst")
    run(loader, "DROP TABLE staging.t", "CREATE TABLE staging.t (a INT)")
    run(owner, "GRANT USAGE ON SCHEMA staging TO analyst")
    analyst = login("analyst", autocommit=True)
    assert refused(lambda: run(analyst, "SELECT a FROM staging.t"))["C"] == "42501"  # gone with it
    # What the owner's table is to the loader: not his.
    run(owner, "CREATE TABLE staging.admins (a INT)")
    assert refused(lambda: run(loader, "ANALYZE staging.admins"))["C"] == "42501"


def test_roles_groups_and_their_members(owner: Any, login: Connect) -> None:
    run(
        owner,
        "CREATE ROLE reader",
        "CREATE ROLE reporter",
        "CREATE GROUP people WITH USER analyst",
        "GRANT USAGE ON SCHEMA staging TO GROUP people",
        "GRANT SELECT ON staging.events TO ROLE reader",
        "GRANT ROLE reader TO ROLE reporter",
    )
    analyst = login("analyst", autocommit=True)
    assert refused(lambda: run(analyst, "SELECT id FROM staging.events"))["C"] == "42501"
    run(owner, "GRANT ROLE reporter TO analyst")
    assert rows(analyst, "SELECT id FROM staging.events") == [(1,)]
    run(owner, "REVOKE ROLE reporter FROM analyst")
    assert refused(lambda: run(analyst, "SELECT id FROM staging.events"))["C"] == "42501"
    run(owner, "ALTER GROUP people DROP USER analyst")
    fields = refused(lambda: run(analyst, "SELECT id FROM staging.events"))
    assert fields["M"] == "permission denied for schema staging"


def test_columns_can_be_granted(owner: Any, login: Connect) -> None:
    run(owner, "GRANT USAGE ON SCHEMA star TO analyst", "GRANT SELECT (id, name) ON star.users TO "
        "analyst")  # fmt: skip
    analyst = login("analyst")
    asked = [
        ("SELECT u.id, name FROM star.users u", ""),
        ("SELECT phone FROM star.users", "42501"),
        ("SELECT * FROM star.users", "42501"),
        ("SELECT id FROM star.users WHERE phone = '1'", "42501"),
    ]
    assert [(sql, answer(analyst, sql)) for sql, _ in asked] == asked


def test_default_privileges_are_those_of_who_creates(owner: Any, login: Connect) -> None:
    run(
        owner,
        "GRANT USAGE, CREATE ON SCHEMA star TO loader",
        "GRANT USAGE ON SCHEMA star TO analyst",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA star GRANT SELECT ON TABLES TO analyst",
        "CREATE TABLE star.theirs (a INT)",
    )
    loader, analyst = login("loader", autocommit=True), login("analyst")
    run(loader, "CREATE TABLE star.his (a INT)")
    assert answer(analyst, "SELECT a FROM star.theirs") == ""
    assert answer(analyst, "SELECT a FROM star.his") == "42501"
    others = "ALTER DEFAULT PRIVILEGES FOR USER awsuser GRANT SELECT ON TABLES TO analyst"
    assert refused(lambda: run(loader, others))["C"] == "42501"
    run(owner, others.replace("awsuser", "loader"))
    run(loader, "CREATE TABLE star.later (a INT)")
    assert answer(analyst, "SELECT a FROM star.later") == ""


def test_a_view_reads_with_its_owners_rights(owner: Any, login: Connect) -> None:
    run(owner, "GRANT USAGE ON SCHEMA star, staging TO loader")
    run(owner, "GRANT CREATE ON SCHEMA star TO loader", "GRANT USAGE ON SCHEMA star TO analyst")
    run(owner, "GRANT SELECT ON staging.events TO loader", "GRANT SELECT ON star.people TO analyst")
    loader, analyst = login("loader", autocommit=True), login("analyst", autocommit=True)
    run(loader, "CREATE VIEW star.mine AS SELECT id FROM staging.events")
    run(loader, "GRANT SELECT ON star.mine TO analyst")
    assert rows(analyst, "SELECT id FROM star.people") == [(1,)]
    assert rows(analyst, "SELECT id FROM star.mine") == [(1,)]
    run(owner, "REVOKE SELECT ON staging.events FROM loader")
    fields = refused(lambda: run(analyst, "SELECT id FROM star.mine"))
    assert fields["M"] == "permission denied for relation events"


SUPERUSERS_WORK = [
    "CREATE USER x PASSWORD DISABLE",
    "CREATE ROLE x",
    "GRANT ROLE helper TO loader",
    "CREATE MASKING POLICY m WITH (n INT) USING (0)",
    "CREATE SCHEMA AUTHORIZATION analyst",
]


def test_what_only_a_superuser_does(plain: RedshiftDouble, owner: Any, login: Connect) -> None:
    run(owner, "CREATE ROLE helper", "GRANT CREATE ON DATABASE dev TO loader")
    loader = login("loader")
    assert (b"is_superuser", b"off") in loader.parameter_statuses
    refusals = [answer(loader, sql) for sql in SUPERUSERS_WORK[:4]]
    assert refusals == ["42501"] * 4
    other = "CREATE SCHEMA others AUTHORIZATION analyst"
    assert answer(loader, other) == "42501"
    assert answer(loader, "SELECT id FROM staging.events") == "42501"
    plain.superusers.add("loader")
    assert [answer(loader, sql) for sql in [*SUPERUSERS_WORK[:4], other]] == [""] * 5
    assert answer(loader, "SELECT id FROM staging.events") == ""


def test_a_rolled_back_grant_gives_nothing(owner: Any, login: Connect) -> None:
    run(owner, "GRANT USAGE ON SCHEMA staging TO loader")
    loader = login("loader")
    owner.autocommit = False
    run(owner, "GRANT SELECT ON staging.events TO loader")
    owner.rollback()
    assert answer(loader, "SELECT id FROM staging.events") == "42501"


def test_what_a_user_sees_of_the_catalog(owner: Any, login: Connect) -> None:
    run(owner, "GRANT CREATE ON DATABASE dev TO loader", "GRANT SELECT ON star.users TO loader")
    loader = login("loader", autocommit=True)
    run(loader, "CREATE SCHEMA his")
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'star'"
    assert rows(loader, tables) == [("users",)]
    assert rows(loader, "SELECT schema_name FROM information_schema.schemata") == [("his",)]
    named = "SELECT nspname FROM pg_namespace WHERE nspname IN ('star', 'his') ORDER BY 1"
    assert rows(loader, named) == [("his",), ("star",)]
    history = "SELECT COUNT(DISTINCT user_id) FROM sys_query_history"
    assert rows(loader, history) == [(1,)]
    assert rows(owner, history) == [(2,)]


def test_functions_tell_the_rights(owner: Any, login: Connect) -> None:
    run(owner, "GRANT USAGE ON SCHEMA star TO loader", "GRANT SELECT ON star.users TO loader")
    loader = login("loader")
    asked = (
        "SELECT has_schema_privilege('star', 'usage'), has_schema_privilege('star', 'create'), "
        "has_table_privilege('star.users', 'select'), has_table_privilege('star.users', 'insert'), "
        "has_database_privilege('dev', 'create'), has_database_privilege('dev', 'temp'), "
        "has_schema_privilege('awsuser', 'star', 'create')"
    )
    assert rows(loader, asked) == [(True, False, True, False, False, True, True)]
