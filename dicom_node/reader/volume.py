"""A series -> `Volume`, or a typed reason instead of a wrong one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.reader.pixels import hostile, label, load_pixels, stored_values, undecodable
from dicom_node.reader.rescale import FILL_HU, UNCHANGED, padding_of, rescale_of
from dicom_node.reader.stack import PlacedFrame, check_stack, ordered_frames
from dicom_node.reader.values import text
from imaging.errors import ImageError
from imaging.geometry import Geometry
from imaging.images import SliceSource, Volume
from imaging.reasons import Reason, ReasonKind
from imaging.study import SeriesInfo

PathOf = Callable[[str], Path]
Progress = Callable[[int, int], None]
Stage = Callable[[str], AbstractContextManager[None]]
"""Makes a context manager that surrounds a stage of the work, for whoever measures it."""

_MOST_VOXELS = 2**31


@dataclass(frozen=True)
class _Slice:
    place: int
    values: NDArray[np.int16] | NDArray[np.float32]
    padded: NDArray[np.bool_] | None
    notes: tuple[str, ...]


def unmeasured(name: str) -> AbstractContextManager[None]:
    """A `Stage` that does nothing."""
    return nullcontext()


def build_volume(
    series: SeriesInfo, path_of: PathOf, *, on_progress: Progress | None = None, stage: Stage = unmeasured
) -> Volume:
    """Build the volume of a classic or enhanced multi-frame CT, MR or PET series.

    Parameters
    ----------
    path_of
        From an instance's ``blob`` to its file.
    on_progress
        Called with slices done and slices in all.
    stage
        Entered as ``decode`` whenever a file is read and a frame decoded; the rest of the time the volume is built.

    Raises
    ------
    ImageError
        The series' defect (see `check_stack`), or UNDECODABLE, TRUNCATED, WRONG_UNITS with the instance named.
    """
    frames = _checked_frames(series)
    shape = (len(frames), frames[0].instance.rows or 0, frames[0].instance.columns or 0)
    if int(np.prod(shape, dtype=np.int64)) > _MOST_VOXELS:
        message = f"{series.name}: {shape} voxels are more than {_MOST_VOXELS // 2**20} Mi. Send a smaller matrix."
        raise ImageError(Reason(ReasonKind.OUTSIDE_LIMITS, message, series.series_instance_uid))
    array: NDArray[Any] = np.empty(shape, dtype=np.int16)
    padded: NDArray[np.bool_] | None = None
    notes = dict.fromkeys(_header_notes(frames))
    for done, piece in enumerate(_decoded(series, frames, range(len(frames)), path_of, stage), 1):
        if piece.values.dtype == np.float32 and array.dtype == np.int16:
            array = array.astype(np.float32)
        array[piece.place] = piece.values
        if piece.padded is not None:
            padded = np.zeros(shape, dtype=bool) if padded is None else padded
            padded[piece.place] = piece.padded
        notes.update(dict.fromkeys(piece.notes))
        if on_progress is not None:
            on_progress(done, len(frames))
    geometry = Geometry.from_stack(
        shape,
        np.array([f.info.position for f in frames], dtype=float),
        frames[0].info.orientation or (),
        frames[0].info.pixel_spacing or (),
    )
    sources = tuple(
        SliceSource(f.instance.sop_instance_uid, f.index + 1 if len(f.instance.frames) > 1 else None) for f in frames
    )
    return Volume(array, geometry, sources, series, padded, tuple(notes))


def decode_slices(series: SeriesInfo, indices: Sequence[int], path_of: PathOf) -> dict[int, NDArray[np.float32]]:
    """Single slices of the volume that `build_volume` makes of a series, by their index on its slice axis.

    Returns
    -------
    dict
        Index -> [row, column] float32, Hounsfield units for CT; padding holds -1024.

    Raises
    ------
    ImageError
        As `build_volume`.
    IndexError
        The volume has no such slice.
    """
    frames = _checked_frames(series)
    wrong = [k for k in indices if not 0 <= k < len(frames)]
    if wrong:
        raise IndexError(f"slices {wrong} of a volume of {len(frames)}")
    pieces = _decoded(series, frames, sorted(set(indices)), path_of, unmeasured)
    return {piece.place: piece.values.astype(np.float32) for piece in pieces}


def _checked_frames(series: SeriesInfo) -> list[PlacedFrame]:
    reason = series.defect or check_stack(series)
    if reason is None and not any(i.is_image for i in series.instances):
        message = f"{series.name} has no images."
        reason = Reason(ReasonKind.NO_IMAGES, message, series.series_instance_uid)
    if reason is not None:
        raise ImageError(reason)
    return ordered_frames(series)


def _decoded(
    series: SeriesInfo, frames: list[PlacedFrame], places: Sequence[int], path_of: PathOf, stage: Stage
) -> Iterator[_Slice]:
    """The frames at ``places``, each instance opened once."""
    by_instance: dict[str, list[int]] = defaultdict(list)
    for place in places:
        by_instance[frames[place].instance.sop_instance_uid].append(place)
    for wanted in by_instance.values():
        instance = frames[wanted[0]].instance
        with hostile(instance, series):
            with stage("decode"):
                ds = load_pixels(path_of(instance.blob), instance, series)
            photometric = text(ds, "PhotometricInterpretation")
            if instance.modality == "CT" and photometric != "MONOCHROME2":
                detail = f"Photometric Interpretation (0028,0004) is {photometric}, not MONOCHROME2"
                raise undecodable(series, instance, detail)
            stored = stored_values(ds, [frames[p].index for p in wanted])
            for place, values in zip(wanted, _measured(stored, stage), strict=True):
                yield _slice(series, frames[place], place, values, ds)


def _measured(stored: Iterator[NDArray[Any]], stage: Stage) -> Iterator[NDArray[Any]]:
    while True:
        with stage("decode"):
            values = next(stored, None)
        if values is None:
            return
        yield values


def _slice(series: SeriesInfo, frame: PlacedFrame, place: int, stored: NDArray[Any], ds: Dataset) -> _Slice:
    ct = series.modality == "CT"
    # the classic MR image has no modality LUT (PS3.3 C.8.3): what is stored is what was measured
    rescale = rescale_of(ds, frame.index) or (UNCHANGED if series.modality == "MR" and not _rescaled(ds) else None)
    if rescale is None:
        message = (
            f"{series.name}, {label(frame.instance)}: Rescale Slope or Intercept (0028,1053/1052) is absent or "
            "malformed, so its values have no unit. Send the original images."
        )
        raise ImageError(Reason(ReasonKind.WRONG_UNITS, message, series.series_instance_uid))
    padding, note = padding_of(ds, rescale, ct=ct)
    notes = [note] if note else []
    mask = padding.where(stored) if padding is not None else None
    if padding is None or mask is None or not mask.any():
        return _Slice(place, rescale.apply(stored), None, tuple(notes))
    if ct:
        if np.any(stored[mask] != padding.value):
            notes.append(
                f"Pixel Padding Value {padding.value} did not survive exactly (lossy coding, clipping): stored "
                f"values up to {padding.high:g}, far below air, were taken as padding"
            )
        # padded voxels must not force the volume to float32, so they are set before the rescale
        values = rescale.apply(np.where(mask, np.array(0, stored.dtype), stored))
        values[mask] = FILL_HU
    else:
        values = rescale.apply(stored)
    return _Slice(place, values, mask, tuple(notes))


def _rescaled(ds: Dataset) -> bool:
    """Whether the header of a classic image says anything about rescaling."""
    return "RescaleSlope" in ds or "RescaleIntercept" in ds or "SharedFunctionalGroupsSequence" in ds


def _header_notes(frames: list[PlacedFrame]) -> list[str]:
    references = {f.instance.frame_of_reference_uid for f in frames}
    notes = []
    if len(references) > 1:
        notes.append(
            f"Frame of Reference UID (0020,0052) takes {len(references)} values within the series; its slices were "
            "taken as one frame of reference"
        )
    elif references == {None}:
        notes.append("Frame of Reference UID (0020,0052) is absent; the slices were taken as one frame of reference")
    return notes
