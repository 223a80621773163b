"""A home with a database, and hands to fill its tables."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine, Table

from service.configuration import Configuration, Home
from service.database import tables
from service.database.engine import connect, upgrade
from service.settings import Settings

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@dataclass
class Hands:
    """Puts rows into the tables, with defaults for what a test doesn't care about."""

    engine: Engine
    noon: datetime = NOON

    def put(self, table: Table, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(table.insert().values(**values))

    def study(self, uid: str = "1.2.3", minutes: int = 0, **values: Any) -> str:
        at = NOON + timedelta(minutes=minutes)
        row = {"study_instance_uid": uid, "first_received_at": at, "last_received_at": at, "source_ae": "CT1"}
        self.put(tables.studies, **row | {"waiting_for": "", "complete_at": at} | values)
        return uid

    def instance(self, study: str = "1.2.3", name: str = "1", **values: Any) -> None:
        row = {
            "digest": key_of(study + name + str(values.get("conflict"))),
            "study_instance_uid": study,
            "sop_instance_uid": f"{study}.9.{name}",
            "series_instance_uid": f"{study}.9",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
            "blob": name,
            "size": 500_000,
            "received_at": NOON,
            "calling_ae": "CT1",
            "peer": "127.0.0.1",
            "is_image": True,
            "ours": False,
        }
        self.put(tables.instances, **row | values)

    def reading(self, name: str = "a", study: str = "1.2.3", minutes: int = 1, **values: Any) -> str:
        row = {
            "key": key_of(name),
            "study_instance_uid": study,
            "pipeline": "lung_nodule",
            "pipeline_version": "1.0.0",
            "model_name": "lung-nodule-baseline",
            "model_version": "1.0.0",
            "images": key_of("images"),
            "state": "read",
            "findings": 2,
            "requested_at": NOON + timedelta(minutes=minutes),
        }
        self.put(tables.readings, **row | values)
        return key_of(name)

    def delivery(self, name: str = "a", study: str = "1.2.3", destination: str = "pacs", **values: Any) -> None:
        row = {
            "key": key_of(name),
            "study_instance_uid": study,
            "pipeline": "lung_nodule",
            "destination": destination,
            "profile": "comprehensive-utf8-en",
            "state": "pending",
            "created_at": NOON,
            "next_attempt_at": NOON,
            "comment": "",
        }
        self.put(tables.deliveries, **row | values)

    def stop(self, pipeline: str = "lung_nodule") -> None:
        self.put(tables.stops, pipeline=pipeline, stopped_at=NOON, stopped_by="Dr Li", note="false marks")

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(table.select())]


@pytest.fixture
def configured(tmp_path: Path) -> Configuration:
    """Two destinations: `pacs` gets lung_nodule, `research` has it on hold."""
    on = {"mode": "deliver", "responsible": "Dr Li", "since": date(2026, 11, 1)}
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "10.1.2.3", "port": 104, "pipelines": {"lung_nodule": on}}
    research = {
        "name": "research",
        "ae_title": "RES",
        "host": "10.1.2.4",
        "port": 104,
        "pipelines": {"lung_nodule": {}},
    }
    settings = Settings.model_validate({"destinations": [pacs, research]})
    home = tmp_path / "home"
    home.mkdir()
    return Configuration(settings, MappingProxyType({}), Home(home), tmp_path)


@pytest.fixture
def hands(configured: Configuration) -> Iterator[Hands]:
    engine = connect(f"sqlite:///{configured.home.root / 'raysight.db'}")
    upgrade(engine)
    yield Hands(engine)
    engine.dispose()


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Logging is the process's: put it back for the other tests."""
    root = logging.getLogger()
    handlers, level, show = list(root.handlers), root.level, warnings.showwarning
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    warnings.showwarning = show
    structlog.reset_defaults()
