"""What `raysight status` and the API say about a study and about the whole service.

No patient data stands here: UIDs, AE titles, counts, times and reasons only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StudyState(StrEnum):
    """Where a study stands, in one word.

    The first of these that is true is the word (`service.status.words`): images still being collected; a reading
    under way; something a person must look at; results on their way; the end.
    """

    RECEIVED = "received"
    """Images came; whether there are more is judged soon."""
    WAITING = "waiting"
    """Not complete yet; ``waiting_for`` says what for."""
    READING = "reading"
    """A reading is queued or running."""
    PARKED = "parked"
    """A destination refused results, or the identity check failed; a person must look."""
    FAILED = "failed"
    """A reading failed; its reason stands with it."""
    STOPPED = "stopped"
    """Results wait because their pipeline is stopped (`raysight start` lets them go)."""
    PENDING = "pending"
    """Results wait to be sent."""
    SENT = "sent"
    """Results were sent, and the archive has not yet confirmed them."""
    CONFIRMED = "confirmed"
    """Read, and every destination that gets results has confirmed them."""
    HELD = "held"
    """Read, but every destination is on hold for this pipeline."""
    READ = "read"
    """Read, and no destination is configured."""
    NOT_READ = "not read"
    """Complete, and not read; each pipeline's reason stands with it."""
    COMPLETE = "complete"
    """Complete, and no pipeline has answered yet."""
    STORED = "stored"
    """Only instances that start no reading."""


class DeliveryState(StrEnum):
    """Where one result stands at one destination."""

    HELD = "held"
    STOPPED = "stopped"
    PENDING = "pending"
    SENT = "sent"
    CONFIRMED = "confirmed"
    PARKED = "parked"


@dataclass(frozen=True)
class Evidence:
    """Why a study counts as complete: ``counted``, ``quiet`` or ``asked``, and what was seen."""

    kind: str
    detail: str


@dataclass(frozen=True)
class DeliveryStatus:
    """One result's way to one destination.

    Parameters
    ----------
    id
        Number of the delivery (`raysight deliveries retry ID`).
    confirmed_by
        ``commitment`` or ``query``; None until confirmed.
    comment
        The last answer of the destination, in words.
    seconds
        What sending took.
    confirm_seconds
        From the last object's answer to the proof that the archive has them all.
    """

    id: int
    key: str
    study_instance_uid: str
    pipeline: str
    destination: str
    state: DeliveryState
    created_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    comment: str
    sent_at: datetime | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    seconds: float | None
    confirm_seconds: float | None


@dataclass(frozen=True)
class ObjectStatus:
    """One stored result object (SR, SEG, picture)."""

    role: str
    profile: str
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class PipelineStatus:
    """One pipeline's answer to a study.

    Parameters
    ----------
    key
        The reading's key.
    state
        ``queued``, ``reading``, ``read``, ``not read``, ``failed``, ``superseded``.
    superseded
        A newer reading of the same pipeline stands beside it.
    predecessor
        Key of the reading that this one replaces.
    findings
        Number of findings; None unless read. 0 with state ``read`` is "no mark above threshold", never "normal".
    timings
        Seconds by stage: decode, volume, read, write.
    """

    key: str
    study_instance_uid: str
    pipeline: str
    pipeline_version: str
    model_name: str
    model_version: str
    state: str
    reason_kind: str | None
    reason: str | None
    findings: int | None
    series_instance_uid: str | None
    superseded: bool
    predecessor: str | None
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    starts: int
    timings: Mapping[str, float] | None
    objects: tuple[ObjectStatus, ...] = ()
    deliveries: tuple[DeliveryStatus, ...] = ()


@dataclass(frozen=True)
class InstanceCounts:
    """What is stored of a study.

    Parameters
    ----------
    conflicts
        Instances that came under a SOP Instance UID already here, with other bytes; both are kept.
    unreadable
        Instances whose header could not be read.
    released
        Images whose bytes were released by retention; digests and results stay.
    """

    total: int
    images: int
    ours: int
    series: int
    megabytes: float
    conflicts: int
    unreadable: int
    released: int


@dataclass(frozen=True)
class StudySummary:
    """One line of the list of studies."""

    study_instance_uid: str
    state: StudyState
    source_ae: str
    first_received_at: datetime
    last_received_at: datetime
    waiting_for: str


@dataclass(frozen=True)
class StudyStatus:
    """Everything about one study.

    Parameters
    ----------
    conflicting_instances
        The SOP Instance UIDs under which different bytes arrived.
    """

    study_instance_uid: str
    state: StudyState
    source_ae: str
    first_received_at: datetime
    last_received_at: datetime
    check_at: datetime | None
    waiting_for: str
    asked_at: datetime | None
    complete_at: datetime | None
    evidence: Evidence | None
    instances: InstanceCounts
    conflicting_instances: tuple[str, ...]
    readings: tuple[PipelineStatus, ...]


@dataclass(frozen=True)
class DestinationStatus:
    """A destination's backlog.

    Parameters
    ----------
    by_state
        Deliveries by `DeliveryState`.
    oldest_waiting_since
        When the oldest delivery that should be on its way (pending or sent) was created.
    """

    name: str
    ae_title: str
    address: str
    configured: bool
    by_state: Mapping[str, int]
    oldest_waiting_since: datetime | None
    last_answer: str


@dataclass(frozen=True)
class Stop:
    """A pipeline whose results are not sent, and who stopped it."""

    pipeline: str
    stopped_at: datetime
    stopped_by: str
    note: str


@dataclass(frozen=True)
class Hold:
    """A pipeline whose results a destination does not get, by configuration."""

    pipeline: str
    destination: str


@dataclass(frozen=True)
class Role:
    """A process of the service and whether it is alive."""

    name: str
    alive: bool


@dataclass(frozen=True)
class Overview:
    """The whole service on one page.

    Parameters
    ----------
    free_megabytes, refuse_below_megabytes
        Free space where the spool lies, and the watermark below which C-STORE is refused.
    """

    at: datetime
    roles: tuple[Role, ...]
    free_megabytes: int
    refuse_below_megabytes: int
    studies: Mapping[str, int]
    readings: Mapping[str, Mapping[str, int]]
    destinations: tuple[DestinationStatus, ...]
    stops: tuple[Stop, ...]
    holds: tuple[Hold, ...]
    instances: InstanceCounts
