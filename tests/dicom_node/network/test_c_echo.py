"""C-ECHO, as SCP and SCU."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from dicom_node.network.echo import verify
from dicom_node.network.peers import RemoteAE
from imaging.errors import PeerError, PeerRefusal


def test_an_admitted_peer_gets_an_answer(node: Any) -> None:
    verify(node.remote, "MODALITY")


def test_nobody_there(unused_port: int) -> None:
    with pytest.raises(PeerError, match=r"NOBODY@127\.0\.0\.1:\d+ can't be reached") as caught:
        verify(RemoteAE("NOBODY", "127.0.0.1", unused_port), "MODALITY")
    assert not isinstance(caught.value, PeerRefusal)


def test_a_peer_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = RemoteAE("SILENT", "127.0.0.1", silent.getsockname()[1], connect_seconds=0.3)
        with pytest.raises(PeerError, match="SILENT"):
            verify(remote, "MODALITY")


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
