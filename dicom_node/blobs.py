"""Named immutable bytes: the one store under the spool and the results.

First written wins. What a call has answered for survives a power cut: file and folders are fsynced before it returns.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import threading
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from imaging.errors import StorageError

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
_SCRATCH = ".incoming"
_REMEMBERED_FOLDERS = 4096


class BlobStore(Protocol):
    """Put-if-absent, get, list. Names are relative POSIX paths of safe parts; any other name raises ValueError.

    Every method raises StorageError when the store itself fails (disk full, permissions).
    """

    @property
    def scratch(self) -> Path:
        """Folder for unfinished files, on the store's own file system, so that `adopt` can move them in."""
        ...

    def put(self, name: str, data: bytes) -> bool:
        """Store ``data`` unless ``name`` is there. True when this call made it; durable on return either way."""
        ...

    def adopt(self, name: str, path: Path) -> bool:
        """Move the finished file ``path`` in, with `put`'s guarantees. When False, ``path`` is left where it was."""
        ...

    def get(self, name: str) -> bytes:
        """The bytes; KeyError when absent."""
        ...

    def path(self, name: str) -> Path:
        """A file with the bytes, to be read only; KeyError when absent."""
        ...

    def exists(self, name: str) -> bool:
        """Whether ``name`` is there."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """Names that start with ``prefix``, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Remove ``name``; KeyError when absent."""
        ...


def check_name(name: str) -> str:
    """Return ``name`` if it is a relative POSIX path of safe parts.

    Raises
    ------
    ValueError
        For an empty, absolute or hidden part, ``..``, or characters other than letters, digits and ``_ . + -``.
    """
    if not all(_PART.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"not a blob name: {name!r}")
    return name


class LocalBlobStore:
    """Blobs as files under a folder of the local disk.

    Parameters
    ----------
    root
        The folder; made if absent. Several processes may share it.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self._lock = threading.Lock()
        self._durable: set[Path] = set()
        with _storage_errors(f"can't use {self.root}"):
            self._make_folder(self.root / _SCRATCH)

    @property
    def scratch(self) -> Path:
        """Folder for unfinished files, on the store's own file system."""
        return self.root / _SCRATCH

    def put(self, name: str, data: bytes) -> bool:
        """Store ``data`` unless ``name`` is there."""
        check_name(name)
        part = self.scratch / f"{uuid.uuid4().hex}.part"
        try:
            with _storage_errors(f"can't write {name}"):
                part.write_bytes(data)
            return self.adopt(name, part)
        finally:
            part.unlink(missing_ok=True)

    def adopt(self, name: str, path: Path) -> bool:
        """Move the finished file ``path`` in unless ``name`` is there."""
        final = self.root / check_name(name)
        with _storage_errors(f"can't store {name}"):
            _fsync(path)
            if final.parent not in self._durable:
                self._make_folder(final.parent)
            folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                # The lock makes look-then-rename one step among threads and processes (rename alone overwrites).
                fcntl.flock(folder, fcntl.LOCK_EX)
                made = not final.exists()
                if made:
                    path.rename(final)
                fcntl.flock(folder, fcntl.LOCK_UN)
                # Also when it was there: whoever made it may not have come this far yet.
                os.fsync(folder)
            finally:
                os.close(folder)
        return made

    def get(self, name: str) -> bytes:
        """The bytes; KeyError when absent."""
        with _storage_errors(f"can't read {name}"):
            return self.path(name).read_bytes()

    def path(self, name: str) -> Path:
        """The file itself; KeyError when absent."""
        path = self.root / check_name(name)
        if not path.is_file():
            raise KeyError(name)
        return path

    def exists(self, name: str) -> bool:
        """Whether ``name`` is there."""
        return (self.root / check_name(name)).is_file()

    def list(self, prefix: str = "") -> Iterator[str]:
        """Names that start with ``prefix``, sorted."""
        # Only the folder that the prefix names in full is walked: a study's instances without the whole spool.
        base = self.root / check_name(prefix.rpartition("/")[0]) if "/" in prefix else self.root
        names = []
        for folder, folders, files in os.walk(base):
            folders[:] = [inner for inner in folders if not inner.startswith(".")]
            names += [(Path(folder) / file).relative_to(self.root).as_posix() for file in files]
        yield from sorted(name for name in names if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Remove ``name``; KeyError when absent."""
        path = self.path(name)
        with _storage_errors(f"can't delete {name}"):
            path.unlink()
            _fsync(path.parent)

    def _make_folder(self, folder: Path) -> None:
        """Make ``folder`` and fsync its parents.

        Folders that another process made may not be durable yet, so the parents up to the root are fsynced the first
        time that this object meets a folder, whoever made it.
        """
        with self._lock:
            top = next(place for place in (self.root, *self.root.parents) if place.exists())
            folder.mkdir(parents=True, exist_ok=True)
            for parent in folder.parents:
                _fsync(parent)
                if parent == top:
                    break
            if len(self._durable) >= _REMEMBERED_FOLDERS:
                self._durable.clear()
            self._durable.add(folder)


class MemoryBlobStore:
    """Blobs in memory: for tests, and for readings whose files go elsewhere.

    `path` writes copies to a temporary folder that goes with this object.
    """

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="blobs-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def scratch(self) -> Path:
        """Folder for unfinished files."""
        folder = self._folder / _SCRATCH
        folder.mkdir(exist_ok=True)
        return folder

    def put(self, name: str, data: bytes) -> bool:
        """Store ``data`` unless ``name`` is there."""
        check_name(name)
        with self._lock:
            made = name not in self._blobs
            self._blobs.setdefault(name, bytes(data))
        return made

    def adopt(self, name: str, path: Path) -> bool:
        """Take the bytes of ``path`` unless ``name`` is there."""
        made = self.put(name, path.read_bytes())
        if made:
            path.unlink()
        return made

    def get(self, name: str) -> bytes:
        """The bytes; KeyError when absent."""
        return self._blobs[check_name(name)]

    def path(self, name: str) -> Path:
        """A file with the bytes; KeyError when absent."""
        data = self.get(name)
        path = self._folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path

    def exists(self, name: str) -> bool:
        """Whether ``name`` is there."""
        return check_name(name) in self._blobs

    def list(self, prefix: str = "") -> Iterator[str]:
        """Names that start with ``prefix``, sorted."""
        with self._lock:
            names = sorted(self._blobs)
        yield from (name for name in names if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Remove ``name``; KeyError when absent."""
        with self._lock:
            del self._blobs[check_name(name)]
        (self._folder / name).unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _storage_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or error}") from error
