"""The way to DBOS's journal: what node and API use to enqueue, and what every process agrees on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions
from sqlalchemy.engine import make_url

QUEUE = "readings"
WORKFLOW = "read_study"
SERIALIZER = DBOSPortableJSONSerializer()

UNFINISHED = frozenset({"ENQUEUED", "PENDING", "DELAYED"})


def prepare_journal(url: str) -> None:
    """Set a SQLite journal to write-ahead logging before DBOS opens it (it keeps that mode)."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(parsed.database, timeout=30) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()


def workflow_id(key: str, attempt: int) -> str:
    """The journal's name of one attempt at a reading."""
    return f"{key}:{attempt}"


class Journal:
    """Enqueues readings and tells how their workflows stand. Enqueuing the same attempt twice is once."""

    def __init__(self, url: str) -> None:
        prepare_journal(url)
        self._client = DBOSClient(system_database_url=url, serializer=SERIALIZER)
        self._client._sys_db.run_migrations()

    def enqueue(self, key: str, attempt: int, version: str) -> None:
        """Queue one attempt for workers of this application version."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": workflow_id(key, attempt),
            "app_version": version,
        }
        self._client.enqueue(options, key)

    def state(self, key: str, attempt: int) -> tuple[str, str] | None:
        """(status, application version) of an attempt's workflow; None when the journal doesn't know it."""
        found = self._client.list_workflows(
            workflow_ids=[workflow_id(key, attempt)], load_input=False, load_output=False
        )
        return (found[0].status, found[0].app_version or "") if found else None

    def close(self) -> None:
        self._client.destroy()
