"""Which readers' outlines belong to a box of `lidc/voi`, and where in the scan the box lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from training.lidc.annotations import Annotation, Readers, Scan
from training.lidc.readers import Consensus, Votes, consensus, votes
from training.lidc.voi import Voi

LEAST_DICE = 0.7
"""Below this Dice of a box's mask and the readers' union they are not taken for one nodule."""


@dataclass(frozen=True, eq=False)
class Match:
    """A box and its readers.

    Parameters
    ----------
    nodule
        The annotations of the readers.
    scan
        The scan that they lie in.
    origin
        Slice, row and column, in the scan, of the box's first voxel; the slice counts from the feet.
    dice
        Of the box's mask and the union of the readers.
    """

    nodule: tuple[Annotation, ...]
    scan: Scan
    origin: tuple[int, int, int]
    dice: float

    @property
    def sizes(self) -> Consensus:
        """The readers' sizes, with sub-voxel geometry."""
        return consensus(self.nodule, self.scan)

    def counts(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """[slice, row, column] of the box: how many readers hold the voxel for nodule.

        Parameters
        ----------
        shape
            Of the box.
        """
        return self._laid(self.nodule, shape)

    def each(self, shape: tuple[int, int, int]) -> tuple[NDArray[np.bool_], ...]:
        """[slice, row, column] bool of the box, one for each reader."""
        return tuple(self._laid((annotation,), shape) > 0 for annotation in self.nodule)

    def _laid(self, nodule: tuple[Annotation, ...], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        found, first = votes(nodule, self.scan), _first(nodule, self.scan)
        into = np.zeros(shape, dtype=np.uint8)
        start = [a - b for a, b in zip((first, found.row, found.column), self.origin, strict=True)]
        target = tuple(slice(max(a, 0), max(a + n, 0)) for a, n in zip(start, found.counts.shape, strict=True))
        source = tuple(slice(max(-a, 0), max(b - a, 0)) for a, b in zip(start, shape, strict=True))
        into[target] = found.counts[source]
        return into

    def majority(self, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
        """[slice, row, column] bool of the box: half of the readers or more (the set's own mask is any reader)."""
        return 2 * self.counts(shape).astype(int) >= len(self.nodule)


def match(voi: Voi, readers: Readers) -> Match | None:
    """The readers of a box: the nodule of its scan whose union has the box's mask; None when there is none such."""
    scan = readers.scan(voi.series)
    return best_match(voi, readers.nodules(voi.series), scan)


def best_match(voi: Voi, nodules: Sequence[tuple[Annotation, ...]], scan: Scan) -> Match | None:
    """As `match`, among nodules at hand."""
    best: Match | None = None
    for nodule in nodules:
        heights = [o.z for annotation in nodule for o in annotation.outlines]
        if not min(heights) - scan.step <= voi.centre[2] <= max(heights) + scan.step:
            continue
        found = votes(nodule, scan)
        if not found.union.any():
            continue
        dice, shift = _aligned(voi.mask, found)
        if dice >= LEAST_DICE and (best is None or dice > best.dice):
            place = (_first(nodule, scan), found.row, found.column)
            origin = tuple(a - s for a, s in zip(place, shift, strict=True))
            best = Match(nodule, scan, (origin[0], origin[1], origin[2]), dice)
    return best


def _aligned(mask: NDArray[np.bool_], found: Votes) -> tuple[float, tuple[int, ...]]:
    """Greatest Dice over all shifts, and the index in ``mask`` at which ``found`` begins then."""
    union = found.union
    overlap = fftconvolve(mask.astype(np.float32), union[::-1, ::-1, ::-1].astype(np.float32))
    at = np.unravel_index(int(overlap.argmax()), overlap.shape)
    dice = 2 * round(float(overlap[at])) / (np.count_nonzero(mask) + np.count_nonzero(union))
    return dice, tuple(int(a) - (n - 1) for a, n in zip(at, union.shape, strict=True))


def _first(nodule: Sequence[Annotation], scan: Scan) -> int:
    lowest = min(o.z for annotation in nodule for o in annotation.outlines)
    return int(np.abs(scan.z - lowest).argmin())
