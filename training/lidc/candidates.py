"""Candidates of LUNA16 as 2-D patches of real CT: `lidc/luna16_patches`, nodules and false positives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from imaging.errors import CohortError
from training.lidc.folds import FoldTable, lung_folds
from training.lidc.tables import Row, read_arrays, read_index

FILES = ("index.csv", "patches.npz")
SIZE = 50
"""Rows and columns of a patch."""

LOWEST_HU, HIGHEST_HU = -1000.0, 400.0
"""What 0 and 255 stand for; denser and thinner is cut off."""

LEFT_OUT_RANKS = (231, 520, 718, 772, 814, 949)
"""Places, in the set's own order of scans, of the series that the fold table leaves out (`docs/lung-data.md`)."""

_COLUMNS = ("cand_index", "label", "seriesuid", "patient", "rank_lo", "rank_hi", "pixel_mm", "fold", "border")


class LeftOut(StrEnum):
    """Why a patch isn't used."""

    BORDER = "may lie in either of two folds"
    SECOND_SCAN = "is, or may be, of a patient's further scan, in another fold than the patient"


@dataclass(frozen=True)
class Candidate:
    """A patch, without its pixels.

    Parameters
    ----------
    number
        Its place in the set.
    candidate
        Line of LUNA16's list of candidates.
    nodule
        True: a nodule. False: something that was taken for one (vessel, scar, rib …).
    fold
        As in the one fold table.
    series, patient
        Where the scan is known; else empty.
    ranks
        First and last place that the scan may have in the set's own order of scans; patches of one range may be of
        one patient.
    pixel
        mm, where the scan is known; else None.
    """

    number: int
    candidate: int
    nodule: bool
    fold: int
    series: str
    patient: str
    ranks: tuple[int, int]
    pixel: float | None

    @property
    def group(self) -> str:
        """The patient, or the range of scans: the finest unit by which patches may be resampled."""
        return self.patient or "scans {}-{}".format(*self.ranks)


class CandidateSet(Sequence[Candidate]):
    """The patches that may be used, in the order of the set; pixels are decoded when they are asked for.

    Parameters
    ----------
    jpeg, ends
        All files one after another, and where each begins; the last entry is the end.
    left_out
        How many are not there, and why.
    """

    def __init__(
        self,
        items: Sequence[Candidate],
        jpeg: NDArray[np.uint8],
        ends: NDArray[np.integer[Any]],
        left_out: Mapping[LeftOut, int],
    ) -> None:
        self._items, self._jpeg, self._ends, self.left_out = tuple(items), jpeg, ends, dict(left_out)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._items)

    @overload
    def __getitem__(self, at: int) -> Candidate: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, at: int | slice) -> Candidate | Sequence[Candidate]:
        return self._items[at]

    def encoded(self, candidate: Candidate) -> bytes:
        """A patch's JPEG file."""
        start, end = self._ends[candidate.number : candidate.number + 2]
        return self._jpeg[start:end].tobytes()

    def hu(self, candidate: Candidate) -> NDArray[np.float32]:
        """[row, column] float32, Hounsfield units from -1000 to 400; CohortError when the patch can't be decoded."""
        try:
            with Image.open(BytesIO(self.encoded(candidate))) as picture:
                grey = np.asarray(picture)
        except (UnidentifiedImageError, OSError) as error:
            raise CohortError(f"patch {candidate.number} can't be decoded: {error}") from None
        if grey.shape != (SIZE, SIZE):
            raise CohortError(f"patch {candidate.number} is of shape {grey.shape}, not {SIZE} by {SIZE} grey values")
        return grey * np.float32((HIGHEST_HU - LOWEST_HU) / 255) + np.float32(LOWEST_HU)


def load_candidates(folder: Path, table: FoldTable | None = None) -> CandidateSet:
    """Open the set, without what may cross the folds.

    Parameters
    ----------
    folder
        Holds `index.csv` and `patches.npz`.
    table
        Says who is in which fold; the shipped one when None.

    Raises
    ------
    CohortError
        A file is missing, or its content isn't as the packing promises.
    """
    rows = read_index(folder / FILES[0], _COLUMNS)
    packed = read_arrays(folder / FILES[1], jpg="u1", off="i")
    ends = packed["off"]
    if len(ends) != len(rows) + 1 or ends[0] != 0 or np.any(np.diff(ends) <= 0) or ends[-1] != len(packed["jpg"]):
        raise CohortError(f"{folder / FILES[1]}: doesn't hold the {len(rows):,} patches of the index; get it again")
    table = table or lung_folds()
    items = []
    left_out: Counter[LeftOut] = Counter()
    for number, row in enumerate(rows):
        reason = _reason(row, table)
        if reason is None:
            items.append(_candidate(number, row))
        else:
            left_out[reason] += 1
    return CandidateSet(items, packed["jpg"], ends, left_out)


def _reason(row: Row, table: FoldTable) -> LeftOut | None:
    if row.count("border"):
        return LeftOut.BORDER
    if series := row.values["seriesuid"]:
        return None if table.fold_of_series(series) == row.count("fold") else LeftOut.SECOND_SCAN
    first, last = row.count("rank_lo"), row.count("rank_hi")
    return LeftOut.SECOND_SCAN if any(first <= rank <= last for rank in LEFT_OUT_RANKS) else None


def _candidate(number: int, row: Row) -> Candidate:
    label = row.count("label")
    if label > 1:
        raise CohortError(f"{row.at}: label is {label}, not 0 or 1")
    return Candidate(
        number=number,
        candidate=row.count("cand_index"),
        nodule=bool(label),
        fold=row.count("fold"),
        series=row.values["seriesuid"],
        patient=row.values["patient"],
        ranks=(row.count("rank_lo"), row.count("rank_hi")),
        pixel=row.number("pixel_mm") if row.values["pixel_mm"] else None,
    )
