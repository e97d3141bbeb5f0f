"""What the statements of a run took, from Redshift's system views."""

from datetime import datetime
from typing import Any

from sparkify_dagster.warehouse.redshift.connection import Connection

_MICROSECONDS = 1_000_000


def read_costs(
    connection: Connection, run_id: str, since: datetime
) -> dict[str, dict[str, float | int]]:
    """Return what a run's changes took since a time, by label.

    Raises:
        WarehouseError: a view may not be read.
    """
    costs: dict[str, dict[str, float | int]] = {}
    for row in connection.query("redshift/costs", run_id=run_id, since=since):
        label = row.pop("query_label").removeprefix(f"{run_id}/")
        costs[label] = dict(_cost(*item) for item in row.items())
    return costs


def _cost(name: str, value: Any) -> tuple[str, float | int]:
    if name.endswith("_time"):
        return f"{name.removesuffix('_time')}_seconds", float(value or 0) / _MICROSECONDS
    return name, int(value or 0)
