"""One process at a time on this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imaging.errors import StorageError, UsageError


@contextmanager
def locked(folder: Path, busy: str = "") -> Iterator[None]:
    """Hold the lock of ``folder``, which is made if there is none. When a process dies, the system lets go of it.

    Parameters
    ----------
    busy
        What to say instead of waiting, while another process holds it.

    Raises
    ------
    UsageError
        It is held, with the words of ``busy``.
    StorageError
        The folder can't be made or opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise UsageError(busy) from None
        yield
    finally:
        os.close(handle)
