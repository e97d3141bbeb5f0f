"""COPY of files that hold an object a line, as DuckDB reads them: all lines of many files at once.

What is not plainly right is not loaded; it waits for a closer look, with all of its file where it
cannot be told from the lines around it.
"""

import gzip
import json
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sparkify_dagster.lake.base import DamagedFileError
from sparkify_dagster.lake.objects import (
    chunks,
    count_filled_lines,
    count_lines,
    squeeze,
    unpacking,
)
from sparkify_dagster.warehouse.base import Session, WarehouseError
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import STAMP, Plan, Text
from sparkify_dagster.warehouse.duckdb.copy_sql import (
    RULES,
    faults_of,
    filled,
    places_of,
    take_keys,
    take_rows,
)
from sparkify_dagster.warehouse.duckdb.dialect import literal
from sparkify_dagster.warehouse.statements import Keyword

_SAMPLE_BYTES = 64 * 1024  # of a file's first line
_MOST_SHAPES = 8
# A line that cannot be read is NULL, a blank one is not: this is no text of any line.
_NO_LINE = "\x02"
_DEEPEST = 500  # brackets; Python's decoder gives up at twice as many
_MOST_ODD = 1000  # lines of a file that are looked at without the others

# A text, those of its objects that wait for a closer look, and how many of these have a fault where
# all are counted, and the others loaded.
Waiting = tuple[Text, Iterable[tuple[str, int, bytes]], int | None]


def load_lines(
    session: Session, found: Found, texts: Sequence[Text], folder: Path
) -> list[Waiting]:
    """Load the lines that are plainly right; return what has the others.

    Raises:
        WarehouseError: a file was written while it was read.
    """
    unpacked = [_unpacked(text, folder) for text in texts if _is_for_duckdb(found.plan, text)]
    plain = [text for text in unpacked if text]
    shapes = _shapes(plain)
    faulty = _load_sound(session, found, plain, shapes) if plain else {}
    others = [text for text in plain if faulty.get(text.name, 1)]
    odd = _load_others(session, found, texts, others, shapes, faulty) if others else {}
    shutil.rmtree(folder / "unpacked", ignore_errors=True)
    waiting: list[Waiting] = []
    for text in texts:
        fault_count = faulty.get(text.name)
        objects = odd.get(text.name, text.objects())
        if fault_count or (fault_count is None and objects != []):
            waiting.append((text, objects, fault_count))
    return waiting


def _is_for_duckdb(plan: Plan, text: Text) -> bool:
    # DuckDB takes a backslash in a path for a slash, and such a key for the number of a file.
    are_fields = all(len(column.steps) == 1 for column in plan.columns)
    return are_fields and "file_index" not in plan.known_keys and "\\" not in str(text.path)


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


def _load_sound(
    session: Session, found: Found, texts: Sequence[Text], shapes: Sequence[Sequence[str]]
) -> dict[str, int]:
    """Load the files in which each line is right; return in how many lines of each a value is not.

    These lines are counted, but not loaded.
    """
    session.run(filled(RULES["counted"], **_line_places(found, texts, shapes)))
    rows = session.run(
        "SELECT file, sum(count), sum(right_count), sum(bytes) FROM counted GROUP BY file"
    )
    counts = {
        file: int(count)
        for file, count, right_count, size in rows
        if count == right_count and _is_all(texts[file], int(count), int(size))
    }
    if counts:
        kinds = f"SELECT {_name(texts)} AS name, shape, keys, count FROM counted"
        take_keys(session, found, f"{kinds} WHERE {_chosen([*counts])}", shapes)
    session.run("DROP TABLE counted")
    for file, count in counts.items():
        if texts[file].line_count is None:
            found.objects[texts[file].name] = count
        if texts[file].origins is None:
            found.totals[texts[file].name] = count
    sound = [texts[file] for file in counts]
    return _load_values(session, found, sound, sum(counts.values())) if sound else {}


def _load_values(
    session: Session, found: Found, texts: Sequence[Text], line_count: int
) -> dict[str, int]:
    """Load the lines of files whose values have no fault; return how many of each file have one."""
    fits, values, structure = _values(found.plan)
    paths = [_literal_path(text.path) for text in texts]
    source = filled(RULES["values"], paths=paths, structure=structure)
    file = "CAST(fields.file_index AS INTEGER) AS file"
    names = [text.name for text in texts]
    rows = f"(SELECT {file}, {values} FROM {source} WHERE {fits})"
    loaded = take_rows(session, found, names, rows)
    faulty = dict.fromkeys(names, 0)
    if loaded < line_count:
        others = f"SELECT {file}, count(*) FROM {source} WHERE ({fits}) IS NOT TRUE GROUP BY ALL"
        faulty |= {names[number]: count for number, count in session.run(others)}
    if loaded + sum(faulty.values()) != line_count:
        raise WarehouseError(
            f"{names[0]}, or a file read along with it: has changed while it was read; run again"
        )
    return faulty


def _is_all(text: Text, count: int, size: int) -> bool:
    """Tell whether lines, each with a line feed, are all that a file holds.

    DuckDB ends a line at a CR as well, and leaves out what it cannot read without a word.
    """
    with text.open() as stream:
        line_count = count_lines(chunks(stream)) if text.line_count is None else text.line_count
        stream.seek(-1, os.SEEK_END)
        has_end = stream.read() == b"\n"
        return count == line_count and size + count - (not has_end) == stream.tell()


def _load_others(
    session: Session,
    found: Found,
    stored: Sequence[Text],
    texts: Sequence[Text],
    shapes: Sequence[Sequence[str]],
    faulty: Mapping[str, int],
) -> dict[str, list[tuple[str, int, bytes]]]:
    """Load what is fine in files whose lines are all there; return the objects of odd lines.

    Of files that are loaded but for faulty lines, return these.
    """
    fits, values, structure = _values(found.plan)
    places = {"fits": fits, "values": values, "structure": structure}
    session.run(filled(RULES["landed"], **places, **_line_places(found, texts, shapes)))
    odd = _odd_objects(session, found, {text.name: text for text in stored}, texts, faulty)
    names = [text.name for text in texts]
    if right := [file for file, name in enumerate(names) if name in odd and name not in faulty]:
        rows = f"landed WHERE fine AND {_chosen(right)}"
        kinds = f"SELECT {_name(texts)} AS name, shape, keys, 1 AS count FROM {rows}"
        take_keys(session, found, kinds, shapes)
        take_rows(session, found, names, rows)
    session.run("DROP TABLE landed")
    return odd


def _odd_objects(
    session: Session,
    found: Found,
    stored: Mapping[str, Text],
    texts: Sequence[Text],
    counted: Container[str],
) -> dict[str, list[tuple[str, int, bytes]]]:
    """Return the files whose lines are all there, with the objects of odd lines.

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
    objects = {}
    for file, text in enumerate(texts):
        count, fine, odd = counts.get(file, (0, 0, 0))
        if count != fine + odd or odd > _MOST_ODD or not _has_filled_lines(text, count):
            continue
        of_file = stored[text.name].objects_of(lines[file]) if odd else []
        if of_file is None:
            continue
        objects[text.name] = of_file
        if text.name in counted:
            continue
        if count != text.line_count:
            found.objects[text.name] = count
        if text.origins is None:
            found.totals[text.name] = fine
    return objects


def _has_filled_lines(text: Text, count: int) -> bool:
    """Tell whether a file has so many lines, both by its LF and, as DuckDB reads it, by its CR."""
    for line_end in (b"\r", b"\n"):
        with text.open() as stream:
            content = (chunk.replace(b"\r", line_end) for chunk in chunks(stream))
            if count != count_filled_lines(content):
                return False
    return True


def _name(texts: Sequence[Text]) -> str:
    """Return what names the file of an object, where that file may lack a key in all of several."""
    if texts[0].origins is not None:
        return "origin"
    return f"{literal([text.name for text in texts])}[file + 1]"


def _chosen(files: Sequence[int]) -> str:
    return f"file IN ({', '.join(map(str, files))})"


def _line_places(
    found: Found, texts: Sequence[Text], shapes: Sequence[Sequence[str]]
) -> dict[str, Keyword]:
    """Return what reads the files' lines, what tells that one is right, and of a part its file."""
    shape = " ".join(f"WHEN keys = {literal(keys)} THEN {at}" for at, keys in enumerate(shapes))
    lines = filled(
        RULES["lines"],
        shape_of_keys=Keyword(shape or "WHEN false THEN 0"),
        paths=[_literal_path(text.path) for text in texts],
        no_line=_NO_LINE,
    )
    right = filled(
        RULES["right"],
        doubtful_value=RULES["doubtful_value"],
        stripped=Keyword(RULES["stripped"]),
        deepest=_DEEPEST,
        text_paths=[
            "/" + column.key.replace("~", "~0").replace("/", "~1")
            for column in found.plan.columns
            if column.type == "VARCHAR"
        ],
    )
    origin = Keyword("NULL")
    if texts[0].origins is not None and found.totals:
        origin = filled(RULES["origin"], stamp=f"$.{STAMP}", several=[*found.totals])
    return {"lines": lines, "right": right, "origin": origin}


def _values(plan: Plan) -> tuple[Keyword, Keyword, Keyword]:
    """Return what tells that a line's values have no fault, the values, and the fields' types."""
    fits, values = [], []
    for column in plan.columns:
        rules = RULES["types"][column.type]
        key = column.key.replace('"', '""')
        places = places_of(column, text=Keyword(f'fields."{key}"'))
        may_lack = "false" if column.required else f"{places['text']} IS NULL"
        fine = f"COALESCE({filled(rules['fine'], **places)}, {may_lack})"
        if column.type != "VARCHAR":
            faults = " OR ".join(faults_of(column, places))
            fine = f"CASE WHEN {fine} THEN true ELSE NOT ({faults}) END"
        fits.append(fine)
        values.append(f'{filled(rules["line"], **places)} AS "{column.name}"')
    structure = ", ".join(f"{literal(key)}: 'VARCHAR'" for key in plan.known_keys)
    return Keyword(" AND ".join(fits)), Keyword(", ".join(values)), Keyword(f"{{{structure}}}")


def _literal_path(path: Path) -> str:
    """Return a path in which DuckDB finds no pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))
