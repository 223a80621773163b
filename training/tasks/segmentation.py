"""Segmentation of volumes: labels for voxels, learnt by patches, judged on whole cases as serving would answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.losses import DiceLoss
from numpy.typing import NDArray
from torch.nn import functional

from imaging.errors import ConfigurationError
from imaging.pipeline import Answer
from inference.blending import Tiling, finish_for
from inference.sliding import slide
from models.segmentation import segment
from models.spec import ModelSpec, VolumeInput
from models.transforms import Prepared, prepare, unpad
from training.cases import CaseFiles, LabelledVolume, of_members
from training.cohort import Cohort, Member
from training.evaluation.metrics import dice
from training.evaluation.pictures import draw_case
from training.tasks.augmentation import alter_intensity, cut, mirror, random_turn
from training.tasks.network import build_network
from training.tasks.settings import SegmentationSettings
from training.tasks.task import Batch, Validation

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Case:
    """A case in memory.

    Parameters
    ----------
    labels
        [slice, row, column] uint8 on ``prepared.grid.padded``.
    """

    volume: LabelledVolume
    prepared: Prepared
    labels: NDArray[np.uint8]

    @classmethod
    def load(cls, files: CaseFiles, rules: VolumeInput) -> Case:
        """Read and prepare, by the functions that serving uses; CohortError when a file was altered."""
        volume = files.load()
        prepared = prepare(volume.array, volume.geometry, rules)
        return cls(volume, prepared, prepared.grid.to_network(volume.labels, labels=True))


class SegmentationTask:
    """Learns a `ModelSpec` whose task is segmentation.

    Parameters
    ----------
    spec
        Of the model; its input is a volume.
    settings
        How it is trained.
    """

    def __init__(self, spec: ModelSpec, settings: SegmentationSettings) -> None:
        if not isinstance(spec.input, VolumeInput) or spec.task != "segmentation":
            raise ConfigurationError(f"models/{spec.name}/spec.yaml: a segmentation takes a volume and gives labels")
        self._spec, self._rules, self._settings = spec, spec.input, settings
        self._softmax = spec.output.activation == "softmax"
        self._dice = DiceLoss(
            include_background=not self._softmax, softmax=self._softmax, sigmoid=not self._softmax, batch=True
        )

    def check(self, cohort: Cohort) -> None:
        """ConfigurationError when the labels of the cohort aren't the model's."""
        theirs = {value: name for value, name in cohort.classes.items() if value != 0}
        ours = {label.value: label.name for label in self._spec.output.labels}
        if theirs != ours:
            raise ConfigurationError(f"{self._spec.name} gives labels {ours}, but cohort {cohort.name} has {theirs}")

    def network(self, seed: int) -> nn.Module:
        """Untrained."""
        return build_network(self._spec, seed)

    def items(self, members: Sequence[Member], data: Path, tell: Callable[[float], None]) -> list[Case]:
        """Load and prepare; CohortError when a file was altered."""
        cases = []
        for done, files in enumerate(of_members(members, data), start=1):
            cases.append(Case.load(files, self._rules))
            tell(done / len(members))
        return cases

    def sample(self, item: Case, chance: np.random.Generator) -> Batch:
        """``image`` [channel, *patch] float32 and ``labels`` [1, *patch] uint8."""
        rules, image = self._settings.augmentation, item.prepared.image
        patch = self._rules.patch
        middle, turn = self._middle(item, chance), np.eye(3)
        spatial = chance.random() < rules.spatial_share
        if spatial:
            turn = random_turn(rules, self._rules.spacing_mm, chance)
            middle = middle + chance.uniform(-1, 1, 3) * rules.shift_mm / np.asarray(self._rules.spacing_mm)
        # the labels one channel each, so that an outline turns with sub-voxel accuracy; ones where the image is
        values = np.arange(1, len(self._spec.output.labels) + 1, dtype=np.uint8).reshape(-1, 1, 1, 1)
        inside = np.zeros((1, *item.labels.shape), np.float32)
        unpad(inside[0], item.prepared.grid.pads)[:] = 1
        stack = np.concatenate([image, inside, (item.labels == values).astype(np.float32)])
        sampled = cut(torch.from_numpy(stack), patch, middle, turn)
        grey, there, shares = sampled.split([len(image), 1, len(values)])
        altered = alter_intensity(grey, rules, chance)
        seen = torch.where(there > 0.5, altered, self._rules.pad_value)
        best, label = shares.max(dim=0, keepdim=True)
        labels = torch.where(best > 1 - shares.sum(dim=0, keepdim=True), label + 1, 0)
        both = mirror(torch.cat([seen, labels]), rules, self._rules.orientation, chance)
        return {"image": both[:-1].contiguous(), "labels": both[-1:].to(torch.uint8)}

    def _middle(self, item: Case, chance: np.random.Generator) -> NDArray[np.float64]:
        """Where a patch's middle goes: a labelled voxel or anywhere, as near as leaves the patch in the case."""
        size, half = np.asarray(item.labels.shape), (np.asarray(self._rules.patch) - 1) / 2
        anywhere = np.floor(chance.uniform(0, 1, 3) * size)
        wanted, pick = chance.random() < self._settings.foreground_share, chance.random()
        if wanted and np.any(size > self._rules.patch):
            labelled = np.flatnonzero(item.labels)
            if labelled.size:
                anywhere = np.asarray(np.unravel_index(labelled[int(pick * labelled.size)], item.labels.shape))
        first = np.clip(np.rint(anywhere - half), 0, size - self._rules.patch)
        return np.asarray(first + half, np.float64)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Soft Dice over the foreground, and cross entropy.

        Targets are one channel per class: torch has no deterministic kernel on a GPU for class indices.
        """
        scores = network(batch["image"]).float()
        classes = torch.arange(int(not self._softmax), scores.shape[1] + int(not self._softmax), device=scores.device)
        target = (batch["labels"] == classes.view(1, -1, *[1] * (scores.ndim - 2))).float()
        if self._softmax:
            entropy = functional.cross_entropy(scores, target)
        else:
            entropy = functional.binary_cross_entropy_with_logits(scores, target)
        weights = self._settings.loss
        total: Tensor = weights.dice * self._dice(scores, target) + weights.cross_entropy * entropy
        return total

    def validate(self, network: nn.Module, items: Sequence[Case]) -> Validation:
        """Mean Dice of the labels, on each case's own grid, after post-processing."""
        names = {label.value: label.name for label in self._spec.output.labels}
        found = np.empty((len(items), len(names)))
        for row, item in zip(found, items, strict=True):
            answer = self.predict(network, item)
            row[:] = [dice(answer == value, item.volume.labels == value) for value in names]
        by_label = dict(zip(names.values(), found.mean(axis=0).tolist(), strict=True))
        score = float(found.mean())
        metrics = {"dice": score, **{f"dice_{name}": value for name, value in by_label.items()}}
        cases = [(n, item.volume.case, float(found[n].mean())) for n, item in enumerate(items)]
        return Validation(score, metrics, cases)

    def predict(self, network: nn.Module, item: Case) -> NDArray[np.uint8]:
        """Labels [slice, row, column] on the case's own grid: window, blending and post-processing as in serving."""
        output = self._spec.output
        prediction = slide(
            _OnePatch(network, (1, *item.prepared.image.shape[:1], *self._rules.patch)),
            item.prepared.image,
            Tiling(self._rules.patch, self._rules.overlap),
            finish_for(Answer.PROBABILITIES, output),
            channels=output.channels,
        )
        return segment(prediction, item.prepared.grid, self._spec)

    def draw(self, network: nn.Module, item: Case, path: Path, title: str) -> None:
        """Slices with the outlines of truth and answer."""
        draw_case(item.volume, self.predict(network, item), path, title)


class _OnePatch:
    """A torch network as `inference.sliding.TileRunner`."""

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        self.input: NDArray[Any] = np.zeros(shape, np.float32)
        self._network = network
        self._device = next(network.parameters()).device

    def run(self) -> NDArray[Any]:
        with torch.inference_mode():
            scores: NDArray[Any] = self._network(torch.from_numpy(self.input).to(self._device)).float().cpu().numpy()
        return scores
