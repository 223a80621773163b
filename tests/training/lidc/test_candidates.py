"""2-D candidates: Hounsfield units back from JPEG, folds, and what is left out."""

from __future__ import annotations

import csv
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imaging.errors import CohortError
from tests.training.lidc.conftest import SERIES
from training.lidc.candidates import LEFT_OUT_RANKS, LeftOut, load_candidates
from training.lidc.folds import lung_folds
from training.lidc.tables import read_index


def write(folder: Path, *rows: dict[str, Any], patches: list[np.ndarray] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    whole = [
        {
            **{"cand_index": k, "label": 0, "seriesuid": "", "patient": "", "rank_lo": 300, "rank_hi": 302},
            **{"pixel_mm": "", "orig_split": "train", "fold": 1, "border": 0},
            **row,
        }
        for k, row in enumerate(rows)
    ]
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(whole[0]))
        writer.writeheader()
        writer.writerows(whole)
    files = []
    for patch in patches or [np.full((50, 50), 100, np.uint8)] * len(rows):
        into = BytesIO()
        Image.fromarray(patch).save(into, "JPEG", quality=95)
        files.append(np.frombuffer(into.getvalue(), np.uint8))
    ends = np.cumsum([0, *map(len, files)]).astype(np.int32)
    np.savez(folder / "patches.npz", jpg=np.concatenate(files), off=ends)
    return folder


def test_patches_come_out_in_hounsfield_units(tmp_path: Path) -> None:
    slope = np.tile(np.linspace(0, 255, 50).astype(np.uint8), (50, 1))
    found = load_candidates(write(tmp_path, {}, {"label": 1}, patches=[np.full((50, 50), 51, np.uint8), slope]))
    flat, sloping = found
    assert (flat.nodule, sloping.nodule, flat.fold) == (False, True, 1)
    assert found.hu(flat) == pytest.approx(-1000 + 51 / 255 * 1400, abs=0.01)
    assert found.hu(flat).dtype == np.float32
    assert found.hu(sloping) == pytest.approx(np.tile(np.linspace(-1000, 400, 50), (50, 1)), abs=20)


def test_who_may_be_one_patient_is_one_group(tmp_path: Path) -> None:
    known = {"seriesuid": SERIES, "patient": "LIDC-IDRI-0001", "pixel_mm": 0.7}
    found = load_candidates(write(tmp_path, known, {}, {"rank_hi": 301}, {}))
    assert [c.group for c in found] == ["LIDC-IDRI-0001", "scans 300-302", "scans 300-301", "scans 300-302"]
    assert (found[0].pixel, found[1].pixel) == (0.7, None)


def test_what_may_cross_the_folds_is_left_out(tmp_path: Path) -> None:
    second = lung_folds().cuts[1] + "1"  # a series of fold 2, said to be of fold 1
    rank = LEFT_OUT_RANKS[1]
    found = load_candidates(
        write(
            tmp_path,
            {"border": 1},
            {"seriesuid": second, "patient": "LIDC-IDRI-0332"},
            {"rank_lo": rank - 2, "rank_hi": rank},
            {"rank_lo": rank + 1, "rank_hi": rank + 4},
        )
    )
    assert [c.number for c in found] == [3]
    assert found.left_out == {LeftOut.BORDER: 1, LeftOut.SECOND_SCAN: 2}


def test_a_damaged_set_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {}, {})
    packed = dict(np.load(folder / "patches.npz"))
    np.savez(folder / "patches.npz", jpg=packed["jpg"][:-10], off=packed["off"])
    with pytest.raises(CohortError, match="doesn't hold the 2 patches of the index"):
        load_candidates(folder)
    packed["jpg"][:20] = 0
    np.savez(folder / "patches.npz", **packed)
    found = load_candidates(folder)
    with pytest.raises(CohortError, match="patch 0 can't be decoded"):
        found.hu(found[0])
    other = load_candidates(write(tmp_path, {}, patches=[np.zeros((40, 50), np.uint8)]))
    with pytest.raises(CohortError, match=r"patch 0 is of shape \(40, 50\)"):
        other.hu(other[0])
    with pytest.raises(CohortError, match="label is 2, not 0 or 1"):
        load_candidates(write(tmp_path, {"label": 2}))


@pytest.mark.data
def test_the_real_candidates(data_dir: Path) -> None:
    folder = data_dir / "lidc" / "luna16_patches"
    found = load_candidates(folder)
    counts = Counter((c.fold, c.nodule) for c in found)
    assert [counts[fold, True] for fold in range(5)] == [260, 316, 253, 243, 260]
    assert [counts[fold, False] for fold in range(5)] == [1357, 1355, 1197, 1276, 1390]
    assert found.left_out == {LeftOut.BORDER: 72, LeftOut.SECOND_SCAN: 87}
    groups: dict[str, set[int]] = {}
    for one in found:
        groups.setdefault(one.group, set()).add(one.fold)
    assert all(len(folds) == 1 for folds in groups.values())
    middles = {n: np.mean([found.hu(c)[24:26, 24:26].mean() for c in found[::40] if c.nodule == n]) for n in (0, 1)}
    assert middles[1] > middles[0] + 100  # a nodule lies in the middle


@pytest.mark.data
def test_where_the_left_out_scans_stand(data_dir: Path) -> None:
    rows = read_index(data_dir / "lidc" / "luna16_patches" / "index.csv", ("seriesuid", "rank_lo"))
    table = lung_folds()
    sound = [
        r for r in rows if r.values["seriesuid"] and table.fold_of_series(r.text("seriesuid")) == r.count("fold")
    ]
    known = [(r.text("seriesuid"), r.count("rank_lo")) for r in sound]
    for series, rank in zip(sorted(table.left_out), LEFT_OUT_RANKS, strict=True):
        below = max(r for s, r in known if s < series)
        above = min(r for s, r in known if s > series)
        assert below < rank < above
