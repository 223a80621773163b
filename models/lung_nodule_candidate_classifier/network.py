"""A small residual network on slices. Imported where models are trained and exported, never where they serve."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.spec import ModelSpec

WIDTHS = (16, 32, 64)
"""Channels at 2, 4 and 8 times the pixels' size."""
_DROPPED = 0.3


class Block(nn.Module):
    """Two 3² convolutions with batch normalisation beside a short cut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inward: int, outward: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inward, outward, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outward),
            nn.ReLU(),
            nn.Conv2d(outward, outward, 3, padding=1, bias=False),
            nn.BatchNorm2d(outward),
        )
        same = inward == outward and stride == 1
        self.short_cut = (
            nn.Identity() if same else nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inward, outward, 1, bias=False))
        )

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = functional.relu(self.body(image) + self.short_cut(image))
        return out


class PatchClassifier(nn.Module):
    """[batch, channel, row, column] float32 to scores (before the sigmoid) [batch, label].

    It sees the whole patch and, apart, its very middle. While it learns, a patch is seen as it comes; afterwards in
    all eight positions that turns by 90° and mirrors give, and the answer is their mean: how a patch lies decides
    nothing.
    """

    def __init__(self, inward: int, outward: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        first, *later = widths
        self.stem = nn.Sequential(
            nn.Conv2d(inward, first, 4, 2, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        wider = [Block(before, after, 2) for before, after in zip(widths[:-1], later, strict=True)]
        self.body = nn.Sequential(Block(first, first), *wider)
        self.drop = nn.Dropout(_DROPPED)
        self.head = nn.Linear(2 * widths[-1], outward)

    def forward(self, image: Tensor) -> Tensor:
        if self.training:
            return self.scores(image)
        turned = (image, image.flip(3), image.flip(2), image.flip(2, 3))
        both = [view for way in turned for view in (way, way.transpose(2, 3))]
        return torch.stack([self.scores(view) for view in both]).mean(dim=0)

    def scores(self, image: Tensor) -> Tensor:
        """Of the patches as they lie."""
        seen = self.body(self.stem(image))
        middle = seen.shape[-1] // 2
        core = seen[:, :, middle - 1 : middle + 1, middle - 1 : middle + 1]
        both = torch.cat([seen.mean(dim=(2, 3)), core.mean(dim=(2, 3))], dim=1)
        scores: Tensor = self.head(self.drop(both))
        return scores


def build(spec: ModelSpec, seed: int = 0) -> PatchClassifier:
    """The network for a description, untrained: the same weights for the same seed, whatever was drawn before."""
    step = 2 ** (len(WIDTHS) + 1)
    if spec.input.kind != "slice" or any(length % step for length in spec.input.patch):
        raise ValueError(f"this network takes slices in patches whose sides divide by {step}")
    with torch.random.fork_rng(devices=[]):  # the caller's own chance stays as it was
        torch.manual_seed(seed)
        network = PatchClassifier(len(spec.input.intensity), spec.output.channels)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network
