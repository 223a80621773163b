"""Searches hold up nobody, and end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

import pytest

from imaging.study import StudyInfo
from service.priors import search as module
from service.priors.choose import Found, Wish
from service.priors.look import Looker
from service.priors.search import PriorSearch
from tests.service.priors.conftest import Past


@dataclass(frozen=True)
class Slow(Looker):
    """Finds nothing, as soon as it is let."""

    go: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def look(self, study: StudyInfo, wishes: Sequence[Wish], until: float) -> dict[str, Found]:
        self.go.wait(20)
        if self.fails:
            raise KeyError(study.study_instance_uid)
        return {wish.pipeline.name: Found(None, ("looked",)) for wish in wishes}


@pytest.fixture
def search_by(past: Past) -> Iterator[Callable[..., PriorSearch]]:
    made: list[tuple[Slow, PriorSearch]] = []

    def make(seconds: float = 20, fails: bool = False) -> PriorSearch:
        base = past.looker()
        slow = Slow(base.studies, base.path_of, base.latest_reading, fails=fails)
        made.append((slow, PriorSearch(slow, seconds)))
        return made[-1][1]

    yield make
    for slow, search in made:
        slow.go.set()
        search.stop()


def wait_for(search: PriorSearch, uid: str) -> None:
    until = monotonic() + 20
    while search.waits(uid):
        assert monotonic() < until
        sleep(0.01)


def test_a_study_waits_until_its_search_has_ended(
    past: Past, search_by: Callable[..., PriorSearch], wish_for: Callable[..., Wish]
) -> None:
    study, search = past.study("now", "20250611"), search_by()
    uid = study.study_instance_uid
    assert search.waits(uid) is None
    search.begin(study, [wish_for()])
    assert search.waits(uid)
    search.looker.go.set()  # type: ignore[attr-defined]
    wait_for(search, uid)
    assert search.take(study, wish_for()).notes == ("looked",)
    search.forget(uid)
    assert search.waits(uid) is None


def test_one_that_does_not_end_is_left(
    past: Past,
    search_by: Callable[..., PriorSearch],
    wish_for: Callable[..., Wish],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
    study, search = past.study("now", "20250611"), search_by(0.2)
    search.begin(study, [wish_for()])
    wait_for(search, study.study_instance_uid)
    (note,) = search.take(study, wish_for()).notes
    assert note == "Whether there is an earlier examination is not known: the search did not end within 0.2 s"


def test_a_defect_is_said_and_stops_nothing(
    past: Past, search_by: Callable[..., PriorSearch], wish_for: Callable[..., Wish]
) -> None:
    study, search = past.study("now", "20250611"), search_by(fails=True)
    search.looker.go.set()  # type: ignore[attr-defined]
    search.begin(study, [wish_for()])
    wait_for(search, study.study_instance_uid)
    (note,) = search.take(study, wish_for()).notes
    assert "a defect of the software (KeyError); see the log" in note


def test_without_a_search_what_is_here_is_looked_at(past: Past, wish_for: Callable[..., Wish]) -> None:
    earlier, now = past.study("earlier", "20250301"), past.study("now", "20250611")
    search = PriorSearch(past.looker(), 20)
    prior = search.take(now, wish_for()).prior
    search.stop()
    assert prior is not None
    assert prior.study.study_instance_uid == earlier.study_instance_uid
