"""Files that are no longer what they were; cases that moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import UsageError
from training.cohort import Cohort, RefusalKind, Split, diff, verify

pytestmark = pytest.mark.usefixtures("cases")
Build = Callable[..., Cohort]
Write = Callable[..., Path]


def test_nothing_has_changed(build: Build, data: Path) -> None:
    result = verify(build(), data)
    assert (result.files, result.refusals, result.unlisted) == (40, (), ())


def test_a_changed_a_lost_and_a_new_file(build: Build, data: Path, write: Write) -> None:
    cohort = build()
    changed, lost = write(3), data / "toy" / "labels" / "case_004.nii.gz"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    lost.unlink()
    write(50)
    result = verify(cohort, data)
    assert [(r.kind, r.cases) for r in result.refusals] == [
        (RefusalKind.CHANGED, ("case_003",)),
        (RefusalKind.GONE, ("case_004",)),
    ]
    assert "toy/images/case_003.nii.gz was " in result.refusals[0].message
    assert (
        result.refusals[1].message == "toy/labels/case_004.nii.gz can't be read any more: No such file or directory"
    )
    assert result.unlisted == ("toy/images/case_050.nii.gz", "toy/labels/case_050.nii.gz")


def test_without_the_folder(build: Build, data: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        verify(build(), data / "absent")


def test_what_sets_two_cohorts_apart(build: Build, write: Write, data: Path, volume: Callable[..., Any]) -> None:
    before = build()
    write(21)
    write(5, image=volume(999))
    for part in ("images", "labels"):
        (data / "toy" / part / "case_020.nii.gz").unlink()
    change = diff(before, build(pinned={"case_015": Split.TRAIN}))
    assert [m.case for m in change.added] == ["case_021"]
    assert [m.case for m in change.removed] == ["case_020"]
    assert [m.case for m in change.changed] == ["case_005"]
    assert [(m.before.case, m.before.split, m.after.split) for m in change.moved] == [
        ("case_015", Split.GATE, Split.TRAIN),
        ("case_016", Split.GATE, Split.TRAIN),
    ]


def test_a_cohort_is_like_itself(build: Build) -> None:
    change = diff(build(), build())
    assert not (change.added or change.removed or change.changed or change.moved)
