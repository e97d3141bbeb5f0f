"""The lake folders, as external assets: Dagster does not make them, the tables depend on them."""

import datetime as dt
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from sparkify_dagster.assets.common import grouped
from sparkify_dagster.lake.base import SAMPLE_MARKER
from sparkify_dagster.loading.days import CHANGED, GONE, LOADED, Day, is_late, newest_day
from sparkify_dagster.presentation import asset_key
from sparkify_dagster.settings import Settings

# A day, and some hours for a file or a run that is late.
WARN_AFTER = dt.timedelta(hours=26)
FAIL_AFTER = dt.timedelta(hours=36)


def build_lake_assets(settings: Settings) -> list[dg.AssetSpec]:
    """Return the two folders."""
    return [
        dg.AssetSpec(
            asset_key(settings, "log_data"),
            description=(
                "User activity. One JSON-lines file a day, "
                "log_data/YYYY/MM/YYYY-MM-DD-events.json. Its partitions are the days that the "
                "lake has; the loads report them."
            ),
            # Which ones there are is told by the loads.
            partitions_def=dg.DynamicPartitionsDefinition(name=_partitions_name(settings)),
            freshness_policy=daily_freshness(settings),
            **grouped("lake", "json"),
        ),
        dg.AssetSpec(
            asset_key(settings, "song_data"),
            description="The song catalogue. One JSON file a song, song_data/A/B/C/TR*.json.",
            **grouped("lake", "json"),
        ),
    ]


def report_days(
    instance: dg.DagsterInstance,
    settings: Settings,
    before: Mapping[dt.date, Day],
    now: Mapping[dt.date, Day],
    loaded: Collection[dt.date] = (),
) -> None:
    """Bring the partitions of log_data up to date: which days there are, and what became of each.

    Reported outside the run, so that they outlast it where old runs are pruned.
    """
    key, name = asset_key(settings, "log_data"), _partitions_name(settings)
    known = set(instance.get_dynamic_partitions(name))
    days = {day.isoformat(): found for day, found in now.items()}
    instance.add_dynamic_partitions(name, sorted(days.keys() - known))
    for gone in known - days.keys():
        instance.delete_dynamic_partition(name, gone)
    news = {
        day
        for day, found in now.items()
        if day in loaded
        or found.state in (CHANGED, GONE)
        or found != before.get(day)
        or day.isoformat() not in known
    }
    arrived = _arrived(settings, instance.get_materialized_partitions(key), now)
    for day in sorted(news | arrived):
        event = dg.AssetMaterialization if day in arrived else dg.AssetObservation
        found = now[day]
        metadata: dict[str, Any] = {"state": found.state, "dagster/partition_row_count": found.rows}
        text = f"The file of {day} is {found.state}."
        instance.report_runless_asset_event(event(key, text, metadata, day.isoformat()))


def _partitions_name(settings: Settings) -> str:
    return "/".join((*settings.asset_key_prefix, "log_data_days"))


def _arrived(
    settings: Settings, materialized: Collection[str], days: Mapping[dt.date, Day]
) -> set[dt.date]:
    """Return the loaded days to be reported as materialized, each once.

    Where freshness is watched, it counts from the latest of these: so those that fill an older gap
    wait for a newest day to come.
    """
    waiting = {
        day
        for day, found in days.items()
        if found.state == LOADED and day.isoformat() not in materialized
    }
    newest = newest_day(days)
    is_due = newest in waiting and not is_late(newest, dt.datetime.now(dt.UTC).date())
    return waiting if is_due or not materialized or not daily_freshness(settings) else set()


def daily_freshness(settings: Settings) -> dg.FreshnessPolicy | None:
    """Return the policy of log_data, or None where no day is due.

    None is as long as the automation is off, nor in a sample lake whose last day is over: it would
    be red for ever.
    """
    end = sample_end(settings.lake)
    is_over = end is not None and end < dt.datetime.now(dt.UTC).date()
    if is_over or not settings.automation:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=FAIL_AFTER, warn_window=WARN_AFTER)


def sample_end(lake: str) -> dt.date | None:
    """Return the last day of a sample lake, which says it itself; None of any other."""
    marker = Path(lake) / SAMPLE_MARKER
    if "://" in lake or not marker.is_file():
        return None
    try:
        return dt.date.fromisoformat(json.loads(marker.read_bytes())["end"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # another's file of that name
