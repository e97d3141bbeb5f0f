"""Comparison of text as Redshift does it: trailing blanks do not count.

"Trailing spaces in VARCHAR and CHAR values are treated as semantically insignificant when
values are compared" [D: Character types]; LIKE heeds them [D: LIKE], LEN counts those of
VARCHAR, and storage keeps them. DuckDB compares byte by byte, so every place of a statement
that compares text is given RTRIM(value, ' '). Where rows are merged (GROUP BY, DISTINCT, set
operations) one of the values goes on as it was stored, with its blanks: of a group the one
that has most, so that a client which counts on a trimmed value is found out.
"""

from collections.abc import Callable, Iterator

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types

from .errors import not_emulated
from .restrictions import group_items
from .scopes import Scopes

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


def _trimmed(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Literal):
        return exp.Literal.string(node.name.rstrip(" "))
    return exp.Anonymous(this="rtrim", expressions=[node, exp.Literal.string(" ")])


def _guess(node: exp.Expr) -> bool:
    """Ask sqlglot for a function's type. Raises ServerError 0A000 where it knows none."""
    if isinstance(node, exp.Column | exp.Subquery):
        return False  # of a table that does not exist, as DuckDB will say
    kind = annotate_types(node.copy()).type
    if kind is None or kind.this == exp.DataType.Type.UNKNOWN:
        raise not_emulated(f"the comparison of {node.sql('redshift')}, of unknown type")
    return kind.is_type(*exp.DataType.TEXT_TYPES)


def _wrap(node: exp.Expr) -> None:
    """Trim a node where it stands; the node itself lives on below."""
    place = exp.Placeholder()
    node.replace(place)
    place.replace(_trimmed(node))


def _column(name: str, table: str = "") -> exp.Column:
    return exp.column(name, table=table or None, quoted=True)


class Blanks:
    """Rewrites one statement, by what its scopes know of types."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def rewrite(self, tree: exp.Expr) -> exp.Expr:
        """Rewrite in place; give the root, which is another where it was a set operation.

        Raises ServerError 0A000 for a comparison that cannot be carried out so.
        """
        # All is decided before anything moves: types hang on the nodes as they were parsed.
        jobs = list(self._jobs(tree))
        holder = exp.Paren(this=tree) if isinstance(tree, exp.SetOperation) else None
        for job in [*jobs, *self._late]:
            job()
        return holder.this.pop() if holder is not None else tree

    def _is_text(self, node: exp.Expr) -> bool:
        known = self._scopes.is_text(node)
        return _guess(node) if known is None else known

    def _jobs(self, tree: exp.Expr) -> Iterator[Callable[[], None]]:
        self._late: list[Callable[[], None]] = []
        selects = []
        for node in tree.walk():
            if isinstance(node, _COMPARISONS):
                yield from self._comparison(node)
            elif isinstance(node, exp.In):
                yield from self._in(node)
            elif isinstance(node, exp.Between):
                parts = [node.this, node.args["low"], node.args["high"]]
                yield from self._operands(parts)
            elif isinstance(node, exp.Case) and node.this is not None:
                parts = [node.this, *(branch.this for branch in node.args["ifs"])]
                yield from self._operands(parts)
            elif isinstance(node, exp.Nullif) and self._is_text(node.this):
                yield lambda node=node: _nullif(node)
            elif isinstance(node, exp.Window):
                yield from self._window(node)
            elif isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct):
                yield from self._operands(node.this.expressions, together=False)
            elif isinstance(node, exp.Any | exp.All) and isinstance(node.this, exp.Query):
                raise not_emulated("a comparison with ANY or ALL")
            elif isinstance(node, exp.SetOperation):
                self._set_operation(node)
            elif isinstance(node, exp.Select):
                selects.append(node)
        for select in selects:
            yield from self._select(select)

    # -- comparisons ------------------------------------------------------------------

    def _operands(
        self, nodes: list[exp.Expr], together: bool = True
    ) -> Iterator[Callable[[], None]]:
        """Trim text operands; together they are one comparison, which a date makes no text."""
        if together and any(self._scopes.is_text(node) is False for node in nodes):
            return
        flags = [self._is_text(node) for node in nodes]
        if together and not all(flags):
            return
        for node, text in zip(nodes, flags, strict=True):
            if text:
                yield lambda node=node: _wrap(node)

    def _comparison(self, node: exp.Expr) -> Iterator[Callable[[], None]]:
        if isinstance(node.parent, exp.Update) and node.arg_key == "expressions":
            return  # SET a = b assigns
        if isinstance(node.this, exp.Tuple):
            if not isinstance(node.expression, exp.Tuple):
                raise not_emulated("a row compared with a subquery")
            pairs = zip(node.this.expressions, node.expression.expressions, strict=False)
            for pair in pairs:
                yield from self._operands(list(pair))
            return
        yield from self._operands([node.this, node.expression])

    def _in(self, node: exp.In) -> Iterator[Callable[[], None]]:
        left = node.this.expressions if isinstance(node.this, exp.Tuple) else [node.this]
        flags = [self._is_text(item) for item in left]
        if not any(flags):
            return
        for item, text in zip(left, flags, strict=True):
            if text:
                yield lambda item=item: _wrap(item)
        query = node.args.get("query")
        if query is not None:
            self._late.append(lambda: _trim_query(query, flags))
            return
        for row in node.expressions:
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            for cell, text in zip(cells, flags, strict=False):
                if text and not isinstance(cell, exp.Null):
                    yield lambda cell=cell: _wrap(cell)

    def _window(self, node: exp.Window) -> Iterator[Callable[[], None]]:
        order = node.args.get("order")
        parts = list(node.args.get("partition_by") or [])
        parts += [item.this for item in order.expressions] if order is not None else []
        yield from self._operands(parts, together=False)

    # -- a SELECT's rows --------------------------------------------------------------

    def _select(self, select: exp.Select) -> Iterator[Callable[[], None]]:
        for join in select.args.get("joins") or []:
            self._check_using(select, join)
        grouped = [self._sorts_by_text(item) for item in group_items(select)]
        ordered = self._ordered(select)
        if any(grouped):
            yield lambda: _group(select, grouped)
        if select.args.get("distinct") is not None:
            columns = self._columns(select)
            if any(text and not isinstance(c.unalias(), exp.Literal) for c, text in columns):
                yield lambda: _distinct(select, columns)
        yield from ordered

    def _ordered(self, select: exp.Select) -> list[Callable[[], None]]:
        order = select.args.get("order")
        jobs: list[Callable[[], None]] = []
        for item in order.expressions if order is not None else []:
            position = _position(select, item.this)
            if position is None:
                if self._is_text(item.this):
                    jobs.append(lambda item=item: _wrap(item.this))
            elif self._sorts_by_text(select.expressions[position].unalias()):
                jobs.append(lambda item=item, at=position: _order_by(select, item, at))
        return jobs

    def _sorts_by_text(self, node: exp.Expr) -> bool:
        return not isinstance(node, exp.Literal) and self._is_text(node)

    def _columns(self, select: exp.Select) -> list[tuple[exp.Expr, bool]]:
        """Give the result columns, stars written out, and which are text."""
        columns: list[tuple[exp.Expr, bool]] = []
        for node in select.expressions:
            if not node.is_star:
                columns.append((node, self._is_text(node.unalias())))
                continue
            wanted = node.table if isinstance(node, exp.Column) else ""
            for source in self._scopes.block(select).sources:
                if wanted in ("", source.name):
                    if source.outputs is None:
                        raise not_emulated("DISTINCT over columns it does not know")
                    columns += [
                        (_column(o.name, source.name), bool(self._scopes.output_is_text(o)))
                        for o in source.outputs
                    ]
        return columns

    def _check_using(self, select: exp.Select, join: exp.Join) -> None:
        names = [identifier.name for identifier in join.args.get("using") or []]
        for source in self._scopes.block(select).sources if names else []:
            found = [output for name in names if (output := source.find(name)) is not None]
            if any(self._scopes.output_is_text(output) for output in found):
                raise not_emulated("JOIN ... USING of text columns (write ON)")

    # -- set operations ---------------------------------------------------------------

    def _set_operation(self, node: exp.SetOperation) -> None:
        if _keeps_all(node) and node.args.get("order") is None:
            return
        outputs = self._scopes.outputs(node)
        if outputs is None:
            raise not_emulated("a set operation over columns it does not know")
        flags = [bool(self._scopes.output_is_text(output)) for output in outputs]
        if any(flags):
            names = [output.name for output in outputs]
            self._late.insert(0, lambda: _merge(node, names, flags))  # the inner ones first


def _keeps_all(node: exp.SetOperation) -> bool:
    return isinstance(node, exp.Union) and node.args.get("distinct") is False


def _trim_query(query: exp.Expr, flags: list[bool]) -> None:
    """Put `SELECT RTRIM(c1) FROM (query) AS q(c1)` in the place of IN's query."""
    names = _names(flags)
    place = exp.Placeholder()
    query.replace(place)
    inner = query.unnest() if isinstance(query, exp.Subquery) else query
    columns = _keys(flags, [_column(name) for name in names])
    outer = exp.Select(expressions=columns, from_=exp.From(this=_derived(inner, "q", names)))
    place.replace(exp.Subquery(this=outer))


def _names(flags: list[bool], letter: str = "c") -> list[str]:
    return [f"{letter}{number}" for number in range(1, len(flags) + 1)]


def _keys(flags: list[bool], columns: list[exp.Expr]) -> list[exp.Expr]:
    """Give columns by what compares them: trimmed where they are text.

    Constants are left out: DuckDB would read them as the numbers of columns.
    """
    return [
        _trimmed(column) if text else column
        for text, column in zip(flags, columns, strict=True)
        if not isinstance(column, exp.Literal | exp.Null | exp.Boolean)
    ]


def _derived(query: exp.Expr, alias: str, names: list[str]) -> exp.Subquery:
    columns = [exp.to_identifier(name, quoted=True) for name in names]
    return exp.Subquery(
        this=query, alias=exp.TableAlias(this=exp.to_identifier(alias), columns=columns)
    )


def _nullif(node: exp.Nullif) -> None:
    first, second = node.this, node.expression
    same = exp.EQ(this=_trimmed(first.copy()), expression=_trimmed(second.copy()))
    node.replace(exp.Case(ifs=[exp.If(this=same, true=exp.null())], default=first.copy()))


# -- rows that become one ---------------------------------------------------------------------


def _same(node: exp.Expr, other: exp.Expr) -> bool:
    if isinstance(node, exp.Column) and isinstance(other, exp.Column):
        tables = {node.table, other.table} - {""}
        return node.name == other.name and len(tables) < 2
    return bool(node == other)


def _represent(node: exp.Expr, keys: list[exp.Expr]) -> None:
    """Put MAX(key) for each grouping key below a node, outside of aggregates."""
    if isinstance(node, exp.AggFunc) and not isinstance(node.parent, exp.Window):
        return
    if any(_same(node, key) for key in keys):
        new: exp.Expr = exp.Max(this=node.copy())
        if isinstance(node.parent, exp.Select):
            new = exp.alias_(new, node.alias_or_name or "?column?", quoted=True)
        node.replace(new)
        return
    for child in list(node.iter_expressions()):
        if not isinstance(child, exp.Query):
            _represent(child, keys)


def _group(select: exp.Select, flags: list[bool]) -> None:
    group = select.args["group"]
    items = [item.copy() for item in group_items(select)]
    parts = [*select.expressions, select.args.get("having"), select.args.get("order")]
    kept = zip(items, list(group.expressions), flags, strict=True)
    group.set("expressions", [_trimmed(item) if text else old for item, old, text in kept])
    keys = [item.copy() for item, text in zip(items, flags, strict=True) if text]
    for part in parts:
        if part is not None:
            _represent(part, keys)


def _distinct(select: exp.Select, columns: list[tuple[exp.Expr, bool]]) -> None:
    """Keep the first row of each combination of trimmed values."""
    if len(columns) != len(select.expressions):
        select.set("expressions", [node for node, _ in columns])
    values = [node.unalias().copy() for node in select.expressions]
    on = _keys([text for _, text in columns], values)
    select.set("distinct", exp.Distinct(on=exp.Tuple(expressions=on)))


def _position(select: exp.Expr, node: exp.Expr) -> int | None:
    """Find the result column that an ORDER BY item names by ordinal or alias."""
    if any(item.is_star for item in select.expressions):
        return None
    if isinstance(node, exp.Literal) and not node.is_string:
        return int(node.name) - 1 if int(node.name) <= len(select.expressions) else None
    if isinstance(node, exp.Column) and not node.table:
        for index, item in enumerate(select.expressions):
            if item.alias == node.name:
                return index
    return None


def _order_by(select: exp.Select, item: exp.Ordered, position: int) -> None:
    item.set("this", _trimmed(select.expressions[position].unalias().copy()))


def _merge(node: exp.SetOperation, names: list[str], flags: list[bool]) -> None:
    """Write a set operation as a SELECT whose rows are compared without trailing blanks."""
    place = exp.Placeholder()
    node.replace(place)
    inner = _names(flags)
    columns: list[exp.Expr] = [_column(name) for name in inner]
    shown = [
        exp.alias_(c.copy(), n or "?column?", quoted=True)
        for c, n in zip(columns, names, strict=True)
    ]
    new = exp.Select(expressions=shown)
    for key in ("with_", "limit", "offset"):
        new.set(key, node.args.get(key))
        node.set(key, None)
    order = node.args.get("order")
    node.set("order", None)
    if not _keeps_all(node):
        on = exp.Tuple(expressions=_keys(flags, [c.copy() for c in columns]))
        new.set("distinct", exp.Distinct(on=on))
    if isinstance(node, exp.Union):
        node.set("distinct", False)
        new.set("from_", exp.From(this=_derived(node, "u", inner)))
    else:
        new.set("from_", exp.From(this=_derived(node.this, "u", inner)))
        new.set("where", exp.Where(this=_also_in(node, flags)))
    for item in order.expressions if order is not None else []:
        at = _position(exp.Select(expressions=[e.copy() for e in shown]), item.this)
        if at is None:
            raise not_emulated("ORDER BY of a set operation by an expression")
        item.set("this", _keys([flags[at]], [columns[at].copy()])[0])
    new.set("order", order)
    place.replace(new)


def _also_in(node: exp.SetOperation, flags: list[bool]) -> exp.Expr:
    """Write what INTERSECT asks of a row, and EXCEPT denies."""
    left = _keys(flags, [_column(name, "u") for name in _names(flags)])
    right = _keys(flags, [_column(name, "o") for name in _names(flags, "d")])
    same = [exp.NullSafeEQ(this=a, expression=b) for a, b in zip(left, right, strict=True)]
    query = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=_derived(node.expression, "o", _names(flags, "d"))),
        where=exp.Where(this=exp.and_(*same)),
    )
    found = exp.Exists(this=query)
    return exp.Not(this=found) if isinstance(node, exp.Except) else found
