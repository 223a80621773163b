"""Where a mark lies, coded and in words: side, zone, lobe with its certainty, pleura, vessel, slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging import codes
from imaging.codes import Code
from imaging.geometry import Index, Vector
from imaging.images import Mask, Volume
from pipelines.lung_nodule.grid import isotropic, sample
from pipelines.lung_nodule.lobes import lobe_shares
from pipelines.lung_nodule.lungs import LEFT, RIGHT, Lungs, distance_inside

SURE = 0.9
"""From this probability on a lobe is coded as the site, and told of without "probably"."""
_TOLD = 0.6  # below it no single lobe is named
_MOST_NOT_SEARCHED_ML = 300.0  # a lung that has lost more is deformed: the fissures' usual course says nothing
_AT_PLEURA_MM = 2.0  # a voxel of the lungs' grid: nearer can't be told from touching
_LUNG_MARGIN_MM = 60.0  # deeper than this no place lies in a lung
_SHELL_MM = (1.0, 4.0)  # round the mask: the first mm is its own partial volume
_DENSE_HU = -400.0
_VESSEL_MM = 2.0
_GRID_MM = 1.0

_NAMES = {codes.UPPER_LOBE: "upper lobe", codes.MIDDLE_LOBE: "middle lobe", codes.LOWER_LOBE: "lower lobe"}
_ZONES = (codes.LOWER_ZONE, codes.MIDDLE_ZONE, codes.UPPER_ZONE)
_THIRDS = ("lower", "middle", "upper")


@dataclass(frozen=True)
class Place:
    """A mark's place.

    Parameters
    ----------
    laterality
        Side, by the lung in which most of the mask lies.
    zone
        Third of that lung's height (of its shown part, where it is cut off). Thirds are no lobes.
    lobe, certainty
        The likeliest lobe and its probability by position alone (`lobe_shares`); None where the lung is cut off,
        or has lost so much to consolidation or fluid that the fissures' usual course says nothing.
    upper_lobe
        Whether it lies in an upper lobe (the lingula is part of the left one); None while that is unsure.
    pleura_mm
        From the mask's edge to the lung's edge (chest wall, diaphragm, mediastinum), mm, to a voxel of the lungs'
        grid; fissures are unknown.
    attached
        Share of the shell round the mask, inside the lung, that strands of dense tissue which cross it take.
    at_vessel
        At least one such strand is 2 mm wide: a vessel, a scar, or dense lung.
    slice_number
        Of the key slice, from 1, from the feet.
    instance_number
        Its Instance Number (0020,0013); None where the header has none.
    centre
        x, y, z (LPS), mm.
    """

    laterality: Code
    zone: Code
    lobe: Code | None
    certainty: float | None
    upper_lobe: bool | None
    pleura_mm: float
    at_pleura: bool
    attached: float
    at_vessel: bool
    slice_number: int
    instance_number: int | None
    centre: Vector
    words: str

    @property
    def site(self) -> Code:
        """The lobe where it is sure enough to be coded, else the lung."""
        sure = self.lobe is not None and self.certainty is not None and self.certainty >= SURE
        return self.lobe if sure and self.lobe is not None else codes.LUNG


def locate(mask: Mask, key_slice: int, volume: Volume, lungs: Lungs) -> Place:
    """Where a mask lies.

    Parameters
    ----------
    mask
        On the grid of ``volume``.
    key_slice
        Index of the slice on which it is shown.
    lungs
        Of ``volume``.
    """
    index = np.argwhere(mask.array) + np.asarray(mask.offset)
    voxels = np.rint(lungs.geometry.to_index(mask.geometry.to_mm(index))).astype(int)
    voxels = np.clip(voxels, 0, np.asarray(lungs.labels.shape) - 1)
    side = _side(voxels, lungs)
    depth, height = _within(voxels.mean(axis=0), side, lungs)
    shares = None if _deformed(side, lungs) else lobe_shares(side, depth, height)
    lobe = max(shares, key=lambda c: shares[c]) if shares else None
    upper = shares[codes.UPPER_LOBE] if shares else None
    pleura = _to_edge(voxels, side, lungs)
    attached, widest = _strands(mask, volume, lungs)
    third = min(int(3 * height), 2)
    at_pleura, at_vessel = pleura <= _AT_PLEURA_MM, widest >= _VESSEL_MM
    number = _instance_number(volume, key_slice)
    x, y, z = centre_of(mask)
    name = "left" if side == LEFT else "right"
    words = [f"{name} lung", f"{_THIRDS[third]} third"]
    words += [_lobe_words(name, shares)] if shares else ["lobe not determined"]
    words += ["at the pleura" if at_pleura else f"{pleura:.0f} mm from the lung's edge"]
    words += ["touching a vessel or other strand"] * at_vessel
    words += [
        f"slice {key_slice + 1} of {mask.geometry.shape[0]} from the feet"
        + (f" (image {number})" if number is not None else ""),
        f"x {x:.1f}, y {y:.1f}, z {z:.1f} mm",
    ]
    return Place(
        laterality=codes.LEFT if side == LEFT else codes.RIGHT,
        zone=_ZONES[third],
        lobe=lobe,
        certainty=None if shares is None or lobe is None else round(shares[lobe], 2),
        upper_lobe=None if upper is None or 1 - SURE < upper < SURE else upper >= SURE,
        pleura_mm=round(pleura, 1),
        at_pleura=at_pleura,
        attached=round(attached, 3),
        at_vessel=at_vessel,
        slice_number=key_slice + 1,
        instance_number=number,
        centre=(x, y, z),
        words=", ".join(words),
    )


def centre_of(mask: Mask) -> Vector:
    """Centre of the mask in the patient frame, mm, to 0.01 mm."""
    x, y, z = (round(float(v), 2) for v in mask.centroid)
    return (x, y, z)


def _lobe_words(side: str, shares: dict[Code, float]) -> str:
    first, second = sorted(shares, key=lambda c: -shares[c])[:2]
    share = shares[first]
    if share < _TOLD:
        return f"{side} {_NAMES[first]} or {_NAMES[second]} (fissures not looked for)"
    sure = "" if share >= SURE else "probably "
    return f"{sure}{side} {_NAMES[first]} (by position alone, {100 * min(share, 0.99):.0f} %)"


def _deformed(side: int, lungs: Lungs) -> bool:
    lost = lungs.not_searched_ml[0 if side == RIGHT else 1]
    return lungs.cut_above or lungs.cut_below or lost > _MOST_NOT_SEARCHED_ML


def _instance_number(volume: Volume, key_slice: int) -> int | None:
    source = volume.slices[key_slice].sop_instance_uid
    numbers = (i.instance_number for i in volume.series.instances if i.sop_instance_uid == source)
    return next(numbers, None)


def _side(voxels: NDArray[np.int_], lungs: Lungs) -> int:
    found = np.bincount(lungs.labels[tuple(voxels.T)], minlength=3)
    if found[RIGHT] or found[LEFT]:
        return LEFT if found[LEFT] > found[RIGHT] else RIGHT
    cells = np.argwhere(lungs.labels > 0)
    nearest = cells[int(np.argmin(np.square(cells - voxels.mean(axis=0)).sum(axis=1)))]
    return int(lungs.labels[tuple(nearest)])


def _within(voxel: NDArray[np.float64], side: int, lungs: Lungs) -> tuple[float, float]:
    """Depth from front to back and height from foot to head, 0..1 of the lung's extent."""
    shares = []
    lung = lungs.labels == side
    # patient coordinates: y grows to the back, z to the head (LPS)
    for axis, grows in ((1, lungs.geometry.direction[1][1]), (0, lungs.geometry.direction[0][2])):
        extent = np.flatnonzero(lung.any(axis=tuple(a for a in range(3) if a != axis)))
        share = (float(voxel[axis]) - extent[0]) / max(1, extent[-1] - extent[0])
        shares.append(float(np.clip(share if grows >= 0 else 1 - share, 0, 1)))
    return shares[0], shares[1]


def _to_edge(voxels: NDArray[np.int_], side: int, lungs: Lungs) -> float:
    """Least distance of a mask's voxels to the edge of their lung, mm."""
    spacing = lungs.geometry.spacing[0]
    margin = int(_LUNG_MARGIN_MM / spacing)
    low = np.maximum(voxels.min(axis=0) - margin, 0)
    high = voxels.max(axis=0) + margin + 1
    box = lungs.labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == side
    # the edge runs half a voxel before the nearest voxel's centre outside
    nearest = float(distance_inside(box, spacing)[tuple((voxels - low).T)].min()) - spacing / 2
    return max(nearest, 0.0)


def _strands(mask: Mask, volume: Volume, lungs: Lungs) -> tuple[float, float]:
    """Of dense strands that cross the shell round a mask: their share of it, and the widest one's width, mm."""
    low, high = _around(mask, _SHELL_MM[1] + 2 * _GRID_MM)
    block = volume.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    place = volume.geometry.crop(low, block.shape)
    grid = isotropic(place, _GRID_MM)
    full = np.zeros(block.shape, dtype=np.float32)
    first = np.asarray(mask.offset) - low
    full[tuple(slice(a, a + n) for a, n in zip(first, mask.array.shape, strict=True))] = mask.array
    away = distance_inside(sample(full, place, grid) < 0.5, _GRID_MM)
    lung = sample((lungs.labels > 0).astype(np.float32), lungs.geometry, grid) > 0.5
    # chest wall and mediastinum reach over the lung's edge by their partial volume
    lung = distance_inside(lung, _GRID_MM) > _AT_PLEURA_MM
    shell = lung & (away > _SHELL_MM[0]) & (away <= _SHELL_MM[1])
    strands, count = ndimage.label(shell & (sample(block, place, grid) > _DENSE_HU), np.ones((3, 3, 3)))
    if not count:
        return 0.0, 0.0
    sizes = np.bincount(strands.ravel(), minlength=count + 1)
    inner, outer = (np.bincount(strands[part], minlength=count + 1) > 0 for part in _rims(away))
    crossing = sizes * (inner & outer)
    crossing[0] = 0
    section = float(crossing.max()) * _GRID_MM**3 / (_SHELL_MM[1] - _SHELL_MM[0])
    share = float(crossing.sum()) / float(np.count_nonzero(shell))
    return share, 2 * float(np.sqrt(section / np.pi))


def _rims(away: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The innermost and the outermost layer of voxels of the shell."""
    return away <= _SHELL_MM[0] + _GRID_MM, away > _SHELL_MM[1] - _GRID_MM


def _around(mask: Mask, margin_mm: float) -> tuple[Index, Index]:
    margin = np.ceil(margin_mm / np.asarray(mask.geometry.spacing)).astype(int)
    low = np.maximum(np.asarray(mask.offset) - margin, 0)
    high = np.minimum(np.asarray(mask.offset) + mask.array.shape + margin, mask.geometry.shape)
    return (int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2]))
