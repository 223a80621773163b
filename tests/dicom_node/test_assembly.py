"""Completeness: counted, quiet, asked; never early, never for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.assembly import Arrival, Count, Evidence, EvidenceKind, Policy, Waiting, judge

T0 = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
POLICY = Policy(quiet_seconds=60, count_interval_seconds=5, give_up_seconds=3600)
ONE, TWO = "2.25.1", "2.25.2"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def arrival(*counts: Count, **changes) -> Arrival:
    return replace(Arrival("2.25.9", T0, "PACS", counts=counts), **changes)


def count(seconds, at_source, here, series=ONE):
    return Count(at(seconds), series, at_source, here)


def newest(counts):
    """Of equally old ones the last."""
    return max(enumerate(counts), key=lambda item: (item[1].at, item[0]), default=(0, None))[1]


def test_counted_twice():
    seen = arrival(count(1, 300, 300), count(6, 300, 300))
    found = judge(seen, [ONE], at(6), POLICY)
    assert isinstance(found, Evidence)
    assert found.kind is EvidenceKind.COUNTED
    assert found.at == at(6)
    assert "PACS" in found.detail
    assert "300" in found.detail


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [count(1, 300, 300)],
        [count(1, 300, 300), count(3, 300, 300)],  # too soon after each other
        [count(-9, 300, 300), count(-1, 300, 300)],  # before the last instance came
        [count(-9, 300, 300), count(1, 300, 300)],
        [count(1, 300, 300), count(6, 301, 300)],
        [count(1, 300, 300), count(6, 301, 300), count(11, 300, 300)],  # not successive
        [count(1, None, 300), count(6, None, 300)],
    ],
)
def test_not_counted_yet(counts):
    found = judge(arrival(*counts), [ONE], at(12), POLICY)
    assert isinstance(found, Waiting)
    assert at(12) < found.check_at <= at(17)


def test_no_answer_between_two_counts_does_not_break_them():
    seen = arrival(count(1, 300, 300), count(4, None, 300), count(7, 300, 300))
    assert judge(seen, [ONE], at(7), POLICY).kind is EvidenceKind.COUNTED


def test_every_selected_series_must_be_counted():
    one = (count(1, 300, 300), count(6, 300, 300))
    assert isinstance(judge(arrival(*one), [ONE, TWO], at(7), POLICY), Waiting)
    both = arrival(*one, count(1, 20, 20, TWO), count(6, 20, 20, TWO))
    assert "300 + 20" in judge(both, [ONE, TWO], at(7), POLICY).detail
    # what isn't selected doesn't matter
    other = arrival(*one, count(6, 900, 2, TWO))
    assert judge(other, [ONE], at(7), POLICY).kind is EvidenceKind.COUNTED


def test_an_open_association_holds_the_count_back():
    seen = arrival(count(1, 300, 300), count(6, 300, 300), open_associations=2)
    found = judge(seen, [ONE], at(500), POLICY)
    assert isinstance(found, Waiting)
    assert found.reason == "PACS has 2 associations open"


def test_quiet():
    assert isinstance(judge(arrival(), [ONE], at(59), POLICY), Waiting)
    found = judge(arrival(count(5, None, 10)), [ONE], at(60), POLICY)
    assert found.kind is EvidenceKind.QUIET
    assert "60 s" in found.detail
    assert judge(arrival(), [], at(60), POLICY).kind is EvidenceKind.QUIET


def test_a_first_equal_count_is_worth_the_second():
    seen = arrival(count(58, 300, 300))
    assert isinstance(judge(seen, [ONE], at(61), POLICY), Waiting)
    assert judge(seen, [ONE], at(118), POLICY).kind is EvidenceKind.QUIET


def test_a_source_that_has_more_is_waited_for_and_then_given_up():
    seen = arrival(count(1, 300, 200), count(600, 300, 200))
    waiting = judge(seen, [ONE], at(700), POLICY)
    assert isinstance(waiting, Waiting)
    assert "200 of 300" in waiting.reason
    assert judge(seen, [ONE], at(3598), POLICY).check_at == at(3600)
    found = judge(seen, [ONE], at(3600), POLICY)
    assert found.kind is EvidenceKind.QUIET
    assert "200 of 300" in found.detail


def test_a_slow_archive_that_still_receives_is_not_complete_early():
    # the archive has what it forwarded so far, then gets more: equal once, higher later
    seen = arrival(count(1, 200, 200), count(6, 250, 200))
    assert isinstance(judge(seen, [ONE], at(90), POLICY), Waiting)


def test_the_last_word_counts_even_if_older_than_the_last_instance():
    # it had said 300, then fell silent; 100 more came since
    silent = arrival(count(-30, 300, 200))
    assert isinstance(judge(silent, [ONE], at(90), POLICY), Waiting)
    # a query without an answer still tells what is here
    whole = arrival(count(-30, 300, 200), count(10, None, 300))
    assert judge(whole, [ONE], at(90), POLICY).kind is EvidenceKind.QUIET


def test_a_source_that_has_fewer_is_not_counted_but_quiet():
    seen = arrival(count(1, 100, 300), count(6, 100, 300))
    assert isinstance(judge(seen, [ONE], at(7), POLICY), Waiting)
    assert judge(seen, [ONE], at(60), POLICY).kind is EvidenceKind.QUIET


def test_asked_at_once():
    found = judge(arrival(count(1, 300, 2), open_associations=1, asked_at=at(2)), [ONE], at(2), POLICY)
    assert found.kind is EvidenceKind.ASKED
    assert "1 association open" in found.detail
    assert judge(arrival(asked_at=at(2)), [], at(2), POLICY).detail == "asked for"


def test_a_clock_set_back_waits_and_never_fails():
    seen = arrival(count(1, 300, 300), count(6, 300, 300))
    found = judge(seen, [ONE], at(-3600), POLICY)
    assert isinstance(found, Waiting)
    assert found.check_at == at(-3595)
    assert "0 s of 60 s" in found.reason


def test_zones_may_differ_but_must_be_there():
    beijing = timezone(timedelta(hours=8))
    seen = arrival(count(1, 300, 300), count(6, 300, 300))
    assert judge(seen, [ONE], at(6).astimezone(beijing), POLICY).kind is EvidenceKind.COUNTED
    naive = datetime(2024, 3, 1)
    for wrong in (
        arrival(last_received_at=naive),
        arrival(asked_at=naive),
        arrival(Count(naive, ONE, 1, 1)),
    ):
        with pytest.raises(ValueError, match="zone"):
            judge(wrong, [ONE], T0, POLICY)
    with pytest.raises(ValueError, match="zone"):
        judge(arrival(), [ONE], naive, POLICY)


@pytest.mark.parametrize(
    "values", [{"quiet_seconds": 0}, {"count_interval_seconds": -1}, {"give_up_seconds": 0}, {"counts_needed": 0}]
)
def test_a_policy_that_cannot_be(values):
    with pytest.raises(ValueError, match="policy"):
        replace(POLICY, **values)


@given(
    counts=st.lists(
        st.builds(
            count,
            st.floats(-100, 5000),
            st.one_of(st.none(), st.integers(0, 5)),
            st.integers(0, 5),
            st.sampled_from([ONE, TWO]),
        ),
        max_size=8,
    ),
    now=st.floats(-5000, 9000),
    associations=st.integers(0, 2),
    selected=st.sets(st.sampled_from([ONE, TWO])),
)
def test_always_an_answer_and_none_too_early(counts, now, associations, selected):
    seen = arrival(*counts, open_associations=associations)
    found = judge(seen, sorted(selected), at(now), POLICY)
    if isinstance(found, Waiting):
        assert found.check_at > at(now)
        # whatever was counted, it ends once the associations are closed
        if not associations:
            assert isinstance(judge(seen, sorted(selected), at(10_000), POLICY), Evidence)
        return
    assert not associations

    def last(uid, *, answered):
        known = [c for c in counts if c.series_instance_uid == uid and (c.at_source is not None or not answered)]
        return newest(known)

    if found.kind is EvidenceKind.COUNTED:
        assert selected
        answers = [c for c in counts if c.at <= at(now) and c.at_source is not None]
        for uid in selected:
            latest = newest(c for c in answers if c.series_instance_uid == uid)
            assert latest.at_source == latest.here
            assert latest.at >= T0
    else:
        assert now >= 60
        pairs = [(last(uid, answered=True), last(uid, answered=False)) for uid in selected]
        assert now >= 3600 or not any(said and said.at_source > here.here for said, here in pairs)


def test_a_source_that_still_receives_is_given_the_quiet_time():
    """Forwarding what it gets, it has as many as are here in every pause of the modality."""
    pause = (count(-20, 40, 35), count(-10, 60, 58), count(1, 60, 60), count(6, 60, 60), count(30, 60, 60))
    assert isinstance(judge(arrival(*pause), [ONE], at(59), POLICY), Waiting)
    assert judge(arrival(*pause), [ONE], at(60), POLICY).kind is EvidenceKind.COUNTED
    # it had them all before the first came
    whole = (count(-20, 60, 35), count(1, 60, 60), count(6, 60, 60))
    assert judge(arrival(*whole), [ONE], at(6), POLICY).kind is EvidenceKind.COUNTED


def test_what_nobody_can_read_yet_is_given_the_quiet_time():
    seen = arrival(count(1, 2, 2), count(6, 2, 2))
    assert isinstance(judge(seen, [ONE], at(59), POLICY, readable=False), Waiting)
    assert judge(seen, [ONE], at(60), POLICY, readable=False).kind is EvidenceKind.COUNTED
