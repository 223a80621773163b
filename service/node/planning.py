"""From a complete study to readings that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.assembly import Evidence, EvidenceKind
from dicom_node.reader.headers import InstanceHeader, from_json
from dicom_node.reader.study import assemble_study
from imaging.errors import EngineError
from imaging.reasons import ReasonKind
from imaging.study import StudyInfo
from models.store import ModelStore
from pipelines.released import AnyPipeline
from service.database import tables
from service.database.engine import reading
from service.workflows import record
from service.workflows.journal import UNFINISHED, Journal
from service.workflows.keys import reading_key
from service.workflows.models import NO_MODELS, asked_with, current
from service.workflows.requests import ReadingRequest, make_request
from service.workflows.results import ResultStore

log = structlog.get_logger(__name__)
_EVIDENCE = TypeAdapter(Evidence)


def study_headers(connection: Connection, study_instance_uid: str) -> list[InstanceHeader]:
    """The headers of a study's instances, in order of arrival."""
    i = tables.instances
    rows = connection.execute(
        select(i.c.header)
        .where(i.c.study_instance_uid == study_instance_uid, i.c.header.is_not(None))
        .order_by(i.c.received_at, i.c.digest)
    )
    return [from_json(header) for header in rows.scalars() if header is not None]


@dataclass(frozen=True)
class Planner:
    """Asks for readings, and asks again for those whose workflow was lost."""

    database: Engine
    results: ResultStore
    journal: Journal
    pipelines: Mapping[str, AnyPipeline]
    version: str
    models: ModelStore = NO_MODELS

    def study(self, study_instance_uid: str) -> StudyInfo:
        """The study as the index knows it."""
        with reading(self.database).connect() as connection:
            return assemble_study(study_headers(connection, study_instance_uid))

    def released(self, study_instance_uid: str) -> frozenset[str]:
        """Spool names of the study's instances that aren't kept any more."""
        i = tables.instances
        with reading(self.database).connect() as connection:
            rows = connection.execute(
                select(i.c.blob).where(i.c.study_instance_uid == study_instance_uid, i.c.released_at.is_not(None))
            )
            return frozenset(rows.scalars())

    def complete(self, study: StudyInfo, evidence: Evidence, *, due: datetime) -> list[ReadingRequest]:
        """Take the study as complete and ask for what is new; the requests that were made.

        Parameters
        ----------
        due
            The study's ``check_at`` as it was when the evidence was judged. If something came or was asked for since,
            the study stays due and is judged again.
        """
        asked = [
            request
            for pipeline in self.pipelines.values()
            if (request := self._ask(study, pipeline, evidence)) is not None
        ]
        s = tables.studies
        with self.database.begin() as connection:
            connection.execute(
                update(s)
                .where(s.c.study_instance_uid == study.study_instance_uid, s.c.check_at == due)
                .values(
                    check_at=None,
                    asked_at=None,
                    waiting_for="",
                    complete_at=evidence.at,
                    evidence=_EVIDENCE.dump_python(evidence, mode="json"),
                )
            )
        return asked

    def _ask(self, study: StudyInfo, pipeline: AnyPipeline, evidence: Evidence) -> ReadingRequest | None:
        with reading(self.database).connect() as connection:
            earlier = record.latest_key(connection, study.study_instance_uid, pipeline.name)
        released = self.released(study.study_instance_uid)
        request = make_request(study, pipeline, evidence, earlier, released, models=self.models)
        with reading(self.database).connect() as connection:
            known = record.read_before(connection, study.study_instance_uid, pipeline.name, request.images)
        if request.key == earlier or (known and evidence.kind is not EvidenceKind.ASKED):
            return None
        if (
            request.refusal is not None
            and request.refusal.kind is ReasonKind.IMAGES_GONE
            and not request.header_blobs
        ):
            log.warning("images are gone: have the study sent again, then ask", study=study.study_instance_uid)
            return None  # what was read stands; nothing is left that a report could take patient and study from
        return self._submit(request)

    def _submit(self, request: ReadingRequest) -> ReadingRequest | None:
        """File, row, queue: a crash between them is mended by `recover`."""
        stands = self.results.put_request(request)
        with self.database.begin() as connection:
            new = record.add_request(connection, stands)
        if new and stands.waits_for:
            log.warning("reading waits", key=stands.key, pipeline=stands.pipeline, why=stands.waits_for)
        elif new and stands.reports(stands.refusal):
            self.journal.enqueue(stands.key, 0, self.version)
        log.info(
            "reading asked for", key=stands.key, study=stands.study_instance_uid, pipeline=stands.pipeline, new=new
        )
        return stands if new else None

    def recover(self, live_versions: set[str]) -> None:
        """Queue again every unfinished reading whose workflow is lost, has ended in an error, or waits for a version
        that no live worker runs. One of another version of its pipeline is asked for anew under the present one, and
        so is one that waits for a model as soon as there is a champion. A promotion changes nothing for those that
        were asked for before it."""
        with reading(self.database).connect() as connection:
            unfinished = record.open_readings(connection)
        for row in unfinished:
            try:
                self._recover(row, live_versions)
            except SQLAlchemyError:
                raise
            except Exception:
                # one reading that trips over a defect, or whose files are gone, must not stop the node
                log.exception("reading can't be queued again", key=row.key)

    def _recover(self, row: record.OpenReading, live_versions: set[str]) -> None:
        pipeline = self.pipelines.get(row.pipeline)
        if pipeline is None:
            return  # switched off: it waits, visibly, until the pipeline is configured again
        request = self.results.request(row.key)
        if reading_key(request.images, pipeline, asked_with(pipeline, request.model)) != request.key:
            self._renew(request, pipeline, "another version of the pipeline reads it instead")
            return
        if request.waits_for:
            self._look_for_model(request, pipeline)
            return
        state = self.journal.state(row.key, row.attempt)
        if state is None:
            self.journal.enqueue(row.key, row.attempt, self.version)
        elif state[0] not in UNFINISHED or (state[1] != self.version and state[1] not in live_versions):
            self._retry(row)

    def _retry(self, row: record.OpenReading) -> None:
        r = tables.readings
        attempt = row.attempt + 1
        with self.database.begin() as connection:
            # the worker may have ended it since it was looked at
            still_open = (r.c.key == row.key) & r.c.state.in_(record.OPEN)
            if not connection.execute(
                update(r).where(still_open).values(attempt=attempt, state=record.QUEUED)
            ).rowcount:
                return
        self.journal.enqueue(row.key, attempt, self.version)
        log.info("reading queued again", key=row.key, attempt=attempt)

    def _look_for_model(self, request: ReadingRequest, pipeline: AnyPipeline) -> None:
        try:
            current(pipeline, self.models)
        except EngineError as error:
            with self.database.begin() as connection:
                record.waits(connection, request.key, str(error))
        else:
            self._renew(request, pipeline, "its model is there, and reads it now")

    def _renew(self, old: ReadingRequest, pipeline: AnyPipeline, why: str) -> None:
        study, released = self.study(old.study_instance_uid), self.released(old.study_instance_uid)
        self._submit(make_request(study, pipeline, old.evidence, old.predecessor, released, models=self.models))
        r = tables.readings
        with self.database.begin() as connection:
            connection.execute(
                update(r)
                .where(r.c.key == old.key, r.c.state.in_(record.OPEN))
                .values(
                    state=record.SUPERSEDED,
                    reason=why,
                    finished_at=datetime.now(UTC),
                )
            )
