"""The comparison before a study's first send."""

from __future__ import annotations

import pytest

from dicom_node.network.find import StudyIdentity
from service.delivery.identity import compare

SOURCE = StudyIdentity("P1", "HOSPITAL", "A1")


@pytest.mark.parametrize(
    ("archive", "differing"),
    [
        (StudyIdentity("P1", "HOSPITAL", "A1"), ()),
        (StudyIdentity("P1 ", "HOSPITAL ", " A1"), ()),
        (StudyIdentity("P1", "", ""), ()),
        (StudyIdentity("P2", "HOSPITAL", "A1"), ("Patient ID",)),
        (StudyIdentity("", "HOSPITAL", "A1"), ("Patient ID",)),
        (StudyIdentity("P1", "OTHER", "A1"), ("Issuer of Patient ID",)),
        (StudyIdentity("P1", "HOSPITAL", "A2"), ("Accession Number",)),
        (StudyIdentity("P2", "OTHER", "A2"), ("Patient ID", "Issuer of Patient ID", "Accession Number")),
    ],
)
def test_what_differs(archive: StudyIdentity, differing: tuple[str, ...]) -> None:
    assert compare(SOURCE, archive).differing == differing
    assert compare(SOURCE, archive).note == ""


def test_an_absent_issuer_or_accession_on_our_side_is_no_difference() -> None:
    assert compare(StudyIdentity("P1", "", ""), SOURCE).differing == ()


def test_what_cannot_be_compared_is_let_through_and_said() -> None:
    assert compare(SOURCE, None).differing == ()
    assert "does not know the study" in compare(SOURCE, None).note
    assert compare(None, SOURCE).differing == ()
    assert "no source header" in compare(None, SOURCE).note
