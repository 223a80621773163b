"""Measures on solids of known size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from imaging import codes
from imaging.geometry import Geometry
from imaging.images import Mask, SliceSource, Volume
from imaging.study import SeriesInfo
from pipelines.lung_nodule.measure import axes, key_slice, longest_chord, measurements

SPACINGS = [(1.0, 0.7, 0.7), (2.5, 0.82, 0.82), (1.25, 0.6, 0.9)]
AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def turned(degrees: float) -> tuple:
    """Axes of a stack turned about the patient's x, so that slices are oblique."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return ((0.0, -s, c), (0.0, c, s), (1.0, 0.0, 0.0))


def ellipsoid(spacing, semi_axes, *, angle=0.0, direction=AXIAL, shift=(0.0, 0.0, 0.0)) -> Mask:
    """Semi-axes along slice, row, column, mm; turned in the slice's plane by ``angle`` degrees."""
    reach = max(semi_axes) + 3
    shape = tuple(int(np.ceil(2 * reach / s)) + 1 for s in spacing)
    geometry = Geometry(shape, spacing, (-12.0, 30.0, -500.0), direction)
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    z, y, x = (a - reach - d for a, d in zip((z, y, x), shift, strict=True))
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    y, x = c * y - s * x, s * y + c * x
    inside = (z / semi_axes[0]) ** 2 + (y / semi_axes[1]) ** 2 + (x / semi_axes[2]) ** 2 <= 1
    return Mask.from_full(inside, geometry)


def volume_of(mask: Mask, inside: float = 40.0, outside: float = -850.0) -> Volume:
    hu = np.where(mask.to_full(), inside, outside).astype(np.int16)
    slices = tuple(SliceSource(f"1.2.{n}") for n in range(hu.shape[0]))
    return Volume(hu, mask.geometry, slices, SeriesInfo("1.2", "CT", ()))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0, 77.0])
@pytest.mark.parametrize("direction", [AXIAL, turned(25.0)])
def test_axes_of_an_ellipsoid(spacing, angle, direction):
    mask = ellipsoid(spacing, (8.0, 5.0, 9.0), angle=angle, direction=direction)
    found = measurements(mask, volume_of(mask))
    values = {(m.concept, m.derivation): m for m in found}
    pixel = float(np.hypot(*spacing[1:]))
    long = values[codes.LONG_AXIS, None]
    short = values[codes.SHORT_AXIS, None]
    mean = values[codes.DIAMETER, codes.MEAN]
    assert long.value == pytest.approx(18.0, abs=pixel)
    assert short.value == pytest.approx(10.0, abs=pixel)
    assert mean.value == pytest.approx((long.value + short.value) / 2, abs=0.1)
    assert long.error == pytest.approx(pixel, abs=0.05)
    true = 4 / 3 * np.pi * 8 * 5 * 9
    size = values[codes.VOLUME, None]
    assert size.value == pytest.approx(mask.volume, abs=0.05)
    assert abs(size.value - true) <= size.error
    assert size.error < 0.25 * true
    assert values[codes.ATTENUATION, codes.MEAN].value == 40
    assert [m.unit for m in found] == [codes.MM, codes.MM, codes.MM, codes.MM3, codes.HU]


def test_one_pixel_has_its_own_size():
    geometry = Geometry((3, 5, 5), (2.0, 0.5, 0.8), (0.0, 0.0, 0.0), AXIAL)
    full = np.zeros(geometry.shape, dtype=bool)
    full[1, 2, 3] = True
    found = axes(full[1], geometry)
    assert found.long == pytest.approx(0.8)
    assert found.short == pytest.approx(0.5)
    mask = Mask.from_full(full, geometry)
    density = measurements(mask, volume_of(mask))[-1]
    assert (density.value, density.error) == (40, 0)


def test_a_square_along_the_pixels():
    geometry = Geometry((1, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    section = np.zeros((20, 20), dtype=bool)
    section[4:14, 5:15] = True
    found = axes(section, geometry)
    # 10 mm wide; its corners are rounded off
    assert found.long == pytest.approx(np.hypot(10, 9), abs=0.5)
    assert found.short == pytest.approx(np.hypot(10, 9), abs=1)


@pytest.mark.parametrize("long", [7.0, 12.0, 24.0])
def test_axes_of_sections_have_no_bias_beyond_a_fifth_of_a_pixel(long):
    geometry = Geometry((1, 60, 60), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    chance = np.random.default_rng(1)
    errors = []
    for _ in range(60):
        y, x = (g - 30 - chance.uniform(-0.5, 0.5) for g in np.indices((60, 60)))
        angle, ratio = chance.uniform(0, np.pi), chance.uniform(0.6, 1)
        u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        found = axes((2 * u / long) ** 2 + (2 * v / long / ratio) ** 2 <= 1, geometry)
        errors.append((found.long - long, found.short - ratio * long))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.25


def test_the_short_axis_is_a_chord_not_a_shadow():
    """A slanted parallelogram: its shadow across the long axis is 2, its longest chord there 5/3."""
    outline = np.array([(0.0, 0.0), (4.0, 1.0), (10.0, 0.0), (6.0, -1.0)])
    assert longest_chord(outline[:, 0], outline[:, 1]) == pytest.approx(5 / 3)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*(st.integers(0, 6) for _ in range(3))),
    st.sampled_from(SPACINGS),
    st.floats(0, 180),
)
def test_moving_by_whole_voxels_changes_nothing_but_the_place(offset, spacing, angle):
    mask = ellipsoid(spacing, (6.0, 4.0, 7.0), angle=angle)
    geometry = Geometry(
        tuple(n + 7 for n in mask.geometry.shape), spacing, mask.geometry.origin, mask.geometry.direction
    )
    moved = [
        Mask(mask.array, tuple(a + b for a, b in zip(mask.offset, o, strict=True)), geometry)
        for o in ((0, 0, 0), offset)
    ]
    first, second = (measurements(m, volume_of(m)) for m in moved)
    assert first == second
    assert key_slice(moved[1]) - key_slice(moved[0]) == offset[0]


@settings(max_examples=25, deadline=None)
@given(st.tuples(*(st.floats(0, 1) for _ in range(3))), st.floats(0, 180))
def test_moving_by_parts_of_a_voxel_stays_within_the_stated_error(shift, angle):
    spacing = (1.25, 0.7, 0.7)
    mask = ellipsoid(spacing, (6.0, 5.0, 8.0), angle=angle, shift=shift)
    long, short, _, size, _ = measurements(mask, volume_of(mask))
    assert abs(long.value - 16.0) <= long.error + 0.1
    assert abs(short.value - 10.0) <= short.error + 0.35  # the largest section may lie off the middle
    assert abs(size.value - 4 / 3 * np.pi * 6 * 5 * 8) <= size.error


def test_partial_volume_shows_in_the_error_of_the_density():
    mask = ellipsoid((1.0, 0.7, 0.7), (6.0, 6.0, 6.0))
    volume = volume_of(mask)
    soft = volume.array.copy().astype(np.float32)
    soft = ndimage.gaussian_filter(soft, 1.0)
    blurred = Volume(soft, volume.geometry, volume.slices, volume.series)
    density = measurements(mask, blurred)[-1]
    assert density.value < 0
    assert density.value + density.error == pytest.approx(40, abs=60)
