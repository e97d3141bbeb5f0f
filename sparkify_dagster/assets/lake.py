"""The lake folders, as external assets: Dagster does not make them, the tables depend on them."""

import dagster as dg

from sparkify_dagster.automation.freshness import daily_freshness
from sparkify_dagster.settings import load_settings

LAKE_ASSETS = [
    dg.AssetSpec(
        "log_data",
        description=(
            "User activity. One JSON-lines file a day, log_data/YYYY/MM/YYYY-MM-DD-events.json."
        ),
        group_name="lake",
        kinds={"json"},
        owners=["team:data-platform"],
        tags={"layer": "lake"},
        # The sensor new_log_files reports the newest file.
        freshness_policy=daily_freshness(load_settings()),
    ),
    dg.AssetSpec(
        "song_data",
        description="The song catalogue. One JSON file a song, song_data/A/B/C/TR*.json.",
        group_name="lake",
        kinds={"json"},
        owners=["team:data-platform"],
        tags={"layer": "lake"},
    ),
]
