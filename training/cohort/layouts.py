"""Which reader a source's layout has."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from training.cohort.cases import Found
from training.cohort.description import (
    ChestCt,
    DicomSeries,
    ImagesLabels,
    LidcExams,
    LidcVoi,
    SourceDescription,
)
from training.cohort.dicom import find_chest_ct, find_dicom
from training.cohort.lung import find_candidates, find_exams, find_voi
from training.cohort.nifti import find_nifti


def find(source: SourceDescription, data: Path, classes: Collection[int]) -> Found:
    """The cases of a source.

    Parameters
    ----------
    data
        The folder that the source's folder lies in.
    classes
        The values that a label image may hold.
    """
    folder = data / source.folder
    match source:
        case ImagesLabels():
            return find_nifti(source, folder, classes)
        case DicomSeries():
            return find_dicom(folder)
        case ChestCt():
            return find_chest_ct(source, data)
        case LidcVoi():
            return find_voi(source, data)
        case LidcExams():
            return find_exams(folder)
        case _:
            return find_candidates(folder)
