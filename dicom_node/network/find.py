"""Asking an archive what it has (C-FIND, study root; PS3.4 annex C)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.network.association import associate, lost, refusal
from dicom_node.network.peers import RemoteAE
from imaging.errors import PeerError

_PENDING = (0xFF00, 0xFF01)
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
    query = identifier("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(matches(remote, assoc, query))
    return {
        text_of(answer, "SeriesInstanceUID"): count_of(remote, answer)
        for answer in answers
        if "SeriesInstanceUID" in answer
    }


def study_identity(remote: RemoteAE, calling_ae: str, study_uid: str) -> StudyIdentity | None:
    """Patient ID, its issuer and the accession number of a study; None when the archive doesn't know the study.

    Raises
    ------
    PeerError
        When there is no answer, or more than one patient has the study; PeerRefusal when the answer is a failure.
    """
    query = identifier("STUDY", StudyInstanceUID=study_uid, PatientID="", IssuerOfPatientID="", AccessionNumber="")
    with associate(remote, calling_ae, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as assoc:
        answers = list(matches(remote, assoc, query))
    identities = {
        StudyIdentity(
            text_of(answer, "PatientID"), text_of(answer, "IssuerOfPatientID"), text_of(answer, "AccessionNumber")
        )
        for answer in answers
        if text_of(answer, "StudyInstanceUID") == study_uid
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
    query = identifier("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=asked)
    return {text_of(answer, "SOPInstanceUID") for answer in matches(remote, assoc, query)} & set(asked)


def identifier(level: str, **keys: str | list[str]) -> Dataset:
    """The identifier of a query: its level, its keys and what they must match."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def matches(remote: RemoteAE, assoc: Association, query: Dataset) -> Iterator[Dataset]:
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


def text_of(answer: Dataset, keyword: str) -> str:
    """A value of an answer, without padding; empty when it is absent."""
    return str(answer.get(keyword, None) or "").strip()


def count_of(remote: RemoteAE, answer: Dataset) -> int | None:
    """Number of Series Related Instances (0020,1209) of an answer; PeerError when it is no number."""
    text = text_of(answer, "NumberOfSeriesRelatedInstances")
    if text and not text.isdecimal():
        raise PeerError(f"{remote} counts {text!r} instances in series {text_of(answer, 'SeriesInstanceUID')}")
    return int(text) if text else None
