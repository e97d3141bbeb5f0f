"""The dbt project as Dagster assets and checks, run with `dagster job execute -f`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

project = DbtProject(Path(__file__).parent, target_path=Path(os.environ["DBT_TARGET_PATH"]))
if not project.manifest_path.exists():
    project.preparer.prepare(project)


@dbt_assets(manifest=project.manifest_path)
def models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    """Build and test the selected models."""
    yield from dbt.cli(["build"], context=context).stream()


defs = dg.Definitions(
    assets=[models],
    jobs=[
        dg.define_asset_job("everything"),
        dg.define_asset_job(
            "new_day",
            selection=dg.AssetSelection.assets(["staging", "staging_events"]).downstream(),
        ),
    ],
    resources={"dbt": DbtCliResource(project_dir=project)},
    executor=dg.in_process_executor,
)
