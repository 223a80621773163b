"""What sending and confirming at one destination share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Engine

from dicom_node.blobs import BlobStore
from dicom_node.network.echo import verify
from dicom_node.network.find import StudyIdentity
from dicom_node.network.peers import RemoteAE
from imaging.errors import PeerError
from service.delivery.backoff import DEFAULT, Backoff
from service.delivery.queue import Delivery
from service.settings import DestinationSettings

NOT_AT_HAND = "its objects are not at hand: the index is being rebuilt, or a result file is missing"

SourceIdentity = Callable[[str], StudyIdentity | None]
"""From a Study Instance UID to what the received headers say; None when no image of it is left here."""


class OnEvent(Protocol):
    """Told of everything that is counted: the event's name and its labels."""

    def __call__(self, name: str, /, **labels: Any) -> None: ...


def ignore_event(name: str, /, **labels: Any) -> None:
    """Count nothing."""


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Channel:
    """One destination, and all that is needed to reach it.

    Parameters
    ----------
    results
        Where the result files are.
    calling_ae
        Our AE title.
    indexing
        How long an archive may take until its C-FIND shows what it has taken.
    draw
        Random numbers, 0 <= x < 1, for the jitter.
    """

    engine: Engine
    results: BlobStore
    destination: DestinationSettings
    calling_ae: str
    remote: RemoteAE
    source_identity: SourceIdentity
    clock: Callable[[], datetime] = utc_now
    backoff: Backoff = DEFAULT
    indexing: timedelta = timedelta(seconds=30)
    on_event: OnEvent = ignore_event
    draw: Callable[[], float] = field(default=random.random)

    def event(self, name: str, /, **labels: Any) -> None:
        """Count an event of this destination."""
        self.on_event(name, destination=self.destination.name, **labels)

    def answers(self) -> bool:
        """Whether the destination answers a C-ECHO now: if so, what just failed is not its absence."""
        try:
            verify(self.remote, self.calling_ae)
        except PeerError:
            return False
        return True

    def retry_at(self, delivery: Delivery) -> datetime:
        """When a row that failed for reasons of its own is tried again."""
        now = self.clock()
        return now + self.backoff.wait(max(delivery.attempts, 1), now - delivery.created_at, self.draw())
