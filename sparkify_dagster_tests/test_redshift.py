"""The Redshift engine through the unmodified driver: loads, settings, errors that files cause."""

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.lake.combine import Part
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.settings import SettingError
from sparkify_dagster.warehouse.base import LoadError, WarehouseError
from sparkify_dagster.warehouse.redshift.settings import load_redshift_settings
from sparkify_dagster.warehouse.redshift.uploads import PartSizes, Uploads
from sparkify_dagster_tests.redshift_stage import (
    LAKE,
    MANIFESTS,
    PASSWORD,
    ROLE,
    Stage,
    change,
    events,
    load_all,
    open_stage,
    s3_url,
    songs,
    stage,
)
from sparkify_dagster_tests.redshift_suite import (
    LINES,
    expected,
    small_lake,
    spoil,
    test_a_bad_line_is_named_as_duckdb_names_it,
    test_a_malformed_line_is_named,
    test_bad_objects_are_found_in_the_file_they_are_from,
    test_checks_and_reports_tell_what_they_tell_on_duckdb,
    test_compressed_event_files_are_said_to_be,
    test_costs_are_numbers,
    test_insert_takes_many_rows_and_odd_values,
    test_lines_within_maxerror_are_left_out_and_named,
    test_loads_the_same_tables_as_duckdb,
    test_loads_the_same_tables_as_duckdb_from_the_real_data,
    test_manifests_and_parts_are_removed,
    test_read_sees_what_is_committed_and_changes_nothing,
    test_takes_in_changes_as_duckdb_does,
    test_two_runs_take_turns,
)
from sparkify_dagster_tests.test_sql_lint import ALLOWED_OWN, denied

__all__ = [
    "expected",
    "s3_url",
    "small_lake",
    "stage",
    "test_a_bad_line_is_named_as_duckdb_names_it",
    "test_a_malformed_line_is_named",
    "test_bad_objects_are_found_in_the_file_they_are_from",
    "test_checks_and_reports_tell_what_they_tell_on_duckdb",
    "test_compressed_event_files_are_said_to_be",
    "test_costs_are_numbers",
    "test_insert_takes_many_rows_and_odd_values",
    "test_lines_within_maxerror_are_left_out_and_named",
    "test_loads_the_same_tables_as_duckdb",
    "test_loads_the_same_tables_as_duckdb_from_the_real_data",
    "test_manifests_and_parts_are_removed",
    "test_read_sees_what_is_committed_and_changes_nothing",
    "test_takes_in_changes_as_duckdb_does",
    "test_two_runs_take_turns",
]


# --- what is sent


def test_copy_reads_exactly_the_listed_files(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    stage.bucket.put("log_data/2018/11/2018-11-01-events.json.bak", b"never read")
    warehouse = stage.warehouse(SPARKIFY_KEEP_MANIFESTS="true")
    change(warehouse, events(stage.lake))
    change(warehouse, songs(stage.lake))
    manifests = [
        json.loads(stage.bucket.get(key))
        for key in stage.bucket.keys("manifests/")
        if "manifest" in key[-9:]
    ]
    entries = [entry for manifest in manifests for entry in manifest["entries"]]
    assert {entry["mandatory"] for entry in entries} == {True}
    urls = [entry["url"] for entry in entries]
    names = [path.relative_to(small_lake).as_posix() for path in small_lake.glob("log_data/*/*/*")]
    assert {url for url in urls if "/log_data/" in url} == {f"{LAKE}/{name}" for name in names}
    copies = stage.double.texts("copy landing")
    # A COPY for each day, as rows do not know their file; one for all songs.
    assert len(copies) == len(names) + 1
    for text in copies:
        assert f"IAM_ROLE '{ROLE}'" in text
        assert "REGION 'eu-central-1'" in text
    assert all(key.startswith("manifests/run-1/") for key in stage.bucket.keys("manifests/"))


def test_the_default_role_is_a_bare_word(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    change(stage.warehouse(REDSHIFT_IAM_ROLE="default"), events(stage.lake))
    assert all("IAM_ROLE default\n" in text for text in stage.double.texts("copy landing"))
    assert stage.double.rows(LINES)[0][0] > 0


def test_every_statement_sent_passes_the_lint(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    load_all(stage.warehouse(), stage.lake)
    texts = set(stage.double.texts())
    assert len(texts) > 100
    own = {"begin transaction", "commit", "rollback"}
    found = {text: denied(text) - ALLOWED_OWN - {"a $ parameter"} for text in texts - own}
    assert {text: rules for text, rules in found.items() if rules} == {}


def test_the_lock_comes_before_anything_is_looked_at(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    warehouse = stage.warehouse()
    change(warehouse, events(stage.lake))
    stage.double.statements.clear()
    change(warehouse, events(stage.lake))
    texts = [one.text for one in stage.double.statements]
    assert texts[texts.index("begin transaction") + 1] == "LOCK TABLE staging.load_lock"


def test_a_session_says_whose_it_is(stage: Stage) -> None:
    def body(session: Any) -> list[Any]:
        names = ("application_name", "query_group", "statement_timeout", "search_path")
        return [session.run(f"SHOW {name}")[0][0] for name in names]

    warehouse = stage.warehouse(REDSHIFT_STATEMENT_TIMEOUT="77")
    found = warehouse.transaction(body, "sparkify_etl/songs", "run-42")
    assert found == ["sparkify_dagster:sparkify_etl/songs", "run-42", "77000", "analytics, staging"]


def test_parts_fill_the_slices_and_keep_their_origins(stage: Stage, tmp_path: Path) -> None:
    lines = [b'{"source_file":"f%d","title":%d.50}\n' % (number, number) for number in range(1000)]
    parts = []
    for index in range(2):
        path = tmp_path / f"part-{index}.json"
        path.write_bytes(b"".join(lines[index * 500 : index * 500 + 500]))
        parts.append(Part(path, [(f"f{n}", 1) for n in range(index * 500, index * 500 + 500)]))
    uploads = Uploads(S3Prefix(MANIFESTS, "SPARKIFY_MANIFEST_PREFIX"), "run/token", keep=True)
    found = uploads.put_parts(parts, tmp_path, ["title"], PartSizes(10_000, 4))
    # 37 kB in parts of 10 kB: 4, a multiple of the slices already.
    assert len(found) == 4
    content = b"".join(
        gzip.decompress(stage.bucket.get(one.url.removeprefix("s3://wire-lake/"))) for one in found
    )
    assert content == b"".join(lines).replace(b'"title":', b'"title":"').replace(b"}", b'"}')
    assert [origin for one in found for origin in one.origins] == [
        (f"f{n}", 1) for n in range(1000)
    ]
    for one in found:
        first = gzip.decompress(stage.bucket.get(one.url.removeprefix("s3://wire-lake/")))
        assert json.loads(first.split(b"\n")[0])["source_file"] == one.origins[0][0]


@pytest.mark.parametrize(
    ("total", "count"), [(0, 1), (5 << 20, 1), (9 << 20, 2), (300 << 20, 8), (64 << 20, 4)]
)
def test_the_number_of_parts(total: int, count: int) -> None:
    assert PartSizes(64 << 20, 4).count(total) == count


# --- what COPY refuses


def test_the_older_view_serves_where_the_newer_is_denied(
    stage: Stage, small_lake: Path, tmp_path: Path
) -> None:
    stage.bucket.put_folder(spoil(small_lake, tmp_path, 0, ts="not a time"))
    stage.double.denied_views.add("sys_load_error_detail")
    with pytest.raises(LoadError) as caught:
        change(stage.warehouse(), events(stage.lake))
    assert caught.value.bad_lines[0].value == "not a time"
    stage.double.denied_views.add("stl_load_errors")
    with pytest.raises(
        WarehouseError, match="SYS_LOAD_ERROR_DETAIL and STL_LOAD_ERRORS show"
    ) as no:
        change(stage.warehouse(), events(stage.lake))
    assert not isinstance(no.value, LoadError)


def test_jsonpaths_have_to_match_the_columns(stage: Stage, small_lake: Path) -> None:
    stage.bucket.put_folder(small_lake)
    paths = json.loads((small_lake / "log_json_path.json").read_text())["jsonpaths"]
    stage.bucket.put("log_json_path.json", json.dumps({"jsonpaths": paths[:-1]}).encode())
    with pytest.raises(WarehouseError, match="17 JSONPaths for 18 columns"):
        change(stage.warehouse(), events(stage.lake))
    assert stage.double.texts("copy landing") == []


def test_a_local_lake_is_refused(stage: Stage, small_lake: Path) -> None:
    with pytest.raises(
        WarehouseError, match=r"Redshift reads from S3 only.*SPARKIFY_TARGET=duckdb"
    ):
        change(stage.warehouse(), events(LocalLake(str(small_lake))))


# --- reading, costs


def test_costs_are_numbers_once_committed(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    sessions = []

    def body(session: Any) -> None:
        sessions.append(session)
        session.run("CREATE TABLE staging.kept (a INTEGER)")
        assert session.costs() == {}

    warehouse = stage.warehouse()
    warehouse.transaction(body, "test", "run-1")
    found = sessions[-1].costs()
    assert found["queries"] > 3
    assert found["elapsed_seconds"] > 0
    assert found.keys() == {
        "queries",
        "elapsed_seconds",
        "queue_seconds",
        "execution_seconds",
        "returned_rows",
        "returned_bytes",
        "scanned_rows",
        "scanned_bytes",
    }
    stage.double.denied_views |= {"sys_query_history"}
    with caplog.at_level(logging.WARNING):
        warehouse.transaction(
            lambda session: (sessions.append(session), session.run("DROP TABLE staging.kept")),
            "test",
            "run-1",
        )
    assert sessions[-1].costs() == {}
    assert "permission denied" in caplog.text


# --- settings

COMPLETE = {
    "REDSHIFT_HOST": "h",
    "REDSHIFT_DATABASE": "d",
    "REDSHIFT_USER": "u",
    "REDSHIFT_PASSWORD": PASSWORD,
    "SPARKIFY_MANIFEST_PREFIX": MANIFESTS,
}
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:loader-a1b2c3"
LOGIN = ("REDSHIFT_HOST", "REDSHIFT_USER", "REDSHIFT_PASSWORD")


def changed(*gone: str, **values: str) -> dict[str, str]:
    return {name: value for name, value in COMPLETE.items() if name not in gone} | values


@pytest.mark.parametrize(
    ("environment", "problems"),
    [
        ({}, [*COMPLETE, "REDSHIFT_WORKGROUP"]),
        (changed("REDSHIFT_PASSWORD"), ["REDSHIFT_PASSWORD is missing"]),
        (
            changed(*LOGIN, REDSHIFT_CLUSTER_ID="c"),
            ["REDSHIFT_USER is missing", "AWS_REGION is missing"],
        ),
        (changed(*LOGIN, REDSHIFT_WORKGROUP="w"), ["AWS_REGION is missing"]),
        (
            changed(REDSHIFT_WORKGROUP="w", AWS_REGION="r"),
            ["REDSHIFT_USER does not go with", "REDSHIFT_PASSWORD does not go with"],
        ),
        (
            changed(REDSHIFT_WORKGROUP="w", REDSHIFT_SECRET_ARN=SECRET_ARN),
            ["REDSHIFT_WORKGROUP and REDSHIFT_SECRET_ARN: set only one"],
        ),
        (changed(REDSHIFT_SECRET_ARN=SECRET_ARN), ["REDSHIFT_PASSWORD does not go with"]),
        (changed(*LOGIN, REDSHIFT_SECRET_ARN="loader"), ["REDSHIFT_SECRET_ARN='loader'"]),
        (
            changed(
                "REDSHIFT_PASSWORD",
                REDSHIFT_CLUSTER_ID="c",
                AWS_REGION="r",
                REDSHIFT_SSLMODE="disable",
            ),
            ["REDSHIFT_SSLMODE='disable' does not go with REDSHIFT_CLUSTER_ID"],
        ),
        (changed(REDSHIFT_SSLMODE="prefer"), ["REDSHIFT_SSLMODE='prefer'"]),
        (changed(REDSHIFT_PORT="a"), ["REDSHIFT_PORT='a'"]),
        (changed(REDSHIFT_PORT="0", REDSHIFT_RETRIES="-1"), ["REDSHIFT_PORT", "REDSHIFT_RETRIES"]),
        (changed(REDSHIFT_IAM_ROLE="loader"), ["REDSHIFT_IAM_ROLE='loader'"]),
        (changed(SPARKIFY_MANIFEST_PREFIX="/tmp"), ["SPARKIFY_MANIFEST_PREFIX='/tmp'"]),
        (changed(SPARKIFY_MANIFEST_PREFIX=f"{LAKE}/song_data/m"), ["among the lake's data"]),
        (changed(SPARKIFY_KEEP_MANIFESTS="yes"), ["SPARKIFY_KEEP_MANIFESTS='yes'"]),
    ],
)
def test_settings_are_refused_with_all_that_is_wrong(
    environment: dict[str, str], problems: list[str]
) -> None:
    with pytest.raises(SettingError) as caught:
        load_redshift_settings(LAKE, 1, environment)
    for problem in problems:
        assert problem in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_local_lake_is_refused_before_any_connection() -> None:
    with pytest.raises(SettingError, match=r"SPARKIFY_LAKE='data/lake'.*s3://bucket/prefix"):
        load_redshift_settings("data/lake", 1, COMPLETE)


@pytest.mark.parametrize(
    "environment",
    [
        COMPLETE,
        changed(*LOGIN, REDSHIFT_WORKGROUP="w", AWS_REGION="r"),
        changed(*LOGIN, REDSHIFT_USER="u", REDSHIFT_CLUSTER_ID="c", AWS_DEFAULT_REGION="r"),
        changed(*LOGIN, "REDSHIFT_DATABASE", REDSHIFT_SECRET_ARN=SECRET_ARN),
        changed(SPARKIFY_MANIFEST_PREFIX=f"{LAKE}/manifests", REDSHIFT_IAM_ROLE=ROLE),
    ],
)
def test_settings_that_are_complete(environment: dict[str, str]) -> None:
    settings = load_redshift_settings(LAKE, 1, environment)
    assert (settings.sslmode, settings.port) == ("verify-full", 5439)
    assert PASSWORD not in f"{settings} {settings!r} {settings.password} {settings.place}"


# --- logging in


def test_a_wrong_password_is_told_without_it(stage: Stage) -> None:
    wrong = "Quite-wrong-9d2c"
    with pytest.raises(
        WarehouseError, match=r"(?s)authentication failed.*REDSHIFT_PASSWORD"
    ) as caught:
        change(stage.warehouse(REDSHIFT_PASSWORD=wrong), lambda session: None)
    assert stage.pauses == []
    error: BaseException | None = caught.value
    while error is not None:
        assert wrong not in f"{error!r} {error}"
        error = error.__cause__


def test_the_certificate_has_to_be_known_and_for_this_host(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WarehouseError, match=r"certificate is not accepted.*REDSHIFT_HOST"):
        change(stage.warehouse(REDSHIFT_HOST="localhost"), lambda session: None)
    changed = stage.warehouse(REDSHIFT_HOST="localhost", REDSHIFT_SSLMODE="verify-ca")
    assert change(changed, lambda session: session.run("SELECT 1")) == [(1,)]
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(WarehouseError, match="certificate is not accepted"):
        change(stage.warehouse(), lambda session: None)
    assert stage.pauses == []


def test_tls_can_be_switched_off(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_stage(s3_url, monkeypatch, tls=False) as plain:
        found = plain.warehouse(REDSHIFT_SSLMODE="disable")
        assert change(found, lambda session: session.run("SELECT 1")) == [(1,)]


def test_a_host_that_is_not_there(stage: Stage) -> None:
    unknown = stage.warehouse(REDSHIFT_HOST="no-such-host.invalid")
    with pytest.raises(WarehouseError, match=r"host name is not known|Check REDSHIFT_HOST"):
        change(unknown, lambda session: None)
