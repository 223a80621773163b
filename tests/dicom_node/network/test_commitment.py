"""Storage commitment: asked for, reported on the same association and on a new one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from dicom_node.network.archive import FakeArchive
from dicom_node.network.commitment import parse_report, request_commitment
from dicom_node.network.find import InstanceReference
from dicom_node.network.peers import Peer, RemoteAE
from dicom_node.network.store import send_files
from dicom_node.spool.log import Committed, read_log
from imaging.errors import HeaderError, PeerError, PeerRefusal

ARCHIVE_PEER = (Peer("ARCHIVE", ("127.0.0.1",)),)


def reference(sop: str, sop_class: str = CTImageStorage) -> InstanceReference:
    return InstanceReference("1.2.3.4", "1.2.3.4.5", sop_class, sop)


def test_a_report_on_a_new_association_is_logged_before_it_is_acknowledged(
    start_node: Callable[..., Any], archive: FakeArchive, make_file: Callable[..., Path]
) -> None:
    node = start_node(peers=ARCHIVE_PEER)
    archive.known_aes["RAYSIGHT"] = node.scp.address
    send_files(archive.remote, "RAYSIGHT", [make_file(SOPInstanceUID=uid) for uid in ("1.9.1", "1.9.2")])
    references = [reference("1.9.1"), reference("1.9.2", MRImageStorage), reference("1.9.404")]
    request_commitment(archive.remote, "RAYSIGHT", "1.2.3", references, lambda report: None, wait_seconds=0.0)
    archive.stop()  # waits for the report
    ((entry, _),) = read_log(node.home / "log")
    assert isinstance(entry, Committed)
    assert entry.transaction_uid == "1.2.3"
    assert entry.committed == ("1.9.1",)
    assert entry.failed == (("1.9.2", 0x0119), ("1.9.404", 0x0112))
    assert entry.peer_ae == "ARCHIVE"
    assert node.counts["committed"] == 1


def test_a_report_on_the_same_association_is_taken() -> None:
    def commit(event: evt.Event) -> tuple[int, None]:
        def report() -> None:
            done = Dataset()
            done.TransactionUID = event.action_information.TransactionUID
            done.ReferencedSOPSequence = event.action_information.ReferencedSOPSequence
            answers.append(
                event.assoc.send_n_event_report(
                    done, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )[0].Status
            )

        reporter = threading.Timer(0.05, report)
        reporters.append(reporter)
        reporter.start()
        return 0x0000, None

    answers: list[int] = []
    reporters: list[threading.Timer] = []
    reports: list[Committed] = []
    ae = AE("ARCHIVE")
    ae.add_supported_context(StorageCommitmentPushModel)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, commit)])
    try:
        remote = RemoteAE("ARCHIVE", *server.server_address)
        request_commitment(remote, "RAYSIGHT", "1.2.3", [reference("1.9.1")], reports.append, wait_seconds=10)
        reporters[0].join()
    finally:
        server.shutdown()
    assert [(report.transaction_uid, report.committed, report.failed) for report in reports] == [
        ("1.2.3", ("1.9.1",), ())
    ]
    assert answers == [0x0000]


def test_an_archive_that_does_not_know_us(archive: FakeArchive) -> None:
    with pytest.raises(PeerRefusal, match="0x0110 to a storage commitment request") as caught:
        request_commitment(archive.remote, "RAYSIGHT", "1.2.3", [reference("1.9.1")], lambda report: None)
    assert caught.value.status == 0x0110


@pytest.mark.parametrize(("silent", "error"), [(False, PeerRefusal), (True, PeerError)])
def test_an_archive_that_hangs_up_or_falls_silent(silent: bool, error: type[PeerError]) -> None:
    over = threading.Event()

    def commit(event: evt.Event) -> tuple[int, None]:
        if silent:
            over.wait(10)
        else:
            event.assoc.abort()
        return 0x0000, None

    ae = AE("ARCHIVE")
    ae.add_supported_context(StorageCommitmentPushModel)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, commit)])
    remote = RemoteAE("ARCHIVE", *server.server_address, answer_seconds=0.5)
    try:
        with pytest.raises(PeerError) as caught:
            request_commitment(remote, "RAYSIGHT", "1.2.3", [reference("1.9.1")], lambda report: None)
    finally:
        over.set()
        server.shutdown()
    assert type(caught.value) is error


def test_an_archive_without_commitment(tmp_path: Path) -> None:
    archive = FakeArchive("PLAIN", tmp_path / "plain", commitment=False)
    archive.start()
    try:
        with pytest.raises(PeerRefusal, match="accepts none of the services"):
            request_commitment(archive.remote, "RAYSIGHT", "1.2.3", [reference("1.9.1")], lambda report: None)
    finally:
        archive.stop()


def test_a_report_without_transaction_is_not_acknowledged(start_node: Callable[..., Any]) -> None:
    node = start_node(peers=ARCHIVE_PEER)
    ae = AE("ARCHIVE")
    ae.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    assoc = ae.associate(*node.scp.address, ae_title="RAYSIGHT", ext_neg=[role])
    report = Dataset()
    report.FailedSOPSequence = []
    status, _ = assoc.send_n_event_report(report, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    assoc.release()
    assert status.Status == 0x0115
    assert list(read_log(node.home / "log")) == []


@pytest.mark.parametrize("uid", [None, "", "not a uid"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_report_names_its_transaction(uid: str | None) -> None:
    information = Dataset()
    if uid is not None:
        information.TransactionUID = uid
    with pytest.raises(HeaderError, match="Transaction UID"):
        parse_report(information, "ARCHIVE")
