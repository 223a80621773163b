"""Exact intervals where counts are small; the published values are Clopper and Pearson's, and Garwood's."""

from __future__ import annotations

import pytest

from training.evaluation.figures import count_interval, figures, share_interval
from training.evaluation.report import CaseScores, Metric


def scan(subject: str, found: float | None = None, **scores: float) -> CaseScores:
    return CaseScores(case=f"{subject} {len(scores)} {found}", subject=subject, scores={"found": found, **scores})


def test_exact_intervals_of_shares_and_counts() -> None:
    assert share_interval(4, 4, 0.95) == pytest.approx((0.3976, 1), abs=1e-4)
    assert share_interval(3, 4, 0.95) == pytest.approx((0.1941, 0.9937), abs=1e-4)
    assert share_interval(0, 10, 0.95) == pytest.approx((0, 0.3085), abs=1e-4)
    assert share_interval(0, 0, 0.95) == (None, None)
    assert count_interval(0, 0.95) == pytest.approx((0, 3.6889), abs=1e-4)
    assert count_interval(10, 0.95) == pytest.approx((4.7954, 18.3904), abs=1e-4)


def test_a_subject_counts_as_found_when_all_of_theirs_are() -> None:
    metric = Metric(name="found", title="Found", interval="share")
    cases = [scan("a", 1.0), scan("b", 1.0), scan("b", 1.0), scan("b", 0.0), scan("c", None), scan("d", 1.0)]
    found = figures(cases, [metric], confidence=0.95)["found"]
    assert found.value == pytest.approx(4 / 5) and (found.cases, found.subjects) == (5, 3)
    assert (found.low, found.high) == pytest.approx(share_interval(2, 3, 0.95))
    nothing = figures([scan("a", None)], [metric], confidence=0.95)["found"]
    assert (nothing.value, nothing.low, nothing.cases) == (None, None, 0)


def test_counts_are_divided_by_cases_or_by_what_was_expected() -> None:
    cases = [scan("a", marks=3.0, expected=1.5), scan("b", marks=0.0, expected=2.5)]
    plain, ratio = Metric(name="marks", title="", interval="count"), {"over": "expected"}
    found = figures(cases, [plain], confidence=0.95)["marks"]
    assert found.value == 1.5 and (found.low, found.high) == pytest.approx((0.6187 / 2, 8.7673 / 2), abs=1e-3)
    found = figures(cases, [plain.model_copy(update=ratio)], confidence=0.95)["marks"]
    assert found.value == 0.75 and (found.low, found.high) == pytest.approx((0.6187 / 4, 8.7673 / 4), abs=1e-3)
