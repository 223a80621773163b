"""The simplest segmentation: at each position what stands there most often in the training cases, image unseen."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ConfigurationError, UsageError
from imaging.files import replace
from imaging.geometry import Geometry
from models.spec import ModelSpec, VolumeInput
from models.transforms import NetworkGrid, resample
from training.cases import CaseFiles, LabelledVolume
from training.evaluation.report import CaseScores

BASELINE = "baseline.npz"
"""Name of the file beside a version's `model.onnx`: it travels along, so that no evaluation needs training data."""


@dataclass(frozen=True, eq=False)
class PositionPrior:
    """What the training cases say about any other one.

    Parameters
    ----------
    labels
        [slice, row, column] uint8 in the network's axes and spacing; its middle lies on an image's middle.
    size_edges_mm3
        Terciles of the cases' true volume (all labels together), by which an evaluation's cases are grouped.
    cases
        How many it was made of.
    """

    labels: NDArray[np.uint8]
    size_edges_mm3: tuple[float, float]
    cases: int

    @property
    def words(self) -> str:
        """What it does, for tables."""
        return f"the most frequent label of {self.cases} training cases at each position; the image isn't looked at"

    @property
    def pooled_words(self) -> str:
        """The same, of all folds."""
        return "the most frequent label of the other folds' cases at each position; the image isn't looked at"

    def answer(self, geometry: Geometry, rules: VolumeInput) -> NDArray[np.uint8]:
        """[slice, row, column] uint8 on ``geometry``."""
        grid = NetworkGrid.of(geometry, rules)
        here = resample(_centred(self.labels, grid.geometry.shape), grid.geometry, grid.turned, labels=True)
        return np.ascontiguousarray(grid.turn.undo(here))

    def with_size(self, scores: CaseScores, case: LabelledVolume) -> CaseScores:
        """``scores`` with the group of the case's size."""
        low, high = self.size_edges_mm3
        size = _volume(case)
        word = f"up to {low:.0f} mm³" if size <= low else f"{low:.0f} to {high:.0f} mm³"
        word = f"above {high:.0f} mm³" if size > high else word
        return scores.model_copy(update={"groups": {"size": word, **scores.groups}})

    def save(self, path: Path) -> None:
        """Write the file; the same prior gives the same bytes. StorageError when it can't be written."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, labels=self.labels, size_edges_mm3=self.size_edges_mm3, cases=self.cases)
        replace(path, buffer.getvalue())


def prior_baseline(cases: Sequence[CaseFiles], spec: ModelSpec) -> PositionPrior:
    """Learn the prior from training cases.

    Raises
    ------
    UsageError
        There is no case, or the model takes no volumes.
    """
    rules = spec.input
    if not isinstance(rules, VolumeInput) or not cases:
        raise UsageError(f"{spec.name}: the position prior needs volumes, and at least one training case")
    counts = np.zeros((len(spec.output.labels), 1, 1, 1), np.int32)
    sizes = []
    for files in cases:
        case = files.load()
        sizes.append(_volume(case))
        grid = NetworkGrid.of(case.geometry, rules)
        labels = resample(grid.turn.apply(case.labels), grid.turned, grid.geometry, labels=True)
        frame = tuple(int(n) for n in np.maximum(labels.shape, counts.shape[1:]))
        counts = np.stack([_centred(c, frame) for c in counts])
        placed = _centred(labels, frame)
        for channel, label in enumerate(spec.output.labels):
            counts[channel] += placed == label.value
    background = len(cases) - counts.sum(axis=0)
    winners = np.argmax(np.concatenate([background[None], counts]), axis=0).astype(np.uint8)
    low, high = np.quantile(sizes, [1 / 3, 2 / 3])
    return PositionPrior(winners, (float(low), float(high)), len(cases))


def load_prior(folder: Path) -> PositionPrior | None:
    """The prior beside a version or in a run's folder; None where there is none.

    Raises
    ------
    ConfigurationError
        The file is damaged.
    """
    path = folder / BASELINE
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
            low, high = (float(edge) for edge in found["size_edges_mm3"])
            labels: NDArray[np.uint8] = found["labels"].astype(np.uint8, casting="safe")
            return PositionPrior(labels, (low, high), int(found["cases"]))
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise ConfigurationError(f"{path} is damaged ({error}); remove it, and it is made again") from None


def _volume(case: LabelledVolume) -> float:
    return float(np.count_nonzero(case.labels) * case.geometry.voxel_volume)


def _centred(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """``array`` cut or filled with 0 to ``shape``, middle on middle."""
    out = np.zeros(shape, array.dtype)
    kept = [min(n, m) for n, m in zip(array.shape, shape, strict=True)]
    there = tuple(slice((m - k) // 2, (m - k) // 2 + k) for m, k in zip(shape, kept, strict=True))
    here = tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(array.shape, kept, strict=True))
    out[there] = array[here]
    return out
