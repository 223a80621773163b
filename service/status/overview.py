"""The whole service on one page."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from service.configuration import Home
from service.database.engine import reading
from service.database.tables import deliveries, readings, stops
from service.roles import role_alive
from service.settings import DestinationSettings, Mode, Settings
from service.status.records import DeliveryState, DestinationStatus, Hold, Overview, Role, Stop
from service.status.studies import instance_counts
from service.status.words import delivery_state, study_words


def overview(engine: Engine, settings: Settings, home: Home) -> Overview:
    """Counts by state, destinations with their backlog, stops, holds, free disk, and which roles are alive."""
    with reading(engine).connect() as connection:
        return Overview(
            at=datetime.now(UTC),
            roles=roles(settings, home),
            free_megabytes=free_megabytes(home.root),
            refuse_below_megabytes=settings.node.limits.free_mb,
            studies=studies_by_state(connection, settings),
            readings=readings_by_state(connection),
            destinations=destination_statuses(connection, settings),
            stops=tuple(Stop(*row) for row in connection.execute(select(stops).order_by(stops.c.pipeline))),
            holds=holds(settings),
            instances=instance_counts(connection),
        )


def roles(settings: Settings, home: Home) -> tuple[Role, ...]:
    """The processes of this home: node and its receiver, the worker's slot, api."""
    names = ("node", "receiver", settings.worker.slot, "api")
    return tuple(Role(name, role_alive(home.root, name)) for name in names)


def free_megabytes(folder: Path) -> int:
    """Free space, MB, of the file system that holds ``folder`` (or will, when it isn't made yet)."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free // (1 << 20)


def studies_by_state(connection: Connection, settings: Settings) -> Mapping[str, int]:
    """Number of studies by `StudyState`; states without any are left out."""
    words = study_words(settings)
    query = select(words.c.word, func.count()).group_by(words.c.word).order_by(words.c.word)
    return {word: number for word, number in connection.execute(query)}  # noqa: C416


def readings_by_state(connection: Connection) -> Mapping[str, Mapping[str, int]]:
    """Number of readings by pipeline and state."""
    query = select(readings.c.pipeline, readings.c.state, func.count()).group_by(
        readings.c.pipeline, readings.c.state
    )
    counts: dict[str, dict[str, int]] = {}
    for pipeline, state, number in connection.execute(query.order_by(readings.c.pipeline, readings.c.state)):
        counts.setdefault(pipeline, {})[state] = number
    return counts


def destination_statuses(connection: Connection, settings: Settings) -> tuple[DestinationStatus, ...]:
    """The configured destinations in their order, then those that only old deliveries still name."""
    each = select(deliveries, delivery_state(settings).label("shown")).subquery()
    query = select(each.c.destination, each.c.shown, func.count(), func.min(each.c.created_at))
    counts: dict[str, dict[str, int]] = {}
    oldest: dict[str, list[datetime]] = {}
    for name, state, number, since in connection.execute(query.group_by(each.c.destination, each.c.shown)):
        counts.setdefault(name, {})[state] = number
        if state in (DeliveryState.PENDING, DeliveryState.SENT):
            oldest.setdefault(name, []).append(since)
    names = [d.name for d in settings.destinations]
    names += sorted(set(counts) - set(names))
    return tuple(
        _destination(connection, name, settings.destination(name), counts.get(name, {}), oldest.get(name, []))
        for name in names
    )


def _destination(
    connection: Connection,
    name: str,
    configured: DestinationSettings | None,
    counts: Mapping[str, int],
    oldest: list[datetime],
) -> DestinationStatus:
    waiting = select(deliveries.c.comment).where(
        deliveries.c.destination == name,
        deliveries.c.state.in_((DeliveryState.PENDING.value, DeliveryState.PARKED.value)),
        deliveries.c.comment != "",
    )
    return DestinationStatus(
        name=name,
        ae_title=configured.ae_title if configured else "",
        address=f"{configured.host}:{configured.port}" if configured else "",
        configured=configured is not None,
        by_state=dict(sorted(counts.items())),
        oldest_waiting_since=min(oldest, default=None),
        last_answer=connection.execute(waiting.order_by(deliveries.c.id).limit(1)).scalar() or "",
    )


def holds(settings: Settings) -> tuple[Hold, ...]:
    """Every pipeline whose results are kept back from a destination that names it."""
    return tuple(
        Hold(pipeline, destination.name)
        for destination in settings.destinations
        for pipeline, switch in destination.pipelines.items()
        if switch.mode is Mode.HOLD
    )
