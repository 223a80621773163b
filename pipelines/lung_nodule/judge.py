"""What guidelines, the Brock model and the earlier CT say of one nodule: coded where determined, else in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imaging import codes
from imaging.codes import Code
from imaging.reading import Assessment, Measurement, ModelIdentity
from pipelines.lung_nodule.compare import Past
from pipelines.lung_nodule.followup.change import Course
from pipelines.lung_nodule.followup.pairing import Fate
from pipelines.lung_nodule.guidelines import brock, bts, fleischner, lung_rads
from pipelines.lung_nodule.guidelines.coded import assessments
from pipelines.lung_nodule.guidelines.facts import Change, Comparison, Density, Examination, NoduleFacts, Shape
from pipelines.lung_nodule.locate import Place
from pipelines.lung_nodule.nodule import Nodule

_DENSITIES = {
    Density.SOLID: codes.SOLID,
    Density.PART_SOLID: codes.PART_SOLID,
    Density.NON_SOLID: codes.GROUND_GLASS,
}
_COURSES = {Course.GROWN: codes.INCREASED, Course.STABLE: codes.NO_CHANGE, Course.SHRUNK: codes.DECREASED}
_GUIDELINES = (lung_rads.assess, fleischner.assess, bts.assess)


@dataclass(frozen=True)
class Judged:
    """What is said of a nodule beside its size and place."""

    measurements: tuple[Measurement, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Judged) -> Judged:
        return Judged(
            self.measurements + other.measurements,
            self.assessments + other.assessments,
            self.notes + other.notes,
        )


def judge(
    nodule: Nodule,
    place: Place,
    examination: Examination,
    *,
    past: Past | None,
    first_ct: bool | None,
    by: ModelIdentity,
) -> Judged:
    """Judge one nodule.

    Parameters
    ----------
    past
        None where no earlier CT was given.
    first_ct
        Whether there is no earlier CT; None where that isn't known.
    by
        The code that judges.
    """
    comparison = past.comparison if past else Comparison.same(Change.BASELINE) if first_ct else None
    facts = replace(
        nodule.facts,
        upper_lobe=place.upper_lobe,
        juxtapleural=None if place.at_pleura else Shape.OTHER,
        comparison=comparison,
    )
    density = _DENSITIES.get(facts.density) if facts.density else None
    found = Judged(assessments=(Assessment(codes.COMPOSITION, density),) if density else ())
    if past is not None:
        found += _followed(past, by)
    for assess in _GUIDELINES:
        answer = assess(facts, examination)
        coded = assessments(answer)
        found += Judged(assessments=coded, notes=() if coded else (answer.words,))
    return found + _brock(facts, examination, by)


def _followed(past: Past, by: ModelIdentity) -> Judged:
    if past.fate is Fate.NEW:
        return Judged(assessments=(_change(codes.NEW, "the earlier CT shows its place, without it"),))
    followed = past.followed
    if followed is None or followed.change is None:
        return Judged(notes=(f"Against the earlier CT: not comparable: {past.why}.",))
    change, days = followed.change, past.comparison.interval_days if past.comparison else None
    low, high = (f"{value:+.0f}" for value in change.interval_percent)
    words = f"{followed.course}; volume {change.percent:+.0f} % (95 % {low} to {high} %) in {days} days"
    numbers = [Measurement(codes.VOLUME_CHANGE, round(change.percent), codes.PERCENT, by=by)]
    if (doubling := followed.doubling) is not None:
        numbers.append(Measurement(codes.DOUBLING_TIME, round(doubling.days), codes.DAY, by=by))
        upper = "without end" if doubling.upper is None else f"{doubling.upper:.0f}"
        words += f"; doubling time {doubling.days:.0f} days (95 % {doubling.lower:.0f} to {upper})"
    return Judged(tuple(numbers), (_change(_COURSES[followed.course], words),))


def _change(code: Code, words: str) -> Assessment:
    return Assessment(codes.CHANGE, code, words)


def _brock(facts: NoduleFacts, examination: Examination, by: ModelIdentity) -> Judged:
    model = brock.Model.A if facts.spiculated is None else brock.Model.B
    found = brock.estimate(facts, examination, model)
    if found.probability is None:
        return Judged(notes=(f"Brock model {model}: not calculated; missing: {', '.join(found.missing)}.",))
    percent = 100 * found.probability
    told = ", ".join(f"{name} {_said(value)}" for name, value in found.inputs.items())
    words = f"Brock model {model} (made on people at their first screening CT): {percent:.1f} %, with {told}."
    return Judged((Measurement(codes.PROBABILITY_OF_CANCER, round(percent, 1), codes.PERCENT, by=by),), (), (words,))


def _said(value: float | bool | str) -> str:
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:.4g}"
        if isinstance(value, float)
        else str(value)
    )
