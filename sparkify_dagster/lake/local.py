"""A lake in a local folder."""

import gzip
import itertools
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import FileIO
from pathlib import Path

import xxhash

from sparkify_dagster.lake.base import (
    JSONPATHS_NAME,
    LOG_PREFIX,
    SONG_PREFIX,
    LakeError,
    Page,
    SourceFile,
    event_day,
    is_song_file,
)
from sparkify_dagster.lake.jsonpaths import parse_jsonpaths
from sparkify_dagster.lake.objects import chunks, count_lines, damaged

SONG_LAYOUT = "A/B/C/TR*.json"


class LocalLake:
    """A folder with log_data/, song_data/ and log_json_path.json."""

    def __init__(self, folder: str) -> None:
        self.root = folder
        self._folder = Path(folder)

    def list_events(self) -> list[SourceFile]:
        """Return all event files, by name."""
        return self._list(
            LOG_PREFIX, "YYYY/MM/YYYY-MM-DD-events.json", lambda name: event_day(name) is not None
        )

    def list_songs(self) -> list[SourceFile]:
        """Return all song files, by name."""
        return self._list(SONG_PREFIX, SONG_LAYOUT, is_song_file)

    def list_songs_page(self, after: str, limit: int) -> Page:
        """Return the song files among the next `limit` names behind `after`, by name."""
        top = self._top(SONG_PREFIX, SONG_LAYOUT)
        try:
            found = list(itertools.islice(_names_after(str(top), SONG_PREFIX, after), limit))
        except OSError as error:
            raise _not_listed(error) from error
        files = [
            file
            for name, entry in found
            if is_song_file(name) and (file := _as_listed(name, entry)) is not None
        ]
        return Page(files, found[-1][0] if len(found) == limit else None)

    def url(self, name: str) -> str:
        """Return the path of a file."""
        return str(self._folder / name)

    def read_jsonpaths(self) -> list[str]:
        """Return the JSONPaths of the event files, in order."""
        path = self._folder / JSONPATHS_NAME
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LakeError(f"{path}: cannot be read ({error.strerror})") from error
        return parse_jsonpaths(str(path), content)

    def read_many(
        self, files: Sequence[SourceFile], take: Callable[[SourceFile, bytes], None]
    ) -> None:
        """Read files one after the other: from a local disk, threads only get in the way."""
        for file in files:
            try:
                with open(os.path.join(self.root, file.name), "rb", buffering=0) as stream:
                    content = stream.read()
            except OSError as error:
                raise _unreadable(file, error) from error
            take(file, content)

    def local_paths(self, files: Iterable[SourceFile], folder: Path) -> list[Path]:
        """Return the paths of the files where they are."""
        return [self._folder / file.name for file in files]

    def fingerprint(self, file: SourceFile) -> SourceFile:
        """Return the file with its hash and its number of lines.

        Raises:
            LakeError: it cannot be read, or its compressed data is damaged.
        """
        path = self._folder / file.name
        digest = xxhash.xxh3_128()
        try:
            with open(path, "rb", buffering=0) as stream:
                count = count_lines(_digested(stream, digest))
            if file.name.endswith(".gz") and file.size:
                with gzip.open(path, "rb") as unpacked:
                    count = count_lines(chunks(unpacked))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise damaged(file.name, error) from error
        except OSError as error:
            raise _unreadable(file, error) from error
        return replace(file, content_hash=digest.hexdigest(), line_count=count)

    def _list(
        self,
        prefix: str,
        layout: str,
        wanted: Callable[[str], bool],
    ) -> list[SourceFile]:
        top = self._top(prefix, layout)
        files = []
        root = len(str(top)) + 1
        try:
            for entry in _walk(str(top)):
                name = prefix + entry.path[root:]
                if wanted(name) and (file := _as_listed(name, entry)) is not None:
                    files.append(file)
        except OSError as error:
            raise _not_listed(error) from error
        if not files:
            raise LakeError(f"{top}: holds no file {prefix}{layout}")
        return sorted(files, key=lambda file: file.name)

    def _top(self, prefix: str, layout: str) -> Path:
        top = self._folder / prefix
        if not top.is_dir():
            raise LakeError(
                f"SPARKIFY_LAKE={self.root!r}: holds no folder {prefix} (expected {prefix}{layout})"
            )
        return top


def _digested(stream: FileIO, digest: xxhash.xxh3_128) -> Iterator[bytes]:
    for chunk in chunks(stream):
        digest.update(chunk)
        yield chunk


def _walk(top: str) -> Iterator[os.DirEntry[str]]:
    pending = [top]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                else:
                    yield entry


def _names_after(folder: str, prefix: str, after: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files whose names follow `after`, in the order in which S3 would list them."""
    with os.scandir(folder) as entries:
        children = sorted(
            ((f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}", entry) for entry in entries),
            key=lambda child: child[0],
        )
    for name, entry in children:
        if not name.endswith("/"):
            if name > after:
                yield name, entry
        elif name >= after or after.startswith(name):
            # All names in a folder begin with its own, so any other folder is wholly before.
            yield from _names_after(entry.path, name, after)


def _as_listed(name: str, entry: os.DirEntry[str]) -> SourceFile | None:
    """Return what the listing tells of a file, or None where it has gone in the meantime.

    Raises:
        LakeError: its name is not UTF-8, so no table can say it.
    """
    if not _is_utf8(name):
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise LakeError(f"{shown}: the file's name is not UTF-8; rename the file")
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None
    return SourceFile(name, status.st_size, str(status.st_mtime_ns), event_day(name))


def _not_listed(error: OSError) -> LakeError:
    return LakeError(f"{error.filename}: cannot be listed ({error.strerror})")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(file: SourceFile, error: OSError) -> LakeError:
    return LakeError(f"{file.name}: cannot be read ({error.strerror}); it was there when listed")
