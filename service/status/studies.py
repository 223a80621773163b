"""What the tables say about studies, readings and deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Integer, case, cast, distinct, func, or_, select

from imaging.errors import UsageError
from service.database.engine import reading
from service.database.tables import instances, studies
from service.settings import Settings
from service.status.readings import LIMIT, Mark, follows, readings_of
from service.status.records import Evidence, InstanceCounts, StudyState, StudyStatus, StudySummary
from service.status.words import study_words


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
        query = query.where(follows(studies.c.last_received_at, studies.c.study_instance_uid, after))
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
            readings=readings_of(connection, settings, uid),
        )


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


def _evidence(value: Any) -> Evidence | None:
    return Evidence(str(value["kind"]), str(value["detail"])) if value else None
