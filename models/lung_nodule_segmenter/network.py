"""A 3-D U-Net on half the input's grid, its answer sharpened on the whole one.

Imported where models are trained and exported, never where they serve.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.lung_nodule_detector.network import WIDTHS, HalfGrid
from models.spec import ModelSpec

FINE = 8
"""Channels at the input's own spacing."""
_PRIOR = 0.02
"""What every output says at the start (Lin et al. 2017, arXiv:1708.02002): most of the field of view is no nodule."""


class SharpUNet(HalfGrid):
    """[batch, channel, slice, row, column] float32 to scores (before the sigmoid) of the same space, of one size.

    The nodule that is meant lies in the middle: the network is told how far from it each voxel is. A convolution on
    the input's own grid sees image and answer together and sets the border.
    """

    away: Tensor

    def __init__(self, inward: int, outward: int, patch: tuple[int, int, int]) -> None:
        super().__init__(inward + 1)
        self.register_buffer("away", _from_middle(patch), persistent=False)
        self.whole = nn.ConvTranspose3d(WIDTHS[0], FINE, 2, stride=2)
        self.sharpen = nn.Sequential(
            nn.Conv3d(FINE + inward, FINE, 3, padding=1, bias=False), nn.BatchNorm3d(FINE), nn.ReLU()
        )
        self.head = nn.Conv3d(FINE, outward, 1)

    def forward(self, image: Tensor) -> Tensor:
        away = self.away.to(image.dtype).expand(image.shape[0], -1, -1, -1, -1)
        whole = self.whole(self.half(torch.cat([image, away], dim=1)))
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
