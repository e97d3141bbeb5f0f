"""What Dagster is told: assets, dependencies, checks, metadata."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest
import sqlglot
from sqlglot import exp

from sparkify_dagster.definitions import build_defs
from sparkify_dagster.settings import load_settings
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.text import markdown
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.statements import read_statements, render, section_names
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, event_file, song

# As docs/operations.md tells other teams.
FIRES = dg.AutomationCondition.eager().replace(
    "newly_updated", dg.AutomationCondition.data_version_changed()
)


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
    looking = [sections.pop(key) for key in list(sections) if key.startswith("check")]
    building = {name for key, name in sections.items() if not key.startswith("report")}
    built_from = _tables_read(building) - {table.name}
    declared = {name for name in table.built_from if name in TABLES}
    assert declared == built_from
    assert _tables_read(looking) - {table.name} - declared == set(table.checked_against)


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
        if table.group == "analytics":  # its first rows are those of its report
            assert "first_rows" in metadata
            continue
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


def _run(instance: dg.DagsterInstance, **events: object) -> dg.ExecuteInProcessResult:
    """Run the job on the lake and the warehouse that the environment names."""
    return (
        build_defs(load_settings())
        .resolve_job_def("sparkify_etl")
        .execute_in_process(
            instance=instance,
            run_config={
                "ops": {"staging_events": {"config": events}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    )


def _days(instance: dg.DagsterInstance) -> dict[str, tuple[object, object]]:
    """Return what is shown of each day: state and rows of its latest event."""
    key = dg.AssetKey("log_data")
    found = {}
    for day in instance.get_dynamic_partitions("log_data_days"):
        records = [
            record
            for fetch in (instance.fetch_materializations, instance.fetch_observations)
            for record in fetch(
                dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day]), limit=1
            ).records
        ]
        latest = max(records, key=lambda record: record.storage_id).event_log_entry
        event = latest.asset_materialization or latest.asset_observation
        assert event is not None
        metadata = event.metadata
        found[day] = (metadata["state"].value, metadata["dagster/partition_row_count"].value)
    return found


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyLake:
    """Three days with 1, 2 and 3 events."""
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    for number in (1, 2, 3):
        lake.write_events(
            f"2018-11-0{number}", [event(itemInSession=item) for item in range(number)]
        )
    monkeypatch.setenv("SPARKIFY_LAKE", str(lake.folder))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    return lake


def test_days_are_partitions_that_say_what_became_of_their_files(lake: TinyLake) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert _run(instance, days="2018-11-02").success
        assert _days(instance) == {
            "2018-11-01": ("new", 0),
            "2018-11-02": ("loaded", 2),
            "2018-11-03": ("new", 0),
        }
        materialized = instance.get_materialized_partitions(dg.AssetKey("log_data"))
        assert materialized == {"2018-11-02"}

        lake.write_events("2018-11-02", [event()])
        lake.write_events("2018-11-04", [event(ts="never")])
        assert not _run(instance).success
        assert _days(instance) == {
            "2018-11-01": ("new", 0),
            "2018-11-02": ("changed", 2),
            "2018-11-03": ("new", 0),
            "2018-11-04": ("new", 0),
        }

        lake.write_events("2018-11-04", [event()])
        lake.remove(event_file("2018-11-01"))
        assert _run(instance, accept_removals=True).success
        loaded = {
            "2018-11-02": ("loaded", 1),
            "2018-11-03": ("loaded", 3),
            "2018-11-04": ("loaded", 1),
        }
        assert _days(instance) == loaded

        lake.remove(event_file("2018-11-03"))
        assert _run(instance, days="2018-11-04").success
        assert _days(instance) == {**loaded, "2018-11-03": ("gone", 3)}
        assert _run(instance, accept_removals=True).success
        del loaded["2018-11-03"]
        assert _days(instance) == loaded
    # A history that was lost is told again, though nothing is loaded.
    with dg.DagsterInstance.ephemeral() as instance:
        assert _run(instance).success
        assert _days(instance) == loaded


def test_a_run_without_changes_tells_nothing_of_the_days(lake: TinyLake) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        key = dg.AssetKey("log_data")

        def told() -> int:
            return sum(
                len(fetch(key, limit=100).records)
                for fetch in (instance.fetch_materializations, instance.fetch_observations)
            )

        assert _run(instance).success
        assert told() == 3
        assert _run(instance).success
        assert told() == 3
        assert _run(instance, days="2018-11-02..2018-11-03", full_refresh=True).success
        assert told() == 5


def test_days_outside_the_lake_are_refused_with_those_it_has(lake: TinyLake) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = _run(instance, days="2018-12-01")
        failed = result.get_failed_step_keys()
        (message,) = (
            found.step_failure_data.user_failure_data.description
            for found in result.all_events
            if found.is_step_failure and found.step_key == "staging_events"
        )
    assert "staging_events" in failed
    assert message.startswith(
        "days='2018-12-01': '2018-12-01' is no day of the lake, which has 2018-11-01 to 2018-11-03;"
    )


def test_a_wrong_setting_of_redshift_is_one_message(
    lake: TinyLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_TARGET", "redshift")
    with dg.DagsterInstance.ephemeral() as instance:
        (failed, *_) = (found for found in _run(instance).all_events if found.is_step_failure)
    assert failed.step_failure_data.user_failure_data.description.startswith(
        "SPARKIFY_TARGET=redshift cannot be used as it is set up: REDSHIFT_HOST is missing; "
    )


def test_names_of_people_are_hidden_in_previews(lake: TinyLake) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = _run(instance)
    for table in ("staging_events", "users"):
        (found,) = result.asset_materializations_for_node(table)
        preview = str(found.metadata["preview"].value)
        assert "first_name" in preview
        assert markdown("***") in preview
        assert "Ada" not in preview
        assert "Lima" not in preview


def test_a_prefix_is_part_of_every_key(lake: TinyLake) -> None:
    defs = build_defs(load_settings({"SPARKIFY_ASSET_KEY_PREFIX": "music/sparkify"}))
    graph = defs.resolve_asset_graph()
    assert {tuple(key.path[:-1]) for key in graph.get_all_asset_keys()} == {("music", "sparkify")}
    assert {key.asset_key for key in graph.asset_check_keys} <= graph.get_all_asset_keys()
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("sparkify_etl").execute_in_process(instance=instance)
        assert result.success
        assert len(instance.get_dynamic_partitions("music/sparkify/log_data_days")) == 3
    checks = {evaluation.asset_check_key for evaluation in result.get_asset_check_evaluations()}
    assert checks == graph.asset_check_keys


@dg.asset(deps=["songplays"], automation_condition=FIRES)
def teams_own() -> None:
    """Another team's asset, built on ours."""


def test_a_teams_own_asset_fires_when_data_changed_and_only_then(lake: TinyLake) -> None:
    defs = dg.Definitions.merge(build_defs(load_settings()), dg.Definitions(assets=[teams_own]))
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = None

        def asked_for() -> bool:
            nonlocal cursor
            result = dg.evaluate_automation_conditions(
                defs, instance, dg.AssetSelection.assets("teams_own"), cursor=cursor
            )
            cursor = result.cursor
            wanted = result.total_requested > 0
            if wanted:
                assert dg.materialize([teams_own], instance=instance).success
            return wanted

        asked_for()  # the first look only notes how things are
        fired = []
        for change in (
            lambda: None,  # the first load
            lambda: None,  # a run that finds nothing to do
            lambda: lake.write_events("2018-11-04", [event(sessionId=2)]),
            lambda: None,
            lambda: lake.write_songs("A/A/A/TR2", [song(song_id="S2", title="other")]),
        ):
            change()
            assert _run(instance).success
            fired.append(asked_for())
    assert fired[:4] == [True, False, True, False]


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


def test_a_process_that_has_duckdb_already_ends_without_a_word(tmp_path: Path) -> None:
    code = "import duckdb, sparkify_dagster.definitions"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""


def test_a_rendered_statement_escapes_what_it_is_given() -> None:
    assert render("SELECT :name", {"name": "O'Neil \\ Sons"}) == "SELECT 'O''Neil \\\\ Sons'"


def test_a_rebuild_is_confirmed_in_the_run_config(
    lake: TinyLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_REBUILD_LIMIT_ROWS", "0")

    def run(**songs: object) -> bool:
        job = build_defs(load_settings()).resolve_job_def("sparkify_etl")
        return job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey("songs")],
            run_config={"ops": {"songs": {"config": songs}}},
        ).success

    with dg.DagsterInstance.ephemeral() as instance:
        assert _run(instance).success
        assert run()
        open_warehouse(load_settings()).transaction(
            lambda session: session.run("UPDATE staging.ledger SET version = NULL"), "test", "run"
        )
        assert not run()
        assert run(accept_rebuild=True)
