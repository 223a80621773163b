"""C-STORE: what is taken, and that it is kept as it came."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, PrivateTransferSyntaxes
from pynetdicom import AllStoragePresentationContexts

from dicom_node.network.contexts import TRANSFER_SYNTAXES
from dicom_node.network.peers import Peer
from dicom_node.network.store import send_files


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda uid: UID(uid).keyword or uid)
def test_every_transfer_syntax_is_stored_as_received(
    node: Any, make_file: Callable[..., Path], raw: Callable[[Path], bytes], syntax: str
) -> None:
    path = make_file(syntax=UID(syntax))
    (outcome,) = send_files(node.remote, "MODALITY", [path])
    assert outcome.status == 0x0000
    (name,) = node.stored
    assert raw(node.blobs.path(name)) == raw(path)
    (entry,) = node.logged
    assert entry.transfer_syntax_uid == syntax
    assert entry.digest == hashlib.sha256(raw(path)).hexdigest() == outcome.dataset_digest
    assert node.scratch == []


def test_the_syntaxes_a_pacs_sends_are_all_there() -> None:
    needed = {
        *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"),
        *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203, 100, 102)),
        "1.2.840.10008.1.2.5",
    }
    assert needed <= set(TRANSFER_SYNTAXES)
    assert not set(PrivateTransferSyntaxes) & set(TRANSFER_SYNTAXES)


def test_every_standard_storage_class_is_taken(node: Any, make_file: Callable[..., Path]) -> None:
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts]
    outcomes = send_files(node.remote, "MODALITY", [make_file(SOPClassUID=uid) for uid in classes])
    assert [outcome.status for outcome in outcomes] == [0x0000] * len(classes)
    assert len(classes) > 160


def test_file_meta_and_log_say_who_sent_it(node: Any, make_file: Callable[..., Path]) -> None:
    path = make_file()
    send_files(node.remote, "MODALITY", [path])
    stored = dcmread(node.blobs.path(node.stored[0]))
    meta = stored.file_meta
    assert meta.MediaStorageSOPInstanceUID == stored.SOPInstanceUID == dcmread(path).SOPInstanceUID
    assert meta.MediaStorageSOPClassUID == stored.SOPClassUID
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert meta.SourceApplicationEntityTitle == meta.SendingApplicationEntityTitle == "MODALITY"
    assert meta.ReceivingApplicationEntityTitle == "RAYSIGHT"
    assert meta.SourcePresentationAddress == meta.SendingPresentationAddress == "dicom://127.0.0.1"
    assert meta.ReceivingPresentationAddress == "dicom://127.0.0.1"
    (entry,) = node.logged
    assert (entry.calling_ae, entry.called_ae, entry.peer) == ("MODALITY", "RAYSIGHT", "127.0.0.1")
    assert entry.blob == node.stored[0]
    assert entry.blob.startswith(f"1.2.3.4/{stored.SOPInstanceUID}-{entry.digest[:16]}")
    assert (entry.study_instance_uid, entry.series_instance_uid) == ("1.2.3.4", "1.2.3.4.5")


def test_one_instance_twice_is_one_file_and_two_lines(
    start_node: Callable[..., Any], make_file: Callable[..., Path]
) -> None:
    node = start_node(peers=[Peer("MODALITY", ("127.0.0.1",)), Peer("OTHER", ("127.0.0.1",))])
    path = make_file()
    for calling in ("MODALITY", "OTHER"):
        assert [outcome.status for outcome in send_files(node.remote, calling, [path])] == [0x0000]
    assert len(node.stored) == 1
    first, second = node.logged
    assert first.blob == second.blob
    assert (first.calling_ae, second.calling_ae) == ("MODALITY", "OTHER")
    assert first.association != second.association
    assert dcmread(node.blobs.path(first.blob)).file_meta.SourceApplicationEntityTitle == "MODALITY"


def test_one_uid_with_other_bytes_is_kept_beside_the_first(node: Any, make_file: Callable[..., Path]) -> None:
    paths = [make_file(SOPInstanceUID="1.2.3.9", PatientID=patient) for patient in ("P1", "P2")]
    assert [outcome.status for outcome in send_files(node.remote, "MODALITY", paths)] == [0x0000] * 2
    assert len(node.stored) == 2
    assert {dcmread(node.blobs.path(name)).PatientID for name in node.stored} == {"P1", "P2"}


def test_a_large_instance_over_many_pdus(
    node: Any, make_file: Callable[..., Path], raw: Callable[[Path], bytes]
) -> None:
    path = make_file(Rows=1024, Columns=1024, PixelData=bytes(range(256)) * 8192)
    assert send_files(node.remote, "MODALITY", [path])[0].status == 0x0000
    assert raw(node.blobs.path(node.stored[0])) == raw(path)


def test_associations_are_counted(node: Any, make_file: Callable[..., Path]) -> None:
    seen: list[dict[str, int]] = []
    send_files(
        node.remote,
        "MODALITY",
        [make_file(), make_file()],
        on_progress=lambda done, total: seen.append(node.scp.associations()),
    )
    assert seen == [{"MODALITY": 1}] * 2
    assert node.counts["received"] == 2
