"""Which nodule now is which nodule then; what is new, what is gone, and what a CT doesn't show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from imaging.geometry import Vector
from imaging.images import Volume
from pipelines.lung_nodule.followup.configuration import PairingRules
from pipelines.lung_nodule.followup.registration import NotRegistered, Registration
from pipelines.lung_nodule.guidelines.facts import Density
from pipelines.lung_nodule.lungs import Lungs


@dataclass(frozen=True)
class Seen:
    """A nodule as one of the two CTs shows it.

    Parameters
    ----------
    centre
        x, y, z (LPS), mm.
    diameter_mm
        Of the ball of its volume.
    density
        None where it wasn't determined.
    reported
        False for a mark below the threshold: it may be a partner, so that what was only not marked then isn't called
        new, but it is never new or gone itself.
    """

    centre: Vector
    diameter_mm: float
    density: Density | None = None
    reported: bool = True


@dataclass(frozen=True, eq=False)
class Shown:
    """A CT and its lungs: what it shows.

    Parameters
    ----------
    volume, lungs
        Of the same CT.
    """

    volume: Volume
    lungs: Lungs

    def why_not(self, centre: Vector, diameter_mm: float, rules: PairingRules) -> str:
        """Why a nodule at a place of this CT would not be shown; empty where it would."""
        geometry = self.volume.geometry
        reach = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) * diameter_mm / 2
        points = np.asarray(centre) + reach
        if not geometry.contains(points).all():
            return "its place lies at or past the CT's edge"
        if not self._in_lungs(centre, rules.edge_mm):
            return "its place lies outside the lungs"
        if self.volume.padded is not None:
            index = np.clip(np.rint(geometry.to_index(points)).astype(int), 0, np.asarray(geometry.shape) - 1)
            if self.volume.padded[tuple(index.T)].any():
                return "its place was padded by the scanner"
        thickness = max(self.volume.series.thickness or 0.0, geometry.spacing[0])
        if diameter_mm < rules.slices_across * thickness:
            return f"{diameter_mm:.1f} mm may be hidden by slices of {thickness:g} mm"
        return ""

    def _in_lungs(self, centre: Vector, edge_mm: float) -> bool:
        grid = self.lungs.geometry
        reach = int(np.ceil(edge_mm / grid.spacing[0]))
        middle = np.rint(grid.to_index(centre)).astype(int)
        low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, grid.shape)
        if (low >= high).any():
            return False
        lung = np.argwhere(self.lungs.labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] > 0)
        if not len(lung):
            return False
        away = np.linalg.norm(grid.to_mm(lung + low) - np.asarray(centre), axis=1)
        return bool(away.min() <= max(edge_mm, grid.spacing[0]))


class Fate(StrEnum):
    """What became of a nodule that has no partner in the other CT."""

    NEW = "new"
    """Shown now; the earlier CT shows the place, without it."""
    GONE = "gone"
    """Shown then; both CTs show the place, now without it."""
    NOT_SHOWN = "not shown"
    """The other CT doesn't show the place."""
    NOT_COMPARED = "not compared"
    """The earlier CT could not be registered."""


@dataclass(frozen=True)
class Pair:
    """Indices of one nodule in the lists now and then, and how far apart they lie after registration, mm."""

    now: int
    then: int
    distance_mm: float


@dataclass(frozen=True)
class Single:
    """A nodule without partner.

    Parameters
    ----------
    index
        In its own list.
    why
        In words, where it isn't NEW or GONE.
    """

    index: int
    fate: Fate
    why: str = ""


@dataclass(frozen=True)
class Pairing:
    """Every reported nodule of both CTs once.

    Parameters
    ----------
    pairs
        In the order of the list now.
    now
        Nodules now that have no partner.
    then
        Nodules then that have no partner.
    """

    pairs: tuple[Pair, ...]
    now: tuple[Single, ...]
    then: tuple[Single, ...]


def pair(
    now: Sequence[Seen],
    then: Sequence[Seen],
    registration: Registration | NotRegistered,
    *,
    present: Shown,
    prior: Shown,
    rules: PairingRules,
) -> Pairing:
    """Pair nodules by place, size and density: of all ways to pair them the one of the least sum."""
    if isinstance(registration, NotRegistered):
        alone = [
            tuple(Single(i, Fate.NOT_COMPARED, registration.why) for i, one in enumerate(each) if one.reported)
            for each in (now, then)
        ]
        return Pairing((), alone[0], alone[1])
    places_then = registration.to_prior([n.centre for n in now]) if now else np.zeros((0, 3))
    places_now = registration.to_present([n.centre for n in then]) if then else np.zeros((0, 3))
    away, cost = _costs(now, then, places_then, rules)
    pairs = tuple(
        Pair(int(i), int(j), float(away[i, j]))
        for i, j in zip(*linear_sum_assignment(cost), strict=True)
        if cost[i, j] < _unpaired(rules) and (now[i].reported or then[j].reported)
    )
    paired_now, paired_then = {p.now for p in pairs}, {p.then for p in pairs}
    return Pairing(
        pairs,
        tuple(
            _alone(i, Fate.NEW, prior.why_not(_vector(places_then[i]), one.diameter_mm, rules))
            for i, one in enumerate(now)
            if one.reported and i not in paired_now
        ),
        tuple(
            _alone(
                j,
                Fate.GONE,
                prior.why_not(one.centre, one.diameter_mm, rules)
                or present.why_not(_vector(places_now[j]), one.diameter_mm, rules),
            )
            for j, one in enumerate(then)
            if one.reported and j not in paired_then
        ),
    )


def _costs(
    now: Sequence[Seen], then: Sequence[Seen], places_then: NDArray[np.float64], rules: PairingRules
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(now, then): distance in mm, and the cost, that of staying alone where the two can't be one."""
    away = np.zeros((len(now), len(then)))
    cost = np.zeros_like(away)
    for i, one in enumerate(now):
        for j, other in enumerate(then):
            away[i, j] = np.linalg.norm(places_then[i] - other.centre)
            twofold = abs(np.log2(one.diameter_mm / other.diameter_mm))
            unlike = {one.density, other.density} == {Density.SOLID, Density.NON_SOLID}
            possible = away[i, j] <= rules.distance_mm and twofold <= np.log2(rules.diameter_ratio)
            each = away[i, j] + rules.size_mm * twofold + rules.density_mm * unlike
            cost[i, j] = each if possible else _unpaired(rules)
    return away, cost


def _unpaired(rules: PairingRules) -> float:
    """More than any possible pair costs: what can be paired is."""
    return rules.distance_mm + rules.size_mm * float(np.log2(rules.diameter_ratio)) + rules.density_mm + 1.0


def _alone(index: int, fate: Fate, why: str) -> Single:
    return Single(index, Fate.NOT_SHOWN, why) if why else Single(index, fate)


def _vector(point: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in point)
    return (x, y, z)
