"""Folders for files that a load needs only while it runs."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparkify_dagster.warehouse.base import WarehouseError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PREFIX = "sparkify-scratch-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder that is removed afterwards.

    A process that is killed cannot remove its folder; the next one does, as the operating system
    has let go of the lock that says whether a folder is in use.

    Raises:
        WarehouseError: there is no room for temporary files.
    """
    parent = Path(tempfile.gettempdir())
    try:
        _remove_abandoned(parent)
        folder, lock = _locked_folder()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise WarehouseError(
            f"{parent}: no room for temporary files ({error.strerror}). Nothing of this "
            "load was kept; make room there or point TMPDIR elsewhere, then run again."
        ) from error


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Until it is locked, another process may take the folder for an abandoned one.
        if (lock := _lock(folder)) is not None:
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        if (lock := _lock(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None  # removed by now, or another's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None  # in use
    return lock
