"""Calcium and fat: said at the ends, unknown between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imaging.geometry import Geometry
from imaging.images import Mask, SliceSource, Volume
from imaging.study import SeriesInfo
from pipelines.lung_nodule.benign import calcium_and_fat
from pipelines.lung_nodule.configuration import BenignRules

GEOMETRY = Geometry((12, 24, 24), (1.0, 0.7, 0.7), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


def ball(radius: float, inside: Any, part: float = 0.0, of_part: float = 0.0) -> tuple[bool | None, bool | None]:
    """A ball of ``inside`` HU in lung; within ``part`` of its radius ``of_part`` HU."""
    at = np.stack(np.meshgrid(*map(np.arange, GEOMETRY.shape), indexing="ij"), -1)
    away = np.linalg.norm(GEOMETRY.to_mm(at) - GEOMETRY.to_mm((5.5, 11.5, 11.5)), axis=-1)
    hu = np.where(away <= radius, inside, -850.0)
    hu = np.where(away <= part * radius, of_part, hu)
    hu += np.random.default_rng(0).normal(0, 20, hu.shape)
    slices = tuple(SliceSource(f"1.{k}") for k in range(12))
    volume = Volume(np.rint(hu).astype(np.int16), GEOMETRY, slices, SeriesInfo("1.2", "CT", ()))
    return calcium_and_fat(volume, Mask.from_full(away <= radius, GEOMETRY), BenignRules())


@pytest.mark.parametrize(
    ("made", "calcium", "fat"),
    [
        ((5.0, 40.0), False, False),
        ((5.0, -600.0), False, False),
        ((5.0, 700.0), True, False),
        ((5.0, 40.0, 0.5, 500.0), None, False),  # a centre of calcium needs a person's eye
        ((5.0, 250.0), None, False),
        ((5.0, -75.0), False, True),
        ((5.0, 40.0, 0.5, -80.0), False, None),
        ((1.5, 40.0), False, None),  # too few voxels inside
        ((1.5, 700.0), None, None),
    ],
)
def test_only_the_ends_are_sure(made: tuple[float, ...], calcium: bool | None, fat: bool | None) -> None:
    assert ball(*made) == (calcium, fat)
