"""Read one chest CT: find marks in the lungs, measure and place them, and say what was looked at."""

from __future__ import annotations

import numpy as np

from imaging import codes
from imaging.images import Mask, Volume
from imaging.pipeline import Pipeline, Selection
from imaging.reading import Finding, PipelineResult, Reading, ReadingStatus
from pipelines.lung_nodule.candidates import find_candidates
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.lung_nodule.grid import nearest
from pipelines.lung_nodule.locate import locate
from pipelines.lung_nodule.lungs import Lungs, find_lungs
from pipelines.lung_nodule.measure import key_slice, measurements
from pipelines.lung_nodule.outline import outline

LUNG_WINDOW = (-600.0, 1500.0)


def interpret(
    volume: Volume, selection: Selection, pipeline: Pipeline, configuration: LungNoduleConfiguration
) -> PipelineResult:
    """The marks of a volume, as `Pipeline.read` gives them.

    Raises
    ------
    ImageError
        ANATOMY_NOT_FOUND where no lungs are; WRONG_BODY_PART where only their bases are.
    """
    lungs = find_lungs(volume, configuration.lungs)
    candidates = find_candidates(volume, lungs, configuration.candidates)
    marks = [mask for candidate in candidates if (mask := outline(volume, candidate)) is not None]
    shown = marks[: configuration.max_findings]
    reading = Reading(
        study_instance_uid=volume.series.instances[0].study_instance_uid,
        pipeline=pipeline.name,
        pipeline_version=pipeline.version,
        model=pipeline.model,
        status=ReadingStatus.READ,
        procedure=pipeline.procedure,
        conclusion=_conclusion(len(marks), f"{pipeline.model.name} {pipeline.model.version}"),
        analysed=_analysed(volume, lungs),
        findings=tuple(_finding(n, mask, volume, lungs) for n, mask in enumerate(shown, start=1)),
        series_instance_uid=volume.series.series_instance_uid,
        sop_instance_uids=tuple(dict.fromkeys(s.sop_instance_uid for s in volume.slices)),
        excluded=selection.excluded,
        notes=volume.notes + tuple(_notes(volume, lungs, len(marks), configuration)),
        window=LUNG_WINDOW,
    )
    return PipelineResult(reading, dict(enumerate(shown, start=1)))


def _notes(volume: Volume, lungs: Lungs, marks: int, configuration: LungNoduleConfiguration) -> list[str]:
    notes = list(lungs.notes)
    most = configuration.max_findings
    if marks > most:
        notes.append(f"{marks - most} further marks of lower score are not listed.")
    for cut, where in ((lungs.cut_above, "uppermost"), (lungs.cut_below, "lowest")):
        if cut:
            notes.append(f"Partial lungs: they reach the {where} slice; what lies beyond was not analysed.")
    if volume.padded is not None:
        hidden = nearest(volume.padded, volume.geometry, lungs.geometry).astype(bool) & (lungs.labels > 0)
        hidden_ml = float(np.count_nonzero(hidden)) * lungs.geometry.voxel_volume / 1000
        if hidden_ml >= 1:
            notes.append(f"The field of view leaves out {hidden_ml:.0f} ml of the lungs (padding).")
    return notes + _outside_tested_range(volume, configuration)


def _outside_tested_range(volume: Volume, configuration: LungNoduleConfiguration) -> list[str]:
    tested = configuration.tested
    series = volume.series
    notes = []
    thickness = series.thickness if series.thickness is not None else volume.geometry.spacing[0]
    low, high = tested.thickness_mm
    if not low <= thickness <= high:
        notes.append(f"Outside tested range: slices {thickness:.2f} mm thick, tested {low:.2f} to {high:.2f} mm.")
    if not any(series.manufacturer.upper().startswith(m.upper()) for m in tested.manufacturers):
        names = ", ".join(tested.manufacturers)
        notes.append(f"Outside tested range: scanner of {series.manufacturer or 'unknown make'}, tested {names}.")
    return notes


def _conclusion(marks: int, by: str) -> str:
    if marks == 0:
        return f"No mark above threshold by {by}; does not exclude nodules."
    return f"{marks} mark{'s' if marks > 1 else ''} by {by}; does not exclude {'other ' if marks else ''}nodules."


def _analysed(volume: Volume, lungs: Lungs) -> str:
    slices, step = volume.geometry.shape[0], volume.geometry.spacing[0]
    return (
        f"{lungs.judged} ({lungs.volume_ml / 1000:.1f} l with vessels), {slices} slices {step:.2f} mm apart; "
        "solid nodules only, not mediastinum, pleura or bones"
    )


def _finding(number: int, mask: Mask, volume: Volume, lungs: Lungs) -> Finding:
    at = key_slice(mask)
    place = locate(mask, at, volume, lungs)
    frames = {i.frame_of_reference_uid for i in volume.series.instances}
    return Finding(
        number=number,
        category=codes.ABNORMAL_STRUCTURE,
        kind=codes.NODULE,
        site=place.site,
        laterality=place.laterality,
        place=place.words,
        centre=place.centre,
        key_slice=at,
        frame_of_reference_uid=frames.pop() if len(frames) == 1 else None,
        measurements=measurements(mask, volume),
    )
