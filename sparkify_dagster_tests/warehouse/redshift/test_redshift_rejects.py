"""Bad files, rejected lines and hands in the warehouse on Redshift, as far as a double tells."""

import logging
from pathlib import Path

import pytest

from sparkify_dagster.loading.rejects import Refused, skipping
from sparkify_dagster.loading.staging import StagingResult
from sparkify_dagster.warehouse.base import Session, Warehouse
from sparkify_dagster_tests.support.loads import load_events
from sparkify_dagster_tests.support.redshift_stage import (
    Stage,
    change,
    events,
    load_all,
    s3_url,
    stage,
    table,
)
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

__all__ = ["s3_url", "stage"]

NAME = "log_data/2018/11/2018-11-02-events.json"


@pytest.fixture
def source(tmp_path: Path) -> TinyLake:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/TR1", [song()])
    lake.write_events("2018-11-01", [event(sessionId=1)])
    lake.write_events("2018-11-02", [event(sessionId=2, ts=1541150000000), event(ts="yesterday")])
    return lake


def _skip(warehouse: Warehouse, stage: Stage) -> StagingResult:
    refused: Refused = {}

    def load(session: Session) -> StagingResult:
        return load_events(session, stage.lake, None, False, 0, "run-1", refused=refused)

    return skipping(lambda: change(warehouse, load), refused)


def test_good_files_are_loaded_and_bad_ones_listed(stage: Stage, source: TinyLake) -> None:
    stage.bucket.put_folder(source.folder)
    warehouse = stage.warehouse()
    source.write_events("2018-11-03", [event(ts="tomorrow")])
    other = NAME.replace("-02-", "-03-")
    stage.bucket.put_folder(source.folder)
    assert list(_skip(warehouse, stage).bad_files) == [NAME, other]
    # Once to find all that are bad, once without them.
    assert len(stage.double.texts("\nMANIFEST\n")) == 2
    assert len(stage.rows("staging.staging_events")) == 1
    text = (source.folder / NAME).read_text().splitlines()[1]
    found = stage.rows("staging.rejected_lines", "file_name, line, column_name, raw_text")
    assert found[0] == (NAME, 2, "ts", text)
    assert stage.rows("staging.rejected_files", "file_name") == [(NAME,), (other,)]
    assert _skip(warehouse, stage).files_read == 0
    source.write_events("2018-11-02", [event(sessionId=2, ts=1541150000000)])
    source.write_events("2018-11-03", [event(sessionId=3, ts=1541240000000)])
    stage.bucket.put_folder(source.folder)
    assert _skip(warehouse, stage).bad_files == {}
    assert stage.rows("staging.rejected_lines") == []
    assert len(stage.rows("staging.staging_events")) == 3


def test_lines_left_out_are_kept_with_their_text(stage: Stage, source: TinyLake) -> None:
    stage.bucket.put_folder(source.folder)
    change(stage.warehouse(), events(stage.lake, max_errors=9))
    text = (source.folder / NAME).read_text().splitlines()[1]
    found = stage.rows("staging.rejected_lines", "file_name, line, column_name, raw_text")
    assert found == [(NAME, 2, "ts", text)]
    assert stage.rows("staging.rejected_files") == []


def test_rows_taken_out_by_hand_are_built_anew(
    stage: Stage, source: TinyLake, caplog: pytest.LogCaptureFixture
) -> None:
    source.write_events("2018-11-02", [event(sessionId=2, ts=1541150000000, userId="9")])
    stage.bucket.put_folder(source.folder)
    warehouse = stage.warehouse()
    load_all(warehouse, stage.lake)
    before = stage.rows("analytics.users")
    change(warehouse, lambda session: session.run("DELETE FROM analytics.users"))
    with caplog.at_level(logging.WARNING):
        change(warehouse, table("users"))
    assert "analytics.users was changed by hand" in caplog.text
    assert stage.rows("analytics.users") == before
