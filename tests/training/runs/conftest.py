"""A toy cohort and the training file for it; the shipped hippocampus network on a small patch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from models.spec import ModelSpec, load_spec
from models.store import SHIPPED
from training.cohort import Cohort, CohortDescription, build_cohort
from training.runs.configuration import TrainingConfiguration
from training.runs.folder import RunFolder
from training.runs.start import begin

SHARES = {"train": 0.5, "validation": 0.2, "gate": 0.15, "test": 0.15}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty blobs in noise; what is brightest is anterior, what is bright posterior."""
    for number in range(1, 21):
        noise = np.random.default_rng(number).normal(size=(18, 16, 12))
        pixels = (ndimage.gaussian_filter(noise, 2) * 1000).astype(np.float32)
        labels = np.digitize(pixels, np.percentile(pixels, [70, 85])).astype(np.uint8)
        labels = np.choose(labels, [0, 2, 1]).astype(np.uint8)
        for part, array in (("images", pixels), ("labels", labels)):
            (tmp_path / "data" / "toy" / part).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "data" / "toy" / part / f"case_{number}.nii.gz"
            sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return tmp_path / "data"


@pytest.fixture
def build(data: Path) -> Callable[..., Cohort]:
    def one(**approval: Any) -> Cohort:
        allowed = {
            "by": "Dr Li",
            "purpose": "a test",
            "uses": ["train"],
            "given": "2020-01-01",
            "until": "9999-12-31",
        }
        source = {"name": "toys", "folder": "toy", "layout": "images-labels", "origin": "a test", "licence": "CC0"}
        values = {
            "name": "toy",
            "title": "Toy volumes",
            "sources": [{**source, "subject": {"pattern": "case_(?P<subject>[0-9]+)"}}],
            "classes": {0: "background", 1: "anterior", 2: "posterior"},
            "splits": {"seed": "toy/2", "shares": SHARES, "folds": 3},
            "approval": {**allowed, **approval},
        }
        return build_cohort(CohortDescription.model_validate(values), data)

    return one


@pytest.fixture
def cohort(build: Callable[..., Cohort]) -> Cohort:
    return build()


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    shipped = load_spec(SHIPPED / "hippocampus_segmenter")
    return shipped.model_copy(update={"input": shipped.input.model_copy(update={"patch": (16, 16, 8)})})


def configured(**changes: Any) -> TrainingConfiguration:
    augmentation = {
        "mirror": ["RL"],
        "spatial_share": 0.5,
        "rotation_degrees": 20,
        "intensity_share": 0.5,
        "noise": 0.1,
    }
    values: dict[str, Any] = {
        "cohort": "toy",
        "epochs": 3,
        "batch_size": 2,
        "samples_per_epoch": 6,
        "optimiser": {"learning_rate": 0.003, "warm_up": 0.1},
        "average": 0.9,
        "seed": 5,
        "task": {"kind": "segmentation", "augmentation": augmentation},
    }
    return TrainingConfiguration.model_validate(values | changes)


@pytest.fixture
def configure() -> Callable[..., TrainingConfiguration]:
    return configured


@pytest.fixture
def start(
    tmp_path: Path, cohort: Cohort, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunFolder]:
    """Begin a run, on one thread."""
    monkeypatch.setattr("training.runs.start.cores", lambda: 1)

    def one(of: Cohort | None = None, fold: int | None = None, **changes: Any) -> RunFolder:
        return begin(tmp_path / "home" / "runs", spec, configured(**changes), of or cohort, fold)

    return one
