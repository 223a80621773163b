"""The states as SQL: one definition for lists, filters, counts and gauges."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Integer, Subquery, Table, and_, case, cast, false, func, not_, or_, select

from service.database.tables import deliveries, readings, stops, studies
from service.settings import Mode, Settings
from service.status.records import DeliveryState, StudyState


def switched_on(settings: Settings) -> ColumnElement[bool]:
    """Whether a delivery's destination is configured and in mode ``deliver`` for its pipeline."""
    pairs = [
        and_(deliveries.c.destination == destination.name, deliveries.c.pipeline == pipeline)
        for destination in settings.destinations
        for pipeline, switch in destination.pipelines.items()
        if switch.mode is Mode.DELIVER
    ]
    return or_(false(), *pairs)


def delivery_state(settings: Settings) -> ColumnElement[str]:
    """A delivery's state as people see it: ``pending`` is told apart from ``held`` and ``stopped``."""
    stopped = deliveries.c.pipeline.in_(select(stops.c.pipeline))
    pending = deliveries.c.state == DeliveryState.PENDING.value
    return case(
        (and_(pending, not_(switched_on(settings))), DeliveryState.HELD.value),
        (and_(pending, stopped), DeliveryState.STOPPED.value),
        else_=deliveries.c.state,
    )


def current_readings(only: str | None = None) -> Subquery:
    """Each study's newest reading of each pipeline: key, study_instance_uid, pipeline, state.

    Parameters
    ----------
    only
        The one study that is asked for; all when None.
    """
    rank = func.row_number().over(
        partition_by=(readings.c.study_instance_uid, readings.c.pipeline),
        order_by=(readings.c.requested_at.desc(), readings.c.key),
    )
    columns = (readings.c.key, readings.c.study_instance_uid, readings.c.pipeline, readings.c.state)
    ranked = (
        select(*columns, rank.label("rank")).where(readings.c.state != "superseded", *_of(readings, only)).subquery()
    )
    newest = select(ranked.c.key, ranked.c.study_instance_uid, ranked.c.pipeline, ranked.c.state)
    return newest.where(ranked.c.rank == 1).subquery("current")


def study_words(settings: Settings, only: str | None = None) -> Subquery:
    """Every study, or ``only`` one, with its `StudyState`: study_instance_uid, word."""
    current = current_readings(only)
    read = (
        select(
            current.c.study_instance_uid,
            _any(current.c.state.in_(("queued", "reading"))).label("busy"),
            _any(current.c.state == "failed").label("failed"),
            _any(current.c.state == "read").label("read"),
        )
        .group_by(current.c.study_instance_uid)
        .subquery()
    )
    each = (
        select(deliveries.c.study_instance_uid, delivery_state(settings).label("state"))
        .where(*_of(deliveries, only))
        .subquery()
    )
    sent = (
        select(each.c.study_instance_uid, *(_any(each.c.state == s.value).label(s.value) for s in DeliveryState))
        .group_by(each.c.study_instance_uid)
        .subquery()
    )
    collecting = studies.c.check_at.is_not(None)
    word = case(
        (and_(collecting, studies.c.waiting_for != ""), StudyState.WAITING.value),
        (collecting, StudyState.RECEIVED.value),
        (read.c.busy == 1, StudyState.READING.value),
        (sent.c.parked == 1, StudyState.PARKED.value),
        (read.c.failed == 1, StudyState.FAILED.value),
        (sent.c.stopped == 1, StudyState.STOPPED.value),
        (sent.c.pending == 1, StudyState.PENDING.value),
        (sent.c.sent == 1, StudyState.SENT.value),
        (and_(read.c.read == 1, sent.c.confirmed == 1), StudyState.CONFIRMED.value),
        (and_(read.c.read == 1, sent.c.held == 1), StudyState.HELD.value),
        (read.c.read == 1, StudyState.READ.value),
        (read.c.study_instance_uid.is_not(None), StudyState.NOT_READ.value),
        (studies.c.complete_at.is_not(None), StudyState.COMPLETE.value),
        else_=StudyState.STORED.value,
    )
    joined = studies.outerjoin(read, read.c.study_instance_uid == studies.c.study_instance_uid).outerjoin(
        sent, sent.c.study_instance_uid == studies.c.study_instance_uid
    )
    named = select(studies.c.study_instance_uid, word.label("word")).select_from(joined)
    return named.where(*_of(studies, only)).subquery("words")


def _of(table: Table, study: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if study is None else (table.c.study_instance_uid == study,)


def _any(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.max(cast(case((condition, 1), else_=0), Integer))
