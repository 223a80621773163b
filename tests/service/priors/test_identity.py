"""Whose examination it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicom_node.reader.identity import PatientIdentity
from service.priors.identity import differing

ANNA = PatientIdentity("P1", "HOSPITAL", "19600203", "F", "Smith^Anna")


@pytest.mark.parametrize(
    ("changes", "attributes"),
    [
        ({}, ()),
        ({"birth_date": "", "sex": "", "name": ""}, ()),
        ({"sex": "U"}, ()),
        ({"patient_id": "P2"}, ("Patient ID",)),
        ({"patient_id": ""}, ("Patient ID",)),
        ({"issuer": "OTHER"}, ("Issuer of Patient ID",)),
        ({"issuer": ""}, ("Issuer of Patient ID",)),
        ({"birth_date": "19600204"}, ("Patient's Birth Date",)),
        ({"sex": "M"}, ("Patient's Sex",)),
        ({"name": "Jones^Bob", "sex": "M"}, ("Patient's Sex", "Patient's Name")),
    ],
)
def test_what_tells_patients_apart(changes: dict[str, str], attributes: tuple[str, ...]) -> None:
    assert differing(ANNA, replace(ANNA, **changes)) == attributes
    assert differing(replace(ANNA, **changes), ANNA) == attributes


def test_two_without_an_id_are_not_one_patient() -> None:
    nobody = replace(ANNA, patient_id="")
    assert differing(nobody, nobody) == ("Patient ID",)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Smith^Anna", "JONES^ANNA", True),  # married
        ("Smith^Anna", "Smith, Anna", True),
        ("Wang^XiaoDong=王^小东", "王小东", True),
        ("Wang^XiaoDong", "王^小东", True),  # can't be compared
        ("Wang^XiaoDong=王^小东", "Li^Ming=李^明", False),
        ("王^小东", "李^明", False),
        ("Smith^Anna", "Jones^Bob", False),
        ("^^", "Jones^Bob", True),
    ],
)
def test_names(one: str, other: str, same: bool) -> None:
    assert (differing(replace(ANNA, name=one), replace(ANNA, name=other)) == ()) is same
