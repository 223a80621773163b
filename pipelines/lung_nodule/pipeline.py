"""The pipeline: choose the chest CT, find marks in the lungs, measure and place them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imaging import codes
from imaging.codes import Code
from imaging.images import Mask, Volume
from imaging.pipeline import Engine, Image, Refusal, Selection
from imaging.reading import Finding, ModelIdentity, PipelineResult, Reading, ReadingStatus
from imaging.study import StudyInfo
from pipelines.lung_nodule.candidates import Candidate, find_candidates
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.lung_nodule.grid import nearest
from pipelines.lung_nodule.locate import centre_of, locate
from pipelines.lung_nodule.lungs import Lungs, find_lungs
from pipelines.lung_nodule.measure import key_slice, measurements
from pipelines.lung_nodule.outline import outline
from pipelines.selection import select

NAME = "lung_nodule"
MODEL = "lung_nodule_baseline"
VERSION = "0.1.0"
LUNG_WINDOW = (-600.0, 1500.0)


def source_digest() -> str:
    """sha256 of this folder's source text: what stands for weights in a model that has none."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class LungNodulePipeline:
    """Implements `imaging.pipeline.Pipeline`. It needs no engine."""

    def __init__(self, configuration: LungNoduleConfiguration) -> None:
        self._configuration = configuration
        self._model = ModelIdentity(MODEL, VERSION, source_digest())

    @property
    def name(self) -> str:
        return NAME

    @property
    def version(self) -> str:
        return VERSION

    @property
    def model(self) -> ModelIdentity:
        return self._model

    @property
    def procedure(self) -> Code:
        return codes.CT_STUDY

    @property
    def configuration(self) -> Mapping[str, Any]:
        return self._configuration.model_dump(mode="json")

    @property
    def report_not_ours(self) -> bool:
        return self._configuration.report_not_ours

    def select(self, study: StudyInfo) -> Selection | Refusal:
        return select(study, self._configuration.selection)

    def read(self, images: Sequence[Image], selection: Selection, engine: Engine) -> PipelineResult:
        """Read one CT volume.

        Raises
        ------
        ImageError
            ANATOMY_NOT_FOUND where no lungs are; WRONG_BODY_PART where only their bases are.
        """
        if len(images) != 1 or not isinstance(images[0], Volume):
            raise ValueError(f"{NAME} reads exactly one volume")
        volume = images[0]
        lungs = find_lungs(volume, self._configuration.lungs)
        marks: list[tuple[Candidate, Mask]] = []
        for candidate in find_candidates(volume, lungs, self._configuration.candidates):
            mask = outline(volume, candidate)
            if mask is not None:
                marks.append((candidate, mask))
        shown = [mask for _, mask in marks[: self._configuration.max_findings]]
        findings = tuple(_finding(n, mask, volume, lungs) for n, mask in enumerate(shown, start=1))
        reading = Reading(
            study_instance_uid=volume.series.instances[0].study_instance_uid,
            pipeline=NAME,
            pipeline_version=VERSION,
            model=self._model,
            status=ReadingStatus.READ,
            procedure=self.procedure,
            conclusion=_conclusion(len(marks)),
            analysed=_analysed(volume, lungs),
            findings=findings,
            series_instance_uid=volume.series.series_instance_uid,
            sop_instance_uids=tuple(dict.fromkeys(s.sop_instance_uid for s in volume.slices)),
            excluded=selection.excluded,
            notes=volume.notes + tuple(self._notes(volume, lungs, len(marks))),
            window=LUNG_WINDOW,
        )
        return PipelineResult(reading, dict(enumerate(shown, start=1)))

    def _notes(self, volume: Volume, lungs: Lungs, marks: int) -> list[str]:
        notes = []
        most = self._configuration.max_findings
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
        return notes + self._outside_tested_range(volume)

    def _outside_tested_range(self, volume: Volume) -> list[str]:
        tested = self._configuration.tested
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


def _conclusion(marks: int) -> str:
    by = f"{MODEL} {VERSION}"
    if marks == 0:
        return f"No mark above threshold by {by}; does not exclude nodules."
    return f"{marks} mark{'s' if marks > 1 else ''} by {by}; does not exclude {'other ' if marks else ''}nodules."


def _analysed(volume: Volume, lungs: Lungs) -> str:
    part = "the shown part of both lungs" if lungs.cut_above or lungs.cut_below else "both lungs"
    slices, step = volume.geometry.shape[0], volume.geometry.spacing[0]
    return (
        f"{part} ({lungs.volume_ml / 1000:.1f} l with vessels), {slices} slices {step:.2f} mm apart; "
        "solid nodules only, not mediastinum, pleura or bones"
    )


def _finding(number: int, mask: Mask, volume: Volume, lungs: Lungs) -> Finding:
    at = key_slice(mask)
    place = locate(mask, at, lungs)
    frames = {i.frame_of_reference_uid for i in volume.series.instances}
    return Finding(
        number=number,
        category=codes.ABNORMAL_STRUCTURE,
        kind=codes.NODULE,
        site=codes.LUNG,
        laterality=place.laterality,
        place=place.words,
        centre=centre_of(mask),
        key_slice=at,
        frame_of_reference_uid=frames.pop() if len(frames) == 1 else None,
        measurements=measurements(mask, volume),
    )
