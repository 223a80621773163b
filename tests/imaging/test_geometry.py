"""Index <-> mm under any orientation, oblique and flipped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from imaging.geometry import Geometry

lengths = st.floats(0.05, 20)
coordinates = st.floats(-1000, 1000)
angles = st.floats(-np.pi, np.pi)


@st.composite
def geometries(draw):
    """Any grid: turned by any angles, each axis perhaps flipped."""
    axes = Rotation.from_euler("zyx", [draw(angles) for _ in range(3)]).as_matrix()
    axes = axes * np.array([draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)])[:, None]
    return Geometry(
        shape=draw(st.tuples(*[st.integers(1, 600)] * 3)),
        spacing=draw(st.tuples(*[lengths] * 3)),
        origin=draw(st.tuples(*[coordinates] * 3)),
        direction=tuple(tuple(float(v) for v in axis) for axis in axes),
    )


@st.composite
def stacks(draw):
    """Orientation, positions in either order along the normal, and spacing, as headers give them."""
    turn = Rotation.from_euler("zyx", [draw(angles) for _ in range(3)]).as_matrix()
    along_columns = turn[:, 0]
    along_rows = turn[:, 1] * draw(st.sampled_from([-1.0, 1.0]))
    step = draw(lengths) * draw(st.sampled_from([-1.0, 1.0]))
    origin = np.array([draw(coordinates) for _ in range(3)])
    count = draw(st.integers(2, 40))
    positions = origin + np.arange(count)[:, None] * step * np.cross(along_columns, along_rows)
    spacing = (draw(lengths), draw(lengths))
    return (*along_columns, *along_rows), positions, spacing


@given(grid=geometries(), index=st.lists(st.tuples(*[st.floats(-50, 700)] * 3), min_size=1, max_size=5))
def test_index_to_mm_and_back(grid, index):
    assert np.allclose(grid.to_index(grid.to_mm(index)), index, atol=1e-4)


@given(grid=geometries(), mm=st.tuples(*[coordinates] * 3))
def test_mm_to_index_and_back(grid, mm):
    assert np.allclose(grid.to_mm(grid.to_index(mm)), mm, atol=1e-6)


@given(grid=geometries(), index=st.tuples(*[st.floats(0, 600)] * 3))
def test_the_affine_says_the_same(grid, index):
    assert np.allclose((grid.affine @ [*index, 1])[:3], grid.to_mm(index), atol=1e-6)
    assert abs(np.linalg.det(grid.affine)) == pytest.approx(grid.voxel_volume)


@given(grid=geometries(), axis=st.sampled_from([0, 1, 2]))
def test_neighbours_are_one_spacing_apart(grid, axis):
    step = np.eye(3)[axis]
    apart = grid.to_mm(step) - grid.to_mm([0, 0, 0])
    assert np.linalg.norm(apart) == pytest.approx(grid.spacing[axis])
    assert np.allclose(apart / grid.spacing[axis], grid.direction[axis], atol=1e-6)


@given(stack=stacks(), rows=st.integers(1, 50), columns=st.integers(1, 50), data=st.data())
def test_a_stack_follows_the_dicom_equation(stack, rows, columns, data):
    """PS3.3 equation C.7.6.2.1-1 for any pixel of any slice, whichever way the stack runs."""
    orientation, positions, spacing = stack
    grid = Geometry.from_stack((len(positions), rows, columns), positions, orientation, spacing)
    k = data.draw(st.integers(0, len(positions) - 1))
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    expected = (
        positions[k] + np.array(orientation[:3]) * spacing[1] * column + np.array(orientation[3:]) * spacing[0] * row
    )
    assert np.allclose(grid.to_mm([k, row, column]), expected, atol=1e-6)
    assert min(grid.spacing) > 0


def test_one_slice_gets_one_millimetre_along_its_normal():
    grid = Geometry.from_stack((1, 4, 5), np.array([[1.0, 2.0, 3.0]]), (1, 0, 0, 0, 1, 0), (0.5, 0.25))
    assert grid.spacing == (1.0, 0.5, 0.25)
    assert np.allclose(grid.to_mm([1, 0, 0]), [1, 2, 4])


@given(grid=geometries(), data=st.data())
def test_contains_reaches_to_the_outer_faces(grid, data):
    inside = [data.draw(st.floats(-0.49, n - 0.51)) for n in grid.shape]
    assert grid.contains(grid.to_mm(inside))
    axis = data.draw(st.sampled_from([0, 1, 2]))
    for outside in (-0.51, grid.shape[axis] - 0.49):
        point = list(inside)
        point[axis] = outside
        assert not grid.contains(grid.to_mm(point))


@given(grid=geometries(), data=st.data())
def test_a_crop_keeps_every_voxel_where_it_is(grid, data):
    offset = tuple(data.draw(st.integers(0, n - 1)) for n in grid.shape)
    shape = tuple(n - o for n, o in zip(grid.shape, offset, strict=True))
    part = grid.crop(offset, shape)
    assert np.allclose(part.to_mm([1, 2, 3]), grid.to_mm(np.add(offset, [1, 2, 3])), atol=1e-6)
    assert part.extent == pytest.approx(np.multiply(shape, grid.spacing))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (0, 1, 1)},
        {"spacing": (1.0, 0.0, 1.0)},
        {"spacing": (1.0, -1.0, 1.0)},
        {"spacing": (1.0, float("nan"), 1.0)},
        {"direction": ((0, 0, 1), (0, 1, 0), (0, 0, 1))},
        {"direction": ((0, 0, 2), (0, 1, 0), (1, 0, 0))},
        {"direction": ((0, 0, 0), (0, 1, 0), (1, 0, 0))},
    ],
)
def test_what_is_no_grid(wrong):
    good = {
        "shape": (2, 2, 2),
        "spacing": (1.0, 1.0, 1.0),
        "origin": (0.0, 0.0, 0.0),
        "direction": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    }
    Geometry(**good)
    with pytest.raises(ValueError, match=r"grid|spacing|direction"):
        Geometry(**(good | wrong))


@pytest.mark.parametrize("orientation", [(0.0,) * 6, (1, 0, 0, 1, 0, 0), (float("nan"), 0, 0, 0, 1, 0)])
def test_a_stack_without_a_plane(orientation):
    with pytest.raises(ValueError, match="zero length"):
        Geometry.from_stack((2, 2, 2), np.array([[0.0, 0, 0], [0, 0, 1]]), orientation, (1, 1))
