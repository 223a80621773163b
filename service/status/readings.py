"""What the tables say about readings and their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, or_, select

from service.database.engine import reading
from service.database.tables import deliveries, objects, readings
from service.settings import Settings
from service.status.records import DeliveryState, DeliveryStatus, ObjectStatus, PipelineStatus
from service.status.words import current_readings, delivery_state

LIMIT = 1000
"""The most rows of one answer."""

Mark = tuple[datetime, str]
"""Where a page ended: time and key of its last row."""


def list_readings(
    engine: Engine,
    limit: int = 50,
    *,
    state: str | None = None,
    pipeline: str | None = None,
    after: Mark | None = None,
) -> tuple[PipelineStatus, ...]:
    """Readings, the newest request first, without their objects and deliveries.

    Parameters
    ----------
    after
        Only those that stand after this mark (requested_at, key): the next page.
    """
    query = _readings_query().order_by(readings.c.requested_at.desc(), readings.c.key)
    query = query.limit(max(1, min(limit, LIMIT)))
    if state is not None:
        query = query.where(readings.c.state == state)
    if pipeline is not None:
        query = query.where(readings.c.pipeline == pipeline)
    if after is not None:
        query = query.where(follows(readings.c.requested_at, readings.c.key, after))
    with reading(engine).connect() as connection:
        return tuple(_reading(row) for row in connection.execute(query))


def reading_status(engine: Engine, settings: Settings, key: str) -> PipelineStatus | None:
    """One reading with its objects and deliveries; None when the key isn't known."""
    with reading(engine).connect() as connection:
        row = connection.execute(_readings_query().where(readings.c.key == key)).one_or_none()
        return None if row is None else _with_results(connection, settings, [_reading(row)])[0]


def list_deliveries(
    engine: Engine, settings: Settings, limit: int = 50, *, state: DeliveryState | None = None
) -> tuple[DeliveryStatus, ...]:
    """Deliveries in their order of arrival, the newest first."""
    query = _deliveries_query(settings).order_by(deliveries.c.id.desc()).limit(max(1, min(limit, LIMIT)))
    if state is not None:
        query = query.where(delivery_state(settings) == state.value)
    with reading(engine).connect() as connection:
        return tuple(_delivery(row) for row in connection.execute(query))


def readings_of(connection: Connection, settings: Settings, uid: str) -> tuple[PipelineStatus, ...]:
    """A study's readings with their objects and deliveries, by pipeline, the newest first."""
    query = _readings_query(uid).where(readings.c.study_instance_uid == uid)
    rows = connection.execute(query.order_by(readings.c.pipeline, readings.c.requested_at.desc(), readings.c.key))
    return _with_results(connection, settings, [_reading(row) for row in rows])


def follows(time: ColumnElement[datetime], key: ColumnElement[str], mark: Mark) -> ColumnElement[bool]:
    """Whether a row stands after a mark, where the newest time comes first and equal ones go by key."""
    return or_(time < mark[0], and_(time == mark[0], key > mark[1]))


def _readings_query(study: str | None = None) -> Select[Any]:
    current = current_readings(study)
    return select(readings, current.c.key.is_(None).label("superseded")).outerjoin(
        current, current.c.key == readings.c.key
    )


def _reading(row: Row[Any]) -> PipelineStatus:
    return PipelineStatus(
        key=row.key,
        study_instance_uid=row.study_instance_uid,
        pipeline=row.pipeline,
        state=row.state,
        reason_kind=row.reason_kind,
        reason=row.reason,
        pipeline_version=row.pipeline_version,
        model_name=row.model_name,
        model_version=row.model_version,
        series_instance_uid=row.series_instance_uid,
        findings=row.findings,
        superseded=row.superseded,
        predecessor=row.predecessor,
        requested_at=row.requested_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        starts=row.starts,
        timings=row.timings,
    )


def _with_results(
    connection: Connection, settings: Settings, found: Sequence[PipelineStatus]
) -> tuple[PipelineStatus, ...]:
    """Put the objects and deliveries to their readings."""
    keys = [r.key for r in found]
    stored = connection.execute(select(objects).where(objects.c.key.in_(keys)).order_by(objects.c.role)).all()
    due = connection.execute(
        _deliveries_query(settings).where(deliveries.c.key.in_(keys)).order_by(deliveries.c.id)
    ).all()
    return tuple(
        replace(
            one,
            objects=tuple(
                ObjectStatus(row.role, row.profile, row.sop_class_uid, row.series_instance_uid, row.sop_instance_uid)
                for row in stored
                if row.key == one.key
            ),
            deliveries=tuple(_delivery(row) for row in due if row.key == one.key),
        )
        for one in found
    )


def _deliveries_query(settings: Settings) -> Select[Any]:
    return select(deliveries, delivery_state(settings).label("shown"))


def _delivery(row: Row[Any]) -> DeliveryStatus:
    state = DeliveryState(row.shown)
    waiting = state in (DeliveryState.PENDING, DeliveryState.SENT)
    return DeliveryStatus(
        id=row.id,
        key=row.key,
        study_instance_uid=row.study_instance_uid,
        pipeline=row.pipeline,
        destination=row.destination,
        state=state,
        created_at=row.created_at,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at if waiting else None,
        comment=row.comment,
        sent_at=row.sent_at,
        confirmed_at=row.confirmed_at,
        confirmed_by=row.confirmed_by,
        seconds=row.seconds,
        confirm_seconds=_seconds_between(row.sent_at, row.confirmed_at),
    )


def _seconds_between(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else (end - begin).total_seconds()
