"""The node's own loop: what it can't do now it does later."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from imaging.errors import StorageError
from service.node import process
from service.node.process import Node


@pytest.mark.parametrize("trouble", [OperationalError("SELECT", None, Exception("gone")), StorageError("disk full")])
def test_trouble_of_database_or_disk_is_waited_out(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TROUBLE_SECONDS", 0.01)
    stopped = threading.Event()
    turns: list[str] = []

    def catch_up() -> int:
        turns.append("index")
        if len(turns) < 3:
            raise trouble
        stopped.set()
        return 0

    idle: Any = SimpleNamespace(
        catch_up=catch_up, tick=lambda pool: 0, recover=lambda versions: None, notify=lambda: None
    )
    node = Node(idle, idle, idle, idle, release=lambda: 0, live_versions=set)
    thread = threading.Thread(target=node.run, args=(stopped,))
    thread.start()
    thread.join(10)
    assert turns == ["index"] * 3
