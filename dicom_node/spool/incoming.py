"""One instance on its way in: its bytes go to a scratch file, and into the digest, as they arrive."""

from __future__ import annotations

import hashlib
import mmap
import os
import time
import uuid
from io import BytesIO
from pathlib import Path
from typing import Any

from dicom_node.spool.header import Header, read_header

_PREFIX = "receive-"
_ABANDONED_AFTER = 24 * 3600.0


class Refused(Exception):
    """An instance that isn't taken; the peer gets ``status`` (PS3.4 table B.2-1) and ``comment``."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment


OUT_OF_RESOURCES = 0xA700
CLASS_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


class Incoming(BytesIO):
    """A buffer in pynetdicom's eyes; in truth a file that `write` appends to.

    From the first refusal on, further bytes are thrown away: the peer can only be told after its last one.

    Parameters
    ----------
    scratch
        Folder for the file, on the spool's file system.
    meta
        Preamble and file meta, written first and not part of the digest.
    limit
        Most bytes that the dataset may have.
    refusal
        Set when it is already known that it won't be taken: nothing is written then.
    """

    def __init__(self, scratch: Path, meta: bytes, limit: int, refusal: Refused | None = None) -> None:
        super().__init__()
        self.refusal = refusal
        self.size = 0
        self.path = scratch / f"{_PREFIX}{uuid.uuid4().hex}.part"
        self._limit = limit
        self._start = len(meta)
        self._sha256 = hashlib.sha256()
        self._file = -1
        if refusal is None:
            try:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
                self._append(meta)
            except OSError as error:
                self._refuse(OUT_OF_RESOURCES, f"spool can't be written: {error.strerror}")

    def write(self, data: Any, /) -> int:
        """Append a fragment of the dataset."""
        size = len(data)
        self.size += size
        if self.refusal is None:
            if self.size > self._limit:
                self._refuse(CANNOT_UNDERSTAND, f"instance is larger than {self._limit} bytes")
                return size
            try:
                self._append(data)
            except OSError as error:
                self._refuse(OUT_OF_RESOURCES, f"spool can't be written: {error.strerror}")
                return size
            self._sha256.update(data)
        return size

    @property
    def digest(self) -> str:
        """sha256 of the dataset bytes, 64 hex digits."""
        return self._sha256.hexdigest()

    def header(self, transfer_syntax_uid: str) -> Header:
        """The UIDs in the dataset received.

        Raises
        ------
        HeaderError
            See `dicom_node.spool.header.read_header`.
        Refused
            When it was discarded already.
        """
        if self._file < 0:
            raise Refused(OUT_OF_RESOURCES, "the association has ended")
        if not self.size:
            return read_header(b"", transfer_syntax_uid)
        with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as data:
            return read_header(data, transfer_syntax_uid, self._start)

    def discard(self) -> None:
        """Close and remove the scratch file, if it is still there. May be called twice."""
        handle, self._file = self._file, -1
        if handle >= 0:
            os.close(handle)
            self.path.unlink(missing_ok=True)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def _refuse(self, status: int, comment: str) -> None:
        self.refusal = Refused(status, comment)
        self.discard()


def sweep(scratch: Path) -> int:
    """Remove what a receiver that died left in ``scratch``; returns the number of files.

    Other unfinished files (of writers that may be alive in other processes) go only when they are a day old.
    """
    swept = 0
    for path in scratch.iterdir():
        if path.name.startswith(_PREFIX) or path.stat().st_mtime < time.time() - _ABANDONED_AFTER:
            path.unlink(missing_ok=True)
            swept += 1
    return swept
