"""Two CTs of one patient that never were: a real chest, deformed, with real nodules that grew by a known share.

The earlier chest is the present one under a smooth deformation; nodules go into both after it, so that they grow by
what was asked for and nothing else. Then each CT gets slices, kernel and noise of its own. Figures on such pairs are
called synthetic and never mixed with those on real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Geometry, Vector
from imaging.images import Mask, SliceSource, Volume
from imaging.study import SeriesInfo
from pipelines.lung_nodule.grid import sample
from training.insertion.blend import Blend
from training.insertion.compose import Scene
from training.insertion.degrade import add_noise, change_kernel
from training.insertion.ground import Box, Ground
from training.insertion.piece import Piece
from training.insertion.place import Place, find_place

_APART_MM = 14.0  # between the borders of two nodules, so that neither's blend meets the other
_TRIES = 40
_STEP = 8  # the deformation is smooth: it is worked out on every eighth voxel
_FWHM = 2.355
KERNEL = "STANDARD"
"""What the headers of both CTs say: kernels differ within one class."""


@dataclass(frozen=True)
class Look:
    """How one CT shows the chest.

    Parameters
    ----------
    thickness_mm
        Slice thickness and distance of slices.
    offset_mm
        The first slice lies so far above the ground's.
    kernel
        As `degrade.change_kernel` takes it: under 0 softer, over 0 sharper.
    noise_hu, grain
        Standard deviation of the noise that is added, and its grain (`degrade.add_noise`).
    """

    thickness_mm: float
    offset_mm: float = 0.0
    kernel: float = 0.0
    noise_hu: float = 20.0
    grain: float = 0.5


@dataclass(frozen=True, eq=False)
class Deformation:
    """From places of the earlier chest to those of the present one, in the ground's frame: a breath and some bumps.

    Parameters
    ----------
    middle, breath_mm
        Below ``middle`` (x, y, z; LPS mm) the lungs move towards the head by up to ``breath_mm``, and a third of it
        to the back.
    centres, shifts, width_mm
        (n, 3) mm each: Gaussian bumps of sigma ``width_mm``.
    """

    middle: NDArray[np.float64]
    breath_mm: float
    centres: NDArray[np.float64]
    shifts: NDArray[np.float64]
    width_mm: float = 35.0

    @classmethod
    def random(cls, ground: Ground, chance: np.random.Generator, breath_mm: float, bump_mm: float) -> Deformation:
        """A breath of up to ``breath_mm`` in or out, and twelve bumps of ``bump_mm`` (sigma) in the lungs."""
        lung = ground.geometry.to_mm(np.argwhere(ground.depth > 0)[::997])
        centres = lung[chance.integers(len(lung), size=12)]
        breath = float(chance.uniform(-breath_mm, breath_mm))
        return cls(lung.mean(axis=0), breath, centres, chance.normal(0, bump_mm, (12, 3)))

    def to_now(self, then: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) LPS mm."""
        moved = np.array(then, dtype=float)
        for centre, shift in zip(self.centres, self.shifts, strict=True):
            away = np.square(then - centre).sum(axis=-1, keepdims=True)
            moved += shift * np.exp(-away / (2 * self.width_mm**2))
        below = self.breath_mm / (1 + np.exp((then[..., 2] - self.middle[2]) / 40))
        moved[..., 2] += below
        moved[..., 1] += below / 3
        return moved

    def to_then(self, now: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) LPS mm, by half steps."""
        found = np.array(now, dtype=float)
        for _ in range(60):
            found += 0.5 * (now - self.to_now(found))
        return found


@dataclass(frozen=True, eq=False)
class Inserted:
    """A nodule in one of the two CTs.

    Parameters
    ----------
    centre
        x, y, z (LPS), mm, in that CT's frame.
    mask
        Where half the readers or more hold it for nodule, on that CT's grid.
    """

    centre: Vector
    mask: Mask


@dataclass(frozen=True, eq=False)
class Twin:
    """One nodule then and now.

    Parameters
    ----------
    growth
        Of its volume, as a share: 0.25 is a quarter more now.
    """

    name: str
    growth: float
    then: Inserted
    now: Inserted


@dataclass(frozen=True, eq=False)
class CtPair:
    """A synthetic pair of CTs.

    Parameters
    ----------
    name
        Of the scan that it was made of.
    """

    name: str
    then: Volume
    now: Volume
    twins: tuple[Twin, ...]


def make_pair(
    ground: Ground,
    nodules: Sequence[tuple[Piece, float]],
    deformation: Deformation,
    chance: np.random.Generator,
    *,
    blend: Blend,
    looks: tuple[Look, Look],
) -> CtPair:
    """Both CTs with as many of the nodules (each with its growth) as a place is met for.

    Parameters
    ----------
    looks
        Of the earlier and of the present CT.
    """
    grounds = (_deformed(ground, deformation), ground)
    scenes = tuple(Scene.of(g, _everywhere(g)) for g in grounds)
    put: list[tuple[Piece, float, tuple[Place, Place]]] = []
    for piece, growth in nodules:
        scales = (1.0, float(np.cbrt(1 + growth)))
        places = _places(grounds, piece, scales[1], deformation, others=[p for *_, p in put], chance=chance)
        if places is not None and all(
            scene.put(piece, place, scale, blend) for scene, place, scale in zip(scenes, places, scales, strict=True)
        ):
            put.append((piece, growth, places))
    # the patient lies elsewhere on the table
    moved = np.asarray(ground.geometry.origin) + chance.uniform(-20, 20, 3) + (0, 0, 30)
    frames = (replace(ground.geometry, origin=_vector(moved)), ground.geometry)
    then, now = (
        _Taken(scene, frame, look, ground.thickness, chance)
        for scene, frame, look in zip(scenes, frames, looks, strict=True)
    )
    twins = tuple(
        Twin(piece.name, growth, then.inserted(places[0], piece), now.inserted(places[1], piece))
        for piece, growth, places in put
    )
    return CtPair(ground.name, then.volume, now.volume, twins)


class _Taken:
    """One CT of a scene: its volume, and where the nodules are in it."""

    def __init__(
        self, scene: Scene, frame: Geometry, look: Look, thickness: float, chance: np.random.Generator
    ) -> None:
        self._frame = frame
        hu = _blurred(scene.hu, frame.spacing[0], look.thickness_mm, thickness)
        slices = int((frame.extent[0] - frame.spacing[0] - look.offset_mm) / look.thickness_mm) + 1
        place = Geometry(
            (slices, *frame.shape[1:]),
            (look.thickness_mm, *frame.spacing[1:]),
            _vector(frame.to_mm((look.offset_mm / frame.spacing[0], 0, 0))),
            frame.direction,
        )
        hu = add_noise(change_kernel(sample(hu, frame, place), look.kernel), look.noise_hu, look.grain, chance)
        series = SeriesInfo("1.2.3", "CT", (), description="synthetic", kernel=KERNEL, thickness=look.thickness_mm)
        sources = tuple(SliceSource(f"1.2.3.{k}") for k in range(slices))
        self.volume = Volume(np.rint(np.clip(hu, -1024, 3071)).astype(np.int16), place, sources, series)
        self._share = sample(scene.share, frame, place) >= 0.5

    def inserted(self, place: Place, piece: Piece) -> Inserted:
        centre = self._frame.to_mm(place.index)
        reach = (piece.radius * 1.5 + 2) / np.asarray(self.volume.geometry.spacing)
        middle = self.volume.geometry.to_index(centre)
        low = np.maximum(np.floor(middle - reach), 0).astype(int)
        box = tuple(slice(a, int(b) + 2) for a, b in zip(low, middle + reach, strict=True))
        own = np.zeros(self._share.shape, dtype=bool)
        own[box] = self._share[box]
        return Inserted(_vector(centre), Mask.from_full(own, self.volume.geometry))


def _deformed(ground: Ground, deformation: Deformation) -> Ground:
    """The ground as it was then, without the nodules of its own told."""
    shape = ground.hu.shape
    coarse = np.stack(np.meshgrid(*(np.arange(0, n + _STEP, _STEP) for n in shape), indexing="ij"), axis=-1)
    moved = ground.geometry.to_index(deformation.to_now(ground.geometry.to_mm(coarse)))
    hu, depth, truth = np.empty_like(ground.hu), np.empty_like(ground.depth), np.empty_like(ground.truth)
    rows, columns = np.meshgrid(*(np.arange(n) / _STEP for n in shape[1:]), indexing="ij")
    for k in range(shape[0]):
        where = np.stack([np.full(rows.shape, k / _STEP), rows, columns])
        at = np.stack([ndimage.map_coordinates(moved[..., a], where, order=1) for a in range(3)])
        hu[k] = np.rint(ndimage.map_coordinates(ground.hu.astype(np.float32), at, order=1, mode="nearest"))
        depth[k] = ndimage.map_coordinates(ground.depth.astype(np.float32), at, order=1, mode="constant")
        truth[k] = ndimage.map_coordinates(ground.truth, at, order=0, mode="constant")
    return replace(ground, hu=hu, depth=depth, truth=truth, nodules=())


def _places(
    grounds: tuple[Ground, Ground],
    piece: Piece,
    scale: float,
    deformation: Deformation,
    *,
    others: Sequence[tuple[Place, Place]],
    chance: np.random.Generator,
) -> tuple[Place, Place] | None:
    """The same place then and now, to the ground's voxel, away from other nodules; None when none was met."""
    then, now = grounds
    for _ in range(_TRIES):
        place = find_place(now, piece, scale, chance)
        if place is None:
            continue
        apart = (_APART_MM + 2 * piece.radius * scale) / now.spacing
        if any(np.linalg.norm(np.subtract(place.index, other.index)) < apart for _, other in others):
            continue
        before = now.geometry.to_index(deformation.to_then(now.geometry.to_mm(place.index)))
        z, y, x = (int(v) for v in np.rint(before))
        inside = all(0 <= i < n for i, n in zip((z, y, x), then.hu.shape, strict=True))
        if inside and then.depth[z, y, x] > 0 and not then.truth[z, y, x]:
            return replace(place, index=(z, y, x)), place
    return None


def _blurred(hu: NDArray[np.float32], spacing: float, thickness: float, already: float) -> NDArray[np.float32]:
    """Along z as slices of ``thickness`` mm blur, beyond what slices of ``already`` mm have."""
    width = np.sqrt(max(thickness**2 - already**2, 0.0)) / spacing
    blurred: NDArray[np.float32] = ndimage.gaussian_filter1d(hu, width / _FWHM, axis=0) if width > 0 else hu
    return blurred


def _everywhere(ground: Ground) -> Box:
    z, y, x = (slice(0, n) for n in ground.hu.shape)
    return z, y, x


def _vector(point: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in point)
    return (x, y, z)
