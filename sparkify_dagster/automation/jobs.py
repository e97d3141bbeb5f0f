"""The jobs: everything, and starting afresh."""

import dagster as dg

from sparkify_dagster.loading.schema import reset
from sparkify_dagster.resources import WarehouseResource

CONFIRMATION = "drop all tables"

sparkify_etl = dg.define_asset_job(
    "sparkify_etl",
    selection=dg.AssetSelection.groups("staging", "star", "analytics"),
    description=(
        "Everything: loads what is new or changed in the lake, brings every table up to date and "
        "checks it. With a partition or a range of days, only those days are loaded."
    ),
)


class ResetConfig(dg.Config):
    """The confirmation that reset_warehouse asks for."""

    confirm: str = ""


@dg.op(
    description="Drops all tables and views of the platform and creates them empty.",
    pool="warehouse",
)
def drop_and_create_tables(
    context: dg.OpExecutionContext, config: ResetConfig, warehouse: WarehouseResource
) -> None:
    """Start afresh; the next sparkify_etl loads the whole lake.

    Raises:
        dg.Failure: the confirmation is missing from the run config.
    """
    engine = warehouse.open()
    if config.confirm != CONFIRMATION:
        raise dg.Failure(
            f"Nothing was dropped. reset_warehouse empties {engine.place}; to confirm, put this "
            "into the run config:\n\nops:\n  drop_and_create_tables:\n    config:\n"
            f"      confirm: {CONFIRMATION}\n",
            allow_retries=False,
        )
    engine.transaction(reset, f"{context.run.job_name}/reset", context.run.run_id)
    context.log.info(f"All tables of {engine.place} are empty.")


@dg.job(description="Drops and recreates all tables. Asks for a confirmation in its run config.")
def reset_warehouse() -> None:
    """Start afresh."""
    drop_and_create_tables()
