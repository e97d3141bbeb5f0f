"""COPY on DuckDB, by Redshift's rules.

Files are read by DuckDB, line by line (`copy_lines`); a line in which something is not plainly
right, or its whole file, is looked at object by object (`copy_objects`), which has the last word:
it loads the objects, or names every bad line. Source of the rules: AWS Redshift Database Developer
Guide, "COPY from JSON format", "Data conversion parameters", "Load error reference".
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from sparkify_dagster.lake.batches import batches as by_size
from sparkify_dagster.warehouse.base import CopyResult, CopySource, CopyStep, Session
from sparkify_dagster.warehouse.copy_found import Found
from sparkify_dagster.warehouse.copy_rules import Text, plan_copy
from sparkify_dagster.warehouse.duckdb.copy_lines import load_lines
from sparkify_dagster.warehouse.duckdb.copy_objects import load_objects

# Read at once, and held before it goes into the table: two cores share it from 128 MB on.
_BATCH_BYTES = 256 * 1024 * 1024


def copy(
    session: Session, step: CopyStep, source: CopySource, max_errors: int, folder: Path
) -> CopyResult:
    """Load files into a staging table."""
    found = Found(plan_copy(step, source, max_errors), source)
    for texts in batches(source, folder):
        for text, objects, fault_count in load_lines(session, found, texts, folder):
            load_objects(session, found, text, objects, folder, fault_count)
        for text in texts:
            found.take_end(text)
    return found.result()


def batches(source: CopySource, folder: Path) -> Iterator[list[Text]]:
    """Yield what is to be read in pieces of bounded size; each is there until the next is taken."""
    if source.parts is not None:
        for part in source.parts:
            if part.line_count:
                yield [Text(part.path.name, part.path, part.line_count, part.origins)]
        return
    fetched = folder / "fetched"
    filled = (file for file in source.files if file.size)
    for files in by_size(filled, lambda file: file.unpacked_size, _BATCH_BYTES):
        paths = source.lake.local_paths(files, fetched)
        yield [
            Text(file.name, path, file.line_count) for file, path in zip(files, paths, strict=True)
        ]
        shutil.rmtree(fetched, ignore_errors=True)
