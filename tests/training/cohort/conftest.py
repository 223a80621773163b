"""Small cohorts of synthetic volumes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from training.cohort import Cohort, CohortDescription, Split, build_cohort

TODAY = date(2026, 11, 24)
Write = Callable[..., Path]


@pytest.fixture
def today() -> date:
    return TODAY


def anatomy(number: int, shape: tuple[int, int, int] = (20, 24, 18)) -> np.ndarray[Any, Any]:
    """A smooth random volume, another for each number."""
    noise = np.random.default_rng(number).normal(size=shape)
    return (ndimage.gaussian_filter(noise, 1.5) * 1000).astype(np.float32)


@pytest.fixture
def volume() -> Callable[..., np.ndarray[Any, Any]]:
    return anatomy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for part in ("images", "labels"):
        (folder / "toy" / part).mkdir(parents=True)
    return folder


@pytest.fixture
def write(data: Path) -> Write:
    """Write a case: its image and label, as `toy/{images,labels}/case_NUMBER.nii.gz`."""

    def one(
        number: int,
        image: np.ndarray[Any, Any] | None = None,
        label: np.ndarray[Any, Any] | None = None,
        spacing: tuple[float, float, float] = (1, 1, 1),
        label_origin: tuple[float, float, float] = (0, 0, 0),
    ) -> Path:
        pixels = anatomy(number) if image is None else image
        classes = (pixels > pixels.mean()).astype(np.uint8) if label is None else label
        for part, array, origin in (("images", pixels, (0, 0, 0)), ("labels", classes, label_origin)):
            out = sitk.GetImageFromArray(array)
            out.SetSpacing(spacing)
            out.SetOrigin(origin)
            sitk.WriteImage(out, str(data / "toy" / part / f"case_{number:03d}.nii.gz"))
        return data / "toy" / "images" / f"case_{number:03d}.nii.gz"

    return one


SHARES = {"train": 0.4, "validation": 0.2, "gate": 0.2, "test": 0.2}


def described(**changes: Any) -> CohortDescription:
    values: dict[str, Any] = {
        "name": "toy",
        "title": "Toy volumes",
        "sources": [
            {
                "name": "toys",
                "folder": "toy",
                "layout": "images-labels",
                "origin": "made by the test",
                "licence": "CC0",
                "subject": {"pattern": "case_(?P<subject>[0-9]+)", "consecutive": 2},
            }
        ],
        "classes": {0: "background", 1: "bright"},
        "splits": {"seed": "toy/1", "shares": SHARES, "folds": 3},
        "approval": {
            "by": "Dr Li",
            "purpose": "a test",
            "uses": ["train", "evaluate"],
            "given": "2026-11-01",
            "until": "2026-12-31",
        },
    }
    return CohortDescription.model_validate(values | changes)


@pytest.fixture
def describe() -> Callable[..., CohortDescription]:
    return described


@pytest.fixture
def build(data: Path) -> Callable[..., Cohort]:
    """Build the cohort of what was written."""

    def one(pinned: dict[str, Split] | None = None, on: date = TODAY, **changes: Any) -> Cohort:
        return build_cohort(described(**changes), data, pinned=pinned, on=on)

    return one


@pytest.fixture
def cases(write: Write) -> None:
    """Twenty cases of ten subjects: somebody in every split."""
    for number in range(1, 21):
        write(number)
