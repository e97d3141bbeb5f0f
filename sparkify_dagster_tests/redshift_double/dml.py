"""INSERT, UPDATE, DELETE, MERGE: Redshift's conditions; and where result columns come from."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from . import lexical, translate
from .catalog import Relation, TableColumn
from .column_types import parse_type
from .errors import ServerError, refused, syntax_error
from .lexical import Token
from .system import VIEWS


def parse_change(text: str, tokens: list[Token]) -> exp.Expr:
    """Parse INSERT, UPDATE, DELETE (FROM may be left out) or MERGE.

    Raises ServerError 42601, 0A000 for MERGE ... REMOVE DUPLICATES.
    """
    word = tokens[0].upper
    if word == "DELETE" and len(tokens) > 1 and tokens[1].upper != "FROM":
        text = lexical.replace(text, [(tokens[0], "DELETE FROM")])
    if word == "MERGE" and [token.upper for token in tokens[-2:]] == ["REMOVE", "DUPLICATES"]:
        raise refused("MERGE with REMOVE DUPLICATES on this double; it")
    tree = translate.parse(text)
    if tree.key.upper() != word:
        raise syntax_error(tokens[0].text)
    return tree


def target(tree: exp.Expr) -> exp.Table:
    """Give the table a statement changes. Raises ServerError 42601 if it is none."""
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if not isinstance(table, exp.Table):
        raise syntax_error(str(table))
    return table


def rights(tree: exp.Expr) -> list[str]:
    """Name the rights on the target that a change wants besides SELECT [D: GRANT]."""
    if not isinstance(tree, exp.Merge):
        return [tree.key]
    found = {when.args["then"].key for when in tree.args["whens"].expressions}
    return sorted("delete" if kind not in ("insert", "update") else kind for kind in found)


def _insert_columns(tree: exp.Insert, relation: Relation) -> list[TableColumn]:
    if not isinstance(tree.this, exp.Schema):
        return relation.columns
    columns = []
    for node in tree.this.expressions:
        column = relation.column(node.name)
        if column is None:
            raise ServerError(
                "42703", f'column "{node.name}" of relation "{relation.name}" does not exist'
            )
        columns.append(column)
    if len({column.name for column in columns}) != len(columns):
        raise ServerError("42701", "column specified more than once")
    return columns


def _is_untyped(node: exp.Expr) -> bool:
    inner = node.unalias()
    return isinstance(inner, exp.Literal | exp.Null | exp.Neg)


def check_insert(
    tree: exp.Insert, relation: Relation, describe: Callable[[str], list[tuple[str, str]]]
) -> None:
    """Refuse text into a column of another type, which DuckDB would cast by itself.

    Redshift has no implicit conversion from VARCHAR to numbers, dates or booleans [AWS: Type
    compatibility and conversion]; a bare literal has no type yet and is fine.
    Raises ServerError 42804, 42703 or 42701 for the column list, 42601 for its length.
    """
    columns = _insert_columns(tree, relation)
    query = tree.expression
    if isinstance(query, exp.Subquery):
        query = query.unnest()
    if not isinstance(query, exp.Select):
        return
    described = describe(translate.to_duckdb(query))
    if len(described) > len(columns):
        raise ServerError("42601", "INSERT has more expressions than target columns")
    if len(described) < len(columns) and isinstance(tree.this, exp.Schema):
        raise ServerError("42601", "INSERT has more target columns than expressions")
    expressions = query.expressions if len(query.expressions) == len(described) else None
    for position, (_, kind) in enumerate(described):
        column = columns[position]
        if expressions is not None and _is_untyped(expressions[position]):
            continue
        if kind == "VARCHAR" and not column.type.is_text and column.type.name != "super":
            raise ServerError(
                "42804",
                f'column "{column.name}" is of type {column.type.name} but expression is of type '
                "character varying",
            )


def check_merge(tree: exp.Merge, relation: Relation) -> None:
    """Check MERGE against AWS's rules and give INSERT its columns.

    Raises ServerError 42601 or 0A000.
    """
    if tree.this.alias:
        raise syntax_error(tree.this.alias)
    source = tree.args["using"]
    if not isinstance(source, exp.Table):
        raise refused("a MERGE source other than a table")
    if (source.db, source.name) == (tree.this.db, tree.this.name):
        raise ServerError("42601", "source and target of MERGE must differ")
    whens = tree.args["whens"].expressions
    kinds = [when.args["matched"] for when in whens]
    if sorted(kinds) != [False, True]:
        raise ServerError(
            "42601", "MERGE requires one WHEN MATCHED and one WHEN NOT MATCHED clause"
        )
    for when in whens:
        if when.args.get("condition") or when.args.get("source"):
            raise refused("AND or BY in a MERGE clause")
        then = when.args["then"]
        if isinstance(then, exp.Update):
            _check_set(then)
        elif isinstance(then, exp.Insert) and not then.expression:
            _name_columns(then, relation)


def _name_columns(insert: exp.Insert, relation: Relation) -> None:
    """Give INSERT VALUES (...) its columns: sqlglot reads VALUES without them as a call."""
    values = insert.this.expressions[0].expressions
    names = [exp.column(column.name, quoted=True) for column in relation.columns]
    if len(values) > len(names):
        raise ServerError("42601", "INSERT has more expressions than target columns")
    insert.set("this", exp.Tuple(expressions=names[: len(values)]))
    insert.set("expression", exp.Tuple(expressions=[value.copy() for value in values]))


def _check_set(update: exp.Update) -> None:
    for assignment in update.expressions:
        if assignment.this.args.get("table"):
            raise ServerError("42601", "SET columns of MERGE must not be qualified")


@dataclass(frozen=True)
class Source:
    """The table column that a result column shows unchanged."""

    schema: str
    table: str
    table_oid: int
    number: int
    column: TableColumn


def _table_sources(table: exp.Table, find: Callable[[str, str], Relation | None]) -> list[Source]:
    if table.name in VIEWS and table.db in ("", "pg_catalog"):
        columns = [
            TableColumn(name, parse_type(kind), True, None)
            for name, kind in VIEWS[table.name].items()
        ]
        return [Source("pg_catalog", table.name, 0, i, c) for i, c in enumerate(columns, 1)]
    relation = find(table.db, table.name)
    if relation is None:
        return []
    return [
        Source(relation.schema, relation.name, relation.oid, number, column)
        for number, column in enumerate(relation.columns, 1)
    ]


def _from_tables(select: exp.Select) -> list[exp.Expr]:
    first = select.args.get("from_")
    joins = select.args.get("joins") or []
    return ([first.this] if first else []) + [join.this for join in joins]


def sources(tree: exp.Expr, find: Callable[[str, str], Relation | None]) -> list[Source | None]:
    """Trace the plain columns of a query to tables; empty where `*` cannot be followed."""
    if not isinstance(tree, exp.Select):
        return []
    ctes = {cte.alias_or_name for cte in tree.ctes}
    known: dict[str, list[Source]] = {}
    for item in _from_tables(tree):
        is_cte = not item.text("db") and item.name in ctes
        known[item.alias_or_name] = (
            _table_sources(item, find) if isinstance(item, exp.Table) and not is_cte else []
        )
    result: list[Source | None] = []
    for node in tree.expressions:
        inner = node.unalias()
        if inner.is_star:
            if len(known) != 1 or not next(iter(known.values())):
                return []
            result += next(iter(known.values()))
        else:
            result.append(_trace(inner, known))
    return result


def _trace(node: exp.Expr, known: dict[str, list[Source]]) -> Source | None:
    if not isinstance(node, exp.Column):
        return None
    places = [known.get(node.table, [])] if node.table else list(known.values())
    found = [source for place in places for source in place if source.column.name == node.name]
    return found[0] if len(found) == 1 else None


def spread(names: list[str | None], count: int) -> list[str | None]:
    """Make room in a list of result names for what `*` stands for; empty if it is unclear."""
    stars = names.count(None)
    if stars == 0:
        return names if len(names) == count else []
    if stars > 1:
        return []
    at = names.index(None)
    return names[:at] + [None] * (count - len(names) + 1) + names[at + 1 :]
