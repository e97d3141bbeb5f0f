"""The platform without its analysts' tables: the seven that a script, dbt and SQLMesh build here.

dagster job execute -m benchmarks.seven_tables -j seven_tables
"""

import dagster as dg

from sparkify_dagster.definitions import defs as platform

defs = dg.Definitions.merge(
    platform,
    dg.Definitions(
        jobs=[
            dg.define_asset_job(
                "seven_tables", selection=dg.AssetSelection.groups("staging", "star")
            )
        ],
    ),
)
