"""Read one crop: segment it, measure the parts, and say where the measurement ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imaging import codes
from imaging.codes import Code
from imaging.errors import ImageError
from imaging.images import Mask, Volume
from imaging.pipeline import OpenModel, Pipeline, Selection
from imaging.reading import Finding, Measurement, PipelineResult, Reading, ReadingStatus
from imaging.reasons import Reason, ReasonKind
from models.segmentation import label_volume
from models.spec import Label, ModelSpec

_SIDES = {"R": codes.RIGHT, "L": codes.LEFT}


def interpret(
    volume: Volume,
    selection: Selection,
    *,
    pipeline: Pipeline,
    model: OpenModel,
    spec: ModelSpec,
) -> PipelineResult:
    """The volumes of a crop's parts, as `Pipeline.read` gives them.

    Parameters
    ----------
    spec
        The description as released with ``model``; its input is a volume.

    Raises
    ------
    ImageError
        ANATOMY_NOT_FOUND where the model finds neither part.
    """
    labels = label_volume(model, spec, volume.array, volume.geometry, volume.padded)
    by = f"{model.identity.name} {model.identity.version}"
    parts = {label: _mask(labels == label.value, volume) for label in spec.output.labels}
    found = {label: mask for label, mask in parts.items() if mask is not None}
    if not found:
        uid = volume.series.series_instance_uid
        message = f"{volume.series.name}: no hippocampus found by {by}; is the image a crop around one?"
        raise ImageError(Reason(ReasonKind.ANATOMY_NOT_FOUND, message, uid))
    missing = [label.name for label, mask in parts.items() if mask is None]
    notes = [f"Limitation: no {name} hippocampus was found; that part is not measured." for name in missing]
    notes += [_cut(label) for label, mask in found.items() if _touches_edge(mask)]
    findings = [_part(n, label, mask, volume) for n, (label, mask) in enumerate(found.items(), start=1)]
    masks = list(found.values())
    if not missing:
        # a segment of its own, over the parts: a group without one beside theirs is no valid report
        masks.append(Mask.from_full(labels > 0, volume.geometry))
        findings.append(_whole(len(masks), masks[-1], volume))
    reading = Reading(
        study_instance_uid=volume.series.instances[0].study_instance_uid,
        pipeline=pipeline.name,
        pipeline_version=pipeline.version,
        model=model.identity,
        status=ReadingStatus.READ,
        procedure=pipeline.procedure,
        conclusion=_conclusion({label.name: mask for label, mask in found.items()}, missing, by),
        analysed=_analysed(volume),
        findings=tuple(findings),
        series_instance_uid=volume.series.series_instance_uid,
        sop_instance_uids=tuple(dict.fromkeys(s.sop_instance_uid for s in volume.slices)),
        excluded=selection.excluded,
        notes=(
            *volume.notes,
            *notes,
            *([] if _side(volume) else ["The headers don't say which side it is."]),
            *selection.notes,
        ),
    )
    return PipelineResult(reading, dict(enumerate(masks, start=1)))


def _mask(full: NDArray[np.bool_], volume: Volume) -> Mask | None:
    return Mask.from_full(full, volume.geometry) if full.any() else None


def _touches_edge(mask: Mask) -> bool:
    ends = np.add(mask.offset, mask.array.shape)
    return min(mask.offset) == 0 or bool(np.any(ends == mask.geometry.shape))


def _cut(label: Label) -> str:
    return (
        f"Limitation: the {label.name} part reaches the image's edge; what lies beyond was not measured, "
        "so its volume is a lower bound."
    )


def _side(volume: Volume) -> Code | None:
    return _SIDES.get(volume.series.laterality.strip().upper())


def _part(number: int, label: Label, mask: Mask, volume: Volume) -> Finding:
    return replace(
        _whole(number, mask, volume),
        category=label.category.code,
        kind=label.code.code,
        modifier=label.modifier.code if label.modifier else None,
        site=label.code.code,
        place=f"{label.name} hippocampus, {_slices(mask)}",
    )


def _whole(number: int, mask: Mask, volume: Volume) -> Finding:
    frames = {i.frame_of_reference_uid for i in volume.series.instances}
    x, y, z = (float(v) for v in mask.centroid)
    return Finding(
        number=number,
        category=codes.ANATOMICAL_STRUCTURE,
        kind=codes.HIPPOCAMPUS,
        site=codes.HIPPOCAMPUS,
        laterality=_side(volume),
        place=f"whole hippocampus, {_slices(mask)}",
        centre=(x, y, z),
        key_slice=mask.offset[0] + int(np.argmax(mask.array.sum(axis=(1, 2)))),
        frame_of_reference_uid=frames.pop() if len(frames) == 1 else None,
        measurements=(Measurement(codes.VOLUME, mask.volume, codes.MM3),),
    )


def _slices(mask: Mask) -> str:
    return f"slices {mask.offset[0] + 1} to {mask.offset[0] + mask.array.shape[0]}"


def _conclusion(found: dict[str, Mask], missing: list[str], by: str) -> str:
    told = [f"{name} {mask.volume / 1000:.2f} ml" for name, mask in found.items()]
    if not missing:
        told.append(f"together {sum(mask.volume for mask in found.values()) / 1000:.2f} ml")
    told += [f"{name} not found" for name in missing]
    return f"Hippocampus by {by}: {', '.join(told)}. A volume alone does not exclude disease."


def _analysed(volume: Volume) -> str:
    extent = " × ".join(f"{n * s:.0f}" for n, s in zip(volume.geometry.shape, volume.geometry.spacing, strict=True))
    return f"one hippocampus in a crop of {extent} mm, {volume.geometry.shape[0]} slices; its size only"
