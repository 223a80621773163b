"""Verification (C-ECHO): does the peer know us, and answer?"""

from __future__ import annotations

from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from dicom_node.network.association import associate, lost, refusal
from dicom_node.network.peers import RemoteAE


def verify(remote: RemoteAE, calling_ae: str) -> None:
    """Send a C-ECHO.

    Raises
    ------
    PeerError
        When there is no answer; PeerRefusal when the answer is no.
    """
    with associate(remote, calling_ae, [build_context(Verification)]) as assoc:
        status = assoc.send_c_echo()
    if "Status" not in status:
        raise lost(remote, "verifying")
    if status.Status != 0x0000:
        raise refusal(remote, "C-ECHO", status)
