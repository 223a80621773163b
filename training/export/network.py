"""A run's network with the weights of its best epoch."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import torch
from torch import nn

from imaging.errors import ExportError
from training.runs.folder import RunFolder
from training.tasks.network import build_network


def load_network(folder: Path) -> nn.Module:
    """The network of the run in ``folder``, ready to be asked, on the CPU.

    Raises
    ------
    UsageError
        The run has no weights yet, or they are gone or were altered.
    ExportError
        They don't fit the network.
    ConfigurationError
        There is no source for the network, or it can't be built for the description.
    """
    run = RunFolder(folder)
    record, weights = run.record, run.weights_bytes()
    network = build_network(record.spec, record.seed)
    try:
        network.load_state_dict(torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ExportError(f"{run.weights} doesn't fit models/{record.model}/network.py: {first}") from None
    return network.eval()
