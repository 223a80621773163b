"""The protocol between the loop and what is learnt. A segmentation is one; nothing in the loop assumes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from training.cohort import Cohort, Member

Item = Any
"""A case as its task keeps it in memory."""
Batch = Mapping[str, "Tensor"]
"""Samples stacked by name along a first axis."""


@dataclass(frozen=True)
class Validation:
    """How good a network is on cases that it didn't learn from.

    Parameters
    ----------
    score
        What the best epoch is chosen by; more is better.
    metrics
        By name, for curves.
    cases
        Of each case that was looked at, in the order in which the items came: the item's number, name and score.
    """

    score: float
    metrics: Mapping[str, float]
    cases: Sequence[tuple[int, str, float]]


class Task(Protocol):
    """What a run does with its cases."""

    def check(self, cohort: Cohort) -> None:
        """ConfigurationError when the model and the cohort don't belong together."""
        ...

    def network(self, seed: int) -> nn.Module:
        """Untrained, on the CPU; the same weights for the same seed."""
        ...

    def items(self, members: Sequence[Member], data: Path, tell: Callable[[float], None]) -> Sequence[Item]:
        """Load and prepare cases, each file checked against its digest; ``tell`` hears the share that is done."""
        ...

    def sample(self, item: Item, chance: np.random.Generator) -> Batch:
        """One training sample, without a first axis; all that is random in it comes from ``chance``."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """A single number, to be made less."""
        ...

    def validate(self, network: nn.Module, items: Sequence[Item]) -> Validation:
        """The network, in evaluation mode and on its own device, on whole cases."""
        ...

    def draw(self, network: nn.Module, item: Item, path: Path, title: str) -> None:
        """A PNG of one case with truth and answer."""
        ...
