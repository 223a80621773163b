"""Do the slices of a series make one regular grid? Judged on headers alone, with stated tolerances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.reasons import Reason, ReasonKind
from imaging.study import FrameInfo, InstanceInfo, SeriesInfo

VOLUME_MODALITIES = frozenset({"CT", "MR", "PT"})

_AGAIN = "Send the series again from the scanner, complete."
_LISTED = 4  # positions named in a message
_FLOAT = 1e-6  # mm, what subtracting positions may cost


@dataclass(frozen=True)
class StackTolerances:
    """How far slices may be from a perfect grid and still be read as one.

    The values lie well above what scanners and archives round (positions to 0.1 mm at worst, cosines to six
    digits; the whole CTs tried deviate by less than 1e-6 mm) and well below what would move a small nodule's edge.

    Parameters
    ----------
    fewest
        Slices that make a volume; of two no regularity can be judged.
    step, step_share
        A step between neighbours may differ from the usual (median) one by the larger of ``step`` mm and
        ``step_share`` of it. 0.1 mm: positions rounded to 0.1 mm make steps of 0.6 and 0.7 out of 0.625.
    drift
        No slice may lie further than this, mm, from its place on the even grid from first to last slice; it bounds
        what many small deviations add up to. A quarter of the thinnest slice in use, 1 mm.
    cosine
        Largest difference of a direction cosine between slices, and from orthogonal unit vectors; 1e-3 is 0.06
        degrees, 0.25 mm at the edge of a 500 mm field.
    lateral
        The first pixel may lie at most this, mm, off the straight line along the normal: less than a pixel.
    tilt
        Largest Gantry/Detector Tilt (0018,1120), degrees, that still counts as none: it shears 300 mm by 2.6 mm.
    pixel_spacing
        Largest relative difference of Pixel Spacing between slices: 1e-3 is half a pixel over 512.
    position
        Slices closer than this, mm, lie at one position; no scanner reconstructs closer.
    gap_share
        More gaps than this share of the steps (and than one) are no gaps but another spacing.
    """

    fewest: int = 3
    step: float = 0.1
    step_share: float = 0.01
    drift: float = 0.25
    cosine: float = 1e-3
    lateral: float = 0.5
    tilt: float = 0.5
    pixel_spacing: float = 1e-3
    position: float = 0.02
    gap_share: float = 0.2


DEFAULT_TOLERANCES = StackTolerances()


@dataclass(frozen=True)
class PlacedFrame:
    """One frame of a series: its instance, its index in it from 0, and its place."""

    instance: InstanceInfo
    index: int
    info: FrameInfo


def slice_axis(orientation: Sequence[float]) -> NDArray[np.float64]:
    """(3,) unit normal of an image plane, with its largest component positive.

    So axial slices ascend from feet to head, coronal ones to the back, sagittal ones to the left, whichever way
    the image plane is turned.
    """
    normal = np.cross(orientation[:3], orientation[3:])
    length = float(np.linalg.norm(normal))
    if length < 1e-6:
        raise ValueError("the direction cosines of rows and columns are parallel")
    sign = 1.0 if normal[np.argmax(np.abs(normal))] > 0 else -1.0
    axis: NDArray[np.float64] = sign * normal / length
    return axis


def plane_name(orientation: Sequence[float]) -> str:
    """``axial``, ``coronal``, ``sagittal``; ``oblique`` where the normal is over 25 degrees off each axis."""
    normal = np.abs(slice_axis(orientation))
    main = int(np.argmax(normal))
    return ("sagittal", "coronal", "axial")[main] if normal[main] >= 0.9 else "oblique"


def placed_frames(series: SeriesInfo) -> list[PlacedFrame]:
    """All image frames of a series, in the order of its instances."""
    return [PlacedFrame(i, k, f) for i in series.instances if i.is_image for k, f in enumerate(i.frames)]


def ordered_frames(series: SeriesInfo) -> list[PlacedFrame]:
    """The frames of a series for which `check_stack` finds nothing, ascending along its `slice_axis`."""
    frames = placed_frames(series)
    along = _positions(frames) @ slice_axis(_orientation(frames[0]))
    return [frames[k] for k in np.argsort(along, kind="stable")]


def check_stack(series: SeriesInfo, tolerances: StackTolerances = DEFAULT_TOLERANCES) -> Reason | None:
    """Why no volume can be built of a series, or None.

    Only series of cross-sectional modalities (`VOLUME_MODALITIES`) with images are judged; for others None.
    """
    frames = placed_frames(series)
    if series.modality not in VOLUME_MODALITIES or not frames:
        return None
    for check in (_localizer, _missing_geometry, _too_few, _mixed_matrix, _mixed_orientation):
        if reason := check(series, frames, tolerances):
            return reason
    axis = slice_axis(_orientation(frames[0]))
    along = _positions(frames) @ axis
    frames = [frames[k] for k in np.argsort(along, kind="stable")]
    for check in (_duplicates, _tilt, _off_line):
        if reason := check(series, frames, tolerances):
            return reason
    return _steps(series, frames, tolerances)


def _localizer(series: SeriesInfo, frames: list[PlacedFrame], _: StackTolerances) -> Reason | None:
    if all("LOCALIZER" in f.instance.image_type for f in frames):
        return _reason(series, ReasonKind.LOCALIZER, "its Image Type (0008,0008) says LOCALIZER: no stack of slices.")
    return None


def _missing_geometry(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    wanted = {
        "Image Position (Patient) (0020,0032)": [f.info.position is None for f in frames],
        "Image Orientation (Patient) (0020,0037)": [not _orthonormal(f.info.orientation, tol) for f in frames],
        "Pixel Spacing (0028,0030)": [f.info.pixel_spacing is None for f in frames],
    }
    for name, lacking in wanted.items():
        if any(lacking):
            first = frames[lacking.index(True)].instance
            return _reason(
                series,
                ReasonKind.MISSING_GEOMETRY,
                f"{name} is absent or malformed in {sum(lacking)} of {len(frames)} slices, first in instance "
                f"{first.instance_number or first.sop_instance_uid}. Send the original series.",
            )
    return None


def _too_few(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    if len(frames) < tol.fewest:
        message = f"{len(frames)} slices are here and {tol.fewest} are the fewest for a volume. {_AGAIN}"
        return _reason(series, ReasonKind.TOO_FEW_SLICES, message)
    return None


def _mixed_matrix(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    sizes = Counter(f"{f.instance.rows}x{f.instance.columns}" for f in frames)
    if len(sizes) > 1:
        counts = ", ".join(f"{size} ({n} slices)" for size, n in sizes.most_common())
        message = f"it mixes matrices (0028,0010/0011): {counts}. Send each reconstruction as a series of its own."
        return _reason(series, ReasonKind.MIXED_MATRIX, message)
    spacing = np.array([f.info.pixel_spacing for f in frames], dtype=float)
    low, high = spacing.min(axis=0), spacing.max(axis=0)
    if np.any(high - low > tol.pixel_spacing * low):
        return _reason(
            series,
            ReasonKind.MIXED_MATRIX,
            f"Pixel Spacing (0028,0030) runs from {low[0]:.4f}\\{low[1]:.4f} to {high[0]:.4f}\\{high[1]:.4f} mm. "
            "Send each reconstruction as a series of its own.",
        )
    return None


def _mixed_orientation(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    cosines = np.array([f.info.orientation for f in frames], dtype=float)
    off = np.abs(cosines - np.median(cosines, axis=0)).max(axis=1) > tol.cosine
    if np.any(off):
        first = frames[int(np.argmax(off))].instance
        return _reason(
            series,
            ReasonKind.MIXED_ORIENTATION,
            f"Image Orientation (Patient) (0020,0037) of {int(off.sum())} of {len(frames)} slices differs from the "
            f"others', first in instance {first.instance_number or first.sop_instance_uid}. "
            "Send slices of one orientation as a series of their own.",
        )
    return None


def _duplicates(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    along = _along(frames)
    twice = along[1:][np.diff(along) < tol.position]
    if not twice.size:
        return None
    acquisitions = sorted({f.instance.acquisition for f in frames if f.instance.acquisition is not None})
    cause = "Send each acquisition or reconstruction as a series of its own."
    if len(acquisitions) > 1:
        cause = f"It mixes acquisitions {', '.join(map(str, acquisitions))} (0020,0012). {cause}"
    message = f"{twice.size} positions hold more than one slice, at {_listed(frames, twice)}. {cause}"
    return _reason(series, ReasonKind.DUPLICATE_POSITIONS, message)


def _tilt(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    tilts = [f.instance.tilt for f in frames if f.instance.tilt is not None]
    largest = max(tilts, key=abs, default=0.0)
    if abs(largest) > tol.tilt:
        cause = f"Gantry/Detector Tilt (0018,1120) is {largest:g} degrees"
    else:
        lateral, along = _lateral(frames), _along(frames)
        slope = (lateral[-1] - lateral[0]) / (along[-1] - along[0])
        residue = lateral - lateral[0] - np.outer(along - along[0], slope)
        drift = float(np.linalg.norm(lateral[-1] - lateral[0]))
        if drift <= tol.lateral or float(np.linalg.norm(residue, axis=1).max()) > tol.lateral:
            return None
        angle = np.degrees(np.arctan(np.linalg.norm(slope)))
        cause = f"the slices are offset along their plane as by a tilt of {angle:.1f} degrees ({drift:.1f} mm in all)"
    message = f"{cause}: the slices make no right-angled grid. Send a reconstruction without tilt."
    return _reason(series, ReasonKind.GANTRY_TILT, message)


def _off_line(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    lateral = _lateral(frames)
    offset = np.linalg.norm(lateral - np.median(lateral, axis=0), axis=1)
    if offset.max() <= tol.lateral:
        return None
    where = _listed(frames, _along(frames)[offset > tol.lateral])
    message = (
        f"slices lie up to {offset.max():.1f} mm beside the others (reconstruction centre moved), at {where}. "
        "Send each reconstruction as a series of its own."
    )
    return _reason(series, ReasonKind.MIXED_MATRIX, message)


def _steps(series: SeriesInfo, frames: list[PlacedFrame], tol: StackTolerances) -> Reason | None:
    along = _along(frames)
    steps = np.diff(along)
    usual = float(np.median(steps))
    allowed = max(tol.step, tol.step_share * usual)
    times = np.maximum(np.round(steps / usual), 1.0)
    wrong = times > 1
    whole = np.abs(steps - times * usual) <= allowed * times + _FLOAT
    if np.all(whole):
        missing = int((times - 1).sum())
        if missing and wrong.sum() <= max(1.0, tol.gap_share * len(steps)):
            where = _listed(frames, along[:-1][wrong] + usual)
            message = f"{missing} of {len(frames) + missing} slices are missing, at {where}. {_AGAIN}"
            return _reason(series, ReasonKind.MISSING_SLICE, message)
        even = np.linspace(along[0], along[-1], len(along))
        if not missing and np.abs(along - even).max() <= tol.drift:
            return None
    at = _listed(frames, along[:-1][~whole | wrong])
    message = (
        f"the distance between slices runs from {steps.min():.2f} to {steps.max():.2f} mm (usual {usual:.2f} mm, "
        f"tolerance {allowed:.2f} mm){f', after {at}' if at else ''}. Send a reconstruction with one increment."
    )
    return _reason(series, ReasonKind.UNEQUAL_SPACING, message)


def _reason(series: SeriesInfo, kind: ReasonKind, message: str) -> Reason:
    return Reason(kind, f"{series.name}: {message}", series.series_instance_uid)


def _listed(frames: list[PlacedFrame], along: NDArray[np.float64]) -> str:
    axis = "z = " if plane_name(_orientation(frames[0])) == "axial" else ""
    shown = ", ".join(f"{a:.1f}" for a in along[:_LISTED])
    more = f" and {len(along) - _LISTED} more" if len(along) > _LISTED else ""
    return f"{axis}{shown} mm{more}" if shown else ""


def _orthonormal(orientation: Sequence[float] | None, tol: StackTolerances) -> bool:
    if orientation is None:
        return False
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    return bool(
        abs(np.linalg.norm(row) - 1) <= tol.cosine
        and abs(np.linalg.norm(column) - 1) <= tol.cosine
        and abs(row @ column) <= tol.cosine
    )


def _orientation(frame: PlacedFrame) -> Sequence[float]:
    assert frame.info.orientation is not None
    return frame.info.orientation


def _positions(frames: list[PlacedFrame]) -> NDArray[np.float64]:
    return np.array([f.info.position for f in frames], dtype=float)


def _along(frames: list[PlacedFrame]) -> NDArray[np.float64]:
    along: NDArray[np.float64] = _positions(frames) @ slice_axis(_orientation(frames[0]))
    return along


def _lateral(frames: list[PlacedFrame]) -> NDArray[np.float64]:
    """(slices, 3) mm: where the first pixels lie, less their part along the normal."""
    lateral: NDArray[np.float64] = _positions(frames) - np.outer(_along(frames), slice_axis(_orientation(frames[0])))
    return lateral
