"""The worker process: DBOS with the one workflow, three steps per reading."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import structlog
from dbos import DBOS, DBOSConfig
from sqlalchemy import Engine as DatabaseEngine

from dicom_node.blobs import LocalBlobStore
from imaging.errors import EngineError, StorageError
from imaging.reasons import Reason, ReasonKind
from service.configuration import Configuration
from service.database.engine import connect, upgrade
from service.device import device_of
from service.engine import make_engine
from service.roles import hold_role
from service.settings import Settings
from service.version import application_version
from service.workflows import record
from service.workflows.journal import QUEUE, SERIALIZER, WORKFLOW, prepare_journal
from service.workflows.results import ResultStore
from service.workflows.steps import Reader, Stopwatch

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Steps:
    """The three steps with their bookkeeping. Only keys and seconds pass between them."""

    reader: Reader
    database: DatabaseEngine
    settings: Settings

    def begin(self, key: str) -> bool:
        """Count this start; True when it is one too many: the study has killed its worker that often."""
        with self.database.begin() as connection:
            return record.begin(connection, key) > self.settings.worker.max_starts

    def read(self, key: str, given_up: bool) -> dict[str, float]:
        """Step 1."""
        watch = Stopwatch()
        if given_up and not self.reader.results.has_result(key):
            self.reader.fail(key, Reason(ReasonKind.WORKER_DIED, self._died("read these images")))
        else:
            with self._alive(key):
                self.reader.read(key, watch)
        return watch.seconds

    def write(self, key: str, given_up: bool) -> dict[str, float]:
        """Step 2, in every profile that a destination asks for."""
        watch = Stopwatch()
        results = self.reader.results
        reading = results.reading(key)
        for profile in record.profiles_for(self.settings, reading.pipeline):
            # a failure that was given up on is still reported; it is the writing that killed the worker otherwise
            if given_up and reading.reason is None:
                results.put_problem(key, profile.name, self._died("wrote the results"))
            else:
                with self._alive(key):
                    self.reader.write(key, profile, watch)
        return watch.seconds

    @contextmanager
    def _alive(self, key: str) -> Iterator[None]:
        """What engine or disk can't serve now is tried again later; the worker lives, so this start doesn't count."""
        try:
            yield
        except (EngineError, StorageError) as error:
            with self.database.begin() as connection:
                record.uncount(connection, key, str(error))
            raise

    def _died(self, doing: str) -> str:
        return f"The worker died {self.settings.worker.max_starts} times while it {doing}; it is not tried again."

    def record(self, key: str, timings: dict[str, float]) -> None:
        """Step 3."""
        results = self.reader.results
        request, reading = results.request(key), results.reading(key)
        manifests = {profile: results.manifest(key, profile) for profile in results.profiles(key)}
        with self.database.begin() as connection:
            record.finish(
                connection,
                self.settings,
                request=request,
                reading=reading,
                manifests={p: m for p, m in manifests.items() if m},
                timings=timings,
            )
        log.info("reading ended", key=key, study=request.study_instance_uid, status=reading.status.value)


def read_study(steps: Steps) -> Callable[[str], str]:
    """The workflow over `steps`, registered with DBOS."""

    @DBOS.step(name="read")
    def read(key: str, given_up: bool) -> dict[str, float]:
        return steps.read(key, given_up)

    @DBOS.step(name="write")
    def write(key: str, given_up: bool) -> dict[str, float]:
        return steps.write(key, given_up)

    @DBOS.step(name="record")
    def keep(key: str, timings: dict[str, float]) -> None:
        steps.record(key, timings)

    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
    def workflow(key: str) -> str:
        given_up = steps.begin(key)  # no step: it counts every start, recovered ones too
        timings = read(key, given_up)
        timings |= write(key, given_up)
        keep(key, timings)
        return key

    registered: Callable[[str], str] = workflow
    return registered


def make_reader(configuration: Configuration, stopped: threading.Event) -> Reader:
    """The reader over this home's spool, results and models.

    Parameters
    ----------
    stopped
        Once it is set a model leaves its image at the next patch. The worker lives, so that start doesn't count.
    """
    home = configuration.home
    models = home.models
    return Reader(
        pipelines=configuration.pipelines,
        engine=make_engine(configuration, models, stopped.is_set),
        path_of=LocalBlobStore(home.spool).path,
        results=ResultStore(LocalBlobStore(home.results)),
        device=device_of(configuration.settings),
        time_zone=ZoneInfo(configuration.settings.time_zone),
        models=models,
    )


def run_worker(configuration: Configuration) -> None:
    """Read what is queued until SIGTERM or SIGINT. Takes the slot named in the settings and resumes its work."""
    settings, home = configuration.settings, configuration.home
    version = application_version(configuration.pipelines)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with hold_role(home.root, settings.worker.slot, version):
        database = connect(home.database_url)
        upgrade(database)
        prepare_journal(home.journal_url)
        config: DBOSConfig = {
            "name": "raysight",
            "system_database_url": home.journal_url,
            "application_version": version,
            "executor_id": settings.worker.slot,
            "serializer": SERIALIZER,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        read_study(Steps(make_reader(configuration, stopped), database, settings))
        DBOS.listen_queues([QUEUE])
        DBOS.launch()
        try:
            DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=settings.worker.poll_seconds)
            log.info("worker ready", slot=settings.worker.slot, version=version)
            stopped.wait()
        finally:
            DBOS.destroy()
            database.dispose()
