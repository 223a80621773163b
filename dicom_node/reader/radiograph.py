"""One projection image -> `Radiograph`, bright where the film would be bright."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.reader.pixels import hostile, load_pixels, stored_values, undecodable
from dicom_node.reader.rescale import rescale_of
from dicom_node.reader.values import integer, items, numbers, text
from imaging.images import Radiograph, SliceSource, SpacingKind
from imaging.study import InstanceInfo, SeriesInfo


def build_radiograph(instance: InstanceInfo, series: SeriesInfo, path: Path) -> Radiograph:
    """Decode a single-frame projection image.

    The Modality LUT Sequence (0028,3000) or rescale is applied, then MONOCHROME1 is turned over within the range
    that the stored bits can take. The VOI window is left to whoever looks.

    Raises
    ------
    ImageError
        UNDECODABLE (colour, several frames, a decoder's error) or TRUNCATED, naming the instance.
    """
    if len(instance.frames) > 1:
        raise undecodable(series, instance, f"it has {len(instance.frames)} frames; a radiograph has one")
    with hostile(instance, series):
        return _decoded(load_pixels(path, instance, series), instance, series)


def _decoded(ds: Dataset, instance: InstanceInfo, series: SeriesInfo) -> Radiograph:
    stored = next(stored_values(ds, [0]))
    bits = integer(ds, "BitsStored") or 8 * stored.itemsize
    signed = integer(ds, "PixelRepresentation") == 1
    bounds = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    notes = []
    lut = items(ds, "ModalityLUTSequence")
    if lut:
        values, ends = _look_up(lut[0], stored, signed=signed)
    else:
        rescale = rescale_of(ds, 0)
        slope, intercept = (1.0, 0.0) if rescale is None else (rescale.slope, rescale.intercept)
        values, ends = stored * slope + intercept, bounds * slope + intercept
    if text(ds, "PhotometricInterpretation") == "MONOCHROME1":
        values = float(ends[0]) + float(ends[1]) - values
        notes.append("MONOCHROME1 was turned over to MONOCHROME2")
    spacing, kind = _spacing(ds)
    return Radiograph(
        np.ascontiguousarray(values, dtype=np.float32),
        spacing,
        kind,
        SliceSource(instance.sop_instance_uid),
        series,
        tuple(notes),
    )


def _spacing(ds: Dataset) -> tuple[tuple[float, float] | None, SpacingKind]:
    """Row and column spacing, mm, and what it is (PS3.3 10.7.1.3).

    Pixel Spacing is calibrated when it says how, or differs from Imager Pixel Spacing. Equal to it, it is the
    detector's; so is Imager Pixel Spacing alone, and Pixel Spacing alone, as older CR writes it: no calibration
    is claimed there.
    """
    imager, pixel = numbers(ds, "ImagerPixelSpacing", 2), numbers(ds, "PixelSpacing", 2)
    found = pixel or imager
    if found is None or min(found) <= 0:
        return None, "none"
    said = bool(text(ds, "PixelSpacingCalibrationType"))
    differs = imager is not None and pixel is not None and not np.allclose(imager, pixel, rtol=1e-4)
    kind: SpacingKind = "calibrated" if pixel is not None and (said or differs) else "imager"
    return (found[0], found[1]), kind


def _look_up(lut: Dataset, stored: NDArray[Any], *, signed: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values through a Modality LUT (PS3.3 C.11.1.1), and the range its entries may take."""
    if "LUTDescriptor" not in lut or "LUTData" not in lut:
        raise ValueError("the Modality LUT (0028,3000) lacks its descriptor or data")
    count, first, bits = (int(v) for v in lut.LUTDescriptor)
    if not signed and first < 0:
        first += 2**16
    data = lut.LUTData
    if isinstance(data, bytes):
        # two bytes an entry even for 8 bits, unless the data is too short for that
        wide = len(data) >= 2 * (count or 2**16)
        data = np.frombuffer(data, dtype=("<u2" if lut.original_encoding[1] else ">u2") if wide else np.uint8)
    entries = np.asarray(data, dtype=np.int64)[: count or 2**16]
    if not entries.size or bits not in range(8, 17):
        raise ValueError(f"the Modality LUT (0028,3000) has {entries.size} entries of {bits} bits")
    index = np.clip(stored.astype(np.int64) - first, 0, entries.size - 1)
    return entries[index].astype(np.float64), np.array([0.0, 2.0**bits - 1])
