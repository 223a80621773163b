"""pynetdicom's acceptor with its sharp edges off: fewer copies on the way in, bounds on what a peer makes it hold.

pynetdicom builds an association in a request handler class that can be given; the parts replaced here are the
socket's `recv` (4 KiB at a time, any length a peer declares) and the DIMSE provider's `receive_primitive` (whole
messages in memory, or in a file under the process-wide `tempfile.tempdir`; an exception there kills the reactor
thread silently).
"""

from __future__ import annotations

import socket
import struct
import traceback
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
from pynetdicom import AE, evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE, DimsePrimitiveType
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.network.sockets import BulkSocket, Pace, StreamSocket
from dicom_node.spool.incoming import Incoming

OpenIncoming = Callable[[Association, DIMSEMessage, int], Incoming]

_MAX_COMMAND_BYTES = 16 << 20
_ROOMY = range(512, 1 << 32)  # PDU lengths that hold any C-STORE response whole (0, no limit, goes the long way)
_logger = structlog.get_logger(__name__)


class Entity(AE):  # type: ignore[misc]
    """An application entity whose outgoing associations have a `BulkSocket`."""

    def _create_socket(self, *args: Any) -> BulkSocket:
        return BulkSocket(super()._create_socket(*args), self.maximum_pdu_size)


class SpoolingDIMSE(DIMSEServiceProvider):  # type: ignore[misc]
    """Lets the dataset of a C-STORE request flow into an `Incoming` instead of memory.

    Parameters
    ----------
    open_incoming
        Called when a C-STORE command has arrived and before its dataset: (association, message, context id).
    """

    def __init__(self, assoc: Association, open_incoming: OpenIncoming) -> None:
        super().__init__(assoc)
        self.message: DIMSEMessage | None = None
        self._open_incoming = open_incoming
        self.association_id = uuid.uuid4().hex
        self._unclaimed: set[Incoming] = set()
        self._message_bytes = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA primitive from the peer."""
        for value in primitive.presentation_data_value_list:
            one = P_DATA()
            one.presentation_data_value_list.append(value)
            if not self._survives(partial(self._receive_value, one, len(value[1]))):
                return

    @property
    def expects(self) -> int | None:
        """The presentation context of the dataset that is arriving; None when none is."""
        message = self.message
        storing = message is not None and isinstance(message.data_set, Incoming)
        return cast(int, message.context_id) if storing and message is not None else None

    def take(self, fragment: memoryview, *, last: bool) -> None:
        """The next fragment of that dataset; with the last one the request is answered."""
        message = cast(DIMSEMessage, self.message)
        message.data_set.write(fragment)
        if last:
            self.message = None
            self._survives(partial(self._serve, message))

    def claim(self, incoming: Incoming) -> None:
        """The caller takes over the duty to discard ``incoming``."""
        self._unclaimed.discard(incoming)

    def sweep(self) -> None:
        """Remove the files of instances that nobody will handle any more."""
        for incoming in list(self._unclaimed):
            incoming.discard()
        self._unclaimed.clear()

    def _survives(self, action: Callable[[], None]) -> bool:
        """Whether ``action`` ended well; else the association is aborted."""
        try:
            action()
        except Exception as error:  # noqa: BLE001
            # A peer's garbage may raise anything in the decoders; here it would kill the reactor thread and leave
            # the peer waiting. Evt19 (PS3.8 table 9-10) aborts the association properly.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _logger.warning(
                "invalid DIMSE message, aborting",
                calling_ae=self.assoc.requestor.ae_title,
                problem=type(error).__name__,
                place=f"{Path(frame.filename).name}:{frame.lineno}",
            )
            self.message = None
            self.dul.event_queue.put("Evt19")
            return False
        return True

    def _receive_value(self, primitive: P_DATA, size: int) -> None:
        storing = self.message is not None and isinstance(self.message.data_set, Incoming)
        self._message_bytes = 0 if self.message is None else self._message_bytes + size
        if not storing and self._message_bytes > _MAX_COMMAND_BYTES:
            raise ValueError("a message that isn't a C-STORE is too long")
        message = self.message
        if storing and message is not None:
            if message.decode_msg(primitive, self.assoc):
                self.message = None
                self._serve(message)
            return
        super().receive_primitive(primitive)
        message = self.message
        if isinstance(message, C_STORE_RQ):
            incoming = self._open_incoming(self.assoc, message, cast(int, message.context_id))
            self._unclaimed.add(incoming)
            message.data_set = incoming

    def _serve(self, message: DIMSEMessage) -> None:
        """Answer a complete C-STORE request at once, in the reactor's thread.

        Handing it to the association's thread and the answer back costs a nap of each loop, more than the disk does;
        and as one operation at a time was negotiated, there is nothing else for this thread to do.
        """
        request, context_id = message.message_to_primitive(), cast(int, message.context_id)
        if (
            not request.is_valid_request
            or uid_to_service_class(request.AffectedSOPClassUID) is not StorageServiceClass
        ):
            self.sweep()
            raise ValueError("a C-STORE request that lacks a part, or not for a storage class")
        StorageServiceClass(self.assoc).SCP(request, self.assoc._accepted_cx[context_id])

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Send a message; the answer to every good image without the detour over a pydicom dataset."""
        plain = (
            isinstance(primitive, C_STORE) and primitive.ErrorComment is None and primitive.OffendingElement is None
        )
        if not plain or primitive.MessageIDBeingRespondedTo is None or self.maximum_pdu_size not in _ROOMY:
            super().send_msg(primitive, context_id)
            return
        response = _store_response(primitive)
        # Straight to the socket: the reactor's thread, the only one that writes there, is here itself.
        self.dul.socket.send(
            struct.pack(">BxIIBB", 0x04, len(response) + 6, len(response) + 2, context_id, 3) + response
        )


def request_handler(open_incoming: OpenIncoming, pdu: int, idle_seconds: float) -> type[RequestHandler]:
    """The class that pynetdicom calls for each connection.

    Parameters
    ----------
    pdu
        Maximum PDU length announced, bytes.
    idle_seconds
        A read or write that takes longer ends the association: without it a peer that stops in the middle of a PDU
        would hold its threads for ever.
    """

    class Handler(RequestHandler):  # type: ignore[misc]
        def _create_association(self) -> Association:
            self.request.settimeout(idle_seconds)
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assoc = super()._create_association()
            assoc.dimse = SpoolingDIMSE(assoc, open_incoming)
            assoc._reactor_checkpoint = pace = Pace(assoc)

            def look() -> None:
                if assoc.dul.to_user_queue.qsize() or assoc.dimse.msg_queue.qsize():
                    pace.wake()

            assoc.dul.socket = StreamSocket(assoc.dul.socket, pdu, assoc.dimse, look)
            assoc.dul._run_loop_delay = 0  # the socket waits
            mute(assoc)
            for end in (evt.EVT_CONN_CLOSE, evt.EVT_ABORTED):
                assoc.bind(end, lambda event: event.assoc.dimse.sweep())
            return assoc

    return Handler


class Server(ThreadedAssociationServer):  # type: ignore[misc]
    """Drops a connection at once when far more are open than associations are allowed."""

    def verify_request(self, request: object, client_address: object) -> bool:
        """Whether a new connection gets threads of its own."""
        return len(self.active_associations) < 2 * int(self.ae.maximum_associations) + 8


def _store_response(answer: C_STORE) -> bytes:
    """The command set of a C-STORE-RSP (PS3.7 table 9.3-2), implicit VR little endian."""
    parts = b"".join(
        (
            _uid(0x0002, answer.AffectedSOPClassUID),
            struct.pack("<HHIH", 0, 0x0100, 2, 0x8001),
            struct.pack("<HHIH", 0, 0x0120, 2, answer.MessageIDBeingRespondedTo),
            struct.pack("<HHIH", 0, 0x0800, 2, 0x0101),
            struct.pack("<HHIH", 0, 0x0900, 2, answer.Status),
            _uid(0x1000, answer.AffectedSOPInstanceUID),
        )
    )
    return struct.pack("<HHII", 0, 0, 4, len(parts)) + parts


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, element, len(value)) + value


def mute(assoc: Association) -> None:
    """Take off the handlers that format every PDU and message for the debug log (identifiers and names included)."""
    assoc.unbind(evt.EVT_DIMSE_RECV, standard_dimse_recv_handler)
    assoc.unbind(evt.EVT_DIMSE_SENT, standard_dimse_sent_handler)
    assoc.unbind(evt.EVT_PDU_RECV, standard_pdu_recv_handler)
    assoc.unbind(evt.EVT_PDU_SENT, standard_pdu_sent_handler)
