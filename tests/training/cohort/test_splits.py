"""A subject's side depends on the seed and its own name alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cohort.members import Assignment, Split
from training.cohort.splits import place, side_of

SHARES = {Split.TRAIN: 0.62, Split.VALIDATION: 0.1, Split.GATE: 0.14, Split.TEST: 0.14}


def rule(**changes: object) -> Assignment:
    values = {"seed": "s", "shares": SHARES, "folds": 5, "locked": {}}
    return Assignment(**(values | changes))  # type: ignore[arg-type]


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_place_is_a_share(seed: str, subject: str) -> None:
    assert 0 <= place(seed, "split", ("a", subject)) < 1
    assert place(seed, "split", ("a", subject)) == place(seed, "split", ("a", subject))


def test_where_these_subjects_stand_never_changes() -> None:
    """Another hash would move every cohort's test cases into training."""
    assert [side_of(("toys", str(n)), rule()) for n in range(1, 7)] == STAND


STAND: list[tuple[Split, int | None]] = [
    (Split.TRAIN, 4),
    (Split.TRAIN, 2),
    (Split.TRAIN, 4),
    (Split.TRAIN, 4),
    (Split.TRAIN, 0),
    (Split.GATE, None),
]


def test_shares_and_folds_are_kept() -> None:
    sides = [side_of(("a", str(n)), rule()) for n in range(20_000)]
    splits = Counter(split for split, _ in sides)
    for split, share in SHARES.items():
        assert splits[split] / len(sides) == pytest.approx(share, abs=0.012)
    folds = Counter(fold for split, fold in sides if split in (Split.TRAIN, Split.VALIDATION))
    assert sorted(f for f in folds if f is not None) == [0, 1, 2, 3, 4]
    assert min(folds.values()) > 0.19 * sum(folds.values())
    assert {fold for split, fold in sides if split in (Split.GATE, Split.TEST)} == {None}


def test_a_fold_says_nothing_about_the_split() -> None:
    validation = Counter(
        f for s, f in (side_of(("a", str(n)), rule()) for n in range(20_000)) if s is Split.VALIDATION
    )
    assert len(validation) == 5
    assert min(validation.values()) > 0.15 * sum(validation.values())


def test_another_seed_or_source_gives_other_sides() -> None:
    people = [str(n) for n in range(200)]
    one = [side_of(("a", p), rule()) for p in people]
    assert one != [side_of(("a", p), rule(seed="t")) for p in people]
    assert one != [side_of(("b", p), rule()) for p in people]


def test_a_larger_last_share_takes_from_its_neighbour_only() -> None:
    """Shares are cut from 0 upwards: nobody who was tested is trained on when the test split grows."""
    more = rule(shares={**SHARES, Split.GATE: 0.1, Split.TEST: 0.18})
    for n in range(2000):
        before, after = (side_of(("a", str(n)), r)[0] for r in (rule(), more))
        assert before == after or (before, after) == (Split.GATE, Split.TEST)


def test_a_locked_subject_stays() -> None:
    locked = rule(locked={"a/7": Split.TEST, "a/8": Split.VALIDATION})
    assert side_of(("a", "7"), locked) == (Split.TEST, None)
    everyone_trains = rule(shares={**dict.fromkeys(Split, 0.0), Split.TRAIN: 1.0})
    assert side_of(("a", "8"), locked) == (Split.VALIDATION, side_of(("a", "8"), everyone_trains)[1])


def test_a_split_without_a_share_gets_nobody() -> None:
    shares = {Split.TRAIN: 0.7, Split.VALIDATION: 0.3, Split.GATE: 0.0, Split.TEST: 0.0}
    assert {side_of(("a", str(n)), rule(shares=shares))[0] for n in range(2000)} == {Split.TRAIN, Split.VALIDATION}
