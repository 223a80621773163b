"""What a model has met before: planted copies, altered copies, the same person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.cohort import Cohort, CohortRefusal, FileRecord, FileRole, Leak, Member, RefusalKind, Split, leaks
from training.cohort.fingerprint import fingerprint
from training.cohort.leaks import crossings


@pytest.fixture
def member(volume: Callable[..., Any]) -> Callable[..., Member]:
    def make(number: int, split: Split, fold: int | None = None, **changes: Any) -> Member:
        image = FileRecord(FileRole.IMAGE, f"{number}.nii.gz", f"{number:064x}", 1)
        label = FileRecord(FileRole.LABEL, f"{number}-label.nii.gz", "f" * 64, 1)
        mark = fingerprint(volume(number))
        made = Member(f"case_{number}", "toys", str(number), split, fold, (image, label), mark)
        return replace(made, **changes)

    return make


def told(found: tuple[Leak, ...]) -> list[tuple[str, str, str]]:
    return [(leak.kind.value, leak.seen.case, leak.tested.case) for leak in found]


def test_nothing_is_shared(member: Callable[..., Member]) -> None:
    seen = [member(n, Split.TRAIN, 0) for n in range(8)]
    assert leaks(seen, [member(n, Split.TEST) for n in range(8, 12)]) == ()
    assert leaks(seen, []) == leaks([], seen) == ()


def test_the_same_file_under_another_name(member: Callable[..., Member]) -> None:
    copy = replace(member(1, Split.TEST), case="case_9", subject="9")
    (leak,) = leaks([member(1, Split.TRAIN, 0), member(2, Split.TRAIN, 0)], [copy])
    assert leak.message == "toys/case_1 (train, fold 0) and toys/case_9 (test) hold the same image file"


def test_the_same_label_file_is_no_leak(member: Callable[..., Member]) -> None:
    one, other = member(1, Split.TRAIN, 0), member(2, Split.TEST)
    assert one.files[1].sha256 == other.files[1].sha256
    assert leaks([one], [other]) == ()


def test_an_altered_copy(member: Callable[..., Member], volume: Callable[..., Any]) -> None:
    noisy = np.roll(volume(1), 1, 2) * 2 + np.random.default_rng(0).normal(0, 20, volume(1).shape)
    copy = member(9, Split.TEST, fingerprint=fingerprint(noisy))
    (leak,) = leaks([member(n, Split.TRAIN, 0) for n in range(4)], [copy, member(8, Split.TEST)])
    assert told((leak,)) == [("near-duplicate image on both sides", "case_1", "case_9")]
    assert leak.similarity is not None and leak.similarity > 0.75
    assert "show the same image (similarity 0." in leak.message


def test_the_same_person(member: Callable[..., Member]) -> None:
    seen = [member(1, Split.TRAIN, 0), member(2, Split.TRAIN, 0, subject="1")]
    tested = [member(3, Split.TEST, subject="1"), member(4, Split.TEST, subject="1")]
    (leak,) = leaks(seen, tested)
    assert leak.message == "toys/case_1 (train, fold 0) and toys/case_3 (test) are of the same subject, 1"


def test_the_same_number_of_another_source_is_another_person(member: Callable[..., Member]) -> None:
    assert leaks([member(1, Split.TRAIN, 0, subject="7")], [member(2, Split.TEST, subject="7", source="b")]) == ()


def test_within_a_cohort_only_sides_count(member: Callable[..., Member]) -> None:
    same = {"fingerprint": member(1, Split.TRAIN, 0).fingerprint}
    members = [
        member(1, Split.TRAIN, 0),
        member(2, Split.TRAIN, 0, **same),  # the same side
        member(3, Split.VALIDATION, 0),
        member(4, Split.VALIDATION, 1, subject="3"),  # another fold
        member(5, Split.TEST),
    ]
    assert told(crossings(members)) == [("same subject on both sides", "case_3", "case_4")]
    moved = [*members[:1], replace(members[1], fold=1), *members[2:]]
    assert told(crossings(moved))[0] == ("near-duplicate image on both sides", "case_1", "case_2")


def test_a_planted_copy_is_refused_when_the_cohort_is_built(
    cases: None, build: Callable[..., Cohort], write: Callable[..., Path], volume: Callable[..., Any]
) -> None:
    cohort = build()
    trained, tested = cohort.only(Split.TRAIN)[0], cohort.only(Split.TEST)[0]
    number = int(trained.case[5:])
    write(int(tested.case[5:]), image=np.flip(volume(number), 2).copy())
    write(int(tested.case[5:]) + (1 if number % 2 else -1), image=volume(number))
    with pytest.raises(CohortRefusal) as caught:
        build()
    kinds = {r.kind for r in caught.value.refusals}
    assert RefusalKind.NEAR_DUPLICATE in kinds
    assert all(trained.case in r.cases for r in caught.value.refusals)
    assert "leave one out, or give both the same subject" in caught.value.refusals[0].message
