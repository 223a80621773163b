"""Classification of patches of a slice: nodule, or what was taken for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from imaging.errors import ConfigurationError, ModelFailure
from models.spec import ModelSpec
from pipelines.lung_nodule.second_look import middle_of, slice_input
from training.cohort import Cohort, Member
from training.evaluation import influence
from training.evaluation.pictures import draw_slice
from training.lung_cases import Patch, is_candidates, patches_of
from training.tasks.network import build_network
from training.tasks.settings import PatchSettings
from training.tasks.task import Batch, Validation

if TYPE_CHECKING:
    from torch import Tensor, nn

_AT_A_TIME = 64
_VALIDATED = 400  # about so many items: all of them would take longer than an epoch


class PatchTask:
    """Learns a `ModelSpec` that takes a slice and has one label."""

    def __init__(self, spec: ModelSpec, settings: PatchSettings) -> None:
        try:
            self._rules = slice_input(spec)
        except ModelFailure as failure:
            raise ConfigurationError(f"models/{spec.name}/spec.yaml: {failure}") from None
        self._spec, self._settings = spec, settings

    def check(self, cohort: Cohort) -> None:
        """ConfigurationError when the cohort holds no candidates."""
        if not any(is_candidates(member) for member in cohort.members):
            raise ConfigurationError(f"{self._spec.name} learns from candidates; cohort {cohort.name} has none")

    def items(self, members: Sequence[Member], data: Path, tell: Callable[[float], None]) -> list[Patch]:
        """Every candidate among them; CohortError when a file was altered."""
        files = patches_of(members, data)
        found = []
        for done, file in enumerate(files, start=1):
            found.append(file.load())
            tell(done / len(files))
        return found

    def network(self, seed: int) -> nn.Module:
        """Untrained."""
        return build_network(self._spec, seed)

    def sample(self, item: Patch, chance: np.random.Generator) -> Batch:
        """``image`` [channel, *patch] and ``nodule`` [1], float32."""
        rules = self._settings
        whole = middle_of(item.hu, self._rules, item.hu.shape)  # mapped, and not yet cut
        seen = turned(torch.from_numpy(whole), self._rules.patch, rules, chance)
        seen = seen * chance.uniform(1 - rules.contrast, 1 + rules.contrast)
        seen = seen + chance.uniform(-rules.brightness, rules.brightness)
        noise = torch.from_numpy(chance.standard_normal(seen.shape, np.float32))
        return {
            "image": seen + noise * chance.uniform(0, rules.noise),
            "nodule": torch.tensor([float(item.nodule)]),
        }

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy."""
        scores, nodule = network(batch["image"]).float(), batch["nodule"]
        weight = 1 + (self._settings.nodule_weight - 1) * nodule
        total: Tensor = functional.binary_cross_entropy_with_logits(scores, nodule, weight=weight)
        return total

    def validate(self, network: nn.Module, items: Sequence[Patch]) -> Validation:
        """Area under the ROC curve and log loss of some items; of a case the share that it leaves to the truth."""
        numbers = range(0, len(items), max(1, len(items) // _VALIDATED))
        some = [items[n] for n in numbers]
        truth = np.array([item.nodule for item in some])
        parts = [some[n : n + _AT_A_TIME] for n in range(0, len(some), _AT_A_TIME)]
        values = np.concatenate([self._answers(network, part) for part in parts])
        told = influence.auc(truth, values)
        area = float(told.mean()) if told is not None else 0.0
        right = np.where(truth, values, 1 - values)
        cases = [(n, item.case, float(r)) for n, item, r in zip(numbers, some, right, strict=True)]
        return Validation(area, {"auc": area, "log_loss": float(-np.log(right.clip(1e-7)).mean())}, cases)

    def draw(self, network: nn.Module, item: Patch, path: Path, title: str) -> None:
        """The patch, and what was answered in the title."""
        answer = float(self._answers(network, [item])[0])
        draw_slice(item.hu, path, f"{title}; {'nodule' if item.nodule else 'no nodule'}, {answer:.2f}")

    def _answers(self, network: nn.Module, items: Sequence[Patch]) -> NDArray[np.float64]:
        images = np.stack([middle_of(item.hu, self._rules) for item in items])
        with torch.inference_mode():
            scores = network(torch.from_numpy(images).to(next(network.parameters()).device)).float()
            values: NDArray[np.float64] = torch.sigmoid(scores)[:, 0].cpu().numpy().astype(np.float64)
        return values


def turned(image: Tensor, size: tuple[int, int], rules: PatchSettings, chance: np.random.Generator) -> Tensor:
    """The middle of ``image`` [channel, row, column] at any angle, scaled, shifted, half of the time mirrored.

    What lies beyond the image is its mirror image.
    """
    angle, mirror = chance.uniform(-np.pi, np.pi), 1 if chance.random() < 0.5 else -1
    scale = float(np.exp(chance.uniform(-1, 1) * np.log1p(rules.scaling)))
    sine, cosine = np.sin(angle) * scale, np.cos(angle) * scale
    shift = chance.uniform(-rules.shift_pixels, rules.shift_pixels, 2)
    # affine_grid: columns before rows, -1 and 1 are the image's outer borders
    rows, columns = image.shape[1:]
    part = np.array([size[1], size[0]]) / (columns, rows)
    matrix = np.array([[cosine * mirror, -sine, 0], [sine * mirror, cosine, 0]])
    matrix[:, :2] *= part
    matrix[:, 2] = 2 * shift / (columns, rows)
    grid = functional.affine_grid(
        torch.tensor(matrix[None], dtype=torch.float32), [1, len(image), *size], align_corners=False
    )
    seen: Tensor = functional.grid_sample(image[None], grid, padding_mode="reflection", align_corners=False)[0]
    return seen
