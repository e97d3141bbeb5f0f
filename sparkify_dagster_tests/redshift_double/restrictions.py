"""What Redshift's parser and planner refuse although PostgreSQL's grammar allows it.

Every rule names its source; README.md lists them beside their tests. [D: page] is a page of
the Amazon Redshift Database Developer Guide, [I: thread] a report from a real cluster.
"""

from collections.abc import Callable, Iterator

from sqlglot import exp

from .errors import ServerError
from .lexical import Token
from .scopes import Block, Scopes

# [D: Leader node-only functions]; the deprecated ones included.
_LEADER_ONLY = {
    "CURRENT_SCHEMA", "CURRENT_SCHEMAS", "HAS_DATABASE_PRIVILEGE", "HAS_SCHEMA_PRIVILEGE",
    "HAS_TABLE_PRIVILEGE", "SUBSTR", "FACTORIAL", "LOG", "AGE", "CURRENT_TIME",
    "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "ISFINITE", "NOW", "GETBIT", "GET_BYTE",
    "SET_BIT", "SET_BYTE", "TO_ASCII",
}  # fmt: skip
# [D: PG_BACKEND_PID, PG_LAST_COPY_ID] show these beside STL tables, so only user tables refuse.
_LEADER_OR_LOG = {"PG_BACKEND_PID", "PG_LAST_COPY_ID", "PG_LAST_COPY_COUNT", "GENERATE_SERIES"}
_NO_BRACKETS = {"CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"}


def leader_functions(tokens: list[Token]) -> list[str]:
    """Name the leader-node functions that a statement calls, in capitals."""
    found = []
    for index, token in enumerate(tokens):
        if token.kind != "word" or token.upper not in _LEADER_ONLY | _LEADER_OR_LOG:
            continue
        called = index + 1 < len(tokens) and tokens[index + 1].text == "("
        qualified = index > 0 and tokens[index - 1].text == "."
        if (called or token.upper in _NO_BRACKETS) and not qualified:
            found.append(token.upper)
    return found


def check(scopes: Scopes, leader: list[str], into_table: bool) -> None:
    """Refuse a statement that a real cluster refuses.

    leader: the leader-node functions it calls; into_table: whether its rows go to a table.
    Raises ServerError 0A000 or XX000.
    """
    _check_leader(scopes, leader, into_table)
    for block in scopes.blocks:
        _check_correlation(scopes, block)
        if isinstance(block.node, exp.Select):
            _check_joins(scopes, block.node)
            _check_limit(block.node)
    _check_untyped(scopes)


def own(node: exp.Expr, *kinds: type[exp.Expr]) -> Iterator[exp.Expr]:
    """Give the nodes of some kinds below a node, without those of its subqueries."""
    for child in node.iter_expressions():
        if isinstance(child, kinds):
            yield child
        if not isinstance(child, exp.Query):
            yield from own(child, *kinds)


# -- leader node ----------------------------------------------------------------------------


def _check_leader(scopes: Scopes, leader: list[str], into_table: bool) -> None:
    """[D: SQL functions supported on the leader node; Leader node-only functions].

    A query runs on the leader node alone or on the compute nodes; what only the leader has
    (its functions, the catalog) cannot stand beside a table.
    """
    sources = [source for block in scopes.blocks for source in block.sources]
    tables = into_table or any(source.relation is not None for source in sources)
    logs = any(source.system and "." not in source.system for source in sources)
    catalogs = any("." in source.system for source in sources)
    bad = [name for name in leader if tables or (logs and name in _LEADER_ONLY)]
    if bad or (catalogs and (tables or logs)):
        info = f'Function "{bad[0].lower()}()" not supported.' if bad else ""
        raise ServerError(
            "0A000",
            "Specified types or functions (one per INFO message) not supported on Redshift tables.",
            info,
        )


# -- correlation ----------------------------------------------------------------------------


def _decorrelation() -> ServerError:
    # Code and words of a real cluster [I: SQLMesh/sqlmesh#5342].
    return ServerError(
        "XX000", "This type of correlated subquery pattern is not supported due to internal error"
    )


def _check_correlation(scopes: Scopes, block: Block) -> None:
    """[D: Correlated subqueries, "patterns that are not supported"]."""
    levels = [found.levels for column in block.columns if (found := scopes.resolve(column))]
    if max(levels, default=0) > 1:
        raise _decorrelation()  # a reference that skips a query block
    if isinstance(block.node, exp.Select):
        _check_grouped_subquery(scopes, block.node)
    if 1 not in levels:
        return
    checks = _CORRELATED if isinstance(block.node, exp.Select) else []
    if any(test(block) for test in checks):
        raise _decorrelation()


def _groups_aggregates(block: Block) -> bool:
    aggregates = list(own(block.node, exp.AggFunc))
    return block.node.args.get("group") is not None and not all(
        isinstance(node, exp.Max | exp.Min) for node in aggregates
    )


_CORRELATED: list[Callable[[Block], bool]] = [
    # From a subquery in an ON clause: the page says so of any join.
    lambda block: block.place == "on",
    # From a subquery that holds a window function.
    lambda block: any(own(block.node, exp.Window)),
    # From a subquery with an aggregate (MIN and MAX apart) and GROUP BY. The page says so of
    # IN; of other predicates nothing is known, so they are refused too.
    _groups_aggregates,
    # Nothing is known of these either.
    lambda block: block.in_set,
    lambda block: bool(block.node.args.get("limit") or block.node.args.get("offset")),
]


def _check_grouped_subquery(scopes: Scopes, select: exp.Select) -> None:
    """A GROUP BY column that is the result of a correlated subquery is refused."""
    blocks = {id(block.node): block for block in scopes.blocks}
    for item in group_items(select):
        for query in item.find_all(exp.Select):
            block = blocks.get(id(query))
            if block is not None and scopes.is_correlated(block):
                raise _decorrelation()


def group_items(select: exp.Select) -> list[exp.Expr]:
    """Give what a GROUP BY groups by: ordinals and aliases are looked up in the list."""
    group = select.args.get("group")
    return [] if group is None else [_listed(select, item) for item in group.expressions]


def _listed(select: exp.Select, item: exp.Expr) -> exp.Expr:
    if isinstance(item, exp.Literal) and not item.is_string:
        position = int(item.name) - 1
        if position < len(select.expressions) and not any(e.is_star for e in select.expressions):
            return select.expressions[position].unalias()
    if isinstance(item, exp.Column) and not item.table:
        for node in select.expressions:
            if isinstance(node, exp.Alias) and node.alias == item.name:
                return node.this
    return item


def _check_limit(select: exp.Select) -> None:
    """[I: jOOQ/jOOQ#18358]."""
    limit = select.args.get("limit")
    if limit is not None and limit.find(exp.Query):
        raise ServerError("0A000", "argument of LIMIT must not contain subqueries")


# -- joins ----------------------------------------------------------------------------------


def _conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    if isinstance(node, exp.And):
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    elif isinstance(node, exp.Paren):
        yield from _conjuncts(node.this)
    elif node is not None:
        yield node


def _tables_of(scopes: Scopes, node: exp.Expr) -> set[str]:
    found = (scopes.resolve(column) for column in node.find_all(exp.Column))
    return {place.source.name for place in found if place is not None and place.levels == 0}


def _check_joins(scopes: Scopes, select: exp.Select) -> None:
    """A FULL JOIN is a merge or hash join: equalities between its two sides and nothing else.

    PostgreSQL 8.0, from which Redshift descends, refuses any other condition.
    """
    for join in select.args.get("joins") or []:
        if join.side != "FULL" or join.args.get("using"):
            continue
        conditions = list(_conjuncts(join.args.get("on")))
        if not conditions or not all(_is_equality(scopes, c, join) for c in conditions):
            raise ServerError(
                "0A000", "FULL JOIN is only supported with merge-joinable join conditions"
            )


def _is_equality(scopes: Scopes, condition: exp.Expr, join: exp.Join) -> bool:
    if not isinstance(condition, exp.EQ):
        return False
    left, right = (_tables_of(scopes, side) for side in (condition.this, condition.expression))
    joined = {join.alias_or_name}
    return (left == joined and bool(right) and right.isdisjoint(joined)) or (
        right == joined and bool(left) and left.isdisjoint(joined)
    )


# -- literals without a type ----------------------------------------------------------------


def _untyped(kind: str = "text") -> ServerError:
    # [I: fleetio/dbt-segment#16, calogica/dbt-expectations#130 (XX000)].
    return ServerError("XX000", f'failed to find conversion function from "unknown" to {kind}')


def _check_untyped(scopes: Scopes) -> None:
    """A bare literal of a subquery has no type; no function turns it into text further out.

    Seen with DISTINCT, ORDER BY, PARTITION BY and GROUP BY [I: fleetio/dbt-segment#16,
    OHDSI/Achilles#320], comparisons [I: calogica/dbt-expectations#99] and MIN
    [I: snowplow/dbt-snowplow-attribution#9]; UNION follows from sorting.
    """
    for block in scopes.blocks:
        if isinstance(block.node, exp.Select) and any(
            scopes.is_untyped(node) for node in _sorted(block.node)
        ):
            raise _untyped()
    for union in scopes.tree.find_all(exp.SetOperation):
        if any(scopes.untyped_outputs(side) for side in (union.this, union.expression)):
            raise _untyped()
    # [I: tuva-health/tuva-core#1165]: neither into a column of a table.
    if isinstance(scopes.tree, exp.Insert) and isinstance(scopes.tree.expression, exp.Query):
        query = scopes.tree.expression
        if not isinstance(query.unnest(), exp.SetOperation) and scopes.untyped_outputs(query):
            raise _untyped("character varying")


def _sorted(select: exp.Select) -> Iterator[exp.Expr]:
    """Give the expressions of a SELECT that are compared with each other."""
    if select.args.get("distinct") is not None:
        yield from select.expressions
    yield from group_items(select)
    order = select.args.get("order")
    if order is not None:
        yield from (_listed(select, item.this) for item in order.expressions)
    for window in own(select, exp.Window):
        yield from window.args.get("partition_by") or []
        inner = window.args.get("order")
        yield from (item.this for item in inner.expressions) if inner is not None else ()
    for node in own(select, exp.Binary, exp.Min, exp.Max):
        if isinstance(node, exp.EQ | exp.NEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
            yield from (node.this, node.expression)
        elif isinstance(node, exp.Min | exp.Max):
            yield node.this
