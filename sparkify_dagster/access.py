"""The roles of the warehouse: who loads, who reads, and who sees names. Redshift only.

Source of the rules: AWS Redshift Database Developer Guide, GRANT (usage notes of column-level
access), ALTER DEFAULT PRIVILEGES, CREATE and ATTACH MASKING POLICY.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from sparkify_dagster.loading.schema import bookkeeping
from sparkify_dagster.loading.version import views
from sparkify_dagster.tables import TABLES, USERS
from sparkify_dagster.warehouse.base import Session, Warehouse
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.statements import Keyword, read_statement, render

LOADER = "sparkify_loader"
ANALYST = "sparkify_analyst"
ROLES = (LOADER, ANALYST)
# What tells who a user is; the other columns of users do not.
PERSONAL = ("first_name", "last_name")
NAMES = ("mask", "withhold", "show")


@dataclass(frozen=True)
class State:
    """What of the roles is there already."""

    user: str = ""  # who is asking
    roles: frozenset[str] = frozenset()
    members: frozenset[tuple[str, str]] = frozenset()  # user and role
    tables: tuple[str, ...] = ()  # in analytics, views too
    has_policy: bool = False
    masked: frozenset[str] = frozenset()  # columns of users that are masked for analysts
    masks_others: bool = False  # somebody has attached the policy elsewhere
    future_readers: frozenset[str] = frozenset()  # users whose new tables analysts may read
    owned: tuple[str, ...] = ()  # tables and views of the platform that belong to who is asking


@dataclass(frozen=True)
class Step:
    """One statement to send, as the name of a file in sql/ and what is filled in."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the statement as it is sent."""
        return render(read_statement(self.name), self.parameters)


def apply_roles(
    warehouse: Warehouse,
    names: str,
    loaders: Sequence[str],
    analysts: Sequence[str],
    run_id: str,
) -> list[Step]:
    """Create the roles and bring their rights to what is wanted, all or nothing.

    Returns the statements that were sent. Sent again, they change nothing.

    Raises:
        WarehouseError: Redshift refuses a statement; no right has changed.
    """

    def body(session: Session) -> list[Step]:
        steps = plan(read_state(session), names, loaders, analysts)
        for step in steps:
            session.execute(step.name, **step.parameters)
        return steps

    return warehouse.transaction(body, "sparkify grants", run_id)


def new_warehouse() -> State:
    """Return the state of a warehouse that has its tables and no roles yet."""
    places = sorted(relation.split(".") for relation in _relations())
    return State(tables=tuple(name for schema, name in places if schema == USERS.schema))


def _relations() -> set[str]:
    """Return all tables and views of the platform."""
    made = {name for table in TABLES.values() for name in (table.create, *table.helpers)}
    return {created_name(statement) for statement in (*bookkeeping(), *made, *views())}


def read_state(session: Session) -> State:
    """Return what of the roles is there already; needs a superuser, others see too little."""

    def rows(name: str) -> list[tuple[str, ...]]:
        return [tuple(map(str, row.values())) for row in session.query(f"access/state_{name}")]

    def column(name: str) -> list[str]:
        return [value for (value,) in rows(name)]

    own = (USERS.schema, USERS.name, ANALYST)
    masked = [(tuple(place), columns) for *place, columns in rows("masked")]
    ours = (re.findall(r"\w+", columns) for place, columns in masked if place == own)
    owned = map(".".join, rows("owned"))
    return State(
        user=column("user")[0],
        roles=frozenset(column("roles")),
        members=frozenset((user, role) for user, role in rows("members")),
        tables=tuple(column("tables")),
        has_policy=bool(rows("policies")),
        masked=frozenset(chain.from_iterable(ours)),
        masks_others=any(place != own for place, _ in masked),
        future_readers=frozenset(column("future_readers")),
        owned=tuple(name for name in owned if name in _relations()),
    )


def plan(state: State, names: str, loaders: Sequence[str], analysts: Sequence[str]) -> list[Step]:
    """Return the statements that lead from `state` to the wanted rights.

    With names masked or withheld, tables that are made later are not open to analysts by
    themselves: a `users` made anew, as reset_warehouse does, would show the names until somebody
    thinks of it.
    """
    steps = [
        Step("access/create_role", {"role": Keyword(role)})
        for role in ROLES
        if role not in state.roles
    ]
    wanted = [(user, LOADER) for user in loaders] + [(user, ANALYST) for user in analysts]
    steps += [
        Step("access/grant_role", {"role": Keyword(role), "user": _quoted(user)})
        for user, role in wanted
        if (user, role) not in state.members
    ]
    load = [user for user, role in (*wanted, *sorted(state.members)) if role == LOADER]
    # Rights on tables to come are a matter of who makes them.
    makers = {*load, state.user} - {""}
    steps += [Step("access/loader_schemas"), Step("access/loader_tables")]
    steps += _for_each("access/loader_future_tables", makers)
    if load and state.user not in load:
        # ALTER, ANALYZE and DROP are the owner's alone: what was laid here would refuse the loads.
        steps += [
            Step("access/loader_owns", {"relation": Keyword(name), "user": _quoted(load[0])})
            for name in state.owned
        ]
    steps += [Step("access/analyst_schema"), Step("access/analyst_no_staging")]
    others = [f"{USERS.schema}.{table}" for table in state.tables if table != USERS.name]
    if others:
        steps.append(Step("access/analyst_tables", {"tables": Keyword(", ".join(others))}))
    if USERS.name in state.tables:
        steps += _users_steps(state, names)
    if names == "show":
        steps += _for_each("access/analyst_future_tables", makers)
    else:
        steps += _for_each("access/analyst_no_future_tables", state.future_readers)
    return steps


def _users_steps(state: State, names: str) -> list[Step]:
    """Return the statements for the table with the names; it is closed before it is opened."""
    steps = [Step("access/users_revoke")]
    if names == "mask":
        if not state.has_policy:
            steps.append(Step("access/mask_create"))
        steps += _for_columns("access/mask_attach", set(PERSONAL) - state.masked)
    else:
        steps += _for_columns("access/mask_detach", state.masked)
        if state.has_policy and not state.masks_others:
            steps.append(Step("access/mask_drop"))
    if names == "withhold":
        open_columns = [column.name for column in USERS.columns if column.name not in PERSONAL]
        columns = Keyword(", ".join(open_columns))
        return [*steps, Step("access/users_columns", {"columns": columns})]
    return [*steps, Step("access/users_table")]


def _for_each(name: str, users: Iterable[str]) -> list[Step]:
    return [Step(name, {"user": _quoted(user)}) for user in sorted(users)]


def _for_columns(name: str, columns: Iterable[str]) -> list[Step]:
    return [Step(name, {"column": Keyword(column)}) for column in sorted(columns)]


def _quoted(user: str) -> Keyword:
    """Return a user's name as an identifier; those of IAM hold a colon."""
    return Keyword('"' + user.replace('"', '""') + '"')
