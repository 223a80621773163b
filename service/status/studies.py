"""What the tables say about studies, readings and deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Row,
    Select,
    and_,
    case,
    cast,
    distinct,
    func,
    or_,
    select,
)

from imaging.errors import UsageError
from service.database.engine import reading
from service.database.tables import deliveries, instances, objects, readings, studies
from service.settings import Settings
from service.status.records import (
    DeliveryState,
    DeliveryStatus,
    Evidence,
    InstanceCounts,
    ObjectStatus,
    PipelineStatus,
    StudyState,
    StudyStatus,
    StudySummary,
)
from service.status.words import current_readings, delivery_state, study_words

LIMIT = 1000
"""The most rows of one answer."""

Mark = tuple[datetime, str]
"""Where a page ended: time and key of its last row."""


def list_studies(
    engine: Engine,
    settings: Settings,
    limit: int = 50,
    *,
    state: StudyState | None = None,
    since: datetime | None = None,
    after: Mark | None = None,
) -> tuple[StudySummary, ...]:
    """Studies, the last to receive an instance first.

    Parameters
    ----------
    limit
        At most this many, 1 to 1000.
    state
        Only those whose word is this.
    since
        Only those that received an instance at or after this time.
    after
        Only those that stand after this mark (last_received_at, study_instance_uid): the next page.
    """
    words = study_words(settings)
    query = (
        select(studies, words.c.word)
        .join(words, words.c.study_instance_uid == studies.c.study_instance_uid)
        .order_by(studies.c.last_received_at.desc(), studies.c.study_instance_uid)
        .limit(max(1, min(limit, LIMIT)))
    )
    if state is not None:
        query = query.where(words.c.word == state.value)
    if since is not None:
        query = query.where(studies.c.last_received_at >= since)
    if after is not None:
        query = query.where(_follows(studies.c.last_received_at, studies.c.study_instance_uid, after))
    with reading(engine).connect() as connection:
        rows = connection.execute(query).all()
    return tuple(
        StudySummary(
            study_instance_uid=row.study_instance_uid,
            state=StudyState(row.word),
            source_ae=row.source_ae,
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            waiting_for=row.waiting_for,
        )
        for row in rows
    )


def study_status(engine: Engine, settings: Settings, uid: str) -> StudyStatus | None:
    """Everything about one study; None when it isn't known."""
    words = study_words(settings, uid)
    query = (
        select(studies, words.c.word)
        .join(words, words.c.study_instance_uid == studies.c.study_instance_uid)
        .where(studies.c.study_instance_uid == uid)
    )
    with reading(engine).connect() as connection:
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        c = instances.c
        conflicting = select(c.sop_instance_uid).distinct().where(c.study_instance_uid == uid, c.conflict)
        conflicts = connection.execute(conflicting.order_by(c.sop_instance_uid)).scalars().all()
        return StudyStatus(
            study_instance_uid=uid,
            state=StudyState(row.word),
            source_ae=row.source_ae,
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            check_at=row.check_at,
            waiting_for=row.waiting_for,
            asked_at=row.asked_at,
            complete_at=row.complete_at,
            evidence=_evidence(row.evidence),
            instances=instance_counts(connection, instances.c.study_instance_uid == uid),
            conflicting_instances=tuple(conflicts),
            readings=_all_readings(connection, settings, uid),
        )


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
        query = query.where(_follows(readings.c.requested_at, readings.c.key, after))
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


def find_study(engine: Engine, text: str) -> str:
    """The one study whose UID is ``text``, or begins or ends with it (people shorten UIDs).

    Raises
    ------
    UsageError
        No study is like that, or several are.
    """
    wanted = text.strip().strip("…")
    uid = studies.c.study_instance_uid
    query = select(uid).where(or_(uid.startswith(wanted, autoescape=True), uid.endswith(wanted, autoescape=True)))
    with reading(engine).connect() as connection:
        if connection.execute(select(uid).where(uid == wanted)).first():
            return wanted
        found = connection.execute(query.limit(3)).scalars().all() if wanted else []
    if not found:
        raise UsageError(f"there is no study {text!r} here; `raysight status` lists the studies")
    if len(found) > 1:
        raise UsageError(f"more than one study begins or ends with {text!r}; give more of the UID")
    return str(found[0])


def instance_counts(connection: Connection, *where: ColumnElement[bool]) -> InstanceCounts:
    """What is stored, of one study or of all."""
    c = instances.c
    query = select(
        func.count(),
        _count(c.is_image),
        _count(c.ours),
        func.count(distinct(c.series_instance_uid)),
        func.coalesce(func.sum(case((c.released_at.is_(None), c.size), else_=0)), 0),
        _count(c.conflict),
        _count(c.unreadable != ""),
        _count(c.released_at.is_not(None)),
    ).where(*where)
    total, images, ours, series, size, conflicts, unreadable, released = connection.execute(query).one()
    return InstanceCounts(
        total=total,
        images=images,
        ours=ours,
        series=series,
        megabytes=round(float(size) / 1e6, 1),
        conflicts=conflicts,
        unreadable=unreadable,
        released=released,
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(cast(case((condition, 1), else_=0), Integer)), 0)


def _follows(time: ColumnElement[datetime], key: ColumnElement[str], mark: Mark) -> ColumnElement[bool]:
    return or_(time < mark[0], and_(time == mark[0], key > mark[1]))


def _evidence(value: Any) -> Evidence | None:
    return Evidence(str(value["kind"]), str(value["detail"])) if value else None


def _all_readings(connection: Connection, settings: Settings, uid: str) -> tuple[PipelineStatus, ...]:
    query = _readings_query(uid).where(readings.c.study_instance_uid == uid)
    rows = connection.execute(query.order_by(readings.c.pipeline, readings.c.requested_at.desc(), readings.c.key))
    return _with_results(connection, settings, [_reading(row) for row in rows])


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
