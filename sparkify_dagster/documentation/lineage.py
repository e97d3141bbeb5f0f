"""Which columns each column is made from, read off the SQL that fills it.

Only what a value is computed from counts, not what a row is chosen by: songplays.song_id comes from
songs.song_id, though titles decide which. A count of rows comes from the key of the rows counted.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from sparkify_dagster.lake.jsonpaths import EVENT_KEYS
from sparkify_dagster.lineage import Lineage
from sparkify_dagster.loading.schema import bookkeeping
from sparkify_dagster.table import Table
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.columns import created_name, read_columns
from sparkify_dagster.warehouse.copy_rules import STAMP
from sparkify_dagster.warehouse.copy_statement import parse_copy
from sparkify_dagster.warehouse.statements import (
    read_statement,
    read_statements,
    render,
    section_names,
)

Sources = frozenset[str]  # "table.column"; of the lake "log_data.key"

# What stands for the path of a file, after Redshift Spectrum's column of that name.
FILE_PATH = "$path"
# The sections that fill a table, in the order they run.
_FILLING = ("landing", "copy", "insert", "load")
_LAKE_FOLDERS = {"staging_events": "log_data", "staging_songs": "song_data"}


_TEMPORARY = "temporary"  # as their schema, as the parser wants all tables to be in one


@dataclass
class _Relation:
    """A table or view as the statements so far have filled it."""

    columns: dict[str, Sources]
    rows: Sources = frozenset()  # what tells its rows apart


_Relations = dict[str, _Relation]  # everything that a table's statements may read, with its schema


def derive_lineage() -> Lineage:
    """Return the sources of every column of every table; then of what the checks and the report
    ask of it, as columns of `table/check`, `table/report`, ... after their sections.
    """
    tables = {table.name: _table_lineage(table) for table in TABLES.values()}
    asked = {
        f"{table.name}/{section}": _sorted(_view(name, _relations(table)))
        for table in TABLES.values()
        for name in section_names(table.file)
        for section in [name.rpartition("/")[2]]
        if section == "check" or section.startswith("report")
    }
    return tables | asked


def _relations(table: Table) -> _Relations:
    """Return what the statements of a table's file may read before they fill anything."""
    relations = {
        other.qualified_name: _Relation(
            {one.name: frozenset({f"{other.name}.{one.name}"}) for one in other.columns},
            frozenset(f"{other.name}.{name}" for name in other.key),
        )
        for other in TABLES.values()
    }
    helpers = (helper for other in TABLES.values() for helper in other.helpers)
    for statement in (*bookkeeping(), *helpers):
        relations[created_name(statement)] = _empty(one.name for one in read_columns(statement))
    for view in section_names("views"):
        relations[created_name(view)] = _view(view, relations)
    _apply(read_statement("bookkeeping/pending"), relations)
    return relations


def _empty(columns: Iterable[str]) -> _Relation:
    return _Relation(dict.fromkeys(columns, frozenset()))


def _table_lineage(table: Table) -> dict[str, list[str]]:
    relations = _relations(table)
    # What a table reads of itself it has from its own sources.
    own = relations[table.qualified_name] = _empty(column.name for column in table.columns)
    for section in filter(None, map(table.section, _FILLING)):
        if section.endswith("/copy"):
            _copy(table, section, relations)
        else:
            for statement in read_statements(section):
                _apply(statement, relations)
    return _sorted(_view(table.create, relations) if table.is_view else own)


def _sorted(relation: _Relation) -> dict[str, list[str]]:
    return {name: sorted(sources) for name, sources in relation.columns.items()}


def _view(statement: str, relations: _Relations) -> _Relation:
    query = _parsed(read_statement(statement)).find(exp.Query)
    assert query is not None
    return _query(query, relations)


def _parsed(text: str) -> exp.Expr:
    # What a run fills in has no part in where columns come from.
    return parse_one(render(text, defaultdict(int)), read="redshift")


def _copy(table: Table, statement: str, relations: _Relations) -> None:
    """Take in what COPY fills: by position through the JSONPaths, or by name with 'auto'."""
    place = {"manifest": "", "iam_role": "", "jsonpaths": "jsonpaths", "max_errors": 0}
    copy = parse_copy(render(read_statement(statement), place))
    keys = copy.columns if copy.json_source == "auto" else (*EVENT_KEYS, STAMP)
    folder = _LAKE_FOLDERS[table.name]
    landing = relations[f"{_TEMPORARY}.{copy.target}"]
    for name, key in zip(copy.columns, keys, strict=True):
        landing.columns[name] = frozenset({f"{folder}.{key}"})
    # The loader adds it; no file holds it.
    landing.columns[STAMP] = frozenset({f"{folder}.{FILE_PATH}"})


def _apply(statement: str, relations: _Relations) -> None:
    """Follow one statement into the relation that it fills."""
    match tree := _parsed(statement):
        case exp.Create() if isinstance(tree.expression, exp.Query):
            relations[_name(tree.this)] = _query(tree.expression, relations)
        case exp.Create():
            columns = (column.name for column in tree.find_all(exp.ColumnDef))
            relations[_name(tree.this.this)] = _empty(columns)
        case exp.Insert():
            target = relations[_name(tree.this.this)]
            filled = _query(tree.expression, relations)
            names = [column.name for column in tree.this.expressions]
            _add(target, zip(names, filled.columns.values(), strict=True))
            target.rows |= filled.rows
        case exp.Update():
            _update(tree, relations)


def _update(tree: exp.Update, relations: _Relations) -> None:
    """Follow UPDATE ... SET column = expression FROM ..., as a query of the expressions."""
    source = tree.args.get("from_")
    if source is None:
        return
    pairs = [(pair.this.name, pair.expression) for pair in tree.expressions]
    query = exp.select(*(exp.alias_(value.copy(), name) for name, value in pairs))
    query.set("from_", source.copy())
    filled = _query(query, relations)
    _add(relations[_name(tree.this)], filled.columns.items())


def _add(target: _Relation, filled: Iterable[tuple[str, Sources]]) -> None:
    for name, sources in filled:
        target.columns[name] |= sources


def _query(query: exp.Query, relations: _Relations) -> _Relation:
    placed = query.copy()
    for table in placed.find_all(exp.Table):
        table.set("db", exp.to_identifier(table.db or _TEMPORARY))
    # The columns, to tell unqualified names apart.
    schema: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for name, relation in relations.items():
        schema_name, table_name = name.split(".")
        schema[schema_name][table_name] = dict.fromkeys(relation.columns, "VARCHAR")
    qualified = qualify(placed, schema=dict(schema), dialect="redshift", quote_identifiers=False)
    scope = build_scope(qualified)
    assert scope is not None
    return _scope(scope, relations)


def _name(table: exp.Table) -> str:
    return f"{table.db or _TEMPORARY}.{table.name}"


def _scope(scope: Scope, relations: _Relations) -> _Relation:
    if scope.set_operation_scopes:
        first, *others = [_scope(part, relations) for part in scope.set_operation_scopes]
        for other in others:
            _add(first, zip(first.columns, other.columns.values(), strict=True))
            first.rows |= other.rows
        return first
    sources = {
        name: _scope(source, relations) if isinstance(source, Scope) else relations[_name(source)]
        for name, source in scope.sources.items()
    }
    rows: Sources = frozenset().union(*(source.rows for source in sources.values()))
    columns = {}
    for projection in cast("exp.Query", scope.expression).selects:
        own = [
            node
            for node in projection.find_all(exp.Column, exp.Star)
            if node.find_ancestor(exp.Select) is scope.expression
        ]
        found = [
            sources[node.table].columns[node.name] if isinstance(node, exp.Column) else rows
            for node in own
        ]
        for inner in scope.subquery_scopes:
            if any(node is inner.expression for node in projection.find_all(exp.Query)):
                found += [*_scope(inner, relations).columns.values(), *_looked_at(inner, relations)]
        columns[projection.alias_or_name] = frozenset().union(*found)
    return _Relation(columns, rows)


def _looked_at(scope: Scope, relations: _Relations) -> Iterable[Sources]:
    """Yield what a query within an expression looks at, its conditions too: they decide a value."""
    for part in scope.traverse():
        for column in part.columns:
            if isinstance(source := part.sources.get(column.table), exp.Table):
                yield relations[_name(source)].columns[column.name]
