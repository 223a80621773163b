"""From a complete study to readings that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydantic import TypeAdapter
from sqlalchemy import Engine, update
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.assembly import Evidence, EvidenceKind
from imaging.errors import EngineError
from imaging.pipeline import Refusal
from imaging.reasons import ReasonKind
from imaging.study import StudyInfo
from models.store import ModelStore
from pipelines.released import AnyPipeline
from service.database import tables
from service.database.engine import reading
from service.node.studies import Studies
from service.priors.choose import Wish
from service.priors.search import PriorSearch
from service.workflows import record
from service.workflows.journal import UNFINISHED, Journal
from service.workflows.keys import reading_key
from service.workflows.models import NO_MODELS, as_asked, asked_with, current
from service.workflows.requests import ReadingRequest, make_request
from service.workflows.results import ResultStore

log = structlog.get_logger(__name__)
_EVIDENCE = TypeAdapter(Evidence)


@dataclass(frozen=True)
class Planner:
    """Asks for readings, and asks again for those whose workflow was lost."""

    database: Engine
    results: ResultStore
    journal: Journal
    pipelines: Mapping[str, AnyPipeline]
    version: str
    models: ModelStore = NO_MODELS
    priors: PriorSearch | None = None

    @property
    def studies(self) -> Studies:
        """What the index knows."""
        return Studies(self.database)

    def pending(self, study: StudyInfo, evidence: Evidence) -> bool:
        """Whether a study that is complete still waits for its earlier examination; begins the search for it."""
        if self.priors is None:
            return False
        if (waits := self.priors.waits(study.study_instance_uid)) is not None:
            return waits
        drafts = [(pipeline, self._draft(study, pipeline, evidence)) for pipeline in self.pipelines.values()]
        wishes = [wish for pipeline, draft in drafts if draft and (wish := self._wish(pipeline, draft)) is not None]
        if wishes:
            self.priors.begin(study, wishes)
        return bool(wishes)

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
        if self.priors is not None:
            self.priors.forget(study.study_instance_uid)
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
        draft = self._draft(study, pipeline, evidence)
        if draft is None:
            return None
        request = self._with_prior(study, pipeline, draft)
        return None if request.key == request.predecessor else self._submit(request)

    def _draft(self, study: StudyInfo, pipeline: AnyPipeline, evidence: Evidence) -> ReadingRequest | None:
        """The request as it would be without an earlier examination; None when there is nothing new to be read."""
        with reading(self.database).connect() as connection:
            earlier = record.latest_key(connection, study.study_instance_uid, pipeline.name)
        released = self.studies.released(study.study_instance_uid)
        request = make_request(study, pipeline, evidence, earlier, released, models=self.models)
        with reading(self.database).connect() as connection:
            known = record.read_before(connection, study.study_instance_uid, pipeline.name, request.images)
        asked = evidence.kind is EvidenceKind.ASKED
        if not asked and (known or self._retrieved(request)):
            return None
        if (
            request.refusal is not None
            and request.refusal.kind is ReasonKind.IMAGES_GONE
            and not request.header_blobs
        ):
            log.warning("images are gone: have the study sent again, then ask", study=study.study_instance_uid)
            return None  # what was read stands; nothing is left that a report could take patient and study from
        return request

    def _retrieved(self, request: ReadingRequest) -> bool:
        """Whether we fetched all that would be read ourselves, as an earlier examination: it starts no reading."""
        return request.refusal is None and set(request.header_blobs) <= self.studies.retrieved(
            request.study_instance_uid
        )

    def _wish(self, pipeline: AnyPipeline, request: ReadingRequest) -> Wish | None:
        """Which earlier examination is wanted for a request; None when none is, or none can be read yet."""
        rules, answer = pipeline.priors, request.answer
        if rules is None or request.waits_for or isinstance(answer, Refusal):
            return None
        return Wish(as_asked(pipeline, self.models, request.model), rules, answer.series[0].modality)

    def _with_prior(self, study: StudyInfo, pipeline: AnyPipeline, request: ReadingRequest) -> ReadingRequest:
        wish = self._wish(pipeline, request)
        if self.priors is None or wish is None:
            return request
        found = self.priors.take(study, wish)
        return request.with_prior(pipeline, found.prior, found.notes, found.none)

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
        if reading_key(request.images, pipeline, asked_with(pipeline, request.model), request.earlier) != request.key:
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
        study = self.studies.study(old.study_instance_uid)
        released = self.studies.released(old.study_instance_uid)
        new = make_request(study, pipeline, old.evidence, old.predecessor, released, models=self.models)
        self._submit(self._with_prior(study, pipeline, new))
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
