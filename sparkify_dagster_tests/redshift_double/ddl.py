"""CREATE, ALTER and DROP: Redshift's definitions as DuckDB statements.

Each function gives the DuckDB statements to run, in order.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from . import dml, lexical, translate
from .catalog import INTERNAL, Relation, Runs, comment_sql, dependents, relations_of, schemas
from .column_types import RedshiftType, from_sql
from .errors import ServerError, not_emulated, syntax_error
from .lexical import Token

_identities = itertools.count(1)
_DISTSTYLES = ("AUTO", "EVEN", "KEY", "ALL")


@dataclass
class Design:
    """Distribution and sort order, checked as far as a table definition shows."""

    diststyle: str = ""
    distkey: str = ""
    sortkey: list[str] = field(default_factory=list)

    def check(self, columns: list[str]) -> None:
        """Raise ServerError where keys and columns contradict each other."""
        for name in [self.distkey, *self.sortkey]:
            if name and name not in columns:
                raise ServerError("42703", f'column "{name}" named in key does not exist')
        if self.diststyle == "KEY" and not self.distkey:
            raise ServerError("42601", "DISTSTYLE KEY requires a DISTKEY column")
        if self.distkey and self.diststyle not in ("", "KEY"):
            raise ServerError("42601", f"cannot specify DISTKEY with DISTSTYLE {self.diststyle}")


def _parenthesised(tokens: list[Token], start: int) -> tuple[list[str], int]:
    """Read `(a, b)` from a token on; give the names and the index after the bracket."""
    if start >= len(tokens) or tokens[start].text != "(":
        raise syntax_error(tokens[start].text if start < len(tokens) else "")
    names: list[str] = []
    for index in range(start + 1, len(tokens)):
        if tokens[index].text == ")":
            return names, index + 1
        if tokens[index].text != ",":
            names.append(tokens[index].value)
    raise syntax_error("")


def _key_attribute(tokens: list[Token], index: int, design: Design) -> int:
    """Read DISTKEY (a) or SORTKEY (a, b); give the index after it."""
    names, end = _parenthesised(tokens, index + 1)
    if tokens[index].upper == "DISTKEY":
        design.distkey = names[0]
    else:
        design.sortkey = names
    return end


_PLAIN_ATTRIBUTES = {
    "SORTKEY": ("AUTO",),
    "BACKUP": ("YES", "NO"),
    "ENCODE": ("AUTO",),
}


def _attribute(tokens: list[Token], index: int, design: Design) -> int:
    """Read one table attribute; give the index after it, or the same index if it is none."""
    word = tokens[index].upper
    after = tokens[index + 1].upper if index + 1 < len(tokens) else ""
    if word == "DISTSTYLE":
        if after not in _DISTSTYLES:
            raise syntax_error(after)
        design.diststyle = after
        return index + 2
    if word in ("COMPOUND", "INTERLEAVED") and after == "SORTKEY":
        return _attribute(tokens, index + 1, design)
    if word in ("DISTKEY", "SORTKEY") and after == "(":
        return _key_attribute(tokens, index, design)
    return index + 2 if after in _PLAIN_ATTRIBUTES.get(word, ()) else index


def _split_attributes(text: str) -> tuple[str, Design]:
    """Take the table attributes, which DuckDB does not know, out of a definition."""
    tokens = lexical.tokens(text)
    design = Design()
    changes: list[tuple[Token, str]] = []
    depth = index = 0
    while index < len(tokens):
        token = tokens[index]
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.upper == "AS":
            break
        end = _attribute(tokens, index, design) if depth == 0 else index
        changes += [(tokens[taken], "") for taken in range(index, end)]
        index = max(end, index + 1)
    return lexical.replace(text, changes), design


_NOW = "CAST(now() AT TIME ZONE 'UTC' AS TIMESTAMP)"


def _default_sql(node: exp.Expr) -> str:
    """Write a DEFAULT, where the time is that of the insertion, not of the definition."""
    now = node.find(exp.CurrentTimestamp)
    if now is not None and now is not node:
        raise not_emulated("a DEFAULT that computes with the time")
    return translate.to_duckdb(node) if now is None else _NOW


_IGNORED = (
    exp.PrimaryKeyColumnConstraint,
    exp.UniqueColumnConstraint,
    exp.Reference,
    exp.EncodeColumnConstraint,
    exp.CollateColumnConstraint,
)


@dataclass
class Definition:
    """A column of a new table."""

    name: str
    type: RedshiftType
    nullable: bool = True
    default: str | None = None

    def sql(self) -> str:
        """Write it for DuckDB, with the byte length as a CHECK."""
        parts = [f'"{self.name}"', self.type.stored]
        if not self.nullable:
            parts.append("NOT NULL")
        if self.default is not None:
            parts.append(f"DEFAULT {self.default}")
        if self.type.is_text:
            # Trailing blanks beyond the length are no error [AWS: Character types].
            parts.append(f"CHECK (strlen(rtrim(\"{self.name}\", ' ')) <= {self.type.length})")
        return " ".join(parts)


def _definition(node: exp.ColumnDef, first: list[str]) -> Definition:
    if node.args.get("kind") is None:
        raise syntax_error(node.name)
    result = Definition(node.name.lower(), from_sql(node.args["kind"]))
    for constraint in node.constraints:
        kind = constraint.kind
        if isinstance(kind, exp.NotNullColumnConstraint):
            result.nullable = bool(kind.args.get("allow_null"))
        elif isinstance(kind, exp.DefaultColumnConstraint):
            result.default = _default_sql(kind.this)
        elif isinstance(kind, exp.GeneratedAsIdentityColumnConstraint):
            sequence = f"{INTERNAL}.identity_{next(_identities)}"
            start = kind.args.get("start") or exp.Literal.number(0)
            step = kind.args.get("increment") or exp.Literal.number(1)
            first.append(
                f"CREATE SEQUENCE {sequence} MINVALUE {start} START {start} INCREMENT {step}"
            )
            result.default, result.nullable = f"nextval('{sequence}')", False
        elif not isinstance(kind, _IGNORED):
            raise syntax_error(constraint.sql(dialect="redshift"))
        if isinstance(kind, exp.PrimaryKeyColumnConstraint):
            result.nullable = False
    return result


def _like(node: exp.LikeProperty, context: translate.Context) -> list[Definition]:
    source = context.find(node.this.db.lower(), node.this.name.lower())
    if source is None:
        raise ServerError("42P01", f'relation "{node.this.name}" does not exist')
    defaults = any(
        item.name.upper() == "INCLUDING" and "DEFAULTS" in item.sql().upper()
        for item in node.expressions
    )
    return [
        Definition(c.name, c.type, c.nullable, c.default if defaults else None)
        for c in source.columns
    ]


_KEYS = (exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint)


def _definitions(
    schema: exp.Schema, context: translate.Context, first: list[str]
) -> list[Definition]:
    definitions: list[Definition] = []
    keys: list[str] = []
    for node in schema.expressions:
        inner = node.expressions[0] if isinstance(node, exp.Constraint) else node
        if isinstance(node, exp.ColumnDef):
            definitions.append(_definition(node, first))
        elif isinstance(node, exp.LikeProperty):
            definitions += _like(node, context)
        elif isinstance(inner, exp.PrimaryKey):
            keys += [column.name.lower() for column in inner.expressions]
        elif not isinstance(inner, _KEYS):
            raise syntax_error(node.sql(dialect="redshift"))
    for definition in definitions:
        if definition.name in keys:
            definition.nullable = False  # the key is not enforced, its NOT NULL is
    return definitions


def _target(table: exp.Table, temporary: bool, context: translate.Context) -> str:
    schema, name = table.db.lower(), table.name.lower()
    if temporary:
        if schema:
            raise ServerError("42P16", "temporary tables may not specify a schema name")
        return f'temp.main."{name}"'
    if table.catalog and table.catalog.lower() != context.database:
        raise not_emulated("another database")
    return f'"{schema}"."{name}"' if schema else f'"{name}"'


def _is_temporary(create: exp.Create, name: str) -> bool:
    properties = create.args.get("properties")
    temporary = properties is not None and properties.find(exp.TemporaryProperty) is not None
    return temporary or name.startswith("#")


def create_table(text: str, context: translate.Context) -> tuple[list[str], bool]:
    """Give the statements of CREATE TABLE, and whether it is CREATE TABLE AS.

    Raises ServerError for what Redshift's CREATE TABLE does not know.
    """
    plain, design = _split_attributes(text)
    create = translate.parse(plain)
    if not isinstance(create, exp.Create) or create.args.get("replace"):
        raise syntax_error("TABLE")
    holder = create.this
    table = holder.this if isinstance(holder, exp.Schema) else holder
    target = _target(table, _is_temporary(create, table.name), context)
    exists = bool(create.args.get("exists"))
    made = "CREATE TEMPORARY TABLE" if target.startswith("temp.") else "CREATE TABLE"
    if create.expression is not None:
        if exists:
            raise syntax_error("AS")
        query = create.expression
        if isinstance(query, exp.Subquery):
            query = query.unnest()
        translate.fold_names(query)
        body = translate.to_duckdb(translate.rewrite(query, context, into_table=True))
        columns = ""
        if isinstance(holder, exp.Schema):
            columns = "(" + ", ".join(f'"{c.name.lower()}"' for c in holder.expressions) + ")"
        return [f"{made} {target} {columns} AS {body}"], True
    if not isinstance(holder, exp.Schema):
        raise syntax_error("")
    first: list[str] = []
    definitions = _definitions(holder, context, first)
    design.check([definition.name for definition in definitions])
    found = context.find(table.db.lower(), table.name.lower())
    if found is not None and exists and found.temporary == target.startswith("temp."):
        return [], False  # made by another session while this one waited for the lock
    notes = {"types": {definition.name: str(definition.type) for definition in definitions}}
    body = ", ".join(definition.sql() for definition in definitions)
    context.is_lasting &= not first  # a sequence of its own
    return [*first, f"{made} {target} ({body})", comment_sql(target, notes)], False


def _reads(query: exp.Expr, context: translate.Context) -> list[str]:
    names = {cte.alias_or_name for cte in query.find_all(exp.CTE)}
    keys = []
    for table in query.find_all(exp.Table):
        if not table.db and table.name in names:
            continue
        relation = context.find(table.db, table.name)
        if relation is not None:
            keys.append(relation.key)
    return sorted(set(keys))


def _keep_columns(old: Relation, new: list[tuple[str, str]]) -> None:
    """Raise where CREATE OR REPLACE VIEW would change the columns [AWS: CREATE VIEW]."""
    if len(old.columns) != len(new):
        raise ServerError("42P16", "cannot change number of columns in view")
    for column, (name, kind) in zip(old.columns, new, strict=True):
        if column.name != name:
            raise ServerError("42P16", f'cannot change name of view column "{column.name}"')
        if column.type.stored != kind:
            raise ServerError("42P16", f'cannot change data type of view column "{name}"')


def create_view(text: str, context: translate.Context) -> list[str]:
    """Give the statements of CREATE [OR REPLACE] VIEW."""
    create = translate.parse(text)
    if not isinstance(create, exp.Create) or create.args.get("exists"):
        raise syntax_error("NOT")
    late = bool(create.args.get("no_schema_binding"))
    holder = create.this
    table = holder.this if isinstance(holder, exp.Schema) else holder
    query = create.expression
    translate.fold_names(query)
    if late and any(
        not t.db for t in query.find_all(exp.Table)
        if t.name not in {cte.alias_or_name for cte in query.find_all(exp.CTE)}
    ):  # fmt: skip
        raise ServerError(
            "42601",
            "All the relation names inside should be qualified when creating VIEW "
            "WITH NO SCHEMA BINDING.",
        )
    reads = _reads(query, context)
    names = [c.name.lower() for c in holder.expressions] if isinstance(holder, exp.Schema) else []
    given = translate.result_names(query)
    body = translate.to_duckdb(translate.rewrite(query, context))
    described = context.describe(body)
    spread = names or dml.spread(given, len(described))
    written = [
        (spread[position] if spread else None) or name
        for position, (name, _) in enumerate(described)
    ]
    columns = [(name, kind) for name, (_, kind) in zip(written, described, strict=True)]
    old = context.find(table.db.lower(), table.name.lower())
    if old is not None and create.args.get("replace") and not late:
        if not old.is_view:
            raise ServerError("42809", f'"{old.name}" is not a view')
        if not old.notes.get("late_binding"):
            _keep_columns(old, columns)
    target = _target(table, False, context)
    replace = "OR REPLACE " if create.args.get("replace") else ""
    listed = ", ".join(f'"{name}"' for name, _ in columns)
    notes = {"reads": reads, "late_binding": late}
    return [
        f"CREATE {replace}VIEW {target} ({listed}) AS {body}",
        comment_sql(target, notes, is_view=True),
    ]


@dataclass
class Drop:
    """A parsed DROP TABLE, VIEW or SCHEMA."""

    kind: str
    names: list[tuple[str, str]]
    if_exists: bool
    cascade: bool


def _dotted(tokens: list[Token], index: int) -> tuple[tuple[str, str], int]:
    """Read `a` or `a.b`; give (schema, name) and the index after it."""
    if index >= len(tokens) or tokens[index].kind not in ("word", "quoted"):
        raise syntax_error(tokens[index].text if index < len(tokens) else "")
    if index + 2 < len(tokens) and tokens[index + 1].text == ".":
        return (tokens[index].value, tokens[index + 2].value), index + 3
    return ("", tokens[index].value), index + 1


def name_list(tokens: list[Token], index: int) -> tuple[list[tuple[str, str]], int]:
    """Read `a.b, c`; give the names and the index after them."""
    names = []
    while True:
        name, index = _dotted(tokens, index)
        names.append(name)
        if index >= len(tokens) or tokens[index].text != ",":
            return names, index
        index += 1


def parse_drop(tokens: list[Token]) -> Drop:
    """Read a DROP statement. Raises ServerError 42601 on anything else."""
    kind, index = tokens[1].upper, 2
    if_exists = [token.upper for token in tokens[2:4]] == ["IF", "EXISTS"]
    names, index = name_list(tokens, index + 2 * if_exists)
    rest = [token.upper for token in tokens[index:]]
    if rest not in ([], ["CASCADE"], ["RESTRICT"]):
        raise syntax_error(tokens[index].text)
    return Drop(kind, names, if_exists, rest == ["CASCADE"])


def _drop_views(run: Runs, keys: set[str], cascade: bool, what: str) -> list[str]:
    views = dependents(run, keys)
    if views and not cascade:
        raise ServerError(
            "2BP01",
            f"cannot drop {what} because other objects depend on it",
            f"view {views[0]} depends on {what}",
        )
    return ['DROP VIEW IF EXISTS "{}"."{}"'.format(*view.split(".", 1)) for view in views]


def drop(parsed: Drop, run: Runs, find: Callable[[str, str], Relation | None]) -> list[str]:
    """Give the statements of DROP, with the views that go by CASCADE first."""
    result: list[str] = []
    for schema, name in parsed.names:
        if parsed.kind == "SCHEMA":
            result += _drop_schema(parsed, name, run)
            continue
        relation = find(schema, name)
        if relation is None:
            if not parsed.if_exists:
                raise ServerError("42P01", f"{parsed.kind.capitalize()} {name} does not exist")
            continue
        if relation.is_view != (parsed.kind == "VIEW"):
            raise ServerError("42809", f'"{name}" is not a {parsed.kind.lower()}')
        if not relation.temporary:
            what = f"{parsed.kind.lower()} {name}"
            result += _drop_views(run, {relation.key}, parsed.cascade, what)
        result.append(f"DROP {parsed.kind} {relation.quoted}")
    return result


def _drop_schema(parsed: Drop, name: str, run: Runs) -> list[str]:
    if name not in schemas(run):
        if parsed.if_exists:
            return []
        raise ServerError("3F000", f'schema "{name}" does not exist')
    held = relations_of(run, name)
    if held and not parsed.cascade:
        raise ServerError("2BP01", f"cannot drop schema {name} because other objects depend on it")
    keys = {f"{name}.{relation}" for relation in held}
    views = _drop_views(run, keys, parsed.cascade, f"schema {name}")
    return [*views, f'DROP SCHEMA "{name}" CASCADE']


def _altered_notes(relation: Relation, types: dict[str, RedshiftType | None]) -> dict[str, object]:
    kept = dict(relation.notes)
    names = {**kept.get("types", {})}
    for name, kind in types.items():
        names.pop(name, None)
        if kind is not None:
            names[name] = str(kind)
    return {**kept, "types": names}


def _add_column(relation: Relation, action: exp.ColumnDef) -> list[str]:
    if action.args.get("exists"):
        raise syntax_error("IF")
    new = _definition(action, [])
    if relation.column(new.name):
        raise ServerError(
            "42701", f'column "{new.name}" of relation "{relation.name}" already exists'
        )
    if not new.nullable and new.default is None:
        raise ServerError("0A000", "ALTER TABLE ADD COLUMN defined as NOT NULL must have a default")
    # DuckDB adds no constrained columns, so the byte length of an added one is not checked.
    default = f" DEFAULT {new.default}" if new.default is not None else ""
    return [
        f'ALTER TABLE {relation.quoted} ADD COLUMN "{new.name}" {new.type.stored}{default}',
        comment_sql(relation.quoted, _altered_notes(relation, {new.name: new.type})),
    ]


def _drop_column(relation: Relation, action: exp.Drop) -> list[str]:
    name = action.args["tables"][0].name.lower()
    if relation.column(name) is None:
        raise ServerError("42703", f'column "{name}" of relation "{relation.name}" does not exist')
    return [
        f'ALTER TABLE {relation.quoted} DROP COLUMN "{name}"',
        comment_sql(relation.quoted, _altered_notes(relation, {name: None})),
    ]


def _rename_column(relation: Relation, action: exp.RenameColumn) -> list[str]:
    old, new = action.this.name.lower(), action.args["to"].name.lower()
    column = relation.column(old)
    if column is None:
        raise ServerError("42703", f'column "{old}" does not exist')
    return [
        f'ALTER TABLE {relation.quoted} RENAME COLUMN "{old}" TO "{new}"',
        comment_sql(relation.quoted, _altered_notes(relation, {old: None, new: column.type})),
    ]


def alter_table(text: str, relation: Relation) -> list[str]:
    """Give the statements of ALTER TABLE; design and owner changes are none.

    Raises ServerError 0A000 for forms the double does not carry out, 42601 where several
    columns are added at once, which Redshift does not accept.
    """
    words = [token.upper for token in lexical.tokens(text)]
    if "OWNER" in words or {"DISTSTYLE", "DISTKEY", "SORTKEY", "ENCODE"} & set(words):
        return []
    alter = translate.parse(text)
    actions = alter.args.get("actions") or []
    if len(actions) != 1:
        raise syntax_error(",")
    action = actions[0]
    if isinstance(action, exp.AddConstraint):
        return []
    if isinstance(action, exp.AlterRename):
        return [f'ALTER TABLE {relation.quoted} RENAME TO "{action.this.name.lower()}"']
    if isinstance(action, exp.ColumnDef):
        return _add_column(relation, action)
    if isinstance(action, exp.Drop):
        return _drop_column(relation, action)
    if isinstance(action, exp.RenameColumn):
        return _rename_column(relation, action)
    raise not_emulated(f"ALTER TABLE {action.key}")


def append_from(tokens: list[Token]) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Read ALTER TABLE target APPEND FROM source; None if it is another ALTER TABLE."""
    target, index = _dotted(tokens, 2)
    if [token.upper for token in tokens[index : index + 2]] != ["APPEND", "FROM"]:
        return None
    source, _ = _dotted(tokens, index + 2)
    return target, source
