"""A reading -> its DICOM objects, finished and checked."""

from __future__ import annotations

import warnings

import numpy as np
from pydicom import Dataset

from dicom_node.objects.capture import build_capture, to_png
from dicom_node.objects.encode import choose_character_set, encode, settle
from dicom_node.objects.not_read import build_not_read
from dicom_node.objects.order import (
    Device,
    EarlierSlice,
    PredecessorReference,
    PriorStudy,
    ResultObject,
    ResultOrder,
    Role,
)
from dicom_node.objects.panels import draw_picture
from dicom_node.objects.seg import build_segmentation
from dicom_node.objects.sr import build_report
from dicom_node.objects.verify import check_objects
from imaging.errors import ResultError
from imaging.reading import ReadingStatus

__all__ = [
    "Device",
    "EarlierSlice",
    "PredecessorReference",
    "PriorStudy",
    "ResultObject",
    "ResultOrder",
    "Role",
    "write_objects",
]


def write_objects(order: ResultOrder) -> tuple[ResultObject, ...]:
    """Write everything that a reading sends to the archive.

    Parameters
    ----------
    order
        The reading with what belongs to it.

    Returns
    -------
    tuple[ResultObject, ...]
        SR, SEG (when there are masks) and picture of a reading that was read; the SR alone of one that was not. Two
        calls with the same order give the same bytes.

    Raises
    ------
    ResultError
        The order's parts contradict each other, text can't be encoded, or an object fails
        our own check.
    """
    _check_order(order)
    with warnings.catch_warnings():
        # highdicom and pydicom warn about values of the source that are carried over on purpose (a name of one
        # part), and quote them: patient data that must not reach a log
        warnings.simplefilter("ignore", UserWarning)
        objects = _write(order)
    problems = check_objects(objects)
    if problems:
        raise ResultError(f"study {order.reading.study_instance_uid}: {'; '.join(problems)}")
    return objects


def _write(order: ResultOrder) -> tuple[ResultObject, ...]:
    try:
        datasets, preview = _build(order)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        # highdicom's refusals of what the nouns or the source hold
        raise ResultError(f"study {order.reading.study_instance_uid}: can't be written: {error}") from error
    for dataset in datasets.values():
        settle(dataset, order)
    character_set = choose_character_set(order, list(datasets.values()))
    return tuple(_finish(role, dataset, character_set, preview) for role, dataset in datasets.items())


def _build(order: ResultOrder) -> tuple[dict[Role, Dataset], bytes | None]:
    if order.reading.status is not ReadingStatus.READ:
        return {Role.SR: build_not_read(order)}, None
    segmentation = build_segmentation(order) if order.masks else None
    datasets = {Role.SR: build_report(order, segmentation)}
    if segmentation is not None:
        datasets[Role.SEG] = segmentation
    picture = draw_picture(order)
    datasets[Role.PICTURE] = build_capture(order, picture)
    return datasets, to_png(picture)


def _finish(role: Role, dataset: Dataset, character_set: str, preview: bytes | None) -> ResultObject:
    data, digest = encode(dataset, character_set)
    return ResultObject(
        role=role,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        data=data,
        digest=digest,
        preview=preview if role is Role.PICTURE else None,
    )


def _check_order(order: ResultOrder) -> None:
    """What no type can say: the parts belong together."""
    reading, study = order.reading, order.sources.carrier.StudyInstanceUID
    if reading.study_instance_uid != study:
        raise ResultError(f"the reading is of study {reading.study_instance_uid}, its sources of {study}")
    if order.written_at.tzinfo is None:
        raise ResultError("the time of writing has no zone")
    stray = set(order.masks) - {finding.number for finding in reading.findings}
    if stray:
        raise ResultError(f"masks without a finding: {sorted(stray)}")
    for number, mask in order.masks.items():
        if not mask.array.any():
            raise ResultError(f"the mask of finding {number} is empty")
        if order.geometry is None or mask.geometry.shape != order.geometry.shape:
            raise ResultError(f"the mask of finding {number} lies on another grid than the volume")
    for index, image in order.key_slices.items():
        if not 0 <= index < len(order.frames):
            raise ResultError(f"key slice {index} isn't one of the {len(order.frames)} slices")
        if order.geometry is not None and image.shape != order.geometry.shape[1:]:
            raise ResultError(f"key slice {index} is {image.shape}, the volume's slices {order.geometry.shape[1:]}")
        if not np.isfinite(image).all():
            raise ResultError(f"key slice {index} holds values that aren't numbers")
