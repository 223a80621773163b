"""The node process: everything between the network and the queue of readings."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.blobs import BlobStore, LocalBlobStore
from dicom_node.network.peers import Limits
from imaging.errors import StorageError
from service.configuration import Configuration, Home
from service.database.engine import connect, reading, upgrade
from service.delivery.confirming import apply_commitment
from service.delivery.loop import DeliveryService
from service.metrics import on_event
from service.node.completeness import TOGETHER, Completeness
from service.node.identity import source_identity
from service.node.indexer import Indexer
from service.node.planning import Planner
from service.node.receiver import Receiver, Task
from service.node.retention import release_images
from service.node.studies import Studies
from service.priors.archive import PriorArchive
from service.priors.look import Looker
from service.priors.search import PriorSearch
from service.roles import hold_role, live_versions
from service.settings import Settings
from service.version import application_version
from service.workflows.journal import Journal
from service.workflows.record import latest_key
from service.workflows.results import ResultStore

log = structlog.get_logger(__name__)

INDEX_SECONDS = 0.2
INDEX_NICENESS = 5
RECOVER_SECONDS = 10.0
RETENTION_SECONDS = 60.0
TROUBLE_SECONDS = 5.0


@dataclass(frozen=True)
class Node:
    """The parts of a node and what they do in turn."""

    indexer: Indexer
    completeness: Completeness
    planner: Planner
    delivery: DeliveryService
    release: Callable[[], int]
    live_versions: Callable[[], set[str]]

    def run(self, stopped: threading.Event) -> None:
        """Index, judge, recover and release until stopped.

        While the database or the disk can't serve, this waits; the receiver, which needs no database, goes on.
        """
        # senders wait for the receiver, and nobody for this thread: it takes the processor that is left
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), INDEX_NICENESS)
        recover_at = release_at = monotonic()
        pause = INDEX_SECONDS
        with ThreadPoolExecutor(TOGETHER, thread_name_prefix="completeness") as pool:
            while not stopped.wait(pause):
                try:
                    if self.indexer.catch_up():
                        self.delivery.notify()
                    self.completeness.tick(pool)
                    if monotonic() >= recover_at:
                        self.planner.recover(self.live_versions())
                        recover_at = monotonic() + RECOVER_SECONDS
                    if monotonic() >= release_at:
                        self.release()
                        release_at = monotonic() + RETENTION_SECONDS
                    pause = INDEX_SECONDS
                except (SQLAlchemyError, StorageError, OSError) as error:
                    why = str(error).split("\n", 1)[0]
                    log.error("the node waits", problem=type(error).__name__, why=why)  # noqa: TRY400
                    pause = TROUBLE_SECONDS


def run_node(configuration: Configuration) -> None:
    """Receive, index and deliver until SIGTERM or SIGINT."""
    settings, home = configuration.settings, configuration.home
    version = application_version(configuration.pipelines)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with hold_role(home.root, "node", version):
        database = connect(home.database_url)
        upgrade(database)
        journal = Journal(home.journal_url)
        spool, results = LocalBlobStore(home.spool), LocalBlobStore(home.results)
        delivery = DeliveryService(settings, database, results, source_identity(database, spool), on_event=on_event)
        receiver = Receiver(_task(settings, home, version))
        priors = _priors(settings, database, spool, receiver)
        planner = Planner(
            database, ResultStore(results), journal, configuration.pipelines, version, home.models, priors
        )
        node = Node(
            indexer=Indexer(database, home.log, spool, partial(apply_commitment, on_event=on_event)),
            completeness=Completeness(database, settings, planner, receiver.open_associations, receiver.silent_since),
            planner=planner,
            delivery=delivery,
            release=lambda: release_images(database, spool, home.spool, settings.retention),
            live_versions=lambda: live_versions(home.root, "worker"),
        )
        port = receiver.start()
        delivery.start()
        try:
            log.info("node ready", ae_title=settings.node.ae_title, port=port, version=version)
            node.run(stopped)
        finally:
            priors.stop()
            receiver.stop()
            delivery.stop()
            journal.close()
            database.dispose()


def _priors(settings: Settings, database: Engine, spool: BlobStore, receiver: Receiver) -> PriorSearch:
    rules = settings.priors

    def latest_reading(study_instance_uid: str, pipeline: str) -> str | None:
        with reading(database).connect() as connection:
            return latest_key(connection, study_instance_uid, pipeline)

    looker = Looker(
        studies=Studies(database),
        path_of=spool.path,
        latest_reading=latest_reading,
        archive=PriorArchive.configured(rules, settings.node.ae_title, receiver.retrieve),
        fetches=rules.studies,
    )
    return PriorSearch(looker, rules.timeout_seconds)


def _task(settings: Settings, home: Home, version: str) -> Task:
    own, limits = settings.node, settings.node.limits
    return Task(
        home=str(home.root),
        spool=str(home.spool),
        log=str(home.log),
        version=version,
        ae_title=own.ae_title,
        host=own.host,
        port=own.port,
        peers=tuple((p.ae_title, p.addresses) for p in own.peers),
        limits=Limits(
            associations=limits.associations,
            pdu=limits.pdu_bytes,
            instance_bytes=limits.instance_mb * 1024 * 1024,
            idle_seconds=limits.idle_seconds,
            free_bytes=limits.free_mb * 1024 * 1024,
        ),
    )
