"""Whose study an instance says it belongs to. Read when it is needed, never kept."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class PatientIdentity:
    """Who the patient is, in a header's or an archive's words; empty where it says nothing.

    Parameters
    ----------
    issuer
        Issuer of Patient ID (0010,0021).
    name
        All component groups of Patient's Name (0010,0010).
    """

    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    name: str


_PATIENT = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "name": "PatientName",
}


def read_patient(path: Path) -> PatientIdentity:
    """Whose image a stored instance is.

    Raises
    ------
    HeaderError
        No DICOM file.
    """
    keywords = ("SpecificCharacterSet", *_PATIENT.values())
    dataset = load(path, (tag(k) for k in keywords), pixels=False).dataset
    return PatientIdentity(**{name: text(dataset, keyword) for name, keyword in _PATIENT.items()})
