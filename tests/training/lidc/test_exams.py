"""Exams: slices by nodule, nodules by exam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.errors import CohortError
from training.lidc.exams import load_exams


def write(folder: Path, **changes: Any) -> Path:
    slices = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((6, 64, 64), np.uint8)
    values = {
        "slices": slices,
        "nodule": np.array([0, 0, 1, 1, 1, 2], np.int32),
        "malignant": np.array([0, 1, 0], np.uint8),
        "exam": np.array(["a", "a", "b"]),
    }
    np.savez(folder / "patches.npz", **(values | changes))
    return folder


def test_nodules_come_with_their_slices(tmp_path: Path) -> None:
    found = load_exams(write(tmp_path))
    assert [(n.exam, n.malignant, n.slices[:, 0, 0].tolist()) for n in found] == [
        ("a", False, [0, 1]),
        ("a", True, [2, 3, 4]),
        ("b", False, [5]),
    ]
    assert [n.number for n in found[1:]] == [1, 2]
    assert found[-1].exam == "b"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nodule": np.array([0, 0, 1, 1, 2, 1], np.int32)}, "aren't those of nodules 0 to 2 in order"),
        ({"nodule": np.array([0, 0, 1, 1, 1, 1], np.int32)}, "aren't those of nodules 0 to 2 in order"),
        ({"nodule": np.array([0, 0, 1, 1, 1], np.int32)}, "for 5 numbers"),
        ({"malignant": np.array([0, 2, 0], np.uint8)}, "neither malignant nor benign"),
        ({"exam": np.array(["a", "", "b"])}, "has no exam"),
        ({"slices": np.zeros((6, 32, 32), np.uint8)}, r"slices \(6, 32, 32\)"),
    ],
)
def test_a_damaged_set_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CohortError, match=says):
        load_exams(write(tmp_path, **changes))


@pytest.mark.data
def test_the_real_exams(data_dir: Path) -> None:
    found = load_exams(data_dir / "lidc" / "patches")
    assert (len(found), len({n.exam for n in found}), sum(n.malignant for n in found)) == (882, 494, 267)
    assert sum(len(n.slices) for n in found) == 5043
