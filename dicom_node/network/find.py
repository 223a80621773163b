"""Asking an archive what it has (C-FIND, study root; PS3.4 annex C)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time
from itertools import islice

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.network.association import associate, lost, refusal
from dicom_node.network.peers import RemoteAE
from dicom_node.reader.values import da, tm
from imaging.errors import PeerError

_PENDING = (0xFF00, 0xFF01)
MOST_STUDIES = 500
_UIDS_PER_QUERY = 200  # a list in explicit VR has 64 KiB at most


@dataclass(frozen=True)
class InstanceReference:
    """An instance and where it belongs."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class StudyIdentity:
    """Whose study it is, in the archive's words; empty where it says nothing.

    Parameters
    ----------
    issuer
        Issuer of Patient ID (0010,0021).
    """

    patient_id: str
    issuer: str
    accession_number: str


def series_counts(remote: RemoteAE, calling_ae: str, study_uid: str) -> dict[str, int | None]:
    """Number of Series Related Instances (0020,1209) of every series that the archive has of a study.

    Returns
    -------
    dict
        By Series Instance UID; None where the archive doesn't count. Empty when it doesn't know the study.

    Raises
    ------
    PeerError
        When there is no answer; PeerRefusal when the answer is a failure.
    """
    query = _query("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(_find(remote, assoc, query))
    return {
        _text(answer, "SeriesInstanceUID"): _count(remote, answer)
        for answer in answers
        if "SeriesInstanceUID" in answer
    }


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
    query = _query(
        "STUDY",
        PatientID=patient_id,
        StudyDate=f"{first:%Y%m%d}-{last:%Y%m%d}",
        **dict.fromkeys(("StudyInstanceUID", "StudyTime", "StudyDescription", "ModalitiesInStudy", *patient), ""),
    )
    query.SpecificCharacterSet = "ISO_IR 192"
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(islice(_find(remote, assoc, query), MOST_STUDIES + 1))
        if len(answers) > MOST_STUDIES:
            raise PeerError(f"{remote} has more than {MOST_STUDIES} studies of one patient in the years asked for")
    return [
        StudyAnswer(
            study_instance_uid=_text(answer, "StudyInstanceUID"),
            study_date=da(_text(answer, "StudyDate")),
            study_time=tm(_text(answer, "StudyTime")),
            modalities=frozenset(_texts(answer, "ModalitiesInStudy")),
            description=_text(answer, "StudyDescription"),
            patient_id=_text(answer, "PatientID"),
            issuer=_text(answer, "IssuerOfPatientID"),
            birth_date=_text(answer, "PatientBirthDate"),
            sex=_text(answer, "PatientSex"),
            name=_text(answer, "PatientName"),
        )
        for answer in answers
        # some archives match part of an ID, or ignore case
        if _text(answer, "PatientID") == patient_id.strip() and _text(answer, "StudyInstanceUID")
    ]


def series_of_study(remote: RemoteAE, calling_ae: str, study_uid: str) -> list[SeriesAnswer]:
    """The series that the archive has of a study.

    Raises
    ------
    PeerError
        When there is no answer; PeerRefusal when the answer is a failure.
    """
    asked = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "ProtocolName", "BodyPartExamined")
    query = _query(
        "SERIES", StudyInstanceUID=study_uid, **dict.fromkeys((*asked, "NumberOfSeriesRelatedInstances"), "")
    )
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(_find(remote, assoc, query))
    return [
        SeriesAnswer(
            series_instance_uid=_text(answer, "SeriesInstanceUID"),
            modality=_text(answer, "Modality"),
            number=int(number) if (number := _text(answer, "SeriesNumber")).isdecimal() else None,
            description=_text(answer, "SeriesDescription"),
            protocol=_text(answer, "ProtocolName"),
            body_part=_text(answer, "BodyPartExamined"),
            instances=_count(remote, answer),
        )
        for answer in answers
        if _text(answer, "SeriesInstanceUID")
    ]


def study_identity(remote: RemoteAE, calling_ae: str, study_uid: str) -> StudyIdentity | None:
    """Patient ID, its issuer and the accession number of a study; None when the archive doesn't know the study.

    Raises
    ------
    PeerError
        When there is no answer, or more than one patient has the study; PeerRefusal when the answer is a failure.
    """
    query = _query("STUDY", StudyInstanceUID=study_uid, PatientID="", IssuerOfPatientID="", AccessionNumber="")
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(_find(remote, assoc, query))
    identities = {
        StudyIdentity(
            _text(answer, "PatientID"), _text(answer, "IssuerOfPatientID"), _text(answer, "AccessionNumber")
        )
        for answer in answers
        if _text(answer, "StudyInstanceUID") == study_uid
    }
    if len(identities) > 1:
        raise PeerError(f"{remote} has study {study_uid} under {len(identities)} identities")
    return identities.pop() if identities else None


def instances_present(remote: RemoteAE, calling_ae: str, references: Sequence[InstanceReference]) -> set[str]:
    """SOP Instance UIDs, of those asked for, that the archive has.

    Instances of a series are asked for as a list (PS3.4 section C.2.2.2.2); each that a list's answer lacks is asked
    for alone, since not every archive knows lists.

    Raises
    ------
    PeerError
        When there is no answer; PeerRefusal when the answer is a failure.
    """
    by_series: dict[tuple[str, str], list[str]] = defaultdict(list)
    for reference in references:
        by_series[reference.study_instance_uid, reference.series_instance_uid].append(reference.sop_instance_uid)
    present: set[str] = set()
    if not by_series:
        return present
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        for (study, series), wanted in by_series.items():
            for start in range(0, len(wanted), _UIDS_PER_QUERY):
                asked = wanted[start : start + _UIDS_PER_QUERY]
                found = _instances(remote, assoc, study, series, asked)
                if len(asked) > 1:
                    for uid in set(asked) - found:
                        found |= _instances(remote, assoc, study, series, [uid])
                present |= found
    return present


def _instances(remote: RemoteAE, assoc: Association, study: str, series: str, asked: list[str]) -> set[str]:
    query = _query("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=asked)
    return {_text(answer, "SOPInstanceUID") for answer in _find(remote, assoc, query)} & set(asked)


def _query(level: str, **keys: str | list[str]) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _find(remote: RemoteAE, assoc: Association, query: Dataset) -> Iterator[Dataset]:
    """Identifiers of all matches; raises unless the query ends with success."""
    level = f"a {query.QueryRetrieveLevel} query"
    for status, identifier in assoc.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        if "Status" not in status:
            raise lost(remote, level)
        if status.Status in _PENDING:
            if identifier is None:
                raise PeerError(f"{remote} sent a match that can't be decoded to {level}")
            yield identifier
        elif status.Status != 0x0000:
            raise refusal(remote, level, status)


def _text(answer: Dataset, keyword: str) -> str:
    return str(answer.get(keyword, None) or "").strip()


def _texts(answer: Dataset, keyword: str) -> list[str]:
    value = answer.get(keyword, None) or ()
    return [str(item).strip() for item in ([value] if isinstance(value, str) else value)]


def _count(remote: RemoteAE, answer: Dataset) -> int | None:
    text = _text(answer, "NumberOfSeriesRelatedInstances")
    if text and not text.isdecimal():
        raise PeerError(f"{remote} counts {text!r} instances in series {_text(answer, 'SeriesInstanceUID')}")
    return int(text) if text else None
