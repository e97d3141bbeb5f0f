"""What the shared DuckDB database knows of tables, and what it cannot hold itself.

DuckDB ignores VARCHAR lengths and does not track what a view reads. Both are kept as
JSON in the comment of the table or view, so they follow transactions and DROP.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from .column_types import RedshiftType, from_duckdb, parse_type

INTERNAL = "redshift_internal"


class Runs(Protocol):
    """Runs DuckDB SQL and gives all rows."""

    def __call__(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class TableColumn:
    """A column as declared."""

    name: str
    type: RedshiftType
    nullable: bool
    default: str | None


@dataclass
class Relation:
    """A table or view found in the catalog."""

    schema: str
    name: str
    oid: int = field(compare=False)
    temporary: bool
    is_view: bool
    columns: list[TableColumn] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def quoted(self) -> str:
        """The name for use in DuckDB SQL."""
        if self.temporary:
            return f'temp.main."{self.name}"'
        return f'"{self.schema}"."{self.name}"'

    @property
    def key(self) -> str:
        """The name that locks are held under."""
        return f"{self.schema}.{self.name}"

    @property
    def locks(self) -> list[str]:
        """What a change must lock: nothing for a temporary table, which no other session sees."""
        return [] if self.temporary else [self.key]

    def column(self, name: str) -> TableColumn | None:
        """Find a column by its folded name."""
        return next((column for column in self.columns if column.name == name), None)


_NAMES = """
    SELECT schema_name, table_name, table_oid, temporary, FALSE AS is_view, comment
    FROM duckdb_tables()
    UNION ALL
    SELECT schema_name, view_name, view_oid, temporary, TRUE, comment
    FROM duckdb_views() WHERE NOT internal
"""
# Looks at the one relation, where duckdb_columns() goes through all of the database.
_COLUMNS = 'SELECT name, type, NOT "notnull", dflt_value FROM pragma_table_info(?)'

# Relations without their columns, by schema and name; a temporary one is in the schema "".
Listed = dict[tuple[str, str], Relation]


def listed(run: Runs) -> Listed:
    """List all relations at once: looking for one takes DuckDB as long."""
    found: Listed = {}
    for schema, name, oid, temporary, is_view, comment in run(_NAMES):
        notes = json.loads(comment) if comment else {}
        relation = Relation(schema, name, oid, temporary, is_view, notes=notes)
        found["" if temporary else schema, name] = relation
    return found


def find(
    run: Runs, relations: Listed, schema: str, name: str, search_path: list[str]
) -> Relation | None:
    """Find a table or view; an unqualified name means a temporary table first."""
    places = [schema] if schema else ["", *search_path]
    relation = next((relations[one, name] for one in places if (one, name) in relations), None)
    if relation is not None and not relation.columns:
        declared = relation.notes.get("types", {})
        for column, stored, nullable, default in run(_COLUMNS, [relation.quoted]):
            kind = parse_type(declared[column]) if column in declared else from_duckdb(stored)
            relation.columns.append(TableColumn(column, kind, nullable, default))
    return relation


def schemas(run: Runs) -> set[str]:
    """Name the schemas a user sees."""
    rows = run(
        "SELECT schema_name FROM duckdb_schemas() "
        "WHERE NOT internal AND database_name = current_database()"
    )
    return {row[0] for row in rows} - {INTERNAL}


def relations_of(run: Runs, schema: str) -> list[str]:
    """Name the tables and views of a schema."""
    return [name for place, name in listed(run) if place == schema]


def dependents(run: Runs, keys: set[str]) -> list[str]:
    """Name the bound views (`schema.view`) that read any of the relations, directly or not.

    A view made WITH NO SCHEMA BINDING depends on nothing.
    """
    views: dict[str, set[str]] = {}
    for relation in listed(run).values():
        if relation.is_view and not relation.notes.get("late_binding"):
            views[relation.key] = set(relation.notes.get("reads", []))
    found: list[str] = []
    reached = set(keys)
    while True:
        new = [view for view, reads in views.items() if view not in reached and reads & reached]
        if not new:
            return found
        found += new
        reached.update(new)


def comment_sql(relation: str, notes: dict[str, Any], is_view: bool = False) -> str:
    """Write the statement that keeps notes on a table or view."""
    text = json.dumps(notes).replace("'", "''")
    return f"COMMENT ON {'VIEW' if is_view else 'TABLE'} {relation} IS '{text}'"


def set_up(run: Runs) -> None:
    """Create the schemas, macros and views every database of the double has.

    Raises nothing of its own; the views answer as Redshift's information_schema does.
    """
    for statement in _SET_UP:
        run(statement)


_REDSHIFT_TYPE = """
    coalesce(
        json_extract_string(t.comment, '$.types.' || '"' || c.column_name || '"'),
        CASE c.data_type
            WHEN 'VARCHAR' THEN 'character varying(65535)'
            WHEN 'DOUBLE' THEN 'double precision'
            WHEN 'FLOAT' THEN 'real'
            WHEN 'TIMESTAMP' THEN 'timestamp without time zone'
            WHEN 'TIME' THEN 'time without time zone'
            WHEN 'JSON' THEN 'super'
            WHEN 'BLOB' THEN 'binary varying'
            WHEN 'HUGEINT' THEN 'numeric(38,0)'
            ELSE replace(lower(c.data_type), 'decimal', 'numeric')
        END)
"""
_SET_UP = [
    "CREATE SCHEMA public",
    f"CREATE SCHEMA {INTERNAL}",
    f"CREATE TABLE {INTERNAL}.principals (kind VARCHAR, name VARCHAR)",
    f"""CREATE TABLE {INTERNAL}.right_members (
        role_kind VARCHAR, role VARCHAR, kind VARCHAR, name VARCHAR)""",
    f"""CREATE TABLE {INTERNAL}.right_owners (
        kind VARCHAR, schema VARCHAR, name VARCHAR, owner VARCHAR)""",
    f"""CREATE TABLE {INTERNAL}.right_grants (
        kind VARCHAR, schema VARCHAR, name VARCHAR, column_name VARCHAR, privilege VARCHAR,
        grantee_kind VARCHAR, grantee VARCHAR)""",
    f"""CREATE TABLE {INTERNAL}.right_defaults (
        owner VARCHAR, schema VARCHAR, privilege VARCHAR, grantee_kind VARCHAR,
        grantee VARCHAR)""",
    # All users are members of PUBLIC, which may make temporary tables in the database and
    # everything in the schema public [D: GRANT, Default database user permissions].
    f"""INSERT INTO {INTERNAL}.right_grants VALUES
        ('database', '', '', '', 'temp', 'public', 'public'),
        ('schema', '', 'public', '', 'usage', 'public', 'public'),
        ('schema', '', 'public', '', 'create', 'public', 'public')""",
    # Redshift cuts at n bytes and never inside a character.
    f"""CREATE MACRO {INTERNAL}.byte_prefix(x, n) AS
        CASE WHEN strlen(x) <= n THEN x
        ELSE left(x, len(list_filter(range(1, length(x) + 1),
                         lambda k: strlen(left(x, k::INTEGER)) <= n))::INTEGER) END""",
    f"""CREATE VIEW {INTERNAL}.schemata AS
        SELECT database_name AS catalog_name, schema_name,
               coalesce(o.owner, 'awsuser') AS schema_owner
        FROM duckdb_schemas() LEFT JOIN {INTERNAL}.right_owners o
          ON o.kind = 'schema' AND o.name = schema_name
        WHERE NOT internal AND database_name = current_database()
          AND schema_name <> '{INTERNAL}'""",
    # Every user reads the catalog PG_NAMESPACE, whatever schemas he may use.
    f"""CREATE VIEW {INTERNAL}.pg_namespace AS
        SELECT schema_name AS nspname FROM {INTERNAL}.schemata
        UNION ALL SELECT unnest(['pg_catalog', 'information_schema', 'pg_internal'])""",
    f"""CREATE VIEW {INTERNAL}.relations AS
        SELECT database_name, schema_name, table_name, table_oid, comment, temporary,
               CASE WHEN temporary THEN 'LOCAL TEMPORARY' ELSE 'BASE TABLE' END AS table_type
        FROM duckdb_tables() WHERE NOT internal AND schema_name <> '{INTERNAL}'
        UNION ALL
        SELECT database_name, schema_name, view_name, view_oid, comment, temporary, 'VIEW'
        FROM duckdb_views()
        WHERE NOT internal AND schema_name <> '{INTERNAL}' AND NOT temporary""",
    f"""CREATE VIEW {INTERNAL}.tables AS
        SELECT current_database() AS table_catalog,
               CASE WHEN temporary THEN 'pg_temp_1' ELSE schema_name END AS table_schema,
               table_name, table_type
        FROM {INTERNAL}.relations""",
    f"""CREATE VIEW {INTERNAL}.columns AS
        SELECT table_catalog, table_schema, table_name, column_name, ordinal_position,
               column_default, is_nullable,
               regexp_replace(declared, '\\(.*', '') AS data_type,
               CASE WHEN declared LIKE 'character%'
                    THEN TRY_CAST(regexp_extract(declared, '\\((\\d+)', 1) AS INTEGER) END
                    AS character_maximum_length,
               CASE WHEN declared LIKE 'numeric%'
                    THEN TRY_CAST(regexp_extract(declared, '\\((\\d+)', 1) AS INTEGER) END
                    AS numeric_precision,
               CASE WHEN declared LIKE 'numeric%'
                    THEN TRY_CAST(regexp_extract(declared, ',(\\d+)', 1) AS INTEGER) END
                    AS numeric_scale
        FROM (
            SELECT current_database() AS table_catalog,
                   CASE WHEN t.temporary THEN 'pg_temp_1' ELSE t.schema_name END AS table_schema,
                   t.table_name, c.column_name, CAST(c.column_index AS INTEGER) AS ordinal_position,
                   c.column_default,
                   CASE WHEN c.is_nullable THEN 'YES' ELSE 'NO' END AS is_nullable,
                   {_REDSHIFT_TYPE} AS declared
            FROM {INTERNAL}.relations t
            JOIN duckdb_columns() c
              ON c.table_oid = t.table_oid AND c.table_name = t.table_name
             AND c.schema_name = t.schema_name)""",
]
