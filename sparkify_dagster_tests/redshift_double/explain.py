"""EXPLAIN: a plan that looks like Redshift's, of a statement that was checked and not run."""

from collections.abc import Iterator

from sqlglot import exp

from .errors import syntax_error
from .lexical import Token
from .scopes import Find, Scopes

_EXPLAINED = ("SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE")


def inner(text: str, tokens: list[Token]) -> str:
    """Give the statement that is to be explained.

    SELECT, CREATE TABLE AS, INSERT, UPDATE or DELETE; of others EXPLAIN fails [D: EXPLAIN].
    Raises ServerError 42601.
    """
    at = 1 + (len(tokens) > 1 and tokens[1].upper == "VERBOSE")
    words = [token.upper for token in tokens[at:]]
    if not words:
        raise syntax_error("")
    made = words[0] == "CREATE" and "TABLE" in words[:4] and "AS" in words
    if words[0] not in _EXPLAINED and not made:
        raise syntax_error(tokens[at].text)
    return text[tokens[at].start :]


def plan(tree: exp.Expr, find: Find) -> list[str]:
    """Write a plan: its shape follows the statement, its numbers mean nothing."""
    query = tree.expression if isinstance(tree, exp.Insert | exp.Create) else tree
    if query is None or isinstance(query, exp.Values):
        return ["XN Result  (cost=0.00..0.01 rows=1 width=0)"]
    lines = list(_steps(query, find))
    return [f"{'  ' * depth}{'->  ' if depth else ''}{line}" for depth, line in enumerate(lines)]


def _steps(query: exp.Expr, find: Find) -> Iterator[str]:
    cost = "(cost=0.00..1.00 rows=100 width=32)"
    if query.args.get("limit"):
        yield f"XN Limit  {cost}"
    if query.args.get("order"):
        yield f"XN Merge  {cost}"
    if isinstance(query, exp.SetOperation) or query.args.get("distinct"):
        yield f"XN Unique  {cost}"
    if query.args.get("group"):
        yield f"XN HashAggregate  {cost}"
    names = [
        source.relation.name if source.relation is not None else source.name
        for block in Scopes(query, find).blocks
        for source in block.sources
    ]
    yield from (f"XN Hash Join DS_DIST_ALL_NONE  {cost}" for _ in names[1:])
    yield from (f"XN Seq Scan on {name}  {cost}" for name in names[:1])
    if not names:
        yield "XN Result  (cost=0.00..0.01 rows=1 width=0)"
