"""The written rules by which a CT or MR pipeline chooses a series: what a hospital configures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from imaging.reasons import ReasonKind

Criterion = Literal["coverage", "thickness", "extent", "kernel", "original"]
KINDS = (
    ReasonKind.LOCALIZER,
    ReasonKind.REFORMAT,
    ReasonKind.PROJECTION,
    ReasonKind.DUAL_ENERGY_MAP,
    ReasonKind.DOSE_PAGE,
    ReasonKind.DERIVED,
)


def plain(text: str) -> str:
    """Text for comparing: capitals, no accents, every run of marks or blanks as one blank."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c)).upper()
    return re.sub(r"[\W_]+", " ", bare).strip()


def contains(text: str, words: Iterable[str]) -> str | None:
    """The first of ``words`` that ``text`` holds, or None.

    Case, accents and punctuation don't count. Words in Latin letters stand alone (``COR`` isn't in ``CORTEX``) unless
    they end with ``*``; words in scripts without blanks (胸部) may stand inside others.
    """
    where = plain(text)
    for word in words:
        sought = plain(word)
        if not sought.isascii():
            if sought in where:
                return word
        elif re.search(rf"(?<![A-Z0-9]){re.escape(sought)}" + ("" if word.endswith("*") else r"(?![A-Z0-9])"), where):
            return word
    return None


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


class Rules(BaseModel):
    """A part of a configuration: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BodyPartRule(Rules):
    """Which body parts are read, by words in the series' own header, else in the study's description."""

    accepted: tuple[str, ...] = Field(
        description="Any of these makes the series acceptable, whatever else stands there."
    )
    other: tuple[str, ...] = Field((), description="Words of other body parts: without an accepted word, not read.")
    unknown: bool = Field(
        True, description="Whether a series that says nothing is tried (the anatomy decides later)."
    )
    enforced: bool = Field(True, description="false: body parts are ignored and every series is tried.")


class ExcludedKind(Rules):
    """A kind of image that is never read, recognised by Image Type (0008,0008) or by words of the description."""

    kind: ReasonKind = Field(description="The reason given.")
    image_type: tuple[str, ...] = Field((), description="Values of Image Type; a trailing * stands for any ending.")
    words: tuple[str, ...] = Field((), description="Words of Series Description or Protocol Name.")
    unless_image_type: tuple[str, ...] = Field((), description="Values of Image Type that lift the exclusion.")

    @model_validator(mode="after")
    def _known(self) -> ExcludedKind:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind}")
        if not self.image_type and not self.words:
            raise ValueError("give image_type or words")
        return self


class KernelClass(Rules):
    """Reconstruction kernels that are equally welcome."""

    name: str
    patterns: tuple[Annotated[str, AfterValidator(_expression)], ...] = Field(
        description="Regular expressions for Convolution Kernel (0018,1210), from its start, capitals or not."
    )

    def fits(self, kernel: str) -> bool:
        """Whether one of the patterns describes ``kernel``."""
        return any(re.match(p, kernel.strip(), re.IGNORECASE) for p in self.patterns)


class SelectionRules(Rules):
    """Which series of a study is read, and which of several."""

    modalities: tuple[str, ...] = Field(description="Accepted Modality (0008,0060).")
    body_parts: BodyPartRule
    excluded: tuple[ExcludedKind, ...] = Field(
        (), description="Kinds of image that are never read; the first that fits."
    )
    rescale_types: tuple[str, ...] = Field((), description="Accepted Rescale Type; '' = not said; empty list = any.")
    orientations: tuple[str, ...] = Field((), description="axial, coronal, sagittal, oblique; empty list = any.")
    thickness_mm: tuple[float, float] = Field((0.0, 1000.0), description="Least and greatest slice thickness, mm.")
    spacing_mm_max: float = Field(1000.0, gt=0, description="Greatest distance between slices, mm.")
    min_slices: int = Field(1, ge=1, description="Fewest images.")
    min_extent_mm: float = Field(0.0, ge=0, description="Least distance of first and last slice, mm.")
    kernels: tuple[KernelClass, ...] = Field((), description="Kernel classes, the most welcome first.")
    full_share: float = Field(
        0.8, gt=0, le=1, description="A series with at least this share of the largest acceptable extent is complete."
    )
    thin_enough_mm: float = Field(0.0, ge=0, description="Thinner than this, mm, is no better.")
    extent_step_mm: float = Field(10.0, gt=0, description="Extents within one step, mm, are equal.")
    ranking: tuple[Criterion, ...] = Field(
        ("coverage", "thickness", "extent", "kernel", "original"),
        description="What decides among acceptable series, in order; then the lower Series Number, then the UID.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> SelectionRules:
        if self.thickness_mm[0] > self.thickness_mm[1]:
            raise ValueError("thickness_mm: give the least first")
        if len(set(self.ranking)) != len(self.ranking):
            raise ValueError("ranking: a criterion stands twice")
        return self
