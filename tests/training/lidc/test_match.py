"""A box finds its readers, and the readers' majority comes out in the box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training.lidc.conftest import SERIES
from tests.training.lidc.test_readers import ball
from training.lidc.annotations import FILE, Readers
from training.lidc.match import best_match, match
from training.lidc.readers import votes
from training.lidc.voi import load_voi


def test_a_box_lies_where_its_readers_union_does(
    write_voi: Callable[..., Path], write_readers: Callable[..., Path]
) -> None:
    near, far = [ball(20, 30, 6, -80), ball(21, 31, 5, -80), ball(20, 30, 5, -80)], [ball(45, 20, 4, -80)]
    readers = Readers(write_readers([*near, *far]))
    full = np.zeros((20, 60, 60), np.uint8)
    found = votes(readers.annotations(SERIES)[:3], readers.scan(SERIES))
    rows, columns = found.counts.shape[1:]
    full[8:13, found.row : found.row + rows, found.column : found.column + columns] = found.counts
    box = (slice(8, 14), slice(10, 33), slice(19, 44))  # one slice above, none below
    written = write_voi(("N0", np.zeros((6, 23, 25), int), full[box] > 0), z=-80, sx=1, sy=1)
    (voi,) = load_voi(written)
    hit = match(voi, readers)
    assert hit is not None
    assert (hit.origin, hit.dice, len(hit.nodule)) == ((8, 10, 19), 1, 3)
    np.testing.assert_array_equal(hit.counts(voi.mask.shape), full[box])
    np.testing.assert_array_equal(hit.majority(voi.mask.shape), full[box] >= 2)
    assert hit.sizes.median.long_axis == pytest.approx(10, abs=0.7)  # of 10, 10 and 12


def test_a_box_of_another_place_finds_nobody(
    write_voi: Callable[..., Path], write_readers: Callable[..., Path]
) -> None:
    readers = Readers(write_readers([ball(20, 30, 6, -80)]))
    mask = np.zeros((5, 23, 25), bool)
    mask[1:4, 2:4, 2:20] = True
    (other_shape,) = load_voi(write_voi(("N0", mask.astype(int), mask), z=-80))
    assert match(other_shape, readers) is None
    (other_slice,) = load_voi(write_voi(("N0", mask.astype(int), mask), z=-40))
    assert match(other_slice, readers) is None


@pytest.mark.data
def test_the_real_boxes_hold_the_union_of_their_readers(data_dir: Path) -> None:
    boxes, readers = load_voi(data_dir / "lidc" / "voi"), Readers(data_dir / "lidc" / FILE)
    some = boxes[::40]
    hits = [best_match(v, readers.nodules(v.series), readers.scan(v.series)) for v in some]
    assert all(hit is not None and hit.dice > 0.98 for hit in hits)
    assert np.mean([hit.dice == 1 for hit in hits if hit]) > 0.9
    # by volume, the set's diameter is that of the median reader
    medians = [hit.sizes.median for hit in hits if hit]
    differences = [(6 * m.volume / np.pi) ** (1 / 3) - v.diameter_mm for m, v in zip(medians, some, strict=True)]
    assert abs(np.median(differences)) < 0.05
