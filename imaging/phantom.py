"""A made-up chest CT with known nodules: for the demo where no real scan can be fetched, and for tests.

Simple solids in the patient frame: body, two lungs with a heart between them, spine, trachea, a few vessels, nodules.
Edges are mixed over one voxel, as a scanner's partial volume does; noise is seeded. It looks like a chest to a
program, not to a person: no accuracy can be claimed from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Geometry, Index, Vector

AIR_HU, LUNG_HU, TISSUE_HU, BONE_HU, BLOOD_HU = -1000.0, -850.0, 40.0, 400.0, 60.0

_BODY = ((0.0, 0.0, 0.0), (165.0, 115.0))
_RIGHT_LUNG = ((-72.0, 0.0, 0.0), (55.0, 82.0, 115.0))
_LEFT_LUNG = ((74.0, 0.0, 0.0), (50.0, 80.0, 112.0))
_HEART = ((22.0, -30.0, -45.0), (48.0, 45.0, 55.0))
_SPINE = ((0.0, 75.0, 0.0), (17.0, 17.0))
_TRACHEA = ((0.0, 15.0, 0.0), (8.0, 8.0))
_CARINA_Z = 30.0


@dataclass(frozen=True)
class PhantomNodule:
    """An ellipsoid in a lung.

    Parameters
    ----------
    centre
        x, y, z (LPS), mm.
    semi_axes
        Along x, y, z, mm.
    hu
        Its density.
    """

    centre: Vector
    semi_axes: Vector
    hu: float = 40.0

    @property
    def volume(self) -> float:
        """mm³."""
        return float(4 / 3 * np.pi * np.prod(self.semi_axes))


@dataclass(frozen=True, eq=False)
class ChestPhantom:
    """The made-up scan.

    Parameters
    ----------
    hu
        [slice, row, column] int16, from feet to head.
    geometry
        Its place; the body's middle is the origin of the patient frame.
    nodules
        What was put in.
    lungs
        [slice, row, column] uint8: 1 right lung, 2 left lung, with all that lies in them.
    """

    hu: NDArray[np.int16]
    geometry: Geometry
    nodules: tuple[PhantomNodule, ...]
    lungs: NDArray[np.uint8]


NODULES = (
    PhantomNodule((-95.0, -15.0, 25.0), (7.0, 7.0, 7.0)),
    PhantomNodule((85.0, 25.0, 15.0), (9.0, 6.0, 8.0)),
    PhantomNodule((-70.0, 45.0, -50.0), (5.0, 5.0, 5.0)),
)


def chest_phantom(
    spacing: Vector = (2.0, 1.25, 1.25),
    nodules: Sequence[PhantomNodule] = NODULES,
    *,
    extent: Vector = (270.0, 260.0, 360.0),
    vessels: bool = True,
    noise_hu: float = 12.0,
    seed: int = 0,
) -> ChestPhantom:
    """Make a chest.

    Parameters
    ----------
    spacing
        Between slices, rows, columns, mm.
    nodules
        What to put in, later ones over earlier ones.
    extent
        Size of the scan along slices, rows, columns, mm, round the body's middle.
    vessels
        Whether the lungs hold vessels.
    noise_hu
        Standard deviation of the noise.
    seed
        Of the noise; the same arguments give the same voxels.
    """
    shape: Index = tuple(round(e / s) for e, s in zip(extent, spacing, strict=True))  # type: ignore[assignment]
    z, y, x = (-(n - 1) * s / 2 for n, s in zip(shape, spacing, strict=True))
    geometry = Geometry(shape, spacing, (x, y, z), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    draw = _Drawing(geometry)
    draw.fill(draw.cylinder(*_BODY), TISSUE_HU)
    right, left, heart = draw.ellipsoid(*_RIGHT_LUNG), draw.ellipsoid(*_LEFT_LUNG), draw.ellipsoid(*_HEART)
    right, left = np.maximum(right, -heart), np.maximum(left, -heart)
    for lung in (right, left):
        draw.fill(lung, LUNG_HU)
    draw.fill(draw.cylinder(*_SPINE), BONE_HU)
    draw.fill(np.maximum(draw.cylinder(*_TRACHEA), _CARINA_Z - draw.z), AIR_HU)
    if vessels:
        for side, lung in ((-1.0, right), (1.0, left)):
            for tube in _vessels(draw, side):
                draw.fill(np.maximum(tube, lung), BLOOD_HU)
    for nodule in nodules:
        draw.fill(draw.ellipsoid(nodule.centre, nodule.semi_axes), nodule.hu)
    if noise_hu > 0:
        noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
        draw.hu += noise * np.float32(noise_hu)
    lungs = np.where(right < 0, 1, np.where(left < 0, 2, 0)).astype(np.uint8)
    hu = np.rint(np.clip(draw.hu, -1024, 3071)).astype(np.int16)
    return ChestPhantom(hu, geometry, tuple(nodules), lungs)


class _Drawing:
    """Solids as signed distances to their surface in mm, negative inside, on the grid's voxel centres."""

    def __init__(self, geometry: Geometry) -> None:
        axes = (geometry.to_mm(np.eye(3)[a] * np.arange(geometry.shape[a])[:, None]) for a in range(3))
        z, y, x = (points[:, 2 - a] for a, points in enumerate(axes))
        self.z = z.astype(np.float32)[:, None, None]
        self.y = y.astype(np.float32)[None, :, None]
        self.x = x.astype(np.float32)[None, None, :]
        self.hu = np.full(geometry.shape, AIR_HU, dtype=np.float32)
        self._edge = np.float32(np.cbrt(geometry.voxel_volume))

    def fill(self, distance: NDArray[np.float32], hu: float) -> None:
        """Put a solid of ``hu`` in; a voxel that its surface cuts is mixed by its share."""
        share = np.clip(np.float32(0.5) - distance / self._edge, 0, 1)
        self.hu += share * (np.float32(hu) - self.hu)

    def ellipsoid(self, centre: Vector, semi_axes: Vector) -> NDArray[np.float32]:
        """Distance to an ellipsoid, exact at the surface to first order."""
        offsets = (self.x - np.float32(centre[0]), self.y - np.float32(centre[1]), self.z - np.float32(centre[2]))
        return _quadric(offsets, semi_axes)

    def cylinder(self, centre: Vector, semi_axes: tuple[float, float]) -> NDArray[np.float32]:
        """Distance to an upright elliptic cylinder without ends."""
        flat = _quadric((self.x - np.float32(centre[0]), self.y - np.float32(centre[1])), semi_axes)
        return np.broadcast_to(flat, self.hu.shape)

    def tube(self, start: Vector, end: Vector, radii: tuple[float, float]) -> NDArray[np.float32]:
        """Distance to a straight tube that tapers from the first radius to the second, mm."""
        along = np.subtract(end, start).astype(np.float32)
        length = float(along @ along)
        dx, dy, dz = self.x - np.float32(start[0]), self.y - np.float32(start[1]), self.z - np.float32(start[2])
        share = np.clip((dx * along[0] + dy * along[1] + dz * along[2]) / np.float32(length), 0, 1)
        off = (dx - share * along[0]) ** 2 + (dy - share * along[1]) ** 2 + (dz - share * along[2]) ** 2
        radius = np.float32(radii[0]) + share * np.float32(radii[1] - radii[0])
        distance: NDArray[np.float32] = np.sqrt(off) - radius
        return distance


def _quadric(offsets: Sequence[NDArray[np.float32]], semi_axes: Sequence[float]) -> NDArray[np.float32]:
    # distance ~ k0 (k0 - 1) / k1 with k0 = |p/s|, k1 = |p/s²| (first-order distance to an implicit surface)
    squares = [(o / np.float32(s), o / np.float32(s * s)) for o, s in zip(offsets, semi_axes, strict=True)]
    k0 = np.sqrt(sum((a * a for a, _ in squares[1:]), squares[0][0] ** 2))
    k1 = np.sqrt(sum((b * b for _, b in squares[1:]), squares[0][1] ** 2))
    distance: NDArray[np.float32] = k0 * (k0 - 1) / np.maximum(k1, np.float32(1e-6))
    return np.where(k0 > 0, distance, np.float32(-min(semi_axes)))


def _vessels(draw: _Drawing, side: float) -> list[NDArray[np.float32]]:
    """Tubes from the hilum of one lung (side -1 right, 1 left) outwards, each with a branch."""
    tubes = []
    for y, z in ((-35.0, 55.0), (30.0, 60.0), (40.0, -20.0), (-10.0, 10.0), (20.0, -65.0)):
        hilum = (side * 16.0, 5.0 + y * 0.3, 5.0 + z * 0.3)
        middle = (side * 62.0, y * 0.6, z * 0.6)
        tubes.append(draw.tube(hilum, middle, (3.5, 2.2)))
        tubes.append(draw.tube(middle, (side * 95.0, y, z), (2.2, 1.0)))
        tubes.append(draw.tube(middle, (side * 75.0, y * 1.2, z * 1.2 + 15.0), (1.8, 0.8)))
    return tubes
