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
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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
_CHANGED = "changed values by column"
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
    sides = sides or tuple(filter(None, [current]))
    if len(sides) not in (1, 2):
        raise click.UsageError(
            "name one side or two: an environment, production, rebuild, a commit"
        )
    left, right = (PRODUCTION, *sides)[-2:]
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
        root = None if side == REBUILD else stack.enter_context(scratch_folder())
        if root:
            _check_out(side, root)
        name = f"built_{uuid.uuid4().hex[:12]}"
        try:
            # In a process of its own, which has read no other SQL.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                process.submit(_build, name, root).result()
            yield name
        except BrokenProcessPool:
            reason = "the process that built it was killed, as where memory runs out; run it again"
            raise WarehouseError(f"{printable(side)}: {reason}") from None
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
    git = ["git", "-C", str(statements.SQL_ROOT.parent), "archive", "--format=tar"]
    archive = None
    if re.fullmatch(r"(?!-)[\w./~^@{}-]+", commit):
        words = [*git, f"{commit}^{{commit}}", "sql"]
        archive = subprocess.run(words, capture_output=True, check=False)
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
    needed = (folder / f"staging/staging_{name}.sql" for name in ("events", "songs"))
    if not all(path.is_file() for path in needed):
        raise WarehouseError(f"{commit}: its sql/ is laid out otherwise than this version's")


def render(found: Sequence[Difference], left: str, right: str, style: str) -> str:
    """Return the differences as text or markdown: columns first, then rows, then examples."""
    counts = [(one, one.only_left, one.only_right, one.changed) for one in found if one.rows]
    parts: dict[tuple[str, ...], list[Row]] = {
        ("Columns", "table", "change"): [(one.table, each) for one in found for each in one.schema],
        ("Rows", "table", f"only in {left}", f"only in {right}", "changed", _CHANGED): [
            (one.table, *numbers, ", ".join(f"{name} {n:,}" for name, n in one.values.items()))
            for one, *numbers in counts
        ],
        ("Examples", "table", "key", "column", left, right): [
            (one.table, *_shown(example)) for one in found for example in one.examples
        ],
    }
    same = [one.table for one in found if not one.rows and not one.schema]
    is_markdown = style == "markdown"
    text = f"{'## ' * is_markdown}{left} against {right}\n"
    for (heading, *columns), rows in parts.items():
        if rows and is_markdown:
            text += f"\n### {heading}\n\n{markdown_table(columns, rows)}\n"
        elif rows:
            text += f"\n{heading}\n{as_table(columns, rows)}"
    return f"{text}\nThe same: {', '.join(same) or 'nothing'}.\n"


def _shown(example: Example) -> Row:
    """Return key, column and both values as they may be shown in a pull request."""
    known = {name: value for name, value in example.key.items() if value is not None}
    key = ", ".join(f"{name}={_hidden(name, value)}" for name, value in known.items())
    key = key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."
    if not example.column:
        return key, "(rows)", example.left, example.right
    values = (_hidden(example.column, value) for value in (example.left, example.right))
    return key, example.column, *values


def _hidden(column: str, value: Any) -> Any:
    """Return a value, but nothing of who somebody is."""
    if value is None:
        return "NULL"
    return HIDDEN if column in PERSONAL else value


def _fails(rule: str, found: Sequence[Difference]) -> bool:
    """Tell whether a rule of --fail-on holds.

    Raises:
        click.ClickException: it names no column.
    """
    if rule in ("schema", "any"):
        return any(one.schema or (one.rows and rule == "any") for one in found)
    table, _, column = rule.rpartition(".")
    end = f".{table}" if table and "." not in table else table
    concerned = [one for one in found if one.table.endswith(end) and column in one.columns]
    if not concerned:
        raise click.ClickException(f"--fail-on {rule}: there is no such column")
    return any(
        column in one.values or any(change.startswith(f"{column} ") for change in one.schema)
        for one in concerned
    )
