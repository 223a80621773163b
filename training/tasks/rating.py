"""Readers' rating by a nodule's traits, learnt by networks side by side, each on a bootstrap of the patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from imaging.errors import ConfigurationError, ModelFailure
from models.spec import ModelSpec
from pipelines.lung_nodule.suspicion import Suspicion, check
from pipelines.lung_nodule.traits import OF_NODULE, TRAITS
from training.cohort import Cohort, Member
from training.evaluation import influence
from training.evaluation.pictures import draw_case
from training.insertion.load import is_boxes
from training.lung_cases import Rated, is_exam, rated_of
from training.tasks.network import build_network
from training.tasks.settings import RatingSettings
from training.tasks.task import Batch, Validation

if TYPE_CHECKING:
    from torch import Tensor, nn


class RatingTask:
    """Learns a `ModelSpec` that takes `pipelines.lung_nodule.traits.TRAITS` and has members."""

    def __init__(self, spec: ModelSpec, settings: RatingSettings) -> None:
        self._of_exams = settings.source == "exams"
        try:
            check(spec, OF_NODULE if self._of_exams else TRAITS)
        except ModelFailure as failure:
            raise ConfigurationError(f"models/{spec.name}/spec.yaml: {failure}") from None
        self._spec, self._settings = spec, settings
        self._members = spec.output.members or 0

    def check(self, cohort: Cohort) -> None:
        """ConfigurationError when the cohort holds no such nodules."""
        wanted = is_exam if self._of_exams else is_boxes
        if not any(wanted(member) for member in cohort.members):
            what = f"nodules as {self._settings.source}"
            raise ConfigurationError(f"{self._spec.name} learns from {what}; cohort {cohort.name} has none")

    def items(self, members: Sequence[Member], data: Path, tell: Callable[[float], None]) -> list[Rated]:
        """Every nodule among them, its traits computed; CohortError when a file was altered."""
        found = rated_of(members, data)
        for done, one in enumerate(found, start=1):
            assert one.rows.size  # computed here and kept
            tell(done / len(found))
        return found

    def network(self, seed: int) -> nn.Module:
        """Untrained."""
        return build_network(self._spec, seed)

    def sample(self, item: Rated, chance: np.random.Generator) -> Batch:
        """``row`` [trait] by one of the outlines, ``suspicious`` [1], and ``weight`` [member], all float32."""
        other = chance.random() < self._settings.other_outline_share
        row = item.rows[int(chance.integers(len(item.rows))) if other else 0]
        return {
            "row": torch.from_numpy(row),
            "suspicious": torch.tensor([float(item.suspicious)]),
            "weight": torch.from_numpy(drawn(item.subject, self._members)),
        }

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy of each member on the patients drawn for it; their sum, as none knows of the others."""
        scores = network(batch["row"])[:, 0].float()
        weight = batch["weight"]
        each = functional.binary_cross_entropy_with_logits(
            scores, batch["suspicious"].expand(scores.shape), weight=weight, reduction="none"
        )
        total: Tensor = each.mean(dim=0).sum()
        return total

    def validate(self, network: nn.Module, items: Sequence[Rated]) -> Validation:
        """Area under the ROC curve, and the log loss; of a case the share that the answer leaves to the truth."""
        answers = [Suspicion.of_scores(scores).value for scores in self._answers(network, items)]
        truth, values = np.array([item.suspicious for item in items]), np.array(answers)
        told = influence.auc(truth, values)
        area = float(told.mean()) if told is not None else 0.0
        right = np.where(truth, values, 1 - values)
        cases = [(n, item.case, float(right[n])) for n, item in enumerate(items)]
        return Validation(area, {"auc": area, "log_loss": float(-np.log(right).mean())}, cases)

    def draw(self, network: nn.Module, item: Rated, path: Path, title: str) -> None:
        """The nodule's slices with its outline, and what was answered in the title."""
        found = Suspicion.of_scores(self._answers(network, [item])[0])
        word = "suspicious" if item.suspicious else "not suspicious"
        draw_case(item.volume, np.zeros_like(item.volume.labels), path, f"{title}; rated {word}, {found.value:.2f}")

    def _answers(self, network: nn.Module, items: Sequence[Rated]) -> NDArray[np.float32]:
        """[item, member]: scores."""
        rows = torch.from_numpy(np.stack([item.rows[0] for item in items])).to(next(network.parameters()).device)
        with torch.inference_mode():
            scores: NDArray[np.float32] = network(rows)[:, 0].float().cpu().numpy()
        return scores


def drawn(subject: str, members: int) -> NDArray[np.float32]:
    """[member]: how often a subject was drawn for each, the same whoever else there is.

    Independent counts with mean 1 stand for draws with replacement (Poisson bootstrap; Oza and Russell 2001).
    """
    return np.random.default_rng(crc32(subject.encode())).poisson(1.0, members).astype(np.float32)
