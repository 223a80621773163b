"""Which roles of an installation live: each holds a lock in the home's `run` folder while its process lives."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import TextIO

from imaging.errors import UsageError

RECEIVER = "receiver"
"""The role of the node's storage SCP, a process of its own."""

_PR_SET_PDEATHSIG = 1
_MOST_SECONDS = 60.0
_GLANCE_SECONDS = 0.2  # whoever looks whether a role lives holds its lock for a moment


def die_with_parent() -> None:
    """Linux: a process must not outlive the one that started it, or it would hold the port against the next one."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Restarts:
    """When a process that ended is started again: soon, and ever later, at most after a minute, if it ends at once.

    Parameters
    ----------
    first_seconds
        The wait after an end that comes after at least a minute of life; each early end doubles it.
    """

    first_seconds: float
    _doublings: int = 0
    _started: float = field(default_factory=monotonic)

    def started(self) -> None:
        """It was started now."""
        self._started = monotonic()

    def delay(self) -> float:
        """It ended now: seconds until it is to be started again."""
        early = monotonic() - self._started < _MOST_SECONDS
        self._doublings = min(self._doublings + 1, 16) if early else 0
        return min(_MOST_SECONDS, self.first_seconds * (1 << self._doublings))


def _lock_file(home: Path, role: str) -> Path:
    return home / "run" / f"{role}.lock"


@contextmanager
def hold_role(home: Path, role: str, version: str) -> Iterator[None]:
    """Be the one process of this role in this home; the kernel lets go of the lock however the process ends.

    Raises
    ------
    UsageError
        Another process holds the role.
    """
    path = _lock_file(home, role)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        deadline = monotonic() + _GLANCE_SECONDS
        while not _locked(file, fcntl.LOCK_EX):
            # under load a glance may last: only what can't be shared with is held by another process of the role
            if monotonic() > deadline and not _locked(file, fcntl.LOCK_SH):
                raise UsageError(f"{role} already runs in {home}; stop it first or use another --home")
            sleep(0.01)
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "version": version}))
        file.flush()
        yield


def role_alive(home: Path, role: str) -> bool:
    """Whether a process holds the role now."""
    try:
        with _lock_file(home, role).open("r", encoding="utf-8") as file:
            return not _locked(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _locked(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def live_versions(home: Path, prefix: str) -> set[str]:
    """Versions of the live roles whose name starts with ``prefix`` (workers: their slot names)."""
    versions = set()
    for path in (home / "run").glob(f"{prefix}*.lock"):
        if role_alive(home, path.stem):
            try:
                versions.add(str(json.loads(path.read_text(encoding="utf-8"))["version"]))
            except (json.JSONDecodeError, KeyError):
                continue  # it has taken the lock and not yet written its version
    return versions
