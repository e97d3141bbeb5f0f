"""`make mutants`: every statement of sql/ gets one small fault at a time.

The cases of sql/tests have to notice; where they do not, the tests that a section has of its own
(bookkeeping, environments, `sparkify diff`), then the random sequences. A fault that none of them
notices has to be known: `mutants.yaml` says, by a regular expression of its name, why it changes
nothing. Left out is what has no condition or order to get wrong (COPY, the DDL of tables), what
DuckDB does not run, and what asks the engine's catalogue.
"""

import multiprocessing
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import NoReturn

import duckdb
import pytest
import yaml
from hypothesis import Phase, settings
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from sparkify_dagster.loading.schema import prepare
from sparkify_dagster.loading.version import views
from sparkify_dagster.sql_tests.cases import FOLDER, Case, read_cases
from sparkify_dagster.sql_tests.running import run_case
from sparkify_dagster.warehouse.base import WarehouseError
from sparkify_dagster.warehouse.duckdb import dialect
from sparkify_dagster.warehouse.duckdb.dialect import translate
from sparkify_dagster.warehouse.duckdb.engine import DuckDBSession, connect_in_memory
from sparkify_dagster.warehouse.statements import read_statements, statement_names
from sparkify_dagster_tests.loading import test_incremental_states as sequences

OWN, DRAWN = "tests of its own", "random sequences"
KNOWN = Path(__file__).with_name("mutants.yaml")
LEAST_NOTICED = 95  # percent
_LEFT_ALONE = ("copy", "stamp", "create", "landing", "schema", "relations")
# Grants, Redshift's system tables and `stamp`, which goes with its COPY, have the wire double's
# tests; query.sql, as `relations`, asks the engine's catalogue; fragments are where they are named.
_NOT_HERE = {"access", "redshift", "query", "fragments", "views"}
_PLAN = "loading/test_run_plan.py -k 'not redshift and not double'"
_LOADING = "loading/test_loading.py -k"
# What the cases do not run: by the start of a section's name, pytest's words.
_OWN_TESTS = {
    "bookkeeping/rejects": "loading/test_rejects.py",
    "bookkeeping/forget_rejected": "loading/test_rejects.py",
    "bookkeeping/noted_changes": _PLAN,
    "bookkeeping/move_statements": _PLAN,
    "bookkeeping/record_load": _PLAN,
    "bookkeeping/statements": _PLAN,
    "bookkeeping/known_total": "loading/test_unchanged_songs.py -k duckdb",
    "bookkeeping/lakes": "loading/test_wrong_lake.py",
    "bookkeeping/forget_lake": "loading/test_wrong_lake.py",
    "bookkeeping/forget_changes": f"{_LOADING} forgotten",
    "bookkeeping/touch_file": f"{_LOADING} touched",
    "bookkeeping/number_on": f"{_LOADING} reset",
    "bookkeeping/forget_tables": f"{_LOADING} forgotten",
    "bookkeeping/": f"{_LOADING} 'ledger_says or nothing_new or gone_day or full_refresh'",
    "environments/": "loading/test_environments.py -k 'duckdb and (since or slice)'",
    "findings/": "checks/test_failed_checks.py -k 'keeps_the_rule or key_not_null'",
    "diff/": "loading/test_environments.py -k 'duckdb and every_kind'",
    "staging/": f"{_LOADING} 'repeated or two_files or gone_day_loses or remembered'",
}
_OTHER_SIGN = {exp.LT: exp.LTE, exp.LTE: exp.LT, exp.GT: exp.GTE, exp.GTE: exp.GT, exp.NEQ: exp.EQ}


@dataclass(frozen=True)
class Mutant:
    """A section with one fault in one of its statements."""

    section: str
    number: int  # of the statement, from 1
    fault: str
    statements: tuple[str, ...]  # of the section, for DuckDB

    @property
    def name(self) -> str:
        return f"{self.section}, statement {self.number}: {self.fault}"


def sections() -> list[str]:
    """Return the sections that get faults, the views last."""
    found = [name for name in statement_names() if name.partition("/")[0] not in _NOT_HERE]
    chosen = [name for name in found if not name.rpartition("/")[2].startswith(_LEFT_ALONE)]
    return [*(name for name in chosen if name not in views()), *views()]


def mutants(section: str) -> Iterator[Mutant]:
    """Yield every mutant of a section."""
    texts = read_statements(section)
    for number, text in enumerate(texts):
        if not translate(text):
            continue
        whole = parse_one(text, read="redshift")
        seen: Counter[str] = Counter()
        for position in range(sum(1 for _ in whole.walk())):
            for fault, tree in _faults(whole, position):
                seen[fault] += 1
                name = fault + f" ({seen[fault]})" * (seen[fault] > 1)
                faulty = translate(tree.sql("redshift", comments=False))
                others = [translate(one) for one in texts]
                yield Mutant(
                    section, number + 1, name, (*others[:number], faulty, *others[number + 1 :])
                )


def _faults(whole: exp.Expr, position: int) -> Iterator[tuple[str, exp.Expr]]:
    """Yield the statement with each fault that the node at a position can have."""
    node = _at(whole, position)
    for fault, change in _changes(node):
        copied = whole.copy()
        change(_at(copied, position))
        yield fault, copied


def _at(tree: exp.Expr, position: int) -> exp.Expr:
    return next(node for at, node in enumerate(tree.walk()) if at == position)


def _changes(node: exp.Expr) -> Iterator[tuple[str, object]]:  # noqa: PLR0912 - a table
    match node:
        case exp.And() | exp.Or():
            # Of a chain, a link at a time.
            if not isinstance(node.left, exp.And | exp.Or):
                yield f"without {_text(node.left)}", lambda n: n.replace(n.right.copy())
            if not isinstance(node.right, exp.And | exp.Or):
                yield f"without {_text(node.right)}", lambda n: n.replace(n.left.copy())
        case exp.Where() | exp.Having() if not isinstance(node.this, exp.And | exp.Or):
            yield f"without {node.key.upper()} {_text(node.this)}", lambda n: n.pop()
        case exp.Not():
            yield f"not negated: {_text(node.this)}", lambda n: n.replace(n.this.copy())
        case exp.Join() if node.args.get("on"):
            side = "" if node.side == "LEFT" else "LEFT"
            yield f"{side or 'INNER'} JOIN {_text(node.this)}", lambda n: _join(n, side)
        case exp.Ordered():
            yield f"order turned round: {_text(node.this)}", _turn
        case exp.Distinct() if isinstance(node.parent, exp.Select):
            yield "without DISTINCT", lambda n: n.pop()
        case exp.Distinct():
            yield f"without {_text(node)}", lambda n: n.replace(n.expressions[0].copy())
        case exp.Union() if node.args.get("distinct"):
            yield "UNION ALL for UNION", lambda n: n.set("distinct", False)
        case exp.Coalesce() | exp.Nullif():
            yield f"without {_text(node)}", lambda n: n.replace(n.this.copy())
        case exp.Window():
            for at, key in enumerate(node.args.get("partition_by") or ()):
                yield (
                    f"PARTITION BY without {_text(key)}",
                    lambda n, at=at: n.args["partition_by"].pop(at),
                )
        case _ if type(node) in _OTHER_SIGN:
            other = _OTHER_SIGN[type(node)]
            yield (
                f"{other.__name__} for {_text(node)}",
                lambda n: n.replace(other(this=n.left.copy(), expression=n.right.copy())),
            )


def _join(join: exp.Expr, side: str) -> None:
    join.set("side", side or None)
    join.set("kind", None if side else "INNER")


def _turn(ordered: exp.Expr) -> None:
    descending = not ordered.args.get("desc")
    ordered.set("desc", descending)
    # Redshift has NULLs last in ascending order, and first in descending.
    ordered.set("nulls_first", descending)


def _text(node: exp.Expr) -> str:
    text = re.sub(r"%\((\w+)\)s", r":\1", node.sql("redshift", comments=False))
    return text if len(text) <= 80 else f"{text[:50]} ... {text[-25:]}"


class Bench:
    """Where mutants are tried: one warehouse in memory, made anew where a view is faulty."""

    def __init__(self) -> None:
        self._cases = [case for path in sorted(FOLDER.glob("*.yaml")) for case in read_cases(path)]
        self._connection = connect_in_memory()
        prepare(DuckDBSession(self._connection))

    def judge(self, mutant: Mutant, is_known: bool) -> str:
        """Return who notices a mutant: a case, its own tests, random sequences, or nobody (empty).

        One that is known to change nothing is spared the random sequences, which take a minute.
        """
        with _in_place(mutant):
            if noticed := self._noticed_by_case(mutant):
                return noticed
        if _noticed_by_own_tests(mutant):
            return OWN
        with _in_place(mutant):
            return "" if is_known or not _noticed_by_sequences() else DRAWN

    def _noticed_by_case(self, mutant: Mutant) -> str:
        is_view = mutant.section in views()
        connection = connect_in_memory() if is_view else self._connection
        session = DuckDBSession(connection)
        try:
            if is_view:
                prepare(session)
            for case in self._of_interest(mutant):
                connection.execute("BEGIN TRANSACTION")
                try:
                    if run_case(session, case):
                        return case.place
                finally:
                    connection.execute("ROLLBACK")
        except (duckdb.Error, WarehouseError, SqlglotError, ValueError) as error:
            return f"an error: {str(error).splitlines()[0]}"
        finally:
            if is_view:
                connection.close()
        return ""

    def _of_interest(self, mutant: Mutant) -> list[Case]:
        """Return the cases that run the statement, those of its own table first."""
        file, _, section = mutant.section.rpartition("/")
        asks = {"check": "fails", "report": "shows"}.get(re.split("_", section)[0])
        own = [case for case in self._cases if case.table.file == file]
        if asks:
            return [case for case in own if case.asks == asks]
        if file.partition("/")[0] in ("staging", "views"):
            return own + [case for case in self._cases if case.asks == "expect"]
        return own


@contextmanager
def _in_place(mutant: Mutant) -> Iterator[None]:
    """Have DuckDB run the mutant for its section meanwhile."""
    original = dialect._translated
    dialect._translated = lambda name, texts: (
        mutant.statements if name == mutant.section else original(name, texts)
    )
    try:
        yield
    finally:
        dialect._translated = original


def _noticed_by_own_tests(mutant: Mutant) -> bool:
    """Tell whether the tests that the section has of its own fail, which they do not without it."""
    words = next(
        (_OWN_TESTS[start] for start in _OWN_TESTS if mutant.section.startswith(start)), ""
    )
    if words and _fail(words):
        raise RuntimeError(f"{words}: these tests fail on sql/ as it is")
    with _in_place(mutant):
        return bool(words) and _fail.__wrapped__(words)


@cache
def _fail(words: str) -> bool:
    """Run tests in a process of their own, which has what this one has imported: do they fail?"""
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(words,))
    process.start()
    process.join()
    if process.exitcode not in (0, 1):
        raise RuntimeError(f"{words}: pytest ended with {process.exitcode}")
    return process.exitcode == 1


def _run_tests(words: str) -> NoReturn:
    path, *chosen = shlex.split(words)
    own = ["-x", "-n", "0", "-p", "no:cacheprovider", str(Path(__file__).parent / path), *chosen]
    with redirect_stdout(StringIO()):
        sys.exit(pytest.main(own))


def _noticed_by_sequences() -> bool:
    class States(sequences.IncrementalStates):
        open_engine = staticmethod(sequences.duckdb_engine)

    drawn = settings(sequences.SETTINGS, max_examples=6, phases=[Phase.generate], print_blob=False)
    try:
        sequences.run_state_machine_as_test(States, settings=drawn)
    except Exception:
        return True
    return False


def main(wanted: list[str]) -> int:
    """Try the mutants of all sections, or of those whose names contain a word; report."""
    known = {one["faults"]: one["why"] for one in yaml.safe_load(KNOWN.read_text())}
    started, bench = time.perf_counter(), Bench()
    found: dict[str, list[tuple[Mutant, str]]] = {}
    for section in sections():
        if wanted and not any(word in section for word in wanted):
            continue
        for mutant in mutants(section):
            verdict = bench.judge(mutant, bool(_reason(known, mutant)))
            print(f"{mutant.name} -> {verdict}", file=sys.stderr, flush=True)
            found.setdefault(f"{section}, statement {mutant.number}", []).append((mutant, verdict))
            if not verdict:
                reason = _reason(known, mutant) or "NOT NOTICED, and mutants.yaml does not say why"
                print(f"{mutant.name}\n    {reason}", flush=True)
    print(
        "\nstatement: faults, noticed by cases, by tests of its own, by random sequences, by nobody"
    )
    for statement, verdicts in found.items():
        print(f"{statement}: {', '.join(map(str, _counts(verdicts)))}")
    everything = [one for verdicts in found.values() for one in verdicts]
    total, by_cases, by_own, by_sequences, survived = _counts(everything)
    survivors = [one for one, verdict in everything if not verdict]
    unknown = [one for one in survivors if not _reason(known, one)]
    share = 100 * (total - survived) / max(1, total - survived + len(unknown))
    seconds = time.perf_counter() - started
    print(
        f"\n{total} faults: {by_cases} noticed by cases, {by_own} by tests of their own, "
        f"{by_sequences} by random sequences, {survived} by nobody, of which "
        f"{survived - len(unknown)} are known to change nothing; of the others {share:.1f} % "
        f"noticed, in {seconds:.0f} s"
    )
    stale = [key for key in known if not any(re.fullmatch(key, one.name) for one in survivors)]
    if stale and not wanted:
        print("no longer so, take them out of mutants.yaml:", *stale, sep="\n    ")
    return 1 if unknown or share < LEAST_NOTICED or (stale and not wanted) else 0


def _reason(known: dict[str, str], mutant: Mutant) -> str:
    """Return why a mutant is known to change nothing; empty where it is not."""
    return next((why for key, why in known.items() if re.fullmatch(key, mutant.name)), "")


def _counts(verdicts: list[tuple[Mutant, str]]) -> tuple[int, ...]:
    found = Counter(verdict for _, verdict in verdicts)
    others = found[OWN], found[DRAWN], found[""]
    return (len(verdicts), len(verdicts) - sum(others), *others)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
