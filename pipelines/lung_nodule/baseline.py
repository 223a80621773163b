"""The classical baseline's way: no network, no score worth telling, no density class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imaging import codes
from imaging.images import Volume
from imaging.reading import Measurement
from pipelines.lung_nodule.benign import calcium_and_fat
from pipelines.lung_nodule.candidates import Candidate, find_candidates
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.lung_nodule.guidelines.facts import NoduleFacts
from pipelines.lung_nodule.lungs import Lungs
from pipelines.lung_nodule.measure import key_slice, measurements
from pipelines.lung_nodule.nodule import Mark, Nodule
from pipelines.lung_nodule.outline import outline


@dataclass(frozen=True)
class Baseline:
    """Implements `pipelines.lung_nodule.nodule.Way`."""

    rules: LungNoduleConfiguration
    looks_for = "solid nodules only"

    def find(self, volume: Volume, lungs: Lungs) -> Sequence[Mark]:
        """Compact pieces of soft tissue in the lungs."""
        return [_mark(candidate) for candidate in find_candidates(volume, lungs, self.rules.candidates)]

    def measure(self, volume: Volume, mark: Mark) -> Nodule | None:
        """By voxels; None where no voxel is bright enough, or where no piece was found at the mark."""
        mask = outline(volume, mark.found) if isinstance(mark.found, Candidate) else None
        if mask is None:
            return None
        numbers = measurements(mask, volume)
        long, _, mean, mm3, _ = (m.value for m in numbers)
        calcium, fat = calcium_and_fat(volume, mask, self.rules.benign)
        facts = NoduleFacts(
            mean_any_plane_mm=mean,
            mean_largest_image_mm=mean,
            longest_axial_mm=long,
            volume_mm3=mm3,
            benign_calcification=calcium,
            fat=fat,
        )
        return Nodule(mark, mask, key_slice(mask), numbers, facts, _error(numbers))


def _mark(candidate: Candidate) -> Mark:
    places = np.argwhere(candidate.region)
    x, y, z = (float(v) for v in candidate.geometry.to_mm(places.mean(axis=0)))
    diameter = float(np.cbrt(6 / np.pi * len(places) * candidate.geometry.voxel_volume))
    return Mark((x, y, z), diameter, found=candidate)


def _error(numbers: Sequence[Measurement]) -> float:
    return next(m.error for m in numbers if m.concept == codes.VOLUME and m.error is not None)
