"""The receive log: one JSON line for every acknowledged C-STORE and every storage commitment report.

Files ``receive-000001.jsonl``, ``receive-000002.jsonl``, … are appended to by one process and read by anyone. A line
that a crash tore was never acknowledged. Each start begins a new file, so nothing follows such a line; and a reader
that had seen more of it than the disk kept reads on in the next file.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import structlog

from imaging.errors import StorageError

MAX_FILE_BYTES = 64 << 20

Position = tuple[int, int]
START: Position = (1, 0)

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Received:
    """An instance was acknowledged to its sender.

    Parameters
    ----------
    digest
        sha256 of the dataset bytes, 64 hex digits.
    blob
        Its name in the spool.
    size
        Dataset bytes.
    peer
        Network address of the sender.
    association
        An id that the instances of one association share.
    received_at
        UTC, ISO 8601.
    retrieved_by
        ``C-GET`` or ``C-MOVE`` where we asked for it; empty where its sender sent it by itself.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    blob: str
    size: int
    calling_ae: str
    called_ae: str
    peer: str
    association: str
    received_at: str
    retrieved_by: str = ""


@dataclass(frozen=True)
class Committed:
    """An archive reported on a storage commitment request (PS3.4 annex J).

    Parameters
    ----------
    committed
        SOP Instance UIDs that the archive took responsibility for.
    failed
        SOP Instance UID and Failure Reason (0008,1197) of the others.
    peer_ae
        Who reported.
    at
        UTC, ISO 8601.
    """

    transaction_uid: str
    committed: tuple[str, ...]
    failed: tuple[tuple[str, int], ...]
    peer_ae: str
    at: str


Entry = Received | Committed

_KINDS: dict[str, type[Entry]] = {"received": Received, "committed": Committed}


def encode(entry: Entry) -> bytes:
    """The entry's line, with its end."""
    kind = "received" if isinstance(entry, Received) else "committed"
    record = {"kind": kind, **vars(entry)}
    if not record.get("retrieved_by", True):
        del record["retrieved_by"]  # as lines were before there was such a field
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Entry:
    """The entry of a line.

    Raises
    ------
    ValueError
        When the line isn't a whole entry.
    """
    record: Any = json.loads(line)
    kind = _KINDS.get(record.pop("kind", "")) if isinstance(record, dict) else None
    if kind is None:
        raise ValueError("not a log entry")
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if not needed <= set(record) <= {field.name for field in fields(kind)}:
        raise ValueError("not a log entry")
    if kind is Committed:
        record["committed"] = tuple(record["committed"])
        record["failed"] = tuple((uid, reason) for uid, reason in record["failed"])
    return kind(**record)


class ReceiveLog:
    """Appends entries; they are on disk when `append` returns.

    Appenders that arrive while another one's fsync runs share the next one.

    Parameters
    ----------
    folder
        Made if absent. One process at a time may append; a second one gets a StorageError.
    max_file_bytes
        A new file is begun when the last one has grown past this.
    """

    def __init__(self, folder: Path, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self.folder = folder
        self._max_file_bytes = max_file_bytes
        self._state = threading.Condition()
        self._pending: list[bytes] = []
        self._batch = 0  # number of the batch that `_pending` will become
        self._writing = False
        self._outcomes: dict[int, StorageError] = {}
        self._done = -1
        self._handle = -1  # no file is open yet
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._folder_handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            self._claim()
            self._number = max(_numbers(folder), default=0)
        except OSError as error:
            raise StorageError(f"can't use the receive log in {folder}: {error.strerror}") from error

    def append(self, entry: Entry) -> None:
        """Write the entry and fsync.

        Raises
        ------
        StorageError
            When it isn't on disk; the entry may be acknowledged to nobody.
        """
        line = encode(entry)
        with self._state:
            mine = self._batch
            self._pending.append(line)
            while self._writing and self._done < mine:
                self._state.wait()
            if self._done < mine:
                self._write_batch(mine)
            failure = self._outcomes.get(mine)
        if failure is not None:
            raise StorageError(str(failure))

    def close(self) -> None:
        """Give the log back; no append may follow."""
        for handle in (self._handle, self._folder_handle):
            if handle >= 0:
                os.close(handle)
        self._handle = self._folder_handle = -1

    def _write_batch(self, mine: int) -> None:
        """Write what is pending as batch ``mine``; the lock is held, but for the time of the disk."""
        lines, self._pending, self._batch, self._writing = self._pending, [], mine + 1, True
        self._state.release()
        failure: StorageError | None = StorageError("the receive log was not written")
        try:
            self._commit(b"".join(lines))
            failure = None
        except OSError as error:
            failure = StorageError(f"can't write the receive log: {error.strerror}")
        finally:
            self._state.acquire()
            self._writing, self._done = False, mine
            if failure is not None:
                self._outcomes[mine] = failure
            self._state.notify_all()

    def _commit(self, data: bytes) -> None:
        if self._handle < 0 or os.fstat(self._handle).st_size >= self._max_file_bytes:
            self._roll()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._handle, view) :]
            os.fsync(self._handle)
        except OSError:
            # What a failed write or fsync left is unknown, so nothing may follow it in this file.
            self._roll()
            raise

    def _roll(self) -> None:
        """Begin a new file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._number += 1
        path = self.folder / _file_name(self._number)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        os.fsync(self._folder_handle)
        self._handle = handle

    def _claim(self) -> None:
        try:
            fcntl.flock(self._folder_handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._folder_handle)
            raise StorageError(f"another process writes the receive log in {self.folder}") from None


def read_log(folder: Path, position: Position = START) -> Iterator[tuple[Entry, Position]]:
    """Entries from ``position`` on, each with the position after it.

    A file's last line without an end is still being written, or torn: it is passed over. Any other line that isn't an
    entry is skipped with a warning.
    """
    number, offset = position
    later = [n for n in _numbers(folder) if n >= number]
    for current in later:
        start = offset if current == number else 0
        with (folder / _file_name(current)).open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                start += len(line)
                try:
                    entry = decode(line)
                except (ValueError, TypeError):
                    _logger.warning(
                        "receive log: skipped a line that is no entry", file=_file_name(current), end=start
                    )
                    continue
                yield entry, (current, start)


def _numbers(folder: Path) -> list[int]:
    """Numbers of the log files present, ascending; none when the folder is absent."""
    if not folder.is_dir():
        return []
    matches = (re.fullmatch(r"receive-(\d{6,})\.jsonl", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _file_name(number: int) -> str:
    return f"receive-{number:06d}.jsonl"
