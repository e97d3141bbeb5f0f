"""What a run would do, why, and what it would cost. Only reads lake and warehouse."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import TYPE_CHECKING

from sparkify_dagster.lake.base import Lake, SourceFile
from sparkify_dagster.lineage import made_with
from sparkify_dagster.loading.ledger import Entry, Ledger, read_ledger
from sparkify_dagster.loading.plan import Known, KnownFile, Plan, holds_all, plan_events, plan_songs
from sparkify_dagster.loading.refresh import sources, stored_rows
from sparkify_dagster.loading.rejects import Refused, Rejects
from sparkify_dagster.loading.removals import (
    Place,
    RemovalRefused,
    planned_removal,
    refuse_other_lake,
    refuse_removal,
)
from sparkify_dagster.loading.schema import new_columns, refuse_older
from sparkify_dagster.loading.sharing import relations
from sparkify_dagster.loading.staging import known_files, read_place
from sparkify_dagster.loading.version import decisive_statements, normalised, read_version, views
from sparkify_dagster.settings import Settings
from sparkify_dagster.table import Table
from sparkify_dagster.tables import STAGING_EVENTS, TABLES, in_group
from sparkify_dagster.warehouse.base import NothingYetError, Session, Warehouse, WarehouseError
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.statements import read_statements

if TYPE_CHECKING:
    from sqlglot import exp

NOTHING, UPDATE, REBUILD, REFUSED = "nothing", "update", "rebuild", "refused"
# What goes on around the sections: relations, ledger, lock, label, commit and its note, the number
# and the first of the rows.
_AROUND = 8
_STATEMENTS = "staging.ledger.statements"
_OF_STAGING = (
    *("before_copy", "landing", "copy", "insert", "remove", "after_copy", "remember_files"),
)
_BOOKKEEPING = {
    "staging": ("known_files", "lakes", "files_of_load", "forget_files", "rows_of_load"),
    "": ("pending",),
}


@dataclass(frozen=True)
class FileChange:
    """A file that a run would read, or whose rows it would take out."""

    name: str
    change: str  # new, changed, unchanged (but read again) or gone
    day: dt.date | None
    size: int  # bytes


@dataclass
class TablePlan:
    """What a run would do with one table."""

    table: str  # schema.table
    state: str  # of its SQL: unchanged, SQL changed, built from one that changed, new, gone
    action: str = NOTHING
    reasons: list[str] = field(default_factory=list)
    days: list[dt.date] = field(default_factory=list)  # to redo; of a rebuild none, as all are
    files: list[FileChange] = field(default_factory=list)
    diff: str = ""  # of the statements
    affected: list[str] = field(default_factory=list)  # columns whose values may change
    rows: int = 0  # that it holds now, with its helpers
    needs_confirmation: bool = False
    # On Redshift, estimated: see docs/operations.md. None: nothing is known to go by.
    statements: int = 0
    rows_read: int | None = 0


@dataclass
class _Warehouse:
    """What the warehouse remembers."""

    existing: dict[str, str] = field(default_factory=dict)  # types by schema.table
    ledger: Ledger = field(default_factory=lambda: Ledger({}))
    statements: dict[str, list[str]] = field(default_factory=dict)
    known: dict[str, dict[str, KnownFile]] = field(default_factory=dict)
    rejects: dict[str, Rejects] = field(default_factory=dict)
    places: dict[str, Place | None] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    noted: list[tuple[str, int, dt.date | None]] = field(default_factory=list)


def plan_run(warehouse: Warehouse, lake: Lake, settings: Settings) -> list[TablePlan]:
    """Return what a run would do with each table, in the order in which they are built.

    A day that holds another copy of an event in the days named is redone as well; that is found
    when the files are read.

    Raises:
        LakeError: the lake cannot be listed.
        WarehouseError: the warehouse cannot be read.
    """
    listed = {"staging_events": lake.list_events(), "staging_songs": lake.list_songs()}
    rules = {"staging_events": "\n".join(lake.read_jsonpaths())}
    try:
        found = warehouse.read(
            lambda session: _look(session, listed, settings), "sparkify/plan", ""
        )
    except NothingYetError:
        found = _Warehouse()
    plans: dict[str, TablePlan] = {}
    for table in TABLES.values():
        plan = plans[table.name] = _begin(table, found, rules.get(table.name, ""))
        if table.group == "staging":
            _plan_files(plan, table, found, lake, listed[table.name], settings.removal_limit)
        else:
            _plan_refresh(plan, table, found, plans)
        is_large = plan.rows > settings.rebuild_limit and not settings.environment
        plan.needs_confirmation = plan.action == REBUILD and is_large
        plan.statements = _count_statements(table, plan)
    _stop(plans, found)
    return [*plans.values(), *_gone(found.ledger)]


def _look(session: Session, listed: dict[str, list[SourceFile]], settings: Settings) -> _Warehouse:
    existing = relations(session)
    if "staging.ledger" not in existing:
        return _Warehouse()
    refuse_older(existing, "staging.ledger.row_count")
    staging = in_group("staging")
    noted = session.query("bookkeeping/noted_changes")
    skipped: Refused | None = {} if settings.skip_bad_files else None
    return _Warehouse(
        existing,
        read_ledger(session),
        {
            row["table_name"]: json.loads(row["statements"])
            for row in session.query("bookkeeping/statements")
        }
        if _STATEMENTS in existing
        else {},
        {table.name: known_files(session, table) for table in staging},
        {
            table.name: Rejects(
                *(session, table, listed[table.name], skipped, settings.copy_max_errors, False)
            )
            for table in staging
        },
        {table.name: read_place(session, table) for table in staging},
        {
            table.name: stored_rows(session, table)
            for table in TABLES.values()
            if existing.keys() >= set(table.stored)
        },
        [(row["table_name"], int(row["load_id"]), row["changed_day"]) for row in noted],
    )


def _begin(table: Table, found: _Warehouse, rules: str) -> TablePlan:
    """Return the plan of a table as far as its own SQL decides it."""
    name, rows = table.qualified_name, found.rows.get(table.name, 0)
    entry = found.ledger.entries.get(name)
    missing = [one for one in table.stored if one not in found.existing]
    is_made = entry is not None and len(missing) < max(1, len(table.stored))
    if entry is None or not is_made or not (entry.version or rows):
        return TablePlan(name, "new", REBUILD, rows=rows)
    plan = TablePlan(name, "unchanged", rows=rows)
    if missing:
        plan.action, plan.reasons = REBUILD, [f"{', '.join(missing)} is not there"]
    elif entry.row_count is not None and rows != entry.row_count:
        reason = f"was changed by hand: its latest load left {entry.row_count:,} rows"
        plan.action, plan.reasons = REBUILD, [reason]
    if entry.version != read_version(table, rules):
        plan.state, plan.action = "SQL changed", REBUILD
        plan.reasons.append(f"sql/{table.file}.sql, or a view that it reads, has changed")
        now = [*decisive_statements(table), *[rules] * bool(rules)]
        if before := found.statements.get(name):
            plan.diff = _diff(before, now)
            changed = _changed_columns(table, before, now)
        else:
            plan.reasons.append("the SQL of before was not kept, so there is no diff")
            changed = [column.name for column in table.columns]
        own = [f"{table.name}.{column}" for column in changed]
        plan.affected = own + made_with(own)
    return plan


def _stop(plans: dict[str, TablePlan], found: _Warehouse) -> None:
    """Note where the definition of a table cannot be applied: that stops the run as a whole."""
    for table in TABLES.values():
        for statement in table.creates:
            name = created_name(statement)
            old = found.ledger.entries.get(name)
            try:
                # What an environment shares with production becomes its own.
                if old and found.existing.get(name) != "VIEW":
                    new_columns(statement, old)
            except WarehouseError as error:
                plans[table.name].reasons.append(str(error))
                for plan in plans.values():
                    plan.action = REFUSED


def _plan_files(
    plan: TablePlan,
    table: Table,
    found: _Warehouse,
    lake: Lake,
    listed: Sequence[SourceFile],
    removal_limit: int,
) -> None:
    """Add what becomes of a staging table by the files that the lake holds."""
    known, is_full = found.known.get(table.name, {}), plan.action != NOTHING
    present: Sequence[SourceFile] = listed
    replaceable: Known = known
    if not is_full and known:
        # What was left out and is as it was is left out again.
        rejects = found.rejects[table.name]
        present, replaceable = rejects.others(), rejects.replaceable(known)
    if table is STAGING_EVENTS:
        files = plan_events(present, replaceable, None, is_full, is_full, lake.fingerprint)
    else:
        files = plan_songs(present, replaceable, is_full)
    plan.files = _changes(files, known)
    place = found.places.get(table.name)
    try:
        if place and place.lake != lake.address:
            now = Place(lake.address, lake.is_sample())
            refuse_other_lake(table.name, place, now, holds_all(listed, known), accepted=False)
        refuse_removal(table.name, planned_removal(known, files), removal_limit)
    except RemovalRefused as error:
        plan.action, plan.reasons = REFUSED, [*plan.reasons, str(error)]
    if plan.files and plan.action == NOTHING:
        plan.action = UPDATE
        plan.days = sorted({change.day for change in plan.files if change.day})
    plan.reasons += _count_changes(plan.files)
    a_byte = sum(file.rows for file in known.values()) / max(1, sum(f.size for f in known.values()))
    plan.rows_read = round(sum(file.size for file in files.read) * a_byte) if known else None


def _changes(files: Plan, known: dict[str, KnownFile]) -> list[FileChange]:
    read = [FileChange(file.name, _change(file, known), file.day, file.size) for file in files.read]
    gone = [FileChange(name, "gone", known[name].day, known[name].size) for name in files.gone]
    return read + gone


def _change(file: SourceFile, known: dict[str, KnownFile]) -> str:
    if file.name not in known:
        return "new"
    old = known[file.name]
    same = (old.size, old.version) == (file.size, file.version)
    return "unchanged" if same or old.content_hash == (file.content_hash or "") else "changed"


def _count_changes(files: Iterable[FileChange]) -> list[str]:
    sizes = defaultdict(list)
    for file in files:
        sizes[file.change].append(file.size)
    return [
        f"{len(found):,} file{'s' * (len(found) > 1)} {change} ({sum(found):,} bytes)"
        for change, found in sizes.items()
    ]


def _plan_refresh(
    plan: TablePlan, table: Table, found: _Warehouse, plans: dict[str, TablePlan]
) -> None:
    """Add what becomes of a table by its sources."""
    entry = found.ledger.entries.get(table.qualified_name, Entry("", None, 0, 0))
    days: set[dt.date] = set()
    reasons: list[str] = []
    for source in sources(table):
        above = plans[source.name]
        latest = found.ledger.entries.get(source.qualified_name, Entry("", None, 0, 0))
        if (
            above.state in ("SQL changed", "built from one that changed")
            and above.action != NOTHING
        ):
            plan.state = plan.state.replace("unchanged", "built from one that changed")
        if REFUSED in (above.action, plan.action):
            plan.action = REFUSED
            reasons.append(f"{source.name} is refused")
        elif above.action == REBUILD or latest.full_load_id > entry.load_id:
            plan.action = REBUILD
            reasons.append(f"{source.name} is built anew")
        elif above.action == UPDATE or latest.load_id > entry.load_id:
            plan.action = REBUILD if plan.action == REBUILD else UPDATE
            reasons.append(f"{source.name} has changes")
            days |= set(above.days)
            days |= {
                day
                for name, load_id, day in found.noted
                if day and name == source.name and load_id > entry.load_id
            }
    # Of a table that is new, that is reason enough.
    plan.reasons += reasons if plan.state != "new" or plan.action == REFUSED else []
    plan.days = sorted(days) if plan.action == UPDATE else []
    plan.rows_read = _rows_read(plan, table, found, plans) if plan.action != NOTHING else 0


def _rows_read(
    plan: TablePlan, table: Table, found: _Warehouse, plans: dict[str, TablePlan]
) -> int | None:
    """Return the rows of its sources that a load reads at most: the changed ones, or all."""
    counts = [plans[source.name].rows_read for source in sources(table)]
    if None in counts:
        return None
    changed = sum(filter(None, counts))
    if plan.action == UPDATE:
        return changed
    held = sum(found.rows.get(source.name, 0) for source in sources(table))
    return max(held, changed)


def _count_statements(table: Table, plan: TablePlan) -> int:
    """Return how many statements Redshift would be sent for a table, roughly."""
    if plan.action in (NOTHING, REFUSED):
        return 2  # what the UI shows and the checks
    is_full = plan.action == REBUILD
    group = table.group if table.group == "staging" else ""
    parts = [table.section(name) for name in (_OF_STAGING if group else ("load",))]
    parts += [table.section("changes")] * 2 * (not is_full)
    parts += [one.section("all_changes") for one in sources(table)] * is_full
    parts += [f"bookkeeping/{name}" for name in _BOOKKEEPING[group]]
    parts += ["bookkeeping/forget_changes", "bookkeeping/record_load"]
    extra = len(table.stored) * is_full  # emptying its tables
    return _AROUND + extra + sum(len(read_statements(part)) for part in parts if part)


def _gone(ledger: Ledger) -> list[TablePlan]:
    stored = {name for table in TABLES.values() for name in (table.qualified_name, *table.stored)}
    names = ledger.entries.keys() - stored - set(map(created_name, views()))
    reason = "sql/ has no such table; a run leaves it as it is"
    return [TablePlan(name, "gone", reasons=[reason]) for name in sorted(names)]


def _lines(statement: str) -> list[str]:
    # The JSONPaths are no SQL.
    return (
        statement if statement.startswith("$") else f"{normalised(statement, pretty=True)};"
    ).splitlines()


def _diff(before: Sequence[str], now: Sequence[str]) -> str:
    old, new = ([line for text in texts for line in _lines(text)] for texts in (before, now))
    return "\n".join(unified_diff(old, new, "in the warehouse", "in sql/", lineterm=""))


def _changed_columns(table: Table, before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the columns whose values a change of the SQL may change.

    All of them, unless nothing but expressions of the columns differ in what fills the table.
    """
    from sqlglot import parse_one

    everything = [column.name for column in table.columns]
    pairs = [
        (old, new) for old, new in zip(before, now, strict=False) if _lines(old) != _lines(new)
    ]
    if len(before) != len(now) or any(new.startswith(("$", "COPY")) for _, new in pairs):
        return everything
    changed: set[str] = set()
    for pair in pairs:
        (shape, old), (new_shape, new) = (
            _expressions(table, parse_one(text, read="redshift")) for text in pair
        )
        if shape != new_shape or not new:
            return everything
        changed |= {name for name, value in new.items() if old.get(name) != value}
    return [name for name in everything if name in changed]


def _expressions(table: Table, tree: "exp.Expr") -> "tuple[str, dict[str, exp.Expr]]":
    """Return a statement without its columns, and what they are or are filled with, by name.

    None where it does not create or fill the table itself.
    """
    from sqlglot import exp

    target, query, columns = tree.find(exp.Table), tree.expression, {}
    if target and f"{target.db}.{target.name}" == table.qualified_name:
        if isinstance(query, exp.Select):
            names = tree.this.expressions or query.selects
            values = zip(names, query.selects, strict=True)
            columns = {name.alias_or_name: value for name, value in values}
            query.set("expressions", [])
        elif isinstance(tree, exp.Create):
            columns = {column.name: column for column in tree.find_all(exp.ColumnDef)}
        tree.this.set("expressions", [])
    return tree.sql("redshift", comments=False), columns
