import gzip
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from sparkify_dagster.lake import LakeError, open_lake
from sparkify_dagster.lake import s3 as s3_module
from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.lake.combine import combine
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.lake.s3 import S3Lake
from sparkify_dagster.lake.s3_prefix import S3Prefix
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.sample import SampleSpec, write_sample_lake
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import LoadError, Row, Session
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import load_events, load_songs
from sparkify_dagster_tests.support.s3_server import Fault, S3Server, etag, s3_server

SECRET = "Wq7-very-secret-access-key"
TOKEN = "Zk3-very-secret-session-token"
EVENTS = b'{"page": "Home"}\n'
DAY = "log_data/2018/11/2018-11-01-events.json"
SONG = "song_data/A/B/C/TRABC.json"
ODD_NAMES = [
    "a b.json",
    "a+b.json",
    "100%.json",
    "%41.json",
    'it\'s "quoted".json',
    "#?&;=:@,$.json",
    "ü€日本.json",
    "e\u0301.json",
    "{[<>]}|^`*~!().json",
    "back\\slash.json",
    "x//y.json",  # these three are keys that obstore refuses
    "../up.json",
    "./here.json",
]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws-credentials"),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_server() as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        yield found


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch, moto_url: str) -> Iterator[object]:
    """Return a client of an endpoint with the empty bucket `lake`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    yield client
    found = client.list_objects_v2(Bucket="lake").get("Contents", ())
    if found:
        objects = [{"Key": one["Key"]} for one in found]
        client.delete_objects(Bucket="lake", Delete={"Objects": objects})
    client.delete_bucket(Bucket="lake")


def read_all(lake: Lake, files: list[SourceFile]) -> list[tuple[str, bytes]]:
    taken: list[tuple[str, bytes]] = []
    lake.read_many(files, lambda file, content: taken.append((file.name, content)))
    return taken


def error_of(action: Callable[[], object]) -> str:
    """Return the one line of the error, after a look for secrets in all that is shown of it."""
    with pytest.raises(LakeError) as caught:
        action()
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert TOKEN not in shown
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- the lake as users have it, on moto


def rows(warehouse: DuckDBWarehouse) -> dict[str, list[Row]]:
    """Return the rows of every table, in an order of their own."""

    def read(session: Session) -> dict[str, list[Row]]:
        return {
            name: sorted(session.run(f"SELECT * FROM {table.qualified_name}"), key=repr)
            for name, table in TABLES.items()
        }

    return warehouse.read(read, "test", "run")


def load(warehouse: DuckDBWarehouse, lake: Lake) -> None:
    warehouse.transaction(lambda s: load_events(s, lake, None, False, 0, "run"), "events", "run")
    warehouse.transaction(lambda s: load_songs(s, lake, False, 0, "run"), "songs", "run")
    for table in TABLES.values():
        if table.group != "staging":
            warehouse.transaction(
                lambda s, table=table: refresh(s, table, False, "run"), table.name, "run"
            )


def test_an_s3_lake_gives_the_same_tables_as_the_same_files_in_a_folder(moto, tmp_path):
    folder = tmp_path / "lake"
    write_sample_lake(folder, SampleSpec(days=3, events_per_day=60, songs=40, users=8))
    packed = folder / "log_data/2018/11/2018-11-02-events.json"
    packed.with_suffix(".json.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    sent: dict[str, bytes] = {}

    def mirror() -> None:
        present = {
            f"deep/lake/{path.relative_to(folder)}": path.read_bytes()
            for path in folder.rglob("*.*")
        }
        for key, content in present.items():
            if sent.get(key) != content:
                moto.put_object(Bucket="lake", Key=key, Body=content)
        for key in sent.keys() - present.keys():
            moto.delete_object(Bucket="lake", Key=key)
        sent.clear()
        sent.update(present)

    local, remote = open_lake(str(folder)), open_lake("s3://lake/deep/lake/")
    expected = DuckDBWarehouse(tmp_path / "local.duckdb", 0)
    found = DuckDBWarehouse(tmp_path / "s3.duckdb", 0)
    mirror()
    load(expected, local)
    load(found, remote)
    first = rows(found)
    assert first == rows(expected)
    # So small a lake may have nobody who changes level.
    assert all(found for name, found in first.items() if name != "level_changes")

    day = folder / DAY
    day.write_bytes(day.read_bytes().split(b"\n", 1)[1])
    songs = sorted((folder / "song_data").rglob("*.json"))
    songs[0].unlink()
    songs[1].write_bytes(songs[2].read_bytes())
    mirror()
    load(expected, local)
    load(found, remote)
    assert rows(found) == rows(expected)
    assert rows(found)["staging_events"] != first["staging_events"]
    assert len(rows(found)["staging_songs"]) == len(first["staging_songs"]) - 1

    unchanged = found.transaction(
        lambda s: load_events(s, remote, None, False, 0, "run"), "events", "run"
    )
    assert unchanged.files_read == 0


def test_a_bad_line_of_an_event_file_is_named_by_its_name_in_the_lake(moto, tmp_path):
    write_sample_lake(tmp_path / "lake", SampleSpec(days=1, events_per_day=20, songs=5, users=4))
    for path in (tmp_path / "lake").rglob("*.json"):
        key = str(path.relative_to(tmp_path / "lake"))
        content = path.read_bytes() + (b"\n{broken" if key == DAY else b"")
        moto.put_object(Bucket="lake", Key=key, Body=content)
    warehouse = DuckDBWarehouse(tmp_path / "s3.duckdb", 0)
    with pytest.raises(LoadError, match=DAY):
        load(warehouse, open_lake("s3://lake"))


@pytest.mark.parametrize("root", ["s3://lake", "s3://lake/my lake+100%/ü"])
def test_keys_with_odd_characters_are_listed_read_and_fetched(moto, tmp_path, root):
    names = sorted([f"song_data/{name}" for name in ODD_NAMES])
    prefix = root.removeprefix("s3://lake").lstrip("/") + "/" * (root != "s3://lake")
    for name in names:
        moto.put_object(Bucket="lake", Key=prefix + name, Body=name.encode())
    moto.put_object(Bucket="lake", Key=prefix + DAY, Body=EVENTS)
    lake = S3Lake(root)
    files = lake.list_songs()
    assert [file.name for file in files] == names
    assert read_all(lake, files) == [(name, name.encode()) for name in names]
    assert lake.url(DAY) == f"s3://lake/{prefix}{DAY}"
    [path] = lake.local_paths(lake.list_events(), tmp_path)
    assert path == tmp_path / DAY
    assert path.read_bytes() == EVENTS


def test_marker_objects_and_what_is_no_source_file_are_skipped(moto):
    for key in ("log_data/", "log_data/2018/", "song_data/", "song_data/A/", "song_data/x.json/"):
        moto.put_object(Bucket="lake", Key=key, Body=b"")
    for key in ("song_data/A_$folder$", "song_data/readme.txt", "log_data/notes.json", "top.json"):
        moto.put_object(Bucket="lake", Key=key, Body=b"x")
    lake = S3Lake("s3://lake")
    assert "holds no file song_data/A/B/C/TR*.json" in error_of(lake.list_songs)
    assert "SPARKIFY_LAKE='s3://lake': holds no file log_data/YYYY" in error_of(lake.list_events)
    moto.put_object(Bucket="lake", Key=SONG, Body=b"{}")
    moto.put_object(Bucket="lake", Key=DAY, Body=b"")
    assert [file.name for file in lake.list_songs()] == [SONG]
    assert [(file.name, file.size) for file in lake.list_events()] == [(DAY, 0)]
    assert read_all(lake, lake.list_events()) == [(DAY, b"")]


def test_objects_are_written_in_parallel_read_back_and_removed(moto, tmp_path):
    part = tmp_path / "part.json"
    part.write_bytes(b"x" * 3_000_000)
    manifests = S3Prefix("s3://lake/manifests/run 1", "SPARKIFY_MANIFEST_PREFIX")
    contents = {
        "songs.manifest": b"{}",
        **{f"part-{number}.json": part.read_bytes() for number in range(9)},
    }
    addresses = [manifests.put(name, content) for name, content in contents.items()]
    assert addresses == [f"s3://lake/manifests/run 1/{name}" for name in contents]
    assert {name for name, _, _ in manifests.list_below("")} == set(contents)
    assert manifests.get("part-3.json") == part.read_bytes()
    manifests.delete([*contents, "never-written"])
    assert list(manifests.list_below("")) == []


# --- faults, on an endpoint that is told to misbehave


def test_listings_are_read_page_by_page(server):
    songs = {f"song_data/{number:03}.json": b"{}" for number in range(23)}
    server.objects.update(songs)
    lake = S3Lake("s3://lake")
    assert [file.name for file in lake.list_songs()] == list(songs)
    assert server.count("LIST") == 5


def test_a_key_with_a_line_break_is_read_and_shown_escaped(server):
    name = "song_data/A/TR\n12:00 all is well\x1b[2J.json"
    server.objects[name] = b"{}"
    lake = S3Lake("s3://lake")
    files = lake.list_songs()
    assert read_all(lake, files) == [(name, b"{}")]
    del server.objects[name]
    assert r"TR\n12:00 all is well\x1b[2J.json" in error_of(lambda: read_all(lake, files))


def test_version_is_the_etag_and_fingerprint_reads_nothing(server):
    server.objects[DAY] = EVENTS
    lake = S3Lake("s3://lake")
    [file] = lake.list_events()
    assert file.version == etag(EVENTS).strip('"')
    assert file.content_hash is None
    assert lake.fingerprint(file) is file
    assert server.count("GET") == 0


def test_songs_combined_from_s3_are_those_of_a_folder(server, tmp_path):
    for number in range(100):
        content = b'{"song_id": "S%d"}\n{"song_id": "T%d"}' % (number, number)
        server.objects[f"song_data/{number:03}.json"] = content
        path = tmp_path / f"lake/song_data/{number:03}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = []
    for lake in (S3Lake("s3://lake"), LocalLake(str(tmp_path / "lake"))):
        folder = tmp_path / type(lake).__name__
        folder.mkdir()
        combined = combine(lake, lake.list_songs(), folder, part_bytes=1000)
        parts = [(part.path.read_bytes(), list(part.origins)) for part in combined.parts]
        found.append((parts, [replace(file, version="") for file in combined.files]))
    assert found[0] == found[1]
    assert len(found[0][0]) > 3


def test_throttling_is_waited_out(server, tmp_path):
    server.objects.update({DAY: EVENTS, SONG: b"{}"})
    server.faults = [
        Fault("LIST", 503, "SlowDown", times=1),
        Fault("GET", 503, "SlowDown", times=2),
    ]
    lake = S3Lake("s3://lake")
    assert read_all(lake, lake.list_songs()) == [(SONG, b"{}")]
    assert server.count("GET") == 3
    server.faults = [Fault("GET", 503, "SlowDown", times=2)]
    [path] = lake.local_paths(lake.list_events(), tmp_path)
    assert path.read_bytes() == EVENTS


def test_endless_throttling_is_said(server, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server.objects[SONG] = b"{}"
    server.faults = [Fault("GET", 503, "SlowDown")]
    lake = S3Lake("s3://lake")
    message = error_of(lambda: read_all(lake, lake.list_songs()))
    assert message.startswith(f"s3://lake/{SONG}: S3 is overloaded or failing (SlowDown)")


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_connection_lost_in_the_middle_is_made_up_for(server, tmp_path, size):
    content = bytes(range(256)) * (size // 256) + b"x"
    server.objects.update({DAY: content, SONG: content})
    lake = S3Lake("s3://lake")
    server.cut = 1
    assert read_all(lake, lake.list_songs()) == [(SONG, content)]
    server.cut = 2
    [path] = lake.local_paths(lake.list_events(), tmp_path)
    assert path.read_bytes() == content
    assert server.cut == 0


def test_an_object_that_vanished_or_changed_since_the_listing_is_an_error(server, tmp_path):
    server.objects.update({DAY: EVENTS, SONG: b"{}"})
    lake = S3Lake("s3://lake")
    songs, events = lake.list_songs(), lake.list_events()
    server.objects[SONG] = b"[]"
    server.objects[DAY] = EVENTS * 2
    changed = "has changed since it was listed; run again"
    assert f"s3://lake/{SONG}: {changed}" in error_of(lambda: read_all(lake, songs))
    assert f"s3://lake/{DAY}: {changed}" in error_of(lambda: lake.local_paths(events, tmp_path))
    assert read_all(lake, lake.list_songs()) == [(SONG, b"[]")]
    server.objects.clear()
    gone = "has gone since it was listed"
    assert f"s3://lake/{SONG}: {gone}" in error_of(lambda: read_all(lake, songs))
    assert f"s3://lake/{DAY}: {gone}" in error_of(lambda: lake.local_paths(events, tmp_path))


def test_no_more_is_read_ahead_than_memory_is_meant_for_it(server, monkeypatch):
    size, count = 100_000, 60
    monkeypatch.setattr(s3_module, "_MEMORY", 10 * size)
    monkeypatch.setattr(s3_module, "_BATCH_BYTES", 2 * size)
    contents = {
        f"song_data/{number:02}.json": b"%02d" % number * (size // 2) for number in range(count)
    }
    server.objects.update(contents)
    lake = S3Lake("s3://lake")
    taken: list[str] = []
    most = 0

    def take(file: SourceFile, content: bytes) -> None:
        nonlocal most
        most = max(most, server.count("GET") - len(taken))
        assert content == contents[file.name]
        taken.append(file.name)

    lake.read_many(lake.list_songs(), take)
    assert taken == list(contents)
    assert 1 < most <= 10


def test_an_error_of_the_taker_ends_the_reading(server):
    server.objects.update({f"song_data/{number:04}.json": b"{}" for number in range(4000)})
    lake = S3Lake("s3://lake")
    files = [SourceFile(name, 2, etag(b"{}").strip('"')) for name in server.objects]

    def take(file: SourceFile, content: bytes) -> None:
        raise LakeError("damaged")

    with pytest.raises(LakeError, match="damaged"):
        lake.read_many(files, take)
    # No more than may be read ahead of the first: 2 batches of 16 files for each of 64 readers.
    assert server.count("GET") <= 2048


REFUSALS = [
    ("LIST", 403, "AccessDenied", "allow s3:ListBucket on arn:aws:s3:::lake"),
    ("GET", 403, "AccessDenied", f"allow s3:GetObject on arn:aws:s3:::lake/{SONG}"),
    ("LIST", 404, "NoSuchBucket", "there is no bucket 'lake'; correct SPARKIFY_LAKE"),
    ("LIST", 403, "InvalidAccessKeyId", "credentials are refused (InvalidAccessKeyId)"),
    ("GET", 403, "SignatureDoesNotMatch", "credentials are refused (SignatureDoesNotMatch)"),
    ("LIST", 400, "ExpiredToken", "credentials are refused (ExpiredToken)"),
    ("GET", 403, "InvalidObjectState", "is archived; restore it"),
    ("LIST", 400, "OddThing", "refused (OddThing, HTTP status 400): as told"),
]


@pytest.mark.parametrize(("kind", "status", "code", "expected"), REFUSALS)
def test_refusals_name_cause_and_remedy_and_no_secret(server, kind, status, code, expected):
    server.objects[SONG] = b"{}"
    # S3 does repeat the token in the canonical request of a signature that does not match.
    more = f"<CanonicalRequest>x-amz-security-token:{TOKEN}</CanonicalRequest>"
    server.faults = [Fault(kind, status, code, more=more)]
    lake = S3Lake("s3://lake")
    message = error_of(lambda: read_all(lake, lake.list_songs()))
    assert message.startswith("s3://lake/song_data/")
    assert expected in message


def test_a_bucket_of_another_region_is_said_with_its_region(server):
    elsewhere = {"x-amz-bucket-region": "ap-south-1"}
    server.faults = [
        Fault(kind, 301, "PermanentRedirect", headers=elsewhere) for kind in ("LIST", "HEAD")
    ]
    message = error_of(S3Lake("s3://lake").list_songs)
    assert "not in the region asked (PermanentRedirect); set AWS_REGION to ap-south-1" in message


def test_uploads_and_removals_that_are_refused_name_the_right(server):
    server.faults = [Fault(kind, 403, "AccessDenied") for kind in ("PUT", "DELETE")]
    manifests = S3Prefix("s3://lake/m", "SPARKIFY_MANIFEST_PREFIX")
    upload = error_of(lambda: manifests.put("a.manifest", b"{}"))
    assert "allow s3:PutObject on arn:aws:s3:::lake/m/a.manifest" in upload
    removal = error_of(lambda: manifests.delete(["a.manifest"]))
    assert "allow s3:DeleteObject on arn:aws:s3:::lake/m/a.manifest" in removal


def test_missing_credentials_are_said(server, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    assert "no usable AWS credentials (NoCredentialsError); set AWS_PROFILE" in error_of(
        S3Lake("s3://lake").list_events
    )
    assert "no usable AWS credentials" in error_of(S3Lake("s3://lake").read_jsonpaths)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "(ProfileNotFound); set AWS_PROFILE" in error_of(S3Lake("s3://lake").list_events)


def test_an_endpoint_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    message = error_of(S3Lake("s3://lake").list_events)
    assert "the endpoint http://127.0.0.1:1 cannot be reached" in message
    assert "check AWS_ENDPOINT_URL" in message
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert "Invalid endpoint: nonsense; a URL expected" in error_of(S3Lake("s3://lake").list_events)


def test_a_missing_or_wrong_jsonpaths_file_is_said(server):
    lake = S3Lake("s3://lake/p")
    message = error_of(lake.read_jsonpaths)
    assert "s3://lake/p/log_json_path.json: is missing; put it there" in message
    server.objects["p/log_json_path.json"] = b'{"JsonPaths": []}'
    assert "s3://lake/p/log_json_path.json: is no JSONPaths file" in error_of(lake.read_jsonpaths)
    server.objects["p/log_json_path.json"] = b'{"jsonpaths": ["$[\'artist\']"]}'
    assert lake.read_jsonpaths() == ["$['artist']"]


def test_profile_token_and_the_buckets_region_reach_every_request(server, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "aws-credentials").write_text(
        "[analyst]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n"
        f"aws_session_token = {TOKEN}\n"
    )
    (tmp_path / "aws-config").write_text("[profile analyst]\nregion = eu-west-3\n")
    monkeypatch.setenv("AWS_PROFILE", "analyst")
    server.objects[SONG] = b"{}"
    lake = S3Lake("s3://lake")
    assert read_all(lake, lake.list_songs()) == [(SONG, b"{}")]
    assert [kind for kind, _ in server.requests] == ["LIST", "HEAD", "GET"]
    assert "Boto3" not in server.headers[-1]["user-agent"]  # read the fast way
    for headers in server.headers:
        assert "Credential=AKIDPROFILE/" in headers["authorization"]
        assert "/eu-west-3/s3/" in headers["authorization"]
        assert headers["x-amz-security-token"] == TOKEN


def test_aws_region_is_heeded_and_the_buckets_own_region_is_told(server, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "sa-east-1")
    server.objects[SONG] = b"{}"
    lake = S3Lake("s3://lake")
    read_all(lake, lake.list_songs())
    scopes = [headers["authorization"].split("/")[2] for headers in server.headers]
    # Asked where the environment says, read where the bucket is.
    assert scopes == ["sa-east-1", "sa-east-1", "eu-west-3"]
    assert lake.objects.region == "eu-west-3"


@pytest.mark.parametrize("location", ["s3://", "s3:///x", "s3://b", "s3://a b/x", "s3://x?y=1"])
def test_locations_that_are_none_are_refused_by_name(location):
    assert f"SPARKIFY_LAKE={location!r}: s3://bucket/prefix expected" in error_of(
        lambda: open_lake(location)
    )


def test_open_lake_takes_folders_and_s3_only(tmp_path):
    assert isinstance(open_lake(str(tmp_path)), LocalLake)
    assert "allowed are a local folder or s3://bucket/prefix" in error_of(
        lambda: open_lake("gs://bucket/lake")
    )


def test_a_local_lake_imports_no_aws_library():
    code = (
        "import sys; from sparkify_dagster.lake import open_lake; open_lake('.');"
        "sys.exit(bool({'boto3', 'botocore', 'obstore'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
