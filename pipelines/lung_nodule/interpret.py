"""Read one chest CT: find, outline, measure, compare, judge; and say what was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imaging import codes
from imaging.images import Volume
from imaging.pipeline import Pipeline, Prior, Selection
from imaging.reading import Finding, ModelIdentity, PipelineResult, Reading, ReadingStatus
from imaging.stages import stage
from pipelines.lung_nodule.compare import Compared, Past, Present, compare
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.lung_nodule.followup.pairing import Shown
from pipelines.lung_nodule.grid import nearest
from pipelines.lung_nodule.guidelines.facts import Examination
from pipelines.lung_nodule.judge import judge
from pipelines.lung_nodule.locate import locate
from pipelines.lung_nodule.lungs import Lungs, find_lungs
from pipelines.lung_nodule.nodule import Nodule, Way, distinct
from pipelines.lung_nodule.told import examination_of, order_of

LUNG_WINDOW = (-600.0, 1500.0)


@dataclass(frozen=True)
class Told:
    """What goes into every finding beside the nodule itself."""

    shown: Shown
    examination: Examination
    first_ct: bool | None
    code: ModelIdentity


def interpret(
    volume: Volume,
    selection: Selection,
    prior: Prior | None,
    *,
    pipeline: Pipeline,
    way: Way,
    rules: LungNoduleConfiguration,
    code: ModelIdentity,
) -> PipelineResult:
    """What `Pipeline.read` gives.

    Parameters
    ----------
    way
        How nodules are found, outlined and measured.
    code
        What judges and compares.

    Raises
    ------
    ImageError
        ANATOMY_NOT_FOUND where no lungs are; WRONG_BODY_PART where only their bases are.
    """
    with stage("lungs"):
        lungs = find_lungs(volume, rules.lungs)
    with stage("find"):
        marks = way.find(volume, lungs)
    with stage("measure"):
        outlined = (way.measure(volume, mark) for mark in marks if mark.reported)
        every = distinct(nodule for nodule in outlined if nodule is not None)
    shown = every[: rules.max_findings]
    faint = [mark for mark in marks if not mark.reported]
    present = Present(Shown(volume, lungs), shown, faint)
    with stage("compare"):
        compared = compare(present, prior, way, rules) if prior is not None else Compared(tuple(shown), ())
    hidden_ml = _hidden_ml(volume, lungs)
    order = order_of(selection.study, volume.series, rules.order)
    told = Told(
        present.shown,
        examination_of(
            selection.study,
            volume,
            lungs,
            compared.nodules,
            order,
            hidden_ml=hidden_ml,
            dense_note_ml=rules.lungs.dense_note_ml,
        ),
        True if selection.no_earlier else order.first_ct,
        code,
    )
    pasts: Sequence[Past | None] = compared.pasts or (None,) * len(compared.nodules)
    pairs = zip(compared.nodules, pasts, strict=True)
    findings, common = _once([_finding(n, nodule, past, told) for n, (nodule, past) in enumerate(pairs, start=1)])
    total = len(every) + len(findings) - len(shown)
    reading = Reading(
        study_instance_uid=volume.series.instances[0].study_instance_uid,
        pipeline=pipeline.name,
        pipeline_version=pipeline.version,
        model=pipeline.model,
        status=ReadingStatus.READ,
        procedure=pipeline.procedure,
        conclusion=_conclusion(total, compared.pasts, f"{pipeline.model.name} {pipeline.model.version}"),
        analysed=_analysed(volume, lungs, way),
        findings=findings,
        series_instance_uid=volume.series.series_instance_uid,
        sop_instance_uids=tuple(dict.fromkeys(s.sop_instance_uid for s in volume.slices)),
        excluded=selection.excluded,
        notes=(
            *volume.notes,
            *_notes(lungs, total - len(findings), hidden_ml),
            *compared.notes,
            *common,
            *selection.notes,
        ),
        window=LUNG_WINDOW,
    )
    return PipelineResult(reading, {n: nodule.mask for n, nodule in enumerate(compared.nodules, start=1)})


def _finding(number: int, nodule: Nodule, past: Past | None, told: Told) -> Finding:
    volume, lungs = told.shown.volume, told.shown.lungs
    place = locate(nodule.mask, nodule.key_slice, volume, lungs)
    judged = judge(nodule, place, told.examination, past=past, first_ct=told.first_ct, by=told.code)
    frames = {i.frame_of_reference_uid for i in volume.series.instances}
    return Finding(
        number=number,
        category=codes.ABNORMAL_STRUCTURE,
        kind=codes.NODULE,
        site=place.site,
        laterality=place.laterality,
        place=place.words,
        centre=place.centre,
        key_slice=nodule.key_slice,
        frame_of_reference_uid=frames.pop() if len(frames) == 1 else None,
        measurements=nodule.measurements + judged.measurements,
        assessments=judged.assessments,
        tracking_uid=past.tracking_uid if past else None,
        notes=nodule.notes + judged.notes,
        outlined_by=nodule.outlined_by,
        earlier=past.place if past else None,
    )


def _once(findings: Sequence[Finding]) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What is said alike of every finding is said once, of them all."""
    if len(findings) < 2:
        return tuple(findings), ()
    first, *others = findings
    common = [note for note in first.notes if all(note in other.notes for other in others)]
    kept = tuple(replace(f, notes=tuple(n for n in f.notes if n not in common)) for f in findings)
    return kept, tuple(f"Every mark: {note}" for note in common)


def _hidden_ml(volume: Volume, lungs: Lungs) -> float:
    """Of the lungs that the field of view leaves out."""
    if volume.padded is None:
        return 0.0
    hidden = nearest(volume.padded, volume.geometry, lungs.geometry).astype(bool) & (lungs.labels > 0)
    return float(np.count_nonzero(hidden)) * lungs.geometry.voxel_volume / 1000


def _notes(lungs: Lungs, unlisted: int, hidden_ml: float) -> list[str]:
    notes = list(lungs.notes)
    if unlisted:
        notes.append(f"{unlisted} further marks of lower score are not listed.")
    for cut, where in ((lungs.cut_above, "uppermost"), (lungs.cut_below, "lowest")):
        if cut:
            notes.append(f"Partial lungs: they reach the {where} slice; what lies beyond was not analysed.")
    if hidden_ml >= 1:
        notes.append(f"The field of view leaves out {hidden_ml:.0f} ml of the lungs (padding).")
    return notes


def _conclusion(marks: int, pasts: Sequence[Past], by: str) -> str:
    if marks == 0:
        return f"No mark above threshold by {by}; does not exclude nodules."
    courses = [past.words for past in pasts]
    told = ", ".join(f"{courses.count(word)} {word}" for word in dict.fromkeys(courses))
    against = f" (against the earlier CT: {told})" if told else ""
    return f"{marks} mark{'s' if marks > 1 else ''} by {by}{against}; does not exclude other nodules."


def _analysed(volume: Volume, lungs: Lungs, way: Way) -> str:
    slices, step = volume.geometry.shape[0], volume.geometry.spacing[0]
    return (
        f"{lungs.judged} ({lungs.volume_ml / 1000:.1f} l with vessels), {slices} slices {step:.2f} mm apart; "
        f"{way.looks_for}, not mediastinum, pleura or bones"
    )
