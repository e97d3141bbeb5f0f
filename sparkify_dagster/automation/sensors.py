"""Sensors that see what arrives in the lake, and have it loaded.

Each requests one run of sparkify_etl without a partition for all that it found: that run loads
what is new or changed, and nothing else, so that a request too many costs seconds and changes
nothing. A run that failed for a transient reason is requested again by retry_transient_failures;
for any other, the nightly one makes up.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TypeVar

import dagster as dg

from sparkify_dagster.automation.jobs import sparkify_etl
from sparkify_dagster.lake import changes
from sparkify_dagster.lake.base import LakeError, Page
from sparkify_dagster.lake.changes import NO_DAYS_SEEN, CursorError, DaysSeen, SongsSeen
from sparkify_dagster.presentation import asset_key
from sparkify_dagster.resources import LakeResource
from sparkify_dagster.settings import Settings
from sparkify_dagster.text import printable

Seen = TypeVar("Seen")

LOG_INTERVAL = 60  # seconds
SONG_INTERVAL = 300  # seconds
# S3 lists 1,000 names a request: this many take 5 to 15 s, of the 60 s that a sensor is given.
SONGS_PER_TICK = 50_000


def build_lake_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the two sensors that look at the lake."""
    log_data, status = asset_key(settings, "log_data"), sensor_status(settings)

    @dg.sensor(
        job=sparkify_etl,
        minimum_interval_seconds=LOG_INTERVAL,
        default_status=status,
        description="Has new, changed and removed day files loaded: one run for all of them.",
    )
    def new_log_files(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        return _look_at_days(context, lake, log_data)

    @dg.sensor(
        job=sparkify_etl,
        minimum_interval_seconds=SONG_INTERVAL,
        default_status=status,
        description=(
            f"Has new, changed and removed song files loaded. Looks through {SONGS_PER_TICK:,} "
            "files at a time, and asks for one run when it has been through all of them."
        ),
    )
    def new_song_files(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        return _look_at_songs(context, lake)

    return [new_log_files, new_song_files]


def sensor_status(settings: Settings) -> dg.DefaultSensorStatus:
    """Return whether sensors start switched on."""
    return dg.DefaultSensorStatus["RUNNING" if settings.automation else "STOPPED"]


def _look_at_days(
    context: dg.SensorEvaluationContext, lake: LakeResource, log_data: dg.AssetKey
) -> dg.SensorResult:
    """Compare all day files with those of the last request.

    There are a few thousand at the most, which S3 lists in as many requests.
    """
    before = _unpacked(context, changes.unpack_days, NO_DAYS_SEEN)
    try:
        marks = changes.day_marks(lake.open().list_events())
    except LakeError as error:
        return dg.SensorResult(skip_reason=str(error))
    news, newest = changes.compare_days(before.marks, marks), max(marks)
    if not news:
        reason = (
            f"No change since the last request: {len(marks)} day files, the newest of {newest}."
        )
        return dg.SensorResult(skip_reason=reason)
    now = DaysSeen(before.requests + 1, marks)
    tags = {f"sparkify/days_{what}": changes.describe_days(days) for what, days in news.items()}
    events = _arrival(before, newest, len(marks), log_data)
    return _request("log_data", now.requests, changes.pack_days(now), tags, events)


def _look_at_songs(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
    """Look through the next stretch of the song files; at the end, compare them with last time.

    A stretch of names, not a folder a tick: its work is bounded whatever the folders look like,
    and the cursor stays at a few hundred bytes. Not by notification or inventory: both want rights
    on the bucket that a reader of somebody else's bucket has not, and neither exists in a folder.
    The price is time: a lake of a million files is gone through in 20 ticks, 100 minutes, and
    until then a batch that is still arriving is not asked for in pieces.
    """
    before = _unpacked(context, changes.unpack_songs, SongsSeen())
    try:
        page = lake.open().list_songs_page(before.resume_after, SONGS_PER_TICK)
    except LakeError as error:
        return dg.SensorResult(skip_reason=str(error))
    now = changes.look_through(before, page)
    cursor = changes.pack_songs(now)
    if now.requests == before.requests:
        return dg.SensorResult(skip_reason=_why_no_songs(before, now, page), cursor=cursor)
    assert now.whole is not None
    tags = {
        "sparkify/song_files": str(now.whole.count),
        "sparkify/song_files_before": str(before.whole.count if before.whole else 0),
    }
    return _request("song_data", now.requests, cursor, tags)


def _request(
    source: str,
    requests: int,
    cursor: str,
    tags: dict[str, str],
    events: Sequence[dg.AssetMaterialization] = (),
) -> dg.SensorResult:
    run = dg.RunRequest(run_key=changes.request_key(source, requests, cursor), tags=tags)
    return dg.SensorResult(run_requests=[run], cursor=cursor, asset_events=events)


def _unpacked(
    context: dg.SensorEvaluationContext, unpack: Callable[[str], Seen], nothing: Seen
) -> Seen:
    """Return what the cursor says was seen; without one, all of the lake is one new batch."""
    if not context.cursor:
        return nothing
    try:
        return unpack(context.cursor)
    except CursorError as error:
        context.log.warning(f"The cursor cannot be read and is begun afresh ({error}).")
        return nothing


def _arrival(
    before: DaysSeen, newest: dt.date, count: int, log_data: dg.AssetKey
) -> list[dg.AssetMaterialization]:
    """Return the event that the freshness policy of log_data waits for, if the load is yet to come.

    It says that yesterday's file is there, so a file that fills an older gap is none; nor is one
    that is only corrected. The first look is one in any case: from then on a day may be missed.
    """
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    is_due = newest >= yesterday and newest > max(before.marks, default=dt.date.min)
    if before.marks and not is_due:
        return []
    return [
        dg.AssetMaterialization(
            log_data,
            description=f"The file of {newest} has come.",
            metadata={"newest_day": newest.isoformat(), "day_files": count},
        )
    ]


def _why_no_songs(before: SongsSeen, now: SongsSeen, page: Page) -> str:
    if page.resume_after is not None:
        last = printable(page.resume_after)
        return f"Looked through {now.so_far.count:,} song files so far, up to {last}."
    if now.whole is None or not (before.so_far.count or page.files):
        return "The lake holds no song file (expected song_data/A/B/C/TR*.json)."
    return f"No change since the last request: {now.whole.count:,} song files."
