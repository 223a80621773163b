"""Lung cases that are no whole volumes: candidates as patches of a slice, and nodules with their readers' rating."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Geometry
from pipelines.lung_nodule.traits import traits
from training.cases import LabelledVolume
from training.cohort import Member
from training.insertion.load import KnownNodule, is_boxes, load_nodules, unaltered
from training.lidc import candidates
from training.lidc.candidates import Candidate, CandidateSet

_LUNG_WINDOW = (-1350, 150)  # HU


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
    """Implements `training.evaluation.evaluator.Case`: a nodule with its readers' rating, its own loaded form."""

    known: KnownNodule
    digests: tuple[str, ...]

    @property
    def case(self) -> str:
        """Its name in the set."""
        return self.known.box.key

    @property
    def subject(self) -> str:
        """Patient ID."""
        return self.known.box.patient

    @property
    def suspicious(self) -> bool:
        """Whether half or more of its readers call it suspicious: the set's own vote, a tie counts."""
        return self.known.box.malignant_vote

    @property
    def diameter(self) -> float:
        """Of the sphere of the readers' volume, as the set gives it, mm."""
        return self.known.box.diameter_mm

    def load(self) -> Rated:
        """What it holds was checked and read with the whole set."""
        return self

    @cached_property
    def row(self) -> NDArray[np.float32]:
        """[trait] as half or more of the readers outline it."""
        return self._traits(self.known.piece.share >= 0.5)

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        """[outline, trait]: as half or more of the readers outline it, then as any, then as each of them."""
        box, readers = self.known.box, self.known.readers
        each = readers.each(box.hu.shape) if readers else ()
        return np.stack([self.row, *(self._traits(mask) for mask in (box.mask, *each) if mask.any())])

    @property
    def volume(self) -> LabelledVolume:
        """The box, and the nodule in it as half or more of the readers outline it."""
        box = self.known.box
        z, y, x = box.spacing
        place = Geometry(box.hu.shape, (z, y, x), (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
        labels = (self.known.piece.share >= 0.5).astype(np.uint8)
        return LabelledVolume(self.case, self.subject, np.clip(box.hu, *_LUNG_WINDOW), labels, place)

    def _traits(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        box = self.known.box
        return traits(box.hu, mask if mask.any() else box.mask, box.spacing)


def rated_of(members: Collection[Member], data: Path) -> list[Rated]:
    """Every nodule as a box among the members, by name; CohortError when a file was altered, or can't be read."""
    boxes = sorted((member for member in members if is_boxes(member)), key=lambda member: member.case)
    found = load_nodules(boxes, data)
    return [
        Rated(known, tuple(file.sha256 for file in member.files)) for known, member in zip(found, boxes, strict=True)
    ]
