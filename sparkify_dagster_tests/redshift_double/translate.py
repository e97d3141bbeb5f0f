"""Redshift SQL to DuckDB SQL, by the double's own rules.

Written apart from the product's translation on purpose: two readings of Redshift's rules
that must agree on every result catch the mistakes of either. What Redshift refuses is
refused here too, and what cannot be carried out faithfully is refused loudly.
"""

import functools
import itertools
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from . import lexical, restrictions
from .blanks import Blanks
from .catalog import INTERNAL, Relation
from .column_types import RedshiftType, from_sql
from .errors import ServerError, not_emulated, refused, syntax_error
from .rights import Rights
from .scopes import Scopes
from .system import VIEWS

_DIALECT = "redshift"
# Unsupported notations raise here; sqlglot's warnings would only repeat them.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

Describe = Callable[[str], list[tuple[str, str]]]


@dataclass
class Context:
    """What a statement's meaning depends on besides its text."""

    describe: Describe
    find: Callable[[str, str], Relation | None]
    system_view: Callable[[str], str]
    functions: dict[str, str | int]
    database: str
    now: datetime
    transaction_start: datetime
    authorize: Callable[[Scopes], None]
    has_privilege: Callable[[str, list[str]], bool]
    visible: Rights | None
    leader_functions: list[str] = field(default_factory=list)
    parameters: list[exp.Expr] = field(default_factory=list)
    # Whether the translation holds for as long as the relations that were found are the same.
    is_lasting: bool = True


def parse(text: str) -> exp.Expr:
    """Parse one statement and fold its names.

    Raises ServerError 42601 where it does not parse or is no SQL the double knows.
    """
    return _known(text).copy() if len(text) < lexical.LONG else _parse(text)


def _parse(text: str) -> exp.Expr:
    _refuse_words(lexical.tokens(text))
    try:
        trees = sqlglot.parse(lexical.prepare_for_parser(text), read=_DIALECT)
    except SqlglotError as error:
        near = re.search(r"\x1b\[4m(.*?)\x1b\[0m", str(error), re.DOTALL)
        raise syntax_error(near[1] if near else text.strip()[:40]) from error
    tree = trees[0]
    if tree is None or isinstance(tree, exp.Command):
        raise syntax_error(text.split(maxsplit=1)[0])
    if not isinstance(tree, exp.Create | exp.Alter):
        fold_names(tree)
    return tree


_known = functools.lru_cache(maxsize=10_000)(_parse)


_REFUSED_FUNCTIONS = {
    "STRING_AGG": "STRING_AGG (use LISTAGG)",
    "ARRAY_AGG": "ARRAY_AGG",
    "JSON_AGG": "JSON_AGG",
    "GENERATE_SERIES": "GENERATE_SERIES on compute nodes",
    "UNNEST": "UNNEST",
}
_NOT_EMULATED_FUNCTIONS = {
    "TO_TIMESTAMP",
    "ADD_MONTHS",
    "FNV_HASH",
    "FARMFINGERPRINT64",
    "RATIO_TO_REPORT",
}


def _refuse_words(tokens: list[lexical.Token]) -> None:
    for token, after in itertools.pairwise(tokens):
        if token.kind != "word" or after.text != "(":
            continue
        if token.upper in _REFUSED_FUNCTIONS:
            raise refused(_REFUSED_FUNCTIONS[token.upper])
        if token.upper in _NOT_EMULATED_FUNCTIONS:
            raise not_emulated(token.upper)


_FRAMED = (exp.AggFunc, exp.FirstValue, exp.LastValue, exp.NthValue)
# Ranking functions take no frame [D: Window function syntax summary].
_UNFRAMED = (
    exp.Lag, exp.Lead, exp.Rank, exp.DenseRank, exp.Ntile, exp.PercentRank, exp.CumeDist,
)  # fmt: skip


def _refuse_window(window: exp.Window) -> None:
    function = window.this
    if isinstance(function, exp.IgnoreNulls | exp.RespectNulls):
        function = function.this
    if function.find(exp.Distinct):
        raise refused("DISTINCT in a window function")
    needs_frame = isinstance(function, _FRAMED) and not isinstance(function, _UNFRAMED)
    if needs_frame and window.args.get("order") and not window.args.get("spec"):
        raise ServerError(
            "42601",
            "Aggregate window functions with an ORDER BY clause require a frame clause",
        )


_DATE_PARTS = {"SECOND", "SECONDS", "MILLISECOND", "MILLISECONDS", "MICROSECOND",
               "MICROSECONDS", "MS", "US", "MSEC", "USEC", "EPOCH"}  # fmt: skip


def _refuse_node(node: exp.Expr) -> None:
    if isinstance(node, exp.Filter):
        raise refused("FILTER on an aggregate")
    if isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ):
        raise refused("IS DISTINCT FROM")
    if isinstance(node, exp.OnConflict):
        raise refused("ON CONFLICT")
    if isinstance(node, exp.Returning):
        raise refused("RETURNING")
    if isinstance(node, exp.Distinct) and node.args.get("on"):
        raise refused("DISTINCT ON")
    if isinstance(node, exp.Lateral):
        raise refused("LATERAL")
    if isinstance(node, exp.Values) and not isinstance(node.parent, exp.Insert):
        raise refused("VALUES outside INSERT")
    if isinstance(node, exp.Intersect | exp.Except) and node.args.get("distinct") is False:
        raise refused(f"{node.key.upper()} ALL")
    if isinstance(node, exp.Window):
        _refuse_window(node)
    if isinstance(node, exp.Extract) and node.this.name.upper() in _DATE_PARTS:
        raise not_emulated(f"EXTRACT or DATE_PART of {node.this.name.lower()}")
    if isinstance(node, exp.DateDiff) and node.text("unit").upper().startswith("WEEK"):
        raise not_emulated("DATEDIFF in weeks")


def refuse(tree: exp.Expr) -> None:
    """Refuse what Redshift does not accept anywhere in a statement.

    Raises ServerError 0A000 or 42601.
    """
    for node in tree.walk():
        _refuse_node(node)
    if isinstance(tree, exp.Insert | exp.Merge) and tree.args.get("with_"):
        raise syntax_error(tree.key)


def _typed_text(value: Any) -> tuple[str, str] | None:
    if isinstance(value, float):
        return repr(value), "DOUBLE"
    if isinstance(value, Decimal):
        scale = max(0, -int(value.as_tuple().exponent))
        digits = max(len(value.as_tuple().digits), scale + 1)
        return format(value, "f"), f"DECIMAL({min(38, digits)},{scale})"
    if isinstance(value, datetime):
        return value.isoformat(" "), "TIMESTAMPTZ" if value.tzinfo else "TIMESTAMP"
    if isinstance(value, date | time):
        return value.isoformat(), "DATE" if isinstance(value, date) else "TIME"
    return None


def literal(value: Any) -> exp.Expr:
    """Write a bound parameter as the literal Redshift would infer it to be."""
    if value is None:
        return exp.null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int):
        return _cast(str(value), "INT" if -(2**31) <= value < 2**31 else "BIGINT")
    typed = _typed_text(value)
    return _cast(*typed) if typed else exp.Literal.string(str(value))


def _cast(text: str, kind: str) -> exp.Cast:
    return exp.Cast(this=exp.Literal.string(text), to=_type(kind).copy())


@functools.cache
def _type(kind: str) -> exp.DataType:
    return exp.DataType.build(kind, dialect="duckdb")


def _stored_type(kind: RedshiftType) -> exp.DataType:
    return _type(kind.stored).copy()


def _anonymous(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _internal(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Dot(this=exp.to_identifier(INTERNAL), expression=_anonymous(name, *arguments))


def _number(value: int) -> exp.Expr:
    return exp.Literal.number(value)


def _rewrite_cast(node: exp.Cast) -> exp.Expr:
    kind = from_sql(node.to)
    plain = type(node)(this=node.this, to=_stored_type(kind))
    if kind.is_text:
        # CAST truncates to the declared bytes where INSERT and COPY fail.
        return _internal("byte_prefix", plain, _number(kind.length or 256))
    return plain


_MICROSECONDS = {
    "MICROSECOND": 1, "MILLISECOND": 1_000, "SECOND": 1_000_000,
    "MINUTE": 60_000_000, "HOUR": 3_600_000_000, "DAY": 86_400_000_000,
    "WEEK": 604_800_000_000,
}  # fmt: skip


def _rewrite_product(node: exp.Mul) -> exp.Expr:
    """Scale constant intervals in BIGINT: DuckDB's own factor is limited to 32 bits."""
    for factor, interval in ((node.this, node.expression), (node.expression, node.this)):
        if not isinstance(interval, exp.Interval) or not isinstance(interval.this, exp.Literal):
            continue
        unit = interval.text("unit").upper().removesuffix("S")
        if unit not in _MICROSECONDS:
            continue
        scale = Decimal(interval.this.name) * _MICROSECONDS[unit]
        if scale != int(scale):
            raise not_emulated("intervals below a microsecond")
        product = exp.Mul(this=exp.paren(factor), expression=_number(int(scale)))
        wide = exp.Cast(this=product, to=exp.DataType.build("BIGINT"))
        return _anonymous("to_microseconds", wide)
    return node


def _rewrite_concat(node: exp.Concat) -> exp.Expr:
    """Keep NULL contagious: DuckDB's CONCAT skips NULLs, Redshift's does not."""
    result = node.expressions[0]
    for part in node.expressions[1:]:
        result = exp.DPipe(this=result, expression=part)
    return exp.paren(result)


def _rewrite_like(node: exp.Like | exp.ILike) -> exp.Expr:
    if isinstance(node.parent, exp.Escape):
        return node
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


def _rewrite_sha2(node: exp.SHA2) -> exp.Expr:
    if (node.text("length") or "256") not in ("0", "256"):
        raise not_emulated("SHA2 of other lengths than 256")
    return _anonymous("sha256", node.this)


def _rewrite_regexp_replace(node: exp.RegexpReplace) -> exp.Expr:
    if node.args.get("position") or node.args.get("modifiers"):
        raise not_emulated("REGEXP_REPLACE with a position or flags")
    replacement = node.args.get("replacement") or exp.Literal.string("")
    return _anonymous(
        "regexp_replace", node.this, node.expression, replacement, exp.Literal.string("g")
    )


def _timestamp(value: datetime) -> exp.Expr:
    return _cast(value.isoformat(" "), "TIMESTAMP")


def _rewrite_now(node: exp.CurrentTimestamp, context: Context) -> exp.Expr:
    """SYSDATE is the transaction's start; GETDATE the statement's, in whole seconds."""
    context.is_lasting = False
    if node.args.get("sysdate"):
        return _timestamp(context.transaction_start)
    return _timestamp(context.now.replace(microsecond=0))


_PRIVILEGE_FUNCTIONS = {
    "HAS_DATABASE_PRIVILEGE": "database",
    "HAS_SCHEMA_PRIVILEGE": "schema",
    "HAS_TABLE_PRIVILEGE": "table",
}


def _sql_name(node: exp.Func) -> str:
    return str(node.sql_name())


def _rewrite_function(node: exp.Func, context: Context) -> exp.Expr:
    name = node.name.upper() if isinstance(node, exp.Anonymous) else _sql_name(node)
    value = context.functions.get(name)
    context.is_lasting &= value is None and name not in _PRIVILEGE_FUNCTIONS
    if name in _PRIVILEGE_FUNCTIONS:
        arguments = list(node.expressions)
        if not all(isinstance(item, exp.Literal) for item in arguments):
            raise not_emulated(f"{name} of other than literals")
        words = [item.name.lower() for item in arguments]
        return exp.Boolean(this=context.has_privilege(_PRIVILEGE_FUNCTIONS[name], words))
    if value is None:
        if name == "OCTET_LENGTH":
            return _anonymous("strlen", *node.expressions)
        return node
    if isinstance(value, int):
        return _cast(str(value), "INTEGER" if name == "PG_BACKEND_PID" else "BIGINT")
    return exp.Literal.string(value)


def _rewrite_node(node: exp.Expr, context: Context) -> exp.Expr:
    for kind, rule in _RULES:
        if isinstance(node, kind):
            return rule(node)
    if isinstance(node, exp.CurrentTimestamp):
        return _rewrite_now(node, context)
    if isinstance(node, exp.Func):
        return _rewrite_function(node, context)
    return node


Rule = Callable[[Any], exp.Expr]
_RULES: list[tuple[type[exp.Expr], Rule]] = [
    (exp.Cast, _rewrite_cast),
    (exp.Mul, _rewrite_product),
    (exp.Concat, _rewrite_concat),
    (exp.Like, _rewrite_like),
    (exp.ILike, _rewrite_like),
    (exp.SHA2, _rewrite_sha2),
    (exp.RegexpReplace, _rewrite_regexp_replace),
]


def _replace_parameters(tree: exp.Expr, context: Context) -> None:
    for column in list(tree.find_all(exp.Column)):
        number = lexical.parameter_number(column.name)
        if number is None:
            continue
        if number > len(context.parameters):
            raise ServerError("42P02", f"there is no parameter ${number}")
        column.replace(context.parameters[number - 1].copy())


def _point_tables(tree: exp.Expr, context: Context) -> None:
    """Send catalog and monitoring views to the double's own, and drop the database name."""
    for table in list(tree.find_all(exp.Table)):
        if table.catalog:
            if table.catalog != context.database:
                raise not_emulated(f"a query of another database ({table.catalog})")
            table.set("catalog", None)
        if table.db == "information_schema":
            if table.name not in ("columns", "tables", "schemata"):
                raise not_emulated(f"information_schema.{table.name}")
            table.set("db", exp.to_identifier(INTERNAL))
            if context.visible is not None:
                _limit(table, context.visible)
        elif table.db in ("", "pg_catalog") and table.name == "pg_namespace":
            table.set("db", exp.to_identifier(INTERNAL))
        elif table.db == "pg_catalog" and table.name not in VIEWS:
            raise not_emulated(f"pg_catalog.{table.name}")
        elif table.db in ("", "pg_catalog") and table.name in VIEWS:
            _point_system_view(table, context)


def _limit(table: exp.Table, rights: Rights) -> None:
    """Show a user only what information_schema of PostgreSQL 8.0 shows him."""
    if table.name == "schemata":
        name, names = "schema_name", rights.owned_schemas()
    else:
        name, names = "table_schema || '.' || table_name", rights.visible()
    listed = ", ".join(exp.Literal.string(item).sql("duckdb") for item in names) or "NULL"
    sql = f"SELECT * FROM {INTERNAL}.{table.name} WHERE {name} IN ({listed})"
    alias = exp.TableAlias(this=exp.to_identifier(table.alias or table.name))
    table.replace(exp.Subquery(this=sqlglot.parse_one(sql, read="duckdb"), alias=alias))


def _point_system_view(table: exp.Table, context: Context) -> None:
    context.is_lasting = False
    source = sqlglot.parse_one(context.system_view(table.name), read="duckdb")
    name = table.alias or table.name
    table.replace(exp.Subquery(this=source, alias=exp.TableAlias(this=exp.to_identifier(name))))


def _enclosing_query(node: exp.Expr, argument: exp.Expr) -> exp.Select | None:
    """Build a query that gives one aggregate's argument, within the same sources."""
    select = node.find_ancestor(exp.Select)
    if select is None:
        return None
    withs = []
    holder: exp.Expr | None = select
    while holder is not None:
        with_ = holder.args.get("with_")
        if with_ is not None:
            withs.append(with_)
        holder = holder.parent
    probe = exp.Select(
        expressions=[exp.alias_(argument.copy(), "argument")],
        from_=select.args["from_"].copy() if select.args.get("from_") else None,
        joins=[join.copy() for join in select.args.get("joins") or []],
    )
    expressions = [cte.copy() for with_ in reversed(withs) for cte in with_.expressions]
    if expressions:
        recursive = any(with_.args.get("recursive") for with_ in withs)
        probe.set("with_", exp.With(expressions=expressions, recursive=recursive))
    return probe


def _type_of(node: exp.Expr, argument: exp.Expr, context: Context) -> str:
    """Ask DuckDB for the type of an expression at a place of the statement; "" if it fails."""
    probe = _enclosing_query(node, argument)
    if probe is None:
        return ""
    try:
        return context.describe(to_duckdb(probe))[0][1]
    except ServerError:
        return ""  # a correlated argument: its aggregate keeps DuckDB's type


_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER"}


def _type_aggregates(tree: exp.Expr, context: Context) -> None:
    """Give SUM and AVG over integers Redshift's types.

    SUM of SMALLINT and INTEGER is BIGINT, of BIGINT NUMERIC(38,0); AVG of integers is an
    integer cut off, not a fraction [AWS: SUM function, AVG function].
    """
    for node in reversed(list(tree.find_all(exp.Sum, exp.Avg))):
        kind = _type_of(node, node.this, context)
        if kind not in _INTEGERS | {"BIGINT", "HUGEINT"}:
            continue
        outer: exp.Expr = node
        while isinstance(outer.parent, exp.Window | exp.IgnoreNulls) and outer.arg_key == "this":
            outer = outer.parent
        whole: exp.Expr = outer.copy()
        if isinstance(node, exp.Avg):
            whole = _anonymous("trunc", whole)
        target = "BIGINT" if kind in _INTEGERS else "DECIMAL(38,0)"
        outer.replace(exp.Cast(this=whole, to=exp.DataType.build(target, dialect="duckdb")))


def fold_names(tree: exp.Expr) -> None:
    """Fold every identifier to lower case, quoted ones too, as Redshift does by default."""
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
        identifier.set("quoted", True)


def rewrite(tree: exp.Expr, context: Context, into_table: bool = False) -> exp.Expr:
    """Turn a parsed query or DML statement into one that DuckDB runs to the same end.

    into_table: whether a query's rows become those of a table.
    Raises ServerError for what Redshift refuses or the double does not carry out.
    """
    refuse(tree)
    _replace_parameters(tree, context)
    scopes = Scopes(tree, context.find)
    context.authorize(scopes)
    restrictions.check(scopes, context.leader_functions, into_table)
    tree = Blanks(scopes).rewrite(tree)
    # Children first: transform() would go on into what it has just made.
    for node in reversed(list(tree.walk())):
        new = _rewrite_node(node, context)
        if new is not node:
            if node is tree:
                tree = new
            else:
                node.replace(new)
    _point_tables(tree, context)
    _type_aggregates(tree, context)
    return tree


def to_duckdb(tree: exp.Expr) -> str:
    """Write DuckDB SQL.

    Raises ServerError 0A000 where sqlglot knows no equivalent.
    """
    try:
        return tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE, comments=False)
    except SqlglotError as error:
        raise not_emulated(str(error)) from error


_FUNCTION_NAMES = {
    "countif": "count", "case": "case", "if": "case", "extract": "date_part",
    "tsordsadd": "date_add", "dateadd": "date_add", "currentversion": "version",
    "groupconcat": "listagg", "stddevsamp": "stddev_samp",
}  # fmt: skip
_CAST_NAMES = {
    "smallint": "int2", "integer": "int4", "bigint": "int8", "real": "float4",
    "double precision": "float8", "boolean": "bool", "character varying": "varchar",
    "character": "bpchar", "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}  # fmt: skip


def _function_name(node: exp.Func) -> str:
    if isinstance(node, exp.CurrentTimestamp):
        return "timestamp" if node.args.get("sysdate") else "getdate"
    if isinstance(node, exp.Anonymous):
        return node.name
    return _FUNCTION_NAMES.get(node.key, node.sql_name())


def _default_name(node: exp.Expr) -> str:
    """Name an unaliased result column as PostgreSQL does."""
    if isinstance(node, exp.Column | exp.Alias):
        return node.output_name
    if isinstance(node, exp.Cast):
        inner = _default_name(node.this)
        kind = from_sql(node.to).name
        return inner if inner != "?column?" else _CAST_NAMES.get(kind, kind)
    if isinstance(node, exp.Paren | exp.Window):
        return _default_name(node.this)
    if isinstance(node, exp.Func) and not isinstance(node, exp.Binary | exp.Connector):
        return _function_name(node)
    return "?column?"


def result_names(tree: exp.Expr) -> list[str | None]:
    """Give the names of a query's columns as written; None stands for what `*` expands to."""
    while isinstance(tree, exp.SetOperation | exp.Subquery):
        tree = tree.this
    if not isinstance(tree, exp.Select):
        return []
    return [None if node.is_star else _default_name(node).lower() for node in tree.expressions]
