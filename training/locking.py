"""One process at a time on this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imaging.errors import StorageError, UsageError


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Hold the lock file ``path``. When a process dies, the system lets go of its locks; the file stays.

    Parameters
    ----------
    busy
        What to say instead of waiting, while another process holds it.

    Raises
    ------
    UsageError
        It is held, with the words of ``busy``.
    StorageError
        The file can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        yield
    except BlockingIOError:
        raise UsageError(busy) from None
    finally:
        os.close(handle)
