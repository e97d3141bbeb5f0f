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
_LOCK = "in-use"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder that is removed afterwards.

    A process that is killed cannot remove its folder; the next one does, as the operating system
    has let go of the lock that says whether a folder is in use.

    Raises:
        WarehouseError: there is no room for temporary files.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        # Locked before it is in place: to others the folder is either not yet or surely in use.
        with open(folder / "new", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(folder / "new", folder / _LOCK)
            yield folder
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise WarehouseError(
            f"{folder.parent}: no room for temporary files ({error.strerror}). Nothing of this "
            "load was kept; make room there or point TMPDIR elsewhere, then run again."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            with open(folder / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, another user's, or just being made
