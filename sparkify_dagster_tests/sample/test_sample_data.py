import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from sparkify_dagster.cli import main
from sparkify_dagster.sample import (
    Outcome,
    SampleDataError,
    SampleSpec,
    read_marker,
    users_for,
    write_sample_lake,
)
from sparkify_dagster_tests.support.tiny_lake import JSONPATHS as KEYS

SPEC = SampleSpec(days=14, songs=400)
TINY = SampleSpec(days=2, events_per_day=40, songs=30, users=8)
LOGGED_OUT_NULLS = ("firstName", "lastName", "gender", "location", "registration", "userAgent")


class Lake:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = sorted((root / "log_data").rglob("*.*"))
        self.lines = {path: path.read_bytes().decode("ascii").split("\n") for path in self.logs}
        self.events = [json.loads(line) for lines in self.lines.values() for line in lines]
        self.plays = [event for event in self.events if event["page"] == "NextSong"]
        self.song_files = sorted((root / "song_data").rglob("*.*"))
        self.songs = [json.loads(path.read_text("ascii")) for path in self.song_files]
        self.sessions = defaultdict(list)
        for event in self.events:
            self.sessions[event["sessionId"]].append(event)


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Lake:
    root = tmp_path_factory.mktemp("lake")
    assert write_sample_lake(root, SPEC) is Outcome.WRITTEN
    return Lake(root)


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def sparkify(*arguments: object):
    return CliRunner().invoke(main, ["sample-data", *map(str, arguments)])


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# Layout


def test_event_files_are_laid_out_by_day(lake):
    names = [str(path.relative_to(lake.root)) for path in lake.logs]
    assert names == [f"log_data/2018/11/2018-11-{day:02}-events.json" for day in range(1, 15)]


def test_song_files_are_laid_out_by_track_id(lake):
    assert len(lake.song_files) == SPEC.songs
    for path in lake.song_files:
        found = re.fullmatch(
            r"song_data/([A-Z])/([A-Z])/([A-Z])/TR([A-Z]{3})[A-Z]{2}128F[0-9A-F]{7}\.json",
            str(path.relative_to(lake.root)),
        )
        assert found
        assert "".join(found.groups()[:3]) == found[4]


def test_json_paths_are_in_the_order_of_the_keys(lake):
    paths = json.loads((lake.root / "log_json_path.json").read_text())["jsonpaths"]
    assert paths == [f"$['{key}']" for key in KEYS]
    assert all(list(event) == KEYS for event in lake.events)


def test_marker_describes_the_lake(lake):
    songs = {(as_text(song["title"]), as_text(song["artist_name"])) for song in lake.songs}
    matched = [play for play in lake.plays if (play["song"], play["artist"]) in songs]
    marker = read_marker(lake.root)
    assert marker == {
        "generator_version": 1,
        "start": "2018-11-01",
        "end": "2018-11-14",
        "days": 14,
        "events_per_day": 270,
        "songs": 400,
        "users": 100,
        "seed": 1,
        "events": len(lake.events),
        "plays": len(lake.plays),
        "matched_plays": len(matched),
    }
    assert 0.2 < len(matched) / len(lake.plays) < 0.3
    assert not (lake.root / "sample.json.partial").exists()


def test_files_have_unix_lines_and_no_final_newline(lake):
    for path in [*lake.logs, *lake.song_files]:
        raw = path.read_bytes()
        assert b"\r" not in raw
        assert raw.startswith(b"{")
        assert raw.endswith(b"}")
    assert all(b"\n" not in path.read_bytes() for path in lake.song_files)


# Events


def test_file_date_is_the_utc_date_of_ts(lake):
    for path, lines in lake.lines.items():
        stamps = [json.loads(line)["ts"] for line in lines]
        days = {datetime.fromtimestamp(ts / 1000, UTC).date().isoformat() for ts in stamps}
        assert days == {path.name.removesuffix("-events.json")}
        assert stamps == sorted(stamps)


def test_logged_out_events_have_no_user(lake):
    logged_out = [event for event in lake.events if event["auth"] == "Logged Out"]
    assert {event["page"] for event in logged_out} >= {"Home", "Login", "About", "Help"}
    assert all(event["userId"] == "" for event in logged_out)
    assert all(event[key] is None for event in logged_out for key in LOGGED_OUT_NULLS)
    assert {event["level"] for event in logged_out} == {"free", "paid"}
    logged_in = [event for event in lake.events if event["auth"] == "Logged In"]
    assert len(logged_in) + len(logged_out) == len(lake.events)
    assert all(event["userId"].isdigit() for event in logged_in)
    assert not any(event[key] is None for event in logged_in for key in LOGGED_OUT_NULLS)
    users_of = [{event["userId"] for event in events} for events in lake.sessions.values()]
    assert {""} in users_of
    assert any("" in users and len(users) == 2 for users in users_of)
    assert all(len(users - {""}) <= 1 for users in users_of)


def test_only_plays_have_a_song(lake):
    for event in lake.events:
        nulls = [event[key] is None for key in ("artist", "song", "length")]
        assert nulls == [event["page"] != "NextSong"] * 3
    assert all(play["auth"] == "Logged In" for play in lake.plays)
    assert 0.78 < len(lake.plays) / len(lake.events) < 0.88


def test_methods_and_statuses_go_with_the_pages(lake):
    found = {(event["page"], event["method"], event["status"]) for event in lake.events}
    gets = ("Home", "Help", "About", "Settings", "Upgrade", "Downgrade")
    submits = ("Login", "Logout", "Save Settings", "Submit Upgrade", "Submit Downgrade")
    assert found == (
        {("NextSong", "PUT", 200), ("Error", "GET", 404)}
        | {(page, "GET", 200) for page in gets}
        | {(page, "PUT", 307) for page in submits}
    )


def test_sessions_are_numbered_in_the_order_of_their_start(lake):
    starts = [events[0]["ts"] for _, events in sorted(lake.sessions.items())]
    assert starts == sorted(starts)
    for events in lake.sessions.values():
        assert [event["itemInSession"] for event in events] == list(range(len(events)))
        assert all(one["ts"] < other["ts"] for one, other in pairwise(events))


def test_some_sessions_lie_in_two_files(lake):
    dates = [{event["ts"] // 86_400_000 for event in events} for events in lake.sessions.values()]
    assert any(len(days) == 2 for days in dates)


def test_a_user_is_one_person_and_never_in_two_sessions_at_once(lake):
    people = defaultdict(set)
    spans = defaultdict(list)
    for event in lake.events:
        if event["userId"]:
            people[event["userId"]].add(tuple(event[key] for key in LOGGED_OUT_NULLS))
            assert event["registration"] <= event["ts"]
    for events in lake.sessions.values():
        times = [(event["userId"], event["ts"]) for event in events if event["userId"]]
        if times:
            spans[times[0][0]].append((times[0][1], times[-1][1]))
    assert all(len(rows) == 1 for rows in people.values())
    names = Counter((row[0], row[1]) for rows in people.values() for row in rows)
    assert max(names.values()) > 1
    for sessions in spans.values():
        assert all(one[1] < other[0] for one, other in pairwise(sorted(sessions)))


def test_levels_change_only_by_a_submit_page(lake):
    levels: dict[str, str] = {}
    changes = Counter()
    last_page: dict[str, str] = {}
    for event in lake.events:
        user = event["userId"]
        if user and levels.get(user, event["level"]) != event["level"]:
            changes[last_page[user]] += 1
            assert last_page[user] == f"Submit {'Up' if event['level'] == 'paid' else 'Down'}grade"
        if user:
            levels[user], last_page[user] = event["level"], event["page"]
    assert set(changes) == {"Submit Upgrade", "Submit Downgrade"}


def test_users_come_back_and_few_are_heard_most(lake):
    sessions = Counter(events[-1]["userId"] for events in lake.sessions.values())
    del sessions[""]
    assert sum(count > 1 for count in sessions.values()) > 0.6 * len(sessions)
    plays = sorted(Counter(play["userId"] for play in lake.plays).values(), reverse=True)
    assert sum(plays[: len(plays) // 5]) > 0.5 * len(lake.plays)


def test_few_songs_are_played_most(lake):
    titles = Counter((play["song"], play["artist"]) for play in lake.plays)
    counts = sorted(titles.values(), reverse=True)
    assert counts[0] > 5 * counts[len(counts) // 2]
    assert sum(counts[: len(counts) // 10]) > 0.3 * len(lake.plays)


def test_there_is_more_on_weekdays_and_in_the_afternoon(lake):
    times = [datetime.fromtimestamp(event["ts"] / 1000, UTC) for event in lake.events]
    weekend = sum(time.weekday() >= 5 for time in times)
    assert weekend / 4 < 0.7 * (len(times) - weekend) / 10
    hours = Counter(time.hour // 6 for time in times)
    assert hours[2] > 2 * hours[0]


def test_milliseconds_vary_and_some_plays_share_a_ts(lake):
    assert len({event["ts"] % 1000 for event in lake.events}) > 900
    stamps = Counter(play["ts"] for play in lake.plays)
    assert max(stamps.values()) == 2
    assert len({(play["userId"], play["ts"]) for play in lake.plays}) == len(lake.plays)


def test_event_text_is_escaped_as_in_the_real_files(lake):
    text = "\n".join("\n".join(lines) for lines in lake.lines.values())
    assert re.search(r'"registration":\d{13}\.0,"sessionId":\d+,', text)
    assert r'"userAgent":"\"Mozilla\/5.0 (' in text
    assert r'"userAgent":"Mozilla\/5.0 (' in text
    assert r"\u00c3\u0083\u00c2" in text
    assert r"\u0019t " in text
    assert not re.search(r"(?<!\\)/", text)
    assert re.fullmatch(r"[\n -~]*", text)


def test_events_garble_text_outside_ascii(lake):
    titles = {as_text(song["title"]) for song in lake.songs}
    garbled = {play["song"] for play in lake.plays if not play["song"].isascii()}
    repaired = {title.encode("latin-1").decode().encode("latin-1").decode() for title in garbled}
    assert repaired & titles
    assert not garbled & titles


# Songs


def test_song_keys_are_sorted_and_ids_look_real(lake):
    for song in lake.songs:
        assert list(song) == sorted(song)
        assert len(song) == 10
        assert re.fullmatch(r"SO[A-Z]{5}12[0-9A-F]{9}", song["song_id"])
        assert re.fullmatch(r"AR[A-Z]{5}1187[0-9A-F]{7}", song["artist_id"])
        assert song["num_songs"] == 1
        assert song["duration"] % 1
        assert (song["artist_latitude"] is None) == (song["artist_longitude"] is None)
    assert len({song["song_id"] for song in lake.songs}) == SPEC.songs
    assert 0.55 < len({song["artist_id"] for song in lake.songs}) / SPEC.songs < 0.72


def test_songs_have_the_real_oddities(lake):
    types = {
        key: {type(song[key]) for song in lake.songs}
        for key in ("title", "artist_name", "artist_location", "artist_latitude")
    }
    assert types == {
        "title": {str, int, float},
        "artist_name": {str, int},
        "artist_location": {str, int, type(None)},
        "artist_latitude": {float, type(None)},
    }
    text = "\n".join(path.read_text("ascii") for path in lake.song_files)
    assert '"artist_location":""' in text
    assert r"<a href=\"http:\/\/" in text
    assert "&amp;" in text
    assert r"\u0019" in text
    assert re.search(r"\\u00[c-f]", text)
    assert re.search(r'"title":"[^"]+ ",', text)
    assert max(len(str(song["title"])) for song in lake.songs) > 60
    assert 0.25 < sum(song["year"] == 0 for song in lake.songs) / SPEC.songs < 0.4


def test_artists_disagree_across_their_songs(lake):
    rows = defaultdict(list)
    for song in lake.songs:
        rows[song["artist_id"]].append(song)
    for key in ("artist_name", "artist_location", "artist_latitude"):
        assert any(len({song[key] for song in songs}) > 1 for songs in rows.values())
    ids_of = defaultdict(set)
    for song in lake.songs:
        ids_of[song["artist_name"]].add(song["artist_id"])
    assert max(map(len, ids_of.values())) == 2


def test_some_songs_are_recorded_twice_and_played(lake):
    durations = defaultdict(set)
    for song in lake.songs:
        durations[as_text(song["title"]), as_text(song["artist_name"])].add(song["duration"])
    twice = {key for key, found in durations.items() if len(found) == 2}
    assert twice
    assert len(durations) + len(twice) == SPEC.songs
    assert twice & {(play["song"], play["artist"]) for play in lake.plays}


def test_plays_know_other_lengths_and_numbers_as_text(lake):
    durations = defaultdict(set)
    for song in lake.songs:
        durations[as_text(song["title"]), as_text(song["artist_name"])].add(song["duration"])
    matched = [play for play in lake.plays if (play["song"], play["artist"]) in durations]
    other = [p for p in matched if p["length"] not in durations[p["song"], p["artist"]]]
    assert 0 < len(other) < 0.2 * len(matched)
    assert any(play["artist"].isdigit() for play in matched)
    assert any(play["song"].isdigit() for play in matched)


# Determinism and size


def test_the_same_arguments_give_the_same_bytes_in_another_process(tmp_path):
    write_sample_lake(tmp_path / "here", TINY)
    arguments = ["--days", "2", "--events-per-day", "40", "--songs", "30", "--users", "8"]
    script = "from sparkify_dagster.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", script, "sample-data", str(tmp_path / "there"), *arguments],
        env={**os.environ, "PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        check=True,
        capture_output=True,
    )
    assert digests(tmp_path / "there") == digests(tmp_path / "here")


def test_generated_bytes_are_those_of_this_generator_version(tmp_path):
    # A change here changes every user's sample lake: raise GENERATOR_VERSION with it.
    write_sample_lake(tmp_path, TINY)
    whole = hashlib.sha256(json.dumps(digests(tmp_path)).encode()).hexdigest()
    assert whole == "e498f328022774fa1028ad1b56991ca5b4001cd1b2221d29578694744e57d831"


def test_more_days_leave_the_first_ones_as_they_were(tmp_path, lake):
    shorter = SampleSpec(days=5, songs=SPEC.songs)
    write_sample_lake(tmp_path, shorter)
    days = digests(tmp_path)
    del days["sample.json"]
    longer = digests(lake.root)
    assert days == {name: longer[name] for name in days}
    assert len(longer) == len(days) + 10


def test_another_seed_gives_another_lake(tmp_path):
    write_sample_lake(tmp_path / "one", TINY)
    write_sample_lake(tmp_path / "two", replace(TINY, seed=2))
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert {name for name in one if one[name] == two.get(name)} == {"log_json_path.json"}


def test_number_of_events_is_near_what_was_asked(tmp_path, lake):
    assert abs(len(lake.events) / (14 * 270) - 1) < 0.1
    write_sample_lake(tmp_path, SampleSpec(days=7, events_per_day=5000, users=1700, songs=30))
    assert abs(read_marker(tmp_path)["events"] / 35_000 - 1) < 0.05


def test_the_smallest_lake_is_whole(tmp_path):
    write_sample_lake(tmp_path, SampleSpec(days=3, events_per_day=1, songs=1, users=1))
    small = Lake(tmp_path)
    assert len(small.logs) == 3
    assert len(small.songs) == 1
    assert len(small.events) == read_marker(tmp_path)["events"]


def test_a_lake_may_cross_years(tmp_path):
    write_sample_lake(tmp_path, SampleSpec(start=date(2019, 12, 31), days=2, songs=1))
    names = [path.relative_to(tmp_path).as_posix() for path in Lake(tmp_path).logs]
    assert names == [
        "log_data/2019/12/2019-12-31-events.json",
        "log_data/2020/01/2020-01-01-events.json",
    ]


# What becomes of the folder


def test_a_current_lake_is_kept_and_another_is_replaced(tmp_path):
    assert write_sample_lake(tmp_path, TINY) is Outcome.WRITTEN
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert write_sample_lake(tmp_path, TINY) is Outcome.KEPT
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    (tmp_path / "notes.txt").write_text("mine")
    other = SampleSpec(days=1, events_per_day=40, songs=3, users=8)
    assert write_sample_lake(tmp_path, other) is Outcome.REPLACED
    replaced = Lake(tmp_path)
    assert (len(replaced.logs), len(replaced.songs)) == (1, 3)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_lake_that_lost_a_part_is_made_again(tmp_path):
    write_sample_lake(tmp_path, TINY)
    before = digests(tmp_path)
    (tmp_path / "log_json_path.json").unlink()
    assert write_sample_lake(tmp_path, TINY) is Outcome.REPLACED
    assert digests(tmp_path) == before


@pytest.mark.parametrize("interrupted_at", ["songs", "events"])
def test_an_interrupted_lake_is_not_taken_for_whole(tmp_path, interrupted_at):
    write_sample_lake(tmp_path / "whole", TINY)
    root = tmp_path / "lake"
    write_sample_lake(root, SampleSpec(days=1, songs=1))

    def interrupt(kind: str, _count: int) -> None:
        if kind == interrupted_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample_lake(root, TINY, interrupt)
    assert read_marker(root) is None
    write_sample_lake(root, TINY)
    assert digests(root) == digests(tmp_path / "whole")


def test_a_second_process_waits_for_the_first(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    waits = []

    def first_one_ends() -> None:
        waits.append(read_marker(tmp_path))
        os.close(handle)

    write_sample_lake(tmp_path, TINY, on_wait=first_one_ends)
    assert waits == [None]
    assert read_marker(tmp_path)


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "log_data").mkdir()
    (tmp_path / "log_data" / "real.json").write_text("{}")
    result = sparkify(tmp_path)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: {tmp_path} is not empty and not a sample lake (it has no sample.json): "
        "name an empty or a new folder\n"
    )
    assert list(digests(tmp_path)) == ["log_data/real.json"]


@pytest.mark.parametrize("content", ["[]", "{", '{"name": "mine"}', ""])
def test_a_foreign_sample_json_is_refused(tmp_path, content):
    (tmp_path / "sample.json").write_text(content)
    with pytest.raises(SampleDataError, match=r"sample\.json does not describe a sample lake"):
        write_sample_lake(tmp_path, TINY)
    assert list(digests(tmp_path)) == ["sample.json"]


def test_a_linked_folder_is_not_emptied(tmp_path):
    lake, elsewhere = tmp_path / "lake", tmp_path / "elsewhere"
    write_sample_lake(lake, TINY)
    (lake / "log_data").rename(elsewhere)
    (lake / "log_data").symlink_to(elsewhere)
    before = digests(elsewhere)
    result = sparkify(lake)
    assert result.exit_code == 1
    assert "symbolic link" in result.output
    assert digests(elsewhere) == before


# The command


def test_the_command_says_what_it_did(tmp_path):
    arguments = (tmp_path / "a" / "b", "--days", 1, "--events-per-day", 30, "--songs", 2)
    first, again = sparkify(*arguments), sparkify(*arguments)
    other = sparkify(*arguments, "--start", "2020-02-29")
    assert (first.exit_code, again.exit_code, other.exit_code) == (0, 0, 0)
    assert first.output.startswith(f"Wrote a sample lake to {tmp_path}/a/b: 1 day (2018-11-01),")
    assert again.output.startswith("Nothing to do")
    assert other.output.startswith("Replaced the sample lake")
    assert read_marker(tmp_path / "a" / "b")["end"] == "2020-02-29"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--days", "0"], "Error: days is 0: give 1 or more\n"),
        (["--songs", "-5"], "Error: songs is -5: give 1 or more\n"),
        (["--users", "0"], "Error: users is 0: give 1 or more\n"),
        (
            ["--events-per-day", "5000", "--users", "99"],
            "Error: 5000 events a day are too many for 99 users: give at least 100 users\n",
        ),
        (
            ["--start", "1970-01-01"],
            "Error: start 1970-01-01 with 30 days is out of range: "
            "keep it within 1971-01-01 to 2199-12-31\n",
        ),
        (
            ["--days", "9999999"],
            "Error: start 2018-11-01 with 9999999 days is out of range: "
            "keep it within 1971-01-01 to 2199-12-31\n",
        ),
    ],
)
def test_wrong_numbers_are_refused_in_one_line(tmp_path, arguments, message):
    result = sparkify(tmp_path / "lake", *arguments)
    assert (result.exit_code, result.output) == (1, message)
    assert not (tmp_path / "lake").exists()


def test_wrong_places_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert (
        sparkify(tmp_path / "file").output == f"Error: {tmp_path}/file is a file: name a folder\n"
    )
    below = sparkify(tmp_path / "file" / "lake")
    assert (below.exit_code, below.output.count("\n")) == (1, 1)
    remote = sparkify("s3://bucket/prefix")
    assert remote.exit_code == 1
    assert "s3://bucket/prefix is not a local folder" in remote.output


def test_users_grow_with_the_events():
    assert users_for(270) == 100
    assert users_for(33_334) == 11_111


def test_a_terminal_gets_a_progress_bar(tmp_path):
    terminal, handle = os.openpty()
    script = "from sparkify_dagster.cli import main; main()"
    arguments = ["sample-data", str(tmp_path / "lake"), "--days", "1", "--songs", "2"]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=handle,
        check=True,
    )
    os.close(handle)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "songs" in shown
    assert "events" in shown
    assert result.stdout.startswith(b"Wrote a sample lake")


def test_the_generator_does_not_load_dagster():
    script = (
        "import sys, sparkify_dagster.cli.sample_data; "
        "sys.exit(bool({'dagster', 'pandas', 'duckdb', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
