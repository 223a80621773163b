"""Brock's models: the reference values, what is missing, and which way each input works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.lung_nodule.guidelines.brock import Model, estimate
from pipelines.lung_nodule.guidelines.facts import Density, Examination, NoduleFacts

# age, sex, family history, emphysema, mm, type, upper lobe, count, spiculated, 2b, 2a: computed apart from this code
REFERENCE = [
    (62, "M", False, False, 4, Density.SOLID, False, 4, False, 0.0011, 0.0011),
    (65, "F", False, True, 8, Density.SOLID, True, 1, False, 0.0826, 0.0977),
    (65, "F", False, True, 8, Density.SOLID, True, 1, True, 0.1632, None),
    (70, "M", True, True, 15, Density.PART_SOLID, True, 2, True, 0.5306, None),
    (50, "M", False, False, 6, Density.NON_SOLID, False, 1, False, 0.0043, 0.0036),
]
NODULE = NoduleFacts(density=Density.SOLID, longest_axial_mm=8, upper_lobe=True, spiculated=False)
PATIENT = Examination(age=65, sex="F", family_history=False, emphysema=True, nodules=1)


@pytest.mark.parametrize("row", REFERENCE)
def test_the_reference_values_come_out_to_four_digits(row):
    age, sex, family, emphysema, mm, density, upper, count, spiculated, b, a = row
    nodule = NoduleFacts(density=density, longest_axial_mm=mm, upper_lobe=upper, spiculated=spiculated)
    patient = Examination(age=age, sex=sex, family_history=family, emphysema=emphysema, nodules=count)
    assert round(estimate(nodule, patient, Model.B).probability, 4) == b
    if a is not None:
        assert round(estimate(nodule, patient, Model.A).probability, 4) == a


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"density": None}, "density class"),
        ({"longest_axial_mm": None}, "longest axial diameter, mm"),
        ({"upper_lobe": None}, "upper lobe"),
        ({"spiculated": None}, "spiculation"),
        ({"age": None}, "age"),
        ({"sex": None}, "sex"),
        ({"sex": "O"}, "sex"),
        ({"family_history": None}, "family history of lung cancer"),
        ({"emphysema": None}, "emphysema"),
        ({"nodules": None}, "number of nodules"),
    ],
)
def test_without_an_input_there_is_no_number_but_its_name(change, name):
    of_nodule = {k: v for k, v in change.items() if hasattr(NODULE, k)}
    of_patient = {k: v for k, v in change.items() if k not in of_nodule}
    told = estimate(replace(NODULE, **of_nodule), replace(PATIENT, **of_patient))
    assert told.probability is None
    assert told.missing == (name,)


def test_model_2a_does_not_ask_for_spiculation():
    told = estimate(replace(NODULE, spiculated=None), PATIENT, Model.A)
    assert told.probability is not None
    assert "spiculation" not in told.inputs


@pytest.mark.parametrize("model", Model)
def test_every_input_works_in_its_direction(model):
    usual = estimate(NODULE, PATIENT, model).probability
    raising = [
        (replace(NODULE, longest_axial_mm=9), PATIENT),
        (replace(NODULE, density=Density.PART_SOLID), PATIENT),
        (NODULE, replace(PATIENT, age=66)),
        (NODULE, replace(PATIENT, family_history=True)),
    ]
    lowering = [
        (replace(NODULE, upper_lobe=False), PATIENT),
        (replace(NODULE, density=Density.NON_SOLID), PATIENT),
        (NODULE, replace(PATIENT, sex="M")),
        (NODULE, replace(PATIENT, emphysema=False)),
        (NODULE, replace(PATIENT, nodules=2)),
    ]
    assert all(estimate(n, p, model).probability > usual for n, p in raising)
    assert all(estimate(n, p, model).probability < usual for n, p in lowering)
