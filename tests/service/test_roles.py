"""One process a role, and it is seen whether it lives."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from imaging.errors import UsageError
from service.roles import Restarts, hold_role, live_versions, role_alive


def test_a_role_is_held_once_and_let_go(tmp_path: Path) -> None:
    assert not role_alive(tmp_path, "node")
    with hold_role(tmp_path, "node", "1"):
        assert role_alive(tmp_path, "node")
        with pytest.raises(UsageError, match="already runs"), hold_role(tmp_path, "node", "1"):
            pass
    assert not role_alive(tmp_path, "node")


def test_versions_of_living_workers_only(tmp_path: Path) -> None:
    with hold_role(tmp_path, "worker-0", "2"), hold_role(tmp_path, "node", "3"):
        with hold_role(tmp_path, "worker-1", "1"):
            assert live_versions(tmp_path, "worker") == {"1", "2"}
        assert live_versions(tmp_path, "worker") == {"2"}


def test_what_ends_at_once_is_started_ever_later_for_ever() -> None:
    restarts = Restarts(0.5)
    delays = []
    for _ in range(2000):
        restarts.started()
        delays.append(restarts.delay())
    assert delays[:4] == [1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == 60.0


def test_after_a_minute_of_life_it_is_started_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("service.roles.monotonic", lambda: now)
    restarts = Restarts(0.5)
    assert restarts.delay() == 1.0
    restarts.started()
    now += 60
    assert restarts.delay() == 0.5


def test_a_glance_at_a_role_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    with hold_role(tmp_path, "node", "1"):
        pass
    with (tmp_path / "run" / "node.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.05, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with hold_role(tmp_path, "node", "1"):
            assert role_alive(tmp_path, "node")


def test_a_glance_that_lasts_is_waited_for(tmp_path: Path) -> None:
    """Who looked lost the processor while it held the lock."""
    with hold_role(tmp_path, "node", "1"):
        pass
    with (tmp_path / "run" / "node.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.6, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with hold_role(tmp_path, "node", "2"):
            assert live_versions(tmp_path, "node") == {"2"}
