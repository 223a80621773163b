"""Small networks side by side on a row of numbers. Imported where models are trained and exported, never to serve."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.spec import ModelSpec

WIDTH = 16
"""Units of each network's one hidden layer."""
_DROPPED_IN, _DROPPED = 0.4, 0.2
_FARTHEST = 4.0  # standard deviations: a number beyond is taken for this


class Members(nn.Module):
    """[batch, column] float32 to scores (before the sigmoid) [batch, 1, member].

    Each member has one hidden layer and a short cut round it. Lengths, areas, volumes are taken by their logarithm;
    then every number by how far it lies from the mean of the training rows.
    """

    def __init__(self, logarithm: tuple[bool, ...], members: int, width: int = WIDTH) -> None:
        super().__init__()
        columns = len(logarithm)
        self.register_buffer("logarithm", torch.tensor(logarithm), persistent=False)
        self.standard = nn.BatchNorm1d(columns, momentum=None, affine=False)  # means over all of the training
        self.inward = nn.Parameter(torch.randn(members, columns, width) / columns**0.5)
        self.inward_bias = nn.Parameter(torch.zeros(members, 1, width))
        self.outward = nn.Parameter(torch.randn(members, width, 1) / (2 * width**0.5))
        self.outward_bias = nn.Parameter(torch.zeros(members, 1, 1))
        self.short_cut = nn.Parameter(torch.zeros(members, columns, 1))

    def forward(self, row: Tensor) -> Tensor:
        row = torch.where(self.logarithm, torch.log1p(row.clamp(min=0)), row)
        row = self._standardised(row).clamp(-_FARTHEST, _FARTHEST)
        each = row.expand(len(self.inward), *row.shape)
        each = functional.dropout(each, _DROPPED_IN, self.training)
        hidden = functional.silu(each @ self.inward + self.inward_bias)
        hidden = functional.dropout(hidden, _DROPPED, self.training)
        scores: Tensor = hidden @ self.outward + each @ self.short_cut + self.outward_bias
        return scores.permute(1, 2, 0)

    def _standardised(self, row: Tensor) -> Tensor:
        if self.training and len(row) > 1:
            return self.standard(row)
        known = self.standard  # a single row has no spread of its own
        return functional.batch_norm(row, known.running_mean, known.running_var, eps=known.eps)


def build(spec: ModelSpec, seed: int = 0) -> Members:
    """The networks for a description, untrained: the same weights for the same seed, whatever was drawn before."""
    if spec.input.kind != "tabular" or spec.output.members is None or spec.output.channels != 1:
        raise ValueError("this network takes a row of numbers and gives one answer by each of several members")
    with torch.random.fork_rng(devices=[]):  # the caller's own chance stays as it was
        torch.manual_seed(seed)
        logarithm = tuple(column.unit.startswith(("mm", "{pixel")) for column in spec.input.columns)
        return Members(logarithm, spec.output.members)
