"""A 3-D U-Net on half the input's grid. Imported where models are trained and exported, never where they serve."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.spec import ModelSpec

WIDTHS = (24, 48, 96)
"""Channels at 2, 4 and 8 times the input's spacing."""
_PRIOR = 0.01
"""What every output says at the start (Lin et al. 2017, arXiv:1708.02002): nodules are rare."""


class Block(nn.Module):
    """Two 3³ convolutions with batch normalisation beside a short cut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(inward, outward, 3, padding=1, bias=False),
            nn.BatchNorm3d(outward),
            nn.ReLU(),
            nn.Conv3d(outward, outward, 3, padding=1, bias=False),
            nn.BatchNorm3d(outward),
        )
        self.short_cut = nn.Identity() if inward == outward else nn.Conv3d(inward, outward, 1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = functional.relu(self.body(image) + self.short_cut(image))
        return out


class HalfGrid(nn.Module):
    """Encoder and decoder on half the input's grid: eight voxels are eight channels inside (space to depth).

    Nothing is lost, and all convolutions run on an eighth of the voxels.
    """

    def __init__(self, inward: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv3d(inward, widths[0], 2, stride=2)
        self.down = nn.ModuleList(Block(w, w) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv3d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.grow = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.merge = nn.ModuleList(Block(w, w) for w in widths[:-1])

    def half(self, image: Tensor) -> Tensor:
        """[batch, channel, slice, row, column] to [batch, width, *half of the space]."""
        image = self.stem(image)
        levels = []
        for level, block in enumerate(self.down):
            image = block(image)
            if level < len(self.shrink):
                levels.append(image)
                image = self.shrink[level](image)
        for level in reversed(range(len(self.grow))):
            image = self.merge[level](self.grow[level](image) + levels[level])
        return image


class HalfGridUNet(HalfGrid):
    """[batch, channel, slice, row, column] float32 to scores (before the sigmoid) of the same space.

    A chest is read in seconds on two cores.
    """

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__(inward)
        self.head = nn.ConvTranspose3d(WIDTHS[0], outward, 2, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.head(self.half(image))
        return scores


def build(spec: ModelSpec, seed: int = 0) -> HalfGridUNet:
    """The network for a description, untrained: the same weights for the same seed, whatever was drawn before."""
    step = 2 ** len(WIDTHS)
    if spec.input.kind != "volume" or any(length % step for length in spec.input.patch):
        raise ValueError(f"this network takes volumes in patches whose axes divide by {step}")
    with torch.random.fork_rng(devices=[]):  # the caller's own chance stays as it was
        torch.manual_seed(seed)
        network = HalfGridUNet(len(spec.input.intensity), spec.output.channels)
        for module in network.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert network.head.bias is not None
        nn.init.constant_(network.head.bias, torch.logit(torch.tensor(_PRIOR)).item())
    return network
