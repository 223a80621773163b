"""Opening an association to a remote application entity, and saying plainly why it didn't open."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from dicom_node.network.peers import RemoteAE
from dicom_node.network.sockets import Checkpoint
from dicom_node.network.transport import Entity, mute
from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from imaging.errors import PeerError, PeerRefusal

Handlers = Sequence[tuple[Any, Any]]


def entity(ae_title: str, pdu: int) -> Entity:
    """A pynetdicom application entity with Raysight's implementation class."""
    # Its own log lines may quote identifiers, so only warnings and errors of pynetdicom are let through.
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    ae = Entity(ae_title)
    ae.maximum_pdu_size = pdu
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return ae


@contextmanager
def associate(
    remote: RemoteAE,
    calling_ae: str,
    contexts: Sequence[PresentationContext],
    handlers: Handlers = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Association]:
    """An open association, released at the end of the block (aborted when the block raises).

    Raises
    ------
    PeerRefusal
        When the peer rejects it for good or accepts none of the contexts.
    PeerError
        When it can't be reached, doesn't answer, rejects it for now, or ended it before something was asked.
    """
    ae = entity(calling_ae, 131072)
    ae.connection_timeout = ae.acse_timeout = remote.connect_seconds
    ae.dimse_timeout = remote.answer_seconds
    ae.network_timeout = max(60.0, 2 * remote.answer_seconds)
    assoc = ae.associate(
        remote.host,
        remote.port,
        contexts=list(contexts),
        ae_title=remote.ae_title,
        ext_neg=list(roles),
        evt_handlers=[(evt.EVT_CONN_OPEN, _tune), *handlers],
    )
    if not assoc.is_established:
        raise _why_not(remote, assoc)
    try:
        yield assoc
    except BaseException as error:
        # RuntimeError: pynetdicom's way to say that there is no association any more
        ended = isinstance(error, RuntimeError) and not assoc.is_established
        assoc.abort()
        if ended:
            raise PeerError(f"{remote} ended the association") from None
        raise
    assoc.release()


def lost(remote: RemoteAE, doing: str) -> PeerError:
    """The peer aborted, closed the connection or gave no answer in time."""
    return PeerError(f"{remote} ended the association or didn't answer while {doing}")


def refusal(remote: RemoteAE, doing: str, status: Dataset) -> PeerRefusal:
    """The peer answered with a failure."""
    comment = str(status.get("ErrorComment", "") or "")
    return PeerRefusal(
        f"{remote} answered 0x{status.Status:04X} to {doing}. {comment}".strip(), status.Status, comment
    )


def _why_not(remote: RemoteAE, assoc: Association) -> PeerError:
    if assoc.is_rejected:
        answer = assoc.acceptor.primitive
        message = f"{remote} rejected the association: {answer.reason_str} ({answer.result_str})"
        return PeerRefusal(message) if answer.result == 1 else PeerError(message)
    if assoc.rejected_contexts:
        return PeerRefusal(f"{remote} accepts none of the services asked for")
    if assoc.is_aborted:
        return PeerError(f"{remote} can't be reached, or aborted while the association was opened")
    return PeerError(f"{remote} can't be reached")


def _tune(event: evt.Event) -> None:
    """Small last segments must not wait for an acknowledgement; debug formatting costs more than the sending."""
    event.assoc._reactor_checkpoint = Checkpoint(event.assoc)
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    mute(event.assoc)
