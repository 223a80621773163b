"""Detection of nodules: two maps for each voxel, learnt on scenes that real nodules were put into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.losses import DiceLoss
from numpy.typing import NDArray
from torch.nn import functional

from imaging.errors import ConfigurationError
from models.intensity import map_intensity
from models.spec import ModelSpec, VolumeInput
from pipelines.lung_nodule.detect import find_marks
from training.cases import LabelledVolume
from training.cohort import Cohort, Member
from training.evaluation.pictures import draw_case
from training.insertion.compose import Scene
from training.insertion.load import is_boxes, load_grounds, load_pieces
from training.tasks.network import build_network
from training.tasks.scenes import Source, make_scene
from training.tasks.settings import DetectionSettings
from training.tasks.task import Batch, Validation

if TYPE_CHECKING:
    from torch import Tensor, nn

_LEAST_SIGMA_MM = 1.2
_LUNG_WINDOW = (-1350, 150)  # HU
_VALIDATED = 48  # about so many items: all of them would take longer than an epoch
_SURE = 0.6  # from here on the centre map wants a one


class DetectionTask:
    """Learns a `ModelSpec` whose task is detection: channel 0 the nodules' voxels, channel 1 their centres."""

    def __init__(self, spec: ModelSpec, settings: DetectionSettings) -> None:
        if not isinstance(spec.input, VolumeInput) or spec.output.channels != 2:
            raise ConfigurationError(
                f"models/{spec.name}/spec.yaml: a nodule detector takes a volume and gives two maps"
            )
        self._spec, self._rules, self._settings = spec, spec.input, settings
        self._dice = DiceLoss(batch=True)

    def check(self, cohort: Cohort) -> None:
        """ConfigurationError when the cohort holds no nodules as boxes."""
        if not any(is_boxes(member) for member in cohort.members):
            raise ConfigurationError(f"{self._spec.name} learns from nodules as boxes; cohort {cohort.name} has none")

    def items(self, members: Sequence[Member], data: Path, tell: Callable[[float], None]) -> list[Source]:
        """Every nodule among them, to be put into any of their scans; CohortError when a file was altered."""
        if not members:
            return []
        pieces, grounds = load_pieces(members, data), load_grounds(members, data, self._rules, tell)
        if not grounds:
            raise ConfigurationError(
                f"{self._spec.name}: this side of the cohort holds no whole scan to put nodules into"
            )
        return [Source(piece, pieces, grounds) for piece in pieces]

    def network(self, seed: int) -> nn.Module:
        """Untrained."""
        return build_network(self._spec, seed)

    def sample(self, item: Source, chance: np.random.Generator) -> Batch:
        """``image`` [channel, *crop], and ``nodule``, ``centre``, ``known`` [1, *crop], all float32."""
        scene = make_scene(item, self._settings.crop, self._settings.scenes, chance)
        arrays = [*self._image(scene), scene.share >= 0.5, centre_map(scene), ~scene.unsure]
        stack = np.stack(arrays, dtype=np.float32)
        flips = tuple(axis + 1 for axis, draw in enumerate(chance.random(3)) if draw < 0.5)
        stack = np.rot90(np.flip(stack, flips), int(chance.integers(4)), (2, 3))
        both = torch.from_numpy(np.ascontiguousarray(stack))
        image, nodule, centre, known = both.split([len(both) - 3, 1, 1, 1])
        return {"image": image, "nodule": nodule, "centre": centre, "known": known}

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Focal loss of the centres, soft Dice and cross entropy of the voxels; what nobody knows doesn't count."""
        scores = network(batch["image"]).float()
        nodule, centre = scores[:, :1], scores[:, 1:]
        known, weights = batch["known"], self._settings.loss
        entropy = functional.binary_cross_entropy_with_logits(nodule, batch["nodule"], weight=known)
        overlap = self._dice(torch.sigmoid(nodule) * known, batch["nodule"] * known)
        total: Tensor = (
            weights.centre * focal(centre, batch["centre"], known)
            + weights.dice * overlap
            + weights.cross_entropy * entropy
        )
        return total

    def validate(self, network: nn.Module, items: Sequence[Source]) -> Validation:
        """Average precision of marks, and Dice of the nodules' voxels, on the same scenes of some items."""
        found: list[tuple[float, bool]] = []
        cases, dices, wanted = [], [], 0
        for number in range(0, len(items), max(1, len(items) // _VALIDATED)):
            item = items[number]
            chance = np.random.default_rng(number)
            scene = make_scene(item, self._settings.crop, self._settings.scenes, chance)
            nodule, centre = self._answer(network, scene)
            spacing = self._rules.spacing_mm[0]
            truths = [(n.centre, max(n.diameter / 2, 1.5) / spacing) for n in scene.nodules]
            hits = set()
            for mark in find_marks(centre, nodule, spacing, 0.02):
                near = [
                    k for k, (at, reach) in enumerate(truths) if np.linalg.norm(np.subtract(mark.index, at)) <= reach
                ]
                if (near and near[0] in hits) or scene.unsure[tuple(np.rint(mark.index).astype(int))]:
                    continue
                found.append((mark.score, bool(near)))
                hits.update(near[:1])
            wanted += len(truths)
            share = scene.share >= 0.5
            if share.any():
                both = 2 * np.count_nonzero(share & (nodule >= 0.5))
                dices.append(both / (np.count_nonzero(share) + np.count_nonzero(nodule >= 0.5)))
            cases.append((number, item.piece.name, len(hits) / len(truths) if truths else 1.0))
        precision = average_precision(found, wanted)
        return Validation(precision, {"average_precision": precision, "dice": float(np.mean(dices))}, cases)

    def draw(self, network: nn.Module, item: Source, path: Path, title: str) -> None:
        """Slices through a scene's middle, with the outlines of truth and answer."""
        scene = make_scene(item, self._settings.crop, self._settings.scenes, np.random.default_rng(0))
        nodule, _ = self._answer(network, scene)
        place = scene.ground.geometry.crop(scene.first, scene.hu.shape)
        truth = (scene.share >= 0.5).astype(np.uint8)
        window = np.clip(scene.hu, *_LUNG_WINDOW)
        draw_case(LabelledVolume(title, title, window, truth, place), (nodule >= 0.5).astype(np.uint8), path, title)

    def _answer(self, network: nn.Module, scene: Scene) -> NDArray[np.float32]:
        """[channel, *crop]: what serving would say of the scene."""
        image = torch.from_numpy(self._image(scene))[None].to(next(network.parameters()).device)
        with torch.inference_mode():
            answer: NDArray[np.float32] = torch.sigmoid(network(image).float())[0].cpu().numpy()
        return answer

    def _image(self, scene: Scene) -> NDArray[np.float32]:
        return np.stack([map_intensity(scene.hu, mapping) for mapping in self._rules.intensity])


def centre_map(scene: Scene) -> NDArray[np.float32]:
    """[slice, row, column]: 1 at each nodule's centre, falling like a Gaussian of a sixth of its diameter."""
    result = np.zeros(scene.hu.shape, np.float32)
    for nodule in scene.nodules:
        sigma = max(_LEAST_SIGMA_MM, nodule.diameter / 6) / scene.ground.spacing
        z, y, x = (_bell(result.shape[axis], nodule.centre[axis], sigma) for axis in range(3))
        np.maximum(result, z[:, None, None] * y[:, None] * x, out=result)
    return result


def _bell(length: int, centre: float, sigma: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-((np.arange(length) - centre) ** 2) / (2 * sigma**2)))


def focal(scores: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Penalty-reduced focal loss of a map of Gaussians (Law and Deng 2018, arXiv:1808.01244, eq. 1), α 2, β 4.

    Every voxel near a centre counts as one, not the centre alone: what is learnt from small nodules is less noisy.
    """
    sure = (target >= _SURE).float() * known
    p = torch.sigmoid(scores)
    there = -functional.logsigmoid(scores) * (1 - p) ** 2 * sure
    absent = -functional.logsigmoid(-scores) * p**2 * (1 - target) ** 4 * (known - sure).clamp(min=0)
    total: Tensor = (there.sum() + absent.sum()) / sure.sum().clamp(min=30)
    return total


def average_precision(found: Sequence[tuple[float, bool]], wanted: int) -> float:
    """Area under precision over recall, precision never rising with recall (as PASCAL VOC 2010 and COCO have it)."""
    if not found or not wanted:
        return 0.0
    right = np.array([hit for _, hit in sorted(found, key=lambda f: -f[0])], float)
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float((precision * right).sum() / wanted)
