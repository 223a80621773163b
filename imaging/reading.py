"""What a pipeline says about a study: coded, measured, placed, and honest about what it did not look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from imaging.codes import Code
from imaging.geometry import Vector
from imaging.images import Mask
from imaging.reasons import Reason

NO_WEIGHTS = "n/a"
"""The precision of a model that is code alone."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model made a result.

    Parameters
    ----------
    sha256
        Of the model file; of the source text for a model without weights.
    precision
        ``float32``, ``float16`` …; `NO_WEIGHTS` for classical image analysis.
    parts
        Further models that read together with it; results are named after this one.
    """

    name: str
    version: str
    sha256: str
    precision: str = NO_WEIGHTS
    parts: tuple[ModelIdentity, ...] = ()

    @property
    def each(self) -> tuple[ModelIdentity, ...]:
        """Every model by itself, this one first."""
        return (replace(self, parts=()), *self.parts)

    @classmethod
    def together(cls, models: Sequence[ModelIdentity]) -> ModelIdentity:
        """Models that read together, as one."""
        first, *others = models
        return replace(first, parts=tuple(others))


@dataclass(frozen=True)
class Measurement:
    """A number with its coded meaning and unit.

    Parameters
    ----------
    error
        Half-width of the measurement's own uncertainty, in the same unit; None when it isn't known.
    by
        What gave the number, where it isn't the model that found the thing.
    """

    concept: Code
    value: float
    unit: Code
    derivation: Code | None = None
    error: float | None = None
    by: ModelIdentity | None = None


@dataclass(frozen=True)
class Assessment:
    """A coded judgement (category, grade) with the rule that decided."""

    concept: Code
    value: Code
    rule: str = ""


@dataclass(frozen=True)
class EarlierPlace:
    """Where a finding's place lies in an earlier examination.

    Parameters
    ----------
    series_instance_uid
        Of the earlier examination.
    key_slice
        Index into the slice axis of that series' volume.
    row, column
        On that slice, index.
    words
        What is to be said of it ("8.1 × 6.0 mm", "not there").
    """

    series_instance_uid: str
    key_slice: int
    row: float
    column: float
    words: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Parameters
    ----------
    number
        From 1, in the order in which the reading lists them; names its mask in `PipelineResult.masks`.
    category, kind
        As in a segment's property category and type, and the SR's finding category and finding.
    modifier
        Which part of ``kind`` and ``site`` it is (anterior, posterior …); None for the whole.
    site, laterality
        Anatomic region and its side; laterality None where it has none or isn't known.
    place
        The location in words for people ("right lung, upper third, slice 84").
    centre
        Patient coordinates x, y, z (LPS), mm.
    frame_of_reference_uid
        The frame in which ``centre`` is given.
    key_slice
        Index into the volume's slice axis on which the finding is shown best.
    confidence
        0..1, calibrated; None when the model has no calibrated confidence (a bare score isn't one).
    tracking_uid
        Of the finding in an earlier examination, where the pipeline took it from there; else given by the service:
        made once at a finding's first reading key and inherited when the study is read again.
    notes
        Sentences about it for people: what no code says.
    outlined_by
        What made its mask, where it isn't the model that found it.
    earlier
        Its place in the earlier examination that the pipeline was given, whether or not it was there.
    """

    number: int
    category: Code
    kind: Code
    site: Code
    laterality: Code | None
    place: str
    centre: Vector
    key_slice: int
    frame_of_reference_uid: str | None = None
    measurements: tuple[Measurement, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    confidence: float | None = None
    tracking_uid: str | None = None
    modifier: Code | None = None
    notes: tuple[str, ...] = ()
    outlined_by: ModelIdentity | None = None
    earlier: EarlierPlace | None = None

    def measured(self, concept: Code, derivation: Code | None = None) -> float | None:
        """The value of one measurement in its own unit, or None."""
        for m in self.measurements:
            if m.concept == concept and m.derivation == derivation:
                return m.value
        return None


class ReadingStatus(StrEnum):
    """How a reading ended."""

    READ = "read"
    NOT_READ = "not read"
    FAILED = "failed"


@dataclass(frozen=True)
class Reading:
    """The outcome of one pipeline on one study.

    Parameters
    ----------
    study_instance_uid
        The study.
    pipeline, pipeline_version
        Which pipeline.
    model
        Which model version, by digest; of several that read together, all.
    status, reason
        ``reason`` stands exactly when the status isn't READ.
    series_instance_uid, sop_instance_uids
        The series analysed and its instances in volume order; empty when nothing was.
    excluded
        Why each other series was not used.
    procedure
        Procedure reported, coded.
    analysed
        What was looked at, in words ("both lungs, 275 slices of 1.0 mm").
    conclusion
        The sentence for people. Never "normal" or "negative"; what it does not exclude stands in it.
    notes
        Image quality, what was mended in the headers, "outside tested range".
    window
        Centre and width, in the image's own units (HU for CT), in which the picture shows the findings; None leaves
        it to the image's header.
    prior_study_instance_uid
        The earlier examination that the pipeline was given; set by the service.
    """

    study_instance_uid: str
    pipeline: str
    pipeline_version: str
    model: ModelIdentity
    status: ReadingStatus
    procedure: Code
    conclusion: str
    analysed: str = ""
    findings: tuple[Finding, ...] = ()
    reason: Reason | None = None
    series_instance_uid: str | None = None
    sop_instance_uids: tuple[str, ...] = ()
    excluded: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    window: tuple[float, float] | None = None
    prior_study_instance_uid: str | None = None

    def __post_init__(self) -> None:
        if (self.status is ReadingStatus.READ) == (self.reason is not None):
            raise ValueError("a reading has a reason exactly when it was not read")
        if [f.number for f in self.findings] != list(range(1, len(self.findings) + 1)):
            raise ValueError("findings are numbered from 1 in order")


@dataclass(frozen=True, eq=False)
class PipelineResult:
    """A reading with the masks of its findings, by finding number; a finding may have none."""

    reading: Reading
    masks: Mapping[int, Mask]
