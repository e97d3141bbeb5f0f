"""The staging tables: the lake's files as rows, nothing filtered."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from sparkify_dagster.assets.common import StagingConfig, asset_arguments, load_table, materialized
from sparkify_dagster.assets.lake import report_days
from sparkify_dagster.lake.days import parse_days
from sparkify_dagster.loading.days import (
    CHANGED,
    COMPARED_WEEKS,
    LOADED,
    Day,
    has_ended,
    is_late,
    newest_day,
    unusual_days,
    what_became,
)
from sparkify_dagster.loading.plan import Order
from sparkify_dagster.loading.removals import describe
from sparkify_dagster.loading.schema import prepare
from sparkify_dagster.loading.sharing import list_events
from sparkify_dagster.loading.staging import StagingResult, known_files, load_files
from sparkify_dagster.presentation import asset_key, refusals
from sparkify_dagster.report.sections import volume_chart
from sparkify_dagster.resources import LakeResource, RendererResource, WarehouseResource
from sparkify_dagster.settings import Settings
from sparkify_dagster.table import Table
from sparkify_dagster.tables import LOAD_CHECKS, STAGING_EVENTS, STAGING_SONGS
from sparkify_dagster.text import markdown
from sparkify_dagster.warehouse.base import SHOWN_LINES, Session

if TYPE_CHECKING:
    from sparkify_dagster.report.renderer import Renderer


class EventsConfig(StagingConfig):
    """How to load the events."""

    days: str = ""
    """Look at these days only (UTC): a day as 2018-11-05, a range as 2018-11-01..2018-11-05, or
    several with commas between. Empty: at all of the lake. With full_refresh: true they are read
    again though their files are the same."""


def build_staging_events(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of the events."""

    @dg.asset(
        **asset_arguments(STAGING_EVENTS, settings),
        check_specs=_check_specs(STAGING_EVENTS, settings),
    )
    def staging_events(
        context: dg.AssetExecutionContext,
        config: EventsConfig,
        warehouse: WarehouseResource,
        lake: LakeResource,
        renderer: RendererResource,
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Load the new and changed days, and tell what has become of each."""
        order = _order(context, STAGING_EVENTS, config, settings, lake)
        before: dict[dt.date, Day] = {}
        done = StagingResult(has_more=True)  # the slices so far

        def load(session: Session) -> tuple[StagingResult, dict[dt.date, Day]]:
            session.take_turn()  # there is mostly a new day, and so nothing is looked at twice
            listed = list_events(session, order.lake)
            in_lake = {file.day for file in listed if file.day}
            days = parse_days(config.days, in_lake) if config.days.strip() else None
            prepare(session)
            before.clear()
            before.update(what_became(listed, known_files(session, STAGING_EVENTS)))
            again = config.full_refresh and not done.load_id
            result = load_files(session, replace(order, days=days, full_refresh=again), listed)
            return result, what_became(listed, result.known)

        while done.has_more:
            try:
                (result, days), metadata = load_table(
                    context, warehouse, STAGING_EVENTS, load, order.refused
                )
            except dg.Failure:
                if before:
                    report_days(context.instance, settings, before, before)
                raise
            report_days(context.instance, settings, before, days, result.days)
            done = result.after(done)
        yield from _results(context, done, metadata)
        yield _recent(days)
        yield _usual(days, done, renderer)

    return staging_events


def build_staging_songs(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of the songs."""

    @dg.asset(
        **asset_arguments(STAGING_SONGS, settings),
        check_specs=_check_specs(STAGING_SONGS, settings),
    )
    def staging_songs(
        context: dg.AssetExecutionContext,
        config: StagingConfig,
        warehouse: WarehouseResource,
        lake: LakeResource,
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Load the new and changed song files; take out the rows of those that have gone."""
        order = _order(context, STAGING_SONGS, config, settings, lake)
        result, metadata = load_table(
            context,
            warehouse,
            STAGING_SONGS,
            lambda session: load_files(session, order),
            order.refused,
        )
        yield from _results(context, result, metadata)

    return staging_songs


def _check_specs(table: Table, settings: Settings) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=asset_key(settings, table.name), description=description)
        for name, description in LOAD_CHECKS[table.name].items()
    ]


def _order(
    context: dg.AssetExecutionContext,
    table: Table,
    config: StagingConfig,
    settings: Settings,
    lake: LakeResource,
) -> Order:
    with refusals(context):
        source = lake.open()
    return Order(
        table,
        source,
        context.run.run_id,
        config.full_refresh,
        settings.copy_max_errors,
        config.removal_limit(settings),
        config.rebuild_limit(settings),
        refused={} if settings.skip_bad_files else None,
        slice_days=settings.slice_days,
    )


def _results(
    context: dg.AssetExecutionContext, result: StagingResult, metadata: dict[str, Any]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    done = {"files_read": result.files_read, "files_removed": result.files_removed}
    yield materialized(context, result, metadata | done)
    unknown, removal, bad = sorted(result.unknown_keys), result.removal, result.bad_files
    error = dg.AssetCheckSeverity.ERROR
    yield _told("all_files_loaded", _say_bad_files(bad), severity=error, rejected_files=len(bad))
    ignored = f"Ignored: {markdown(', '.join(unknown))}" if unknown else ""
    yield _told("known_keys", ignored, unknown_keys=len(unknown))
    rejected = "\n".join(markdown(str(line)) for line in result.rejected)
    yield _told("all_lines_loaded", rejected, rejected_lines=len(result.rejected))
    yield _told(
        "removed_files",
        markdown(describe(removal)),
        files_removed=result.files_removed,
        rows_removed=removal.rows_lost,
        rows_before=removal.rows,
    )
    left_out = markdown(", ".join(result.left_out[:SHOWN_LINES]))
    not_taken = f"Not taken: {left_out}" if left_out else ""
    yield _told("known_names", not_taken, names_not_taken=len(result.left_out))


def _told(
    name: str,
    text: str,
    passes: bool | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
    **metadata: Any,
) -> dg.AssetCheckResult:
    """Return a result, which fails where there is something to say unless it `passes`."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=not text if passes is None else passes,
        severity=severity,
        description=text or None,
        metadata=metadata,
    )


def _say_bad_files(bad: Mapping[str, str]) -> str:
    lines = [line for reason in bad.values() for line in reason.splitlines()]
    parts = [
        f"{len(bad)} file(s) left out:",
        *map(markdown, lines[:SHOWN_LINES]),
        "What was loaded before of their days, or of these songs, stays until the table is "
        "built anew. Correct the files: each is read again when it changes. "
        "staging.rejected_files has all, staging.rejected_lines their lines.",
    ]
    return "\n\n".join(parts) if bad else ""


def _recent(days: Mapping[dt.date, Day]) -> dg.AssetCheckResult:
    newest, today = newest_day(days), dt.datetime.now(dt.UTC).date()
    age, text = (today - newest).days, ""
    if has_ended(newest, today):
        text = f"The lake has ended with {newest}: nothing is due."
    elif is_late(newest, today):
        text = f"The newest day is {newest}, {age} days ago. Look at what delivers the files."
    passes = not is_late(newest, today)
    days_old: dict[str, Any] = {"newest_day": newest.isoformat(), "age_days": age}
    return _told("newest_day_is_recent", text, passes, **days_old)


def _usual(
    days: Mapping[dt.date, Day], result: StagingResult, renderer: RendererResource
) -> dg.AssetCheckResult:
    rows = {day: found.rows for day, found in days.items() if found.state in (LOADED, CHANGED)}
    unusual = unusual_days(rows, result.days)
    metadata: dict[str, Any] = {"unusual_days": len(unusual)}
    if unusual:
        metadata["chart"] = _volume(rows, {found.day for found in unusual}, renderer.open())
    text = "\n".join(
        f"{found.day} ({found.day:%A}): {found.rows:,} events; the median of the {found.weeks} "
        f"weeks before is {found.usual:,.0f}."
        for found in unusual
    )
    return _told("usual_volume", text, **metadata)


def _volume(
    rows: Mapping[dt.date, int], unusual: set[dt.date], renderer: "Renderer"
) -> dg.MetadataValue:
    shown = [
        {"day": f"{day}", "events": count, "kind": "unusual" if day in unusual else "usual"}
        for day, count in rows.items()
        if min(unusual) - day <= dt.timedelta(weeks=COMPARED_WEEKS)
    ]
    picture = renderer.png(volume_chart(shown))
    return dg.MetadataValue.md(f"![Events a day](data:image/png;base64,{picture()})")
