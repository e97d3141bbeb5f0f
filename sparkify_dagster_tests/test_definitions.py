"""What Dagster is told: assets, dependencies, checks, metadata."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest
import sqlglot
from sqlglot import exp

from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.statements import read_statements, render, section_names


@pytest.fixture
def defs(monkeypatch: pytest.MonkeyPatch, sample_lake: Path, tmp_path: Path) -> dg.Definitions:
    monkeypatch.setenv("SPARKIFY_LAKE", str(sample_lake))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    from sparkify_dagster.definitions import defs as definitions

    return definitions


def _tables_read(sections: Iterable[str]) -> set[str]:
    """Return the tables that statements read, through the platform's views."""
    own_views = {created_name(name): name for name in section_names("views")}
    found: set[str] = set()
    for text in (text for section in sections for text in read_statements(section)):
        if text.lstrip().startswith(("COPY", "ANALYZE")):
            continue
        tree = sqlglot.parse_one(text, read="redshift")
        written = isinstance(tree, exp.Create | exp.Insert | exp.Update | exp.Delete)
        target = tree.find(exp.Table) if written else None
        names = {f"{t.db}.{t.name}" for t in tree.find_all(exp.Table) if t is not target}
        found |= names - own_views.keys()
        found |= _tables_read(own_views[name] for name in names & own_views.keys())
    return {table.name for table in TABLES.values() if table.qualified_name in found} | (
        found & TABLES.keys()
    )


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_what_a_table_is_built_from_and_checked_against_is_what_the_sql_reads(
    table: Table,
) -> None:
    sections = {name.rpartition("/")[2]: name for name in section_names(table.file)}
    check = sections.pop("check")
    building = {name for key, name in sections.items() if not key.startswith("report")}
    built_from = _tables_read(building) - {table.name}
    declared = {name for name in table.built_from if name in TABLES}
    assert declared == built_from
    assert _tables_read([check]) - {table.name} - declared == set(table.checked_against)


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
