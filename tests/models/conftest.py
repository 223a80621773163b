"""A description to start from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from models.provenance import Provenance
from models.spec import ModelSpec

HIPPOCAMPUS = {"value": "5366008", "scheme": "SCT", "meaning": "Hippocampus"}
STRUCTURE = {"value": "91723000", "scheme": "SCT", "meaning": "Anatomical Structure"}
DESCRIBED: dict[str, Any] = {
    "name": "toy",
    "title": "Toy",
    "task": "segmentation",
    "input": {
        "kind": "volume",
        "modality": "MR",
        "body_part": HIPPOCAMPUS,
        "orientation": "SPL",
        "spacing_mm": [1.0, 1.0, 1.0],
        "intensity": [{"method": "z-score"}],
        "patch": [8, 8, 8],
    },
    "output": {
        "activation": "softmax",
        "labels": [
            {"value": 1, "name": "front", "code": HIPPOCAMPUS, "category": STRUCTURE},
            {"value": 2, "name": "back", "code": HIPPOCAMPUS, "category": STRUCTURE},
        ],
    },
    "licence": "CC0-1.0",
    "training_data": [{"name": "none", "licence": "CC0", "images": 0, "source": "made up"}],
    "intended_use": "Tests.",
    "limits": {},
}


@pytest.fixture
def described() -> dict[str, Any]:
    """A valid `spec.yaml` of a segmentation, as a mapping to change."""
    copy: dict[str, Any] = json.loads(json.dumps(DESCRIBED))
    return copy


@pytest.fixture(scope="session")
def plain() -> ModelSpec:
    """The same, read."""
    return ModelSpec.model_validate(DESCRIBED)


Release = Callable[..., Provenance]


@pytest.fixture
def provenance(plain: ModelSpec) -> Release:
    """``provenance(version, content)``: what goes with a version of the toy model."""

    def make(version: str, content: bytes, **changes: Any) -> Provenance:
        values = {
            "model": "toy",
            "version": version,
            "sha256": hashlib.sha256(content).hexdigest(),
            "origin": "released",
            "created": "2026-01-02T03:04:05Z",
            "spec": plain.model_dump(),
        }
        return Provenance.model_validate(values | changes)

    return make
