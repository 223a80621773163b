"""A run's network with the weights of its best epoch."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import torch
from torch import nn

from imaging.errors import ExportError
from training.runs.record import read_record
from training.tasks.network import build_network

WEIGHTS = "weights.pt"


def load_network(folder: Path) -> nn.Module:
    """The network of the run in ``folder``, ready to be asked, on the CPU.

    Raises
    ------
    ExportError
        The weights are missing, were altered, or don't fit the network.
    ConfigurationError
        There is no source for the network, or it can't be built for the description.
    """
    record = read_record(folder)
    path = folder / WEIGHTS
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}; a run has weights after its first epoch") from None
    if record.weights_sha256 is not None and digest != record.weights_sha256:
        raise ExportError(f"{path} was altered: its sha256 is {digest[:12]}…, run.json says another; train again")
    network = build_network(record.spec, record.seed)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ExportError(f"{path} doesn't fit models/{record.model}/network.py: {first}") from None
    return network.eval()
