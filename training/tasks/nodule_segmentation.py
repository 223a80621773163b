"""Segmentation of one nodule, learnt on fields of view round a point near it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from imaging.errors import ConfigurationError
from imaging.geometry import Geometry
from models.intensity import map_intensity
from models.spec import ModelSpec, VolumeInput
from pipelines.lung_nodule.segment import LABEL
from training.cases import LabelledVolume
from training.cohort import Cohort, Member
from training.evaluation.metrics import dice
from training.evaluation.pictures import draw_case
from training.insertion.load import is_boxes, load_grounds, load_pieces
from training.tasks.network import build_network
from training.tasks.scenes import Source
from training.tasks.settings import NoduleSegmentationSettings
from training.tasks.task import Batch, Validation
from training.tasks.views import View, make_view

if TYPE_CHECKING:
    from torch import Tensor, nn

_GROUND_MM = 1.0  # the lungs' voxels: surroundings need no more
_LUNG_WINDOW = (-1350, 150)  # HU
_VALIDATED = 64  # about so many items: all of them would take longer than an epoch


class NoduleSegmentationTask:
    """Learns a `ModelSpec` that gives one map: the share of readers who hold a voxel for nodule."""

    def __init__(self, spec: ModelSpec, settings: NoduleSegmentationSettings) -> None:
        names = [label.name for label in spec.output.labels]
        if not isinstance(spec.input, VolumeInput) or names != [LABEL] or len(set(spec.input.spacing_mm)) > 1:
            raise ConfigurationError(
                f"models/{spec.name}/spec.yaml: one nodule's segmentation takes a volume of cubes and gives one map"
            )
        self._spec, self._rules, self._settings = spec, spec.input, settings
        self._level = spec.thresholds[LABEL].value

    def check(self, cohort: Cohort) -> None:
        """ConfigurationError when the cohort holds no nodules as boxes."""
        if not any(is_boxes(member) for member in cohort.members):
            raise ConfigurationError(f"{self._spec.name} learns from nodules as boxes; cohort {cohort.name} has none")

    def items(self, members: Sequence[Member], data: Path, tell: Callable[[float], None]) -> list[Source]:
        """Every nodule among them, to be shown in any of their scans; CohortError when a file was altered."""
        if not members:
            return []
        grid = self._rules.model_copy(update={"spacing_mm": (_GROUND_MM,) * 3})
        pieces, grounds = load_pieces(members, data), load_grounds(members, data, grid, tell)
        if not grounds:
            raise ConfigurationError(
                f"{self._spec.name}: this side of the cohort holds no whole scan to show nodules in"
            )
        return [Source(piece, pieces, grounds) for piece in pieces]

    def network(self, seed: int) -> nn.Module:
        """Untrained."""
        return build_network(self._spec, seed)

    def sample(self, item: Source, chance: np.random.Generator) -> Batch:
        """``image`` [channel, *patch] and ``share`` [1, *patch], float32."""
        view = self._view(item, chance)
        return {"image": torch.from_numpy(self._image(view)), "share": torch.from_numpy(view.share[None])}

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """What overlaps too little, view by view, and cross entropy; both are least where the answer is the share."""
        scores, share = network(batch["image"]).float(), batch["share"]
        weights = self._settings.loss
        entropy = functional.binary_cross_entropy_with_logits(scores, share)
        total: Tensor = weights.overlap * no_overlap(torch.sigmoid(scores), share) + weights.cross_entropy * entropy
        return total

    def validate(self, network: nn.Module, items: Sequence[Source]) -> Validation:
        """Mean Dice with the readers' majority, on the network's grid, on the same views of some items."""
        cases, errors = [], []
        for number in range(0, len(items), max(1, len(items) // _VALIDATED)):
            view = self._view(items[number], np.random.default_rng(number))
            found = self._answer(network, view)
            overlap = dice(view.share >= self._level, found >= self._level)
            cases.append((number, items[number].piece.name, overlap))
            errors.append((found.sum() - view.share.sum()) / max(float(view.share.sum()), 1.0))
        score = float(np.mean([overlap for *_, overlap in cases]))
        return Validation(score, {"dice": score, "volume_bias": float(np.median(errors))}, cases)

    def draw(self, network: nn.Module, item: Source, path: Path, title: str) -> None:
        """Slices through a view's middle, with the outlines of truth and answer."""
        view = self._view(item, np.random.default_rng(0))
        found = self._answer(network, view)
        place = Geometry(view.hu.shape, (view.spacing,) * 3, (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
        truth = (view.share >= self._level).astype(np.uint8)
        window = np.clip(view.hu, *_LUNG_WINDOW)
        draw_case(
            LabelledVolume(title, title, window, truth, place), (found >= self._level).astype(np.uint8), path, title
        )

    def _view(self, item: Source, chance: np.random.Generator) -> View:
        return make_view(item, self._rules.patch, self._rules.spacing_mm[0], self._settings.views, chance)

    def _answer(self, network: nn.Module, view: View) -> NDArray[np.float32]:
        image = torch.from_numpy(self._image(view))[None].to(next(network.parameters()).device)
        with torch.inference_mode():
            answer: NDArray[np.float32] = torch.sigmoid(network(image).float())[0, 0].cpu().numpy()
        return answer

    def _image(self, view: View) -> NDArray[np.float32]:
        return np.stack([map_intensity(view.hu, mapping) for mapping in self._rules.intensity])


def no_overlap(found: Tensor, share: Tensor) -> Tensor:
    """1 less the overlap of two shares, mean over the batch: |a - b| over a + b, summed view by view.

    The semimetric of Wang et al. 2023 (arXiv:2303.16296, eq. 8): with hard labels it is the soft Dice loss, and with
    soft ones it is least where the answer is the label, which that loss isn't.
    """
    axes = tuple(range(1, found.ndim))
    apart, both = (found - share).abs().sum(axes), (found + share).sum(axes)
    total: Tensor = ((apart + 1) / (both + 1)).mean()
    return total
