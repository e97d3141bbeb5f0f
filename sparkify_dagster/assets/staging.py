"""The staging tables: the lake's files as rows, nothing filtered."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from sparkify_dagster.assets.common import StagingConfig, asset_arguments, load_table
from sparkify_dagster.automation.freshness import daily_freshness
from sparkify_dagster.loading.removals import describe
from sparkify_dagster.loading.staging import StagingResult, load_events, load_songs
from sparkify_dagster.resources import LakeResource, WarehouseResource
from sparkify_dagster.settings import load_settings
from sparkify_dagster.table import Table
from sparkify_dagster.tables import FILE_CHECKS, STAGING_EVENTS, STAGING_SONGS
from sparkify_dagster.text import markdown
from sparkify_dagster.warehouse.base import SHOWN_LINES


def daily_partitions() -> dg.DailyPartitionsDefinition:
    """Return the days of the event files; the sample lake says its own first and last day."""
    settings = load_settings()
    end = settings.partition_end
    return dg.DailyPartitionsDefinition(
        start_date=settings.partition_start.isoformat(),
        # Dagster's end is exclusive, the setting is the last day.
        end_date=(end + dt.timedelta(days=1)).isoformat() if end else None,
    )


def _file_checks(table: Table) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=table.name, description=description)
        for name, description in FILE_CHECKS.items()
    ]


@dg.asset(
    **asset_arguments(STAGING_EVENTS),
    partitions_def=daily_partitions(),
    freshness_policy=daily_freshness(load_settings()),
    check_specs=_file_checks(STAGING_EVENTS),
)
def staging_events(
    context: dg.AssetExecutionContext,
    config: StagingConfig,
    warehouse: WarehouseResource,
    lake: LakeResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Load the new and changed days: those of the run's partitions, or all of the lake."""
    partitioned = context.has_partition_key or context.has_partition_key_range
    days = [dt.date.fromisoformat(key) for key in context.partition_keys] if partitioned else None
    settings = load_settings()
    result, metadata = load_table(
        context,
        warehouse.open(),
        STAGING_EVENTS,
        lambda session: load_events(
            session,
            lake.open(),
            days,
            config.full_refresh,
            settings.copy_max_errors,
            context.run.run_id,
            config.removal_limit(),
        ),
    )
    metadata |= _what_was_done(result)
    if days is None:
        partitions = daily_partitions()
        for day, rows in result.days.items():
            if partitions.has_partition_key(day.isoformat()):
                context.log_event(
                    dg.AssetMaterialization(
                        STAGING_EVENTS.name,
                        partition=day.isoformat(),
                        metadata={"dagster/partition_row_count": rows},
                    )
                )
    else:
        for day in days:
            context.add_asset_metadata(
                {"dagster/partition_row_count": result.days.get(day, 0)},
                asset_key=STAGING_EVENTS.name,
                partition_key=day.isoformat(),
            )
    yield dg.MaterializeResult(metadata=metadata)
    yield from _file_check_results(result)


@dg.asset(**asset_arguments(STAGING_SONGS), check_specs=_file_checks(STAGING_SONGS))
def staging_songs(
    context: dg.AssetExecutionContext,
    config: StagingConfig,
    warehouse: WarehouseResource,
    lake: LakeResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Load the new and changed song files; take out the rows of those that have gone."""
    result, metadata = load_table(
        context,
        warehouse.open(),
        STAGING_SONGS,
        lambda session: load_songs(
            session,
            lake.open(),
            config.full_refresh,
            load_settings().copy_max_errors,
            context.run.run_id,
            config.removal_limit(),
        ),
    )
    yield dg.MaterializeResult(metadata=metadata | _what_was_done(result))
    yield from _file_check_results(result)


def _what_was_done(result: StagingResult) -> dict[str, int]:
    return {"files_read": result.files_read, "files_removed": result.files_removed}


def _file_check_results(result: StagingResult) -> Iterator[dg.AssetCheckResult]:
    unknown = sorted(result.unknown_keys)
    yield dg.AssetCheckResult(
        check_name="known_keys",
        passed=not unknown,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Ignored: {markdown(', '.join(unknown))}" if unknown else None,
        metadata={"unknown_keys": len(unknown)},
    )
    yield dg.AssetCheckResult(
        check_name="all_lines_loaded",
        passed=not result.rejected,
        severity=dg.AssetCheckSeverity.WARN,
        description="\n".join(markdown(str(line)) for line in result.rejected) or None,
        metadata={"rejected_lines": len(result.rejected)},
    )
    removal = result.removal
    yield dg.AssetCheckResult(
        check_name="removed_files",
        passed=not removal.rows_lost and not removal.gone,
        severity=dg.AssetCheckSeverity.WARN,
        description=markdown(describe(removal)) or None,
        metadata={
            "files_removed": result.files_removed,
            "rows_removed": removal.rows_lost,
            "rows_before": removal.rows,
        },
    )
    yield dg.AssetCheckResult(
        check_name="known_names",
        passed=not result.left_out,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Not taken: {markdown(', '.join(result.left_out[:SHOWN_LINES]))}"
        if result.left_out
        else None,
        metadata={"names_not_taken": len(result.left_out)},
    )
