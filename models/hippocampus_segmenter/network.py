"""A compact residual 3-D U-Net. Imported where models are trained and exported, never where they serve."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from models.spec import ModelSpec

WIDTHS = (16, 32, 64, 128)
"""Channels by level; each level halves every axis, so a patch divides by 8."""


class ResidualBlock(nn.Module):
    """Two 3³ convolutions with instance normalisation beside a 1³ short cut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inward: int, outward: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(inward, outward, 3, stride, padding=1, bias=False),
            nn.InstanceNorm3d(outward, affine=True),
            nn.LeakyReLU(0.01),
            nn.Conv3d(outward, outward, 3, padding=1, bias=False),
            nn.InstanceNorm3d(outward, affine=True),
        )
        same = inward == outward and stride == 1
        self.short_cut = nn.Identity() if same else nn.Conv3d(inward, outward, 1, stride)
        self.activation = nn.LeakyReLU(0.01)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(image) + self.short_cut(image))
        return out


class ResidualUNet(nn.Module):
    """Encoder and decoder of residual blocks (Ronneberger et al. 2015, arXiv:1505.04597, in three dimensions).

    [batch, channel, slice, row, column] float32 to scores (before the softmax) of the same space.
    """

    def __init__(self, inward: int, outward: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            ResidualBlock(a, b, stride=1 if level == 0 else 2)
            for level, (a, b) in enumerate(itertools.pairwise((inward, *widths)))
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.merge = nn.ModuleList(ResidualBlock(2 * a, a) for a in widths[:-1])
        self.head = nn.Conv3d(widths[0], outward, 1)

    def forward(self, image: Tensor) -> Tensor:
        levels = []
        for block in self.down:
            image = block(image)
            levels.append(image)
        for level in reversed(range(len(self.up))):
            image = self.merge[level](torch.cat([self.up[level](image), levels[level]], dim=1))
        scores: Tensor = self.head(image)
        return scores


def build(spec: ModelSpec, seed: int = 0) -> ResidualUNet:
    """The network for a description, untrained: the same weights for the same seed, whatever was drawn before."""
    if spec.input.kind != "volume" or any(length % 2 ** (len(WIDTHS) - 1) for length in spec.input.patch):
        raise ValueError(f"this network takes volumes in patches whose axes divide by {2 ** (len(WIDTHS) - 1)}")
    with torch.random.fork_rng(devices=[]):  # the caller's own chance stays as it was
        torch.manual_seed(seed)
        network = ResidualUNet(len(spec.input.intensity), spec.output.channels)
        for module in network.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(module.weight, a=0.01, nonlinearity="leaky_relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # nearly equal odds for every class at the start
        nn.init.normal_(network.head.weight, std=0.1 / math.sqrt(WIDTHS[0]))
    return network
