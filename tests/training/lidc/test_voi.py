"""Boxes come out as they were packed, one at a time; a damaged set is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import CohortError
from training.lidc.folds import lung_folds
from training.lidc.voi import MENDED_SERIES, load_voi


def boxes() -> list[tuple[str, np.ndarray, np.ndarray]]:
    chance = np.random.default_rng(5)
    made = []
    for number, shape in enumerate([(3, 5, 7), (2, 4, 4), (5, 3, 3)]):
        mask = np.zeros(shape, bool)
        mask[1, 1:3, 1:3] = True
        # the whole range of 12-bit CT, so that steps are as large as they come
        made.append((f"N{number}", chance.integers(-1024, 3072, shape), mask))
    return made


def test_boxes_come_out_as_they_went_in(write_voi: Callable[..., Path]) -> None:
    written = boxes()
    found = load_voi(write_voi(*written))
    assert found.keys == ("N0", "N1", "N2")
    for (key, hu, mask), voi in zip(written, found, strict=True):
        assert voi.key == key
        np.testing.assert_array_equal(voi.hu, hu)
        np.testing.assert_array_equal(voi.mask, mask)
        assert (voi.spacing, voi.centre, voi.fold) == ((2, 0.5, 0.5), (1, 2, -90), 1)
        assert voi.ratings.malignancy == 3
        with pytest.raises(ValueError, match="read-only"):
            voi.hu[0, 0, 0] = 1
    assert [v.key for v in found[1:]] == ["N1", "N2"]
    assert found.by_key("N1").hu.shape == (2, 4, 4)


def test_a_box_says_whether_it_shows_the_ends_of_the_nodule(write_voi: Callable[..., Path]) -> None:
    whole, above_missing, _ = load_voi(write_voi(*boxes()))
    assert (whole.has_slice_below, whole.has_slice_above, whole.cut) == (True, True, False)
    assert (above_missing.has_slice_below, above_missing.has_slice_above, above_missing.cut) == (True, False, True)


def test_a_second_scan_in_another_fold_is_left_out(write_voi: Callable[..., Path]) -> None:
    series = next(iter(MENDED_SERIES.values()))
    assert lung_folds().fold_of_series(series) is None
    (voi,) = load_voi(write_voi(boxes()[0], patient_id="LIDC-IDRI-0332", seriesuid=series))
    assert voi.fold is None


def test_an_unknown_key_is_told(write_voi: Callable[..., Path]) -> None:
    with pytest.raises(CohortError, match="no nodule 'N9'"):
        load_voi(write_voi(*boxes())).by_key("N9")


def test_an_empty_mask_is_refused(write_voi: Callable[..., Path]) -> None:
    found = load_voi(write_voi(("N0", np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), bool))))
    with pytest.raises(CohortError, match=r"index.csv: line 2: the mask is empty"):
        found[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("N0,0,", "N0,1,", "doesn't begin where the one before it ends"),
        ("N1,105,2,", "N1,105,3,", "doesn't begin where the one before it ends"),
        ("N2,137,5,", "N2,137,6,", "another number of voxels than the index, 191"),
        ("N1,105", "N0,105", "a key stands twice"),
        (",0.5,0.5,2,", ",0,0.5,2,", "the spacing isn't positive"),
        ("N0,0,3", "N0,0,three", "nz is no number: 'three'"),
        ("offset", "start", "the columns offset are missing"),
    ],
)
def test_a_damaged_index_is_refused(write_voi: Callable[..., Path], old: str, new: str, says: str) -> None:
    folder = write_voi(*boxes())
    text = (folder / "index.csv").read_text()
    assert old in text
    (folder / "index.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(CohortError, match=says):
        load_voi(folder)


def test_damaged_arrays_are_refused(write_voi: Callable[..., Path]) -> None:
    folder = write_voi(*boxes())
    whole = (folder / "voi.npz").read_bytes()
    (folder / "voi.npz").write_bytes(whole[:-100])
    with pytest.raises(CohortError, match=r"voi.npz: is no whole .npz"):
        load_voi(folder)
    np.savez(folder / "voi.npz", lo=np.zeros(3, np.uint8), mask_bits=np.zeros(3, np.uint8))
    with pytest.raises(CohortError, match=r"voi.npz: hi is not a file in the archive"):
        load_voi(folder)
    np.savez(folder / "voi.npz", lo=np.zeros(3), hi=np.zeros(3, np.uint8), mask_bits=np.zeros(3, np.uint8))
    with pytest.raises(CohortError, match="lo is of type float64, not u1"):
        load_voi(folder)
    (folder / "voi.npz").unlink()
    with pytest.raises(CohortError, match=r"voi.npz: No such file"):
        load_voi(folder)


@pytest.mark.data
def test_the_real_boxes(data_dir: Path) -> None:
    found = load_voi(data_dir / "lidc" / "voi")
    assert len(found) == 990
    assert Counter(voi.fold for voi in found) == {0: 181, 1: 235, 2: 194, 3: 194, 4: 184, None: 2}
    assert sum(voi.cut for voi in found) == 547
    assert all(voi.hu.min() >= -1024 and voi.hu.max() <= 3071 for voi in found)
    # a nodule is denser than what lies around it
    assert np.median([np.median(v.hu[v.mask]) - np.median(v.hu[~v.mask]) for v in found]) > 400
