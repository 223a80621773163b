"""What lies in a source's folder: its cases, and the files that belong to none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from training.cohort.members import FileRole, natural
from training.cohort.refusals import Refusal, RefusalKind

Pixels = Callable[[], NDArray[Any]]
"""Reads a case's image as [slice, row, column] in the patient's axes (LPS), and checks its label against it.
Raises `Refused`.
"""


class Refused(Exception):
    """A case can't be taken; carries the typed reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True)
class Case:
    """A case that was found, not yet read.

    Parameters
    ----------
    subject
        Who it is of; None when that can't be told.
    files
        Role and path of each file, image first.
    pixels
        Reads it; None for what is no whole volume, and has been read already.
    fold
        In which fold the source's own table puts it; None where there is none.
    """

    name: str
    subject: str | None
    files: tuple[tuple[FileRole, Path], ...]
    pixels: Pixels | None
    fold: int | None = None


@dataclass(frozen=True)
class Found:
    """A source's cases, in the natural order of their names, and what is wrong with the others."""

    cases: tuple[Case, ...]
    refusals: tuple[Refusal, ...]


def in_order(cases: Sequence[Case]) -> tuple[Case, ...]:
    """By name, 9 before 10."""
    return tuple(sorted(cases, key=lambda case: natural(case.name)))


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order, but for hidden ones (an archive of macOS leaves such)."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def refuse(kind: RefusalKind, message: str, *cases: str) -> Refused:
    """The exception for one case."""
    return Refused(Refusal(kind, message, cases))


def patient_axes(image: sitk.Image) -> NDArray[Any]:
    """A SimpleITK image's voxels as [slice, row, column], axes permuted and turned to the patient's (LPS)."""
    return np.asarray(sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS")))
