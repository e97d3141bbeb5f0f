"""A lake on S3."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sparkify_dagster.lake.base import (
    JSONPATHS_NAME,
    LOG_PREFIX,
    SAMPLE_MARKER,
    SONG_PREFIX,
    LakeError,
    Page,
    SourceFile,
    event_day,
    is_sample_marker,
    is_song_file,
    looks_like_data,
)
from sparkify_dagster.lake.jsonpaths import parse_jsonpaths
from sparkify_dagster.lake.s3_prefix import S3Prefix

_READERS = 64  # S3 answers in tens of milliseconds, whatever the size
_DOWNLOADS = 8
_BATCH_FILES = 16  # handed to a thread at once: one by one costs more than the reading
_BATCH_BYTES = 4 * 1024 * 1024
_MEMORY = 128 * 1024 * 1024  # bytes read ahead; a larger file is read alone


class S3Lake:
    """A prefix of a bucket with log_data/, song_data/ and log_json_path.json."""

    def __init__(self, location: str) -> None:
        """Take the address of a lake; nothing is connected to yet.

        Raises:
            LakeError: it is not of the form s3://bucket/prefix.
        """
        self.objects = S3Prefix(location, "SPARKIFY_LAKE")
        self.root = self.address = self.objects.root
        self.left_out: dict[str, list[str]] = {}

    def is_sample(self) -> bool:
        """Tell whether the marker of a sample lake was copied along with it."""
        try:
            return is_sample_marker(self.objects.get(SAMPLE_MARKER))
        except LakeError:
            # Without the right to list, a missing object looks like a forbidden one.
            return False

    def refuse_missing(self) -> None:
        """Do nothing: the first listing tells."""

    def list_events(self) -> list[SourceFile]:
        """Return all event files, by name."""
        return self._list(
            LOG_PREFIX, "YYYY/MM/YYYY-MM-DD-events.json", lambda name: event_day(name) is not None
        )

    def list_songs(self) -> list[SourceFile]:
        """Return all song files, by name."""
        return self._list(SONG_PREFIX, "A/B/C/TR*.json", is_song_file)

    def list_songs_page(self, after: str, limit: int) -> Page:
        """Return the song files among the next `limit` names behind `after`, by name."""
        found = list(itertools.islice(self.objects.list_below(SONG_PREFIX, after), limit))
        files = [self._as_listed(*one) for one in found if is_song_file(one[0])]
        return Page(files, found[-1][0] if len(found) == limit else None)

    def url(self, name: str) -> str:
        """Return the address of a file."""
        return self.objects.url(name)

    def read_jsonpaths(self) -> list[str]:
        """Return the JSONPaths of the event files, in order."""
        return parse_jsonpaths(self.url(JSONPATHS_NAME), self.objects.get(JSONPATHS_NAME))

    def read_many(
        self, files: Sequence[SourceFile], take: Callable[[SourceFile, bytes], None]
    ) -> None:
        """Read files in parallel and hand them over in the order given.

        A file that is no longer the listed one is an error: its content would be remembered under
        the listed version.
        """
        pending: deque[tuple[list[SourceFile], Future[list[bytes]]]] = deque()
        ahead = 0
        pool = ThreadPoolExecutor(_READERS)

        def hand_over() -> int:
            batch, read = pending.popleft()
            for file, content in zip(batch, read.result(), strict=True):
                take(file, content)
            return _size(batch)

        try:
            for batch in _batches(files):
                while pending and (len(pending) >= 2 * _READERS or ahead + _size(batch) > _MEMORY):
                    ahead -= hand_over()
                pending.append((batch, pool.submit(self._read, batch)))
                ahead += _size(batch)
            while pending:
                hand_over()
        finally:
            pool.shutdown(cancel_futures=True)

    def local_paths(self, files: Iterable[SourceFile], folder: Path) -> list[Path]:
        """Fetch the files into `folder`, several at a time, under the names they have in the lake.

        Raises:
            LakeError: a file cannot be read, or has gone or changed since it was listed.
        """
        wanted = [(file, folder / file.name) for file in files]
        for path in {path.parent for _, path in wanted}:
            path.mkdir(parents=True, exist_ok=True)

        def fetch(one: tuple[SourceFile, Path]) -> Path:
            file, path = one
            self.objects.download(file.name, file.version, path)
            return path

        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            return list(pool.map(fetch, wanted))

    def refuse_changed(self, files: Iterable[SourceFile]) -> None:
        """Do nothing: each was fetched under the condition that it is the listed one."""

    def fingerprint(self, file: SourceFile) -> SourceFile:
        """Return the file as it is: its ETag tells changes, a hash would cost a whole read."""
        return file

    def _read(self, batch: Sequence[SourceFile]) -> list[bytes]:
        return [self.objects.get(file.name, file.version) for file in batch]

    def _list(self, below: str, layout: str, wanted: Callable[[str], bool]) -> list[SourceFile]:
        files = []
        left_out = self.left_out[below] = []
        for name, size, etag in self.objects.list_below(below):
            if wanted(name):
                files.append(self._as_listed(name, size, etag))
            else:
                left_out += [name] * looks_like_data(name)
        if not files:
            raise LakeError(
                f"SPARKIFY_LAKE={self.root!r}: holds no file {below}{layout}; correct the bucket "
                "or prefix, or put the files there"
            )
        return sorted(files, key=lambda file: file.name)

    def _as_listed(self, name: str, size: int, etag: str) -> SourceFile:
        if not etag:
            raise LakeError(
                f"{self.url(name)}: the store lists it without an ETag, so that changes "
                "would go unseen; use a store that gives ETags"
            )
        return SourceFile(name, size, etag, event_day(name))


def _batches(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    batch: list[SourceFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= _BATCH_FILES or size + file.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def _size(batch: Sequence[SourceFile]) -> int:
    return sum(file.size for file in batch)
