"""Sizes of solids that are known, on scans of several spacings."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Geometry, Vector
from imaging.images import Mask, SliceSource, Volume
from imaging.study import SeriesInfo
from pipelines.lung_nodule.configuration import SizeRules
from pipelines.lung_nodule.guidelines.facts import Density
from pipelines.lung_nodule.segment import Segmented
from pipelines.lung_nodule.sizes import NoduleSizes, measure_nodule

UP = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
HEAD_FIRST = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
LUNG_HU = -850.0
FINE = (0.7, 0.7, 0.7)


def soft(places: np.ndarray, semi_axes: Vector, off: Vector = (0.0, 0.0, 0.0), blur: float = 0.6) -> np.ndarray:
    """An ellipsoid with semi-axes along x, y, z; one half on its surface."""
    away = np.linalg.norm((places - off) / np.asarray(semi_axes), axis=-1)
    return np.asarray(1 / (1 + np.exp((away - 1) * min(semi_axes) / blur)))


def centred(shape: tuple[int, int, int], spacing: Vector, axes: tuple = UP) -> Geometry:
    steps = np.asarray(axes).T * spacing
    x, y, z = (float(v) for v in -steps @ ((np.asarray(shape) - 1) / 2))
    return Geometry(shape, spacing, (x, y, z), axes)


def places_of(geometry: Geometry) -> np.ndarray:
    return np.asarray(geometry.to_mm(np.moveaxis(np.indices(geometry.shape), 0, -1)))


def measured(
    semi_axes: Vector,
    spacing: Vector = (1.0, 0.7, 0.7),
    *,
    hu: float = 30.0,
    core: tuple[Vector, float] | None = None,
    axes: tuple = UP,
    noise: float = 0.0,
    rules: SizeRules | None = None,
) -> NoduleSizes:
    """An ellipsoid of a density, with a core of another one where asked for, in lung."""
    geometry = centred(tuple(int(60 / s) for s in spacing), spacing, axes)
    there = places_of(geometry)
    array = LUNG_HU + (hu - LUNG_HU) * soft(there, semi_axes, blur=0.4)
    if core is not None:
        array += (core[1] - hu) * soft(there, core[0], blur=0.4)
    array += np.random.default_rng(0).normal(0, noise, array.shape) if noise else 0
    slices = tuple(SliceSource(f"1.2.{k}") for k in range(geometry.shape[0]))
    volume = Volume(np.rint(array).astype(np.int16), geometry, slices, SeriesInfo("1.2", "CT", ()))
    place = centred((64, 64, 64), FINE)
    probability = soft(places_of(place), semi_axes).astype(np.float32)
    mask = Mask.from_full(soft(there, semi_axes) >= 0.5, geometry)
    return measure_nodule(volume, Segmented(mask, probability, 0.5, place, cut=False), rules or SizeRules())


@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (2.5, 0.8, 0.8), (0.6, 0.6, 0.9)])
@pytest.mark.parametrize("axes", [UP, HEAD_FIRST])
def test_an_ellipsoid(spacing: Vector, axes: tuple) -> None:
    found = measured((7.0, 5.0, 4.5), spacing, axes=axes)
    # the scan shows it on slices, and none of an even number goes through the middle
    off = 0.0 if int(60 / spacing[0]) % 2 else spacing[0] / 2
    shown = np.sqrt(1 - (off / 4.5) ** 2)
    assert found.long_axis.value == pytest.approx(14 * shown, abs=0.25)
    assert found.short_axis.value == pytest.approx(10 * shown, abs=0.25)
    assert found.mean_diameter.value == pytest.approx(12 * shown, abs=0.2)
    assert found.maximum.value == pytest.approx(14, abs=0.3)
    assert found.volume.value == pytest.approx(4 / 3 * np.pi * 7 * 5 * 4.5, rel=0.03)
    assert found.plane == "axial"
    assert found.any_plane.value == found.mean_diameter.value
    assert found.density is Density.SOLID
    assert found.solid is None


def test_its_axes_lie_where_they_are() -> None:
    found = measured((7.0, 5.0, 4.5))
    ends = np.asarray(found.long_line)
    assert np.allclose(sorted(ends[:, 0]), [-7, 7], atol=0.3)
    assert np.allclose(ends[:, 1:], 0, atol=0.8)
    ends = np.asarray(found.short_line)
    assert np.allclose(sorted(ends[:, 1]), [-5, 5], atol=0.3)


@pytest.mark.parametrize("axes", [UP, HEAD_FIRST])
def test_the_slice_is_one_of_the_scan(axes: tuple) -> None:
    found = measured((5.0, 4.0, 4.0), (2.0, 0.7, 0.7), axes=axes)
    geometry = centred((30, 85, 85), (2.0, 0.7, 0.7), axes)
    z = geometry.to_mm((found.slice_index, 0, 0))[2]
    assert found.long_line[0][2] == pytest.approx(z, abs=0.01)
    assert abs(z) <= 1.0


def test_a_tall_one_is_larger_in_another_plane() -> None:
    found = measured((4.0, 4.0, 9.0))
    assert found.mean_diameter.value == pytest.approx(8, abs=0.3)
    assert found.plane in {"coronal", "sagittal"}
    assert found.any_plane.value == pytest.approx(13, abs=0.3)
    assert found.maximum.value == pytest.approx(18, abs=0.4)


def test_density_and_solid_part() -> None:
    assert measured((6.0, 6.0, 6.0), hu=-600).density is Density.NON_SOLID
    found = measured((8.0, 8.0, 8.0), hu=-600, core=((3.0, 3.0, 3.0), 30.0))
    assert found.density is Density.PART_SOLID
    assert found.solid is not None
    assert found.solid_volume is not None
    assert found.solid.value == pytest.approx(6, abs=0.8)
    assert found.solid.value < found.mean_diameter.value
    assert measured((2.5, 2.5, 2.5), hu=30).density is Density.SOLID


def test_noise_alone_makes_no_solid_part() -> None:
    assert measured((7.0, 7.0, 7.0), hu=-600, noise=60).density is Density.NON_SOLID


def test_the_density_is_that_of_the_inner_part() -> None:
    found = measured((6.0, 6.0, 6.0), hu=30)
    assert found.attenuation.value == pytest.approx(30, abs=25)
    assert found.attenuation.error > 0


def test_thicker_slices_have_larger_errors() -> None:
    thin, thick = measured((5.0, 5.0, 5.0), (1.0, 0.7, 0.7)), measured((5.0, 5.0, 5.0), (3.0, 0.7, 0.7))
    assert thin.volume.error < thick.volume.error
    assert thin.mean_diameter.error < thick.mean_diameter.error


def test_what_limits_the_numbers_is_said() -> None:
    assert measured((5.0, 5.0, 5.0)).notes == ()
    assert "two slices" in measured((2.5, 2.5, 2.5), (3.0, 0.7, 0.7)).notes[0]
