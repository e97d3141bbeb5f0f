"""`sparkify query`: a look into the warehouse."""

import logging
from typing import TYPE_CHECKING

import click

from sparkify_dagster.cli.formats import FORMATS
from sparkify_dagster.settings import load_settings
from sparkify_dagster.warehouse import open_warehouse
from sparkify_dagster.warehouse.base import WarehouseError

if TYPE_CHECKING:
    from sqlglot import exp


@click.command("query")
@click.argument("sql")
@click.option(
    "--format",
    "style",
    type=click.Choice(list(FORMATS)),
    default="table",
    show_default=True,
    help="How the rows are written.",
)
def command(*, sql: str, style: str) -> None:
    """Run the query SQL, in Redshift's dialect on either engine, and write its rows.

    Tables of the schemas analytics and staging can be named without the schema. A statement that
    changes anything is refused.
    """
    text = read_only(sql)
    warehouse = open_warehouse(load_settings())
    try:
        columns, rows = warehouse.read(lambda session: session.select(text), "sparkify/query", "")
    except WarehouseError as error:
        raise click.ClickException(str(error)) from error
    click.echo(FORMATS[style](columns, rows), nl=False)


def read_only(sql: str) -> str:
    """Return the one query that `sql` is.

    Raises:
        click.ClickException: it cannot be parsed, is more than one statement, or does more than
            read.
    """
    from sqlglot import parse
    from sqlglot.errors import ParseError

    # What it cannot parse is refused below; its own remark would only be in the way.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        statements = [found for found in parse(sql, read="redshift") if found is not None]
    except ParseError as error:
        first = error.errors[0]
        raise click.ClickException(
            f"line {first['line']}, column {first['col']}, at {first['highlight']!r}: "
            f"{first['description']}"
        ) from error
    if len(statements) != 1:
        raise click.ClickException(f"one query expected, {len(statements)} statements given")
    _refuse_changes(statements[0])
    return sql.strip().rstrip(";")


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
