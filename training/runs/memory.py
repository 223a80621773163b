"""Out of memory: recognised, and answered with the batch size that fits."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import torch

from imaging.errors import TrainingError
from training.tasks.task import Batch

if TYPE_CHECKING:
    from training.runs.learner import Learner

_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python means that memory is used up. On a CPU torch tells it by words only."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def out_of_memory(learner: Learner, batch: Batch) -> TrainingError:
    """Try halves of a batch that was too large, and say which fits.

    To be called where the error itself is already forgotten: as long as it is held, so is what the step had taken.
    """
    size = len(next(iter(batch.values())))
    where = describe(learner.device)
    fits = size // 2
    while fits and not _fits(learner, {name: tensor[:fits] for name, tensor in batch.items()}):
        fits //= 2
    if not fits:
        return TrainingError(
            f"not even one sample fits into {where}: make the patch in spec.yaml or the network smaller, or take "
            "another device"
        )
    does = "does" if fits == 1 else "do"
    return TrainingError(
        f"a batch of {size} doesn't fit into {where}; {fits} {does}: set batch_size: {fits} in the training file"
    )


def describe(device: torch.device) -> str:
    """The memory in words."""
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        return f"the {found.total_memory / 2**30:.0f} GB of {found.name}"
    return "this machine's memory"


def _fits(learner: Learner, batch: Batch) -> bool:
    gc.collect()
    if learner.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        learner.try_batch(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
