"""One thread per destination, each at its own pace: one that is down or refuses never delays another.

Trouble of a destination (no answer, rejected, out of resources) makes it back off as a whole: its oldest delivery
probes, and when that succeeds the others follow in the order of arrival. Trouble of one delivery moves that delivery
only, and younger ones overtake it. Which of the two it is when an association fails, a C-ECHO tells.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Engine

from dicom_node.blobs import BlobStore
from dicom_node.network.peers import RemoteAE
from imaging.errors import PeerError, PeerRefusal
from service.database.engine import reading
from service.delivery.backoff import DEFAULT, Backoff
from service.delivery.channel import Channel, OnEvent, SourceIdentity, ignore_event, utc_now
from service.delivery.confirming import confirm
from service.delivery.queue import Delivery, State, explain, next_due, postpone
from service.delivery.sending import out_of_resources, send
from service.settings import DestinationSettings, Settings

log = structlog.get_logger(__name__)


class DestinationQueue:
    """The deliveries of one destination, one step at a time.

    A back-off is kept in memory: after a restart the oldest delivery probes at once.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._failures = 0
        self._failing_since: datetime | None = None
        self._silent_until: datetime | None = None
        self._suspect: int | None = None

    @property
    def name(self) -> str:
        """The destination's name."""
        return self.channel.destination.name

    def step(self) -> bool:
        """Send or confirm the oldest delivery that is due. False when none is, or while the destination backs off."""
        channel = self.channel
        now = channel.clock()
        if self._silent_until is not None and now < self._silent_until:
            return False
        with reading(channel.engine).connect() as connection:
            delivery = next_due(connection, channel.destination, now)
        if delivery is None:
            return False
        try:
            (send if delivery.state is State.PENDING else confirm)(channel, delivery)
        except PeerError as error:
            self._judge(delivery, error)
        except Exception as error:  # noqa: BLE001 - a row that trips over a defect must not hold up those behind it
            until = self.survive(error)
            self._postpone(delivery, f"unexpected {type(error).__name__}; the log says where", after=until)
        else:
            self._recover()
        return True

    def back_off(self) -> datetime:
        """Stay silent for a while, longer with each failure in a row; until when."""
        now = self.channel.clock()
        self._failures += 1
        self._failing_since = self._failing_since or now
        wait = self.channel.backoff.wait(self._failures, now - self._failing_since, self.channel.draw())
        self._silent_until = now + wait
        return self._silent_until

    def survive(self, error: Exception) -> datetime:
        """Log and count what nobody expected, and back off; until when."""
        name, where = type(error).__name__, _where(error)
        log.critical("delivery failed unexpectedly", error=name, where=where, destination=self.name)
        self.channel.event("unexpected", error=name)
        return self.back_off()

    def _recover(self) -> None:
        self._failures, self._failing_since, self._silent_until, self._suspect = 0, None, None, None

    def _judge(self, delivery: Delivery, error: PeerError) -> None:
        """Whose trouble is it? The delivery's, if it fails twice in a row while a C-ECHO is answered each time.

        Once may be chance: the destination came back between the failure and the C-ECHO.
        """
        exhausted = isinstance(error, PeerRefusal) and out_of_resources(error.status)
        if not exhausted and self.channel.answers():
            suspected = self._suspect == delivery.id
            self._recover()
            if suspected:
                self._postpone(delivery, str(error))
                return
            self._suspect = delivery.id
        until = self.back_off()
        with self.channel.engine.begin() as connection:
            explain(connection, delivery, f"{error}; next attempt at {until:%Y-%m-%d %H:%M:%S} UTC")
        self.channel.event("unreachable")
        log.warning("destination backs off", destination=self.name, failures=self._failures, until=until.isoformat())

    def _postpone(self, delivery: Delivery, comment: str, after: datetime | None = None) -> None:
        """Let others overtake; ``after``: until when the destination is silent, so that they have time to."""
        now = self.channel.clock()
        at = self.channel.retry_at(delivery) + ((after or now) - now)
        with self.channel.engine.begin() as connection:
            postpone(connection, delivery, at, comment)


class DeliveryService:
    """Delivers what the tables hold, until it is stopped.

    Parameters
    ----------
    settings
        Destinations and our AE title.
    results
        Where the result files are.
    source_identity
        What the received headers say about a study.
    on_event
        Told of each object ``sent``, each delivery ``confirmed`` (means), ``parked`` (reason) or ``not_found``, and
        each ``unreachable`` and ``unexpected`` (error), all with their ``destination``.
    poll_seconds
        How often rows that other processes wrote are looked for.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        results: BlobStore,
        source_identity: SourceIdentity,
        *,
        clock: Callable[[], datetime] = utc_now,
        backoff: Backoff = DEFAULT,
        indexing: timedelta = timedelta(seconds=30),
        on_event: OnEvent = ignore_event,
        poll_seconds: float = 0.5,
    ) -> None:
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._queues = [
            DestinationQueue(
                Channel(
                    engine=engine,
                    results=results,
                    destination=destination,
                    calling_ae=settings.node.ae_title,
                    remote=_remote(destination),
                    source_identity=source_identity,
                    clock=clock,
                    backoff=backoff,
                    indexing=indexing,
                    on_event=on_event,
                )
            )
            for destination in settings.destinations
        ]
        self._wakes = [threading.Event() for _ in self._queues]

    @property
    def queues(self) -> Sequence[DestinationQueue]:
        """The destinations in the order of the settings."""
        return tuple(self._queues)

    def start(self) -> None:
        """Begin to deliver."""
        for queue, wake in zip(self._queues, self._wakes, strict=True):
            thread = threading.Thread(
                target=self._run, args=(queue, wake), name=f"delivery-{queue.name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout_seconds: float = 10) -> None:
        """End after the steps under way; what doesn't end in time is as if killed, which harms nothing."""
        self._stopping.set()
        self.notify()
        for thread in self._threads:
            thread.join(timeout_seconds)
        self._threads.clear()

    def notify(self) -> None:
        """Look for new rows now."""
        for wake in self._wakes:
            wake.set()

    def _run(self, queue: DestinationQueue, wake: threading.Event) -> None:
        while not self._stopping.is_set():
            try:
                busy = queue.step()
            except Exception as error:  # noqa: BLE001 - the thread is all that this destination has: it goes on, later
                queue.survive(error)
                busy = False
            if not busy:
                wake.wait(self._poll_seconds)
                wake.clear()


def _remote(destination: DestinationSettings) -> RemoteAE:
    return RemoteAE(
        destination.ae_title,
        destination.host,
        destination.port,
        connect_seconds=destination.timeout_seconds,
        answer_seconds=destination.timeout_seconds,
    )


def _where(error: BaseException) -> str:
    """Files and lines of a traceback, without its messages, which may hold a patient's data."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
