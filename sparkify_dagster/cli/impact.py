"""`sparkify impact`: what a column is made from, and what it is part of."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

import click

from sparkify_dagster.lineage import made_from, made_with, read_lineage
from sparkify_dagster.tables import TABLES


@click.command("impact")
@click.argument("column")
def command(*, column: str) -> None:
    """Tell what COLUMN, as users.level, is made from, and which columns, checks and parts of the
    report it is part of, through all tables.

    What a value is computed from counts, not what a row is chosen by. Keys of the lake's files are
    columns of log_data and song_data.
    """
    name = column.removeprefix("analytics.").removeprefix("staging.")
    known: set[str] = set()
    for table, columns in read_lineage().items():
        if "/" not in table:
            known.update(f"{table}.{one}" for one in columns)
            known.update(*columns.values())
    if name not in known:
        near = get_close_matches(name, sorted(known), n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(near)}?" if near else "; name it as table.column"
        raise click.ClickException(f"there is no column {column!r}{hint}")
    up, down = made_from([name]), made_with([name])
    asked = [one for one in down if "/" in one]
    click.echo(f"{name}{_meaning(name)}")
    _print("Made from", (f"{one}{_meaning(one)}" for one in up))
    _print("Part of the columns", (f"{one}{_meaning(one)}" for one in down if one not in asked))
    _print("Part of the checks", _checks(asked))
    _print("Part of the report", (one for one in asked if "/report" in one))


def _print(heading: str, lines: Iterable[str]) -> None:
    click.echo("\n".join([f"{heading}:", *(f"  {line}" for line in list(lines) or ["nothing"])]))


def _meaning(name: str) -> str:
    table, _, column = name.partition(".")
    columns = TABLES[table].columns if table in TABLES else ()
    return next((f": {one.description}" for one in columns if one.name == column), "")


def _checks(asked: Iterable[str]) -> Iterator[str]:
    """Yield the checks that a column of their query belongs to, each once, with its rule."""
    for table in TABLES.values():
        mine = (one for one in asked if one.startswith(f"{table.name}/check."))
        columns = {one.rpartition(".")[2] for one in mine}
        for check in table.checks:
            if columns.intersection(check.columns):
                yield f"{table.name}.{check.name} ({check.severity}): {check.description}"
