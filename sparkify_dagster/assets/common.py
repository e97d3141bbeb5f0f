"""What all table assets share: how they are declared and what each materialization carries."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import dagster as dg
from pydantic import ConfigDict

from sparkify_dagster.lineage import read_lineage
from sparkify_dagster.loading.ledger import first_rows, row_count
from sparkify_dagster.loading.plan import EVERYTHING, Refused
from sparkify_dagster.loading.refresh import RefreshResult
from sparkify_dagster.loading.rejects import skipping
from sparkify_dagster.loading.staging import StagingResult
from sparkify_dagster.loading.version import read_version
from sparkify_dagster.presentation import asset_key, refusals, shown
from sparkify_dagster.report.sections import SECTIONS
from sparkify_dagster.resources import WarehouseResource
from sparkify_dagster.settings import Settings
from sparkify_dagster.table import Table
from sparkify_dagster.text import code_block, markdown_table
from sparkify_dagster.warehouse.base import Session

Result = TypeVar("Result")

PREVIEW_ROWS = 5
_SHOWN_SQL = 5000  # characters of a statement; no load has more, but the ledger keeps their SQL


class LoadConfig(dg.Config):
    """How to load, per asset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    full_refresh: bool = False
    """true: build the table anew, whatever has changed. false: take in what is new or changed, as
    every run does."""
    accept_rebuild: bool = False
    """true: build the table anew, however large, where its SQL or that of a source has changed.
    false: stop before more than SPARKIFY_REBUILD_LIMIT_ROWS are built anew."""

    def rebuild_limit(self, settings: Settings) -> int | None:
        """Return how many rows may be built anew unasked; None: any, as in an environment."""
        return None if self.accept_rebuild or settings.environment else settings.rebuild_limit


class StagingConfig(LoadConfig):
    """How to load files."""

    accept_removals: bool = False
    """true: take out whatever the lake no longer has, however much that is, and take a lake at
    another address. false: stop before more than SPARKIFY_REMOVAL_LIMIT_PERCENT goes."""

    def removal_limit(self, settings: Settings) -> int:
        """Return how much of a table may be taken out, in percent."""
        return EVERYTHING if self.accept_removals else settings.removal_limit


def asset_arguments(table: Table, settings: Settings) -> dict[str, Any]:
    """Return the arguments of `@asset` that follow from the facts about a table."""
    made = read_lineage().get(table.name, {}).items()
    return {
        "key": asset_key(settings, table.name),
        "description": table.summary,
        "deps": [asset_key(settings, name) for name in table.depends_on],
        **grouped(table.group, settings.target, "sql"),
        "code_version": read_version(table)[:12],
        # One writer at a time, also where several runs are queued.
        "pool": "warehouse",
        "metadata": {
            "dagster/table_name": table.qualified_name,
            "dagster/column_schema": _column_schema(table),
            "dagster/column_lineage": _column_lineage(table, settings),
            # For people: the open-source UI does not show the one above.
            "lineage": dg.MetadataValue.md(
                markdown_table(
                    ("column", "made from"), [(name, ", ".join(sources)) for name, sources in made]
                )
            ),
        },
    }


def grouped(group: str, *kinds: str) -> dict[str, Any]:
    """Return what all assets of a group say alike."""
    return {
        "group_name": group,
        "kinds": {*kinds},
        "owners": ["team:data-platform"],
        "tags": {"layer": group},
    }


def _column_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.type,
                column.description,
                dg.TableColumnConstraints(
                    nullable=not column.required, unique=[*table.key] == [column.name]
                ),
            )
            for column in table.columns
        ]
    )


def _column_lineage(table: Table, settings: Settings) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key(settings, name), source_column)
                for name, _, source_column in (source.partition(".") for source in sources)
            ]
            for column, sources in read_lineage().get(table.name, {}).items()
        }
    )


def load_table(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    table: Table,
    load: Callable[[Session], Result],
    refused: Refused | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Run `load` in one transaction; return its outcome and the materialization's metadata.

    With `refused`, which takes up the bad files found, it is run again without these.

    Raises:
        dg.Failure: the lake or the warehouse refuses, or lines do not fit; nothing was changed.
    """
    started = time.perf_counter()

    def body(session: Session) -> tuple[Result, dict[str, Any]]:
        result = load(session)
        texts = (text[:_SHOWN_SQL] for text in session.statements)
        sql = dg.MetadataValue.md(code_block(";\n\n".join(texts), "sql"))
        return result, {**_describe(session, table), "sql": sql}

    label = f"{context.run.job_name}/{table.name}"
    with refusals(context):
        result, metadata = skipping(
            lambda: warehouse.open().transaction(body, label, context.run.run_id), refused
        )
    return result, {**metadata, "seconds": round(time.perf_counter() - started, 3)}


def materialized(
    context: dg.AssetExecutionContext,
    result: RefreshResult | StagingResult,
    metadata: dict[str, Any],
) -> dg.MaterializeResult:
    """Return what Dagster is told of a load.

    The data version is the number of the table's latest load: whoever builds on the table learns
    whether its data changed.
    """
    # In the result, it would be kept once more, with the event of the step's output.
    context.add_asset_metadata(metadata)
    return dg.MaterializeResult(data_version=dg.DataVersion(str(result.load_id)))


def _describe(session: Session, table: Table) -> dict[str, Any]:
    """Return row count and preview of a table as it now is; what is reported on needs none."""
    if table.name in SECTIONS:
        return {"dagster/row_count": row_count(session, table)}
    count, rows = first_rows(session, table, PREVIEW_ROWS)
    columns = tuple(column.name for column in table.columns)
    preview = markdown_table(columns, [tuple(map(shown, columns, row)) for row in rows])
    return {"dagster/row_count": count, "preview": dg.MetadataValue.md(preview)}
