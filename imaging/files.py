"""Files written so that whoever reads meanwhile, also after a crash, finds the old one or the new one, whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from imaging.errors import StorageError

DRAFT = ".draft"
"""End of the hidden name that a file has until it is whole."""


def replace(path: Path, content: bytes) -> str:
    """Put ``content`` in a file's place at once, synced to disk; returns its sha256. Of two at once the later stays.

    A folder that isn't there is made.

    Raises
    ------
    StorageError
        It can't be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}{DRAFT}")
    try:
        make_folder(path.parent)
        try:
            write(draft, content)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()


def write(path: Path, content: bytes) -> None:
    """A new file, synced to disk; its name is safe after `sync` of its folder. OSError when it can't be written."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> None:
    """A folder and those above it, where they aren't there, each synced to disk; OSError when it can't be made."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def sync(folder: Path) -> None:
    """Wait until a folder's entries are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """In hexadecimal; OSError when the file can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
