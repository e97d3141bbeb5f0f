"""`sparkify diff`: what a change does to the tables."""

import io
import multiprocessing
import re
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sparkify_dagster.access import PERSONAL
from sparkify_dagster.cli.environments import settings_of
from sparkify_dagster.cli.formats import as_table
from sparkify_dagster.lake import open_lake
from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.loading.diff import Difference, Example, compare
from sparkify_dagster.loading.environments import create, load_all
from sparkify_dagster.settings import PRODUCTION, load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.text import markdown_table, printable
from sparkify_dagster.warehouse import open_warehouse, statements
from sparkify_dagster.warehouse.base import Row, WarehouseError
from sparkify_dagster.warehouse.scratch import scratch_folder

REBUILD = "rebuild"
HIDDEN = "***"
_LONGEST_KEY = 120  # letters: of a table without a key, a row's values are the key
# What a commit decides; the rest of sql/ belongs to the code that runs.
_OF_TABLES = ("staging", "star", "analytics", "views.sql", "fragments.sql")


@click.command("diff")
@click.argument("sides", nargs=-1, metavar="[LEFT] RIGHT")
@click.option("--format", "style", type=click.Choice(("text", "markdown")), default="text")
@click.option(
    "--fail-on",
    "fail_on",
    multiple=True,
    metavar="COLUMN|schema|any",
    help="Exit with 1 where a value of this column (users.level, or level of any table), the "
    "columns of a table, or anything differs. May be repeated.",
)
def command(*, sides: tuple[str, ...], style: str, fail_on: tuple[str, ...]) -> None:
    """Tell how the tables of two sides differ: columns, rows, and values by column.

    A side is the name of an environment, `production`, `rebuild` (everything built anew from the
    lake by the sql/ that is here), or a commit of git, whose sql/ then builds everything anew from
    the lake. LEFT is production where it is not given. What is built for the comparison is beside
    the warehouse for as long as it takes.
    """
    current = load_settings().environment
    sides = sides or ((current,) if current else ())
    if len(sides) not in (1, 2):
        raise click.UsageError(
            "name one side or two: an environment, production, rebuild, a commit"
        )
    left, right = sides if len(sides) == 2 else (PRODUCTION, sides[0])
    found = run_diff(left, right)
    click.echo(render(found, left, right, style), nl=False)
    sys.exit(1 if any(_fails(rule, found) for rule in fail_on) else 0)


def run_diff(left: str, right: str, by_snapshot: bool = True) -> list[Difference]:
    """Return how two sides differ; of DuckDB, as the snapshots have them where there are any.

    Raises:
        click.ClickException: a side is none, or cannot be built or read.
    """
    if left == right:
        raise click.ClickException(f"{left} and {right} are the same")
    with ExitStack() as stack:
        names = [stack.enter_context(_side(side)) for side in (left, right)]
        # An environment sees production, but not the other way round.
        main = names[1] or names[0]
        beside = {name or PRODUCTION: settings_of(name).duckdb_path for name in ("", *names)}
        del beside[main]
        settings = settings_of(main)
        settings = replace(settings, snapshot=settings.snapshot and by_snapshot)
        warehouse = open_warehouse(settings, beside=beside).for_readers()
        prefixes = ["" if name == main else f"{name or PRODUCTION}." for name in names]
        return warehouse.read(lambda session: compare(session, *prefixes), "sparkify/diff", "")


@contextmanager
def _side(side: str) -> Iterator[str]:
    """Yield the environment that holds a side; one that is built for it goes afterwards."""
    production = open_warehouse(settings_of(PRODUCTION))
    if side == PRODUCTION:
        production.read(lambda session: session.query("bookkeeping/ledger"), "sparkify/diff", "")
        yield ""
        return
    if side in production.environments():
        yield side
        return
    with ExitStack() as stack:
        root = None
        if side != REBUILD:
            root = stack.enter_context(scratch_folder())
            _check_out(side, root)
        name = f"built_{uuid.uuid4().hex[:12]}"
        try:
            # In a process of its own, which has read no other SQL.
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                pool.apply(_build, (name, root))
            yield name
        finally:
            warehouse = open_warehouse(settings_of(name))
            if name in warehouse.environments():
                warehouse.demolish()


def _build(name: str, sql: Path | None) -> None:
    """Build everything anew from the lake in an environment, by the SQL in a folder."""
    if sql:
        statements.SQL_ROOT = sql
        for table in list(TABLES.values()):
            if not (sql / f"{table.file}.sql").is_file():
                del TABLES[table.name]
    settings = replace(settings_of(name), snapshot=False)
    warehouse = open_warehouse(settings, beside={})
    try:
        create(warehouse, name, shared=False)
        lake = open_lake(settings.lake)
        load_all(warehouse, lake, name, settings.copy_max_errors, settings.skip_bad_files)
    except (LakeError, WarehouseError) as error:
        # As one that finds its way out of the process.
        raise WarehouseError(str(error)) from None


def _check_out(commit: str, folder: Path) -> None:
    """Put into a folder the sql/ that is here, with a commit's tables in it.

    Raises:
        WarehouseError: there is no such side, or its sql/ is laid out otherwise.
    """
    git = ["git", "-C", str(statements.SQL_ROOT.parent)]
    archive = (
        subprocess.run(
            [*git, "archive", "--format=tar", f"{commit}^{{commit}}", "sql"],
            capture_output=True,
            check=False,
        )
        if re.fullmatch(r"[\w./~^@{}-]+", commit) and not commit.startswith("-")
        else None
    )
    if archive is None or archive.returncode:
        raise WarehouseError(
            f"{printable(commit)}: is neither production, nor rebuild, nor an environment "
            "(`sparkify environments list`), nor a commit with a folder sql/"
        )
    shutil.copytree(statements.SQL_ROOT, folder, dirs_exist_ok=True)
    for name in _OF_TABLES:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        for member in tar.getmembers():
            member.name = member.name.removeprefix("sql/")
            if member.name.partition("/")[0] in _OF_TABLES:
                tar.extract(member, folder, filter="data")
    if not all(
        (folder / f"staging/{name}.sql").is_file() for name in ("staging_events", "staging_songs")
    ):
        raise WarehouseError(f"{commit}: its sql/ is laid out otherwise than this version's")


def render(found: Sequence[Difference], left: str, right: str, style: str) -> str:
    """Return the differences as text or markdown: columns first, then rows, then examples."""
    schema = [(one.table, change) for one in found for change in one.schema]
    rows = [
        (
            one.table,
            one.only_left,
            one.only_right,
            one.changed,
            ", ".join(f"{name} {count:,}" for name, count in one.values.items()),
        )
        for one in found
        if one.rows
    ]
    examples = [
        (one.table, *_shown(example, left, right)) for one in found for example in one.examples
    ]
    same = [one.table for one in found if not one.rows and not one.schema]
    parts = [
        _part("Columns", ("table", "change"), schema, style),
        _part(
            "Rows",
            ("table", f"only in {left}", f"only in {right}", "changed", "changed values by column"),
            rows,
            style,
        ),
        _part("Examples", ("table", "key", "column", left, right), examples, style),
        f"The same: {', '.join(same) or 'nothing'}.\n",
    ]
    heading = f"{left} against {right}"
    title = f"## {heading}" if style == "markdown" else heading
    return "\n".join([f"{title}\n", *filter(None, parts)])


def _part(heading: str, columns: tuple[str, ...], rows: Sequence[Row], style: str) -> str:
    if not rows:
        return ""
    if style == "markdown":
        return f"### {heading}\n\n{markdown_table(columns, rows)}\n"
    return f"{heading}\n{as_table(columns, rows)}"


def _shown(example: Example, left: str, right: str) -> Row:
    key = ", ".join(
        f"{name}={_hidden(name, value)}" for name, value in example.key.items() if value is not None
    )
    if not example.column:
        return _short(key), "(rows)", example.left, example.right
    values = (_hidden(example.column, value) for value in (example.left, example.right))
    return _short(key), example.column, *values


def _short(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."


def _hidden(column: str, value: Any) -> Any:
    """Return a value as it may be shown in a pull request: of who somebody is, nothing."""
    return (
        HIDDEN if column in PERSONAL and value is not None else "NULL" if value is None else value
    )


def _fails(rule: str, found: Sequence[Difference]) -> bool:
    """Tell whether a rule of --fail-on holds.

    Raises:
        click.ClickException: it names no column.
    """
    if rule == "schema":
        return any(one.schema for one in found)
    if rule == "any":
        return any(one.schema or one.rows for one in found)
    table, _, column = rule.rpartition(".")
    concerned = [
        one
        for one in found
        if one.table.endswith(f".{table}" if table and "." not in table else table)
        and column in one.columns
    ]
    if not concerned:
        raise click.ClickException(f"--fail-on {rule}: there is no such column")
    return any(
        column in one.values or any(change.startswith(f"{column} ") for change in one.schema)
        for one in concerned
    )
