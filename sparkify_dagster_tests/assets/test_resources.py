"""The resources as a Dagster user configures them, in definitions of their own."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest
from pydantic import ValidationError

from sparkify_dagster.resources import LakeResource, WarehouseResource
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song


@dg.asset
def mine(warehouse: WarehouseResource, lake: LakeResource) -> None:
    """Write a table of one's own, with how many event files the lake has."""
    files = len(lake.open().list_events())
    warehouse.open().transaction(
        lambda session: session.run(f"CREATE TABLE analytics.mine AS SELECT {files} AS files"),
        "mine",
        "run",
    )


def _files(path: Path) -> list[tuple[int]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("SELECT files FROM analytics.mine").fetchall()


@pytest.fixture
def lake(tmp_path: Path) -> TinyLake:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    lake.write_events("2018-11-01", [event()])
    return lake


@pytest.mark.parametrize("target", ["duckdb", "redshift"])
def test_a_named_file_is_written_whatever_the_environment_says(
    tmp_path: Path, lake: TinyLake, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv("SPARKIFY_TARGET", target)
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "environment.duckdb"))
    monkeypatch.setenv("SPARKIFY_LAKE", str(tmp_path / "nowhere"))
    resources = {
        "warehouse": WarehouseResource(path=str(tmp_path / "mine.duckdb")),
        "lake": LakeResource(location=str(lake.folder)),
    }
    assert dg.materialize([mine], resources=resources).success
    assert _files(tmp_path / "mine.duckdb") == [(1,)]
    assert not (tmp_path / "environment.duckdb").exists()


def test_without_fields_the_environment_is_followed(
    tmp_path: Path, lake: TinyLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "environment.duckdb"))
    monkeypatch.setenv("SPARKIFY_LAKE", str(lake.folder))
    monkeypatch.setenv("TEAM_WAREHOUSE", str(tmp_path / "team.duckdb"))
    for warehouse, path in (
        (WarehouseResource(), "environment.duckdb"),
        (WarehouseResource(path=dg.EnvVar("TEAM_WAREHOUSE")), "team.duckdb"),
    ):
        resources = {"warehouse": warehouse, "lake": LakeResource()}
        assert dg.materialize([mine], resources=resources).success
        assert _files(tmp_path / path) == [(1,)]


@pytest.mark.parametrize(
    ("resource", "field"),
    [(WarehouseResource, "duckdb_path"), (WarehouseResource, "Path"), (LakeResource, "path")],
)
def test_unknown_fields_are_refused(resource: type[WarehouseResource], field: str) -> None:
    with pytest.raises(ValidationError, match=rf"{field}\s+Extra inputs are not permitted"):
        resource(**{field: "x"})


def test_who_names_an_endpoint_means_redshift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKIFY_TARGET", "duckdb")
    assert WarehouseResource(host="example").settings().target == "redshift"
    assert WarehouseResource().settings().target == "duckdb"


def test_the_resource_page_shows_names_of_variables_and_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDSHIFT_PASSWORD", "hunter2")
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", "w.duckdb")
    definition = WarehouseResource().get_resource_definition()
    default = definition.config_schema.default_value
    assert {name: value for name, value in default.items() if value} == {
        "target": "duckdb",
        "path": {"env": "SPARKIFY_DUCKDB_PATH"},
        "password": {"env": "REDSHIFT_PASSWORD"},
    }
    fields = definition.config_schema.config_type.fields
    assert fields["password"].is_secret
    assert all(field.description for field in fields.values())
