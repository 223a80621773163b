"""What is known of the examination and its patient: by its headers, its lungs and its nodules, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imaging.images import Volume
from imaging.study import SeriesInfo, StudyInfo
from pipelines.lung_nodule.configuration import OrderRules, Phrases
from pipelines.lung_nodule.guidelines.facts import Density, Examination
from pipelines.lung_nodule.lungs import Lungs
from pipelines.lung_nodule.nodule import Nodule
from pipelines.rules import contains, plain

_HIDDEN_ML = 1.0


@dataclass(frozen=True)
class Order:
    """What order and protocol say; None always means that they don't.

    Parameters
    ----------
    evidence
        The words that say whether it is screening.
    first_ct
        Whether it is the patient's first CT of the lungs.
    """

    screening: bool | None
    evidence: str
    first_ct: bool | None
    known_cancer: bool | None
    immunosuppression: bool | None
    family_history: bool | None
    emphysema: bool | None


def order_of(study: StudyInfo | None, series: SeriesInfo, rules: OrderRules) -> Order:
    """Read the texts of order, study and protocol."""
    texts = (study.order, study.description) if study else ()
    text = " / ".join(filter(None, (*texts, series.description, series.protocol)))
    screening, evidence = said(text, rules.screening)
    others = (
        rules.first_ct,
        rules.known_cancer,
        rules.immunosuppression,
        rules.family_history,
        rules.emphysema,
    )
    return Order(screening, evidence, *(said(text, phrases)[0] for phrases in others))


def said(text: str, phrases: Phrases) -> tuple[bool | None, str]:
    """Whether a text says that something is so, and the phrase; None where it says nothing, or both."""
    rest, no = plain(text), ""
    while (phrase := contains(rest, phrases.denied)) is not None and plain(phrase):
        no = no or phrase
        rest = plain(rest.replace(plain(phrase), " / "))
    yes = contains(rest, phrases.told)
    if yes is not None and no:
        return None, ""
    return (True, yes) if yes is not None else (False, no) if no else (None, "")


def examination_of(
    study: StudyInfo | None,
    volume: Volume,
    lungs: Lungs,
    nodules: Sequence[Nodule],
    order: Order,
    *,
    hidden_ml: float,
    dense_note_ml: float,
) -> Examination:
    """The examination as the guidelines ask for it.

    Parameters
    ----------
    hidden_ml
        Of the lungs left out by the field of view.
    dense_note_ml
        From so much lung on that is dense and wasn't searched, the lungs don't count as covered.
    """
    series = volume.series
    sides = {int(v) for v in (1, 2) if (lungs.labels == v).any()}
    whole = not (lungs.cut_above or lungs.cut_below) and len(sides) == 2 and hidden_ml < _HIDDEN_ML
    densities = [nodule.facts.density for nodule in nodules]
    return Examination(
        screening=order.screening,
        evidence=order.evidence,
        age=study.age if study else None,
        sex=study.sex if study and study.sex in {"F", "M"} else None,
        known_cancer=order.known_cancer,
        immunosuppression=order.immunosuppression,
        thickness_mm=None if series.thickness is None else max(series.thickness, volume.geometry.spacing[0]),
        whole_lung=whole and max(lungs.not_searched_ml) < dense_note_ml,
        nodules=len(nodules),
        subsolid_nodules=None
        if None in densities
        else sum(d in {Density.PART_SOLID, Density.NON_SOLID} for d in densities),
        family_history=order.family_history,
        emphysema=order.emphysema,
    )
