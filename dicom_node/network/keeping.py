"""Keeping the instances that come in on an association, whoever opened it.

Order per instance: bytes to a scratch file, fsync, rename into the spool, fsync of the folder, log line fsynced, then
the response. What was acknowledged survives anything but the loss of the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Protocol, cast

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage

from dicom_node.blobs import BlobStore
from dicom_node.network.peers import Limits
from dicom_node.network.transport import SpoolingDIMSE
from dicom_node.spool.header import Header
from dicom_node.spool.incoming import (
    CANNOT_UNDERSTAND,
    CLASS_MISMATCH,
    OUT_OF_RESOURCES,
    Incoming,
    Refused,
)
from dicom_node.spool.log import Entry, Received
from dicom_node.spool.meta import Origin, file_meta
from dicom_node.spool.names import blob_name, check_uid
from imaging.errors import HeaderError, StorageError

_logger = structlog.get_logger(__name__)

Admit = Callable[[Header, int, str], str]
"""Told of an instance before it is stored: its header, its bytes, and the AE title that asked the sender for it (the
move originator; empty where nobody did). Gives the service by which we retrieved it, empty where it was sent by
itself; Refused when it isn't taken."""


class EventSink(Protocol):
    """Takes what happened, for metrics: ``received``, ``refused``, ``rejected``, ``committed``, with labels."""

    def __call__(self, name: str, /, **labels: Any) -> None: ...


class EntryLog(Protocol):
    """What is needed of a `ReceiveLog`."""

    def append(self, entry: Entry) -> None:
        """On disk on return; StorageError otherwise."""
        ...


@dataclass(eq=False)
class Budget:
    """What one retrieval may bring, and what it has brought.

    Parameters
    ----------
    images, size
        Most instances, and most bytes.
    """

    images: int
    size: int
    taken: int = 0
    taken_size: int = 0
    overdrawn: bool = False

    def take(self, size: int) -> None:
        """One more instance; Refused when it is too many."""
        if self.taken + 1 > self.images or self.taken_size + size > self.size:
            self.overdrawn = True
            raise Refused(OUT_OF_RESOURCES, "more than may be retrieved")
        self.taken += 1
        self.taken_size += size


def peer_of(assoc: Association) -> str:
    """The other side's AE title, without padding."""
    side = assoc.acceptor if assoc.is_requestor else assoc.requestor
    return str(side.ae_title).strip()


class Keeper:
    """Stores what comes in by C-STORE.

    Parameters
    ----------
    ae_title
        Ours.
    admit
        Asked about each instance before it is stored.
    """

    def __init__(  # noqa: PLR0917
        self, ae_title: str, blobs: BlobStore, log: EntryLog, limits: Limits, on_event: EventSink, admit: Admit
    ) -> None:
        self.ae_title = ae_title
        self.blobs = blobs
        self.log = log
        self.limits = limits
        self.on_event = on_event
        self._admit = admit

    def has_room(self) -> bool:
        """Whether there is more free disk than the watermark."""
        try:
            disk = os.statvfs(self.blobs.scratch)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize >= self.limits.free_bytes

    def open(self, assoc: Association, message: DIMSEMessage, context_id: int) -> Incoming:
        """Where the dataset of a C-STORE request goes, decided before its first byte."""
        command = message.command_set
        context = assoc._accepted_cx[context_id]
        sop_instance = str(command.get("AffectedSOPInstanceUID", ""))
        refusal = None
        try:
            check_uid(sop_instance, "Affected SOP Instance UID (0000,1000)")
        except HeaderError as error:
            refusal = Refused(CANNOT_UNDERSTAND, str(error))
        if not self.has_room():
            refusal = Refused(OUT_OF_RESOURCES, "free disk space is below the watermark")
        moved = str(command.get("MoveOriginatorApplicationEntityTitle", "")).strip() == self.ae_title
        origin = Origin(
            calling_ae=peer_of(assoc),
            called_ae=self.ae_title,
            peer=_address(assoc),
            here=str(assoc.dul.socket.socket.getsockname()[0]),
            retrieved_by="C-GET" if assoc.is_requestor else "C-MOVE" if moved else "",
        )
        meta = file_meta(context.abstract_syntax, sop_instance, context.transfer_syntax[0], origin)
        return Incoming(self.blobs.scratch, meta, self.limits.instance_bytes, refusal)

    def store(self, event: evt.Event) -> int | Dataset:
        """Answer one C-STORE request: the status, with a comment when it isn't success."""
        incoming = event.request.DataSet
        calling_ae = peer_of(event.assoc)
        try:
            self._keep(event, incoming)
        except Refused as refused:
            return self._refuse(calling_ae, refused.status, refused.comment)
        except HeaderError as error:
            return self._refuse(calling_ae, CANNOT_UNDERSTAND, str(error))
        except StorageError as error:
            return self._refuse(calling_ae, OUT_OF_RESOURCES, str(error))
        finally:
            if isinstance(incoming, Incoming):
                incoming.discard()
        self.on_event("received", calling_ae=calling_ae, bytes=incoming.size)
        return 0x0000

    def _keep(self, event: evt.Event, incoming: BytesIO) -> None:
        """Check, store and log an instance; when this returns it may be acknowledged."""
        if not isinstance(incoming, Incoming):
            raise Refused(CANNOT_UNDERSTAND, "the request has no dataset")
        cast(SpoolingDIMSE, event.assoc.dimse).claim(incoming)
        if incoming.refusal is not None:
            raise incoming.refusal
        request, context = event.request, event.context
        header = incoming.header(context.transfer_syntax)
        if header.sop_class_uid != context.abstract_syntax or header.sop_class_uid != request.AffectedSOPClassUID:
            raise Refused(CLASS_MISMATCH, "SOP Class UID (0008,0016) is not the request's")
        if header.sop_instance_uid != request.AffectedSOPInstanceUID:
            raise Refused(CANNOT_UNDERSTAND, "SOP Instance UID (0008,0018) is not the request's")
        originator = str(request.MoveOriginatorApplicationEntityTitle or "").strip()
        retrieved_by = self._admit(header, incoming.size, originator)
        name = blob_name(header.study_instance_uid, header.sop_instance_uid, incoming.digest)
        now = datetime.now(UTC)
        self.blobs.adopt(name, incoming.path)
        self.log.append(
            Received(
                study_instance_uid=header.study_instance_uid,
                series_instance_uid=header.series_instance_uid,
                sop_instance_uid=header.sop_instance_uid,
                sop_class_uid=header.sop_class_uid,
                transfer_syntax_uid=str(context.transfer_syntax),
                digest=incoming.digest,
                blob=name,
                size=incoming.size,
                calling_ae=peer_of(event.assoc),
                called_ae=self.ae_title,
                peer=_address(event.assoc),
                association=cast(SpoolingDIMSE, event.assoc.dimse).association_id,
                received_at=now.isoformat(),
                retrieved_by=retrieved_by,
            )
        )

    def _refuse(self, calling_ae: str, status: int, comment: str) -> Dataset:
        _logger.warning("instance refused", calling_ae=calling_ae, status=f"0x{status:04X}", reason=comment)
        self.on_event("refused", calling_ae=calling_ae, status=f"0x{status:04X}")
        answer = Dataset()
        answer.Status = status
        answer.ErrorComment = comment.encode("ascii", "replace").decode()[:64]
        return answer


def _address(assoc: Association) -> str:
    """The other side's network address."""
    side = assoc.acceptor if assoc.is_requestor else assoc.requestor
    return str(side.address)
