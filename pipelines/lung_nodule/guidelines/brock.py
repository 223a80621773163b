"""The Brock (PanCan) models: probability that a nodule is cancer, made on people at their first screening CT.

Source: McWilliams et al., N Engl J Med 2013;369:910, full models 2a (without spiculation) and 2b (with it). 2b's
digits were found alike in three independent programs, and rounded in PMC6717521 table 2; 2a in one calculator
(medicalalgorithms.com), with four digits. The size term is zero at 4 mm; nothing is subtracted from the diameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipelines.lung_nodule.guidelines.facts import Density, Examination, NoduleFacts


class Model(StrEnum):
    """Which of the full models."""

    A = "2a"
    B = "2b"


@dataclass(frozen=True)
class _Coefficients:
    intercept: float
    age: float
    female: float
    family_history: float
    emphysema: float
    size: float
    part_solid: float
    non_solid: float
    upper_lobe: float
    count: float
    spiculated: float


_MODELS = {
    Model.A: _Coefficients(-6.8071, 0.0321, 0.5635, 0.3013, 0.3462, -5.6693, 0.3395, -0.3055, 0.7116, -0.0803, 0.0),
    Model.B: _Coefficients(
        -6.78917, 0.0286687, 0.6010727, 0.296109, 0.2953112, -5.385484,
        0.3769578, -0.1276173, 0.6581383, -0.0824156, 0.7729335,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A model's number with what went into it.

    Parameters
    ----------
    probability
        0..1; None where an input is missing.
    inputs
        By name, as used.
    missing
        Names of the missing inputs.
    """

    model: Model
    probability: float | None
    inputs: Mapping[str, float | bool | str]
    missing: tuple[str, ...] = ()


def estimate(nodule: NoduleFacts, examination: Examination, model: Model = Model.B) -> Estimate:
    """The model's probability for one nodule; no number unless every input is known.

    The diameter is the longest axial one. Model 2b needs to know about spiculation, 2a doesn't ask.
    """
    told: dict[str, float | bool | str | None] = {
        "age": examination.age,
        "sex": examination.sex if examination.sex in {"F", "M"} else None,
        "family history of lung cancer": examination.family_history,
        "emphysema": examination.emphysema,
        "longest axial diameter, mm": nodule.longest_axial_mm,
        "density class": nodule.density,
        "upper lobe": nodule.upper_lobe,
        "number of nodules": examination.nodules,
    }
    if model is Model.B:
        told["spiculation"] = nodule.spiculated
    inputs = {name: value for name, value in told.items() if value is not None}
    missing = tuple(name for name in told if name not in inputs)
    if missing:
        return Estimate(model, None, inputs, missing)
    c = _MODELS[model]
    density = {Density.PART_SOLID: c.part_solid, Density.NON_SOLID: c.non_solid}
    x = (
        c.intercept
        + c.age * (float(inputs["age"]) - 62)
        + c.female * (inputs["sex"] == "F")
        + c.family_history * bool(inputs["family history of lung cancer"])
        + c.emphysema * bool(inputs["emphysema"])
        + c.size * ((float(inputs["longest axial diameter, mm"]) / 10) ** -0.5 - 1.58113883)
        + density.get(Density(str(inputs["density class"])), 0.0)
        + c.upper_lobe * bool(inputs["upper lobe"])
        + c.count * (float(inputs["number of nodules"]) - 4)
        + c.spiculated * bool(inputs.get("spiculation"))
    )
    return Estimate(model, 1 / (1 + math.exp(-x)), inputs)
