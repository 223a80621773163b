"""A mark and an outlined, measured nodule, whichever way they were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from imaging.geometry import Vector
from imaging.images import Mask, Volume
from imaging.reading import Measurement, ModelIdentity
from pipelines.lung_nodule.guidelines.facts import NoduleFacts
from pipelines.lung_nodule.lungs import Lungs


@dataclass(frozen=True, eq=False)
class Mark:
    """A place where a nodule was seen.

    Parameters
    ----------
    point
        x, y, z (LPS), mm.
    diameter
        About, mm.
    score
        It ranks; it is no probability. None where the way of finding has none worth telling.
    reported
        False for one too faint to be reported by itself: it may be the partner of a nodule of the other CT.
    found
        What the way of finding needs to outline it; None where there is only the place.
    """

    point: Vector
    diameter: float
    score: float | None = None
    reported: bool = True
    found: Any = None


@dataclass(frozen=True, eq=False)
class Nodule:
    """One nodule of one CT, outlined and measured.

    Parameters
    ----------
    mask
        On the scan's own voxels.
    key_slice
        Index of the slice on which its axes were measured.
    measurements
        As they are reported.
    facts
        Sizes, density, calcium and fat, for the guidelines; all else is unknown in it.
    volume_error
        Half-width of the 95 % interval of its volume, mm³.
    notes
        What is to be said of its outline and numbers.
    outlined_by
        What made the mask, where it isn't the model that found it.
    """

    mark: Mark
    mask: Mask
    key_slice: int
    measurements: tuple[Measurement, ...]
    facts: NoduleFacts
    volume_error: float
    notes: tuple[str, ...] = ()
    outlined_by: ModelIdentity | None = None

    @property
    def ball_mm(self) -> float:
        """Diameter of the ball of its volume, mm."""
        volume = self.facts.volume_mm3 if self.facts.volume_mm3 is not None else self.mask.volume
        return float(np.cbrt(6 / np.pi * volume))


def distinct(nodules: Iterable[Nodule]) -> list[Nodule]:
    """Each nodule once: several marks on one large nodule outline the same; the first one stays."""
    kept: list[Nodule] = []
    for nodule in nodules:
        if not any(_same(nodule.mask, other.mask) for other in kept):
            kept.append(nodule)
    return kept


def _same(one: Mask, other: Mask) -> bool:
    """Whether two masks on one grid share half of the smaller one or more."""
    low = np.maximum(one.offset, other.offset)
    high = np.minimum(np.add(one.offset, one.array.shape), np.add(other.offset, other.array.shape))
    if (low >= high).any():
        return False
    parts = [
        m.array[tuple(slice(a - o, b - o) for a, b, o in zip(low, high, m.offset, strict=True))] for m in (one, other)
    ]
    shared = np.count_nonzero(parts[0] & parts[1])
    return bool(2 * shared >= min(np.count_nonzero(m.array) for m in (one, other)))


class Way(Protocol):
    """A way of finding, outlining and measuring: the classical baseline's, or the networks'."""

    @property
    def looks_for(self) -> str:
        """What it looks for, in words."""
        ...

    def find(self, volume: Volume, lungs: Lungs) -> Sequence[Mark]:
        """Marks in the lungs, the most likely first."""
        ...

    def measure(self, volume: Volume, mark: Mark) -> Nodule | None:
        """The nodule at a mark; None where none can be outlined there."""
        ...
