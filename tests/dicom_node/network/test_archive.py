"""The archive that ships as a stand-in for a PACS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicom_node.network.archive import FakeArchive
from dicom_node.network.echo import verify
from dicom_node.network.peers import Peer
from dicom_node.network.store import send_files


def test_it_serves_again_what_it_kept(
    archive: FakeArchive, tmp_path: Path, make_file: Callable[..., Path], raw: Callable[[Path], bytes]
) -> None:
    path = make_file(SOPInstanceUID="1.9.1")
    send_files(archive.remote, "RAYSIGHT", [path])
    archive.stop()
    again = FakeArchive("ARCHIVE", tmp_path / "archive")
    again.start()
    try:
        verify(again.remote, "ANYONE")
        assert raw(again.instances()["1.9.1"]) == raw(path)
    finally:
        again.stop()


def test_the_first_bytes_under_a_uid_stay(
    archive: FakeArchive, make_file: Callable[..., Path], raw: Callable[[Path], bytes]
) -> None:
    first, second = (make_file(SOPInstanceUID="1.9.1", PatientID=patient) for patient in ("P1", "P2"))
    send_files(archive.remote, "RAYSIGHT", [first, second])
    assert raw(archive.instances()["1.9.1"]) == raw(first)
    assert archive.store_requests == ["1.9.1", "1.9.1"]


def test_it_forwards_a_study(
    archive: FakeArchive, start_node: Callable[..., Any], make_file: Callable[..., Path]
) -> None:
    node = start_node(peers=[Peer("ARCHIVE", ("127.0.0.1",))])
    send_files(archive.remote, "MODALITY", [make_file(), make_file(), make_file(StudyInstanceUID="1.2.99")])
    outcomes = archive.send("1.2.3.4", node.remote)
    assert [outcome.status for outcome in outcomes] == [0x0000] * 2
    assert len(archive.instances()) == 3
    assert {entry.study_instance_uid for entry in node.logged} == {"1.2.3.4"}
    assert {entry.calling_ae for entry in node.logged} == {"ARCHIVE"}
