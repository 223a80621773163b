"""Whose study an instance says it belongs to. Read when it is needed, never kept."""

from __future__ import annotations

from pathlib import Path

from dicom_node.network.find import StudyIdentity
from dicom_node.reader.files import load
from dicom_node.reader.values import tag, text

_KEYWORDS = ("SpecificCharacterSet", "PatientID", "IssuerOfPatientID", "AccessionNumber")


def read_identity(path: Path) -> StudyIdentity:
    """Patient ID, its issuer and the accession number of a stored instance; empty where absent.

    Raises
    ------
    HeaderError
        No DICOM file.
    """
    dataset = load(path, (tag(k) for k in _KEYWORDS), pixels=False).dataset
    return StudyIdentity(
        patient_id=text(dataset, "PatientID"),
        issuer=text(dataset, "IssuerOfPatientID"),
        accession_number=text(dataset, "AccessionNumber"),
    )
