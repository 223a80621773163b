"""Lung cases that are no whole volumes: candidates as patches of a slice, and nodules with their readers' rating."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Geometry, Vector
from pipelines.lung_nodule.traits import OF_NODULE, TRAITS, traits
from training.cases import LabelledVolume
from training.cohort import Member
from training.insertion.load import KnownNodule, is_boxes, load_nodules, unaltered
from training.lidc import candidates, exams
from training.lidc.candidates import Candidate, CandidateSet
from training.lidc.exams import ExamNodule

_LUNG_WINDOW = (-1350, 150)  # HU
_SLICES_WINDOW = (-1000.0, 200.0)  # HU of 0 and 255, not told by the set: soft tissue (its peak, 219) lies at 31 then


@dataclass(frozen=True, eq=False)
class Patch:
    """A candidate in memory.

    Parameters
    ----------
    subject
        The patient, or the range of scans that it is of: no fold parts one.
    hu
        [row, column] float32: rows to the patient's back, columns to the left, on the slice's own pixels.
    """

    case: str
    subject: str
    hu: NDArray[np.float32]
    nodule: bool


@dataclass(frozen=True)
class PatchFile:
    """Implements `training.evaluation.evaluator.Case`."""

    found: CandidateSet
    candidate: Candidate
    digests: tuple[str, ...]

    @property
    def case(self) -> str:
        """Its line in LUNA16's list."""
        return f"candidate {self.candidate.candidate}"

    def load(self) -> Patch:
        """CohortError when it can't be decoded."""
        one = self.candidate
        return Patch(self.case, one.group, self.found.hu(one), one.nodule)


def is_candidates(member: Member) -> bool:
    """Whether the member stands for candidates of one patient, or range of scans."""
    return {Path(file.path).name for file in member.files} == set(candidates.FILES)


def patches_of(members: Collection[Member], data: Path) -> list[PatchFile]:
    """Every candidate of the members, in the order of the set.

    Raises
    ------
    CohortError
        A file was altered, or can't be read.
    """
    groups = {member.case: member for member in members if is_candidates(member)}
    if not groups:
        return []
    files = next(iter(groups.values())).files
    for file in files:
        unaltered(data / file.path, file.sha256)
    found = candidates.load_candidates((data / files[0].path).parent)
    digests = tuple(file.sha256 for file in files)
    return [PatchFile(found, one, digests) for one in found if one.group in groups]


@dataclass(frozen=True, eq=False)
class Rated:
    """Implements `training.evaluation.evaluator.Case`: a nodule with its readers' rating, its own loaded form.

    Parameters
    ----------
    subject
        Patient ID; the examination where no patient is known.
    suspicious
        The set's own vote. Of the boxes: half or more of the readers rate the likelihood of malignancy 4 or 5 of 5.
    diameter
        What is known of it, mm: of the sphere of the readers' volume, as the set gives it. Of slices without spacing,
        of the disc of the largest section, pixels.
    hu
        [slice, row, column].
    outlines
        Makes masks of the same shape: the majority's, then any others there are.
    spacing
        mm; ones where nobody knows.
    traits
        How many of `TRAITS`, from the first, the set can tell.
    """

    case: str
    subject: str
    suspicious: bool
    diameter: float
    hu: NDArray[np.generic]
    outlines: Callable[[], Iterable[NDArray[np.bool_]]]
    spacing: Vector
    traits: int
    digests: tuple[str, ...]

    def load(self) -> Rated:
        """What it holds was checked and read with the whole set."""
        return self

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        """[outline, trait]: the majority's first; an outline round nothing is left out."""
        masks = (mask for mask in self.outlines() if mask.any())
        return np.stack([traits(self.hu, mask, self.spacing)[: self.traits] for mask in masks])

    @property
    def volume(self) -> LabelledVolume:
        """The nodule as half or more of the readers outline it, in what lies round it."""
        place = Geometry(np.shape(self.hu), self.spacing, (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
        mask = next(iter(self.outlines())).astype(np.uint8)
        return LabelledVolume(self.case, self.subject, np.clip(self.hu, *_LUNG_WINDOW), mask, place)


def is_exam(member: Member) -> bool:
    """Whether the member stands for the nodules of one examination, as segmented slices."""
    return {Path(file.path).name for file in member.files} == set(exams.FILES)


def rated_of(members: Collection[Member], data: Path) -> list[Rated]:
    """Every nodule with a rating among the members: as a box, by name, or as segmented slices, in the set's order.

    Raises
    ------
    CohortError
        A file was altered, or can't be read.
    """
    boxes = sorted((member for member in members if is_boxes(member)), key=lambda member: member.case)
    digests = {member.case: tuple(file.sha256 for file in member.files) for member in boxes}
    found = [_of_box(known, digests[known.box.key]) for known in load_nodules(boxes, data)]
    theirs = {member.case: member for member in members if is_exam(member)}
    if not theirs:
        return found
    (file,) = next(iter(theirs.values())).files
    unaltered(data / file.path, file.sha256)
    nodules = exams.load_exams((data / file.path).parent)
    return found + [_of_slices(nodule, (file.sha256,)) for nodule in nodules if nodule.exam in theirs]


def _of_box(known: KnownNodule, digests: tuple[str, ...]) -> Rated:
    box, readers = known.box, known.readers
    majority = known.piece.share >= 0.5

    def outlines() -> Iterator[NDArray[np.bool_]]:
        yield majority if majority.any() else box.mask
        yield box.mask
        yield from readers.each(box.hu.shape) if readers else ()

    z, y, x = box.spacing
    return Rated(
        case=box.key,
        subject=box.patient,
        suspicious=box.malignant_vote,
        diameter=box.diameter_mm,
        hu=box.hu,
        outlines=outlines,
        spacing=(z, y, x),
        traits=len(TRAITS),
        digests=digests,
    )


def _of_slices(nodule: ExamNodule, digests: tuple[str, ...]) -> Rated:
    mask = nodule.slices > 0
    low, high = _SLICES_WINDOW
    return Rated(
        case=f"exam {nodule.exam} nodule {nodule.number}",
        subject=nodule.exam,
        suspicious=nodule.malignant,
        diameter=float(np.sqrt(4 / np.pi * np.count_nonzero(mask, axis=(1, 2)).max())),
        hu=nodule.slices.astype(np.float32) * ((high - low) / 255) + low,
        outlines=lambda: (mask,),
        spacing=(1.0, 1.0, 1.0),
        traits=len(OF_NODULE),
        digests=digests,
    )
