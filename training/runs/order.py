"""Chance in a run: every draw follows from the seed and its place, so a run goes on after a kill as without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.tasks.task import Batch, Item, Task

_ORDER, _SAMPLE, _STEP = range(3)

Key = tuple[int, int, int]
"""Epoch, place within the epoch, which item."""


@dataclass(frozen=True)
class Order:
    """Which items come when.

    Parameters
    ----------
    seed
        Of the run.
    items
        How many there are.
    samples
        How many an epoch has; items come again, each as often as the others, where there are fewer.
    batch
        How many a step has; an epoch's last step may have fewer.
    """

    seed: int
    items: int
    samples: int
    batch: int

    @property
    def steps(self) -> int:
        """How many an epoch has."""
        return -(-self.samples // self.batch)

    def epoch(self, number: int) -> list[list[Key]]:
        """The epoch's steps."""
        chance = np.random.default_rng((self.seed, _ORDER, number))
        rounds = [chance.permutation(self.items) for _ in range(-(-self.samples // self.items))]
        keys = [(number, place, int(item)) for place, item in enumerate(np.concatenate(rounds)[: self.samples])]
        return [keys[first : first + self.batch] for first in range(0, self.samples, self.batch)]

    def after(self, epoch: int, step: int, epochs: int) -> Iterator[list[Key]]:
        """All steps to come when ``step`` steps of ``epoch`` are done."""
        for number in range(epoch, epochs):
            yield from self.epoch(number)[step if number == epoch else 0 :]

    def step_seed(self, epoch: int, step: int) -> int:
        """For what a network itself draws, such as dropout."""
        return int(np.random.SeedSequence((self.seed, _STEP, epoch, step)).generate_state(1)[0])


class Samples:
    """The training samples by key, as torch's DataLoader asks for them, in whichever process."""

    def __init__(self, task: Task, items: Sequence[Item], seed: int) -> None:
        self._task, self._items, self._seed = task, items, seed

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: Key) -> Batch:
        epoch, place, item = key
        return self._task.sample(self._items[item], np.random.default_rng((self._seed, _SAMPLE, epoch, place)))
