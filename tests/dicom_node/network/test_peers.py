"""Admission by title and address, and the values that settings are made of."""

from __future__ import annotations

import pytest

from dicom_node.network.peers import Peer, RemoteAE, admit, check_ae_title


@pytest.mark.parametrize(
    ("title", "address", "admitted"),
    [
        ("PACS", "10.1.2.3", True),
        ("PACS ", "10.1.2.3", True),
        ("PACS", "::ffff:10.1.2.3", True),
        ("PACS", "10.2.0.1", False),
        ("pacs", "10.1.2.3", False),
        ("CT", "10.1.2.3", False),
        ("CT", "2001:db8::1", True),
        ("CT", "fe80::1%eth0", False),
        ("", "10.1.2.3", False),
    ],
)
def test_admission(title: str, address: str, admitted: bool) -> None:
    peers = [Peer("PACS", ("10.1.0.0/16",)), Peer("CT", ("192.168.0.5", "2001:db8::/32"))]
    assert admit(peers, title, address) is admitted


def test_a_bad_network_is_found_when_the_peer_is_made() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.300"):
        Peer("PACS", ("10.0.0.300",))


@pytest.mark.parametrize("title", ["", " ", "A" * 17, " PACS", "A\\B", "王", "A\n"])
def test_bad_titles(title: str) -> None:
    with pytest.raises(ValueError, match="AE title"):
        check_ae_title(title)


def test_a_bad_port() -> None:
    with pytest.raises(ValueError, match="70000"):
        RemoteAE("PACS", "localhost", 70000)
