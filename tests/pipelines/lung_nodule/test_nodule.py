"""One nodule once, however many marks lie on it."""

from __future__ import annotations

import numpy as np

from imaging.geometry import Geometry
from imaging.images import Mask
from pipelines.lung_nodule.guidelines.facts import NoduleFacts
from pipelines.lung_nodule.nodule import Mark, Nodule, distinct

GEOMETRY = Geometry((20, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


def box(first: int, last: int) -> Nodule:
    full = np.zeros(GEOMETRY.shape, bool)
    full[first:last, 5:10, 5:10] = True
    mark = Mark((0.0, 0.0, float(first)), 5.0)
    return Nodule(mark, Mask.from_full(full, GEOMETRY), first, (), NoduleFacts(), 1.0)


def test_the_first_of_those_that_share_half_stays() -> None:
    large, inside, beside, half, touching = box(2, 12), box(4, 8), box(14, 18), box(9, 14), box(12, 14)
    assert distinct([large, inside, beside]) == [large, beside]
    assert distinct([inside, large]) == [inside]
    assert distinct([large, half]) == [large]
    assert distinct([large, touching]) == [large, touching]
