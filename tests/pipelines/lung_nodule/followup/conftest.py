"""A made-up chest twice: as it is, and breathed out, moved and with other noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from imaging.geometry import Geometry
from imaging.images import Volume
from imaging.phantom import chest_phantom
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.followup.configuration import RegistrationRules
from pipelines.lung_nodule.followup.pairing import Shown
from pipelines.lung_nodule.followup.registration import NotRegistered, Registration, register
from pipelines.lung_nodule.lungs import find_lungs

SHIFT = np.array((6.0, -9.0, 35.0))  # the table and the patient lie elsewhere
COARSE = RegistrationRules(grid_mm=4.0)


def breath(points: np.ndarray) -> np.ndarray:
    """From places then, less the shift, to places now: the bases move most, and the right lung's middle by 6 mm."""
    points = np.asarray(points, dtype=float)
    moved = points.copy()
    moved[..., 2] += 14 / (1 + np.exp(points[..., 2] / 35))
    bump = np.exp(-((points - (-80, 0, 0)) ** 2).sum(-1) / (2 * 40**2))
    moved[..., 1] += 6 * bump
    return moved


@pytest.fixture(scope="session")
def breathed_in() -> Callable[[np.ndarray], np.ndarray]:
    """From places in the earlier CT to those in the present one, (n, 3) LPS mm."""
    return lambda places: breath(places - SHIFT)


@dataclass(frozen=True, eq=False)
class Twice:
    """Both CTs, their registration, and places in the lungs now and then (n, 3)."""

    now: Shown
    then: Shown
    registration: Registration | NotRegistered
    places_now: np.ndarray
    places_then: np.ndarray


@pytest.fixture(scope="session")
def earlier() -> Callable[[np.ndarray, Geometry], tuple[np.ndarray, Geometry]]:
    """How a CT looked before: its voxels and their place."""

    def look(hu: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, Geometry]:
        index = np.stack(np.indices(hu.shape), axis=-1)
        source = geometry.to_index(breath(geometry.to_mm(index)))
        before = ndimage.map_coordinates(hu, np.moveaxis(source, -1, 0), order=1, mode="nearest")
        before = before + np.random.default_rng(5).normal(0, 20, hu.shape)
        x, y, z = (float(v) for v in np.asarray(geometry.origin) + SHIFT)
        return before.astype(np.int16), Geometry(geometry.shape, geometry.spacing, (x, y, z), geometry.direction)

    return look


@pytest.fixture(scope="session")
def twice(as_volume: Callable[..., Volume], earlier) -> Twice:
    made = chest_phantom((2.5, 2.0, 2.0))
    volumes = (as_volume(made.hu, made.geometry), as_volume(*earlier(made.hu, made.geometry)))
    now, then = (Shown(v, find_lungs(v, LungRules())) for v in volumes)
    registration = register(now.volume, now.lungs, then.volume, then.lungs, COARSE)
    lung = np.argwhere(then.lungs.labels > 0)
    picked = np.random.default_rng(0).choice(lung, 500, replace=False)
    places = then.lungs.geometry.to_mm(picked)
    return Twice(now, then, registration, breath(places - SHIFT), places)
