"""`sparkify plan`: what a run would do, why, and what it would cost."""

import dataclasses
import json
import sys
from collections.abc import Sequence

import click

from sparkify_dagster.cli.formats import aligned
from sparkify_dagster.lake import open_lake
from sparkify_dagster.lake.changes import describe_days
from sparkify_dagster.loading.run_plan import NOTHING, REBUILD, REFUSED, TablePlan, plan_run
from sparkify_dagster.settings import load_settings
from sparkify_dagster.text import code_block, markdown, markdown_table, printable
from sparkify_dagster.warehouse import open_warehouse

_COLUMNS = ("table", "its SQL", "a run", "stored rows", "statements", "rows read")
_SHOWN_FILES = 5


def _as_text(plans: Sequence[TablePlan]) -> str:
    lines = aligned([_COLUMNS, *map(_row, plans)], numbers=(3, 4, 5), gap="  ").splitlines()
    for plan in filter(_is_told, plans):
        lines += ["", f"{plan.table}: {_what(plan)}", *(f"  {fact}" for fact in _facts(plan))]
        lines += [f"    {line}" for line in plan.diff.splitlines()]
    return "\n".join([*lines, "", *_conclusion(plans)])


def _as_markdown(plans: Sequence[TablePlan]) -> str:
    parts = [markdown_table(_COLUMNS, map(_row, plans))]
    for plan in filter(_is_told, plans):
        facts = [f"- {markdown(fact)}" for fact in _facts(plan)]
        parts.append("\n".join([f"**{plan.table}**: {markdown(_what(plan))}", "", *facts]))
        if plan.diff:
            parts.append(code_block(plan.diff, "diff"))
    return "\n\n".join([*parts, *map(markdown, _conclusion(plans))])


def _as_json(plans: Sequence[TablePlan]) -> str:
    found = {"exit_code": _exit_code(plans), "tables": list(map(dataclasses.asdict, plans))}
    return json.dumps(found, default=str, indent=1)


_FORMATS = {"text": _as_text, "markdown": _as_markdown, "json": _as_json}


@click.command("plan")
@click.option(
    "--format", "style", type=click.Choice(list(_FORMATS)), default="text", show_default=True
)
def command(*, style: str) -> None:
    """Tell what a run would do with each table, why, and what it would cost; change nothing.

    Statements and rows are estimates for Redshift. Exits with 2 where a run would stop: before a
    table of more than SPARKIFY_REBUILD_LIMIT_ROWS is built anew, and wherever else it would ask.
    """
    settings = load_settings()
    plans = plan_run(open_warehouse(settings).for_readers(), open_lake(settings.lake), settings)
    click.echo(_FORMATS[style](plans))
    sys.exit(_exit_code(plans))


def _exit_code(plans: Sequence[TablePlan]) -> int:
    return 2 if any(plan.needs_confirmation or plan.action == REFUSED for plan in plans) else 0


def _is_told(plan: TablePlan) -> bool:
    return bool(plan.reasons or plan.files)


def _row(plan: TablePlan) -> tuple[str, ...]:
    read = "unknown" if plan.rows_read is None else f"{plan.rows_read:,}"
    return (plan.table, plan.state, _what(plan), f"{plan.rows:,}", f"{plan.statements:,}", read)


def _what(plan: TablePlan) -> str:
    if plan.needs_confirmation:
        return f"{REBUILD}, to be confirmed"
    if plan.state == "new" and plan.action == REBUILD:
        return "first load"
    count = len(plan.days)
    return f"{plan.action}: {count:,} day{'s' * (count > 1)}" if count else plan.action


def _facts(plan: TablePlan) -> list[str]:
    """Return what is told of a table besides its row."""
    facts = [line for reason in plan.reasons for line in reason.splitlines()]
    if plan.days:
        facts.append(f"days: {describe_days(plan.days)}")
    news = [file for file in plan.files if file.change != "unchanged"]
    for file in news[:_SHOWN_FILES]:
        facts.append(f"{file.change}: {printable(file.name)} ({file.size:,} bytes)")
    if len(news) > _SHOWN_FILES:
        facts.append(f"and {len(news) - _SHOWN_FILES:,} files more (--format json has all)")
    if plan.affected:
        facts.append(f"affects {', '.join(plan.affected)}")
    return facts


def _conclusion(plans: Sequence[TablePlan]) -> list[str]:
    waiting = [plan.table for plan in plans if plan.needs_confirmation]
    refused = [plan.table for plan in plans if plan.action == REFUSED]
    done = sum(plan.action != NOTHING for plan in plans)
    some = f"A run brings {done} of {len(plans)} tables up to date."
    lines = [some if done else "Nothing to do."]
    if refused:
        lines = [f"A run stops at {refused[0]}: the reason is above."]
    if waiting:
        lines.append(
            f"{', '.join(waiting)}: larger than SPARKIFY_REBUILD_LIMIT_ROWS; confirm with "
            "`sparkify run --yes`, or accept_rebuild: true in the run config of each."
        )
    return lines
