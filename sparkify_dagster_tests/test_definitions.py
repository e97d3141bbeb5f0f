"""What Dagster is told: assets, dependencies, checks, metadata."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import sqlglot
from sqlglot import exp

from sparkify_dagster.assets.common import markdown_table
from sparkify_dagster.loading.schema import created_name
from sparkify_dagster.tables import TABLES, VIEWS, Table, read_columns
from sparkify_dagster.warehouse.statements import read_statement, render


@pytest.fixture
def defs(monkeypatch: pytest.MonkeyPatch, sample_lake: Path, tmp_path: Path) -> dg.Definitions:
    monkeypatch.setenv("SPARKIFY_LAKE", str(sample_lake))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    from sparkify_dagster.definitions import defs as definitions

    return definitions


def _tables_read(statement: str) -> set[str]:
    """Return the tables that a statement reads, through the platform's views."""
    tree = sqlglot.parse_one(read_statement(statement), read="redshift")
    written = isinstance(tree, exp.Insert | exp.Update | exp.Delete)
    target = tree.find(exp.Table) if written else None
    views = {created_name(view): view for view in VIEWS}
    found = set()
    for table in tree.find_all(exp.Table):
        name = f"{table.db}.{table.name}"
        if name in views and views[name] != statement:
            found |= _tables_read(views[name])
        elif table is not target:
            found.add(name)
    return {table.name for table in TABLES.values() if table.qualified_name in found}


def _reads(table: Table) -> set[str]:
    statements = [name for name in table.all_statements if not name.endswith(("create", "copy"))]
    statements.append(f"checks/{table.name}")
    return set().union(*map(_tables_read, statements)) - {table.name}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_declared_dependencies_are_those_of_the_sql(table: Table) -> None:
    declared = {name for name in table.depends_on if name in TABLES}
    # What lies further upstream may be read as well; nothing may be read that is not upstream.
    upstream = set(declared)
    for name in declared:
        upstream |= set(TABLES[name].depends_on) & set(TABLES)
    read = _reads(table)
    assert read <= upstream
    assert declared <= read


def test_one_asset_a_table_with_groups_and_lake_upstream(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    groups = {node.key.to_user_string(): node.group_name for node in graph.asset_nodes}
    for table in TABLES.values():
        assert groups[table.name] == table.group
        node = graph.get(dg.AssetKey(table.name))
        assert {key.to_user_string() for key in node.parent_keys} == set(table.depends_on)
        assert node.description.startswith(table.summary)
        assert node.owners
        assert node.kinds
        assert node.code_version
    assert groups["log_data"] == groups["song_data"] == "lake"
    assert not graph.get(dg.AssetKey("log_data")).is_materializable


def test_blocking_checks_are_the_row_counts_and_keys(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    blocking = {
        (key.asset_key.to_user_string(), key.name)
        for key in graph.asset_check_keys
        if graph.get(key).blocking
    }
    for table in TABLES.values():
        # A sum may have no rows, and the keys of some hold NULL: plays without a title.
        always = () if table.group == "analytics" else ("row_count",)
        keyed = ("unique_key",) if table.group == "analytics" else ("unique_key", "key_not_null")
        needed = {*always, *(keyed if table.key else ())}
        assert {(table.name, name) for name in needed} <= blocking


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_columns_are_read_as_a_sql_parser_reads_them(table: Table) -> None:
    tree = sqlglot.parse_one(read_statement(f"{table.folder}/create"), read="redshift")
    parsed = [
        (
            column.name,
            any(isinstance(c.kind, exp.NotNullColumnConstraint) for c in column.constraints),
        )
        for column in tree.find_all(exp.ColumnDef)
    ]
    columns = read_columns(f"{table.folder}/create")
    assert [(column.name, column.required) for column in columns] == parsed
    assert all(column.description for column in columns)


@pytest.mark.parametrize(
    "line_break", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"]
)
def test_a_row_of_a_markdown_table_is_one_line(line_break: str) -> None:
    """The logs hold names with such characters: UTF-8 read as Latin-1."""
    table = markdown_table(("name", "plays"), [(f"a{line_break}b|c", 1), (None, 2)])
    assert table.splitlines() == [
        "| name | plays |",
        "| --- | --- |",
        "| a b\\|c | 1 |",
        "|  | 2 |",
    ]


def test_every_materialization_carries_its_facts(defs: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("sparkify_etl").execute_in_process(instance=instance)
    assert result.success
    for table in TABLES.values():
        event = next(
            found
            for found in result.asset_materializations_for_node(table.name)
            if found.partition is None
        )
        metadata = event.metadata
        assert metadata["dagster/row_count"].value > 0
        assert metadata["seconds"].value >= 0
        assert str(metadata["sql"].value).startswith("```sql")
        preview = str(metadata["preview"].value).splitlines()
        assert len(preview) == 2 + min(5, metadata["dagster/row_count"].value)
        assert preview[0].count("|") == len(table.columns) + 1
    node = defs.resolve_asset_graph().get(dg.AssetKey("songplays"))
    schema = node.metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns][:9] == [
        "songplay_id",
        "start_time",
        "user_id",
        "level",
        "song_id",
        "artist_id",
        "session_id",
        "location",
        "user_agent",
    ]
    assert node.metadata["dagster/table_name"] == "analytics.songplays"


def test_days_of_an_unpartitioned_run_are_recorded_each(defs: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("sparkify_etl").execute_in_process(instance=instance)
        days = instance.get_materialized_partitions(dg.AssetKey("staging_events"))
    rows = {
        event.partition: event.metadata["dagster/partition_row_count"].value
        for event in result.asset_materializations_for_node("staging_events")
        if event.partition
    }
    assert len(days) == 7
    assert set(rows) == days
    total = result.asset_materializations_for_node("staging_events")[-1]
    assert sum(rows.values()) == total.metadata["dagster/row_count"].value


def test_import_stays_light() -> None:
    heavy = (
        *("pandas", "boto3", "dagster_aws", "duckdb", "sqlglot", "redshift_connector", "rich"),
        *("vl_convert", "altair"),
    )
    code = (
        "import sys, sparkify_dagster.definitions\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_rendered_statement_escapes_what_it_is_given() -> None:
    assert render("SELECT :name", {"name": "O'Neil \\ Sons"}) == "SELECT 'O''Neil \\\\ Sons'"
