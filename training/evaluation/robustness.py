"""Other looks of one scan: what a detector's marks do when slices, dose, kernel, field of view or contrast change.

All but the scan itself are simulated: figures on them are called so. Noise of a quarter of the dose: its variance is
inversely proportional to the dose, so three times the scan's own is added. Contrast: blood is brightened by a fixed
amount, without a bolus's time course or streaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Geometry, Vector
from imaging.images import SliceSource, Volume
from pipelines.lung_nodule.grid import nearest, sample
from pipelines.lung_nodule.lungs import LEFT, RIGHT, Lungs
from training.evaluation.detection_composing import Made
from training.evaluation.detection_targets import Target, inserted_target, size_of
from training.insertion.compose import Scene
from training.insertion.degrade import add_noise, change_kernel
from training.insertion.ground import Ground
from training.insertion.load import KnownNodule

THICK_MM = 5.0
_FWHM = 2.355
_GRAIN = 0.6  # voxels: of a standard kernel's noise
_BLOOD_HU = (15.0, 90.0)
_ENHANCED_HU = 180.0
_VESSEL_ML = 2.0  # what hangs together in the lungs and is larger is the vessels' tree
_FIELD_MARGIN_MM = 10.0

Look = Callable[[Volume, Lungs], Volume]


def thick(volume: Volume, lungs: Lungs) -> Volume:
    """Slices of 5 mm, 5 mm apart; the scan itself where its own are as thick."""
    step = volume.geometry.spacing[0]
    if step >= THICK_MM:
        return volume
    mean = ndimage.gaussian_filter1d(volume.array.astype(np.float32), THICK_MM / step / _FWHM, axis=0, mode="nearest")
    extent = (volume.geometry.shape[0] - 1) * step
    shape = (int(extent / THICK_MM) + 1, *volume.geometry.shape[1:])
    spacing = (THICK_MM, *volume.geometry.spacing[1:])
    geometry = Geometry(shape, spacing, volume.geometry.origin, volume.geometry.direction)
    sources = tuple(volume.slices[round(k * THICK_MM / step)] for k in range(shape[0]))
    series = replace(volume.series, thickness=THICK_MM)
    return Volume(_stored(sample(mean, volume.geometry, geometry)), geometry, sources, series, notes=volume.notes)


def quarter_dose(volume: Volume, lungs: Lungs) -> Volume:
    """Twice the noise."""
    added = np.sqrt(3) * noise_of(volume)
    noisy = add_noise(volume.array.astype(np.float32), added, _GRAIN, np.random.default_rng(0))
    return replace(volume, array=_stored(noisy))


def noise_of(volume: Volume) -> float:
    """Standard deviation in soft tissue, HU: the median over windows of 7 voxels that hold nothing else."""
    hu = volume.array[:: max(1, volume.geometry.shape[0] // 20)].astype(np.float32)
    mean = ndimage.uniform_filter(hu, (0, 7, 7))
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(hu * hu, (0, 7, 7)) - mean * mean, 0))
    inside = (mean > 0) & (mean < 100) & (ndimage.minimum_filter(hu, (0, 7, 7)) > -150)
    # the lower half: where it is larger a window holds a border
    return float(np.percentile(spread[inside], 25)) if inside.any() else 20.0


def sharper(volume: Volume, lungs: Lungs) -> Volume:
    """Unsharp masking in the slice."""
    return replace(volume, array=_stored(change_kernel(volume.array.astype(np.float32), 1.0)))


def smoother(volume: Volume, lungs: Lungs) -> Volume:
    """Blurred in the slice by 0.8 voxels (sigma)."""
    return replace(volume, array=_stored(change_kernel(volume.array.astype(np.float32), -1.0)))


def contrast(volume: Volume, lungs: Lungs) -> Volume:
    """Heart, great vessels and the lungs' vessel trees brighter by 180 HU; smaller things stay as they are."""
    hu = volume.array.astype(np.float32)
    lung = nearest(lungs.labels > 0, lungs.geometry, volume.geometry).astype(bool)
    pieces, count = ndimage.label(lung & (hu > -300))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * volume.geometry.voxel_volume / 1000
    large = sizes >= _VESSEL_ML
    large[0] = False
    blood = large[pieces] | _between_lungs(lung, hu)
    soft = ndimage.gaussian_filter(blood.astype(np.float32), (0, 1, 1))
    return replace(volume, array=_stored(hu + _ENHANCED_HU * soft))


def _between_lungs(lung: NDArray[np.bool_], hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What is as dense as blood between the lungs' outermost voxels of each row."""
    smooth = ndimage.gaussian_filter(hu, (0, 2, 2))
    before = np.logical_or.accumulate(lung, axis=2)
    after = np.logical_or.accumulate(lung[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(before & after & ~lung & (smooth > _BLOOD_HU[0]) & (smooth < _BLOOD_HU[1]))


def one_lung(side: int) -> Look:
    """The field of view of one lung."""

    def look(volume: Volume, lungs: Lungs) -> Volume:
        lung = nearest(lungs.labels == side, lungs.geometry, volume.geometry).astype(bool)
        spans = [np.flatnonzero(lung.any(axis=tuple(b for b in range(3) if b != axis))) for axis in (1, 2)]
        margin = [int(np.ceil(_FIELD_MARGIN_MM / s)) for s in volume.geometry.spacing[1:]]
        (top, bottom), (left, right) = (
            (max(0, int(s[0]) - m), int(s[-1]) + m + 1) for s, m in zip(spans, margin, strict=True)
        )
        array = volume.array[:, top:bottom, left:right].copy()
        return Volume(
            array, volume.geometry.crop((0, top, left), array.shape), volume.slices, volume.series, notes=volume.notes
        )

    return look


LOOKS: Mapping[str, Look] = {
    "as it is": lambda volume, _: volume,
    "5 mm slices": thick,
    "noise of a quarter of the dose": quarter_dose,
    "sharper kernel": sharper,
    "smoother kernel": smoother,
    "contrast (simulated)": contrast,
    "field of view of the right lung": one_lung(RIGHT),
    "field of view of the left lung": one_lung(LEFT),
}
"""By name. A field of view of one lung is judged on the nodules that it shows."""


def with_nodules(
    volume: Volume, ground: Ground, nodules: Sequence[KnownNodule], most: int, chance: np.random.Generator
) -> tuple[Volume, dict[str, Target], dict[str, Vector]]:
    """A scan with at most so many nodules put into it on its own voxels, by the blend that training never uses.

    Returns
    -------
    tuple
        The scan, and by name what was put in and where (x, y, z; LPS mm).
    """
    whole = (slice(0, ground.hu.shape[0]), slice(0, ground.hu.shape[1]), slice(0, ground.hu.shape[2]))
    scene, made = Scene.of(ground, whole), Made(ground)
    targets: dict[str, Target] = {}
    centres: dict[str, Vector] = {}
    for known in nodules:
        place = made.put(scene, known.piece, chance) if len(targets) < most else None
        if place is not None:
            target = inserted_target(known, size_of(known), ground, place)
            targets[target.name] = target
            x, y, z = (float(v) for v in ground.geometry.to_mm(place.index))
            centres[target.name] = (x, y, z)
    added = sample(scene.hu - ground.hu.astype(np.float32), ground.geometry, volume.geometry)
    sources = tuple(SliceSource(s.sop_instance_uid, s.frame) for s in volume.slices)
    composed = Volume(_stored(volume.array + added), volume.geometry, sources, volume.series, volume.padded)
    return composed, targets, centres


def _stored(hu: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(np.clip(hu, -1024, 3071)).astype(np.int16)


@dataclass(frozen=True)
class Counted:
    """Marks of one look of one scan.

    Parameters
    ----------
    found, of
        By kind of target (nodule, tumour, inserted): how many were marked, of how many that the look shows.
    marks
        In all.
    false
        On nothing that is known; None where only a target was looked for.
    failure
        Why it wasn't read; empty when it was.
    """

    found: Mapping[str, int]
    of: Mapping[str, int]
    marks: int
    false: int | None
    failure: str = ""


def count(
    points: Sequence[Vector],
    targets: Sequence[Target],
    shown: Geometry,
    centres: Mapping[str, Vector],
    searched: bool,
) -> Counted:
    """Judge marks at x, y, z (LPS, mm) against the targets whose centres lie in ``shown``."""
    kinds = ("nodule", "tumour", "inserted")
    seen = [t for t in targets if bool(shown.contains(centres[t.name]))]
    found = {kind: sum(any(t.hit(p) for p in points) for t in seen if t.kind == kind) for kind in kinds}
    of = {kind: sum(t.kind == kind for t in seen) for kind in kinds}
    false = sum(not any(t.hit(p) for t in targets) for p in points)
    return Counted(found, of, len(points), false if searched else None)
