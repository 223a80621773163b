"""One study as the earlier examination of another: the same patient's, made before, and selected."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import structlog

from dicom_node.reader.identity import PatientIdentity
from imaging.pipeline import Pipeline, PriorRules, Refusal
from imaging.study import StudyInfo
from service.priors.identity import differing
from service.workflows.requests import PriorReference, at_hand

log = structlog.get_logger(__name__)

_OTHER_PATIENTS = {"Patient ID", "Issuer of Patient ID"}


@dataclass(frozen=True)
class Wish:
    """A pipeline that is about to read a study, and what it wants beside it.

    Parameters
    ----------
    pipeline
        As it would read now.
    modality
        Of what it selected.
    """

    pipeline: Pipeline
    rules: PriorRules
    modality: str


@dataclass(frozen=True)
class Found:
    """What came of looking.

    Parameters
    ----------
    notes
        What the report must say: an earlier examination that there is and that could not be had.
    none
        The archive was asked and has none.
    """

    prior: PriorReference | None = None
    notes: tuple[str, ...] = ()
    none: bool = False


def wanted_age(rules: PriorRules, days: float | None) -> bool:
    """Whether a study that was made so many days before is one that is wanted; None: that isn't known."""
    return days is not None and days > 0 and rules.least_days <= days <= rules.most_days


def choose(
    study: StudyInfo,
    earlier: StudyInfo,
    wish: Wish,
    *,
    patient: PatientIdentity,
    other: PatientIdentity,
    released: Collection[str] = frozenset(),
) -> Found:
    """Take a study as the earlier examination; nothing where it is another patient's, isn't older or isn't selected.

    Parameters
    ----------
    patient, other
        Whose study and whose earlier one it is.
    released
        Spool names of its instances that aren't kept any more.
    """
    if differences := differing(patient, other):
        log.warning("another patient's study", study=earlier.study_instance_uid, differing=differences)
        if _OTHER_PATIENTS & set(differences):
            return Found()
        made = earlier.study_date
        return Found(None, (f"The examination of {made} under this Patient ID is not compared: "
                            f"it differs in {', '.join(differences)}",))  # fmt: skip
    days = earlier.days_before(study)
    answer = at_hand(wish.pipeline.select(earlier), released)
    if days is None or not wanted_age(wish.rules, days) or isinstance(answer, Refusal):
        return Found()
    return Found(PriorReference(replace(earlier, series=()), answer, days))
