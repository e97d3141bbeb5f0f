"""COPY of files that hold an object a line, as DuckDB reads them: all lines of many files at once.

What is not plainly right is not loaded; it waits for a closer look, with all of its file where it
cannot be told from the lines around it.
"""

import gzip
import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sparkify_dagster.lake.base import DamagedFileError
from sparkify_dagster.lake.objects import chunks, count_filled_lines, squeeze, unpacking
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import Plan, Text
from sparkify_dagster.warehouse.duckdb.copy_sql import RULES, filled, take_keys, take_rows
from sparkify_dagster.warehouse.duckdb.dialect import literal
from sparkify_dagster.warehouse.statements import Keyword

_SAMPLE_BYTES = 64 * 1024  # of a file's first line
_MOST_SHAPES = 8
# A line that cannot be read is NULL, a blank one is not: this is no text of any line.
_NO_LINE = "\x02"
_DEEPEST = 500  # brackets; Python's decoder gives up at twice as many
_MOST_ODD = 1000  # lines of a file that are looked at without the others

# A text, and those of its objects that wait for a closer look.
Waiting = tuple[Text, Iterable[tuple[str, int, bytes]]]


def load_lines(
    session: Session, found: Found, texts: Sequence[Text], folder: Path
) -> list[Waiting]:
    """Load the lines that are plainly right; return what has the others."""
    unpacked = [_unpacked(text, folder) for text in texts if _is_for_duckdb(found.plan, text)]
    plain = [text for text in unpacked if text]
    if not plain:
        return [(text, text.objects()) for text in texts]
    shapes = _shapes(plain)
    session.run(_landed(found.plan, plain, shapes))
    odd = _odd_objects(session, found, texts, plain)
    right = list(odd)
    if right:
        names = [text.name for text in plain]
        rows = f"landed WHERE fine AND {_chosen(right)}"
        name = f"{literal(names)}[file + 1]"
        if plain[0].origins is not None:
            # Of a part's files, those of one object cannot lack a key in all of several.
            several = f"SELECT unnest(CAST({literal([*found.totals])} AS VARCHAR[]))"
            name = f"CASE WHEN source_file IN ({several}) THEN source_file END"
        take_keys(session, found, f"SELECT {name} AS name, shape, keys FROM {rows}", shapes)
        take_rows(session, found, names, rows)
    session.run("DROP TABLE landed")
    shutil.rmtree(folder / "unpacked", ignore_errors=True)
    waiting = {plain[file].name: objects for file, objects in odd.items()}
    found_all = [(text, waiting.get(text.name, text.objects())) for text in texts]
    return [(text, objects) for text, objects in found_all if objects != []]


def _is_for_duckdb(plan: Plan, text: Text) -> bool:
    # DuckDB takes a backslash in a path for a slash.
    return all(len(column.steps) == 1 for column in plan.columns) and "\\" not in str(text.path)


def _unpacked(text: Text, folder: Path) -> Text | None:
    """Unpack a compressed file: DuckDB does so itself, but lets wrong checksums pass.

    Return None where the compressed data is damaged.
    """
    if not text.name.endswith(".gz") or text.origins is not None:
        return text
    target = folder / "unpacked" / text.name.removesuffix(".gz")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with text.open() as stored, target.open("wb") as plain, unpacking(text.name):
            for chunk in chunks(gzip.GzipFile(fileobj=stored)):
                # A few bytes may stand for a gigabyte of empty lines.
                plain.write(squeeze(chunk))
    except DamagedFileError:
        return None
    return replace(text, path=target)


def _shapes(texts: Sequence[Text]) -> list[list[str]]:
    """Return the keys of the files' first lines, in their order: most lines are like them."""
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        with text.open() as stream:
            first = stream.readline(_SAMPLE_BYTES)
        if keys := _keys_in_order(first):
            counts[keys] += 1
    return [list(keys) for keys, _ in counts.most_common(_MOST_SHAPES)]


def _keys_in_order(line: bytes) -> tuple[str, ...]:
    try:
        found = json.loads(line, object_pairs_hook=lambda pairs: tuple(key for key, _ in pairs))
    except (ValueError, RecursionError):
        return ()
    if not isinstance(found, tuple):
        return ()
    # DuckDB does not tell fields by their case.
    return found if len({key.casefold() for key in found}) == len(found) else ()


def _odd_objects(
    session: Session, found: Found, texts: Sequence[Text], plain: Sequence[Text]
) -> dict[int, list[tuple[str, int, bytes]]]:
    """Return the numbers of the files whose lines are all there, with the objects of odd lines.

    A file is left out where these are too many, or cannot be told from the lines around them.
    """
    rows = session.run(
        "SELECT file, count(*), count(*) FILTER (fine), count(odd) FROM landed GROUP BY file"
    )
    counts = {file: (count, fine, odd) for file, count, fine, odd in rows}
    few = [file for file, (_, _, odd) in counts.items() if 0 < odd <= _MOST_ODD]
    lines: dict[int, set[bytes]] = defaultdict(set)
    # A file may be odd from end to end: of such a one, no line is held here.
    query = f"SELECT file, odd FROM landed WHERE odd IS NOT NULL AND {_chosen(few)}"
    for file, line in session.run(query) if few else ():
        lines[file].add(line.encode())
    as_stored = {text.name: text for text in texts}
    objects = {}
    for file, text in enumerate(plain):
        count, fine, odd = counts.get(file, (0, 0, 0))
        if count != fine + odd or odd > _MOST_ODD:
            continue
        # A reader may skip a line without a word.
        if count != text.line_count:
            with text.open() as stream:
                if count != count_filled_lines(chunks(stream)):
                    continue
            found.objects[text.name] = count
        of_file = as_stored[text.name].objects_of(lines[file]) if odd else []
        if of_file is None:
            continue
        objects[file] = of_file
        if text.origins is None:
            found.totals[text.name] = fine
    return objects


def _chosen(files: Sequence[int]) -> str:
    return f"file IN ({', '.join(map(str, files))})"


def _landed(plan: Plan, texts: Sequence[Text], shapes: Sequence[Sequence[str]]) -> str:
    unknown = _unknown(plan.known_keys, shapes)
    fine, values, are_texts = [], [], []
    for column in plan.columns:
        field = _field(column.key)
        rules = RULES["types"][column.type]
        cast = Keyword(f"TRY_CAST({field} AS {rules['target']})")
        places = {"field": field, "cast": cast, "limit": column.limit}
        values.append(f'{filled(rules["line"], **places)} AS "{column.name}"')
        may_lack = "false" if column.required else f"{field} IS NULL"
        fine.append(f"COALESCE({filled(rules['fine'], **places)}, {may_lack})")
        if column.type == "VARCHAR":
            no_text = filled(RULES["no_text"], field=field)
            are_texts.append(filled(RULES["is_text"], no_text=no_text, path=column.path))
    doubtful = [filled(RULES["no_text"], field=_field(key)) for key in unknown]
    if not unknown and any(set(keys) - set(plan.known_keys) for keys in shapes):
        doubtful = [Keyword("true")]
    shape = " ".join(f"WHEN keys = {literal(keys)} THEN {at}" for at, keys in enumerate(shapes))
    return filled(
        RULES["landed"],
        fine=filled(
            RULES["fine"],
            columns=Keyword(" AND ".join(fine)),
            texts=Keyword(" AND ".join(are_texts)),
            doubtful_keys=Keyword(" OR ".join(["shape IS NULL", *doubtful])),
            doubtful_value=RULES["doubtful_value"],
            stripped=Keyword(RULES["stripped"]),
            deepest=_DEEPEST,
        ),
        values=Keyword(", ".join(values)),
        shape_of_keys=Keyword(shape or "WHEN false THEN 0"),
        structure=json.dumps(dict.fromkeys([*plan.known_keys, *unknown], "VARCHAR")),
        paths=[_literal_path(text.path) for text in texts],
        no_line=_NO_LINE,
    )


def _unknown(known: Sequence[str], shapes: Sequence[Sequence[str]]) -> list[str]:
    """Return the shapes' other keys; none where DuckDB cannot tell them by their case."""
    found = list(dict.fromkeys(key for keys in shapes for key in keys if key not in known))
    taken = {key.casefold() for key in (*known, *found)}
    return found if len(taken) == len(known) + len(found) else []


def _literal_path(path: Path) -> str:
    """Return a path in which DuckDB finds no pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _field(key: str) -> Keyword:
    return Keyword(f"fields[{literal(key)}]")
