"""The waits between attempts."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.delivery.backoff import Backoff

DRAWS = st.floats(0, 1, exclude_max=True)
HOUR = timedelta(hours=1)


@given(st.integers(1, 10**6), st.timedeltas(timedelta(0), timedelta(days=30)), DRAWS)
def test_a_wait_is_positive_and_bounded(failures: int, lasting: timedelta, draw: float) -> None:
    wait = Backoff().wait(failures, lasting, draw)
    assert timedelta(0) < wait <= HOUR
    if lasting < HOUR:
        assert wait <= timedelta(minutes=1)


@given(st.lists(DRAWS, min_size=400, max_size=400))
def test_an_outage_of_days_is_tried_all_along(draws: list[float]) -> None:
    elapsed, waits = timedelta(0), []
    for failures, draw in enumerate(draws, start=1):
        waits.append(Backoff().wait(failures, elapsed, draw))
        elapsed += waits[-1]
    assert elapsed > timedelta(days=5)
    assert waits[0] <= timedelta(seconds=1.1)
    assert waits[-1] == HOUR


@given(st.integers(1, 50))
def test_without_jitter_waits_never_shrink(failures: int) -> None:
    plain = Backoff(jitter=0)
    ages = [timedelta(minutes=m) for m in range(0, 1200, 30)]
    for early, late in pairwise(ages):
        assert plain.wait(failures, early, 0.5) <= plain.wait(failures, late, 0.5)
    assert plain.wait(failures, ages[0], 0.5) <= plain.wait(failures + 1, ages[0], 0.5)
