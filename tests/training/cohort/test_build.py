"""What is frozen, and every reason why a cohort is refused."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from imaging.errors import CohortError, UsageError
from training.cohort import (
    Cohort,
    CohortDescription,
    CohortRefusal,
    FileRole,
    Refusal,
    RefusalKind,
    Split,
    Use,
    build_cohort,
    load_description,
    require,
)

Build = Callable[..., Cohort]
Write = Callable[..., Path]
BROKEN = [("images", how) for how in ("cut off", "no gzip", "damaged", "no NIfTI", "empty")]


def refused(build: Build, **arguments: Any) -> dict[RefusalKind, list[Refusal]]:
    with pytest.raises(CohortRefusal) as caught:
        build(**arguments)
    found: dict[RefusalKind, list[Refusal]] = {}
    for refusal in caught.value.refusals:
        found.setdefault(refusal.kind, []).append(refusal)
    return found


@pytest.mark.usefixtures("cases")
class TestAWholeCohort:
    def test_every_file_is_frozen(self, build: Build, data: Path) -> None:
        cohort = build()
        assert [m.case for m in cohort.members] == [f"case_{n:03d}" for n in range(1, 21)]
        for member in cohort.members:
            assert [f.role for f in member.files] == [FileRole.IMAGE, FileRole.LABEL]
            assert member.files[0].path == f"toy/images/{member.case}.nii.gz"
            for file in member.files:
                content = (data / file.path).read_bytes()
                assert (file.sha256, file.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert cohort.sources[0].licence == "CC0"
        assert cohort.approval.by == "Dr Li" and cohort.approval.until == date(2026, 12, 31)

    def test_it_is_the_same_on_every_day_and_in_every_folder(
        self, build: Build, data: Path, describe: Callable[..., CohortDescription]
    ) -> None:
        cohort = build()
        elsewhere = data.rename(data.parent / "elsewhere")
        again = build_cohort(describe(), elsewhere, on=date(2026, 12, 31))
        assert again == cohort and again.digest == cohort.digest == hashlib.sha256(cohort.to_bytes()).hexdigest()

    def test_no_subject_stands_on_two_sides(self, build: Build) -> None:
        cohort = build()
        sides: dict[str, set[Any]] = {}
        for member in cohort.members:
            sides.setdefault(member.subject, set()).add(member.side)
        assert len(sides) == 10 and all(len(s) == 1 for s in sides.values())
        assert [m.subject for m in cohort.members[:4]] == ["1", "1", "2", "2"]
        assert {m.split for m in cohort.members} == set(Split)

    def test_added_cases_move_nobody(self, build: Build, write: Write) -> None:
        before = {m.case: m.side for m in build().members}
        for number in (21, 22, 23, 77):
            write(number)
        after = {m.case: m.side for m in build().members}
        assert len(after) == 24
        assert {case: after[case] for case in before} == before

    def test_folds_cut_development_into_parts(self, build: Build) -> None:
        cohort = build()
        development = cohort.only(Split.TRAIN, Split.VALIDATION)
        left_out = []
        for number in range(3):
            train, validation = cohort.fold(number)
            assert {m.person for m in train}.isdisjoint(m.person for m in validation)
            assert sorted(m.case for m in train + validation) == [m.case for m in development]
            left_out += validation
        assert sorted(m.case for m in left_out) == [m.case for m in development]
        assert all(m.fold is None for m in cohort.only(Split.GATE, Split.TEST))
        with pytest.raises(ValueError, match="folds 0 to 2"):
            cohort.fold(3)

    def test_a_pinned_case_takes_its_subject_along(self, build: Build) -> None:
        cohort = build(pinned={"case_001": Split.TEST, "case_010": Split.TRAIN})
        split = {m.case: m.split for m in cohort.members}
        assert split["case_001"] == split["case_002"] == Split.TEST
        assert split["case_009"] == split["case_010"] == Split.TRAIN
        assert cohort.assignment.locked == {"toys/1": Split.TEST, "toys/5": Split.TRAIN}
        unpinned = {m.case: m.split for m in build().members}
        assert {
            c: s for c, s in unpinned.items() if c[-3:] not in ("001", "002", "009", "010")
        }.items() <= split.items()

    def test_pins_that_contradict_or_fit_nothing(self, build: Build) -> None:
        found = refused(build, pinned={"case_001": Split.TEST, "case_002": Split.TRAIN, "case_099": Split.GATE})
        (twice, nothing) = found[RefusalKind.PINNED]
        assert twice.message == "case_002 is pinned to train, another case of its subject to test"
        assert nothing.message == "case_099 is pinned to gate, but the data hold no such case"

    def test_a_pin_must_name_one_case(
        self, build: Build, data: Path, describe: Callable[..., CohortDescription]
    ) -> None:
        shutil.copytree(data / "toy", data / "twin")
        first = describe().model_dump()["sources"][0]
        found = refused(
            build, sources=[first, first | {"name": "twins", "folder": "twin"}], pinned={"case_001": Split.GATE}
        )
        (refusal,) = found[RefusalKind.PINNED]
        assert refusal.message == "case_001 is pinned to gate, but several sources hold a case of that name"
        assert RefusalKind.SAME_FILE in found

    def test_progress_is_told(self, describe: Callable[..., CohortDescription], data: Path, today: date) -> None:
        told: list[tuple[str, float]] = []
        build_cohort(describe(), data, on=today, on_progress=lambda what, share: told.append((what, share)))
        shares = [share for _, share in told]
        assert shares == sorted(shares) and shares[-1] == 1
        assert ("reading case_001", 0.0) in told

    def test_hidden_files_are_passed_over(self, build: Build, data: Path) -> None:
        (data / "toy" / "images" / "._case_001.nii.gz").write_bytes(b"macOS")
        assert len(build().members) == 20


class TestApproval:
    @pytest.mark.parametrize(
        ("on", "words"),
        [
            (date(2027, 1, 1), "the approval by Dr Li ended on 2026-12-31, and it is 2027-01-01: have it renewed"),
            (date(2026, 10, 31), "the approval by Dr Li begins on 2026-11-01, and it is 2026-10-31"),
        ],
    )
    def test_outside_its_time_nothing_is_read(self, build: Build, on: date, words: str) -> None:
        found = refused(build, on=on)
        assert [r.message for r in found.pop(RefusalKind.APPROVAL)] == [words]
        assert found == {}

    @pytest.mark.usefixtures("cases")
    def test_a_use_must_be_approved_each_time(self, build: Build) -> None:
        cohort = build()
        require(cohort, Use.TRAIN, on=date(2026, 12, 31))
        with pytest.raises(CohortRefusal, match="allows train, evaluate, not release"):
            require(cohort, Use.RELEASE, on=date(2026, 12, 31))
        with pytest.raises(CohortError, match="cohort toy is refused: the approval by Dr Li ended on 2026-12-31"):
            require(cohort, Use.TRAIN, on=date(2027, 1, 1))


class TestWhatIsRefused:
    def test_nothing(self, build: Build) -> None:
        (refusal,) = refused(build)[RefusalKind.NO_FILES]
        assert refusal.message.startswith("toys: no images below")

    def test_no_folder(self, describe: Callable[..., CohortDescription], data: Path, today: date) -> None:
        with pytest.raises(UsageError, match="RAYSIGHT_TRAINING_DATA"):
            build_cohort(describe(), data / "absent", on=today)

    def test_a_missing_half(self, build: Build, write: Write, data: Path) -> None:
        write(1)
        (data / "toy" / "labels" / "case_001.nii.gz").rename(data / "toy" / "labels" / "case_002.nii.gz")
        one, two = refused(build)[RefusalKind.NO_PARTNER]
        assert one.message == "case_001 is in toy/images, not in labels: add it there, or take it out"
        assert (two.cases, "is in toy/labels" in two.message) == (("case_002",), True)

    def test_files_that_are_no_nifti(self, build: Build, write: Write, data: Path) -> None:
        write(1)
        (data / "toy" / "images" / "readme.txt").write_text("x")
        (data / "toy" / "labels" / "more").mkdir()
        (data / "toy" / "labels" / "more" / "case_002.nii").write_text("x")
        (data / "toy" / "images" / "case_001.nii").write_text("x")
        messages = [r.message for r in refused(build)[RefusalKind.FOREIGN_FILE]]
        assert len(messages) == 3
        assert any("readme.txt is no NIfTI file" in m for m in messages)
        assert any("more/case_002.nii is no NIfTI file" in m for m in messages)
        assert any("are two files for the case case_001" in m for m in messages)

    @pytest.mark.parametrize(("part", "how"), [("images", "short"), ("labels", "short"), *BROKEN])
    def test_a_broken_file(self, build: Build, write: Write, data: Path, part: str, how: str) -> None:
        write(1)
        path = data / "toy" / part / "case_001.nii.gz"
        whole = path.read_bytes()
        content = {
            "short": gzip.compress(gzip.decompress(whole)[:1000]),
            "cut off": whole[: len(whole) // 2],
            "no gzip": b"x" * 1000,
            "damaged": whole[:-6] + bytes(6),
            "no NIfTI": gzip.compress(b"x" * 1000),
            "empty": b"",
        }[how]
        path.write_bytes(content)
        (refusal,) = refused(build)[RefusalKind.UNREADABLE]
        assert refusal.cases == ("case_001",) and f"{part}/case_001.nii.gz can't be read" in refusal.message

    def test_a_label_of_another_shape(self, build: Build, write: Write, volume: Callable[..., Any]) -> None:
        write(1, label=np.zeros((20, 24, 17), np.uint8))
        (refusal,) = refused(build)[RefusalKind.GEOMETRY]
        assert refusal.message == "case_001: the image has (18, 24, 20) voxels along x, y, z, its label (17, 24, 20)"

    def test_a_label_in_another_place(self, build: Build, write: Write) -> None:
        write(1, label_origin=(0, 0, 0.5))
        (refusal,) = refused(build)[RefusalKind.GEOMETRY]
        assert refusal.message == "case_001: origin is (0, 0, 0) in the image, (0, 0, 0.5) in its label"

    def test_values_that_are_not_declared(self, build: Build, write: Write) -> None:
        label = np.zeros((20, 24, 18), np.uint8)
        label[0, 0, :3] = (1, 2, 7)
        write(1, label=label)
        (refusal,) = refused(build)[RefusalKind.CLASSES]
        assert refusal.message == "case_001: the label holds 2, 7, but the description declares [0, 1] only"

    def test_a_soft_label(self, build: Build, write: Write, volume: Callable[..., Any]) -> None:
        write(1, label=np.clip(volume(1), 0, 1))
        (refusal,) = refused(build)[RefusalKind.CLASSES]
        assert refusal.message.startswith("case_001: the label holds 0.")

    def test_an_image_of_nothing(self, build: Build, write: Write) -> None:
        write(1, image=np.zeros((20, 24, 18), np.float32))
        (refusal,) = refused(build)[RefusalKind.UNREADABLE]
        assert refusal.message == "case_001: the image has no fingerprint: it is the same everywhere"

    def test_a_picture_with_colours(self, build: Build, write: Write, data: Path) -> None:
        write(1)
        colours = sitk.GetImageFromArray(np.zeros((20, 24, 18, 3), np.uint8), isVector=True)
        sitk.WriteImage(colours, str(data / "toy" / "images" / "case_001.nii.gz"))
        (refusal,) = refused(build)[RefusalKind.UNREADABLE]
        assert "3 axes and 3 values a voxel" in refusal.message

    def test_a_case_of_nobody(self, build: Build, write: Write, data: Path) -> None:
        write(1)
        for part in ("images", "labels"):
            folder = data / "toy" / part
            (folder / "case_001.nii.gz").rename(folder / "someone.nii.gz")
        (refusal,) = refused(build)[RefusalKind.NO_SUBJECT]
        assert refusal.message.startswith("someone: whose it is can't be told")

    def test_a_split_that_nobody_fell_into(self, build: Build, write: Write) -> None:
        write(1)
        messages = [r.message for r in refused(build)[RefusalKind.EMPTY_SPLIT]]
        assert len(messages) == 3 and all("pin a case of one, or add data" in m for m in messages)

    def test_all_reasons_are_told_at_once(self, build: Build, write: Write, data: Path) -> None:
        write(1, label_origin=(0, 0, 0.5))
        write(2, label=np.full((20, 24, 18), 9, np.uint8))
        (data / "toy" / "images" / "x").write_text("x")
        assert {k.value for k in refused(build)} == {
            "foreign file",
            "label lies elsewhere",
            "label holds an undeclared value",
        }


def test_the_shipped_description_is_valid(repo_root: Path) -> None:
    description, pinned = load_description(repo_root / "configs" / "cohorts" / "hippocampus.yaml")
    assert (description.name, pinned) == ("hippocampus", {})


@pytest.mark.data
def test_the_hippocampus_cohort(repo_root: Path, data_dir: Path) -> None:
    description, pinned = load_description(repo_root / "configs" / "cohorts" / "hippocampus.yaml")
    cohort = build_cohort(description, data_dir, pinned=pinned, on=date(2026, 11, 24))
    subjects = {split: len({m.person for m in cohort.only(split)}) for split in Split}
    assert len(cohort.members) == 200
    assert subjects == {Split.TRAIN: 86, Split.VALIDATION: 18, Split.GATE: 23, Split.TEST: 18}
    assert min(len(cohort.fold(n)[1]) for n in range(5)) >= 20
