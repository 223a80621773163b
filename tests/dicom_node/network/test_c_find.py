"""Asking an archive what it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from dicom_node.network.archive import FakeArchive
from dicom_node.network.find import InstanceReference, StudyIdentity, instances_present, series_counts, study_identity
from dicom_node.network.peers import RemoteAE
from dicom_node.network.store import send_files
from imaging.errors import PeerError, PeerRefusal

Answers = Callable[[Dataset], list[tuple[int, Dataset | None]]]


@pytest.fixture
def filled(archive: FakeArchive, make_file: Callable[..., Path]) -> FakeArchive:
    paths = [
        make_file(
            SOPInstanceUID=f"1.9.{series}.{number}",
            SeriesInstanceUID=f"1.9.{series}",
            PatientID="病-1",
            IssuerOfPatientID="HOSPITAL",
            AccessionNumber="A7",
        )
        for series, count in ((1, 3), (2, 1))
        for number in range(count)
    ]
    send_files(archive.remote, "RAYSIGHT", [*paths, make_file(StudyInstanceUID="1.2.99")])
    return archive


def reference(sop: str, series: str = "1.9.1", study: str = "1.2.3.4") -> InstanceReference:
    return InstanceReference(study, series, CTImageStorage, sop)


def test_series_counts(filled: FakeArchive) -> None:
    assert series_counts(filled.remote, "RAYSIGHT", "1.2.3.4") == {"1.9.1": 3, "1.9.2": 1}
    assert series_counts(filled.remote, "RAYSIGHT", "1.2.404") == {}


def test_study_identity(filled: FakeArchive) -> None:
    assert study_identity(filled.remote, "RAYSIGHT", "1.2.3.4") == StudyIdentity("病-1", "HOSPITAL", "A7")
    assert study_identity(filled.remote, "RAYSIGHT", "1.2.404") is None


def test_instances_present(filled: FakeArchive) -> None:
    wanted = [
        reference("1.9.1.0"),
        reference("1.9.1.2"),
        reference("1.9.1.404"),
        reference("1.9.2.0", "1.9.2"),
        reference("1.9.1.1", "1.9.2"),  # is there, but in another series
    ]
    assert instances_present(filled.remote, "RAYSIGHT", wanted) == {"1.9.1.0", "1.9.1.2", "1.9.2.0"}
    assert instances_present(filled.remote, "RAYSIGHT", []) == set()


@pytest.fixture
def peer() -> Iterator[Callable[[Answers], RemoteAE]]:
    """A query SCP with answers of our choice."""
    servers: list[Any] = []

    def start(answers: Answers) -> RemoteAE:
        ae = AE("ODD")
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        handlers = [(evt.EVT_C_FIND, lambda event: iter(answers(event.identifier)))]
        servers.append(ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers))
        return RemoteAE("ODD", *servers[-1].server_address, answer_seconds=5)

    yield start
    for server in servers:
        server.shutdown()


def test_a_peer_that_knows_no_lists_is_asked_one_by_one(peer: Callable[[Answers], RemoteAE]) -> None:
    asked: list[Any] = []

    def answers(query: Dataset) -> list[tuple[int, Dataset | None]]:
        asked.append(query.SOPInstanceUID)
        return [(0xFF00, query)] if query.SOPInstanceUID in ("1.1", "1.2") else []

    references = [reference("1.1"), reference("1.2"), reference("1.3")]
    assert instances_present(peer(answers), "RAYSIGHT", references) == {"1.1", "1.2"}
    assert len(asked) == 4


def test_a_peer_that_answers_with_more_than_was_asked(peer: Callable[[Answers], RemoteAE]) -> None:
    def answers(query: Dataset) -> list[tuple[int, Dataset | None]]:
        other = Dataset()
        other.SOPInstanceUID = "1.77"
        return [(0xFF00, other)]

    assert instances_present(peer(answers), "RAYSIGHT", [reference("1.1")]) == set()


def test_a_series_that_the_peer_does_not_count(peer: Callable[[Answers], RemoteAE]) -> None:
    def answers(query: Dataset) -> list[tuple[int, Dataset | None]]:
        uncounted = Dataset()
        uncounted.SeriesInstanceUID = "1.5"
        return [(0xFF00, uncounted)]

    assert series_counts(peer(answers), "RAYSIGHT", "1.2") == {"1.5": None}


def test_a_failure_is_a_refusal(peer: Callable[[Answers], RemoteAE]) -> None:
    remote = peer(lambda query: [(0xA700, None)])
    with pytest.raises(PeerRefusal, match="answered 0xA700 to a SERIES query") as caught:
        series_counts(remote, "RAYSIGHT", "1.2")
    assert caught.value.status == 0xA700


def test_a_study_of_two_patients(peer: Callable[[Answers], RemoteAE]) -> None:
    def answers(query: Dataset) -> list[tuple[int, Dataset | None]]:
        found = []
        for patient in ("P1", "P2"):
            answer = Dataset()
            answer.StudyInstanceUID, answer.PatientID = query.StudyInstanceUID, patient
            found.append((0xFF00, answer))
        return found

    with pytest.raises(PeerError, match="under 2 identities"):
        study_identity(peer(answers), "RAYSIGHT", "1.2")


def test_a_peer_without_the_service() -> None:
    ae = AE("STORE")
    ae.add_supported_context(CTImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(PeerRefusal, match="accepts none of the services"):
            study_identity(RemoteAE("STORE", *server.server_address), "RAYSIGHT", "1.2")
    finally:
        server.shutdown()


def test_an_unknown_level_is_refused_by_the_archive(archive: FakeArchive) -> None:
    ae = AE("RAYSIGHT")
    context = build_context(StudyRootQueryRetrieveInformationModelFind)
    assoc = ae.associate(*archive.address, contexts=[context], ae_title="ARCHIVE")
    query = Dataset()
    query.QueryRetrieveLevel = "PATIENT"
    (status, _), *rest = list(assoc.send_c_find(query, StudyRootQueryRetrieveInformationModelFind))
    assoc.release()
    assert (status.Status, rest) == (0xA900, [])
