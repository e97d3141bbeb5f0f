"""Writing a sample lake into a folder, so that a half-written one is never taken for whole."""

import contextlib
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from sparkify_dagster.lake.jsonpaths import EVENT_KEYS
from sparkify_dagster.locks import locked
from sparkify_dagster.sample.catalogue import make_songs, make_tracks, song_line
from sparkify_dagster.sample.events import Days
from sparkify_dagster.sample.spec import SampleDataError, SampleSpec

MARKER = "sample.json"
# Stands in for the marker while a lake is written: the folder is ours, and incomplete.
PARTIAL_MARKER = "sample.json.partial"
LOG_FOLDER = "log_data"
SONG_FOLDER = "song_data"
JSON_PATHS = "log_json_path.json"
PARTS = (LOG_FOLDER, SONG_FOLDER, JSON_PATHS)

# Raised when the same arguments give other files: older lakes are then made anew.
GENERATOR_VERSION = 1


# Called with "songs" or "events" and the number of them just written.
Progress = Callable[[str, int], None]


class Outcome(Enum):
    """What became of the folder, in words."""

    WRITTEN = "Wrote a sample lake to"
    REPLACED = "Replaced the sample lake in"
    KEPT = "Nothing to do, these arguments are what is in"


def write_sample_lake(
    directory: Path,
    spec: SampleSpec,
    progress: Progress = lambda _kind, _count: None,
    on_wait: Callable[[], None] = lambda: None,
) -> Outcome:
    """Make `directory` a lake of these arguments, and return what was done for it.

    The same arguments give the same bytes everywhere. A lake that has them already is kept; a
    sample lake of other arguments, or an unfinished one, is replaced: its log_data, song_data and
    log_json_path.json, nothing else. The marker `sample.json` is written last. If another process
    is writing the same folder, `on_wait` is called and this one waits.

    Raises SampleDataError if the folder holds anything but a sample lake, and OSError if it
    cannot be written.
    """
    if directory.exists() and not directory.is_dir():
        raise SampleDataError(f"{directory} is a file: name a folder")
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory, on_wait):
        found = read_marker(directory)
        if found is None and not (directory / PARTIAL_MARKER).exists() and any(directory.iterdir()):
            raise SampleDataError(
                f"{directory} is not empty and not a sample lake (it has no {MARKER}): "
                "name an empty or a new folder"
            )
        wanted = {"generator_version": GENERATOR_VERSION, **spec.as_json()}
        is_whole = all((directory / part).exists() for part in PARTS)
        if found is not None and is_whole and wanted.items() <= found.items():
            return Outcome.KEPT
        (directory / PARTIAL_MARKER).touch()
        for path in (directory / name for name in (MARKER, *PARTS)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        _write(directory, spec, progress)
    return Outcome.WRITTEN if found is None else Outcome.REPLACED


def read_marker(directory: Path) -> dict[str, Any] | None:
    """Return what `sample.json` says, or None where the folder is not a complete sample lake.

    `start` and `end` are the first and the last day with events (YYYY-MM-DD); `events`, `plays`
    and `matched_plays` (title and artist are in the catalogue) are counts over all files.

    Raises SampleDataError if the file is there and was not written by this generator.
    """
    path = directory / MARKER
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    with contextlib.suppress(ValueError):
        marker = json.loads(text)
        if isinstance(marker, dict) and "generator_version" in marker:
            return marker
    raise SampleDataError(
        f"{path} does not describe a sample lake: remove the folder or name another one"
    )


def _write(directory: Path, spec: SampleSpec, progress: Progress) -> None:
    def write(name: str, text: str) -> None:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("ascii"))

    songs = make_songs(spec.songs, spec.seed)
    for name, song in songs.items():
        write(f"{SONG_FOLDER}/{name}", song_line(song))
        progress("songs", 1)
    days = Days(spec, *make_tracks([*songs.values()], spec.seed))
    for number, lines in enumerate(days):
        day = spec.start + timedelta(days=number)
        write(f"{LOG_FOLDER}/{day:%Y}/{day:%m}/{day:%Y-%m-%d}-events.json", "\n".join(lines))
        progress("events", len(lines))
    paths = ",\n".join(f"        \"$['{key}']\"" for key in EVENT_KEYS)
    write(JSON_PATHS, f'{{\n    "jsonpaths": [\n{paths}\n    ]\n}}')
    marker = {"generator_version": GENERATOR_VERSION, **spec.as_json(), **days.counts}
    write(PARTIAL_MARKER, json.dumps(marker, indent=2) + "\n")
    (directory / PARTIAL_MARKER).replace(directory / MARKER)
