"""What all table assets share: how they are declared and what each materialization carries."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import dagster as dg

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lineage import read_lineage
from sparkify_dagster.loading.removals import EVERYTHING
from sparkify_dagster.loading.version import read_version
from sparkify_dagster.settings import load_settings
from sparkify_dagster.table import Table
from sparkify_dagster.text import code_block, markdown_table
from sparkify_dagster.warehouse.base import LoadError, Session, Warehouse, WarehouseError

Result = TypeVar("Result")

OWNERS = ["team:data-platform"]
PREVIEW_ROWS = 5


class LoadConfig(dg.Config):
    """How to load, per asset."""

    full_refresh: bool = False


class StagingConfig(LoadConfig):
    """How to load files."""

    accept_removals: bool = False  # take out whatever the lake lacks, or take another lake

    def removal_limit(self) -> int:
        """Return how much of a table may be taken out, in percent."""
        return EVERYTHING if self.accept_removals else load_settings().removal_limit


def asset_arguments(table: Table) -> dict[str, Any]:
    """Return the arguments of `@asset` that follow from the facts about a table."""
    target = load_settings().target
    return {
        "name": table.name,
        "description": table.summary,
        "group_name": table.group,
        "deps": list(table.depends_on),
        "kinds": {target, "sql"},
        "owners": OWNERS,
        "tags": {"layer": table.group},
        "code_version": read_version(table)[:12],
        # One writer at a time, also where several runs are queued.
        "pool": "warehouse",
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "metadata": {
            "dagster/table_name": table.qualified_name,
            "dagster/column_schema": column_schema(table),
            "dagster/column_lineage": column_lineage(table),
            # The open-source UI does not show the one above.
            "lineage": dg.MetadataValue.md(lineage_table(table)),
        },
    }


def column_schema(table: Table) -> dg.TableSchema:
    """Return the columns with types and descriptions, for the UI."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.type,
                column.description,
                dg.TableColumnConstraints(
                    nullable=not column.required, unique=table.key == (column.name,)
                ),
            )
            for column in table.columns
        ]
    )


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Return the columns that each column is made from, as Dagster keeps them."""
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(dg.AssetKey(source.split(".")[0]), source.split(".", 1)[1])
                for source in sources
            ]
            for column, sources in read_lineage().get(table.name, {}).items()
        }
    )


def lineage_table(table: Table) -> str:
    """Return the columns that each column is made from, for people."""
    rows = [
        (name, ", ".join(sources)) for name, sources in read_lineage().get(table.name, {}).items()
    ]
    return markdown_table(("column", "made from"), rows)


def load_table(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    table: Table,
    load: Callable[[Session], Result],
    show: Callable[[Session], Callable[[], dict[str, Any]]] | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Run `load` in one transaction; return its outcome and the materialization's metadata.

    `show` adds metadata of the table's own: it reads in the same transaction and returns what makes
    the metadata after it.

    Raises:
        dg.Failure: the lake or the warehouse refuses, or lines do not fit; nothing was changed.
    """
    started = time.perf_counter()

    def body(session: Session) -> tuple[Result, dict[str, Any], Callable[[], dict[str, Any]]]:
        result = load(session)
        sql = dg.MetadataValue.md(code_block(";\n\n".join(session.statements), "sql"))
        shown = show(session) if show else dict
        return result, {**_describe(session, table), "sql": sql}, shown

    label = f"{context.run.job_name}/{table.name}"
    try:
        result, metadata, shown = warehouse.transaction(body, label, context.run.run_id)
    except LoadError as error:
        raise dg.Failure(
            str(error), metadata={"bad_lines": bad_lines_table(error)}, allow_retries=False
        ) from error
    except (LakeError, WarehouseError) as error:
        # The engine has retried what may pass; the message says what helps.
        raise dg.Failure(str(error), allow_retries=False) from error
    seconds = round(time.perf_counter() - started, 3)
    return result, {**shown(), **metadata, "seconds": seconds}


def bad_lines_table(error: LoadError) -> dg.MetadataValue:
    """Return the first bad lines of a failed load as a table for the UI."""
    rows = [
        (line.file, line.line, line.column, line.reason, line.value) for line in error.bad_lines
    ]
    return dg.MetadataValue.md(
        markdown_table(("file", "line", "column", "reason", "value"), rows)
        + f"\n\n{error.count} in all"
    )


def _describe(session: Session, table: Table) -> dict[str, Any]:
    """Return row count and preview of a table as it now is."""
    name = table.qualified_name
    count = session.run(f"SELECT COUNT(*) FROM {name}")[0][0]  # noqa: S608
    columns = tuple(column.name for column in table.columns)
    preview = session.run(f"SELECT {', '.join(columns)} FROM {name} LIMIT {PREVIEW_ROWS}")  # noqa: S608
    return {
        "dagster/row_count": int(count),
        "preview": dg.MetadataValue.md(markdown_table(columns, preview)),
    }
