"""The readers' database: whose outlines make a nodule, and what its size is to them."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import CohortError
from tests.training.lidc.conftest import SERIES, disc, ring
from training.lidc.annotations import FILE, Readers
from training.lidc.readers import Consensus, ReaderSizes, consensus, sizes_of, votes

Draw = Callable[..., Path]


def ball(row: float, column: float, radius: float, z: float, step: float = 2.0) -> list[object]:
    """A reader's outlines of a ball, pixels of 1 mm."""
    drawn = []
    for k in range(-10, 11):
        here = radius**2 - (k * step) ** 2
        if here > 1:
            drawn.append((z + k * step, ring(disc(60, row, column, np.sqrt(here))), True))
    return drawn


def test_scans_and_outlines_are_read(write_readers: Draw) -> None:
    readers = Readers(write_readers([ball(20, 30, 6, -80)]))
    scan = readers.scan(SERIES)
    assert (scan.patient, scan.pixel, scan.step, len(scan.z)) == ("LIDC-IDRI-0001", 1, 2, 20)
    assert list(scan.z[:2]) == [-100, -98]
    (annotation,) = readers.annotations(SERIES)
    assert annotation.ratings.internal == 3
    assert [o.z for o in annotation.outlines] == [-84, -82, -80, -78, -76]
    assert annotation.outlines[2].points.mean(axis=0) == pytest.approx([30, 20], abs=0.5)  # column, row


def test_a_ball_has_its_size(write_readers: Draw) -> None:
    readers = Readers(write_readers([ball(20.3, 30.4, 10, -80)]))
    sizes = sizes_of(readers.annotations(SERIES)[0], readers.scan(SERIES))
    assert sizes.long_axis == pytest.approx(20, abs=0.8)
    assert sizes.short_axis == pytest.approx(20, abs=0.8)
    assert sizes.mean_diameter == (sizes.long_axis + sizes.short_axis) / 2
    assert sizes.volume == pytest.approx(4 / 3 * np.pi * 1000, rel=0.03)


def test_neighbours_are_one_nodule_and_others_are_not(write_readers: Draw) -> None:
    readers = Readers(
        write_readers(
            [
                ball(20, 20, 5, -80),
                ball(21, 20, 6, -80),
                ball(20, 40, 4, -80),  # 11 mm of lung between
                ball(20, 20, 4, -66),  # above
            ]
        )
    )
    assert [[a.number for a in nodule] for nodule in readers.nodules(SERIES)] == [[1, 2], [3], [4]]


def test_a_scan_without_marks_has_no_nodule(write_readers: Draw) -> None:
    assert Readers(write_readers([])).nodules(SERIES) == ()


def test_more_than_four_marks_are_split_where_the_gap_is_widest(write_readers: Draw) -> None:
    # gap of 1.x mm, within the slice thickness of 2 mm: 3 readers on the one, 2 on the other
    readers = Readers(write_readers([*[ball(20, 20, 5, -80)] * 3, *[ball(20, 32.6, 5, -80)] * 2]))
    assert [[a.number for a in nodule] for nodule in readers.nodules(SERIES)] == [[1, 2, 3], [4, 5]]


def test_votes_lie_over_each_other(write_readers: Draw) -> None:
    readers = Readers(write_readers([ball(20, 30, 6, -80), ball(20, 30, 6, -80), ball(20, 31, 6, -80)]))
    found = votes(readers.annotations(SERIES), readers.scan(SERIES))
    assert list(found.z) == [-84, -82, -80, -78, -76]
    full = np.zeros((60, 60), int)
    rows, columns = found.counts.shape[1:]
    full[found.row : found.row + rows, found.column : found.column + columns] = found.counts[2]
    np.testing.assert_array_equal(full, 2 * disc(60, 20, 30, 6).astype(int) + disc(60, 20, 31, 6))
    assert found.majority.sum() < found.union.sum()
    np.testing.assert_array_equal(found.majority, found.counts >= 2)


def test_half_of_the_readers_is_a_majority(write_readers: Draw) -> None:
    readers = Readers(write_readers([ball(20, 30, 6, -80), ball(20, 30, 4, -80)]))
    found = votes(readers.annotations(SERIES), readers.scan(SERIES))
    np.testing.assert_array_equal(found.majority, found.union)


def test_consensus_is_the_median_and_its_spread() -> None:
    found = Consensus((ReaderSizes(10, 6, 100), ReaderSizes(12, 8, 300), ReaderSizes(20, 7, 200)))
    assert found.median == ReaderSizes(12, 7, 200)
    assert found.spread("mean_diameter") == (8, 13.5)
    assert found.deviations("long_axis") == [10 - 16, 12 - 15, 20 - 11]
    assert Consensus(found.each[:1]).deviations("volume") == []


def test_a_reader_round_nothing_is_passed_over(write_readers: Draw) -> None:
    readers = Readers(write_readers([ball(20, 30, 6, -80), [(-80, [(37, 20), (38, 20)], True)]]))
    (nodule,) = readers.nodules(SERIES)
    assert len(nodule) == 2
    assert len(consensus(nodule, readers.scan(SERIES)).each) == 1


def test_what_is_no_database_is_refused(tmp_path: Path, write_readers: Draw) -> None:
    with pytest.raises(CohortError, match=r"none.xz: No such file"):
        Readers(tmp_path / "none.xz")
    (tmp_path / "text.xz").write_bytes(b"no archive")
    with pytest.raises(CohortError, match="is no packed database"):
        Readers(tmp_path / "text.xz")
    (tmp_path / "text.xz").write_bytes(lzma.compress(b"no database" * 1000))
    with pytest.raises(CohortError, match="is no packed database"):
        Readers(tmp_path / "text.xz")
    with pytest.raises(CohortError, match=r"holds no scan 1\.2\.3"):
        Readers(write_readers([])).scan("1.2.3")


@pytest.mark.data
def test_the_real_readers(data_dir: Path) -> None:
    readers = Readers(data_dir / "lidc" / FILE)
    assert len(readers.scans) == 1016
    counts = Counter(len(nodule) for scan in readers.scans[::10] for nodule in readers.nodules(scan.series))
    assert counts == {4: 80, 1: 70, 2: 46, 3: 33}  # of all scans: docs/lung-data.md
