"""The networks' way: one finds, one may look twice, one outlines, one rates as readers would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imaging import codes
from imaging.codes import Code
from imaging.images import Mask, Volume
from imaging.pipeline import OpenModel
from imaging.reading import Measurement
from models.store import ReleasedModel
from pipelines.lung_nodule.benign import calcium_and_fat
from pipelines.lung_nodule.configuration import LungNoduleConfiguration, MarkRules
from pipelines.lung_nodule.guidelines.facts import Density, NoduleFacts
from pipelines.lung_nodule.lungs import Lungs
from pipelines.lung_nodule.network_marks import find_nodule_marks
from pipelines.lung_nodule.nodule import Mark, Nodule
from pipelines.lung_nodule.second_look import classify
from pipelines.lung_nodule.segment import segment_nodule
from pipelines.lung_nodule.size_errors import Size
from pipelines.lung_nodule.sizes import NoduleSizes, measure_nodule
from pipelines.lung_nodule.suspicion import suspicion

CENTRE = "centre"
"""The threshold of the detector's specification from which on a mark is told of."""


@dataclass(frozen=True)
class Model:
    """A model that is held open, with its description as released."""

    opened: OpenModel
    released: ReleasedModel


@dataclass(frozen=True)
class Network:
    """Implements `pipelines.lung_nodule.nodule.Way`.

    Parameters
    ----------
    classifier, rater
        None where they aren't asked.
    """

    rules: LungNoduleConfiguration
    detector: Model
    segmenter: Model
    classifier: Model | None = None
    rater: Model | None = None
    looks_for = "nodules"

    @property
    def threshold(self) -> float:
        """Least score of a mark that is reported."""
        own = self.rules.network.threshold
        return own if own is not None else self.detector.released.spec.thresholds[CENTRE].value

    def find(self, volume: Volume, lungs: Lungs) -> Sequence[Mark]:
        """The detector's marks, the faint ones included, with the second look in their score."""
        asked, network = self.detector, self.rules.network
        rules = MarkRules(threshold=network.faint * self.threshold, mirrors=network.mirrors)
        found = find_nodule_marks(volume, lungs, asked.opened, asked.released.spec, rules).marks
        scores = np.array([mark.score for mark in found])
        if self.classifier is not None and found:
            looked = classify(volume, [m.point for m in found], self.classifier.opened, self.classifier.released.spec)
            scores = scores ** (1 - network.second_look) * looked**network.second_look
        marks = [
            Mark(mark.point, mark.diameter, float(score), reported=bool(score >= self.threshold))
            for mark, score in zip(found, scores, strict=True)
        ]
        return sorted(marks, key=lambda mark: -(mark.score or 0.0))

    def measure(self, volume: Volume, mark: Mark) -> Nodule | None:
        """By the segmenter; None where it sees nothing at the mark."""
        outlined = segment_nodule(
            volume, mark.point, self.segmenter.opened, self.segmenter.released.spec, self.rules.segment
        )
        if outlined is None:
            return None
        sizes = measure_nodule(volume, outlined, self.rules.sizes)
        rating, words = self._rated(volume, outlined.mask)
        return Nodule(
            mark=mark,
            mask=outlined.mask,
            key_slice=sizes.slice_index,
            measurements=(*self._numbers(sizes), *rating),
            facts=facts_of(sizes, *calcium_and_fat(volume, outlined.mask, self.rules.benign)),
            volume_error=sizes.volume.error,
            notes=(*sizes.notes, *words),
            outlined_by=self.segmenter.opened.identity,
        )

    def _rated(self, volume: Volume, mask: Mask) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
        if self.rater is None:
            return (), ()
        rated, by = suspicion(volume, mask, self.rater.opened), self.rater.opened.identity
        # its interval isn't even to both sides: the words say it
        return (Measurement(codes.READER_SUSPICION, round(100 * rated.value), codes.PERCENT, by=by),), (rated.words,)

    def _numbers(self, sizes: NoduleSizes) -> tuple[Measurement, ...]:
        by = self.segmenter.opened.identity

        def number(concept: Code, size: Size, unit: Code = codes.MM, derivation: Code | None = None) -> Measurement:
            digits = 0 if unit == codes.HU else 1
            return Measurement(concept, round(size.value, digits), unit, derivation, round(size.error, digits), by)

        numbers = [
            number(codes.LONG_AXIS, sizes.long_axis),
            number(codes.SHORT_AXIS, sizes.short_axis),
            number(codes.DIAMETER, sizes.mean_diameter, derivation=codes.MEAN),
            number(codes.PLANE_DIAMETER, sizes.any_plane),
            number(codes.MAXIMUM_DIAMETER, sizes.maximum),
            number(codes.VOLUME, sizes.volume, codes.MM3),
            number(codes.ATTENUATION, sizes.attenuation, codes.HU, codes.MEAN),
        ]
        if sizes.solid is not None:
            numbers.append(number(codes.SOLID_SIZE, sizes.solid, derivation=codes.MEAN))
        if sizes.solid_volume is not None:
            numbers.append(number(codes.SOLID_VOLUME, sizes.solid_volume, codes.MM3))
        return tuple(numbers)


def facts_of(sizes: NoduleSizes, calcium: bool | None, fat: bool | None) -> NoduleFacts:
    """Sizes, density, calcium and fat as the guidelines ask for them, unrounded."""
    solid = 0.0 if sizes.density is Density.NON_SOLID else None
    return NoduleFacts(
        density=sizes.density,
        mean_any_plane_mm=sizes.any_plane.value,
        mean_largest_image_mm=sizes.mean_diameter.value,
        maximum_mm=sizes.maximum.value,
        longest_axial_mm=sizes.long_axis.value,
        solid_mean_mm=solid if sizes.solid is None else sizes.solid.value,
        volume_mm3=sizes.volume.value,
        benign_calcification=calcium,
        fat=fat,
    )
