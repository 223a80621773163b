"""The states, from rows to words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from imaging.errors import UsageError
from service.database import tables
from service.roles import hold_role
from service.status import (
    DeliveryState,
    StudyState,
    find_study,
    list_deliveries,
    list_readings,
    list_studies,
    overview,
    reading_status,
    study_status,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SITUATIONS: dict[str, tuple[Callable[[Any], object], str]] = {
    "images came": (lambda h: h.study(check_at=NOON, complete_at=None), "received"),
    "it waits": (lambda h: h.study(check_at=NOON, waiting_for="CT1 counts more", complete_at=None), "waiting"),
    "only our own objects": (lambda h: h.study(complete_at=None), "stored"),
    "complete": (lambda h: h.study(), "complete"),
    "queued": (lambda h: (h.study(), h.reading(state="queued")), "reading"),
    "reading": (lambda h: (h.study(), h.reading(state="reading")), "reading"),
    "read, no destination": (lambda h: (h.study(), h.reading()), "read"),
    "not read": (lambda h: (h.study(), h.reading(state="not read")), "not read"),
    "failed": (lambda h: (h.study(), h.reading(state="failed"), h.delivery(state="confirmed")), "failed"),
    "one pipeline of two read": (
        lambda h: (h.study(), h.reading(), h.reading("b", pipeline="other", state="not read")),
        "read",
    ),
    "to be sent": (lambda h: (h.study(), h.reading(), h.delivery()), "pending"),
    "stopped": (lambda h: (h.study(), h.reading(), h.delivery(), h.stop()), "stopped"),
    "another pipeline is stopped": (lambda h: (h.study(), h.reading(), h.delivery(), h.stop("other")), "pending"),
    "held": (lambda h: (h.study(), h.reading(), h.delivery(destination="research")), "held"),
    "held although stopped": (
        lambda h: (h.study(), h.reading(), h.delivery(destination="research"), h.stop()),
        "held",
    ),
    "to a destination that is gone": (lambda h: (h.study(), h.reading(), h.delivery(destination="old")), "held"),
    "sent": (lambda h: (h.study(), h.reading(), h.delivery(state="sent")), "sent"),
    "confirmed": (lambda h: (h.study(), h.reading(), h.delivery(state="confirmed")), "confirmed"),
    "confirmed here, held there": (
        lambda h: (h.study(), h.reading(), h.delivery(state="confirmed"), h.delivery(destination="research")),
        "confirmed",
    ),
    "confirmed here, parked there": (
        lambda h: (
            h.study(),
            h.reading(),
            h.delivery(state="confirmed"),
            h.delivery(destination="old", state="parked"),
        ),
        "parked",
    ),
    "a not-read report is confirmed": (
        lambda h: (h.study(), h.reading(state="not read"), h.delivery(state="confirmed")),
        "not read",
    ),
    "late images, read again": (
        lambda h: (h.study(), h.reading(), h.delivery(state="confirmed"), h.reading("b", minutes=9, state="queued")),
        "reading",
    ),
    "late images": (
        lambda h: (h.study(check_at=NOON), h.reading(), h.delivery(state="confirmed")),
        "received",
    ),
    "failed, then read by another version": (
        lambda h: (h.study(), h.reading(state="superseded", minutes=9), h.reading("b")),
        "read",
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_study_has_one_word(situation: str, hands: Any, configured: Any) -> None:
    fill, word = SITUATIONS[situation]
    fill(hands)
    hands.study("9.9", minutes=-5)
    assert study_status(hands.engine, configured.settings, "1.2.3").state == word
    listed = {s.study_instance_uid: s.state for s in list_studies(hands.engine, configured.settings)}
    assert listed == {"1.2.3": word, "9.9": "complete"}
    counted = overview(hands.engine, configured.settings, configured.home).studies
    assert counted.get(word) == (2 if word == "complete" else 1)
    assert list_studies(hands.engine, configured.settings, state=StudyState(word))[0].study_instance_uid == "1.2.3"


def test_everything_about_a_study(hands: Any, configured: Any) -> None:
    evidence = {"kind": "counted", "at": NOON.isoformat(), "detail": "CT1 has as many (2), counted 2 times"}
    hands.study(evidence=evidence)
    hands.instance(name="1")
    hands.instance(name="2", released_at=NOON)
    hands.instance(name="2", conflict=True)
    hands.instance(name="3", is_image=False, ours=True, unreadable="no DICM mark")
    old = hands.reading("a", minutes=1, timings={"decode": 2.0, "read": 9.5})
    new = hands.reading("b", minutes=5, predecessor=old, findings=0)
    hands.put(
        tables.objects,
        sop_instance_uid="2.25.1",
        key=new,
        profile="comprehensive-utf8-en",
        role="sr",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        series_instance_uid="2.25.2",
        blob="x",
        digest="0" * 64,
    )
    hands.delivery("a", state="confirmed", confirmed_at=NOON, confirmed_by="commitment", attempts=1)
    hands.delivery("b", comment="connection refused", attempts=3)
    hands.delivery("b", destination="research")

    found = study_status(hands.engine, configured.settings, "1.2.3")
    assert found.evidence.kind == "counted" and "counted 2 times" in found.evidence.detail
    counts = found.instances
    assert (counts.total, counts.images, counts.ours, counts.series) == (4, 3, 1, 1)
    assert (counts.conflicts, counts.unreadable, counts.released) == (1, 1, 1)
    assert counts.megabytes == 1.5  # the released one takes no space
    assert found.conflicting_instances == ("1.2.3.9.2",)

    second, first = found.readings
    assert (first.key, first.superseded, first.timings) == (old, True, {"decode": 2.0, "read": 9.5})
    assert (second.key, second.superseded, second.predecessor, second.findings) == (new, False, old, 0)
    assert [o.sop_instance_uid for o in second.objects] == ["2.25.1"] and first.objects == ()
    assert first.deliveries[0].state is DeliveryState.CONFIRMED
    assert first.deliveries[0].confirmed_by == "commitment" and first.deliveries[0].next_attempt_at is None
    pending, held = second.deliveries
    assert (pending.state, pending.attempts, pending.comment) == ("pending", 3, "connection refused")
    assert pending.next_attempt_at == NOON
    assert (held.state, held.next_attempt_at) == ("held", None)
    assert reading_status(hands.engine, configured.settings, new) == second


def test_what_is_not_here_is_none(hands: Any, configured: Any) -> None:
    assert study_status(hands.engine, configured.settings, "1.2.3") is None
    assert reading_status(hands.engine, configured.settings, "0" * 64) is None


def test_pages_follow_without_gap_or_repeat(hands: Any, configured: Any) -> None:
    for n in range(7):
        hands.study(f"1.2.{n}", minutes=n // 3)  # several with the same time
        hands.reading(f"r{n}", study=f"1.2.{n}", minutes=n // 3)
    seen: list[str] = []
    after = None
    while page := list_studies(hands.engine, configured.settings, 2, after=after):
        seen += [s.study_instance_uid for s in page]
        after = (page[-1].last_received_at, page[-1].study_instance_uid)
    assert seen == ["1.2.6", "1.2.3", "1.2.4", "1.2.5", "1.2.0", "1.2.1", "1.2.2"]
    keys: list[str] = []
    mark = None
    while rows := list_readings(hands.engine, 3, after=mark):
        keys += [r.key for r in rows]
        mark = (rows[-1].requested_at, rows[-1].key)
    assert len(keys) == len(set(keys)) == 7
    recent = list_studies(hands.engine, configured.settings, since=NOON + timedelta(minutes=2))
    assert [s.study_instance_uid for s in recent] == ["1.2.6"]


def test_a_study_is_found_by_a_part_of_its_uid(hands: Any, configured: Any) -> None:
    hands.study("1.2.33.4")
    hands.study("1.2.33.5")
    assert find_study(hands.engine, "33.5") == "1.2.33.5"
    assert find_study(hands.engine, "…3.4") == "1.2.33.4"
    assert find_study(hands.engine, "1.2.33.4") == "1.2.33.4"
    for part, problem in (("1.2", "more than one study"), ("7", "there is no study '7'"), ("%", "no study")):
        with pytest.raises(UsageError, match=problem):
            find_study(hands.engine, part)


def test_the_overview(hands: Any, configured: Any) -> None:
    hands.study()
    hands.reading()
    hands.reading("b", pipeline="other", state="failed")
    hands.delivery(state="sent", created_at=NOON + timedelta(minutes=1))
    hands.delivery("b", comment="0xA700 out of resources", state="parked")
    hands.delivery("c", created_at=NOON + timedelta(minutes=5))
    hands.delivery("d", destination="old")
    hands.stop("other")
    with hold_role(configured.home.root, "node", "1"):
        found = overview(hands.engine, configured.settings, configured.home)
    assert {r.name: r.alive for r in found.roles} == {
        "node": True,
        "receiver": False,
        "worker-0": False,
        "api": False,
    }
    assert found.readings == {"lung_nodule": {"read": 1}, "other": {"failed": 1}}
    pacs, research, old = found.destinations
    assert (pacs.name, pacs.address, pacs.by_state) == (
        "pacs",
        "10.1.2.3:104",
        {"parked": 1, "pending": 1, "sent": 1},
    )
    assert pacs.oldest_waiting_since == NOON + timedelta(minutes=1)
    assert pacs.last_answer == "0xA700 out of resources"
    assert (research.by_state, research.oldest_waiting_since) == ({}, None)
    assert (old.name, old.configured, old.by_state) == ("old", False, {"held": 1})
    assert [(s.pipeline, s.stopped_by) for s in found.stops] == [("other", "Dr Li")]
    assert [(h.pipeline, h.destination) for h in found.holds] == [("lung_nodule", "research")]
    assert found.free_megabytes > 0
    parked = list_deliveries(hands.engine, configured.settings, state=DeliveryState.PARKED)
    assert [d.comment for d in parked] == ["0xA700 out of resources"]
