"""The jobs: everything, starting afresh, and pruning Dagster's history."""

import datetime as dt

import dagster as dg
from pydantic import Field

from sparkify_dagster.loading.schema import reset
from sparkify_dagster.resources import WarehouseResource
from sparkify_dagster.settings import Settings

CONFIRMATION = "drop all tables"
ENDED = [dg.DagsterRunStatus[name] for name in ("SUCCESS", "FAILURE", "CANCELED")]

sparkify_etl = dg.define_asset_job(
    "sparkify_etl",
    selection=dg.AssetSelection.groups("staging", "star", "analytics"),
    description=(
        "Everything: loads what is new or changed in the lake, brings every table up to date and "
        "checks it. One click, no setting. To look at some days only, name them in the config of "
        "staging_events: days: 2018-11-01..2018-11-05."
    ),
)


class ResetConfig(dg.Config):
    """The confirmation that reset_warehouse asks for."""

    confirm: str = Field("", description=f"To empty the warehouse, write: {CONFIRMATION}")


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


@dg.job(
    description=(
        "Drops and recreates all tables; the next sparkify_etl loads the whole lake. To confirm, "
        f"write into the config below, after confirm: {CONFIRMATION}"
    ),
    # What the launchpad shows at first.
    config={"ops": {"drop_and_create_tables": {"config": {"confirm": ""}}}},
)
def reset_warehouse() -> None:
    """Start afresh."""
    drop_and_create_tables()


def build_prune_history(settings: Settings) -> dg.JobDefinition:
    """Return the job that deletes old runs; it does so where SPARKIFY_HISTORY_DAYS is set."""
    days = settings.history_days

    @dg.op(description="Deletes old runs with their events.")
    def delete_old_runs(context: dg.OpExecutionContext) -> None:
        """Delete the runs that ended long ago, but for those that an asset's page stands on.

        Raises:
            dg.Failure: SPARKIFY_HISTORY_DAYS is not set.
        """
        if not days:
            raise dg.Failure(
                "Nothing was deleted: set SPARKIFY_HISTORY_DAYS to the days that runs are kept.",
                allow_retries=False,
            )
        before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
        context.log.info(f"{prune(context.instance, context.repository_def, before)} runs deleted.")

    @dg.job(
        description=(
            "Deletes Dagster's runs and their events once they are older than "
            "SPARKIFY_HISTORY_DAYS, which open-source Dagster keeps for ever. The latest "
            "materialization and check results of every asset stay. "
            + (f"Runs older than {days} days go." if days else "Off: the setting is 0.")
        )
    )
    def prune_history() -> None:
        delete_old_runs()

    return prune_history


def prune(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, before: dt.datetime
) -> int:
    """Delete the runs of a code location that ended before a moment; return how many.

    Those with the latest materialization of an asset or the latest result of a check stay.
    """
    graph = repository.asset_graph
    assets = graph.get_all_asset_keys()
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        list(graph.asset_check_keys)
    )
    latest = [
        *instance.get_latest_materialization_events(list(assets)).values(),
        *(record.event for record in checks.values()),
    ]
    needed = {event.run_id for event in latest if event}
    ended = dg.RunsFilter(statuses=ENDED, updated_before=before)
    old = [record.dagster_run for record in instance.get_run_records(ended)]
    # Several code locations may share an instance, and each has runs of single assets.
    ours = {
        run.run_id
        for run in old
        if run.job_name in jobs or (run.asset_selection and run.asset_selection <= assets)
    }
    for run_id in ours - needed:
        instance.delete_run(run_id)
    return len(ours - needed)
