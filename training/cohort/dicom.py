"""The layouts `dicom` and `chest-ct`: files that say of themselves that they were de-identified; a case a series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from dicom_node.reader.headers import InstanceHeader, read_header
from dicom_node.reader.stack import VOLUME_MODALITIES
from dicom_node.reader.study import assemble_study
from dicom_node.reader.volume import build_volume
from imaging.errors import CohortError, HeaderError, ImageError
from imaging.study import SeriesInfo
from training.cohort.cases import Case, Found, files_below, in_order, patient_axes, refuse
from training.cohort.description import ChestCt
from training.cohort.members import FileRole
from training.cohort.refusals import Refusal, RefusalKind
from training.lidc.folds import fold_of

_TAGS = ["PatientID", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"]


def find_dicom(folder: Path, statement: str | None = None) -> Found:
    """The series below ``folder``. A file not marked as de-identified is refused before its pixels are read.

    Parameters
    ----------
    statement
        Who de-identified them and how, for files that don't say. One that says that it wasn't is still refused.
    """
    refusals: list[Refusal] = []
    studies: dict[str, list[InstanceHeader]] = {}
    patients: dict[str, set[str]] = {}
    files: dict[str, list[Path]] = {}
    for path in files_below(folder):
        try:
            header = read_header(path, str(path))
            marks = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        except (HeaderError, InvalidDicomError, OSError) as error:
            refusals.append(Refusal(RefusalKind.FOREIGN_FILE, f"{path} is no DICOM image: {error}: take it out"))
            continue
        series = header.instance.series_instance_uid
        if objection := _objection(marks, statement):
            refusals.append(Refusal(RefusalKind.NOT_DEIDENTIFIED, f"{path} {objection}", (series,)))
            continue
        files.setdefault(series, []).append(path)
        studies.setdefault(header.instance.study_instance_uid, []).append(header)
        patients.setdefault(series, set()).add(str(marks.get("PatientID", "")).strip())
    cases = []
    for headers in studies.values():
        for one in assemble_study(headers).series:
            if one.modality not in VOLUME_MODALITIES:
                kind = one.modality or "(no modality)"
                message = f"{one.name} below {folder} is {kind}, not one of {sorted(VOLUME_MODALITIES)}: take it out"
                refusals.append(Refusal(RefusalKind.FOREIGN_FILE, message, (one.series_instance_uid,)))
            else:
                uid = one.series_instance_uid
                cases.append(_case(one, patients[uid], files[uid]))
    return Found(in_order(cases), tuple(refusals))


def find_chest_ct(source: ChestCt, data: Path) -> Found:
    """The series of each of the source's scans, with its truth as label, in the fold of its patient."""
    cases: list[Case] = []
    refusals: list[Refusal] = []
    for scan in source.scans:
        folder = data / source.folder / scan
        found = find_dicom(folder, source.deidentified)
        refusals += found.refusals
        if len(found.cases) != 1 and not found.refusals:
            refusals.append(Refusal(RefusalKind.FOREIGN_FILE, f"{folder} holds {len(found.cases)} series, not one"))
            continue
        labels = [data / source.readers] if source.readers else list(files_below(folder.with_name(f"{scan}-seg")))
        if not labels:
            message = f"{scan}: there are no segmentations in {scan}-seg, and the description names no readers"
            refusals.append(Refusal(RefusalKind.NO_PARTNER, message, (scan,)))
        if not source.readers:
            refusals += _segmentations(labels, source.deidentified)
        for case in found.cases:
            try:
                fold = fold_of(case.subject or "")
            except CohortError as error:
                refusals.append(Refusal(RefusalKind.NO_SUBJECT, f"{scan}: {error}", (case.name,)))
                continue
            files = (*case.files, *((FileRole.LABEL, path) for path in labels))
            cases.append(replace(case, files=files, fold=fold))
    return Found(in_order(cases), tuple(refusals))


def _segmentations(paths: Iterable[Path], statement: str | None) -> Iterator[Refusal]:
    for path in paths:
        try:
            marks = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        except (InvalidDicomError, OSError) as error:
            yield Refusal(RefusalKind.FOREIGN_FILE, f"{path} is no DICOM object: {error}: take it out")
            continue
        if objection := _objection(marks, statement):
            yield Refusal(RefusalKind.NOT_DEIDENTIFIED, f"{path} {objection}")


def _objection(marks: pydicom.Dataset, statement: str | None) -> str:
    """Why a file doesn't count as de-identified (PS3.3 C.7.1.1, PS3.15 E.1.1); empty when it does."""
    removed = str(marks.get("PatientIdentityRemoved", "")).strip().upper()
    if statement and removed in ("", "YES"):
        return ""
    if removed != "YES":
        said = f"is {removed!r}" if removed else "is absent"
        return (
            f"isn't marked as de-identified: Patient Identity Removed (0012,0062) {said}, not YES; "
            "de-identify it, then build again"
        )
    described = str(marks.get("DeidentificationMethod") or "").strip()
    if not described and not marks.get("DeidentificationMethodCodeSequence"):
        return "is marked as de-identified, but not by which method: (0012,0063) and (0012,0064) are absent or empty"
    return ""


def _case(series: SeriesInfo, patients: set[str], files: list[Path]) -> Case:
    subject = next(iter(patients)) if len(patients) == 1 else None
    images = tuple((FileRole.IMAGE, path) for path in files)
    return Case(series.series_instance_uid, subject or None, images, partial(_pixels, series))


def _pixels(series: SeriesInfo) -> NDArray[Any]:
    try:
        volume = build_volume(series, Path)
    except ImageError as error:
        raise refuse(RefusalKind.UNREADABLE, str(error), series.series_instance_uid) from None
    image = sitk.GetImageFromArray(volume.array)
    geometry = volume.geometry
    image.SetSpacing(geometry.spacing[::-1])
    image.SetDirection(np.array(geometry.direction)[::-1].T.ravel().tolist())
    return patient_axes(image)
