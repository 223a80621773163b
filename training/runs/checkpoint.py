"""How far a run has come, on disk."""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from imaging.errors import UsageError
from imaging.files import replace
from training.runs.folder import RunFolder

if TYPE_CHECKING:
    from training.runs.learner import Learner


@dataclass
class Position:
    """How far a run has come; with the learner's state it is the checkpoint.

    Parameters
    ----------
    epoch, step
        Epochs done, and steps done in the one under way.
    loss
        Sum over those steps.
    seconds
        That the epoch under way has taken.
    history
        Metrics of the epochs done.
    best_epoch, best_score
        Of those; the epoch counts from 1.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -math.inf


def save(folder: RunFolder, learner: Learner, at: Position) -> None:
    """Replace the checkpoint, synced to disk."""
    replace(folder.checkpoint, as_bytes({"position": vars(at), "learner": learner.state()}))


def go_on(folder: RunFolder, learner: Learner) -> Position:
    """Bring ``learner`` to where the run was; the beginning where there is no checkpoint.

    Raises
    ------
    UsageError
        The checkpoint is damaged, or of another network.
    """
    if not folder.checkpoint.is_file():
        return Position()
    try:
        kept = torch.load(folder.checkpoint, map_location=learner.device, weights_only=True)
        learner.load(kept["learner"])
        return Position(**kept["position"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(
            f"{folder.checkpoint} doesn't fit this run ({first}); delete it to begin the run anew"
        ) from None


def as_bytes(state: Any) -> bytes:
    """What `torch.load(weights_only=True)` reads; the same bytes for the same state."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()
