"""Nothing fills up for ever: images are released when their work is done. Digests, results and the log stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, func, or_, select, update

from dicom_node.blobs import BlobStore
from service.database import tables
from service.database.engine import reading
from service.settings import RetentionSettings
from service.workflows.record import OPEN

log = structlog.get_logger(__name__)


def release_images(database: Engine, spool: BlobStore, spool_folder: Path, rules: RetentionSettings) -> int:
    """Delete the images of finished studies; the number of instances released.

    A study is finished when it is complete, or was retrieved as an earlier examination, when all its readings, and
    those of later studies that are given it, are final, and every delivery of it is confirmed. It is released
    ``days`` after its last event; below the watermark of free space at once, the oldest first, until there is room.
    """
    released = 0
    with reading(database).connect() as connection:
        finished = list(_finished(connection))
    limit = datetime.now(UTC) - timedelta(days=rules.days)
    for study_instance_uid, since in finished:
        short_of_space = shutil.disk_usage(spool_folder).free < rules.watermark_mb * 1024 * 1024
        if since > limit and not short_of_space:
            break  # they come oldest first
        released += _release(database, spool, study_instance_uid)
    return released


def _finished(connection: Connection) -> Iterator[tuple[str, datetime]]:
    """Finished studies that still have images, with the time of their last event, oldest first."""
    s, i, r, d = tables.studies, tables.instances, tables.readings, tables.deliveries
    of_it = or_(
        r.c.study_instance_uid == s.c.study_instance_uid, r.c.prior_study_instance_uid == s.c.study_instance_uid
    )
    waiting = select(r.c.key).where(of_it, r.c.state.in_(OPEN))
    retrieved = select(i.c.digest).where(i.c.study_instance_uid == s.c.study_instance_uid, i.c.retrieved_by != "")
    undelivered = select(d.c.id).where(d.c.study_instance_uid == s.c.study_instance_uid, d.c.state != "confirmed")
    kept = select(i.c.digest).where(i.c.study_instance_uid == s.c.study_instance_uid, i.c.released_at.is_(None))
    confirmed = (
        select(func.max(d.c.confirmed_at)).where(d.c.study_instance_uid == s.c.study_instance_uid).scalar_subquery()
    )
    # what came back after its release starts nothing, and is kept for as long: a person may want to ask for it
    back = (
        select(func.max(i.c.received_at))
        .where(i.c.study_instance_uid == s.c.study_instance_uid, i.c.released_at.is_(None))
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            s.c.study_instance_uid,
            s.c.last_received_at,
            s.c.complete_at,
            confirmed.label("confirmed_at"),
            back.label("back_at"),
        )
        .where(s.c.check_at.is_(None), or_(s.c.complete_at.is_not(None), retrieved.exists()))
        .where(~waiting.exists(), ~undelivered.exists(), kept.exists())
    )
    found = [(uid, max(at for at in events if at)) for uid, *events in rows]
    yield from sorted(found, key=lambda item: (item[1], item[0]))


def _release(database: Engine, spool: BlobStore, study_instance_uid: str) -> int:
    i = tables.instances
    with reading(database).connect() as connection:
        blobs = connection.execute(
            select(i.c.blob).where(i.c.study_instance_uid == study_instance_uid, i.c.released_at.is_(None))
        ).scalars()
        names = list(blobs)
    for name in names:
        with suppress(KeyError):  # deleted by a node that died before it could note that
            spool.delete(name)
    with database.begin() as connection:
        connection.execute(
            update(i)
            .where(i.c.study_instance_uid == study_instance_uid, i.c.blob.in_(names))
            .values(released_at=datetime.now(UTC))
        )
    log.info("images released", study=study_instance_uid, instances=len(names))
    return len(names)
