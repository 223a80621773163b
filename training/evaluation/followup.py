"""The synthetic test of the follow-up: pairing, change and doubling time on pairs of CTs with known growth.

Everything it reports is synthetic and called so (`training.insertion.pairs`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from imaging.errors import UsageError
from imaging.geometry import Vector
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.lung_nodule.followup.change import Course, Followed, follow, kernel_class
from pipelines.lung_nodule.followup.configuration import FollowUpRules
from pipelines.lung_nodule.followup.pairing import Seen, Shown, pair
from pipelines.lung_nodule.followup.registration import NotRegistered, register
from pipelines.lung_nodule.guidelines.growth import Measured
from pipelines.lung_nodule.lungs import find_lungs
from training.insertion.pairs import CtPair, Inserted

DAYS = 180
"""Between the two CTs; any number would do."""
_OFF_MM = 0.7  # sigma of a mark's distance from the centre, along each axis
_FALSE_MARKS = 3  # in each CT


@dataclass(frozen=True)
class Sized:
    """A nodule as the measuring step saw it.

    Parameters
    ----------
    volume_mm3, error_mm3
        Volume, and the half-width of its 95 % interval.
    mean_mm
        Mean of long and short axis.
    """

    volume_mm3: float
    error_mm3: float
    mean_mm: float

    @property
    def ball_mm(self) -> float:
        """Diameter of the ball of its volume."""
        return float(np.cbrt(6 * self.volume_mm3 / np.pi))


Measure = Callable[[Vector], Sized | None]
"""Measures the nodule at a point (LPS, mm) of one CT; None where it sees none."""
Step = Callable[[Shown, Sequence[Inserted]], Measure]
"""The measuring step, made ready for one CT. Only a step that says so may look at what was inserted."""


@dataclass(frozen=True)
class Case:
    """One nodule of one synthetic pair.

    Parameters
    ----------
    growth
        The truth: of its volume, as a share.
    paired
        With its own; None where one of the CTs' measuring steps didn't see it.
    off_mm
        How far from its own place then the registration puts its place now; None where none was found.
    followed
        The judgement on its own measurements, whether or not it was paired; None where it wasn't measured.
    """

    pair: str
    name: str
    growth: float
    paired: bool | None
    off_mm: float | None
    followed: Followed | None

    @property
    def in_interval(self) -> bool | None:
        """Whether the true doubling time lies in the stated interval; None where none is stated.

        The true one of what didn't grow has no end.
        """
        stated = self.followed.doubling if self.followed is not None else None
        if stated is None:
            return None
        truth = DAYS * math.log(2) / math.log1p(self.growth) if self.growth > 0 else math.inf
        return stated.lower <= truth <= (math.inf if stated.upper is None else stated.upper)

    @property
    def change_in_interval(self) -> bool | None:
        """Whether the true change of volume lies in the measured one's interval; None without one."""
        change = self.followed.change if self.followed is not None else None
        return None if change is None else abs(change.log_ratio - math.log1p(self.growth)) <= change.half_width

    @property
    def grown(self) -> bool | None:
        """Whether growth was called; None where the two weren't comparable."""
        if self.followed is None or self.followed.course is Course.NOT_COMPARABLE:
            return None
        return self.followed.course is Course.GROWN


def judge(
    cts: CtPair, step: Step, configuration: LungNoduleConfiguration, rules: FollowUpRules, chance: np.random.Generator
) -> list[Case]:
    """Register, pair and follow the nodules of a synthetic pair.

    A detector's marks stand a little off the centres, and false marks compete for partners.
    """
    then, now = (Shown(v, find_lungs(v, configuration.lungs)) for v in (cts.then, cts.now))
    registration = register(now.volume, now.lungs, then.volume, then.lungs, rules.registration)
    measure_then = step(then, [t.then for t in cts.twins])
    measure_now = step(now, [t.now for t in cts.twins])
    sized = [(measure_then(t.then.centre), measure_now(t.now.centre)) for t in cts.twins]
    both = [k for k, (a, b) in enumerate(sized) if a is not None and b is not None]
    marks_then = [_seen(cts.twins[k].then.centre, sized[k][0], chance) for k in both] + _false_marks(then, chance)
    marks_now = [_seen(cts.twins[k].now.centre, sized[k][1], chance) for k in both] + _false_marks(now, chance)
    found = pair(marks_now, marks_then, registration, present=now, prior=then, rules=rules.pairing)
    partners = {p.now: p.then for p in found.pairs}
    cases = []
    for k, twin in enumerate(cts.twins):
        before, after = sized[k]
        off = None
        if not isinstance(registration, NotRegistered):
            off = float(np.linalg.norm(registration.to_prior(twin.now.centre)[0] - twin.then.centre))
        followed = paired = None
        if before is not None and after is not None:
            paired = partners.get(both.index(k)) == both.index(k)
            followed = follow(_measured(before, then, configuration), _measured(after, now, configuration), DAYS)
        cases.append(Case(cts.name, twin.name, twin.growth, paired, off, followed))
    return cases


def _seen(centre: Vector, sized: Sized | None, chance: np.random.Generator) -> Seen:
    assert sized is not None
    x, y, z = (float(v) for v in np.asarray(centre) + chance.normal(0, _OFF_MM, 3))
    return Seen((x, y, z), sized.ball_mm)


def _false_marks(ct: Shown, chance: np.random.Generator) -> list[Seen]:
    lung = np.argwhere(ct.lungs.labels > 0)
    points = ct.lungs.geometry.to_mm(lung[chance.integers(len(lung), size=_FALSE_MARKS)])
    return [Seen((float(x), float(y), float(z)), float(chance.uniform(4, 10))) for x, y, z in points]


def _measured(sized: Sized, ct: Shown, configuration: LungNoduleConfiguration) -> Measured:
    series = ct.volume.series
    return Measured(
        sized.mean_mm,
        sized.mean_mm,
        None,
        sized.volume_mm3,
        sized.error_mm3,
        series.thickness,
        kernel_class(series, configuration.selection),
    )


@dataclass(frozen=True)
class Share:
    """How many of how many, with the exact 95 % interval (Clopper and Pearson 1934)."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """UsageError where there is nothing to take a share of."""
        if not self.of:
            raise UsageError("a share of nothing; put more nodules in")
        return self.hits / self.of

    @property
    def interval(self) -> tuple[float, float]:
        bounds = binomtest(self.hits, self.of).proportion_ci(0.95, "exact")
        return float(bounds.low), float(bounds.high)

    def __str__(self) -> str:
        if not self.of:
            return "none of 0"
        return f"{self.hits} of {self.of}, {self.value:.0%} ({self.interval[0]:.0%} to {self.interval[1]:.0%})"


def share(answers: Sequence[bool | None]) -> Share:
    """Of those that have an answer."""
    given = [a for a in answers if a is not None]
    return Share(sum(given), len(given))


@dataclass(frozen=True)
class FollowUpFigures:
    """Synthetic figures.

    Parameters
    ----------
    measured
        Nodules that both measuring steps saw.
    pairing
        Of those, paired with their own. Goal: 95 %.
    doubling
        Stated doubling times whose interval holds the true one. Goal: 90 %.
    false_growth
        Of those without growth, called grown. Goal: at most 5 %.
    change
        Changes of volume whose interval holds the true one.
    grown
        By true growth: how many of those comparable were called grown.
    off_mm
        Median and 95th percentile of the registration's error at the nodules; None where nothing was registered.
    """

    measured: Share
    pairing: Share
    doubling: Share
    false_growth: Share
    change: Share
    grown: tuple[tuple[float, Share], ...]
    off_mm: tuple[float, float] | None


def figures(cases: Sequence[Case]) -> FollowUpFigures:
    """Count."""
    off = [c.off_mm for c in cases if c.off_mm is not None]
    return FollowUpFigures(
        measured=share([c.paired is not None for c in cases]),
        pairing=share([c.paired for c in cases]),
        doubling=share([c.in_interval for c in cases]),
        false_growth=share([c.grown for c in cases if c.growth == 0]),
        change=share([c.change_in_interval for c in cases]),
        grown=tuple((g, share([c.grown for c in cases if c.growth == g])) for g in sorted({c.growth for c in cases})),
        off_mm=(float(np.median(off)), float(np.percentile(off, 95))) if off else None,
    )
