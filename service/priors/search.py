"""Searches under way: a study that is complete waits for its own, at most until the time-out, and holds up nobody."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import monotonic

import structlog

from imaging.study import StudyInfo
from service.priors.choose import Found, Wish
from service.priors.look import Looker

log = structlog.get_logger(__name__)

TOGETHER = 16  # most of them wait: for the archive, or for the earlier examination of the same patient
GRACE_SECONDS = 20.0  # a search keeps to its time, but for a peer that is slow to let go


@dataclass(frozen=True)
class _Search:
    """One that is under way, or ended and not yet taken."""

    found: Future[dict[str, Found]]
    until: float


@dataclass(frozen=True)
class PriorSearch:
    """Searches by study. They live in memory: after a restart they begin again.

    Parameters
    ----------
    timeout_seconds
        Longest time that a study waits.
    """

    looker: Looker
    timeout_seconds: float
    _searches: dict[str, _Search] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(TOGETHER, thread_name_prefix="priors")
    )

    def begin(self, study: StudyInfo, wishes: Sequence[Wish]) -> None:
        """Begin the search for a study."""
        until = monotonic() + self.timeout_seconds
        found = self._pool.submit(self._look, self.looker, study, wishes, until)
        self._searches[study.study_instance_uid] = _Search(found, until)

    def waits(self, study_instance_uid: str) -> bool | None:
        """Whether a study's search is to be waited for; None when it wasn't begun."""
        search = self._searches.get(study_instance_uid)
        if search is None:
            return None
        return not search.found.done() and monotonic() < search.until + GRACE_SECONDS

    def take(self, study: StudyInfo, wish: Wish) -> Found:
        """What was found for a pipeline. Where nothing was begun, what is here is looked at now."""
        search = self._searches.get(study.study_instance_uid)
        if search is None:
            here = replace(self.looker, archive=None)
            return self._look(here, study, [wish], monotonic())[wish.pipeline.name]
        if not search.found.done():
            why = f"the search did not end within {self.timeout_seconds:g} s"
            return Found(None, (f"Whether there is an earlier examination is not known: {why}",))
        return search.found.result().get(wish.pipeline.name, Found())

    def forget(self, study_instance_uid: str) -> None:
        """A study's readings were asked for; its next ones begin a new search."""
        search = self._searches.pop(study_instance_uid, None)
        if search is not None:
            search.found.cancel()

    def stop(self) -> None:
        """End: nothing is waited for any more."""
        self.looker.stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _look(looker: Looker, study: StudyInfo, wishes: Sequence[Wish], until: float) -> dict[str, Found]:
        """Look; a defect is said in the report and stops no reading."""
        try:
            return looker.look(study, wishes, until)
        except Exception as error:
            log.exception("search for an earlier examination failed", study=study.study_instance_uid)
            why = f"a defect of the software ({type(error).__name__}); see the log"
            note = f"Whether there is an earlier examination is not known: {why}"
            return {wish.pipeline.name: Found(None, (note,)) for wish in wishes}
