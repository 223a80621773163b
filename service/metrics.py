"""What Prometheus scrapes: counters of every process, and gauges read from the tables at scrape time.

Node, worker and API are processes of their own, so their counters live in files of the home's `metrics` folder
(prometheus-client's multiprocess mode), which the supervisor empties at start. Labels have closed vocabularies: no
patient data, no UID, no AE title that a stranger may choose.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from service.configuration import Home
from service.database.engine import reading
from service.settings import Settings
from service.status.overview import destination_statuses, free_megabytes, readings_by_state, roles, studies_by_state
from service.status.studies import instance_counts

if TYPE_CHECKING:
    from prometheus_client import Counter
    from prometheus_client.core import GaugeMetricFamily, Metric


@dataclass(frozen=True)
class Event:
    """A counter of an event that other parts report.

    Parameters
    ----------
    labels
        Those of the event's labels that become the counter's; others are left out.
    amount
        The event's label by whose number it counts; by one when empty.
    """

    counter: str
    help: str
    labels: tuple[str, ...] = ()
    amount: str = ""


EVENTS: dict[str, tuple[Event, ...]] = {
    # dicom_node.network.scp
    "received": (
        Event("instances_received", "Instances acknowledged"),
        Event("received_bytes", "Bytes of the instances acknowledged", amount="bytes"),
    ),
    "refused": (Event("instances_refused", "Instances answered with a failure status", ("status",)),),
    "rejected": (Event("associations_rejected", "Associations rejected", ("reason",)),),
    "committed": (
        Event("objects_committed", "Result objects that an archive committed to", amount="committed"),
        Event("objects_not_committed", "Result objects that an archive did not commit to", amount="failed"),
    ),
    # service.delivery
    "sent": (Event("objects_sent", "Result objects that a destination took", ("destination",)),),
    "confirmed": (Event("deliveries_confirmed", "Deliveries confirmed by the archive", ("destination", "means")),),
    "not_found": (Event("deliveries_not_found", "Deliveries that the archive lacked when asked", ("destination",)),),
    "parked": (Event("deliveries_parked", "Deliveries parked for a person to see", ("destination", "reason")),),
    "unreachable": (Event("destination_unreachable", "Times a destination was not reached", ("destination",)),),
    "unexpected": (Event("delivery_defects", "Errors that delivery did not expect", ("destination", "error")),),
}


def metrics_folder(home: Home) -> Path:
    """Where the processes keep their counters."""
    return home.root / "metrics"


def clean_metrics(home: Home) -> None:
    """Empty the folder; only while no process of this home counts (the supervisor, before it starts them)."""
    shutil.rmtree(metrics_folder(home), ignore_errors=True)


def keep_counters(home: Home) -> None:
    """Let this process and its children keep their counters in the home; before prometheus-client is imported."""
    folder = metrics_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


@cache
def _counters() -> Mapping[str, Counter]:
    """This process's counters by name."""
    from prometheus_client import CollectorRegistry, Counter  # noqa: PLC0415

    registry = CollectorRegistry()
    others = Event("events", "Events without a counter of their own", ("event",))
    known = [event for events in EVENTS.values() for event in events]
    return {
        e.counter: Counter(f"raysight_{e.counter}", e.help, e.labels, registry=registry) for e in (*known, others)
    }


def on_event(name: str, /, **labels: Any) -> None:
    """Count an event. A label that its counter wants and the event lacks is empty."""
    counters = _counters()
    for event in EVENTS.get(name, ()):
        counter = counters[event.counter]
        if event.labels:
            counter = counter.labels(*(str(labels.get(label, "")) for label in event.labels))
        counter.inc(float(labels[event.amount]) if event.amount else 1)
    if name not in EVENTS:
        counters["events"].labels(name).inc()


class TableCollector:
    """Gauges of what the tables and the disk say now."""

    def __init__(self, engine: Engine, settings: Settings, home: Home) -> None:
        self._engine = engine
        self._settings = settings
        self._home = home

    def collect(self) -> Iterator[Metric]:
        """One family per gauge, at scrape time."""
        with reading(self._engine).connect() as connection:
            studies = studies_by_state(connection, self._settings)
            read = readings_by_state(connection)
            destinations = destination_statuses(connection, self._settings)
            stored = instance_counts(connection)
        yield _gauge("studies", "Studies by state", ("state",), {(s,): n for s, n in studies.items()})
        yield _gauge(
            "readings",
            "Readings by pipeline and state",
            ("pipeline", "state"),
            {(pipeline, state): n for pipeline, states in read.items() for state, n in states.items()},
        )
        yield _gauge(
            "deliveries",
            "Deliveries by destination and state",
            ("destination", "state"),
            {(d.name, state): n for d in destinations for state, n in d.by_state.items()},
        )
        now = datetime.now(UTC)
        yield _gauge(
            "oldest_undelivered_seconds",
            "Age of the oldest delivery that is not confirmed, held, stopped or parked",
            ("destination",),
            {
                (d.name,): (now - d.oldest_waiting_since).total_seconds() if d.oldest_waiting_since else 0.0
                for d in destinations
            },
        )
        free = free_megabytes(self._home.root) * (1 << 20)
        yield _gauge("free_disk_bytes", "Free space where the spool lies", (), {(): free})
        yield _gauge("spool_instances", "Instances in the spool", (), {(): stored.total - stored.released})
        yield _gauge("conflicting_instances", "Same UID, other bytes", (), {(): stored.conflicts})
        yield _gauge(
            "role_alive",
            "Whether the process lives",
            ("role",),
            {(r.name,): float(r.alive) for r in roles(self._settings, self._home)},
        )


def _gauge(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(f"raysight_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def exposition(engine: Engine, settings: Settings, home: Home) -> bytes:
    """The page that Prometheus scrapes: every process's counters and the gauges, text format."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    folder = metrics_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    registry.register(TableCollector(engine, settings, home))
    return generate_latest(registry)
