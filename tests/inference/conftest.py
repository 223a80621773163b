"""A store into which the tests' networks are published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from models.provenance import Provenance
from models.publish import point, publish
from models.spec import ModelSpec
from models.store import ModelStore, ReleasedModel

Release = Callable[..., ReleasedModel]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore((tmp_path / "models",))


@pytest.fixture
def release(store: ModelStore) -> Release:
    """``release(content, spec, version)``: published, and the champion from then on."""

    def make(content: bytes, spec: ModelSpec, version: str = "1") -> ReleasedModel:
        values = {
            "model": spec.name,
            "version": version,
            "sha256": hashlib.sha256(content).hexdigest(),
            "origin": "released",
            "created": "2026-01-02T03:04:05Z",
            "spec": spec.model_dump(),
        }
        released = publish(store, content, Provenance.model_validate(values))
        point(store, spec.name, "champion", version)
        return released

    return make
