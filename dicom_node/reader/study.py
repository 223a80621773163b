"""Headers of instances -> `StudyInfo`: the same, in whatever order they came."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from dicom_node.reader.headers import InstanceHeader, SeriesHeader
from dicom_node.reader.stack import DEFAULT_TOLERANCES, check_stack, placed_frames, plane_name, slice_axis
from imaging.reasons import Reason, ReasonKind
from imaging.study import InstanceInfo, SeriesInfo, StudyInfo

_T = TypeVar("_T", bound=Hashable)


def assemble_study(headers: Sequence[InstanceHeader]) -> StudyInfo:
    """Group the headers of one study into series, with their geometry and defects.

    A digest that comes twice counts once. Where instances of a series disagree about it, the most frequent value
    stands. Patients are counted over images: another maker's report may leave the issuer of the Patient ID out.

    Raises
    ------
    ValueError
        No header, or headers of several studies.
    """
    by_digest: dict[str, InstanceHeader] = {}
    for header in sorted(headers, key=lambda h: (h.instance.digest, h.instance.blob)):
        by_digest.setdefault(header.instance.digest, header)
    unique = list(by_digest.values())
    studies = {h.instance.study_instance_uid for h in unique}
    if len(studies) != 1:
        raise ValueError(f"a study is assembled of the headers of one study, not of {len(studies)}")

    patients = tuple(sorted({h.instance.patient_digest for h in unique if h.instance.is_image}))
    times_seen = Counter(h.instance.sop_instance_uid for h in unique)
    conflicting = frozenset(uid for uid, times in times_seen.items() if times > 1)
    groups: dict[str, list[InstanceHeader]] = defaultdict(list)
    for header in unique:
        groups[header.instance.series_instance_uid].append(header)
    series = [_series(uid, group, len(patients), conflicting) for uid, group in groups.items()]
    series.sort(key=lambda s: (s.series_number is None, s.series_number or 0, s.series_instance_uid))
    return StudyInfo(
        study_instance_uid=studies.pop(),
        series=tuple(series),
        description=_usual(h.study.description for h in unique) or "",
        age=_usual(h.study.age for h in unique),
        sex=_usual(h.study.sex for h in unique) or "",
        patients=patients,
        study_date=_usual(h.study.study_date for h in unique),
        study_time=_usual(h.study.study_time for h in unique),
        order=_usual(h.study.order for h in unique) or "",
    )


def _series(uid: str, group: list[InstanceHeader], patients: int, conflicting: frozenset[str]) -> SeriesInfo:
    # one per SOP Instance UID; `group` is sorted by digest, so the choice doesn't depend on arrival
    instances: dict[str, InstanceInfo] = {}
    for header in group:
        instances.setdefault(header.instance.sop_instance_uid, header.instance)
    images = [h for h in group if h.instance.is_image] or group
    said = [h.series for h in images]
    series = SeriesInfo(
        series_instance_uid=uid,
        modality=_usual(s.modality for s in said) or "",
        instances=tuple(sorted(instances.values(), key=_by_number)),
        series_number=_usual(s.series_number for s in said),
        description=_usual_text(said, "description"),
        protocol=_usual_text(said, "protocol"),
        body_part=_usual_text(said, "body_part"),
        laterality=_usual_text(said, "laterality"),
        view=_usual_text(said, "view"),
        manufacturer=_usual_text(said, "manufacturer"),
        model=_usual_text(said, "model"),
        kernel=_usual_text(said, "kernel"),
        contrast=any(s.contrast for s in said),
        image_type=_usual(s.image_type for s in said) or (),
    )
    series = _with_geometry(series)
    return replace(series, defect=_defect(series, patients, conflicting))


def _defect(series: SeriesInfo, patients: int, conflicting: frozenset[str]) -> Reason | None:
    images = [i for i in series.instances if i.is_image]
    if images and patients > 1:
        return Reason(
            ReasonKind.MIXED_PATIENTS,
            f"{series.name}: the images of its study carry {patients} different Patient IDs (0010,0020). "
            "Let the archive correct the study, then send it again.",
            series.series_instance_uid,
        )
    doubles = [i for i in images if i.sop_instance_uid in conflicting]
    if doubles:
        return Reason(
            ReasonKind.CONFLICTING_INSTANCES,
            f"{series.name}: {len(doubles)} SOP Instance UIDs came with different contents, first "
            f"{min(i.sop_instance_uid for i in doubles)}. Send the right version as a new series.",
            series.series_instance_uid,
        )
    return check_stack(series)


def _with_geometry(series: SeriesInfo) -> SeriesInfo:
    """Order by position, and thickness, spacing, extent and orientation, as far as the headers give them."""
    frames = placed_frames(series)
    thicknesses = [f.info.thickness for f in frames if f.info.thickness is not None]
    series = replace(series, thickness=float(np.median(thicknesses)) if thicknesses else None)
    cosines = np.array([f.info.orientation or [np.nan] * 6 for f in frames], dtype=float).reshape(-1, 6)
    if not frames or not np.all(np.isfinite(cosines)):
        return series
    usual = np.median(cosines, axis=0)
    if np.abs(cosines - usual).max() > DEFAULT_TOLERANCES.cosine:
        return series
    try:
        axis = slice_axis(usual.tolist())
    except ValueError:  # cosines that span no plane: a defect, and no order
        return series
    series = replace(series, orientation=plane_name(usual.tolist()))
    if any(f.info.position is None for f in frames):
        return series
    along = {id(f): float(np.asarray(f.info.position, dtype=float) @ axis) for f in frames}
    first: dict[str, float] = {}
    for frame in frames:
        uid = frame.instance.sop_instance_uid
        first[uid] = min(first.get(uid, np.inf), along[id(frame)])
    places = np.sort(np.array(list(along.values())))
    steps = np.diff(places)
    steps = steps[steps >= DEFAULT_TOLERANCES.position]
    return replace(
        series,
        instances=tuple(
            sorted(series.instances, key=lambda i: (first.get(i.sop_instance_uid, np.inf), *_by_number(i)))
        ),
        spacing=float(np.median(steps)) if steps.size else None,
        extent=float(places[-1] - places[0]),
    )


def _by_number(instance: InstanceInfo) -> tuple[bool, int, str]:
    return (instance.instance_number is None, instance.instance_number or 0, instance.sop_instance_uid)


def _usual_text(said: list[SeriesHeader], name: str) -> str:
    return _usual(getattr(s, name) for s in said) or ""


def _usual(values: Iterable[_T | None]) -> _T | None:
    """The most frequent value that isn't empty; of equally frequent ones the first in sorting order."""
    counts = Counter(v for v in values if v is not None and v not in ("", ()))
    return min(counts, key=lambda v: (-counts[v], str(v)), default=None)
