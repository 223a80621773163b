"""Choosing the series to read, from headers alone, by written rules.

Every series is asked the same questions in the same order (`_objection`): the rules' first, then the pipeline's own.
Those without an objection are ranked criterion by criterion; ties end at Series Number and Series Instance UID, so
the order of arrival never matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from imaging.pipeline import Refusal, Selection
from imaging.reasons import Reason, ReasonKind
from imaging.study import SeriesInfo, StudyInfo
from pipelines.rules import Criterion, SelectionRules, contains

__all__ = ["SelectionRules", "select"]


Question = Callable[[SeriesInfo], Reason | None]
"""A pipeline's own: why a series can't be read; None when nothing speaks against it."""


def select(study: StudyInfo, rules: SelectionRules, further: Sequence[Question] = ()) -> Selection | Refusal:
    """Choose the series to read.

    Parameters
    ----------
    study
        Headers of the study, in any order.
    rules
        The pipeline's written rules.
    further
        Asked, in order, about a series that they accept.

    Returns
    -------
    Selection or Refusal
        One series, with one reason for every other image series; or the deciding reason why none is read. A series
        without an image, and Raysight's own objects, are passed over in silence.
    """
    if len(study.patients) > 1:
        return Refusal(
            Reason(
                ReasonKind.MIXED_PATIENTS,
                f"the study holds images of {len(study.patients)} patients under one Study Instance UID; "
                "correct the patient identifiers at the source and send it again",
            )
        )
    objections: list[tuple[int, SeriesInfo, Reason]] = []
    acceptable: list[SeriesInfo] = []
    for series in sorted(study.series, key=_last_resort):
        if not any(i.is_image and not i.ours for i in series.instances):
            continue
        objection = _objection(series, study, rules, further)
        if objection is None:
            acceptable.append(series)
        else:
            objections.append((objection[0], series, objection[1]))
    named = tuple(reason for _, _, reason in objections)
    if not acceptable:
        return Refusal(_deciding(objections, rules), named)
    ranked = rank(acceptable, rules)
    lower = tuple(_ranked_lower(ranked[0], other, acceptable, rules) for other in ranked[1:])
    return Selection((ranked[0],), named + lower, study=replace(study, series=()))


def rank(acceptable: Sequence[SeriesInfo], rules: SelectionRules) -> list[SeriesInfo]:
    """Acceptable series, the best first."""
    largest = max((s.extent or 0.0 for s in acceptable), default=0.0)

    def key(series: SeriesInfo) -> tuple[float | tuple[float, str], ...]:
        return (*(_SCORES[c](series, rules, largest) for c in rules.ranking), _last_resort(series))

    return sorted(acceptable, key=key)


def _last_resort(series: SeriesInfo) -> tuple[float, str]:
    number = math.inf if series.series_number is None else float(series.series_number)
    return (number, series.series_instance_uid)


def _deciding(objections: Sequence[tuple[int, SeriesInfo, Reason]], rules: SelectionRules) -> Reason:
    """The reason of the series that came furthest through the questions; of several, the best ranked."""
    if not objections:
        return Reason(ReasonKind.NO_IMAGES, "the study holds no image series")
    furthest = max(question for question, _, _ in objections)
    best = rank([series for question, series, _ in objections if question == furthest], rules)[0]
    return next(reason for _, series, reason in objections if series is best)


def _objection(
    series: SeriesInfo, study: StudyInfo, rules: SelectionRules, further: Sequence[Question]
) -> tuple[int, Reason] | None:
    """The number of the first question that the series fails, and the reason; None when it fails none."""
    for number, question in enumerate(_QUESTIONS):
        for kind, why in question(series, study, rules):
            return number, Reason(kind, f"{series.name}: {why}", series.series_instance_uid)
    if series.defect is not None:
        return len(_QUESTIONS), series.defect
    for number, own in enumerate(further, start=len(_QUESTIONS) + 1):
        if (reason := own(series)) is not None:
            return number, reason
    return None


Objections = Iterator[tuple[ReasonKind, str]]


def _modality(series: SeriesInfo, study: StudyInfo, rules: SelectionRules) -> Objections:
    if series.modality not in rules.modalities:
        accepted = " or ".join(rules.modalities)
        yield ReasonKind.WRONG_MODALITY, f"modality {series.modality or 'not given'}; {accepted} is read"


def _body_part(series: SeriesInfo, study: StudyInfo, rules: SelectionRules) -> Objections:
    rule = rules.body_parts
    if not rule.enforced:
        return
    for text in (f"{series.body_part} / {series.description} / {series.protocol}", study.description):
        if contains(text, rule.accepted):
            return
        other = contains(text, rule.other)
        if other:
            yield ReasonKind.WRONG_BODY_PART, f"its headers say {other.rstrip('*')}, not {rule.accepted[0]}"
            return
    if not rule.unknown:
        yield ReasonKind.WRONG_BODY_PART, f"its headers name no body part; {rule.accepted[0]} must be named"


def _kind(series: SeriesInfo, study: StudyInfo, rules: SelectionRules) -> Objections:
    for rule in rules.excluded:
        if any(_typed(value, rule.unless_image_type) for value in series.image_type):
            continue
        value = next((v for v in series.image_type if _typed(v, rule.image_type)), None)
        if value is not None:
            yield rule.kind, f"Image Type {value} is a {rule.kind.replace('-', ' ')}, not an original image to read"
        word = contains(f"{series.description} / {series.protocol}", rule.words)
        if word is not None:
            yield rule.kind, f"{word.rstrip('*')!r} in its description: a {rule.kind.replace('-', ' ')}"


def _typed(value: str, accepted: Sequence[str]) -> bool:
    value = value.strip().upper()
    return any(value.startswith(a[:-1].upper()) if a.endswith("*") else value == a.upper() for a in accepted)


def _units(series: SeriesInfo, study: StudyInfo, rules: SelectionRules) -> Objections:
    found = {(i.rescale_type or "").strip().upper() for i in series.instances if i.is_image}
    wrong = sorted(found - {t.upper() for t in rules.rescale_types})
    if rules.rescale_types and wrong:
        told = ", ".join(t or "not given" for t in wrong)
        yield ReasonKind.WRONG_UNITS, f"Rescale Type {told}; pixel values must be {rules.rescale_types[0]}"


def _orientation(series: SeriesInfo, study: StudyInfo, rules: SelectionRules) -> Objections:
    # a defect explains a missing or slanted orientation better
    told_by_defect = series.defect is not None and series.orientation in {None, "oblique"}
    if rules.orientations and series.orientation not in rules.orientations and not told_by_defect:
        found = series.orientation or "unknown or mixed"
        yield ReasonKind.WRONG_ORIENTATION, f"orientation {found}; {' or '.join(rules.orientations)} is read"


def _slices(series: SeriesInfo, study: StudyInfo, rules: SelectionRules) -> Objections:
    low, high = rules.thickness_mm
    images = sum(max(1, len(i.frames)) for i in series.instances if i.is_image)
    if series.thickness is not None and series.thickness > high:
        yield ReasonKind.SLICES_TOO_THICK, f"slices {series.thickness:.1f} mm thick; at most {high:.1f} mm are read"
    if series.thickness is not None and series.thickness < low:
        yield ReasonKind.OUTSIDE_LIMITS, f"slices {series.thickness:.2f} mm thick; at least {low:.2f} mm are read"
    if series.spacing is not None and series.spacing > rules.spacing_mm_max and series.defect is None:
        yield (
            ReasonKind.SLICES_TOO_THICK,
            f"slices lie {series.spacing:.1f} mm apart; at most {rules.spacing_mm_max:.1f} mm are read",
        )
    if images < rules.min_slices:
        yield ReasonKind.TOO_FEW_SLICES, f"{images} images; at least {rules.min_slices} are needed"
    if series.extent is not None and series.extent < rules.min_extent_mm:
        yield ReasonKind.TOO_SHORT, f"covers {series.extent:.0f} mm; at least {rules.min_extent_mm:.0f} mm are needed"


_QUESTIONS = (_modality, _body_part, _kind, _units, _orientation, _slices)


def _coverage(series: SeriesInfo, rules: SelectionRules, largest: float) -> float:
    return 0.0 if (series.extent or 0.0) >= rules.full_share * largest else 1.0


def _thickness(series: SeriesInfo, rules: SelectionRules, largest: float) -> float:
    known = [value for value in (series.thickness, series.spacing) if value is not None]
    return max(round(max(known), 2), rules.thin_enough_mm) if known else math.inf


def _extent(series: SeriesInfo, rules: SelectionRules, largest: float) -> float:
    return -math.floor((series.extent or 0.0) / rules.extent_step_mm + 0.5)


def _kernel(series: SeriesInfo, rules: SelectionRules, largest: float) -> float:
    fitting = (n for n, group in enumerate(rules.kernels) if group.fits(series.kernel))
    return float(next(fitting, len(rules.kernels)))


def _original(series: SeriesInfo, rules: SelectionRules, largest: float) -> float:
    return 1.0 if series.image_type and series.image_type[0].strip().upper() == "DERIVED" else 0.0


_SCORES: dict[Criterion, Callable[[SeriesInfo, SelectionRules, float], float]] = {
    "coverage": _coverage,
    "thickness": _thickness,
    "extent": _extent,
    "kernel": _kernel,
    "original": _original,
}


def _ranked_lower(
    chosen: SeriesInfo, other: SeriesInfo, acceptable: Sequence[SeriesInfo], rules: SelectionRules
) -> Reason:
    largest = max((s.extent or 0.0 for s in acceptable), default=0.0)
    decided = next(
        (c for c in rules.ranking if _SCORES[c](chosen, rules, largest) != _SCORES[c](other, rules, largest)), None
    )
    if decided == "coverage":
        why = f"it covers {other.extent or 0:.0f} mm, that one {chosen.extent or 0:.0f} mm"
    elif decided == "extent":
        why = f"it covers a little less ({other.extent or 0:.0f} mm, that one {chosen.extent or 0:.0f} mm)"
    elif decided == "thickness":
        why = f"its slices are thicker ({_mm(other)}, there {_mm(chosen)})"
    elif decided == "kernel":
        why = f"its kernel ({other.kernel or 'not given'}) is less suited than {chosen.kernel or 'not given'}"
    elif decided == "original":
        why = "it is derived, that one original"
    else:
        why = "both are equally suited, and that one has the lower number"
    message = f"{other.name}: could be read, but {chosen.name} was preferred: {why}"
    return Reason(ReasonKind.RANKED_LOWER, message, other.series_instance_uid)


def _mm(series: SeriesInfo) -> str:
    known = [value for value in (series.thickness, series.spacing) if value is not None]
    return f"{max(known):.2f} mm" if known else "thickness not given"
