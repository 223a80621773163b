"""What a person may tell the service: ask, stop, start, retry. Each leaves a row in the audit."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update

from imaging.errors import UsageError
from service.database.engine import insert_ignore
from service.database.tables import audit, deliveries, instances, stops, studies
from service.delivery.queue import find_delivery, unpark
from service.settings import Settings
from service.workflows.record import profile_of, rewrite

WHO_LENGTH = 80


class NothingLeftError(UsageError):
    """What is asked for needs images, and they were released."""


def ask(engine: Engine, uid: str, who: str) -> None:
    """Have a study judged complete, and read, now.

    Raises
    ------
    UsageError
        The study isn't known.
    NothingLeftError
        All its images were released.
    """
    now = datetime.now(UTC)
    i = instances
    with engine.begin() as connection:
        images = select(i.c.released_at).where(i.c.study_instance_uid == uid, i.c.is_image)
        released = connection.execute(images).scalars().all()
        if released and all(released):
            raise NothingLeftError(f"the images of {uid} were released; send the study again, then ask")
        asked = update(studies).where(studies.c.study_instance_uid == uid).values(asked_at=now, check_at=now)
        if connection.execute(asked).rowcount == 0:
            raise UsageError(f"there is no study {uid} here")
        record(connection, who, "ask", uid)


def stop(engine: Engine, settings: Settings, pipeline: str, who: str, note: str = "") -> bool:
    """Send nothing more of a pipeline, to anyone; False when it was stopped already.

    Raises
    ------
    UsageError
        There is no such pipeline.
    """
    with engine.begin() as connection:
        _check_pipeline(connection, settings, pipeline)
        row = {"pipeline": pipeline, "stopped_at": datetime.now(UTC), "stopped_by": _who(who), "note": note}
        if insert_ignore(connection, stops, [row]) == 0:
            return False
        record(connection, who, "stop", pipeline, note)
        return True


def start(engine: Engine, settings: Settings, pipeline: str, who: str, note: str = "") -> bool:
    """Let a stopped pipeline's results go again; False when it wasn't stopped.

    Raises
    ------
    UsageError
        There is no such pipeline.
    """
    with engine.begin() as connection:
        _check_pipeline(connection, settings, pipeline)
        if connection.execute(delete(stops).where(stops.c.pipeline == pipeline)).rowcount == 0:
            return False
        record(connection, who, "start", pipeline, note)
        return True


def retry(engine: Engine, settings: Settings, delivery: int, who: str) -> None:
    """Put a parked delivery back into its queue, to be tried at once, as its destination wants its objects now.

    Raises
    ------
    UsageError
        There is no such delivery, or it isn't parked.
    """
    with engine.begin() as connection:
        row = find_delivery(connection, delivery)
        if row is None:
            raise UsageError(f"there is no delivery {delivery}; `raysight deliveries list` lists them")
        if not unpark(connection, delivery, datetime.now(UTC)):
            raise UsageError(f"delivery {delivery} is {row.state}, not parked; it needs no retry")
        destination = settings.destination(row.destination)
        if destination is not None:
            rewrite(connection, row, profile_of(destination).name)
        record(connection, who, "retry", str(delivery), row.comment)


def record(connection: Connection, who: str, action: str, subject: str, detail: str = "") -> None:
    """One row of the audit."""
    row = {"at": datetime.now(UTC), "who": _who(who), "action": action, "subject": subject, "detail": detail}
    connection.execute(insert(audit).values(row))


def _who(who: str) -> str:
    return who.strip()[:WHO_LENGTH] or "unknown"


def _check_pipeline(connection: Connection, settings: Settings, pipeline: str) -> None:
    """Configured now, or still named by deliveries or a stop."""
    known = set(settings.pipelines)
    known.update(connection.execute(select(deliveries.c.pipeline).distinct()).scalars())
    known.update(connection.execute(select(stops.c.pipeline)).scalars())
    if pipeline not in known:
        raise UsageError(f"there is no pipeline {pipeline!r}; known: {', '.join(sorted(known)) or 'none'}")
