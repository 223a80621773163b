"""What the database knows of a reading: asked for, begun, ended, and where its objects are to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, update

from dicom_node.objects.profile import ObjectProfile
from imaging.pipeline import Selection
from imaging.reading import Reading, ReadingStatus
from imaging.reasons import Reason
from service.database import tables
from service.database.engine import insert_ignore
from service.delivery.queue import Delivery, create_deliveries
from service.settings import DestinationSettings, Settings
from service.workflows.requests import ReadingRequest
from service.workflows.results import Manifest

QUEUED, READING, SUPERSEDED = "queued", "reading", "superseded"
OPEN = (QUEUED, READING)


def profile_of(destination: DestinationSettings) -> ObjectProfile:
    """How a destination wants its objects."""
    return ObjectProfile(destination.sr_class, destination.character_set, destination.language)


def profiles_for(settings: Settings, pipeline: str) -> tuple[ObjectProfile, ...]:
    """The distinct profiles of the destinations that know a pipeline; the default one where none does."""
    wanted = {profile_of(d) for d in settings.destinations if pipeline in d.pipelines}
    return tuple(sorted(wanted, key=lambda p: p.name)) or (ObjectProfile(),)


@dataclass(frozen=True)
class OpenReading:
    """A reading that isn't final, as its row stands."""

    key: str
    state: str
    attempt: int
    starts: int
    pipeline: str


def add_request(connection: Connection, request: ReadingRequest) -> bool:
    """The row of a request; False when it stands already. One that no worker need see is final at once."""
    answer = request.answer
    row: dict[str, Any] = {
        "key": request.key,
        "study_instance_uid": request.study_instance_uid,
        "series_instance_uid": answer.series[0].series_instance_uid if isinstance(answer, Selection) else None,
        "pipeline": request.pipeline,
        "pipeline_version": request.pipeline_version,
        "model_name": request.model.name,
        "model_version": request.model.version,
        "images": request.images,
        "predecessor": request.predecessor,
        "prior_study_instance_uid": request.prior.study.study_instance_uid if request.prior else None,
        "requested_at": request.requested_at,
        "state": QUEUED,
        "starts": 0,
        "attempt": 0,
    }
    if request.waits_for:
        row["reason"] = request.waits_for
    if not request.reports(request.refusal):
        row |= {"state": ReadingStatus.NOT_READ.value, "finished_at": request.requested_at} | _why(request.refusal)
    models = [
        {"key": request.key, "model_name": one.name, "model_version": one.version} for one in request.model.each
    ]
    insert_ignore(connection, tables.reading_models, models)
    return insert_ignore(connection, tables.readings, [row]) == 1


def _why(reason: Reason | None) -> dict[str, str | None]:
    return {"reason_kind": reason.kind.value if reason else None, "reason": reason.message if reason else None}


def begin(connection: Connection, key: str) -> int:
    """Mark a reading as begun; how often it was begun, this time included.

    One that has ended stays as it is: a worker that died right after the last step begins it once more, and finds
    every step done.
    """
    r = tables.readings
    connection.execute(
        update(r)
        .where(r.c.key == key, r.c.state.in_(OPEN))
        .values(state=READING, starts=r.c.starts + 1, started_at=datetime.now(UTC))
    )
    return int(connection.execute(select(r.c.starts).where(r.c.key == key)).scalar_one())


def uncount(connection: Connection, key: str, why: str) -> None:
    """Take back one `begin`: the reading waits for something outside (engine, disk), it killed nobody."""
    r = tables.readings
    connection.execute(update(r).where(r.c.key == key).values(state=QUEUED, starts=r.c.starts - 1, reason=why))


def waits(connection: Connection, key: str, why: str) -> None:
    """Say for what an open reading waits."""
    r = tables.readings
    connection.execute(update(r).where(r.c.key == key, r.c.state.in_(OPEN)).values(reason=why))


def finish(
    connection: Connection,
    settings: Settings,
    *,
    request: ReadingRequest,
    reading: Reading,
    manifests: Mapping[str, Manifest],
    timings: Mapping[str, float],
) -> None:
    """Step 3: the reading's final state, its objects, and one delivery row per destination. May run twice."""
    r = tables.readings
    now = datetime.now(UTC)
    connection.execute(
        update(r)
        .where(r.c.key == request.key)
        .values(
            state=reading.status.value,
            findings=len(reading.findings) if reading.status is ReadingStatus.READ else None,
            finished_at=now,
            timings=dict(timings) or None,
            **_why(reading.reason),
        )
    )
    add_objects(connection, request.key, manifests)
    if not request.reports(reading.reason):
        return
    profiles = {d.name: profile_of(d).name for d in settings.destinations if request.pipeline in d.pipelines}
    d = tables.deliveries
    # once for each reading: a destination that was added since doesn't get what was read before
    if connection.execute(select(d.c.id).where(d.c.key == request.key).limit(1)).one_or_none() is None:
        create_deliveries(
            connection,
            key=request.key,
            study_instance_uid=request.study_instance_uid,
            pipeline=request.pipeline,
            profiles=profiles,
            now=now,
        )
    for destination, profile in profiles.items():
        if problem := manifests[profile].problem:
            connection.execute(
                update(d)
                .where(d.c.key == request.key, d.c.destination == destination)
                .values(state="parked", comment=f"The objects can't be written: {problem}")
            )


def rewrite(connection: Connection, delivery: Delivery, profile: str) -> None:
    """Let a delivery take its objects in another profile. Where they aren't written yet the reading is queued again:
    what was read stands, so it is writing that is left."""
    if profile == delivery.profile:
        return
    d, o, r = tables.deliveries, tables.objects, tables.readings
    connection.execute(update(d).where(d.c.id == delivery.id).values(profile=profile))
    written = select(o.c.key).where(o.c.key == delivery.key, o.c.profile == profile).limit(1)
    if connection.execute(written).one_or_none() is None:
        connection.execute(
            update(r)
            .where(r.c.key == delivery.key, r.c.state.not_in((*OPEN, SUPERSEDED)))
            .values(state=QUEUED, attempt=r.c.attempt + 1, starts=0)
        )


def add_objects(connection: Connection, key: str, manifests: Mapping[str, Manifest]) -> None:
    """The rows of a reading's objects, in every profile."""
    rows = [
        {
            "sop_instance_uid": item.sop_instance_uid,
            "key": key,
            "profile": profile,
            "role": item.role,
            "sop_class_uid": item.sop_class_uid,
            "series_instance_uid": item.series_instance_uid,
            "blob": item.blob,
            "digest": item.digest,
        }
        for profile, manifest in manifests.items()
        for item in manifest.objects
    ]
    insert_ignore(connection, tables.objects, rows)


def open_readings(connection: Connection) -> list[OpenReading]:
    """Readings that aren't final, oldest first."""
    r = tables.readings
    rows = connection.execute(
        select(r.c.key, r.c.state, r.c.attempt, r.c.starts, r.c.pipeline)
        .where(r.c.state.in_(OPEN))
        .order_by(r.c.requested_at, r.c.key)
    )
    return [OpenReading(**row._mapping) for row in rows]


def latest_key(connection: Connection, study_instance_uid: str, pipeline: str) -> str | None:
    """The reading of a study by a pipeline that a new one would follow: the last that made objects or will."""
    r = tables.readings
    return connection.execute(
        select(r.c.key)
        .where(r.c.study_instance_uid == study_instance_uid, r.c.pipeline == pipeline, r.c.state != SUPERSEDED)
        .order_by(r.c.requested_at.desc(), r.c.key)
        .limit(1)
    ).scalar_one_or_none()


def read_before(connection: Connection, study_instance_uid: str, pipeline: str, images: str) -> bool:
    """Whether these very images were read already, by any version of the pipeline."""
    r = tables.readings
    return (
        connection.execute(
            select(r.c.key)
            .where(
                r.c.study_instance_uid == study_instance_uid,
                r.c.pipeline == pipeline,
                r.c.images == images,
                r.c.state != SUPERSEDED,
            )
            .limit(1)
        ).scalar_one_or_none()
        is not None
    )
