"""Where a run computes."""

from __future__ import annotations

import torch

from imaging.errors import UsageError


def choose_device(name: str | None) -> torch.device:
    """`cpu` or `cuda`; None takes the GPU where there is one. UsageError when it isn't there."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UsageError("--device cuda: torch finds no GPU here; take --device cpu, or install torch for CUDA")
    return torch.device(name or ("cuda" if there else "cpu"))


def in_words(device: torch.device) -> str:
    """`cpu`, or the GPU's name."""
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "cpu"
