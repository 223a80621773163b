"""A reading that was asked for: everything its steps need, in one file under its key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from dicom_node.assembly import Evidence
from imaging.pipeline import Refusal, Selection
from imaging.reading import ModelIdentity
from imaging.reasons import Reason, ReasonKind
from imaging.study import StudyInfo
from models.store import ModelStore
from pipelines.released import AnyPipeline
from service.workflows.keys import image_instances, images_digest, read_instances, reading_key
from service.workflows.models import NO_MODELS, NoVersion, current

NO_EARLIER = "none"


@dataclass(frozen=True)
class PriorReference:
    """The earlier examination that a reading is given: where its images and its own reading are.

    Parameters
    ----------
    study
        Its headers, without its series.
    selection
        What the pipeline selects of it.
    days
        How long before the study that is read it was made.
    reading
        Key of its latest reading by the same pipeline, ended or not; None when it was never asked for.
    """

    study: StudyInfo
    selection: Selection
    days: float
    reading: str | None = None

    @property
    def images(self) -> str:
        """`images_digest` of what was selected of it."""
        return images_digest(i for series in self.selection.series for i in series.instances)

    @property
    def made(self) -> str:
        """When it was made, for people."""
        return "an unknown date" if self.study.study_date is None else self.study.study_date.isoformat()


@dataclass(frozen=True)
class ReadingRequest:
    """What is to be read, why now, and what it follows.

    Parameters
    ----------
    key
        `reading_key`.
    images
        `images_digest` of what the key covers.
    study_images
        `images_digest` of all images of the study when it was complete.
    answer
        The pipeline's selection or refusal.
    header_blobs
        Spool names of the instances whose headers the results carry on: the selected ones in order, or one of the
        study's images.
    evidence
        Why the study counted as complete.
    predecessor
        Key of the reading of the same study by the same pipeline that came before, if any.
    report_not_ours
        Whether the radiologist also gets an SR about what isn't this pipeline's to read (else: a state only).
    waits_for
        Why it can't be read yet: its model has no version that may read. It is asked for anew when there is one.
    prior
        The earlier examination that is read with it.
    notes
        What the report says of how it was asked for: an earlier examination that could not be had.
    """

    key: str
    study_instance_uid: str
    pipeline: str
    pipeline_version: str
    model: ModelIdentity
    images: str
    study_images: str
    answer: Selection | Refusal
    header_blobs: tuple[str, ...]
    evidence: Evidence
    requested_at: datetime
    predecessor: str | None = None
    report_not_ours: bool = False
    waits_for: str = ""
    prior: PriorReference | None = None
    notes: tuple[str, ...] = ()

    @property
    def refusal(self) -> Reason | None:
        """Why the pipeline refused by the headers alone; None when it selected."""
        return self.answer.reason if isinstance(self.answer, Refusal) else None

    def reports(self, reason: Reason | None) -> bool:
        """Whether a reading that ended so is written as objects."""
        return reason is None or reason.ours or self.report_not_ours

    def with_prior(
        self, pipeline: AnyPipeline, prior: PriorReference | None, notes: tuple[str, ...] = (), none: bool = False
    ) -> ReadingRequest:
        """The same with an earlier examination: another one is another reading, and so is one that knows of none."""
        answer = self.answer
        if none and isinstance(answer, Selection):
            answer = replace(answer, no_earlier=True)
        same = replace(self, answer=answer, prior=prior, notes=notes)
        return replace(same, key=reading_key(self.images, pipeline, self.model, same.earlier))

    @property
    def earlier(self) -> str:
        """What the key holds of the earlier examination."""
        none = isinstance(self.answer, Selection) and self.answer.no_earlier
        return self.prior.images if self.prior else NO_EARLIER if none else ""


def make_request(
    study: StudyInfo,
    pipeline: AnyPipeline,
    evidence: Evidence,
    predecessor: str | None = None,
    gone: Collection[str] = frozenset(),
    *,
    models: ModelStore = NO_MODELS,
) -> ReadingRequest:
    """Select and describe one reading; nothing is stored.

    Parameters
    ----------
    gone
        Spool names of the instances that were released: a selection of them is refused, and a header is taken from
        what is left.
    models
        Where the champion of the pipeline's model is looked up, where it needs one: once, so that selection, key and
        request are of the same version.
    """
    waits_for = ""
    try:
        reader = current(pipeline, models)
    except NoVersion as error:
        waits_for, model = str(error), error.model
        answer = at_hand(pipeline.select(study), gone)
    else:
        model = reader.model
        answer = at_hand(reader.select(study), gone)
    covered = read_instances(study, answer)
    refusal = answer.reason if isinstance(answer, Refusal) else None
    images = images_digest(covered, refusal.kind if refusal else "")
    request = ReadingRequest(
        key=reading_key(images, pipeline, model),
        study_instance_uid=study.study_instance_uid,
        pipeline=pipeline.name,
        pipeline_version=pipeline.version,
        model=model,
        images=images,
        study_images=images_digest(image_instances(study)),
        answer=answer,
        header_blobs=tuple([i.blob for i in covered if i.blob not in gone][: 1 if refusal else None]),
        evidence=evidence,
        requested_at=evidence.at,
        predecessor=predecessor,
        report_not_ours=pipeline.report_not_ours,
    )
    # what isn't this pipeline's to read needs no model to say so
    return replace(request, waits_for=waits_for) if request.reports(refusal) else request


def at_hand(answer: Selection | Refusal, gone: Collection[str]) -> Selection | Refusal:
    """The answer, unless it selects images that can't be read any more."""
    if isinstance(answer, Refusal):
        return answer
    selected = [instance.blob for series in answer.series for instance in series.instances]
    lost = sum(blob in gone for blob in selected)
    return Refusal(images_gone(lost, len(selected)), answer.excluded) if lost else answer


def images_gone(lost: int, selected: int) -> Reason:
    """Why images that were released, or whose files were taken away, aren't read."""
    message = (
        f"{lost} of the {selected} images to be read were received once and are not kept here any more. "
        "Send the study again, complete, and ask for it to be read."
    )
    return Reason(ReasonKind.IMAGES_GONE, message)
