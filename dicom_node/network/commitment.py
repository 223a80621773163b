"""Storage commitment, push model (PS3.4 annex J): the archive says which instances it answers for from now on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pydicom.dataset import Dataset
from pynetdicom import build_context, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from dicom_node.network.association import associate, lost, refusal
from dicom_node.network.contexts import UNCOMPRESSED
from dicom_node.network.find import InstanceReference
from dicom_node.network.peers import RemoteAE
from dicom_node.spool.log import Committed
from dicom_node.spool.names import check_uid
from imaging.errors import PeerRefusal

_PROCESSING_FAILURE = 0x0110


def request_commitment(
    remote: RemoteAE,
    calling_ae: str,
    transaction_uid: str,
    references: Sequence[InstanceReference],
    on_report: Callable[[Committed], None],
    *,
    wait_seconds: float = 2.0,
) -> None:
    """Ask for commitment to ``references`` (N-ACTION).

    A report on the same association is handed to ``on_report`` before it is acknowledged; the association stays open
    for at most ``wait_seconds`` for it. A report on a new association comes in through `StoreSCP`. So remember the
    transaction before calling this.

    Raises
    ------
    PeerRefusal
        When the peer doesn't offer the service, or not to us; also when it ends the association instead of answering.
    PeerError
        When it can't be reached or doesn't answer.
    """
    reported = threading.Event()

    def take_report(event: evt.Event) -> tuple[int, None]:
        on_report(parse_report(event.event_information, remote.ae_title))
        reported.set()
        return 0x0000, None

    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(reference) for reference in references]
    context = build_context(StorageCommitmentPushModel, list(UNCOMPRESSED))
    with associate(remote, calling_ae, [context], [(evt.EVT_N_EVENT_REPORT, take_report)]) as assoc:
        asked = time.monotonic()
        status, _ = assoc.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        if "Status" not in status:
            # Orthanc says in this way that it doesn't know our AE title
            if time.monotonic() - asked < remote.answer_seconds:
                raise PeerRefusal(
                    f"{remote} ended the association on a commitment request; does it know {calling_ae}?"
                )
            raise lost(remote, "asking for storage commitment")
        if status.Status != 0x0000:
            raise refusal(remote, "a storage commitment request", status)
        reported.wait(wait_seconds)


def parse_report(information: Dataset, peer_ae: str) -> Committed:
    """The content of an N-EVENT-REPORT (PS3.4 table J.3-3).

    Raises
    ------
    HeaderError
        When it names no transaction, or an item of it no instance.
    """
    return Committed(
        transaction_uid=check_uid(str(information.get("TransactionUID", "") or ""), "Transaction UID (0008,1195)"),
        committed=tuple(_instance(item) for item in information.get("ReferencedSOPSequence", None) or ()),
        failed=tuple(
            (_instance(item), int(item.get("FailureReason", None) or _PROCESSING_FAILURE))
            for item in information.get("FailedSOPSequence", None) or ()
        ),
        peer_ae=peer_ae,
        at=datetime.now(UTC).isoformat(),
    )


def _instance(item: Dataset) -> str:
    uid = str(item.get("ReferencedSOPInstanceUID", None) or "")
    return check_uid(uid, "Referenced SOP Instance UID (0008,1155)")


def _reference(reference: InstanceReference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item
