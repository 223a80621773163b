"""Lung to lung: where a place of the present CT lies in an earlier one, and the reverse.

An affine map brings the lungs together (mean squares, from the best of three starts), then a smooth invertible
displacement does the rest (diffeomorphic demons: Vercauteren et al., NeuroImage 45:S61, 2009). Only the lungs have a
picture: all round them is one even value, so ribs that slide past the lung pull at nothing. No randomness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from imaging.geometry import Geometry
from imaging.images import Volume
from pipelines.lung_nodule.followup.configuration import RegistrationRules
from pipelines.lung_nodule.grid import isotropic, nearest, sample
from pipelines.lung_nodule.lungs import Lungs, bounding_box

_AIR_HU, _LUNG_HU = -1000.0, -850.0
_AROUND_HU = 0.0  # all that isn't lung; vessels are no brighter
_EDGE_VOXELS = 2  # the lungs' edge fits whatever is in them, so it says nothing about that
_INVERSE_STEPS = 60


@dataclass(frozen=True, eq=False)
class Registration:
    """An earlier CT laid onto the present one.

    Parameters
    ----------
    affine
        (4, 4), homogeneous LPS mm: the affine part, from the present to the earlier CT.
    field
        [slice, row, column, (x, y, z)] float32, LPS mm: the displacement, in the present CT's frame, that goes before
        the affine part. Past its grid its outermost values go on.
    geometry
        Of the field: a grid round the present lungs.
    overlap
        Dice of the two CTs' lungs, within what both show.
    correlation
        Of the lungs' density, within both and off their edge: vessels that lie on vessels.
    residual_hu
        Root mean square of the difference that is left there, HU.
    """

    affine: NDArray[np.float64]
    field: NDArray[np.float32]
    geometry: Geometry
    overlap: float
    correlation: float
    residual_hu: float

    def to_prior(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Where points of the present CT lie in the earlier one; (n, 3) LPS mm both."""
        points = np.asarray(points_mm, dtype=float).reshape(-1, 3)
        moved = points + self._displacement(points)
        return np.asarray(moved @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_present(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Where points of the earlier CT lie in the present one; (n, 3) LPS mm both.

        Solves ``x + u(x) = y`` by half steps towards ``y - u(x)``.
        """
        points = np.asarray(points_mm, dtype=float).reshape(-1, 3)
        target = (points - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
        found = target.copy()
        for _ in range(_INVERSE_STEPS):
            found += 0.5 * (target - self._displacement(found) - found)
        return found

    def _displacement(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        at = self.geometry.to_index(points).T
        axes = [ndimage.map_coordinates(self.field[..., a], at, order=1, mode="nearest") for a in range(3)]
        return np.stack(axes, axis=1).astype(float)


@dataclass(frozen=True)
class NotRegistered:
    """The earlier CT could not be registered: nothing is paired.

    Parameters
    ----------
    why
        In words.
    """

    why: str


def register(
    present: Volume, present_lungs: Lungs, prior: Volume, prior_lungs: Lungs, rules: RegistrationRules
) -> Registration | NotRegistered:
    """Lay ``prior`` onto ``present`` by their lungs."""
    grid = _round(present_lungs, rules)
    fixed = _picture(present, present_lungs, grid)
    moving = _picture(prior, prior_lungs, isotropic(prior.geometry, rules.grid_mm))
    try:
        affine = _affine(fixed, moving, rules)
        field = _displacement(fixed, moving, affine, rules)
    except RuntimeError as error:  # SimpleITK knows no other
        return NotRegistered(f"the earlier CT could not be registered: {str(error).strip().splitlines()[-1]}")
    found = _judged(fixed, moving, affine, field, grid)
    if found.overlap < rules.least_overlap or found.correlation < rules.least_correlation:
        return NotRegistered(
            f"the earlier CT could not be registered: the lungs overlap by {found.overlap:.2f} (Dice; at least "
            f"{rules.least_overlap:.2f}), their density correlates by {found.correlation:.2f} (at least "
            f"{rules.least_correlation:.2f})"
        )
    return found


@dataclass(frozen=True, eq=False)
class _Picture:
    """One CT's lungs on a grid: ``hu`` as an image, even outside them, and the lungs' mask as an image."""

    hu: SimpleITK.Image
    lung: SimpleITK.Image


def _round(lungs: Lungs, rules: RegistrationRules) -> Geometry:
    """The grid round both lungs, within the CT."""
    first, last = bounding_box(lungs.labels > 0)
    margin = round(rules.margin_mm / lungs.geometry.spacing[0])
    low = [max(a - margin, 0) for a in first]
    high = [min(b + margin, n) for b, n in zip(last, lungs.geometry.shape, strict=True)]
    return isotropic(lungs.geometry, rules.grid_mm, (low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _picture(volume: Volume, lungs: Lungs, grid: Geometry) -> _Picture:
    hu = sample(*_averaged(volume, grid.spacing[0]), grid)
    inside = nearest(lungs.labels > 0, lungs.geometry, grid).astype(bool)
    # a deeper breath is darker: both CTs are brought to one median
    own = float(np.median(hu[inside])) - _AIR_HU
    hu = _AIR_HU + (hu - _AIR_HU) * np.float32((_LUNG_HU - _AIR_HU) / max(own, 20.0))
    hu = np.where(inside, np.clip(hu, _AIR_HU, _AROUND_HU), np.float32(_AROUND_HU))
    return _Picture(_image(hu, grid), _image(inside.astype(np.float32), grid))


def _averaged(volume: Volume, spacing: float) -> tuple[NDArray[np.float32], Geometry]:
    """Means of blocks of voxels not larger than ``spacing``, so that a coarse grid doesn't pick out noise."""
    size = [
        min(max(int(spacing / s), 1), n) for s, n in zip(volume.geometry.spacing, volume.geometry.shape, strict=True)
    ]
    small = SimpleITK.BinShrink(SimpleITK.GetImageFromArray(volume.array), size[::-1])
    array: NDArray[np.float32] = SimpleITK.GetArrayFromImage(small).astype(np.float32)
    geometry = volume.geometry
    x, y, z = (float(v) for v in geometry.to_mm([(n - 1) / 2 for n in size]))
    dz, dy, dx = (s * n for s, n in zip(geometry.spacing, size, strict=True))
    a, b, c = array.shape
    return array, Geometry((a, b, c), (dz, dy, dx), (x, y, z), geometry.direction)


def _image(array: NDArray[np.float32], geometry: Geometry) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(array)
    image.SetOrigin(geometry.origin)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetDirection(np.asarray(geometry.direction)[::-1].T.ravel().tolist())
    return image


def _affine(fixed: _Picture, moving: _Picture, rules: RegistrationRules) -> SimpleITK.AffineTransform:
    still, moved = _halved(fixed.hu), _halved(moving.hu)
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.02, numberOfIterations=rules.affine_steps, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = _best_start(still, moved, fixed, moving)
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(still, moved)
    return transform


def _best_start(
    still: SimpleITK.Image, moved: SimpleITK.Image, fixed: _Picture, moving: _Picture
) -> SimpleITK.AffineTransform:
    """The best of three shifts: the lungs' middles, tops or bottoms together. One of the CTs may show half a lung."""
    (low, high), (prior_low, prior_high) = _ends(fixed.lung), _ends(moving.lung)
    middle = (prior_low + prior_high - low - high) / 2
    shifts = [middle.copy() for _ in range(3)]
    shifts[1][2], shifts[2][2] = prior_high[2] - high[2], prior_low[2] - low[2]
    truth = SimpleITK.GetArrayViewFromImage(still)

    def left(shift: NDArray[np.float64]) -> float:
        guess = SimpleITK.Resample(
            moved, still, SimpleITK.TranslationTransform(3, shift.tolist()), SimpleITK.sitkLinear, _AROUND_HU
        )
        return float(np.mean((SimpleITK.GetArrayViewFromImage(guess) - truth) ** 2))

    transform = SimpleITK.AffineTransform(3)
    transform.SetCenter(((low + high) / 2).tolist())
    transform.SetTranslation(min(shifts, key=left).tolist())
    return transform


def _ends(mask: SimpleITK.Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest x, y, z of a mask, LPS mm."""
    where = np.argwhere(SimpleITK.GetArrayViewFromImage(mask) > 0.5)[:, ::-1]
    axes = np.asarray(mask.GetDirection()).reshape(3, 3) * np.asarray(mask.GetSpacing())
    points = where @ axes.T + np.asarray(mask.GetOrigin())
    return points.min(axis=0), points.max(axis=0)


def _displacement(
    fixed: _Picture, moving: _Picture, affine: SimpleITK.AffineTransform, rules: RegistrationRules
) -> NDArray[np.float32]:
    """[slice, row, column, (x, y, z)] mm on the fixed grid: what is left to do before the affine part."""
    then = SimpleITK.Resample(moving.hu, fixed.hu, affine, SimpleITK.sitkLinear, _AROUND_HU)
    now = SimpleITK.Mask(fixed.hu, _shown(moving, fixed, affine), _AROUND_HU)
    demons = SimpleITK.DiffeomorphicDemonsRegistrationFilter()
    demons.SetStandardDeviations(rules.smoothing_voxels)
    demons.SetNumberOfIterations(rules.coarse_steps)
    coarse = demons.Execute(_halved(now), _halved(then))
    demons.SetNumberOfIterations(rules.fine_steps)
    field = demons.Execute(now, then, SimpleITK.Resample(coarse, now))
    return np.asarray(SimpleITK.GetArrayFromImage(field), dtype=np.float32)


def _shown(moving: _Picture, fixed: _Picture, transform: SimpleITK.Transform) -> SimpleITK.Image:
    """What of the fixed grid the moving CT shows, 0 or 1."""
    whole = SimpleITK.Cast(moving.lung, SimpleITK.sitkUInt8) * 0 + 1
    return SimpleITK.Resample(whole, fixed.hu, transform, SimpleITK.sitkNearestNeighbor, 0)


def _halved(image: SimpleITK.Image) -> SimpleITK.Image:
    return SimpleITK.BinShrink(image, [2, 2, 2])


def _judged(
    fixed: _Picture, moving: _Picture, affine: SimpleITK.AffineTransform, field: NDArray[np.float32], grid: Geometry
) -> Registration:
    vectors = SimpleITK.GetImageFromArray(field.astype(np.float64), isVector=True)
    vectors.CopyInformation(fixed.hu)
    both = SimpleITK.CompositeTransform(
        [affine, SimpleITK.DisplacementFieldTransform(vectors)]
    )  # the last goes first
    shown = SimpleITK.GetArrayFromImage(_shown(moving, fixed, both)) > 0
    warped = SimpleITK.Resample(moving.lung, fixed.hu, both, SimpleITK.sitkLinear, 0.0)
    now = (SimpleITK.GetArrayFromImage(fixed.lung) > 0.5) & shown
    then = (SimpleITK.GetArrayFromImage(warped) > 0.5) & shown
    shared = now & then
    inner = ndimage.binary_erosion(shared, iterations=_EDGE_VOXELS)
    hu = SimpleITK.Resample(moving.hu, fixed.hu, both, SimpleITK.sitkLinear, _AROUND_HU)
    a, b = (SimpleITK.GetArrayFromImage(i)[inner] for i in (fixed.hu, hu))
    overlap = 2 * int(shared.sum()) / max(int(now.sum()) + int(then.sum()), 1)
    varied = len(a) > 1 and a.std() > 0 and b.std() > 0
    correlation = float(np.corrcoef(a, b)[0, 1]) if varied else 0.0
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(affine.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = affine.TransformPoint((0.0, 0.0, 0.0))
    residual = float(np.sqrt(np.mean((a - b) ** 2))) if len(a) else 0.0
    return Registration(matrix, field, grid, overlap, correlation, residual)
