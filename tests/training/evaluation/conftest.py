"""Bright balls on dark ground, a network that says label 1 where it is bright and 2 elsewhere, and its version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from models.provenance import Provenance
from models.publish import publish
from models.spec import ModelSpec
from models.store import ReleasedModel
from tests.inference.toys import spread, toy_spec
from training.places import Places

PATCH = (12, 14, 16)
SPEC = toy_spec(PATCH)
Write = Callable[..., Path]


def ball(number: int, radius: float = 4.0, shape: tuple[int, int, int] = PATCH) -> np.ndarray[Any, Any]:
    """True inside, at a place that depends on the number."""
    centre = np.random.default_rng(number).uniform(5, np.array(shape) - 5)
    at = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    return np.asarray(np.linalg.norm(at - centre, axis=-1) <= radius)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(number, truth=…)``: a case in `cases/images` and `cases/labels`; returns that folder."""

    def one(number: int, truth: np.ndarray[Any, Any] | None = None, folder: str = "cases", **shape: Any) -> Path:
        bright = ball(number, **shape)
        image = np.where(bright, 500, 100) + np.random.default_rng(number).normal(0, 1, bright.shape)
        labels = np.where(bright, 1, 2) if truth is None else truth
        for part, array in (("images", image.astype(np.float32)), ("labels", labels.astype(np.uint8))):
            (tmp_path / folder / part).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / folder / part / f"case_{number}.nii.gz"))
        return tmp_path / folder

    return one


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home", tmp_path / "mlruns")


@pytest.fixture
def candidate(places: Places) -> Callable[..., ReleasedModel]:
    """Publish a candidate; the network is right about every ball unless another file is given."""

    def one(
        content: bytes | None = None, spec: ModelSpec = SPEC, lineage: dict[str, Any] | None = None
    ) -> ReleasedModel:
        content = content or spread(PATCH, (0, 20, -20))
        values = {
            "model": spec.name,
            "version": places.next_version(spec.name),
            "sha256": hashlib.sha256(content).hexdigest(),
            "origin": "released",
            "created": "2026-11-24T03:04:05Z",
            "spec": spec.model_dump(),
            "lineage": lineage or {},
        }
        return publish(places.candidate_store, content, Provenance.model_validate(values))

    return one
