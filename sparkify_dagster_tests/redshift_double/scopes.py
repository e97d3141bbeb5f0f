"""Which query block a column belongs to, where it comes from and whether it is text.

Works on a parsed statement whose names are folded; changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from sqlglot import exp

from .catalog import Relation
from .column_types import from_sql
from .system import VIEWS

Find = Callable[[str, str], Relation | None]
# The catalog's views, and which of their columns are no text.
_TABLE = ("table_catalog", "table_schema", "table_name")
_CATALOG = {
    "tables": [*_TABLE, "table_type"],
    "schemata": ["catalog_name", "schema_name", "schema_owner"],
    "columns": [
        *_TABLE, "column_name", "ordinal_position", "column_default", "is_nullable", "data_type",
        "character_maximum_length", "numeric_precision", "numeric_scale",
    ],
    "pg_namespace": ["nspname"],
}  # fmt: skip
_CATALOG_NUMBERS = {
    "ordinal_position", "character_maximum_length", "numeric_precision", "numeric_scale",
}  # fmt: skip
# How a block hangs in the one around it: in FROM, in a join's ON, or in another expression.
Place = Literal["top", "from", "on", "expression"]


@dataclass
class Output:
    """A column that a source offers: a table's (text or not) or a query's (its expression)."""

    name: str
    text: bool | None = None
    expression: exp.Expr | None = None
    block: "Block | None" = None
    settled: bool = False
    """Whether a set operation has given an untyped literal its type."""


@dataclass
class Source:
    """A table, view or derived table in a block's FROM; outputs is None where unknown."""

    name: str
    outputs: list[Output] | None
    relation: Relation | None = None
    system: str = ""

    def find(self, name: str) -> Output | None:
        """Find an output by name."""
        return next((o for o in self.outputs or [] if o.name == name), None)


@dataclass
class Block:
    """One SELECT, UPDATE, DELETE or MERGE with what it reads from."""

    node: exp.Expr
    parent: "Block | None" = None
    place: Place = "top"
    sources: list[Source] = field(default_factory=list)
    columns: list[exp.Column] = field(default_factory=list)
    in_set: bool = False
    """Whether it is a branch of UNION, INTERSECT or EXCEPT."""


@dataclass
class Found:
    """Where a column was found: levels is 0 in its own block, 1 in the one around, and so on."""

    block: Block
    source: Source
    output: Output | None
    levels: int


def _pick(block: Block, column: exp.Column) -> tuple[Source, Output | None] | None:
    if column.table:
        for source in block.sources:
            if source.name == column.table:
                return source, source.find(column.name)
        return None
    for source in block.sources:
        output = source.find(column.name)
        if output is not None:
            return source, output
    return next(((s, None) for s in block.sources if s.outputs is None), None)


class Scopes:
    """All blocks of one statement."""

    def __init__(self, tree: exp.Expr, find: Find) -> None:
        self._find = find
        self._homes: dict[int, Block] = {}
        self._outputs: dict[int, list[Output] | None] = {}
        self._known_text: dict[int, bool | None] = {}
        self.blocks: list[Block] = []
        self.tree = tree
        self._statement(tree)

    # -- building ---------------------------------------------------------------------

    def _statement(self, tree: exp.Expr) -> None:
        if isinstance(tree, exp.Query):
            self._query(tree, None, "top", {})
            return
        block = Block(tree)
        self.blocks.append(block)
        first = [tree.this] if isinstance(tree, exp.Update | exp.Delete | exp.Merge) else []
        using = tree.args.get("using") or []
        first += using if isinstance(using, list) else [using]
        from_ = tree.args.get("from_")
        first += [from_.this] if from_ is not None else []
        for item in first:
            self._from_item(item, block, {})
        skip = {id(item) for item in first} | ({id(tree.this)} if not first else set())
        for child in tree.iter_expressions():
            if id(child) not in skip and child is not from_:
                self._walk(child, block, {}, "expression")

    def _query(
        self,
        query: exp.Expr,
        parent: Block | None,
        place: Place,
        ctes: dict[str, list[Output] | None],
        in_set: bool = False,
    ) -> list[Output] | None:
        while isinstance(query, exp.Subquery) and not query.args.get("joins"):
            query = query.this
        with_ = query.args.get("with_")
        if with_ is not None:
            ctes = dict(ctes)
            for cte in with_.expressions:
                if with_.args.get("recursive"):
                    ctes[cte.alias] = None
                outputs = self._query(cte.this, parent, "from", ctes)
                ctes[cte.alias] = _renamed(outputs, cte)
        if isinstance(query, exp.SetOperation):
            left = self._query(query.this, parent, place, ctes, in_set=True)
            self._query(query.expression, parent, place, ctes, in_set=True)
            outputs = _settled(left)
        elif isinstance(query, exp.Select):
            outputs = self._select(query, Block(query, parent, place, in_set=in_set), ctes)
        else:
            outputs = None
        self._outputs[id(query)] = outputs
        return outputs

    def _select(
        self, select: exp.Select, block: Block, ctes: dict[str, list[Output] | None]
    ) -> list[Output] | None:
        self.blocks.append(block)
        from_ = select.args.get("from_")
        joins = select.args.get("joins") or []
        for item in ([from_.this] if from_ else []) + [join.this for join in joins]:
            self._from_item(item, block, ctes)
        for join in joins:
            for part in [join.args.get("on"), *(join.args.get("using") or [])]:
                if part is not None and not isinstance(part, exp.Identifier):
                    self._walk(part, block, ctes, "on")
        for key, value in select.args.items():
            if key in ("from_", "joins", "with_"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, exp.Expr):
                    self._walk(child, block, ctes, "expression")
        return self._projections(select, block)

    def _from_item(
        self, item: exp.Expr, block: Block, ctes: dict[str, list[Output] | None]
    ) -> None:
        if isinstance(item, exp.Table):
            block.sources.append(self._table(item, ctes))
        elif isinstance(item, exp.Subquery):
            outputs = self._query(item, block, "from", ctes)
            block.sources.append(Source(item.alias, _renamed(outputs, item)))
        else:
            block.sources.append(Source(item.alias_or_name, None))
        for join in item.args.get("joins") or []:
            self._from_item(join.this, block, ctes)

    def _table(self, table: exp.Table, ctes: dict[str, list[Output] | None]) -> Source:
        name = table.alias_or_name
        if not table.db and table.name in ctes:
            return Source(name, ctes[table.name])
        if table.db in ("", "pg_catalog") and table.name in VIEWS:
            kinds = VIEWS[table.name].items()
            outputs = [Output(column, kind.startswith("char")) for column, kind in kinds]
            return Source(name, outputs, system=table.name)
        if table.db in ("information_schema", "pg_catalog") or table.name == "pg_namespace":
            known = _CATALOG.get(table.name)
            outputs = known and [Output(c, c not in _CATALOG_NUMBERS) for c in known]
            return Source(name, outputs, system=f"catalog.{table.name}")
        relation = self._find(table.db, table.name)
        if relation is None:
            return Source(name, None)
        columns = [Output(column.name, column.type.is_text) for column in relation.columns]
        return Source(name, columns, relation)

    def _walk(
        self,
        node: exp.Expr,
        block: Block,
        ctes: dict[str, list[Output] | None],
        place: Place,
    ) -> None:
        if isinstance(node, exp.Query):
            self._query(node, block, place, ctes)
            return
        if isinstance(node, exp.Column):
            block.columns.append(node)
            self._homes[id(node)] = block
            return
        for child in node.iter_expressions():
            self._walk(child, block, ctes, place)

    def _projections(self, select: exp.Select, block: Block) -> list[Output] | None:
        outputs: list[Output] = []
        for node in select.expressions:
            if node.is_star:
                wanted = node.table if isinstance(node, exp.Column) else ""
                for source in block.sources:
                    if wanted and source.name != wanted:
                        continue
                    if source.outputs is None:
                        return None
                    outputs += source.outputs
            else:
                outputs.append(Output(node.alias_or_name, None, node.unalias(), block))
        return outputs

    # -- asking -----------------------------------------------------------------------

    def outputs(self, query: exp.Expr) -> list[Output] | None:
        """Give the columns of a query inside the statement; None where they are unknown."""
        while isinstance(query, exp.Subquery):
            query = query.this
        return self._outputs.get(id(query))

    def block(self, node: exp.Expr) -> Block:
        """Give the block of a SELECT, UPDATE, DELETE or MERGE."""
        return next(block for block in self.blocks if block.node is node)

    def resolve(self, column: exp.Column) -> Found | None:
        """Find what a column means, from its own block outwards."""
        block = self._homes.get(id(column))
        levels, hidden = 0, False
        while block is not None:
            found = None if hidden else _pick(block, column)
            if found is not None:
                return Found(block, found[0], found[1], levels)
            # A derived table sees nothing of its neighbours in FROM.
            hidden = block.place == "from"
            block, levels = block.parent, levels + 1
        return None

    def is_correlated(self, block: Block) -> bool:
        """Tell whether a block itself refers to one around it."""
        for column in block.columns:
            found = self.resolve(column)
            if found is not None and found.levels > 0:
                return True
        return False

    def is_untyped(self, node: exp.Expr, outer: bool = False) -> bool:
        """Tell whether an expression is a bare literal or NULL that came out of a subquery.

        outer: whether a literal itself counts, as it does once a column has led to it.
        """
        node = node.unalias().unnest()
        if isinstance(node, exp.Null) or (isinstance(node, exp.Literal) and node.is_string):
            return outer
        if not isinstance(node, exp.Column):
            return False
        found = self.resolve(node)
        return found is not None and self._output_is_untyped(found.output)

    def _output_is_untyped(self, output: Output | None) -> bool:
        if output is None or output.expression is None or output.settled:
            return False
        return self.is_untyped(output.expression, outer=True)

    def untyped_outputs(self, query: exp.Expr) -> list[str]:
        """Name the result columns of a query that are literals out of a subquery."""
        return [
            output.name
            for output in self.outputs(query) or []
            if output.expression is not None
            and not output.settled
            and self.is_untyped(output.expression)
        ]

    def is_text(self, node: exp.Expr) -> bool | None:
        """Tell whether an expression is CHAR or VARCHAR; None where only DuckDB knows."""
        key = id(node)
        if key not in self._known_text:
            self._known_text[key] = None  # ends a recursive common table's circle
            self._known_text[key] = self._text(node)
        return self._known_text[key]

    def output_is_text(self, output: Output) -> bool | None:
        """Tell whether a source's column is text."""
        return output.text if output.expression is None else self.is_text(output.expression)

    def _text(self, node: exp.Expr) -> bool | None:
        output: Output | None = None
        if isinstance(node, exp.Column):
            found = self.resolve(node)
            output = found.output if found is not None else None
        elif isinstance(node, exp.Subquery):
            output = next(iter(self.outputs(node) or []), None)
        if isinstance(node, exp.Column | exp.Subquery):
            return None if output is None else self.output_is_text(output)
        if isinstance(node, exp.Literal | exp.Cast):
            return node.is_string if isinstance(node, exp.Literal) else from_sql(node.to).is_text
        if isinstance(node, _TEXT + _NOT_TEXT):
            return isinstance(node, _TEXT)
        if isinstance(node, exp.Anonymous):
            return _FUNCTIONS.get(node.name.upper())
        parts = [part for part in _parts(node) if not isinstance(part, exp.Null)]
        return _all_text([self.is_text(part) for part in parts])


_TEXT = (
    exp.Upper, exp.Lower, exp.Trim, exp.Substring, exp.Concat, exp.DPipe, exp.Left, exp.Right,
    exp.Replace, exp.RegexpReplace, exp.RegexpExtract, exp.MD5, exp.SHA2, exp.GroupConcat,
    exp.Chr, exp.Initcap, exp.ToChar, exp.SplitPart, exp.Reverse, exp.Repeat, exp.Pad,
)  # fmt: skip
_NOT_TEXT = (
    exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Null, exp.Count, exp.Sum, exp.Avg,
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.Interval, exp.Add, exp.Sub, exp.Mul, exp.Div,
    exp.Mod, exp.Neg, exp.Length, exp.Extract, exp.DateDiff, exp.DateAdd, exp.TimestampTrunc,
    exp.DateTrunc, exp.CurrentTimestamp, exp.CurrentDate, exp.Abs, exp.Round, exp.Floor, exp.Ceil,
    exp.Stddev, exp.StddevSamp, exp.Variance, exp.StrPosition, exp.Star,
)  # fmt: skip
# Functions that sqlglot has no class for, and whether they give text.
_FUNCTIONS = {
    "PG_BACKEND_PID": False, "PG_LAST_COPY_ID": False, "PG_LAST_COPY_COUNT": False,
    "STRTOL": False, "OCTET_LENGTH": False, "BTRIM": True, "JSON_EXTRACT_PATH_TEXT": True,
    "REGEXP_SUBSTR": True, "TRANSLATE": True, "QUOTE_IDENT": True, "QUOTE_LITERAL": True,
}  # fmt: skip
_SAME_AS_ARGUMENT = (
    exp.Max, exp.Min, exp.AnyValue, exp.Paren, exp.Window, exp.Lag, exp.Lead, exp.FirstValue,
    exp.LastValue, exp.NthValue, exp.IgnoreNulls, exp.RespectNulls, exp.Nullif, exp.Alias,
    exp.Distinct,
)  # fmt: skip


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    """Give the parts that decide an expression's type."""
    if isinstance(node, exp.Case):
        yield from (branch.args["true"] for branch in node.args["ifs"])
        if node.args.get("default") is not None:
            yield node.args["default"]
    elif isinstance(node, exp.Coalesce | exp.Greatest | exp.Least):
        if node.this is not None:
            yield node.this
        yield from node.expressions
    elif isinstance(node, _SAME_AS_ARGUMENT):
        yield node.this if node.this is not None else node.expressions[0]


def _all_text(flags: list[bool | None]) -> bool | None:
    """Text mixed with another type is that type: a literal beside a date is a date."""
    if False in flags:
        return False
    return None if None in flags or not flags else True


def _renamed(outputs: list[Output] | None, holder: exp.Expr) -> list[Output] | None:
    alias = holder.args.get("alias")
    names = [c.name for c in alias.args.get("columns") or []] if alias is not None else []
    if outputs is None or not names:
        return outputs
    renamed = [
        Output(name, o.text, o.expression, o.block, o.settled)
        for name, o in zip(names, outputs, strict=False)
    ]
    return renamed + outputs[len(names) :]


def _settled(outputs: list[Output] | None) -> list[Output] | None:
    if outputs is None:
        return None
    return [Output(o.name, o.text, o.expression, o.block, True) for o in outputs]
