"""How assets are named, and how failures and personal data are shown, everywhere in Dagster."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import dagster as dg

from sparkify_dagster.access import PERSONAL
from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.settings import SettingError, Settings
from sparkify_dagster.text import markdown_table
from sparkify_dagster.warehouse.base import LoadError, WarehouseError

HIDDEN = "***"  # as analysts see names in Redshift
# A run that failed so is asked for again by the sensor retry_transient_failures.
TRANSIENT_TAG = "sparkify/transient_failure"


def asset_key(settings: Settings, name: str) -> dg.AssetKey:
    """Return the key of an asset: its name after SPARKIFY_ASSET_KEY_PREFIX."""
    return dg.AssetKey([*settings.asset_key_prefix, name])


@contextmanager
def refusals(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[None]:
    """Make a step fail, where lake, settings or warehouse refuse, with a message that helps.

    Not retried within the run: the engine has retried what may pass within minutes. What may pass
    later marks the run.
    """
    try:
        yield
    except (LakeError, SettingError, WarehouseError) as error:
        if getattr(error, "transient", False):
            context.instance.add_run_tags(context.run.run_id, {TRANSIENT_TAG: "true"})
        metadata = None
        if isinstance(error, LoadError):
            columns = ("file", "line", "column", "reason", "value")
            table = markdown_table(columns, map(attrgetter(*columns), error.bad_lines))
            metadata = {"bad_lines": dg.MetadataValue.md(f"{table}\n\n{error.count} in all")}
        raise dg.Failure(str(error), metadata=metadata, allow_retries=False) from error


def shown(column: str, value: Any) -> Any:
    """Return a value as it may be shown: of a column that says who somebody is, not at all."""
    return HIDDEN if column in PERSONAL and value is not None else value
