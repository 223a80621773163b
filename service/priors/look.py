"""Looking for the earlier examination of one study: here and in the archive, the newest that fits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from math import ceil
from pathlib import Path
from time import monotonic

import structlog

from dicom_node.network.history import StudyAnswer
from dicom_node.reader.identity import PatientIdentity, read_patient
from imaging.errors import HeaderError, PeerError
from imaging.study import StudyInfo
from service.node.studies import Studies
from service.priors.archive import PriorArchive
from service.priors.choose import Found, Wish, choose, wanted_age

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class _Candidate:
    """A study of the same patient that was made before."""

    study_instance_uid: str
    study_date: date
    study_time: time | None
    here: bool
    there: StudyAnswer | None

    def days_before(self, study: StudyInfo) -> float | None:
        made = StudyInfo("", (), study_date=self.study_date, study_time=self.study_time)
        return made.days_before(study)


@dataclass(frozen=True)
class Looker:
    """Everything that looking needs.

    Parameters
    ----------
    path_of
        From an instance's name in the spool to its file; KeyError when it is gone.
    latest_reading
        From Study Instance UID and pipeline to the key of the latest reading.
    archive
        None: only what is here is looked at.
    fetches
        At most so many studies are fetched for one reading.
    stopped
        Set when nothing is to be waited for any more.
    """

    studies: Studies
    path_of: Callable[[str], Path]
    latest_reading: Callable[[str, str], str | None]
    archive: PriorArchive | None = None
    fetches: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def look(self, study: StudyInfo, wishes: Sequence[Wish], until: float) -> dict[str, Found]:
        """For each pipeline, by name: the newest earlier examination that it selects a series of.

        Parameters
        ----------
        until
            On the monotonic clock: what isn't here then is done without.
        """
        nothing = {wish.pipeline.name: Found() for wish in wishes}
        patient = self._patient(study.study_instance_uid)
        if patient is None or not patient.patient_id or study.study_date is None or len(study.patients) != 1:
            return nothing
        first = _days_before(study.study_date, max(w.rules.most_days for w in wishes))
        last = _days_before(study.study_date, min(w.rules.least_days for w in wishes) - 1)
        answers, notes = dict[str, StudyAnswer](), tuple[str, ...]()
        if self.archive is not None:
            try:
                found = self.archive.studies(patient, first, last, until)
                answers = {answer.study_instance_uid: answer for answer in found}
            except PeerError as error:
                notes = (f"Whether there is an earlier examination in the archive is not known: {error}",)
        candidates = self._candidates(study, first, last, answers)
        return {w.pipeline.name: self._newest(study, patient, w, candidates, notes, until) for w in wishes}

    def _patient(self, study_instance_uid: str) -> PatientIdentity | None:
        """Whose study it is, by an image of it that is here."""
        blob = self.studies.first_image(study_instance_uid)
        try:
            return None if blob is None else read_patient(self.path_of(blob))
        except (KeyError, HeaderError):
            return None

    def _candidates(
        self, study: StudyInfo, first: date, last: date, answers: dict[str, StudyAnswer]
    ) -> list[_Candidate]:
        """Newest first."""
        found = {}
        for uid, answer in answers.items():
            if answer.study_date is not None:
                found[uid] = _Candidate(uid, answer.study_date, answer.study_time, here=False, there=answer)
        for made in self.studies.of_patient(study.patients[0], first, last):
            uid = made.study_instance_uid
            found[uid] = _Candidate(uid, made.study_date, made.study_time, here=True, there=answers.get(uid))
        found.pop(study.study_instance_uid, None)
        return sorted(found.values(), key=lambda c: (c.study_date, c.study_time or time.min), reverse=True)

    def _newest(  # noqa: PLR0917
        self,
        study: StudyInfo,
        patient: PatientIdentity,
        wish: Wish,
        candidates: Sequence[_Candidate],
        notes: tuple[str, ...],
        until: float,
    ) -> Found:
        fetches, unknown = self.fetches, self.archive is None
        for candidate in candidates:
            if not wanted_age(wish.rules, candidate.days_before(study)):
                continue
            made, uid = candidate.study_date.isoformat(), candidate.study_instance_uid
            if candidate.here:
                if not self._complete(uid, until):
                    notes += (f"An earlier examination of {made} was still being received",)
                    continue
                found = self._as_prior(study, patient, wish, uid)
                notes += found.notes
                if found.prior is not None:
                    return Found(found.prior, notes)
                if found.notes:
                    continue
            answer = candidate.there
            if answer is not None and answer.modalities and wish.modality not in answer.modalities:
                continue
            if answer is None or not fetches:
                unknown = True
                continue
            fetches -= 1
            try:
                if self._fetch(answer, wish, until):
                    found = self._as_prior(study, patient, wish, uid)
                    notes += found.notes
                    if found.prior is not None:
                        return Found(found.prior, notes)
            except PeerError as error:
                notes += (f"An earlier examination of {made} exists but could not be fetched: {error}",)
                fetches = 0  # the next one would fare no better, and there is no time to lose
        return Found(None, notes, none=not unknown and not notes)

    def _complete(self, study_instance_uid: str, until: float) -> bool:
        """Whether a study that is here has come wholly; waits for it."""
        while self.studies.collecting(study_instance_uid):
            if monotonic() >= until or self.stopped.wait(POLL_SECONDS):
                return False
        return True

    def _fetch(self, answer: StudyAnswer, wish: Wish, until: float) -> bool:
        """Fetch what may be selected, and wait until it is indexed; False when there was nothing to fetch."""
        if self.archive is None:
            return False
        uid = answer.study_instance_uid
        fetched = self.archive.fetch(answer, wish, lambda: self.studies.images_kept(uid), until)
        if fetched is None:
            return False
        log.info("earlier examination fetched", study=uid, instances=fetched.instances)
        while not fetched.all_in(self.studies.images_kept(uid)):
            if monotonic() >= until or self.stopped.wait(POLL_SECONDS):
                raise PeerError("it came, but was not indexed in time")
        return True

    def _as_prior(self, study: StudyInfo, patient: PatientIdentity, wish: Wish, study_instance_uid: str) -> Found:
        """A study that is here, as an earlier examination; nothing when it is another patient's or isn't selected."""
        other = self._patient(study_instance_uid)
        if other is None:
            return Found()
        earlier = self.studies.study(study_instance_uid)
        released = self.studies.released(study_instance_uid)
        found = choose(study, earlier, wish, patient=patient, other=other, released=released)
        if found.prior is None:
            return found
        last = self.latest_reading(study_instance_uid, wish.pipeline.name)
        return Found(replace(found.prior, reading=last), found.notes)


def _days_before(day: date, days: float) -> date:
    return date.fromordinal(max(date.min.toordinal(), min(day.toordinal(), day.toordinal() - ceil(days))))
