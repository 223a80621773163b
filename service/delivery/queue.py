"""Rows of `deliveries`: one reading's objects to one destination.

pending -> sent -> confirmed        the archive took it; a commitment or a query proved it
pending -> parked -> pending        refused, or another patient's study; a person let it go again (`unpark`)
sent -> pending                     not there, or commitment failed: sent again

Functions take a connection inside the caller's transaction. Each change names the state it starts from, so what
another process decided meanwhile is never undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from service.database.engine import insert_ignore
from service.database.tables import attempts, audit, deliveries, objects, stops
from service.settings import DestinationSettings, Mode


class State(StrEnum):
    """What the table says about a delivery."""

    PENDING = "pending"
    SENT = "sent"
    CONFIRMED = "confirmed"
    PARKED = "parked"


class Proof(StrEnum):
    """How it is known that the archive has the objects."""

    COMMITMENT = "commitment"
    QUERY = "query"


@dataclass(frozen=True)
class Delivery:
    """One row.

    Parameters
    ----------
    id
        Ascends in the order of arrival.
    attempts
        Tries that the archive answered, or that failed for reasons of this row; not those that did not reach it.
    comment
        The last answer or problem, in words.
    """

    id: int
    key: str
    study_instance_uid: str
    pipeline: str
    destination: str
    profile: str
    state: State
    created_at: datetime
    attempts: int
    next_attempt_at: datetime
    comment: str
    identity_checked_at: datetime | None
    sent_at: datetime | None
    transaction_uid: str | None
    transaction_at: datetime | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    seconds: float | None


@dataclass(frozen=True)
class QueuedObject:
    """One stored result object of a delivery; ``blob`` names its file in the results."""

    role: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    blob: str
    digest: str


_COLUMNS = tuple(deliveries.c[field.name] for field in fields(Delivery))
# what a report refers to goes before the report
_ORDER = ("seg", "sr")


def create_deliveries(
    connection: Connection,
    *,
    key: str,
    study_instance_uid: str,
    pipeline: str,
    profiles: Mapping[str, str],
    now: datetime,
) -> int:
    """Queue a reading's objects; rows that are there stay as they are. The number of new rows.

    Parameters
    ----------
    profiles
        Profile name by destination name; only of destinations that name the pipeline (on hold or not).
    """
    row = {"key": key, "study_instance_uid": study_instance_uid, "pipeline": pipeline, "state": State.PENDING.value}
    return insert_ignore(
        connection,
        deliveries,
        [
            row | {"destination": name, "profile": profile, "created_at": now, "next_attempt_at": now}
            for name, profile in profiles.items()
        ],
    )


def released_pipelines(connection: Connection, destination: DestinationSettings) -> frozenset[str]:
    """The pipelines whose results may go to a destination now: in mode ``deliver`` and not stopped."""
    stopped = set(connection.execute(select(stops.c.pipeline)).scalars())
    delivering = {name for name, switch in destination.pipelines.items() if switch.mode is Mode.DELIVER}
    return frozenset(delivering - stopped)


def next_due(connection: Connection, destination: DestinationSettings, now: datetime) -> Delivery | None:
    """The oldest delivery with something to do: to be sent, or to be confirmed.

    What is held or stopped is not sent, but what was sent is still confirmed. Where an archive offers no means of
    confirmation, there is nothing to do after sending.
    """
    pending = and_(
        deliveries.c.state == State.PENDING.value,
        deliveries.c.pipeline.in_(sorted(released_pipelines(connection, destination))),
    )
    sent = deliveries.c.state == State.SENT.value
    query = (
        select(*_COLUMNS)
        .where(deliveries.c.destination == destination.name, deliveries.c.next_attempt_at <= now)
        .where(or_(pending, sent) if destination.commitment or destination.query else pending)
        .order_by(deliveries.c.id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _delivery(row._asdict())


def find_delivery(connection: Connection, delivery_id: int) -> Delivery | None:
    """One row by its id."""
    row = connection.execute(select(*_COLUMNS).where(deliveries.c.id == delivery_id)).one_or_none()
    return None if row is None else _delivery(row._asdict())


def deliveries_of_transaction(connection: Connection, transaction_uid: str) -> list[Delivery]:
    """The rows that wait for, or were confirmed by, a storage commitment transaction."""
    query = select(*_COLUMNS).where(deliveries.c.transaction_uid == transaction_uid)
    return [_delivery(row._asdict()) for row in connection.execute(query)]


def queued_objects(connection: Connection, delivery: Delivery) -> list[QueuedObject]:
    """The objects of a delivery in the order in which they are sent: SEG, SR, pictures."""
    columns = [objects.c[field.name] for field in fields(QueuedObject)]
    query = select(*columns).where(objects.c.key == delivery.key, objects.c.profile == delivery.profile)
    found = [QueuedObject(**row._asdict()) for row in connection.execute(query)]
    return sorted(found, key=_rank)


def _rank(item: QueuedObject) -> tuple[int, str]:
    return (_ORDER.index(item.role) if item.role in _ORDER else len(_ORDER), item.role)


def record_attempt(
    connection: Connection,
    delivery: Delivery,
    *,
    at: datetime,
    sop_instance_uid: str,
    digest: str,
    status: int | None,
    comment: str,
) -> None:
    """Keep what was sent and what was answered; ``status`` None: no answer came."""
    values = {"delivery": delivery.id, "at": at, "sop_instance_uid": sop_instance_uid, "digest": digest}
    connection.execute(attempts.insert().values(**values, status=status, comment=comment))


def identity_checked(connection: Connection, delivery: Delivery, now: datetime, note: str) -> None:
    """The archive's study is the source's study, as far as both say.

    ``note`` says why they could not be compared. It stands in the audit, as the comment soon tells other things.
    """
    _change(connection, delivery, State.PENDING, identity_checked_at=now, comment=note)
    if note:
        row = {"at": now, "who": "delivery", "action": "send without identity check"}
        detail = f"delivery {delivery.id} to {delivery.destination}: {note}"
        connection.execute(audit.insert().values(**row, subject=delivery.study_instance_uid, detail=detail))


def mark_sent(connection: Connection, delivery: Delivery, now: datetime, seconds: float, comment: str) -> None:
    """All objects were taken; confirmation is due at once."""
    _change(
        connection,
        delivery,
        State.PENDING,
        state=State.SENT.value,
        attempts=deliveries.c.attempts + 1,
        sent_at=now,
        seconds=seconds,
        next_attempt_at=now,
        comment=comment,
        transaction_uid=None,
        transaction_at=None,
    )


def begin_transaction(
    connection: Connection, delivery: Delivery, transaction_uid: str, now: datetime, report_by: datetime
) -> None:
    """Keep a commitment transaction *before* it is asked for: its report may come at any time after."""
    values = {"transaction_uid": transaction_uid, "transaction_at": now, "next_attempt_at": report_by}
    _change(connection, delivery, State.SENT, **values)


def drop_transaction(connection: Connection, delivery: Delivery, transaction_uid: str, now: datetime) -> None:
    """The transaction was not taken up: confirmation is due again."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.state == State.SENT.value)
        .where(deliveries.c.transaction_uid == transaction_uid)
        .values(transaction_uid=None, transaction_at=None, next_attempt_at=now)
    )


def mark_confirmed(connection: Connection, delivery: Delivery, proof: Proof, now: datetime, comment: str) -> bool:
    """The archive has it. False when that (or something else) was decided already."""
    values = {"confirmed_at": now, "confirmed_by": proof.value, "comment": comment}
    return _change(connection, delivery, State.SENT, state=State.CONFIRMED.value, **values)


def send_again(connection: Connection, delivery: Delivery, at: datetime, comment: str) -> bool:
    """The archive lacks what it had taken: the same files go once more."""
    values = {"transaction_uid": None, "transaction_at": None, "next_attempt_at": at, "comment": comment}
    return _change(connection, delivery, State.SENT, state=State.PENDING.value, **values)


def postpone(connection: Connection, delivery: Delivery, at: datetime, comment: str) -> None:
    """A try was in vain for reasons of this row: later again, and younger ones overtake it."""
    values = {"next_attempt_at": at, "comment": comment, "attempts": deliveries.c.attempts + 1}
    _change(connection, delivery, delivery.state, **values)


def wait_until(connection: Connection, delivery: Delivery, at: datetime, comment: str) -> None:
    """Nothing is wrong yet: look again later."""
    _change(connection, delivery, delivery.state, next_attempt_at=at, comment=comment)


def explain(connection: Connection, delivery: Delivery, comment: str) -> None:
    """Say what the row waits for, without moving it."""
    _change(connection, delivery, delivery.state, comment=comment)


def park(connection: Connection, delivery: Delivery, comment: str) -> None:
    """A person must look at it; nothing is tried until `unpark`."""
    values = {"state": State.PARKED.value, "comment": comment, "attempts": deliveries.c.attempts + 1}
    _change(connection, delivery, State.PENDING, **values)


def unpark(connection: Connection, delivery_id: int, now: datetime) -> bool:
    """Try a parked delivery again, with its identity check. False when it isn't parked."""
    result = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == State.PARKED.value)
        .values(state=State.PENDING.value, next_attempt_at=now, identity_checked_at=None)
    )
    return bool(result.rowcount)


def _change(connection: Connection, delivery: Delivery, only_from: State, **values: Any) -> bool:
    statement = update(deliveries).where(deliveries.c.id == delivery.id, deliveries.c.state == only_from.value)
    return bool(connection.execute(statement.values(**values)).rowcount)


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(**{**row, "state": State(row["state"])})
