"""The position prior: learnt from labels alone, laid middle on middle, kept in a small file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import ConfigurationError, UsageError
from imaging.geometry import Geometry
from models.spec import VolumeInput
from tests.training.evaluation.conftest import SPEC
from training.cases import of_folder
from training.evaluation.baseline import BASELINE, PositionPrior, load_prior, prior_baseline

Write = Callable[..., Path]
AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float] = (1, 1, 1)) -> Geometry:
    return Geometry(shape, spacing, (0.0, 0.0, 0.0), AXES)


def rules() -> VolumeInput:
    assert isinstance(SPEC.input, VolumeInput)
    return SPEC.input


def test_the_majority_at_each_position_wins(write: Write) -> None:
    for number, shape in ((1, (10, 10, 10)), (2, (12, 10, 14)), (3, (10, 12, 10))):
        truth = np.zeros(shape, np.uint8)
        middle = tuple(slice(n // 2 - 2, n // 2 + 2) for n in shape)
        truth[middle] = 1 if number < 3 else 2
        if number == 1:
            truth[0, 0, 0] = 2
        folder = write(number, truth=truth, shape=shape)
    prior = prior_baseline(of_folder(folder), SPEC)
    assert prior.labels.shape == (12, 12, 14) and prior.cases == 3
    assert np.count_nonzero(prior.labels) == np.count_nonzero(prior.labels == 1) == 4**3
    assert np.all(prior.labels[4:8, 4:8, 5:9] == 1)
    assert prior.size_edges_mm3 == (64.0, pytest.approx(64 + 1 / 3))


def test_it_is_laid_middle_on_middle_on_any_grid() -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:6, 2:6, 2:4], labels[2:6, 2:6, 4:6] = 1, 2
    prior = PositionPrior(labels, (1.0, 2.0), 5)
    for shape in ((8, 8, 8), (4, 4, 4), (12, 10, 6)):
        answer = prior.answer(grid(shape), rules())
        z, y, x = (n // 2 for n in shape)
        assert answer.shape == shape and np.count_nonzero(answer) == 64
        assert np.all(answer[z - 2 : z + 2, y - 2 : y + 2, x - 2 : x] == 1)
        assert np.all(answer[z - 2 : z + 2, y - 2 : y + 2, x : x + 2] == 2)
    fine = prior.answer(grid((16, 16, 8), (0.5, 0.5, 1)), rules())
    assert np.count_nonzero(fine == 1) == np.count_nonzero(fine == 2) == 4 * 32


def test_it_turns_with_the_patient() -> None:
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:, :, :2] = 1  # towards the patient's right
    flipped = Geometry((6, 6, 6), (1, 1, 1), (0.0, 0.0, 0.0), (AXES[0], AXES[1], (-1.0, 0.0, 0.0)))
    answer = PositionPrior(labels, (1.0, 2.0), 1).answer(flipped, rules())
    assert np.all(answer[:, :, -2:] == 1) and np.count_nonzero(answer) == 72


def test_it_is_kept_in_a_small_file_with_the_same_bytes(tmp_path: Path) -> None:
    labels = (np.indices((47, 56, 43)).sum(axis=0) // 40).clip(0, 2).astype(np.uint8)
    prior = PositionPrior(labels, (3100.5, 3500.25), 119)
    prior.save(tmp_path / BASELINE)
    content = (tmp_path / BASELINE).read_bytes()
    assert len(content) < 50_000
    found = load_prior(tmp_path)
    assert found is not None and np.array_equal(found.labels, labels)
    assert (found.size_edges_mm3, found.cases) == (prior.size_edges_mm3, 119)
    found.save(tmp_path / BASELINE)
    assert (tmp_path / BASELINE).read_bytes() == content
    assert load_prior(tmp_path / "elsewhere") is None


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    PositionPrior(np.zeros((4, 4, 4), np.uint8), (1.0, 2.0), 1).save(tmp_path / BASELINE)
    content = (tmp_path / BASELINE).read_bytes()
    for damaged in (b"", content[:100], b"PK" + content[:50], b"no archive"):
        (tmp_path / BASELINE).write_bytes(damaged)
        with pytest.raises(ConfigurationError, match=r"baseline\.npz is damaged"):
            load_prior(tmp_path)
    np.savez(tmp_path / BASELINE, labels=np.zeros(3))
    with pytest.raises(ConfigurationError, match=r"baseline\.npz is damaged"):
        load_prior(tmp_path)


def test_it_needs_cases() -> None:
    with pytest.raises(UsageError, match="at least one training case"):
        prior_baseline((), SPEC)
