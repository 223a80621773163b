"""C-GET and C-MOVE: what is fetched lies in the spool as what was sent does, and is told apart from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import AE, StoragePresentationContexts, build_context, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.network.history import series_of_study, studies_of_patient
from dicom_node.network.peers import RemoteAE
from dicom_node.network.retrieve import Wanted, get_series, move_series
from dicom_node.network.store import send_files
from imaging.errors import PeerError, PeerRefusal
from tests.dicom_node.network.conftest import Node

SYNTAXES = [ExplicitVRLittleEndian, JPEGLSLossless]


@dataclass
class Peer:
    """An archive of pynetdicom's own making, which sends what it is told to whatever is asked for."""

    files: Sequence[Path] = ()
    answers: Sequence[Dataset] = ()
    services: tuple[str, ...] = ("get", "move", "find")
    move_to: tuple[str, int] = ("127.0.0.1", 0)
    stall: bool = False
    queries: list[Dataset] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def start(self) -> RemoteAE:
        ae = AE("MODALITY")
        models = {
            "get": StudyRootQueryRetrieveInformationModelGet,
            "move": StudyRootQueryRetrieveInformationModelMove,
            "find": StudyRootQueryRetrieveInformationModelFind,
        }
        for service in self.services:
            ae.add_supported_context(models[service])
        ae.add_supported_context(CTImageStorage, SYNTAXES, scu_role=True, scp_role=True)
        ae.requested_contexts = [build_context(c.abstract_syntax) for c in StoragePresentationContexts[:20]]
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        handlers = [(evt.EVT_C_GET, self._get), (evt.EVT_C_MOVE, self._move), (evt.EVT_C_FIND, self._find)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        return RemoteAE("MODALITY", "127.0.0.1", self._server.server_address[1], answer_seconds=15)

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()

    def _send(self) -> Iterator[Any]:
        yield len(self.files)
        for path in self.files:
            if self.stall:
                self.released.wait(60)
            yield 0xFF00, dcmread(path)

    def _get(self, event: evt.Event) -> Iterator[Any]:
        self.queries.append(event.identifier)
        yield from self._send()

    def _move(self, event: evt.Event) -> Iterator[Any]:
        self.queries.append(event.identifier)
        yield (*self.move_to, {"contexts": [build_context(CTImageStorage, ExplicitVRLittleEndian)]})
        yield from self._send()

    def _find(self, event: evt.Event) -> Iterator[Any]:
        self.queries.append(event.identifier)
        for answer in self.answers:
            yield 0xFF00, answer


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.stop()


def wanted(**changes: Any) -> Wanted:
    values = {"study_instance_uid": "1.2.3.4", "series_instance_uids": ("1.2.3.4.5",), "modality": "CT"}
    return Wanted(**values | {"images": 10, "size": 1 << 20, "seconds": 30.0} | changes)


def test_c_get_stores_the_same_bytes_and_says_so(
    peer: Peer, node: Node, make_file: Callable[..., Path], raw: Callable[[Path], bytes]
) -> None:
    peer.files = [make_file(), make_file(), make_file(syntax=JPEGLSLossless)]
    assert get_series(peer.start(), node.scp.keeper, wanted()) == 3
    (query,) = peer.queries
    assert (query.QueryRetrieveLevel, query.SeriesInstanceUID) == ("SERIES", "1.2.3.4.5")
    assert len(node.stored) == 3
    assert {entry.retrieved_by for entry in node.logged} == {"C-GET"}
    assert {entry.calling_ae for entry in node.logged} == {"MODALITY"}
    assert sorted(raw(node.blobs.path(n)) for n in node.stored) == sorted(raw(path) for path in peer.files)
    meta = read_file_meta_info(node.blobs.path(node.stored[0]))
    assert meta.PrivateInformation.rstrip(b"\0") == b"retrieved C-GET"
    assert node.scratch == []
    assert node.counts["received"] == 3


def test_several_series_come_on_one_association(peer: Peer, node: Node, make_file: Callable[..., Path]) -> None:
    peer.files = [make_file()]
    assert get_series(peer.start(), node.scp.keeper, wanted(series_instance_uids=("1.1", "1.2"))) == 2
    assert [q.SeriesInstanceUID for q in peer.queries] == ["1.1", "1.2"]
    assert len({entry.association for entry in node.logged}) == 1


def test_another_study_is_not_taken(peer: Peer, node: Node, make_file: Callable[..., Path]) -> None:
    peer.files = [make_file(), make_file(StudyInstanceUID="9.9")]
    with pytest.raises(PeerError, match="could not send 1 images by C-GET; 1 came"):
        get_series(peer.start(), node.scp.keeper, wanted())
    assert len(node.stored) == 1


@pytest.mark.parametrize("bound", [{"images": 1}, {"size": 1000}])
def test_no_more_is_taken_than_is_wanted(
    peer: Peer, node: Node, make_file: Callable[..., Path], bound: dict[str, int]
) -> None:
    peer.files = [make_file(), make_file(), make_file()]
    with pytest.raises(PeerError, match="more by C-GET than may be retrieved"):
        get_series(peer.start(), node.scp.keeper, wanted(**bound))
    assert len(node.stored) == 1
    assert node.scratch == []


def test_a_peer_that_falls_silent_is_left_in_time(peer: Peer, node: Node, make_file: Callable[..., Path]) -> None:
    peer.files, peer.stall = [make_file()], True
    with pytest.raises(PeerError, match="too slow: 0 images had come"):
        get_series(peer.start(), node.scp.keeper, wanted(seconds=0.5))
    assert node.stored == []


def test_a_peer_without_the_service_refuses(peer: Peer, node: Node) -> None:
    peer.services = ("find",)
    remote = peer.start()
    with pytest.raises(PeerRefusal, match="offers no C-GET"):
        get_series(remote, node.scp.keeper, wanted())
    with pytest.raises(PeerRefusal, match="accepts none of the services"):
        move_series(remote, "RAYSIGHT", node.scp.expecting, wanted())


def test_c_move_is_told_apart_from_what_is_sent(peer: Peer, node: Node, make_file: Callable[..., Path]) -> None:
    """Whatever the peer says about who asked for it: pynetdicom names itself."""
    peer.files, peer.move_to = [make_file(), make_file()], node.scp.address
    assert move_series(peer.start(), "RAYSIGHT", node.scp.expecting, wanted()) == 2
    assert [entry.retrieved_by for entry in node.logged] == ["C-MOVE", "C-MOVE"]
    send_files(node.remote, "MODALITY", [make_file()])
    assert node.logged[-1].retrieved_by == ""


def test_what_comes_late_of_a_c_move_says_who_asked_for_it(node: Node, make_file: Callable[..., Path]) -> None:
    ae = AE("MODALITY")
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = ae.associate(*node.scp.address, ae_title="RAYSIGHT")
    for originator in ("RAYSIGHT", "WORKSTATION"):
        answer = association.send_c_store(dcmread(make_file()), originator_aet=originator, originator_id=1)
        assert answer.Status == 0x0000
    association.release()
    assert [entry.retrieved_by for entry in node.logged] == ["C-MOVE", ""]
    metas = [read_file_meta_info(node.blobs.path(entry.blob)) for entry in node.logged]
    assert ["PrivateInformation" in meta for meta in metas] == [True, False]


def test_studies_of_a_patient(peer: Peer) -> None:
    def study(**values: Any) -> Dataset:
        answer = Dataset()
        for keyword, value in {"StudyInstanceUID": "1.2", "PatientID": "P1", "StudyDate": "20250304"}.items():
            setattr(answer, keyword, value)
        for keyword, value in values.items():
            setattr(answer, keyword, value)
        return answer

    peer.answers = [
        study(StudyTime="083015", ModalitiesInStudy=["CT", "SR"], IssuerOfPatientID="A", PatientSex="F"),
        study(StudyInstanceUID="1.3", PatientID="P11"),
        study(StudyInstanceUID="1.4", StudyDate=""),
    ]
    found = studies_of_patient(peer.start(), "RAYSIGHT", "P1", date(2020, 1, 2), date(2026, 1, 2))
    assert peer.queries[0].StudyDate == "20200102-20260102"
    assert [study.study_instance_uid for study in found] == ["1.2", "1.4"]
    assert found[0].modalities == {"CT", "SR"}
    assert (found[0].study_date, found[0].study_time) == (date(2025, 3, 4), time(8, 30, 15))
    assert (found[0].issuer, found[0].sex, found[0].name) == ("A", "F", "")
    assert found[1].study_date is None


@pytest.mark.parametrize("patient_id", ["", "  ", "*", "P?", "A\\B"])
def test_an_id_that_names_nobody_is_never_asked_for(patient_id: str) -> None:
    with pytest.raises(ValueError, match="empty or holds a wildcard"):
        studies_of_patient(RemoteAE("NOBODY", "127.0.0.1", 1), "RAYSIGHT", patient_id, date.min, date.max)


def test_series_of_a_study(peer: Peer) -> None:
    answer = Dataset()
    answer.SeriesInstanceUID, answer.Modality, answer.SeriesNumber = "1.2.9", "CT", "3"
    answer.SeriesDescription, answer.NumberOfSeriesRelatedInstances = "Thin", "120"
    peer.answers = [answer]
    (series,) = series_of_study(peer.start(), "RAYSIGHT", "1.2")
    assert (series.series_instance_uid, series.modality, series.number) == ("1.2.9", "CT", 3)
    assert (series.description, series.protocol, series.instances) == ("Thin", "", 120)
