"""How large a nodule is to its readers: axes and volume of each reader's outlines, their median and their spread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.lidc.annotations import Annotation, Scan
from training.lidc.outlines import Outline, axes_of, extent, section


@dataclass(frozen=True)
class ReaderSizes:
    """Sizes of one nodule.

    Parameters
    ----------
    long_axis, short_axis
        Longest distance in an axial slice, in the slice where it is longest, and the longest chord at right angles to
        it there; mm.
    volume
        Area strictly within the outlines times the distance between slices, mm³.
    """

    long_axis: float
    short_axis: float
    volume: float

    @property
    def mean_diameter(self) -> float:
        """Mean of long and short axis, mm."""
        return (self.long_axis + self.short_axis) / 2


@dataclass(frozen=True)
class Consensus:
    """What the readers of one nodule say of its size, one by one."""

    each: tuple[ReaderSizes, ...]

    @property
    def median(self) -> ReaderSizes:
        """The median over the readers of each quantity."""
        return ReaderSizes(*(float(np.median(self._of(what))) for what in ("long_axis", "short_axis", "volume")))

    def spread(self, what: str) -> tuple[float, float]:
        """Least and greatest of ``long_axis``, ``short_axis``, ``mean_diameter`` or ``volume`` over the readers."""
        values = self._of(what)
        return min(values), max(values)

    def deviations(self, what: str) -> list[float]:
        """Each reader's value less the median of the *other* readers': how far one reader is from the rest."""
        values = self._of(what)
        if len(values) < 2:
            return []
        return [one - float(np.median(values[:k] + values[k + 1 :])) for k, one in enumerate(values)]

    def _of(self, what: str) -> list[float]:
        return [float(getattr(sizes, what)) for sizes in self.each]


@dataclass(frozen=True, eq=False)
class Votes:
    """How many readers hold each voxel of a box for nodule.

    Parameters
    ----------
    counts
        [slice, row, column] uint8, slices ascending in z.
    z
        Of each slice, mm.
    row, column
        Of the box's first voxel, in the slice.
    readers
        How many there are.
    """

    counts: NDArray[np.uint8]
    z: NDArray[np.float64]
    row: int
    column: int
    readers: int

    @property
    def majority(self) -> NDArray[np.bool_]:
        """[slice, row, column] bool: half of the readers or more."""
        return 2 * self.counts.astype(int) >= self.readers

    @property
    def union(self) -> NDArray[np.bool_]:
        """[slice, row, column] bool: any reader."""
        return self.counts > 0


def sizes_of(annotation: Annotation, scan: Scan) -> ReaderSizes:
    """Sizes of one reader's outlines; all 0 where nothing lies within any of them."""
    slices = by_slice(annotation)
    axes = max((axes_of(outlines, scan.pixel) for outlines in slices.values()), key=lambda a: (a.long, a.short))
    pixels = sum(int(np.count_nonzero(section(outlines, extent(outlines)))) for outlines in slices.values())
    return ReaderSizes(axes.long, axes.short, pixels * scan.pixel**2 * scan.step)


def consensus(nodule: Sequence[Annotation], scan: Scan) -> Consensus:
    """Sizes to all readers of a nodule; one whose outlines surround nothing is passed over unless all do."""
    each = tuple(sizes_of(annotation, scan) for annotation in nodule)
    return Consensus(tuple(sizes for sizes in each if sizes.volume > 0) or each)


def votes(nodule: Sequence[Annotation], scan: Scan) -> Votes:
    """Lay the readers' outlines over each other, on the scan's own pixels and slices."""
    row, column, rows, columns = extent([o for annotation in nodule for o in annotation.outlines])
    places = {o.z: _slice_at(o.z, scan) for annotation in nodule for o in annotation.outlines}
    first, last = min(places.values()), max(places.values())
    counts = np.zeros((last - first + 1, rows, columns), dtype=np.uint8)
    for annotation in nodule:
        for z, outlines in by_slice(annotation).items():
            counts[places[z] - first] += section(outlines, (row, column, rows, columns))
    return Votes(counts, scan.z[first : last + 1], row, column, len(nodule))


def by_slice(annotation: Annotation) -> dict[float, list[Outline]]:
    """The outlines of each slice, by its z in mm."""
    slices: dict[float, list[Outline]] = defaultdict(list)
    for outline in annotation.outlines:
        slices[outline.z].append(outline)
    return slices


def _slice_at(z: float, scan: Scan) -> int:
    return int(np.abs(scan.z - z).argmin())
