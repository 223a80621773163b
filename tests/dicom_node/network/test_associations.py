"""Who gets an association, how many, and what an ended one leaves."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification

from dicom_node.network.association import entity
from dicom_node.network.echo import verify
from dicom_node.network.peers import Peer
from dicom_node.network.store import send_files
from imaging.errors import PeerError, PeerRefusal


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 10 s"
        time.sleep(0.01)


def request(node: Any, calling: str = "MODALITY", called: str = "RAYSIGHT") -> Any:
    ae = entity(calling, 16382)
    return ae.associate(*node.scp.address, contexts=[build_context(Verification)], ae_title=called)


def rejection(assoc: Any) -> tuple[int, int, int]:
    answer = assoc.acceptor.primitive
    assert assoc.is_rejected
    return answer.result, answer.result_source, answer.diagnostic


def test_an_unknown_title_is_rejected(node: Any) -> None:
    assert rejection(request(node, calling="STRANGER")) == (1, 1, 3)
    with pytest.raises(PeerRefusal, match="Calling AE title not recognised"):
        verify(node.remote, "STRANGER")
    wait_until(lambda: node.counts["rejected"] == 2)


def test_a_known_title_from_another_address_is_rejected(start_node: Callable[..., Any]) -> None:
    node = start_node(peers=[Peer("MODALITY", ("10.1.0.0/16", "fe80::/64"))])
    assert rejection(request(node)) == (1, 1, 3)


def test_title_and_address_must_belong_together(start_node: Callable[..., Any]) -> None:
    node = start_node(peers=[Peer("MODALITY", ("10.0.0.1",)), Peer("OTHER", ("127.0.0.0/8",))])
    assert rejection(request(node)) == (1, 1, 3)
    verify(node.remote, "OTHER")


def test_a_wrong_called_title_is_rejected(node: Any) -> None:
    assert rejection(request(node, called="SOMEBODY")) == (1, 1, 7)


def test_one_association_too_many_is_rejected(start_node: Callable[..., Any]) -> None:
    node = start_node(associations=2)
    held = [request(node) for _ in range(2)]
    try:
        assert rejection(request(node)) == (2, 3, 2)
        with pytest.raises(PeerError, match="Local limit exceeded") as caught:
            verify(node.remote, "MODALITY")
        assert not isinstance(caught.value, PeerRefusal)
    finally:
        for assoc in held:
            assoc.release()
    wait_until(lambda: len(node.scp._server.active_associations) == 0)
    verify(node.remote, "MODALITY")


def test_an_aborted_association_keeps_what_was_acknowledged(node: Any, make_file: Callable[..., Path]) -> None:
    def cut(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_files(node.remote, "MODALITY", [make_file() for _ in range(4)], on_progress=cut)
    wait_until(lambda: not node.scp.associations())
    assert len(node.stored) == len(node.logged) == 2


@pytest.mark.parametrize("politely", [True, False], ids=["abort", "cut"])
def test_an_association_that_ends_inside_an_instance_leaves_nothing(node: Any, politely: bool) -> None:
    ae = entity("MODALITY", 16382)
    context = build_context(CTImageStorage, ExplicitVRLittleEndian)
    assoc = ae.associate(*node.scp.address, contexts=[context], ae_title="RAYSIGHT")
    start_of_instance(assoc)
    wait_until(lambda: len(node.scratch) == 1)
    if politely:
        assoc.abort()
    else:
        assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: node.scratch == [] and not node.scp.associations())
    assert node.stored == node.logged == []
    assoc.abort()


def test_a_silent_association_is_aborted(start_node: Callable[..., Any]) -> None:
    node = start_node(idle_seconds=0.3)
    assoc = request(node)
    assert assoc.is_established
    wait_until(lambda: assoc.is_aborted)


def test_a_peer_that_stops_inside_a_pdu_is_let_go(start_node: Callable[..., Any]) -> None:
    node = start_node(idle_seconds=0.3)
    assoc = request(node)
    assoc.dul.socket.send(b"\x04\x00" + struct.pack(">I", 1000) + b"only this")
    wait_until(lambda: not node.scp.associations())
    wait_until(lambda: len(node.scp._server.active_associations) == 0)
    assoc.abort()


@pytest.mark.parametrize("kind", [0x01, 0x04], ids=["A-ASSOCIATE-RQ", "P-DATA-TF"])
def test_a_pdu_of_four_gigabytes_ends_the_connection(node: Any, kind: int) -> None:
    with socket.create_connection(node.scp.address, timeout=10) as peer:
        peer.sendall(bytes([kind, 0]) + struct.pack(">I", 0xFFFFFFF0) + bytes(1000))
        assert_closed(peer)
    verify(node.remote, "MODALITY")


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x04\x00\x00\x00\x00\x02zz"])
def test_what_is_no_dicom_ends_the_connection(node: Any, junk: bytes) -> None:
    with socket.create_connection(node.scp.address, timeout=10) as peer:
        peer.sendall(junk)
        assert_closed(peer)
    verify(node.remote, "MODALITY")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "fragment",
    [
        b"\x03" + b"\xff" * 40,
        b"\x02" + b"data without a command",
        b"\x03" + struct.pack("<HHIH", 0, 0x0100, 2, 0x7777),
    ],
    ids=["garbage", "no command", "unknown command"],
)
def test_garbage_inside_a_message_aborts(node: Any, fragment: bytes) -> None:
    assoc = request(node)
    value = struct.pack(">IB", len(fragment) + 1, 1) + fragment
    assoc.dul.socket.send(b"\x04\x00" + struct.pack(">I", len(value)) + value)
    wait_until(lambda: assoc.is_aborted)
    verify(node.remote, "MODALITY")


def test_a_restart_sweeps_what_a_crash_left(start_node: Callable[..., Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    scratch = home / "spool" / ".incoming"
    scratch.mkdir(parents=True)
    (scratch / "receive-0123.part").write_bytes(b"half an image")
    (scratch / "other.part").write_bytes(b"a living writer's")
    node = start_node(home)
    assert [path.name for path in node.scratch] == ["other.part"]


def test_two_nodes_cannot_share_a_port(node: Any, start_node: Callable[..., Any], tmp_path: Path) -> None:
    from dicom_node.blobs import LocalBlobStore
    from dicom_node.network.peers import Limits
    from dicom_node.network.scp import StoreSCP
    from dicom_node.spool.log import ReceiveLog
    from imaging.errors import StorageError

    log = ReceiveLog(tmp_path / "log2")
    second = StoreSCP("B", *node.scp.address, (), Limits(), LocalBlobStore(tmp_path / "b"), log)
    with pytest.raises(StorageError, match="can't listen on 127"):
        second.start()
    log.close()


def assert_closed(peer: socket.socket) -> None:
    """The node hangs up, perhaps after an A-ABORT."""
    try:
        while peer.recv(1000):
            pass
    except ConnectionResetError:
        pass


def start_of_instance(assoc: Any) -> None:
    """Send a C-STORE request and the first part of its dataset only."""
    from io import BytesIO

    from pynetdicom.dimse_messages import C_STORE_RQ

    store = C_STORE()
    store.MessageID, store.Priority = 1, 2
    store.AffectedSOPClassUID, store.AffectedSOPInstanceUID = CTImageStorage, "1.2.3"
    store.DataSet = BytesIO(bytes(100_000))
    message = C_STORE_RQ()
    message.primitive_to_message(store)
    for part in list(message.encode_msg(assoc.accepted_contexts[0].context_id, 16382))[:4]:
        assoc.dul.send_pdu(part)
