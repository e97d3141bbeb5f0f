"""What the statements of a run took, from Redshift's system views."""

from datetime import datetime
from typing import Any

from sparkify_dagster.warehouse.redshift.connection import Connection

_MICROSECONDS = 1_000_000
_VIEWS = ("redshift/costs", "redshift/scans")


def read_costs(
    connection: Connection, run_id: str, since: datetime
) -> dict[str, dict[str, float | int]]:
    """Return what a run's changes took since a time, by label.

    Raises:
        WarehouseError: a view may not be read.
    """
    costs: dict[str, dict[str, float | int]] = {}
    for name in _VIEWS:
        for row in connection.query(name, run_id=run_id, since=since):
            label = row.pop("query_label").removeprefix(f"{run_id}/")
            costs.setdefault(label, {}).update(_cost(*item) for item in row.items())
    return costs


def _cost(name: str, value: Any) -> tuple[str, float | int]:
    if name.endswith("_time"):
        return f"{name.removesuffix('_time')}_seconds", float(value or 0) / _MICROSECONDS
    return name, int(value or 0)
