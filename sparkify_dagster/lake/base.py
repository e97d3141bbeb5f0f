"""The lake: where the source files are, and what is known of each before it is read."""

import datetime as dt
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sparkify_dagster.text import printable

LOG_PREFIX = "log_data/"
SONG_PREFIX = "song_data/"
JSONPATHS_NAME = "log_json_path.json"
SAMPLE_MARKER = "sample.json"
LAYOUTS = {LOG_PREFIX: "YYYY/MM/YYYY-MM-DD-events.json", SONG_PREFIX: "A/B/C/TR*.json"}
_PACKED = 10

_EVENT_FILE = re.compile(r"log_data/\d{4}/\d{2}/(\d{4}-\d{2}-\d{2})-events\.json(\.gz)?", re.ASCII)
_HIDDEN = re.compile(r"/\.+[^./]")  # an S3 key may hold . and .. as names; no folder does
_LOOKS_LIKE_DATA = re.compile(r"json|events|\.gz$", re.IGNORECASE)


class LakeError(Exception):
    """The lake is not there, not readable or not laid out as expected."""

    transient = False  # whether the same may succeed some minutes later

    def __init__(self, message: str) -> None:
        # A file's name may hold whatever forges a line of a log.
        super().__init__(printable(message))


class DamagedFileError(LakeError):
    """A file cannot be unpacked."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the lake, as listed."""

    name: str  # path below the lake's root, with /
    size: int  # bytes as stored
    version: str  # ETag on S3; modification time in nanoseconds in a folder
    day: dt.date | None = None  # of an event file: the day in its name
    content_hash: str | None = None  # XXH3-128 of the stored bytes, once read
    line_count: int | None = None  # once read; mostly the number of JSON objects
    inode: int = 0  # in a folder: tells a file from another put in its place

    @property
    def unpacked_size(self) -> int:
        """Return how many bytes it holds; of a compressed file, a guess at such data."""
        return self.size * (_PACKED if self.name.endswith(".gz") else 1)


@dataclass(frozen=True)
class Page:
    """A stretch of a listing."""

    files: list[SourceFile]
    resume_after: str | None  # the last name looked at, or None where the listing ended


class Lake(ABC):
    """Where the source files are: log_data/, song_data/ and log_json_path.json below one place.

    Whatever cannot be listed or read, is not there, is malformed, or has gone or changed since it
    was listed is a LakeError.
    """

    root: str  # for people and error messages
    address: str  # the same for the same lake, however it was named

    def __init__(self) -> None:
        # Names that look like data and are none, of each last listing.
        self.left_out: dict[str, list[str]] = {}

    def is_sample(self) -> bool:
        """Tell whether the lake says of itself, as `sparkify sample-data` has it, that its data
        are invented.
        """
        try:
            return "generator_version" in json.loads(self._read(SAMPLE_MARKER))
        except (LakeError, ValueError, TypeError):
            # Without the right to list, a missing object of S3 looks like a forbidden one.
            return False

    @abstractmethod
    def refuse_missing(self) -> None:
        """Make sure, where that is cheap, that there is something to list."""

    def list_events(self) -> list[SourceFile]:
        """Return all event files, by name; it is an error if there is none."""
        return by_name(self._each(LOG_PREFIX, lambda name: event_day(name) is not None))

    def list_songs(self) -> list[SourceFile]:
        """Return all song files, as `each_song` does, but by name."""
        return by_name(self.each_song())

    def each_song(self) -> Iterator[SourceFile]:
        """Yield all song files, in any order: a million need not be held at once.

        It is an error if there is none.
        """
        return self._each(SONG_PREFIX, is_song_file)

    def list_songs_page(self, after: str, limit: int) -> Page:
        """Return the song files among the next `limit` names behind `after`, by name.

        For listings too long to be made at once; "" begins one. The cost is that of `limit` names,
        whatever the lake holds.
        """
        found = list(islice(self._below(SONG_PREFIX, after), limit))
        files = [self._as_listed(name, told) for name, told in found if is_song_file(name)]
        return Page(list(filter(None, files)), found[-1][0] if len(found) == limit else None)

    def read_jsonpaths(self) -> list[str]:
        """Return the JSONPaths of the event files, in order."""
        from sparkify_dagster.lake.jsonpaths import parse_jsonpaths

        return parse_jsonpaths(self.url(JSONPATHS_NAME), self._read(JSONPATHS_NAME))

    @abstractmethod
    def url(self, name: str) -> str:
        """Return the address of a file, as COPY names it."""

    @abstractmethod
    def read_many(
        self, files: Sequence[SourceFile], take: Callable[[SourceFile, bytes], None]
    ) -> None:
        """Read small files, several at a time; hand each to `take`, one call at a time."""

    @abstractmethod
    def local_paths(self, files: Iterable[SourceFile], folder: Path) -> list[Path]:
        """Return where the files can be read on this machine, fetched into `folder` if need be."""

    @abstractmethod
    def refuse_changed(self, files: Iterable[SourceFile]) -> None:
        """Make sure that what was read under `local_paths` is what was listed."""

    def fingerprint(self, file: SourceFile) -> SourceFile:
        """Return the file with what reading it tells: hash and line count, where that is cheap."""
        return file

    @abstractmethod
    def _below(self, prefix: str, after: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the names behind `after` that begin with `prefix`, and what the listing tells."""

    @abstractmethod
    def _as_listed(self, name: str, told: Any) -> SourceFile | None:
        """Return what the listing tells of a file, or None where it has gone in the meantime."""

    @abstractmethod
    def _read(self, name: str) -> bytes:
        """Return the content of a file."""

    def _each(self, prefix: str, wanted: Callable[[str], bool]) -> Iterator[SourceFile]:
        is_empty = True
        left_out = self.left_out[prefix] = []
        for name, told in self._below(prefix):
            if not wanted(name):
                left_out += [name] * looks_like_data(name)
            elif file := self._as_listed(name, told):
                is_empty = False
                yield file
        if is_empty:
            raise LakeError(
                f"SPARKIFY_LAKE={self.root!r}: holds no file {prefix}{LAYOUTS[prefix]}; correct "
                "its address, or put the files there"
            )


def by_name(files: Iterable[SourceFile]) -> list[SourceFile]:
    """Return files in the order of their names."""
    return sorted(files, key=lambda file: file.name)


def event_day(name: str) -> dt.date | None:
    """Return the day of an event file, or None where the name is none of an event file."""
    match = _EVENT_FILE.fullmatch(name)
    try:
        return dt.date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def is_song_file(name: str) -> bool:
    """Tell whether a path below the lake's root is that of a song file."""
    # One called .json alone is hidden.
    ends = name.endswith((".json", ".json.gz"))
    return ends and name.startswith(SONG_PREFIX) and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Tell whether a file or a folder above it is hidden: editors and copiers leave such files."""
    path = f"/{name}"
    return "/." in path and _HIDDEN.search(path) is not None


def looks_like_data(name: str) -> bool:
    """Tell whether somebody may take a name that is none of a source file for one.

    Such are an impossible day, another ending or spelling, a copy's name, a wrong folder.
    """
    return _LOOKS_LIKE_DATA.search(name.rpartition("/")[2]) is not None and not is_hidden(name)
