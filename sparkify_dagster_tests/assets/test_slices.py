"""A long first load commits in slices of days: a failure loses the one that it happens in."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.definitions import build_defs
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.settings import load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster_tests.support.loads import rebuilt, select, tables_of
from sparkify_dagster_tests.support.redshift_stage import Stage, s3_url, stage
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

__all__ = ["s3_url", "stage"]

DAYS = [f"2018-11-{day:02}" for day in range(1, 8)]


def write(lake: TinyLake, day: str, **values: object) -> None:
    """Write the file of a day, with one play."""
    noon = dt.datetime.fromisoformat(f"{day}T12:00+00:00").timestamp() * 1000
    lake.write_events(day, [event(**{"ts": int(noon), "sessionId": int(noon), **values})])


@pytest.mark.parametrize("target", ["duckdb", "redshift"])
def test_a_failure_in_the_third_slice_leaves_two(
    target: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake = TinyLake(tmp_path / "lake")
    environment = {"SPARKIFY_LAKE": str(tmp_path / "lake"), "SPARKIFY_SLICE_DAYS": "2"}
    double: Stage | None = None
    if target == "redshift":
        double = request.getfixturevalue("stage")
        environment |= double.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for day in DAYS:
        write(lake, day)
    lake.write_songs("A/A/A/TR1", [song()])
    write(lake, DAYS[4], ts="no time")
    instance = dg.DagsterInstance.ephemeral()

    def run() -> dg.ExecuteInProcessResult:
        if double:
            double.bucket.put_folder(tmp_path / "lake")
        job = build_defs(load_settings()).resolve_job_def("sparkify_etl")
        return job.execute_in_process(instance=instance, raise_on_error=False)

    assert not run().success
    warehouse = open_warehouse(load_settings())
    loaded = "SELECT CAST(file_day AS VARCHAR(10)) FROM staging.staging_events ORDER BY file_day"
    assert [day for (day,) in select(warehouse, loaded)] == DAYS[:4]
    write(lake, DAYS[4])
    result = run()
    assert result.success
    (done,) = (
        found
        for found in result.asset_materializations_for_node("staging_events")
        if found.partition is None
    )
    assert done.metadata["files_read"].value == 3
    found = tables_of(warehouse, TABLES)
    assert found == rebuilt(LocalLake(str(tmp_path / "lake")), tmp_path / "anew.duckdb", TABLES)
    assert len(found["analytics.songplays"]) == len(DAYS)
