"""The staging tables: the lake's files as rows, nothing filtered."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from sparkify_dagster.assets.common import (
    StagingConfig,
    asset_arguments,
    load_table,
    materialized,
)
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
from sparkify_dagster.loading.rejects import Refused
from sparkify_dagster.loading.removals import describe
from sparkify_dagster.loading.sharing import list_events
from sparkify_dagster.loading.staging import (
    StagingResult,
    load_events,
    load_songs,
    open_books,
)
from sparkify_dagster.presentation import asset_key
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

    days: str = Field(
        default="",
        description=(
            "Look at these days only (UTC): a day as 2018-11-05, a range as "
            "2018-11-01..2018-11-05, or several with commas between. Empty: at all of the lake. "
            "With full_refresh: true they are read again though their files are the same."
        ),
    )


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
        source = lake.open()
        before: dict[dt.date, Day] = {}
        refused: Refused | None = {} if settings.skip_bad_files else None
        done = StagingResult(has_more=True)  # the slices so far

        def load(session: Session) -> tuple[StagingResult, dict[dt.date, Day]]:
            session.take_turn()  # there is mostly a new day, and so nothing is looked at twice
            listed = list_events(session, source)
            in_lake = {file.day for file in listed if file.day}
            days = parse_days(config.days, in_lake) if config.days.strip() else None
            books = open_books(session, STAGING_EVENTS)
            before.clear()
            before.update(what_became(listed, books.known))
            result = load_events(
                session,
                source,
                days,
                config.full_refresh and not done.load_id,
                settings.copy_max_errors,
                context.run.run_id,
                config.removal_limit(settings),
                books,
                refused,
                config.rebuild_limit(settings),
                settings.slice_days,
            )
            return result, what_became(listed, result.known)

        while done.has_more:
            try:
                (result, days), metadata = load_table(
                    context, warehouse.open(), STAGING_EVENTS, load, refused
                )
            except dg.Failure:
                if before:
                    report_days(context.instance, settings, before, before)
                raise
            report_days(context.instance, settings, before, days, result.days)
            done = result.after(done)
        yield materialized(context, done, metadata | _what_was_done(done))
        yield from _file_check_results(done)
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
        refused: Refused | None = {} if settings.skip_bad_files else None
        result, metadata = load_table(
            context,
            warehouse.open(),
            STAGING_SONGS,
            lambda session: load_songs(
                session,
                lake.open(),
                config.full_refresh,
                settings.copy_max_errors,
                context.run.run_id,
                config.removal_limit(settings),
                refused,
                config.rebuild_limit(settings),
            ),
            refused,
        )
        yield materialized(context, result, metadata | _what_was_done(result))
        yield from _file_check_results(result)

    return staging_songs


def _check_specs(table: Table, settings: Settings) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=asset_key(settings, table.name), description=description)
        for name, description in LOAD_CHECKS[table.name].items()
    ]


def _what_was_done(result: StagingResult) -> dict[str, Any]:
    return {"files_read": result.files_read, "files_removed": result.files_removed}


def _file_check_results(result: StagingResult) -> Iterator[dg.AssetCheckResult]:
    unknown, removal, bad = sorted(result.unknown_keys), result.removal, result.bad_files
    yield dg.AssetCheckResult(
        check_name="all_files_loaded",
        passed=not bad,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_say_bad_files(bad) if bad else None,
        metadata={"rejected_files": len(bad)},
    )
    yield _warning(
        "known_keys",
        fails=bool(unknown),
        text=f"Ignored: {markdown(', '.join(unknown))}" if unknown else "",
        unknown_keys=len(unknown),
    )
    yield _warning(
        "all_lines_loaded",
        fails=bool(result.rejected),
        text="\n".join(markdown(str(line)) for line in result.rejected),
        rejected_lines=len(result.rejected),
    )
    yield _warning(
        "removed_files",
        fails=bool(removal.rows_lost or removal.gone),
        text=markdown(describe(removal)),
        files_removed=result.files_removed,
        rows_removed=removal.rows_lost,
        rows_before=removal.rows,
    )
    left_out = markdown(", ".join(result.left_out[:SHOWN_LINES]))
    yield _warning(
        "known_names",
        fails=bool(left_out),
        text=f"Not taken: {left_out}" if left_out else "",
        names_not_taken=len(result.left_out),
    )


def _warning(name: str, fails: bool, text: str, **metadata: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not fails,
        severity=dg.AssetCheckSeverity.WARN,
        description=text or None,
        metadata=metadata,
    )


def _say_bad_files(bad: Mapping[str, str]) -> str:
    lines = [line for reason in bad.values() for line in reason.splitlines()]
    return "\n\n".join(
        [
            f"{len(bad)} file(s) left out:",
            *map(markdown, lines[:SHOWN_LINES]),
            "What was loaded before of their days, or of these songs, stays until the table is "
            "built anew. Correct the files: each is read again when it changes. "
            "staging.rejected_files has all, staging.rejected_lines their lines.",
        ]
    )


def _recent(days: Mapping[dt.date, Day]) -> dg.AssetCheckResult:
    newest, today = newest_day(days), dt.datetime.now(dt.UTC).date()
    age, text = (today - newest).days, ""
    if has_ended(newest, today):
        text = f"The lake has ended with {newest}: nothing is due."
    elif is_late(newest, today):
        text = f"The newest day is {newest}, {age} days ago. Look at what delivers the files."
    fails = is_late(newest, today)
    return _warning(
        "newest_day_is_recent", fails, text, newest_day=newest.isoformat(), age_days=age
    )


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
    return _warning("usual_volume", bool(unusual), text, **metadata)


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
