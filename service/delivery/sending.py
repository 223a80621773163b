"""One delivery's stored files go out, as they are.

What the answers mean (PS3.4 B.2.3): 0000 and Bxxx, taken (Bxxx: with a change, which stands in the attempt). A7xx,
out of resources: the destination's trouble. Anything else is a refusal: the delivery is parked with the archive's
comment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import structlog

from dicom_node.network.find import study_identity
from dicom_node.network.store import StoreOutcome, send_files
from imaging.errors import PeerError, PeerRefusal, StorageError
from service.database.engine import reading
from service.delivery.channel import NOT_AT_HAND, Channel
from service.delivery.identity import IdentityAnswer, compare
from service.delivery.queue import (
    Delivery,
    QueuedObject,
    identity_checked,
    mark_sent,
    park,
    postpone,
    queued_objects,
    record_attempt,
    released_pipelines,
)

_DUPLICATE = 0x0111

log = structlog.get_logger(__name__)


def send(channel: Channel, delivery: Delivery) -> None:
    """Send all objects of a pending delivery: SEG, SR, pictures, each on an association of its own.

    `hold` and stops are looked at before each object. After a refusal the rest stays here.

    Raises
    ------
    PeerError
        There was no answer, or (PeerRefusal) it is A7xx or is no answer to a C-STORE.
    """
    with reading(channel.engine).connect() as connection:
        objects = queued_objects(connection, delivery)
    try:
        paths = [channel.results.path(item.blob) for item in objects]
    except (KeyError, StorageError) as error:
        objects, paths = [], []
        log.warning("a result file can't be read", delivery=delivery.id, problem=str(error))
    if not objects:
        with channel.engine.begin() as connection:
            postpone(connection, delivery, channel.retry_at(delivery), NOT_AT_HAND)
        return
    if delivery.identity_checked_at is None and not _identity_allows(channel, delivery):
        return
    _send_objects(channel, delivery, objects, paths)


def _send_objects(
    channel: Channel, delivery: Delivery, objects: Sequence[QueuedObject], paths: Sequence[Path]
) -> None:
    begun = monotonic()
    remarks = []
    for item, path in zip(objects, paths, strict=True):
        if not _released(channel, delivery):
            log.info("held or stopped between objects", delivery=delivery.id, destination=delivery.destination)
            return
        outcome = _send_object(channel, delivery, item, path)
        answer = f"{item.role}: {_words(outcome)}"
        if out_of_resources(outcome.status):
            raise PeerRefusal(f"{channel.remote} is out of resources, {answer}", outcome.status, outcome.comment)
        if not taken(outcome.status):
            with channel.engine.begin() as connection:
                park(connection, delivery, f"not taken, {answer}")
            channel.event("parked", reason="refused")
            log.warning(
                "refused", delivery=delivery.id, destination=delivery.destination, answer=_hex(outcome.status)
            )
            return
        channel.event("sent")
        if outcome.status:
            remarks.append(answer)
    with channel.engine.begin() as connection:
        mark_sent(connection, delivery, channel.clock(), monotonic() - begun, _sent_comment(channel, remarks))
    log.info("sent", delivery=delivery.id, destination=delivery.destination, objects=len(objects))


def _released(channel: Channel, delivery: Delivery) -> bool:
    with reading(channel.engine).connect() as connection:
        return delivery.pipeline in released_pipelines(connection, channel.destination)


def _send_object(channel: Channel, delivery: Delivery, item: QueuedObject, path: Path) -> StoreOutcome:
    """Send one file and record the attempt, also when it ends in PeerError.

    Returns
    -------
    StoreOutcome
        Without status when the archive takes associations but accepts no context of this object.
    """
    try:
        (outcome,) = send_files(channel.remote, channel.calling_ae, [path])
    except PeerError as error:
        outcome = StoreOutcome(path, item.sop_instance_uid, None, str(error), item.digest)
        _record(channel, delivery, item, outcome)
        if isinstance(error, PeerRefusal) and channel.answers():
            return outcome
        raise
    _record(channel, delivery, item, outcome)
    return outcome


def _record(channel: Channel, delivery: Delivery, item: QueuedObject, outcome: StoreOutcome) -> None:
    with channel.engine.begin() as connection:
        record_attempt(
            connection,
            delivery,
            at=channel.clock(),
            sop_instance_uid=item.sop_instance_uid,
            digest=outcome.dataset_digest,
            status=outcome.status,
            comment=outcome.comment,
        )


def taken(status: int | None) -> bool:
    """Whether a C-STORE status says that the archive has the object.

    That includes 0111, duplicate: it has one of this SOP Instance UID, and ours are never used for other content.
    Confirmation tells.
    """
    return status is not None and (status in (0x0000, _DUPLICATE) or status >> 12 == 0xB)


def out_of_resources(status: int | None) -> bool:
    """Whether a C-STORE status is A7xx."""
    return status is not None and status >> 8 == 0xA7


def _words(outcome: StoreOutcome) -> str:
    return f"{_hex(outcome.status)} {outcome.comment}".strip()


def _hex(status: int | None) -> str:
    return "not stored" if status is None else f"{status:04X}H"


def _sent_comment(channel: Channel, remarks: Sequence[str]) -> str:
    unproven = not (channel.destination.commitment or channel.destination.query)
    cannot = ["can't be confirmed: the archive offers neither storage commitment nor query"] if unproven else []
    return "; ".join([*remarks, *cannot])


def _identity_allows(channel: Channel, delivery: Delivery) -> bool:
    """Compare the study with the archive's; a contradiction parks the delivery."""
    answer = IdentityAnswer(note="the archive is not to be queried, so the study's identity was not compared")
    if channel.destination.query:
        answer = compare(
            channel.source_identity(delivery.study_instance_uid),
            study_identity(channel.remote, channel.calling_ae, delivery.study_instance_uid),
        )
    with channel.engine.begin() as connection:
        if answer.differing:
            comment = f"not sent: the archive's study differs from the source in {', '.join(answer.differing)}"
            park(connection, delivery, comment)
        else:
            identity_checked(connection, delivery, channel.clock(), answer.note)
    if answer.differing:
        channel.event("parked", reason="identity")
        log.warning("identity differs", delivery=delivery.id, destination=delivery.destination, what=answer.differing)
    elif answer.note:
        log.info("identity not compared", delivery=delivery.id, destination=delivery.destination, why=answer.note)
    return not answer.differing
