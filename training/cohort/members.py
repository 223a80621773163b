"""The nouns of a cohort: what it holds, from where, who allowed it, and on which side of a split it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

FORMAT = 1


def below(path: str) -> str:
    """The path, where it leads nowhere but below the folder that it is joined to; ValueError else."""
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or "\0" in path:
        raise ValueError("is no path below the data folder, such as hippocampus/images/case_1.nii.gz")
    return path


def _single(name: str) -> str:
    if len(PurePosixPath(below(name)).parts) != 1 or "/" in name:
        raise ValueError("is no case's name, such as case_1")
    return name


class Split(StrEnum):
    """What a member may be used for; each subject stands in one split only."""

    TRAIN = "train"
    VALIDATION = "validation"
    GATE = "gate"
    TEST = "test"


DEVELOPMENT = (Split.TRAIN, Split.VALIDATION)
"""The splits that a run may see, and that are cut into folds for cross-validation."""


class Use(StrEnum):
    """What an approval allows."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    RELEASE = "release"


class FileRole(StrEnum):
    """What a file is to its case."""

    IMAGE = "image"
    LABEL = "label"
    PACK = "pack"
    """Holds many cases; each of them names it."""


@dataclass(frozen=True)
class FileRecord:
    """A file as it was when the cohort was frozen.

    Parameters
    ----------
    path
        Below the data folder, with forward slashes.
    sha256
        Of the file's bytes, in hexadecimal.
    bytes
        Its size.
    """

    role: FileRole
    path: Annotated[str, AfterValidator(below)]
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Member:
    """One case.

    Parameters
    ----------
    case
        Its name within the source: the file's name without ending, or the Series Instance UID.
    source
        Name of the source; subjects are compared within a source.
    subject
        Who it is of, in the source's own numbering.
    fold
        Fold of cross-validation, from 0; None for those that stand outside it: gate and test, unless the gate's split
        is a fold.
    files
        Image first, then label; a DICOM series has many images.
    fingerprint
        Of the image, as `training.cohort.fingerprint` makes it; empty for what is no whole volume.
    """

    case: Annotated[str, AfterValidator(_single)]
    source: str
    subject: str
    split: Split
    fold: int | None
    files: tuple[FileRecord, ...]
    fingerprint: str

    @property
    def side(self) -> tuple[Split, int | None]:
        """What must be kept apart: the split, and within it the fold."""
        return self.split, self.fold

    @property
    def person(self) -> tuple[str, str]:
        """The subject, told apart from another source's subject of the same number."""
        return self.source, self.subject


@dataclass(frozen=True)
class Source:
    """Where members come from.

    Parameters
    ----------
    origin
        In words: which collection, which part of it.
    licence
        Of the data.
    folder
        Below the data folder, with forward slashes.
    """

    name: str
    origin: str
    licence: str
    folder: Annotated[str, AfterValidator(below)]


@dataclass(frozen=True)
class Approval:
    """Who allowed the use of these data, what for, and until when (the day itself included)."""

    by: str
    purpose: str
    uses: tuple[Use, ...]
    given: date
    until: date

    def objection(self, use: Use, on: date) -> str:
        """Why ``use`` isn't allowed on that day; empty when it is."""
        if on > self.until:
            return f"the approval by {self.by} ended on {self.until}, and it is {on}: have it renewed"
        if on < self.given:
            return f"the approval by {self.by} begins on {self.given}, and it is {on}"
        if use not in self.uses:
            return f"the approval by {self.by} allows {', '.join(self.uses)}, not {use}"
        return ""


@dataclass(frozen=True)
class Assignment:
    """By what rule subjects were given their sides (`training.cohort.splits`).

    Parameters
    ----------
    shares
        Share of the subjects that each split gets, in the order of `Split`; they add up to 1.
    locked
        Subjects, as ``source/subject``, whose split was fixed by hand.
    """

    seed: str
    shares: Mapping[Split, float]
    folds: int
    locked: Mapping[str, Split]


@dataclass(frozen=True)
class Cohort:
    """What a run may see, frozen. Two cohorts are the same when their digests are.

    Parameters
    ----------
    classes
        Name of each value that a label image may hold.
    members
        In order of source and case.
    """

    name: str
    title: str
    approval: Approval
    sources: tuple[Source, ...]
    classes: Mapping[int, str]
    assignment: Assignment
    members: tuple[Member, ...]
    format: int = FORMAT

    @cached_property
    def digest(self) -> str:
        """Identity: sha256 of the canonical JSON, in hexadecimal."""
        return sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The canonical JSON: UTF-8, keys in order, no white space; the same cohort always gives the same bytes."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
        return text.encode()

    def only(self, *splits: Split) -> tuple[Member, ...]:
        """Members of these splits."""
        return tuple(m for m in self.members if m.split in splits)

    def fold(self, number: int) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
        """Members to train on and to validate on when a fold is left out.

        Raises
        ------
        ValueError
            There is no such fold.
        """
        if not 0 <= number < self.assignment.folds:
            raise ValueError(f"fold {number}: the cohort has folds 0 to {self.assignment.folds - 1}")
        own = tuple(m for m in self.members if m.fold is not None)
        return tuple(m for m in own if m.fold != number), tuple(m for m in own if m.fold == number)


def _plain(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a cohort holds no {type(value).__name__}")


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Sorting key by which 9 comes before 10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text) if part)
