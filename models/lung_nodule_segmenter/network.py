"""A 3-D U-Net on half the input's grid, its answer sharpened on the whole one.

Imported where models are trained and exported, never where they serve.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.spec import ModelSpec

WIDTHS = (24, 48, 96)
"""Channels at 2, 4 and 8 times the input's spacing."""
FINE = 8
"""Channels at the input's own spacing."""
_PRIOR = 0.02
"""What every output says at the start (Lin et al. 2017, arXiv:1708.02002): most of the field of view is no nodule."""


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


class SharpUNet(nn.Module):
    """[batch, channel, slice, row, column] float32 to scores (before the sigmoid) of the same space, of one size.

    The nodule that is meant lies in the middle: the network is told how far from it each voxel is. Eight voxels are
    eight channels inside (space to depth), so most convolutions run on an eighth of the voxels. One on the input's
    own grid sees image and answer together and sets the border.
    """

    away: Tensor

    def __init__(self, inward: int, outward: int, patch: tuple[int, int, int]) -> None:
        super().__init__()
        widths, fine = WIDTHS, FINE
        self.register_buffer("away", _from_middle(patch), persistent=False)
        self.stem = nn.Conv3d(inward + 1, widths[0], 2, stride=2)
        self.down = nn.ModuleList(Block(w, w) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv3d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.grow = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.merge = nn.ModuleList(Block(w, w) for w in widths[:-1])
        self.whole = nn.ConvTranspose3d(widths[0], fine, 2, stride=2)
        self.sharpen = nn.Sequential(
            nn.Conv3d(fine + inward, fine, 3, padding=1, bias=False), nn.BatchNorm3d(fine), nn.ReLU()
        )
        self.head = nn.Conv3d(fine, outward, 1)

    def forward(self, image: Tensor) -> Tensor:
        away = self.away.to(image.dtype).expand(image.shape[0], -1, -1, -1, -1)
        now = self.stem(torch.cat([image, away], dim=1))
        levels = []
        for level, block in enumerate(self.down):
            now = block(now)
            if level < len(self.shrink):
                levels.append(now)
                now = self.shrink[level](now)
        for level in reversed(range(len(self.grow))):
            now = self.merge[level](self.grow[level](now) + levels[level])
        whole = self.whole(now)
        scores: Tensor = self.head(whole + self.sharpen(torch.cat([whole, image], dim=1)))
        return scores


def _from_middle(patch: tuple[int, int, int]) -> Tensor:
    """[1, 1, *patch]: distance from the middle, in half patches."""
    z, y, x = (torch.linspace(-1, 1, n) for n in patch)
    return torch.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)[None, None]


def build(spec: ModelSpec, seed: int = 0) -> SharpUNet:
    """The network for a description, untrained: the same weights for the same seed, whatever was drawn before."""
    step = 2 ** len(WIDTHS)
    if spec.input.kind != "volume" or any(length % step for length in spec.input.patch):
        raise ValueError(f"this network takes volumes in patches whose axes divide by {step}")
    with torch.random.fork_rng(devices=[]):  # the caller's own chance stays as it was
        torch.manual_seed(seed)
        network = SharpUNet(len(spec.input.intensity), spec.output.channels, spec.input.patch)
        for module in network.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(network.head.weight, std=0.05)
        assert network.head.bias is not None
        nn.init.constant_(network.head.bias, torch.logit(torch.tensor(_PRIOR)).item())
    return network
