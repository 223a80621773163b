"""Stored values -> modality values (Hounsfield units for CT), padding apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.reader.frames import frame_groups, macro
from dicom_node.reader.values import integer, number

FILL_HU = -1024
# A padding value this far below air can be no measurement, and one between these two may well be tissue.
_CLEAR_OF_AIR = 100.0
_TISSUE = (-900.0, 3071.0)


@dataclass(frozen=True)
class Rescale:
    """Rescale Slope (0028,1053) and Intercept (0028,1052)."""

    slope: float
    intercept: float

    def apply(self, stored: NDArray[Any]) -> NDArray[np.int16] | NDArray[np.float32]:
        """Modality values: int16 where every one is whole and fits, else float32."""
        if self.slope.is_integer() and self.intercept.is_integer():
            wide: NDArray[Any] = stored.astype(np.int64 if stored.itemsize > 2 else np.int32)
            whole = wide * int(self.slope) + int(self.intercept)
            if whole.min() >= -32768 and whole.max() <= 32767:
                return whole.astype(np.int16)
        values: NDArray[np.float32] = (stored * self.slope + self.intercept).astype(np.float32)
        return values


UNCHANGED = Rescale(1.0, 0.0)


@dataclass(frozen=True)
class Padding:
    """Stored values from ``low`` to ``high`` that are no measurement; ``value`` is the one declared."""

    low: float
    high: float
    value: int

    def where(self, stored: NDArray[Any]) -> NDArray[np.bool_]:
        """[row, column] bool, True on padding."""
        found: NDArray[np.bool_] = (stored >= self.low) & (stored <= self.high)
        return found


def rescale_of(dataset: Dataset, frame: int) -> Rescale | None:
    """The rescale of a frame (from 0), from its functional groups or the header; None when absent or malformed."""
    groups: Sequence[Dataset] = (dataset,)
    enhanced = frame_groups(dataset)
    if enhanced:
        item = macro(enhanced[frame], "PixelValueTransformationSequence")
        groups = (dataset,) if item is None else (item,)
    slope, intercept = number(groups[0], "RescaleSlope"), number(groups[0], "RescaleIntercept")
    if slope is None or intercept is None or slope == 0:
        return None
    return Rescale(slope, intercept)


def padding_of(dataset: Dataset, rescale: Rescale, *, ct: bool) -> tuple[Padding | None, str]:
    """What counts as padding in a frame, and a note on it where it isn't plainly what the header says.

    Pixel Padding Value (0028,0120) and Range Limit (0028,0121), PS3.3 C.7.5.1.1.2. In CT a value far below air
    stands for all stored values up to half way to air: lossy coding spreads it (-2000 becomes -2004 to -1996). A
    value that tissue may have is not taken as padding.
    """
    declared = _stored(dataset, "PixelPaddingValue")
    if declared is None:
        return None, ""
    limit = _stored(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((declared, declared if limit is None else limit))
    if not ct or rescale.slope < 0:
        return Padding(low, high, declared), ""
    low_hu, high_hu = low * rescale.slope + rescale.intercept, high * rescale.slope + rescale.intercept
    if high_hu < FILL_HU - _CLEAR_OF_AIR:
        half_way = ((high_hu + FILL_HU) / 2 - rescale.intercept) / rescale.slope
        return Padding(-np.inf, half_way, declared), ""
    if high_hu >= _TISSUE[0] and low_hu <= _TISSUE[1]:
        note = f"Pixel Padding Value {declared} ({low_hu:g} HU) may be tissue and was not taken as padding"
        return None, note
    return Padding(low, high, declared), ""


def _stored(dataset: Dataset, keyword: str) -> int | None:
    """A padding value in the pixels' own sign: some scanners write -2000 as the unsigned 63536."""
    value = integer(dataset, keyword)
    bits = integer(dataset, "BitsAllocated") or 16
    if value is None:
        return None
    signed = integer(dataset, "PixelRepresentation") == 1
    turn: int = 2**bits
    if signed and value >= turn // 2:
        return value - turn
    return value + turn if not signed and value < 0 else value
