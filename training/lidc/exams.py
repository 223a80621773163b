"""Nodules of LIDC by exam, as segmented slices: `lidc/patches`. Never mixed with the other LIDC sets.

Its exams carry no patient and no series, so nothing tells which of them the other sets hold too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from imaging.errors import CohortError
from training.lidc.tables import read_arrays

FILES = ("patches.npz",)
SIZE = 64
"""Rows and columns of a slice."""


@dataclass(frozen=True, eq=False)
class ExamNodule:
    """A nodule on 8-bit slices of unknown spacing.

    Parameters
    ----------
    number
        Its place in the set.
    exam
        The examination; the set knows no patient.
    slices
        [slice, row, column] uint8, 64 by 64; 0 outside the nodule. Read-only.
    malignant
        The readers' opinion, never pathology.
    """

    number: int
    exam: str
    slices: NDArray[np.uint8]
    malignant: bool


class ExamSet(Sequence[ExamNodule]):
    """The nodules in the order of the set."""

    def __init__(
        self,
        slices: NDArray[np.uint8],
        first: NDArray[np.integer],
        malignant: NDArray[np.uint8],
        exams: NDArray[np.str_],
    ) -> None:
        self._slices, self._first, self._malignant, self._exams = slices, first, malignant, exams
        slices.setflags(write=False)

    def __len__(self) -> int:
        return len(self._exams)

    def __iter__(self) -> Iterator[ExamNodule]:
        return (self[number] for number in range(len(self)))

    @overload
    def __getitem__(self, at: int) -> ExamNodule: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[ExamNodule]: ...
    def __getitem__(self, at: int | slice) -> ExamNodule | Sequence[ExamNodule]:
        number = range(len(self))[at]
        if isinstance(number, range):
            return [self[n] for n in number]
        pictures = self._slices[self._first[number] : self._first[number + 1]]
        return ExamNodule(number, str(self._exams[number]), pictures, bool(self._malignant[number]))


def load_exams(folder: Path) -> ExamSet:
    """Open the set.

    Parameters
    ----------
    folder
        Holds `patches.npz`.

    Raises
    ------
    CohortError
        The file is missing, or its content isn't as the packing promises.
    """
    path = folder / FILES[0]
    packed = read_arrays(path, slices="u1", nodule="i", malignant="u1", exam="U")
    slices, nodule, exams = packed["slices"], packed["nodule"], packed["exam"]
    if slices.shape != (len(nodule), SIZE, SIZE) or len(packed["malignant"]) != len(exams):
        raise CohortError(f"{path}: slices {slices.shape} for {len(nodule)} numbers; get it again")
    counts = np.bincount(nodule, minlength=len(exams)) if len(nodule) and nodule.min() >= 0 else np.zeros(0, int)
    if len(counts) != len(exams) or counts.min() < 1 or np.any(np.diff(nodule) < 0):
        raise CohortError(f"{path}: the slices aren't those of nodules 0 to {len(exams) - 1} in order; get it again")
    if packed["malignant"].max() > 1 or np.any(exams == ""):
        raise CohortError(f"{path}: a nodule has no exam, or is neither malignant nor benign")
    return ExamSet(slices, np.concatenate([[0], np.cumsum(counts)]), packed["malignant"], exams)
