"""Asking an archive for a patient's studies and their series (C-FIND, study root; PS3.4 annex C)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from itertools import islice

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.network.association import associate
from dicom_node.network.find import count_of, identifier, matches, text_of
from dicom_node.network.peers import RemoteAE
from dicom_node.reader.values import da, tm
from imaging.errors import PeerError

MOST_STUDIES = 500


@dataclass(frozen=True)
class StudyAnswer:
    """A study in the archive's words; empty, or None, where it says nothing.

    Parameters
    ----------
    modalities
        Modalities in Study (0008,0061).
    birth_date, sex
        Of the patient, as DA and CS.
    """

    study_instance_uid: str
    study_date: date | None
    study_time: time | None
    modalities: frozenset[str]
    description: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    name: str


@dataclass(frozen=True)
class SeriesAnswer:
    """A series in the archive's words; empty, or None, where it says nothing.

    Parameters
    ----------
    instances
        Number of Series Related Instances (0020,1209).
    """

    series_instance_uid: str
    modality: str
    number: int | None
    description: str
    protocol: str
    body_part: str
    instances: int | None


def studies_of_patient(
    remote: RemoteAE, calling_ae: str, patient_id: str, first: date, last: date
) -> list[StudyAnswer]:
    """The studies that were made of a patient between two dates, these included.

    The ID alone names nobody: the issuer is for the caller to compare.

    Raises
    ------
    ValueError
        The ID is empty or holds a wildcard, so that it would match other patients.
    PeerError
        When there is no answer, or more than `MOST_STUDIES` studies; PeerRefusal when the answer is a failure.
    """
    if not patient_id.strip() or set(patient_id) & set("*?\\"):
        raise ValueError("this Patient ID can't be asked for: it is empty or holds a wildcard")
    patient = ("IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientName")
    query = identifier(
        "STUDY",
        PatientID=patient_id,
        StudyDate=f"{first:%Y%m%d}-{last:%Y%m%d}",
        **dict.fromkeys(("StudyInstanceUID", "StudyTime", "StudyDescription", "ModalitiesInStudy", *patient), ""),
    )
    query.SpecificCharacterSet = "ISO_IR 192"
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(islice(matches(remote, assoc, query), MOST_STUDIES + 1))
        if len(answers) > MOST_STUDIES:
            raise PeerError(f"{remote} has more than {MOST_STUDIES} studies of one patient in the years asked for")
    return [
        StudyAnswer(
            study_instance_uid=text_of(answer, "StudyInstanceUID"),
            study_date=da(text_of(answer, "StudyDate")),
            study_time=tm(text_of(answer, "StudyTime")),
            modalities=frozenset(_texts(answer, "ModalitiesInStudy")),
            description=text_of(answer, "StudyDescription"),
            patient_id=text_of(answer, "PatientID"),
            issuer=text_of(answer, "IssuerOfPatientID"),
            birth_date=text_of(answer, "PatientBirthDate"),
            sex=text_of(answer, "PatientSex"),
            name=text_of(answer, "PatientName"),
        )
        for answer in answers
        # some archives match part of an ID, or ignore case
        if text_of(answer, "PatientID") == patient_id.strip() and text_of(answer, "StudyInstanceUID")
    ]


def series_of_study(remote: RemoteAE, calling_ae: str, study_uid: str) -> list[SeriesAnswer]:
    """The series that the archive has of a study.

    Raises
    ------
    PeerError
        When there is no answer; PeerRefusal when the answer is a failure.
    """
    asked = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "ProtocolName", "BodyPartExamined")
    query = identifier(
        "SERIES", StudyInstanceUID=study_uid, **dict.fromkeys((*asked, "NumberOfSeriesRelatedInstances"), "")
    )
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(matches(remote, assoc, query))
    return [
        SeriesAnswer(
            series_instance_uid=text_of(answer, "SeriesInstanceUID"),
            modality=text_of(answer, "Modality"),
            number=int(number) if (number := text_of(answer, "SeriesNumber")).isdecimal() else None,
            description=text_of(answer, "SeriesDescription"),
            protocol=text_of(answer, "ProtocolName"),
            body_part=text_of(answer, "BodyPartExamined"),
            instances=count_of(remote, answer),
        )
        for answer in answers
        if text_of(answer, "SeriesInstanceUID")
    ]


def _texts(answer: Dataset, keyword: str) -> list[str]:
    value = answer.get(keyword, None) or ()
    return [str(item).strip() for item in ([value] if isinstance(value, str) else value)]
