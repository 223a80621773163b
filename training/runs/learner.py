"""A network being trained: one step, the running mean of its weights, and all of it as one state."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from training.runs.configuration import TrainingConfiguration
from training.tasks.task import Batch, Task

if TYPE_CHECKING:
    from torch import Tensor


_FAST_ORDER = {4: torch.channels_last, 5: torch.channels_last_3d}
"""By how many axes an array has."""


class Learner:
    """Network, optimiser, scaler and mean.

    Parameters
    ----------
    network
        Untrained; it is moved to ``device``.
    """

    def __init__(
        self, task: Task, network: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> None:
        self._task, self._rules, self.device = task, configuration, device
        self._network = _in_fast_order(network.to(device))
        rules = configuration.optimiser
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=rules.learning_rate, weight_decay=rules.weight_decay
        )
        self._type = precision(device, mixed=configuration.mixed_precision)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._type == torch.float16)
        self._mean = copy.deepcopy(self._network) if configuration.average else self._network
        self._steps = 0

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept, in evaluation mode: the mean of the weights where one is taken."""
        return self._mean.eval()

    def step(self, batch: Batch, share: float, seed: int) -> Tensor:
        """One step; the loss, on the device.

        Parameters
        ----------
        share
            How much of the run is done, 0..1: it sets the learning rate.
        seed
            For what the network itself draws.
        """
        rules = self._rules.optimiser
        torch.manual_seed(seed)
        self._network.train()
        for group in self._optimiser.param_groups:
            group["lr"] = rules.rate(share)
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        self._scaler.unscale_(self._optimiser)
        if rules.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), rules.gradient_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._steps += 1
        if self._rules.average:
            with torch.no_grad():
                self._take_mean()
        return loss.detach()

    def try_batch(self, batch: Batch) -> None:
        """What a step needs of memory, without one: the gradients of this batch, forgotten."""
        self._backward(batch)
        self._optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Everything that a later `load` needs to go on as if nothing had been."""
        return {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "mean": self._mean.state_dict() if self._rules.average else {},
            "steps": self._steps,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        if self._rules.average:
            self._mean.load_state_dict(state["mean"])
        self._steps = state["steps"]

    def _backward(self, batch: Batch) -> Tensor:
        on_device = {name: self._moved(tensor) for name, tensor in batch.items()}
        with torch.autocast(self.device.type, self._type, enabled=self._type != torch.float32):
            loss = self._task.loss(self._network, on_device)
        self._scaler.scale(loss).backward()
        return loss

    def _moved(self, tensor: Tensor) -> Tensor:
        form = _FAST_ORDER.get(tensor.ndim, torch.preserve_format)
        return tensor.to(self.device, non_blocking=True, memory_format=form)

    def _take_mean(self) -> None:
        # a mean over few steps at first, so that the untrained weights are soon forgotten
        decay = min(self._rules.average, (1 + self._steps) / (10 + self._steps))
        for mean, now in zip(self._mean.parameters(), self._network.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)
        for mean, now in zip(self._mean.buffers(), self._network.buffers(), strict=True):
            mean.copy_(now)


def _in_fast_order(network: nn.Module) -> nn.Module:
    """``network`` with its weights in the memory order that slices or volumes are faster in; others stay."""
    for weight in network.parameters():
        if weight.ndim in _FAST_ORDER:
            weight.data = weight.data.to(memory_format=_FAST_ORDER[weight.ndim])
    return network


def precision(device: torch.device, *, mixed: bool | None) -> torch.dtype:
    """What is computed in; None for ``mixed`` is True on a GPU."""
    if device.type != "cuda":
        return torch.bfloat16 if mixed and torch.cpu._is_avx512_bf16_supported() else torch.float32
    if mixed is False:
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """torch refuses what would give other numbers the next time, and sums in the same order; as before afterwards."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark, torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        torch.set_num_threads(before[2])
