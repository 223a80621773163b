"""Has the archive got it? Asked by storage commitment where it is offered, else by C-FIND at IMAGE level.

A report of storage commitment comes on the association of the request or on a new one, at any time: the transaction
is in the table before it is asked for, and `apply_commitment` is all that a report does, wherever it arrived.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from dicom_node.network.commitment import request_commitment
from dicom_node.network.find import InstanceReference, instances_present
from dicom_node.spool import Committed
from imaging.errors import PeerError, PeerRefusal
from service.database.engine import reading
from service.delivery.backoff import DEFAULT
from service.delivery.channel import NOT_AT_HAND, Channel, OnEvent, ignore_event
from service.delivery.queue import (
    Delivery,
    Proof,
    QueuedObject,
    State,
    begin_transaction,
    deliveries_of_transaction,
    drop_transaction,
    explain,
    mark_confirmed,
    postpone,
    queued_objects,
    send_again,
    wait_until,
)

_LONGEST_WAIT_FOR_A_REPORT = timedelta(days=1)
# an archive that reports on the request's own association does so at once; all others would only hold up the queue
_STAY_SECONDS = 1.0

log = structlog.get_logger(__name__)


def confirm(channel: Channel, delivery: Delivery) -> None:
    """Take a sent delivery one step further: ask for commitment, or look whether the objects are there.

    Raises
    ------
    PeerError
        There was no answer, or C-FIND is refused.
    """
    with reading(channel.engine).connect() as connection:
        objects = queued_objects(connection, delivery)
    if not objects:
        _postpone(channel, delivery, NOT_AT_HAND)
        return
    references = [_reference(delivery, item) for item in objects]
    destination = channel.destination
    refused = ""
    # a report that did not come in time is looked for by C-FIND, or else asked for again
    if destination.commitment and (delivery.transaction_uid is None or not destination.query):
        try:
            _ask(channel, delivery, references)
        except PeerError as error:
            # some refuse with an abort, which looks like a lost association; a C-ECHO tells if it is down instead
            if not isinstance(error, PeerRefusal) and not channel.answers():
                raise
            refused = f"storage commitment is refused: {error}"
        else:
            return
    if destination.query:
        _find(channel, delivery, objects, references)
    else:
        _postpone(channel, delivery, f"can't be confirmed: {refused}, and the archive is not to be queried")


def _reference(delivery: Delivery, item: QueuedObject) -> InstanceReference:
    return InstanceReference(
        delivery.study_instance_uid, item.series_instance_uid, item.sop_class_uid, item.sop_instance_uid
    )


def _ask(channel: Channel, delivery: Delivery, references: Sequence[InstanceReference]) -> None:
    transaction_uid = f"2.25.{uuid.uuid4().int}"
    now = channel.clock()
    with channel.engine.begin() as connection:
        begin_transaction(connection, delivery, transaction_uid, now, now + _patience(channel, delivery, now))
    try:
        request_commitment(
            channel.remote,
            channel.calling_ae,
            transaction_uid,
            references,
            lambda report: _reported(channel, report),
            wait_seconds=_STAY_SECONDS,
        )
    except PeerError:
        with channel.engine.begin() as connection:
            drop_transaction(connection, delivery, transaction_uid, channel.clock())
        raise


def _patience(channel: Channel, delivery: Delivery, now: datetime) -> timedelta:
    """How long a report is waited for: at each new request as long as all waiting so far, so that a slow archive's
    report comes in time at last (reports of earlier requests are not recognised).
    """
    configured = timedelta(seconds=channel.destination.commitment_wait_seconds)
    if delivery.transaction_uid is None or delivery.sent_at is None:
        return configured
    return max(configured, min(now - delivery.sent_at, _LONGEST_WAIT_FOR_A_REPORT))


def _reported(channel: Channel, report: Committed) -> None:
    with channel.engine.begin() as connection:
        apply_commitment(connection, report, channel.on_event)


def apply_commitment(connection: Connection, committed: Committed, on_event: OnEvent = ignore_event) -> None:
    """Do what a storage commitment report says. May be called again, and for transactions that aren't ours.

    All committed: confirmed. Any failed: the delivery is sent again, with back-off. A report that leaves objects out
    decides nothing. Times are the report's, so that a log read again decides the same.
    """
    at = datetime.fromisoformat(committed.at)
    failed = dict(committed.failed)
    for delivery in deliveries_of_transaction(connection, committed.transaction_uid):
        objects = queued_objects(connection, delivery)
        if delivery.state is not State.SENT or not objects:
            continue
        lacking = [item for item in objects if item.sop_instance_uid in failed]
        if lacking:
            reasons = ", ".join(f"{item.role} ({failed[item.sop_instance_uid]:04X}H)" for item in lacking)
            wait = DEFAULT.wait(max(delivery.attempts, 1), at - delivery.created_at, draw=0.5)
            send_again(connection, delivery, at + wait, f"the archive did not commit to {reasons}; sent again")
            log.warning("commitment failed", delivery=delivery.id, destination=delivery.destination, reasons=reasons)
        elif {item.sop_instance_uid for item in objects} <= set(committed.committed):
            mark_confirmed(connection, delivery, Proof.COMMITMENT, at, "the archive committed to storage")
            on_event("confirmed", destination=delivery.destination, means=Proof.COMMITMENT.value)
            log.info("confirmed", delivery=delivery.id, destination=delivery.destination, by=Proof.COMMITMENT.value)
        else:
            explain(connection, delivery, "the archive's commitment report left objects out")


def _find(
    channel: Channel,
    delivery: Delivery,
    objects: Sequence[QueuedObject],
    references: Sequence[InstanceReference],
) -> None:
    present = instances_present(channel.remote, channel.calling_ae, references)
    now = channel.clock()
    missing = [item.role for item in objects if item.sop_instance_uid not in present]
    since_sent = now - (delivery.sent_at or now)
    with channel.engine.begin() as connection:
        if not missing:
            if mark_confirmed(connection, delivery, Proof.QUERY, now, "the archive's C-FIND shows all objects"):
                channel.event("confirmed", means=Proof.QUERY.value)
                log.info("confirmed", delivery=delivery.id, destination=delivery.destination, by=Proof.QUERY.value)
        elif since_sent < channel.indexing:
            soon = max(timedelta(seconds=0.5), since_sent)
            wait_until(connection, delivery, now + soon, f"not yet shown by C-FIND: {', '.join(missing)}")
        else:
            comment = f"taken by the archive but not found there: {', '.join(missing)}; sent again"
            send_again(connection, delivery, channel.retry_at(delivery), comment)
            channel.event("not_found")
            log.warning("not found", delivery=delivery.id, destination=delivery.destination, missing=missing)


def _postpone(channel: Channel, delivery: Delivery, comment: str) -> None:
    with channel.engine.begin() as connection:
        postpone(connection, delivery, channel.retry_at(delivery), comment)
