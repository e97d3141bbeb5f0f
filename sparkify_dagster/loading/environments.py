"""Making, describing and filling environments."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sparkify_dagster.lake.base import Lake
from sparkify_dagster.loading.ledger import utc_now
from sparkify_dagster.loading.plan import Order
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.loading.rejects import skipping
from sparkify_dagster.loading.schema import prepare, refuse_older
from sparkify_dagster.loading.sharing import relations, share, take_over
from sparkify_dagster.loading.staging import load_files
from sparkify_dagster.tables import STAGING_EVENTS, TABLES
from sparkify_dagster.warehouse.base import Session, Warehouse, WarehouseError

_LABEL = "sparkify environments"


@dataclass(frozen=True)
class Environment:
    """What there is to know of an environment."""

    created_at: dt.datetime  # UTC
    first_day: dt.date | None  # whose events it loads; None: all
    own: tuple[str, ...]  # tables that are not production's


def create(warehouse: Warehouse, name: str, days: int | None = None, shared: bool = True) -> None:
    """Make an environment of production's tables as they are, or without rows where not `shared`.

    With `days`, its events are those of the newest days only, for its next run to load.

    Raises:
        WarehouseError: it is there already, or production is of an older version.
    """
    if name in warehouse.environments():
        raise WarehouseError(f"{name}: is there already; `sparkify environments drop {name}`")
    warehouse.lay_out()
    try:
        warehouse.transaction(lambda session: _create(session, days, shared), _LABEL, "")
    except BaseException:
        warehouse.demolish()
        raise


def _create(session: Session, days: int | None, shared: bool) -> None:
    session.execute("environments/create")
    first = None
    if shared:
        refuse_older(relations(session, "production"), "staging.ledger.statements")
        share(session)
        (newest,) = session.query("environments/newest_day")
        if days and newest["newest_day"]:
            first = newest["newest_day"] - dt.timedelta(days=days - 1)
    session.insert("staging.environment", ("created_at", "first_day"), [(utc_now(), first)])
    ledger = prepare(session)
    if first:
        take_over(session, ledger, STAGING_EVENTS, with_rows=False)
        session.execute("environments/begin_slice")


def describe(session: Session) -> Environment:
    """Return what there is to know of the session's environment."""
    (row,) = session.query("environments/describe")
    found = relations(session)
    own = (n for n, table in TABLES.items() if any(found.get(t) != "VIEW" for t in table.stored))
    return Environment(row["created_at"], row["first_day"], tuple(own))


def load_all(
    warehouse: Warehouse,
    lake: Lake,
    run_id: str,
    max_errors: int = 0,
    skip_bad_files: bool = False,
) -> None:
    """Bring all tables up to date with the lake, as the main job does, without its checks.

    Raises:
        LakeError, WarehouseError: the lake or the warehouse refuses.
    """
    with warehouse.kept_open():
        for table in TABLES.values():
            order = Order(
                table, lake, run_id, max_errors=max_errors, refused={} if skip_bad_files else None
            )
            load: Callable[[Session], object] = partial(load_files, order=order)
            if table.group != "staging":
                load = partial(refresh, table=table, full_refresh=False, run_id=run_id)
            label = f"sparkify/{table.name}"
            skipping(partial(warehouse.transaction, load, label, run_id), order.refused)
