"""Judges studies that got something new: complete, and why we think so."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

import structlog
from sqlalchemy import Engine, Row, select, update
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.assembly import Arrival, Count, Evidence, Policy, Waiting, judge
from dicom_node.network.find import series_counts
from dicom_node.network.peers import RemoteAE
from imaging.errors import PeerError
from imaging.pipeline import Refusal, Selection
from imaging.study import SeriesInfo, StudyInfo
from service.database import tables
from service.database.engine import reading
from service.node.planning import Planner
from service.settings import Settings

log = structlog.get_logger(__name__)

TOGETHER = 4  # studies judged at once, so that a silent source doesn't hold up the others
KEEP_COUNTS = 100
RETRY_AFTER_DEFECT = timedelta(minutes=1)
RETRY_UNHEARD = timedelta(seconds=0.5)
LOOK_AGAIN, LONGEST_PAUSE = timedelta(seconds=0.2), timedelta(seconds=2)


@dataclass(frozen=True)
class _Complete:
    """A study that is complete, as long as nothing newer came and nobody asked again: ``stamp`` tells."""

    study: StudyInfo
    evidence: Evidence
    stamp: tuple[datetime, datetime | None]
    looks: int = 0


@dataclass
class Completeness:
    """Judges every study that is due.

    Parameters
    ----------
    open_associations
        How many associations an AE title has open with us now.
    silent_since
        Since when an AE title could have sent and was not connected; None while nobody can reach us.
    counts
        What sources answered, by study; lost with the process, and asked again.
    held
        Complete studies that wait for an earlier examination: they aren't judged again meanwhile.
    """

    database: Engine
    settings: Settings
    planner: Planner
    open_associations: Callable[[str], int]
    silent_since: Callable[[str], datetime | None]
    counts: dict[str, list[Count]] = field(default_factory=dict)
    held: dict[str, _Complete] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def tick(self, pool: ThreadPoolExecutor) -> int:
        """Judge what is due; the number of studies that were complete."""
        s = tables.studies
        with reading(self.database).connect() as connection:
            due = connection.execute(
                select(s).where(s.c.check_at <= datetime.now(UTC)).order_by(s.c.check_at).limit(100)
            ).all()
        return sum(pool.map(self._judge_safely, due))

    def _judge_safely(self, row: Row[tuple[object, ...]]) -> bool:
        """One study that trips over a defect must not stop the node: it is named, and looked at again later."""
        try:
            return self._judge(row)
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.exception("study can't be judged", study=row.study_instance_uid)
            name = type(error).__name__
            self._wait(row, datetime.now(UTC) + RETRY_AFTER_DEFECT, f"a defect of the software ({name}); see the log")
            return False

    def _judge(self, row: Row[tuple[object, ...]]) -> bool:
        uid = row.study_instance_uid
        with self._lock:
            held = self.held.pop(uid, None)
        if held is None or held.stamp != (row.last_received_at, row.asked_at):
            verdict = self._look(row)
            if isinstance(verdict, Waiting):
                self._wait(row, verdict.check_at, verdict.reason)
                return False
            held = verdict
        if self.planner.pending(held.study, held.evidence):
            with self._lock:
                self.held[uid] = replace(held, looks=held.looks + 1)
            # what is here is found at once, what is fetched takes its time
            pause = min(LOOK_AGAIN * 2 ** min(held.looks, 10), LONGEST_PAUSE)
            self._wait(row, datetime.now(UTC) + pause, "an earlier examination is looked for")
            return False
        self.planner.complete(held.study, held.evidence, due=row.check_at)
        with self._lock:
            self.counts.pop(uid, None)
        return True

    def _look(self, row: Row[tuple[object, ...]]) -> _Complete | Waiting:
        """Is it complete, and what is it then?"""
        uid = row.study_instance_uid
        silent = self.silent_since(row.source_ae)
        if silent is None and row.asked_at is None:
            return Waiting("the receiver starts again", datetime.now(UTC) + RETRY_UNHEARD)
        study = self.planner.studies.study(uid)
        chosen, readable = self._chosen(study)
        if chosen and row.asked_at is None:
            self._ask_source(row.source_ae, study, chosen)
        arrival = Arrival(
            study_instance_uid=uid,
            # while nobody could send, or an association stood still, silence says nothing
            last_received_at=max(row.last_received_at, silent or row.last_received_at),
            source_ae=row.source_ae,
            open_associations=self.open_associations(row.source_ae),
            asked_at=row.asked_at,
            counts=tuple(self.counts.get(uid, ())),
        )
        selected = [series.series_instance_uid for series in chosen]
        policy = self._policy(row.source_ae)
        verdict = judge(arrival, selected, datetime.now(UTC), policy, readable=readable)
        if isinstance(verdict, Waiting):
            return verdict
        return _Complete(study, verdict, (row.last_received_at, row.asked_at))

    def _wait(self, row: Row[tuple[object, ...]], until: datetime, reason: str) -> None:
        """Look again later, unless something came meanwhile."""
        s = tables.studies
        with self.database.begin() as connection:
            connection.execute(
                update(s)
                .where(s.c.study_instance_uid == row.study_instance_uid, s.c.check_at == row.check_at)
                .values(check_at=until, waiting_for=reason)
            )

    def _chosen(self, study: StudyInfo) -> tuple[list[SeriesInfo], bool]:
        """The series whose completeness matters, and whether every pipeline that could read the study can now.

        Those that a pipeline would read of the study as it stands, and those with a defect, as what is missing may be
        on its way; all image series where there is neither.
        """
        answers = [pipeline.select(study) for pipeline in self.planner.pipelines.values()]
        selections = [answer for answer in answers if isinstance(answer, Selection)]
        refused = any(isinstance(answer, Refusal) and answer.reason.ours for answer in answers)
        images = [s for s in study.series if any(i.is_image and not i.ours for i in s.instances)]
        selected = {series.series_instance_uid for answer in selections for series in answer.series}
        matter = [s for s in images if s.series_instance_uid in selected or s.defect is not None]
        return matter or images, bool(selections) and not refused

    def _ask_source(self, source_ae: str, study: StudyInfo, chosen: Sequence[SeriesInfo]) -> None:
        source = self.settings.source(source_ae)
        if source is None or source.host is None or source.port is None:
            return
        remote = RemoteAE(source.ae_title, source.host, source.port)
        try:
            answer = series_counts(remote, self.settings.node.ae_title, study.study_instance_uid)
        except PeerError as error:
            log.warning("source can't be asked", source=source_ae, problem=str(error))
            answer = {}
        foreign = answer.keys() - {s.series_instance_uid for s in study.series}
        if foreign and self._not_ours(foreign):
            # it has a series that may be better and may be on its way: no count settles that, only quiet
            answer = {}
        now = datetime.now(UTC)
        new = [Count(now, s.series_instance_uid, answer.get(s.series_instance_uid), len(s.instances)) for s in chosen]
        with self._lock:
            kept = self.counts.setdefault(study.study_instance_uid, [])
            kept.extend(new)
            del kept[: -KEEP_COUNTS * len(chosen)]

    def _not_ours(self, series: Set[str]) -> Set[str]:
        """Series that don't hold results of ours: an archive may be source and destination."""
        o = tables.objects
        with reading(self.database).connect() as connection:
            made = select(o.c.series_instance_uid).where(o.c.series_instance_uid.in_(series))
            return series - set(connection.execute(made).scalars())

    def _policy(self, source_ae: str) -> Policy:
        rules = self.settings.completeness
        source = self.settings.source(source_ae)
        return Policy(
            quiet_seconds=(source and source.quiet_seconds) or rules.quiet_seconds,
            count_interval_seconds=rules.count_interval_seconds,
            give_up_seconds=rules.give_up_hours * 3600,
        )
