"""Lung cases that are no whole volumes: from members of a cohort to patches, and to nodules with their rating."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import CohortError
from imaging.files import sha256_of
from pipelines.lung_nodule.traits import OF_NODULE, TRAITS, traits
from tests.training.lidc.conftest import disc, ring, write_readers, write_voi  # noqa: F401  fixtures
from tests.training.lidc.test_candidates import write as write_candidates
from tests.training.lidc.test_exams import write as write_exams
from training.cohort import FileRecord, FileRole, Member, Split
from training.lung_cases import is_candidates, is_exam, patches_of, rated_of


def member(case: str, data: Path, *paths: Path, subject: str = "") -> Member:
    files = tuple(
        FileRecord(
            FileRole.LABEL if path.suffix == ".xz" else FileRole.PACK,
            str(path.relative_to(data)),
            sha256_of(path),
            path.stat().st_size,
        )
        for path in paths
    )
    return Member(case, "set", subject or case, Split.TRAIN, 1, files, "")


def test_patches_of_the_members_only(tmp_path: Path) -> None:
    write_candidates(tmp_path / "set", {}, {"label": 1, "rank_lo": 301}, {})
    files = [tmp_path / "set" / name for name in ("index.csv", "patches.npz")]
    one, other = (member(f"scans {first}-302", tmp_path, *files) for first in (300, 301))
    assert is_candidates(one) and not is_exam(one)
    assert [p.case for p in patches_of([one], tmp_path)] == ["candidate 0", "candidate 2"]
    (nodule,) = (p.load() for p in patches_of([other], tmp_path))
    assert (nodule.subject, nodule.nodule, nodule.hu.shape) == ("scans 301-302", True, (50, 50))
    assert patches_of([], tmp_path) == []


def test_slices_have_traits_of_the_nodule_only(tmp_path: Path) -> None:
    slices = np.zeros((6, 64, 64), np.uint8)
    slices[:, 20:30, 20:26] = 219
    slices[2:5, 20:40, 20:40] = 255
    exam = member("a", tmp_path, write_exams(tmp_path, slices=slices) / "patches.npz")
    assert is_exam(exam) and not is_candidates(exam)
    first, second = rated_of([exam], tmp_path)
    assert (first.case, first.subject, first.suspicious) == ("exam a nodule 0", "a", False)
    assert second.suspicious and first.rows.shape == second.rows.shape == (1, len(OF_NODULE))
    found = dict(zip(OF_NODULE, second.rows[0].tolist(), strict=True))
    assert (found["mean_hu"], found["calcified_share"], found["area"]) == (pytest.approx(200), 1, 400)
    assert second.diameter == pytest.approx(np.sqrt(4 / np.pi * 400))
    assert first.volume.labels.sum() == 2 * 60


def test_boxes_have_a_row_for_every_outline(
    tmp_path: Path,
    write_voi: Callable[..., Path],  # noqa: F811
    write_readers: Callable[..., Path],  # noqa: F811
) -> None:
    large, small = disc(40, 20, 20, 8), disc(40, 20, 20, 6)
    union = np.stack([np.zeros_like(large), *[large] * 3, np.zeros_like(large)])
    hu = np.where(union, 30, -850)
    readers = write_readers(
        [[(z, ring(mask), True) for z in (-92.0, -90.0, -88.0)] for mask in (large, small, small)]
    )
    folder = write_voi(("LIDC-IDRI-0001_R_1", hu, union), malignant_vote=1, sx=1.0, sy=1.0, n_readers=3)
    box = member("LIDC-IDRI-0001_R_1", tmp_path, folder / "index.csv", folder / "voi.npz", readers)
    (found,) = rated_of([box], tmp_path)
    assert (found.subject, found.suspicious, found.diameter) == ("LIDC-IDRI-0001", True, 6.5)
    assert found.rows.shape == (5, len(TRAITS))
    areas = found.rows[:, TRAITS.index("area")]
    assert areas.tolist() == [small.sum(), large.sum(), large.sum(), small.sum(), small.sum()]
    assert np.array_equal(found.rows[1], traits(hu, union, (2.0, 1.0, 1.0)))
    assert found.volume.labels.sum() == 3 * small.sum()


def test_a_file_that_was_altered_is_refused(tmp_path: Path) -> None:
    exam = member("a", tmp_path, write_exams(tmp_path) / "patches.npz")
    write_exams(tmp_path, malignant=np.ones(3, np.uint8))
    with pytest.raises(CohortError, match="altered"):
        rated_of([exam], tmp_path)
