"""`sparkify grants` on the wire: what is sent, twice, and from each mode to each other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.access import NAMES, PERSONAL
from sparkify_dagster.cli import main
from sparkify_dagster.loading.schema import prepare, reset
from sparkify_dagster.loading.version import views
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import TABLES, USERS
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.base import WarehouseError
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.statements import read_statement
from sparkify_dagster_tests.redshift_double import Fault
from sparkify_dagster_tests.support.access_double import AccessDouble, access_double
from sparkify_dagster_tests.support.redshift_stage import Step

MASK = "MASKING POLICY sparkify_hidden_name"
OTHERS = ", ".join(
    sorted(
        name
        for name in {
            *(table.qualified_name for table in TABLES.values()),
            *map(created_name, views()),
        }
        if name.startswith("analytics.") and name != "analytics.users"
    )
)
ALWAYS = [
    "GRANT USAGE, CREATE ON SCHEMA staging, analytics TO ROLE sparkify_loader",
    "GRANT ALL ON ALL TABLES IN SCHEMA staging, analytics TO ROLE sparkify_loader",
    'ALTER DEFAULT PRIVILEGES FOR USER "awsuser" IN SCHEMA staging, analytics '
    "GRANT ALL ON TABLES TO ROLE sparkify_loader",
    'ALTER DEFAULT PRIVILEGES FOR USER "dagster" IN SCHEMA staging, analytics '
    "GRANT ALL ON TABLES TO ROLE sparkify_loader",
    "GRANT USAGE ON SCHEMA analytics TO ROLE sparkify_analyst",
    "REVOKE ALL ON SCHEMA staging FROM ROLE sparkify_analyst",
]
READ = f"GRANT SELECT ON {OTHERS} TO ROLE sparkify_analyst"
CLOSE = "REVOKE SELECT ON analytics.users FROM ROLE sparkify_analyst"
OPEN = "GRANT SELECT ON analytics.users TO ROLE sparkify_analyst"
OPEN_PART = "GRANT SELECT (user_id, gender, level) ON analytics.users TO ROLE sparkify_analyst"
FUTURE = [
    f'ALTER DEFAULT PRIVILEGES FOR USER "{user}" IN SCHEMA analytics '
    "GRANT SELECT ON TABLES TO ROLE sparkify_analyst"
    for user in ("awsuser", "dagster")
]
NO_FUTURE = [
    text.replace("GRANT SELECT", "REVOKE SELECT").replace("TO ROLE", "FROM ROLE") for text in FUTURE
]
USERS_OPTIONS = ("--loader", "dagster", "--analyst", "ann")


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[AccessDouble]:
    with access_double(monkeypatch) as running:
        for user in ("dagster", "ann"):
            running.rows("INSERT INTO redshift_internal.principals VALUES ('user', ?)", [user])
        yield running


@pytest.fixture
def filled(double: AccessDouble) -> AccessDouble:
    open_warehouse(load_settings()).transaction(prepare, "test", "run")
    double.statements.clear()
    return double


def grants(*options: str) -> Result:
    return CliRunner().invoke(main, ["grants", *options])


def fine(*options: str) -> str:
    result = grants(*options)
    assert result.exit_code == 0, result.output
    return result.output


def test_first_run_sends_this(filled: AccessDouble) -> None:
    of_others = "CREATE TABLE analytics.of_a_dba (a INTEGER)"
    open_warehouse(load_settings()).transaction(lambda one: one.run(of_others), "test", "run")
    places = set(relations(filled)) - {"analytics.of_a_dba"}
    output = fine(*USERS_OPTIONS)
    assert filled.changes() == [
        "CREATE ROLE sparkify_loader",
        "CREATE ROLE sparkify_analyst",
        'GRANT ROLE sparkify_loader TO "dagster"',
        'GRANT ROLE sparkify_analyst TO "ann"',
        *ALWAYS[:4],
        *(f'ALTER TABLE {place} OWNER TO "dagster"' for place in sorted(places)),
        *ALWAYS[4:],
        READ.replace(", analytics.songplays", ", analytics.of_a_dba, analytics.songplays"),
        CLOSE,
        f"CREATE {MASK} WITH (name VARCHAR(256)) USING (CAST('***' AS VARCHAR(256)))",
        f"ATTACH {MASK} ON analytics.users (first_name) TO ROLE sparkify_analyst",
        f"ATTACH {MASK} ON analytics.users (last_name) TO ROLE sparkify_analyst",
        OPEN,
    ]
    assert 'GRANT ROLE sparkify_loader TO "dagster";' in output
    assert f"Applied: {16 + len(places)} statements, in one transaction." in output
    assert filled.password not in output


def relations(double: AccessDouble) -> list[str]:
    found = double.rows(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() UNION ALL "
        "SELECT schema_name || '.' || view_name FROM duckdb_views()"
    )
    return sorted(name for (name,) in found if name.startswith(("staging.", "analytics.")))


def test_what_grants_lays_belongs_to_the_loader(double: AccessDouble) -> None:
    fine("--loader", "dagster")
    laid = relations(double)
    assert laid == ["staging.commits", "staging.load_lock"]
    owners = {
        f"{schema}.{name}": owner for _, schema, name, owner in double.rights()["right_owners"]
    }
    assert [owners[name] for name in laid] == ["dagster", "dagster"]
    # Whoever loads as the admin, too, keeps what is his.
    fine("--loader", "awsuser")
    assert not [text for text in double.changes()[-20:] if "awsuser" in text and "OWNER" in text]


def as_loader(double: AccessDouble, monkeypatch: pytest.MonkeyPatch, body: Step) -> None:
    """Run a transaction as a user who has the loader's role and no right on the database."""
    double.passwords["dagster"] = "Loader-secret-1"
    monkeypatch.setenv("REDSHIFT_USER", "dagster")
    monkeypatch.setenv("REDSHIFT_PASSWORD", double.passwords["dagster"])
    open_warehouse(load_settings()).transaction(body, "test", "run")


def test_a_loader_needs_no_right_on_the_database(
    double: AccessDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        WarehouseError, match=r"(?s)permission denied for database.*grants --loader"
    ):
        as_loader(double, monkeypatch, prepare)
    monkeypatch.setenv("REDSHIFT_USER", double.user)
    monkeypatch.setenv("REDSHIFT_PASSWORD", double.password)
    fine("--loader", "dagster")
    as_loader(double, monkeypatch, prepare)
    as_loader(double, monkeypatch, lambda session: session.run("ANALYZE staging.commits"))


def test_a_loader_goes_on_with_what_the_admin_has_loaded(
    filled: AccessDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine("--names", "show", "--loader", "dagster")
    as_loader(filled, monkeypatch, lambda session: session.run("ANALYZE analytics.songs"))
    add = "ALTER TABLE analytics.songs ADD COLUMN mood VARCHAR(16)"
    as_loader(filled, monkeypatch, lambda session: session.run(add))
    read = lambda session: session.run("SELECT mood FROM analytics.songs")  # noqa: E731
    as_loader(filled, monkeypatch, read)
    as_loader(filled, monkeypatch, reset)
    with pytest.raises(WarehouseError, match="mood"):
        as_loader(filled, monkeypatch, read)


@pytest.mark.parametrize("names", NAMES)
def test_second_run_changes_nothing(filled: AccessDouble, names: str) -> None:
    fine("--names", names, *USERS_OPTIONS)
    before = filled.rights()
    filled.changes()
    fine("--names", names, *USERS_OPTIONS)
    assert filled.rights() == before
    again = filled.changes()
    assert not [text for text in again if text.startswith(("CREATE", "ATTACH", "GRANT ROLE"))]
    # And without naming the users anew.
    fine("--names", names)
    assert filled.rights() == before
    assert filled.changes() == again


@pytest.mark.parametrize("names", NAMES)
def test_a_mode_leaves_nothing_of_the_others(filled: AccessDouble, names: str) -> None:
    fine("--names", names, *USERS_OPTIONS)
    alone = filled.rights()
    for other in set(NAMES) - {names}:
        fine("--names", other)
        assert filled.rights() != alone
        fine("--names", names)
        assert filled.rights() == alone


def test_from_shown_to_withheld_closes_new_tables_too(filled: AccessDouble) -> None:
    fine("--names", "show", *USERS_OPTIONS)
    assert filled.changes()[-4:] == [CLOSE, OPEN, *FUTURE]
    fine("--names", "withhold")
    assert filled.changes() == [*ALWAYS, READ, CLOSE, OPEN_PART, *NO_FUTURE]
    fine("--names", "mask")
    filled.changes()
    fine("--names", "withhold")
    assert filled.changes() == [
        *ALWAYS,
        READ,
        CLOSE,
        f"DETACH {MASK} ON analytics.users (first_name) FROM ROLE sparkify_analyst",
        f"DETACH {MASK} ON analytics.users (last_name) FROM ROLE sparkify_analyst",
        f"DROP {MASK}",
        OPEN_PART,
    ]


def test_a_policy_that_others_use_stays(filled: AccessDouble) -> None:
    fine()
    filled.rows(
        "INSERT INTO redshift_internal.masks VALUES "
        "('sparkify_hidden_name', 'crew', 'name', 'sparkify_analyst')"
    )
    fine("--names", "withhold")
    changes = filled.changes()
    assert f"DROP {MASK}" not in changes
    assert f"DETACH {MASK} ON analytics.users (last_name) FROM ROLE sparkify_analyst" in changes


def test_before_the_first_load_nothing_is_opened(double: AccessDouble) -> None:
    output = fine("--loader", "dagster")
    assert "analytics.users does not exist yet: run this again after a load." in output
    assert not [
        text for text in double.changes() if "sparkify_analyst" in text and "SELECT" in text
    ]


def test_a_refusal_changes_nothing(filled: AccessDouble) -> None:
    before = filled.rights()
    denied = Fault("ATTACH MASKING", "error", "42501", "permission denied for masking policy")
    filled.faults.append(denied)
    result = grants()
    assert result.exit_code == 1
    assert "No right was changed." in result.output
    assert "sql/access.sql, mask_attach: permission denied" in result.output
    assert "superuser" in result.output
    assert filled.rights() == before
    result = grants("--analyst", "nobody")
    assert 'user "nobody" does not exist' in result.output
    assert filled.rights() == before


def test_a_lost_connection_is_tried_again_as_a_whole(
    filled: AccessDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkify_dagster.warehouse.redshift.engine._FIRST_PAUSE", 0.01)
    filled.faults.append(Fault("CREATE ROLE sparkify_analyst", "cut_after"))
    fine(*USERS_OPTIONS)
    fresh = filled.rights()
    fine(*USERS_OPTIONS)
    assert filled.rights() == fresh
    assert ("role", "sparkify_analyst") in fresh["principals"]


def test_dry_run_connects_to_nothing(filled: AccessDouble) -> None:
    output = fine("--dry-run", "--names", "withhold", "--loader", 'odd"name')
    assert filled.statements == []
    assert OPEN_PART + ";" in output
    assert 'GRANT ROLE sparkify_loader TO "odd""name";' in output
    assert filled.rights()["members"] == []


@pytest.mark.parametrize("option", ["--loader", "--analyst"])
@pytest.mark.parametrize("name", ["", "  "])
def test_a_user_without_a_name_is_refused(option: str, name: str) -> None:
    result = grants("--dry-run", "--analyst", "ann", option, name)
    assert result.exit_code == 2
    assert f"'{option}': a user's name is empty" in result.output


def test_duckdb_has_no_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    result = grants()
    assert result.exit_code == 1
    assert "DuckDB has no users and roles" in result.output
    assert not (tmp_path / "w.duckdb").exists()


def test_the_mask_fits_the_columns() -> None:
    types = {column.type for column in USERS.columns if column.name in PERSONAL}
    assert types == {"VARCHAR(256)"}
    assert read_statement("access/mask_create").count("VARCHAR(256)") == 2
