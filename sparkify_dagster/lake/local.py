"""A lake in a local folder."""

import gzip
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import FileIO
from operator import itemgetter
from pathlib import Path

import xxhash

from sparkify_dagster.lake.base import (
    LAYOUTS,
    SAMPLE_MARKER,
    Lake,
    LakeError,
    SourceFile,
    event_day,
)
from sparkify_dagster.lake.objects import chunks, count_lines, unpacking

_NO_FILE = "{}: is no regular file; remove it from the lake"


class LocalLake(Lake):
    """A lake in a folder."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.root = folder
        self.address = os.path.realpath(folder)
        self._folder = Path(folder)

    def is_sample(self) -> bool:
        """Tell so of an unfinished one, too."""
        return (self._folder / f"{SAMPLE_MARKER}.partial").exists() or super().is_sample()

    def refuse_missing(self) -> None:
        if not self._folder.is_dir():
            raise LakeError(f"SPARKIFY_LAKE={self.root!r}: there is no such folder")
        for prefix in LAYOUTS:
            self._top(prefix)

    def url(self, name: str) -> str:
        return str(self._folder / name)

    def read_many(
        self, files: Sequence[SourceFile], take: Callable[[SourceFile, bytes], None]
    ) -> None:
        """Read files one after the other: from a local disk, threads only get in the way."""
        for file in files:
            try:
                with _open_regular(os.path.join(self.root, file.name)) as stream:
                    content = stream.read()
                    _refuse_other(file, os.fstat(stream.fileno()))
            except OSError as error:
                raise _unreadable(file, error) from error
            take(file, content)

    def local_paths(self, files: Iterable[SourceFile], folder: Path) -> list[Path]:
        return [self._folder / file.name for file in files]

    def refuse_changed(self, files: Iterable[SourceFile]) -> None:
        for file in files:
            try:
                _refuse_other(file, os.stat(self._folder / file.name))
            except OSError as error:
                raise _unreadable(file, error) from error

    def fingerprint(self, file: SourceFile) -> SourceFile:
        path = self._folder / file.name
        digest = xxhash.xxh3_128()
        try:
            with _open_regular(path) as stream:
                count = count_lines(_digested(stream, digest))
                _refuse_other(file, os.fstat(stream.fileno()))
            if file.name.endswith(".gz") and file.size:
                with unpacking(file.name), gzip.open(path, "rb") as unpacked:
                    count = count_lines(chunks(unpacked))
        except OSError as error:
            raise _unreadable(file, error) from error
        return replace(file, content_hash=digest.hexdigest(), line_count=count)

    def _below(self, prefix: str, after: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            yield from _names_after(str(self._top(prefix)), prefix, after)
        except OSError as error:
            raise _not_listed(error) from error

    def _as_listed(self, name: str, told: os.DirEntry[str]) -> SourceFile | None:
        """Refuse a name that is not UTF-8, which no table can say, and what is no file, such as a
        pipe, which would be waited for.
        """
        try:
            name.encode()
            status = told.stat()
        except UnicodeEncodeError:
            shown = os.fsencode(name).decode("utf-8", "backslashreplace")
            raise LakeError(f"{shown}: the file's name is not UTF-8; rename the file") from None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _not_listed(error) from error
        if not stat.S_ISREG(status.st_mode):
            raise LakeError(_NO_FILE.format(name))
        modified = str(status.st_mtime_ns)
        return SourceFile(name, status.st_size, modified, event_day(name), inode=status.st_ino)

    def _read(self, name: str) -> bytes:
        path = self._folder / name
        try:
            with _open_regular(path) as stream:
                return stream.read()
        except OSError as error:
            raise LakeError(f"{path}: cannot be read ({error.strerror})") from error

    def _top(self, prefix: str) -> Path:
        top = self._folder / prefix
        if not top.is_dir():
            raise LakeError(
                f"SPARKIFY_LAKE={self.root!r}: holds no folder {prefix} (expected "
                f"{prefix}{LAYOUTS[prefix]})"
            )
        return top


def _digested(stream: FileIO, digest: xxhash.xxh3_128) -> Iterator[bytes]:
    for chunk in chunks(stream):
        digest.update(chunk)
        yield chunk


def _names_after(folder: str, prefix: str, after: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files whose names follow `after`, in the order in which S3 would list them."""
    waiting = _children(folder, prefix)
    while waiting:
        name, entry = waiting.pop()
        if not name.endswith("/"):
            if name > after:
                yield name, entry
        elif name >= after or after.startswith(name):
            # All names in a folder begin with its own, so any other folder is wholly before.
            _refuse_loop(entry)
            waiting += _children(entry.path, name)


def _children(folder: str, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Return what a folder holds, the first name last."""
    with os.scandir(folder) as entries:
        return sorted(
            (
                (f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}", entry)
                for entry in entries
                if not entry.name.startswith(".")
            ),
            key=itemgetter(0),
            reverse=True,
        )


def _open_regular(path: str | Path) -> FileIO:
    """Open a file for reading, without buffers.

    Raises:
        LakeError: it is no regular file.
        OSError: it cannot be opened.
    """
    # To open a pipe would wait for its writer.
    stream = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise LakeError(_NO_FILE.format(path))
    return stream


def _refuse_other(file: SourceFile, status: os.stat_result) -> None:
    found = (status.st_size, str(status.st_mtime_ns), status.st_ino)
    if found != (file.size, file.version, file.inode):
        raise LakeError(
            f"{file.name}: has changed since it was listed; run again, which loads it as it is now"
        )


def _refuse_loop(folder: os.DirEntry[str]) -> None:
    if folder.is_symlink():
        target = os.path.realpath(folder.path)
        above = os.path.realpath(os.path.dirname(folder.path))
        if os.path.commonpath([target, above]) == target:
            raise LakeError(f"{folder.path}: is a link to a folder that holds it; remove it")


def _not_listed(error: OSError) -> LakeError:
    return LakeError(f"{error.filename}: cannot be listed ({error.strerror})")


def _unreadable(file: SourceFile, error: OSError) -> LakeError:
    return LakeError(f"{file.name}: cannot be read ({error.strerror}); it was there when listed")
