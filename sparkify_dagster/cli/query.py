"""`sparkify query`: a look into the warehouse."""

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sparkify_dagster.cli.formats import FORMATS
from sparkify_dagster.settings import load_settings
from sparkify_dagster.text import printable
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.base import Row, Session, WarehouseError

if TYPE_CHECKING:
    from sqlglot import exp

Found = tuple[list[str], list[Row]]

_SHOW_TABLES = re.compile(r"\s*SHOW\s+TABLES\s*;?\s*", re.IGNORECASE)
_DESCRIBE = re.compile(
    r"\s*DESC(?:RIBE)?\s+(?:(?P<schema>\w+)\.)?(?P<table>\w+)\s*;?\s*", re.IGNORECASE
)
_MOST_ROWS = click.IntRange(1, 100_000_000)
_MOST_SECONDS = click.IntRange(1, 86_400)


@click.command("query", context_settings={"show_default": True})
@click.argument("sql")
@click.option(
    "--format",
    "style",
    type=click.Choice(list(FORMATS)),
    default="table",
    help="How the rows are written. csv and json are faithful: a value that a spreadsheet takes "
    "for a formula (=...) is left as it is. In a table, control characters show as escapes.",
)
@click.option("--limit", type=_MOST_ROWS, default=10_000, help="Rows to write at most.")
@click.option(
    "--timeout", type=_MOST_SECONDS, default=60, help="Seconds after which the query is stopped."
)
def command(*, sql: str, style: str, limit: int, timeout: int) -> None:
    """Run the query SQL, in Redshift's dialect on either engine, and write its rows.

    Tables of the schemas analytics and staging can be named without the schema; SHOW TABLES and
    DESCRIBE tell what there is. A statement that changes anything is refused, and so is the reach
    for other files.
    """
    ask = _question(sql, limit + 1, timeout)
    warehouse = open_warehouse(load_settings()).for_readers()
    columns, rows = warehouse.read(ask, "sparkify/query", "")
    if warehouse.as_of:
        click.echo(f"As of {warehouse.as_of:%Y-%m-%d %H:%M:%S} UTC.", err=True)
    click.echo(FORMATS[style](columns, rows[:limit]), nl=False)
    if len(rows) > limit:
        click.echo(f"Only the first {limit:,} rows; --limit allows more.", err=True)


def _question(sql: str, limit: int, seconds: int) -> Callable[[Session], Found]:
    """Return what asks the warehouse for at most `limit` rows."""
    if _SHOW_TABLES.fullmatch(sql):
        return lambda session: _found(session.query("query/tables", schemas=session.schemas))
    if match := _DESCRIBE.fullmatch(sql):
        return lambda session: _describe(session, **match.groupdict())
    text = read_only(sql, limit)
    return lambda session: session.select(text, limit, seconds)


def _describe(session: Session, schema: str | None, table: str) -> Found:
    """Return the columns of a table, of analytics rather than of staging if both have one.

    Raises:
        WarehouseError: there is none of that name.
    """
    found = session.query("query/columns", table_name=table.lower(), schemas=session.schemas)
    if schema:
        names = (schema.lower(), f"{schema}_{session.environment}".lower())
        found = [row for row in found if row["schema_name"] in names]
    if not found:
        raise WarehouseError(f"there is no table {table}; SHOW TABLES names them all")
    first = found[0]["schema_name"]
    return _found([row for row in found if row["schema_name"] == first])


def _found(rows: list[dict[str, Any]]) -> Found:
    columns = list(rows[0]) if rows else ["schema_name", "table_name"]
    return columns, [tuple(row.values()) for row in rows]


def read_only(sql: str, limit: int) -> str:
    """Return the one query that `sql` is, of at most `limit` rows where it says no number itself.

    Raises:
        click.ClickException: it cannot be parsed, is more than one statement, or does more than
            read.
    """
    from sqlglot import parse
    from sqlglot.errors import SqlglotError

    # What it cannot parse is refused below; its own remark would only be in the way.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        statements = [found for found in parse(sql, read="redshift") if found is not None]
    except SqlglotError as error:
        raise click.ClickException(_place(error)) from error
    except RecursionError as error:
        raise click.ClickException("the query is nested too deeply") from error
    if len(statements) != 1:
        raise click.ClickException(f"one query expected, {len(statements)} statements given")
    _refuse_changes(statements[0])
    text = sql.strip().rstrip(";")
    # On a line of its own, as a comment may end the query.
    return text if statements[0].args.get("limit") else f"{text}\nLIMIT {limit}"


def _place(error: Exception) -> str:
    for found in getattr(error, "errors", ()):
        return "line {line}, column {col}, at {highlight!r}: {description}".format_map(found)
    return printable(str(error))


def _refuse_changes(statement: "exp.Expr") -> None:
    from sqlglot import exp

    writing = statement.find(exp.DML, exp.DDL, exp.Into, exp.Command)
    if isinstance(statement, exp.Query) and writing is None:
        return
    first = statement.sql("redshift").split(maxsplit=1)[0].upper()
    what = "SELECT ... INTO" if isinstance(writing, exp.Into) else first
    raise click.ClickException(
        f"{what} is refused: this command only reads; give it a SELECT or WITH ... SELECT. Tables "
        "are changed by the jobs sparkify_etl and reset_warehouse."
    )
