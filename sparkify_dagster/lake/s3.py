"""A lake on S3."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sparkify_dagster.lake.base import Lake, LakeError, SourceFile, event_day
from sparkify_dagster.lake.batches import batches
from sparkify_dagster.lake.s3_prefix import S3Prefix

_READERS = 64  # S3 answers in tens of milliseconds, whatever the size
_DOWNLOADS = 8
_BATCH_FILES = 16  # handed to a thread at once: one by one costs more than the reading
_BATCH_BYTES = 4 * 1024 * 1024
_MEMORY = 128 * 1024 * 1024  # bytes read ahead; a larger file is read alone


class S3Lake(Lake):
    """A lake at a prefix of a bucket: ETags tell changes, hashes would cost a whole read."""

    def __init__(self, location: str) -> None:
        """Take the address of a lake; nothing is connected to yet."""
        super().__init__()
        self.objects = S3Prefix(location, "SPARKIFY_LAKE")
        self.root = self.address = self.objects.root

    def refuse_missing(self) -> None:
        """Do nothing: the first listing tells."""

    def url(self, name: str) -> str:
        return self.objects.url(name)

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

        def read(batch: list[SourceFile]) -> list[bytes]:
            return [self.objects.get(file.name, file.version) for file in batch]

        def hand_over() -> int:
            batch, read = pending.popleft()
            for file, content in zip(batch, read.result(), strict=True):
                take(file, content)
            return _size(batch)

        try:
            for batch in batches(files, lambda file: file.size, _BATCH_BYTES, _BATCH_FILES):
                while pending and (len(pending) >= 2 * _READERS or ahead + _size(batch) > _MEMORY):
                    ahead -= hand_over()
                pending.append((batch, pool.submit(read, batch)))
                ahead += _size(batch)
            while pending:
                hand_over()
        finally:
            pool.shutdown(cancel_futures=True)

    def local_paths(self, files: Iterable[SourceFile], folder: Path) -> list[Path]:
        """Fetch the files, several at a time, under the names they have in the lake."""
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

    def _below(self, prefix: str, after: str = "") -> Iterator[tuple[str, tuple[int, str]]]:
        for name, size, etag in self.objects.list_below(prefix, after):
            yield name, (size, etag)

    def _as_listed(self, name: str, told: tuple[int, str]) -> SourceFile:
        size, etag = told
        if not etag:
            raise LakeError(
                f"{self.url(name)}: the store lists it without an ETag, so that changes "
                "would go unseen; use a store that gives ETags"
            )
        return SourceFile(name, size, etag, event_day(name))

    def _read(self, name: str) -> bytes:
        return self.objects.get(name)


def _size(batch: Sequence[SourceFile]) -> int:
    return sum(file.size for file in batch)
