"""`raysight serve`: node, worker and API as one process group; one that dies is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import structlog

from service.configuration import Home
from service.metrics import clean_metrics
from service.roles import Restarts, die_with_parent, hold_role
from service.version import raysight_version

log = structlog.get_logger(__name__)

ROLES = ("node", "worker", "api")
PATIENCE_SECONDS = 15.0
FIRST_RESTART_SECONDS = 0.5


@dataclass
class _Role:
    name: str
    process: subprocess.Popen[bytes]
    restarts: Restarts = field(default_factory=lambda: Restarts(FIRST_RESTART_SECONDS))
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Keeps the roles running. A role that dies at once again and again is started ever later, at most a minute."""

    arguments: tuple[str, ...]
    roles: dict[str, _Role] = field(default_factory=dict)

    def start(self) -> None:
        """Start every role."""
        for name in ROLES:
            self.roles[name] = _Role(name, self._spawn(name))

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "service.cli", *self.arguments, name]
        process = subprocess.Popen(command, preexec_fn=die_with_parent)  # noqa: S603, PLW1509
        log.info("role started", role=name, pid=process.pid)
        return process

    def watch(self) -> None:
        """Start again what ended. Called every moment."""
        for role in self.roles.values():
            code = role.process.poll()
            if code is None:
                continue
            if role.restart_at is None:
                delay = role.restarts.delay()
                role.restart_at = monotonic() + delay
                log.error("role ended", role=role.name, exit_code=code, again_in_seconds=delay)
            elif monotonic() >= role.restart_at:
                role.process, role.restart_at = self._spawn(role.name), None
                role.restarts.started()

    def stop(self) -> None:
        """Ask every role to end, and end what doesn't."""
        for role in self.roles.values():
            if role.process.poll() is None:
                role.process.terminate()
        deadline = monotonic() + PATIENCE_SECONDS
        for role in self.roles.values():
            try:
                role.process.wait(max(0.1, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("role didn't end in time", role=role.name)
                role.process.kill()
                role.process.wait()


def serve(home: Home, folder: Path) -> None:
    """Run all roles until SIGTERM or SIGINT.

    Raises
    ------
    UsageError
        Another `raysight serve` runs on this home.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    os.environ["RAYSIGHT_HOME"] = str(home.root)
    supervisor = Supervisor(("--config", str(folder)))
    with hold_role(home.root, "serve", raysight_version()):
        clean_metrics(home)
        supervisor.start()
        try:
            while not stopped.wait(0.2):
                supervisor.watch()
        finally:
            supervisor.stop()
