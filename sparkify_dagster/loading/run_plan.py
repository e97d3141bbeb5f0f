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
from sparkify_dagster.loading.plan import Known, Order, Plan, Refused, plan_files
from sparkify_dagster.loading.refresh import sources, stored_rows
from sparkify_dagster.loading.rejects import Rejects
from sparkify_dagster.loading.removals import RemovalRefused, planned_removal, refuse_removal
from sparkify_dagster.loading.schema import new_columns, refuse_older
from sparkify_dagster.loading.sharing import relations
from sparkify_dagster.loading.staging import known_files, new_place, read_place, rules_of
from sparkify_dagster.loading.version import decisive_statements, normalised, read_version, views
from sparkify_dagster.settings import Settings
from sparkify_dagster.table import Table
from sparkify_dagster.tables import STAGING_EVENTS, TABLES
from sparkify_dagster.warehouse.base import NothingYetError, Session, Warehouse, WarehouseError
from sparkify_dagster.warehouse.columns import created_name
from sparkify_dagster.warehouse.statements import read_statements

if TYPE_CHECKING:
    from sqlglot import exp

_CHANGED = ("SQL changed", "built from one that changed")  # of the state of a table
NOTHING, UPDATE, REBUILD, REFUSED = "nothing", "update", "rebuild", "refused"
# What goes on around the sections: relations, ledger, lock, label, commit and its note, the number
# and the first of the rows.
_AROUND = 8
_STATEMENTS = "staging.ledger.statements"
# The sections of a table's file that a load runs besides `changes`, and those of bookkeeping.
_STAGING = "before_copy landing copy insert remove after_copy remember_files"
_STAGING_BOOKS = "known_files lakes files_of_load forget_files rows_of_load"


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


def plan_run(warehouse: Warehouse, lake: Lake, settings: Settings) -> list[TablePlan]:
    """Return what a run would do with each table, in the order in which they are built.

    A day that holds another copy of an event in the days named is redone as well; that is found
    when the files are read.

    Raises:
        LakeError: the lake cannot be listed.
        WarehouseError: the warehouse cannot be read.
    """
    listed = {"staging_events": lake.list_events(), "staging_songs": lake.list_songs()}

    def plan(session: Session | None) -> list[TablePlan]:
        return _Planner(session, lake, settings, listed).plan()

    try:
        return warehouse.read(plan, "sparkify/plan", "")
    except NothingYetError:
        return plan(None)


class _Planner:
    """What lake and warehouse hold, and the plans made so far."""

    def __init__(
        self,
        session: Session | None,
        lake: Lake,
        settings: Settings,
        listed: dict[str, list[SourceFile]],
    ) -> None:
        existing = relations(session) if session else {}  # types by schema.table
        is_made = "staging.ledger" in existing
        self.session = session if is_made else None
        self.existing = existing if is_made else {}
        self.lake, self.settings, self.listed = lake, settings, listed
        self.plans: dict[str, TablePlan] = {}
        self.ledger, self.statements, self.noted = Ledger({}), {}, []
        if self.session:
            refuse_older(existing, "staging.ledger.row_count")
            self.ledger = read_ledger(self.session)
            self.noted = self.session.query("bookkeeping/noted_changes")
            if _STATEMENTS in existing:
                rows = self.session.query("bookkeeping/statements")
                self.statements = {r["table_name"]: json.loads(r["statements"]) for r in rows}

    def plan(self) -> list[TablePlan]:
        """Return the plans of all tables, and of those that sql/ has no longer."""
        for table in TABLES.values():
            plan = self.plans[table.name] = self._begin(table)
            if table.group == "staging":
                self._plan_files(plan, table)
            else:
                self._plan_refresh(plan, table)
            is_large = plan.rows > self.settings.rebuild_limit and not self.settings.environment
            plan.needs_confirmation = plan.action == REBUILD and is_large
            plan.statements = _count_statements(table, plan)
        self._stop()
        return [*self.plans.values(), *_gone(self.ledger)]

    def _entry(self, name: str) -> Entry:
        return self.ledger.entries.get(name, Entry("", None, 0, 0))

    def _begin(self, table: Table) -> TablePlan:
        """Return the plan of a table as far as its own SQL decides it."""
        name, entry = table.qualified_name, self._entry(table.qualified_name)
        missing = [one for one in table.stored if one not in self.existing]
        is_there = name in self.ledger.entries and len(missing) < max(1, len(table.stored))
        rows = stored_rows(self.session, table) if self.session and not missing else 0
        if not is_there or not (entry.version or rows):
            return TablePlan(name, "new", REBUILD, rows=rows)
        plan = TablePlan(name, "unchanged", rows=rows)
        if missing:
            plan.action, plan.reasons = REBUILD, [f"{', '.join(missing)} is not there"]
        elif entry.row_count is not None and rows != entry.row_count:
            reason = f"was changed by hand: its latest load left {entry.row_count:,} rows"
            plan.action, plan.reasons = REBUILD, [reason]
        rules = rules_of(table, self.lake)
        if entry.version != read_version(table, rules):
            plan.state, plan.action = "SQL changed", REBUILD
            plan.reasons.append(f"sql/{table.file}.sql, or a view that it reads, has changed")
            now = [*decisive_statements(table), *[rules] * bool(rules)]
            if before := self.statements.get(name):
                plan.diff = _diff(before, now)
                changed = _changed_columns(table, before, now)
            else:
                plan.reasons.append("the SQL of before was not kept, so there is no diff")
                changed = [column.name for column in table.columns]
            own = [f"{table.name}.{column}" for column in changed]
            plan.affected = own + made_with(own)
        return plan

    def _stop(self) -> None:
        """Note where the definition of a table cannot be applied: that stops the run as a whole."""
        for table in TABLES.values():
            for statement in table.creates:
                name = created_name(statement)
                old = self.ledger.entries.get(name)
                try:
                    # What an environment shares with production becomes its own.
                    if old and self.existing.get(name) != "VIEW":
                        new_columns(statement, old)
                except WarehouseError as error:
                    self.plans[table.name].reasons.append(str(error))
                    for plan in self.plans.values():
                        plan.action = REFUSED

    def _plan_files(self, plan: TablePlan, table: Table) -> None:
        """Add what becomes of a staging table by the files that the lake holds."""
        session, lake, settings = self.session, self.lake, self.settings
        listed = present = self.listed[table.name]
        known = known_files(session, table) if session else {}
        replaceable: Known = known
        is_full = plan.action != NOTHING
        if session and known and not is_full:
            # What was left out and is as it was is left out again.
            refused: Refused | None = {} if settings.skip_bad_files else None
            order = Order(table, lake, "", max_errors=settings.copy_max_errors, refused=refused)
            rejects = Rejects(session, order, listed, read_again=False)
            present, replaceable = rejects.others(), rejects.replaceable(known)
        fingerprint = lake.fingerprint if table is STAGING_EVENTS else None
        files = plan_files(present, replaceable, None, is_full, is_full, fingerprint)
        plan.files = _changes(files, known)
        try:
            if place := read_place(session, table) if session else None:
                new_place(table, place, lake, listed, known, accepted=False)
            refuse_removal(table.name, planned_removal(known, files), settings.removal_limit)
        except RemovalRefused as error:
            plan.action, plan.reasons = REFUSED, [*plan.reasons, str(error)]
        if plan.files and plan.action == NOTHING:
            plan.action = UPDATE
            plan.days = sorted({change.day for change in plan.files if change.day})
        plan.reasons += _count_changes(plan.files)
        size = max(1, sum(file.size for file in known.values()))
        a_byte = sum(file.rows for file in known.values()) / size
        plan.rows_read = round(sum(file.size for file in files.read) * a_byte) if known else None

    def _plan_refresh(self, plan: TablePlan, table: Table) -> None:
        """Add what becomes of a table by its sources."""
        loaded = self._entry(table.qualified_name).load_id
        days: set[dt.date] = set()
        reasons: list[str] = []
        for source in sources(table):
            above, latest = self.plans[source.name], self._entry(source.qualified_name)
            if above.state in _CHANGED and above.action != NOTHING:
                plan.state = plan.state.replace("unchanged", "built from one that changed")
            if REFUSED in (above.action, plan.action):
                plan.action = REFUSED
                reasons.append(f"{source.name} is refused")
            elif above.action == REBUILD or latest.full_load_id > loaded:
                plan.action = REBUILD
                reasons.append(f"{source.name} is built anew")
            elif above.action == UPDATE or latest.load_id > loaded:
                plan.action = REBUILD if plan.action == REBUILD else UPDATE
                reasons.append(f"{source.name} has changes")
                days |= set(above.days)
                days |= {
                    row["changed_day"]
                    for row in self.noted
                    if row["changed_day"]
                    and row["table_name"] == source.name
                    and row["load_id"] > loaded
                }
        # Of a table that is new, that is reason enough.
        plan.reasons += reasons if plan.state != "new" or plan.action == REFUSED else []
        plan.days = sorted(days) if plan.action == UPDATE else []
        plan.rows_read = self._rows_read(plan, table) if plan.action != NOTHING else 0

    def _rows_read(self, plan: TablePlan, table: Table) -> int | None:
        """Return the rows of its sources that a load reads at most: the changed ones, or all."""
        above = [self.plans[source.name] for source in sources(table)]
        counts = [one.rows_read for one in above]
        if None in counts:
            return None
        changed = sum(filter(None, counts))
        held = sum(one.rows for one in above) if plan.action != UPDATE else 0
        return max(held, changed)


def _changes(files: Plan, known: Known) -> list[FileChange]:
    def change(file: SourceFile) -> str:
        if (old := known.get(file.name)) is None:
            return "new"
        same = (old.size, old.version) == (file.size, file.version)
        return "unchanged" if same or old.content_hash == (file.content_hash or "") else "changed"

    read = [FileChange(file.name, change(file), file.day, file.size) for file in files.read]
    gone = [FileChange(name, "gone", known[name].day, known[name].size) for name in files.gone]
    return read + gone


def _count_changes(files: Iterable[FileChange]) -> list[str]:
    sizes = defaultdict(list)
    for file in files:
        sizes[file.change].append(file.size)
    return [
        f"{len(found):,} file{'s' * (len(found) > 1)} {change} ({sum(found):,} bytes)"
        for change, found in sizes.items()
    ]


def _count_statements(table: Table, plan: TablePlan) -> int:
    """Return how many statements Redshift would be sent for a table, roughly."""
    if plan.action in (NOTHING, REFUSED):
        return 2  # what the UI shows and the checks
    is_full = plan.action == REBUILD
    is_staging = table.group == "staging"
    parts = [table.section(name) for name in (_STAGING if is_staging else "load").split()]
    parts += [table.section("changes")] * 2 * (not is_full)
    parts += [one.section("all_changes") for one in sources(table)] * is_full
    books = f"{_STAGING_BOOKS if is_staging else 'pending'} forget_changes record_load"
    parts += [f"bookkeeping/{name}" for name in books.split()]
    extra = len(table.stored) * is_full  # emptying its tables
    return _AROUND + extra + sum(len(read_statements(part)) for part in parts if part)


def _gone(ledger: Ledger) -> list[TablePlan]:
    stored = {name for table in TABLES.values() for name in (table.qualified_name, *table.stored)}
    names = ledger.entries.keys() - stored - set(map(created_name, views()))
    reason = "sql/ has no such table; a run leaves it as it is"
    return [TablePlan(name, "gone", reasons=[reason]) for name in sorted(names)]


def _lines(statement: str) -> list[str]:
    is_sql = not statement.startswith("$")  # as the JSONPaths do
    return (f"{normalised(statement, pretty=True)};" if is_sql else statement).splitlines()


def _diff(before: Sequence[str], now: Sequence[str]) -> str:
    old, new = ([line for text in texts for line in _lines(text)] for texts in (before, now))
    return "\n".join(unified_diff(old, new, "in the warehouse", "in sql/", lineterm=""))


def _changed_columns(table: Table, before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the columns whose values a change of the SQL may change.

    All of them, unless nothing but expressions of the columns differ in what fills the table.
    """
    from sqlglot import parse_one

    everything = [column.name for column in table.columns]
    pairs = [pair for pair in zip(before, now, strict=False) if _lines(pair[0]) != _lines(pair[1])]
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
