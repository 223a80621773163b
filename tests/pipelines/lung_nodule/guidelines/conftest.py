"""A nodule and an examination of which everything is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from pipelines.lung_nodule.guidelines.facts import Change, Comparison, Density, Examination, NoduleFacts, Risk, Shape

_NODULE = NoduleFacts(
    density=Density.SOLID,
    mean_any_plane_mm=7,
    mean_largest_image_mm=7,
    maximum_mm=7,
    longest_axial_mm=7,
    benign_calcification=False,
    fat=False,
    juxtapleural=Shape.OTHER,
    spiculated=False,
    suspicious=False,
    upper_lobe=False,
    comparison=Comparison.same(Change.BASELINE),
)
_EXAMINATION = Examination(
    screening=True,
    age=65,
    sex="M",
    known_cancer=False,
    immunosuppression=False,
    risk=Risk.LOW,
    thickness_mm=1.0,
    whole_lung=True,
    nodules=1,
    subsolid_nodules=0,
    family_history=False,
    emphysema=False,
)
_OF_NODULE = {f.name for f in fields(NoduleFacts)}


def make(**changes: Any) -> tuple[NoduleFacts, Examination]:
    """The nodule and its examination with these facts changed."""
    of_nodule = {k: v for k, v in changes.items() if k in _OF_NODULE}
    of_examination = {k: v for k, v in changes.items() if k not in _OF_NODULE}
    return replace(_NODULE, **of_nodule), replace(_EXAMINATION, **of_examination)


@pytest.fixture(scope="session")
def case() -> Callable[..., tuple[NoduleFacts, Examination]]:
    return make
