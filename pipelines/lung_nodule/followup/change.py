"""A paired nodule's change: only what the measurement error leaves standing is called one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from imaging.study import SeriesInfo
from pipelines.lung_nodule.guidelines.facts import Change, Comparison
from pipelines.lung_nodule.guidelines.growth import (
    DoublingTime,
    Measured,
    VolumeChange,
    compare,
    doubling_time,
    not_comparable,
    volume_change,
)
from pipelines.rules import SelectionRules


class Course(StrEnum):
    """How a paired nodule went, by its volume."""

    GROWN = "grown"
    STABLE = "no change beyond the measurement error"
    SHRUNK = "shrunk"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Followed:
    """A nodule against its partner in the earlier CT.

    Parameters
    ----------
    change
        Of the volume, with its error; None where the two aren't comparable.
    doubling
        None where there is none: not comparable, within the error, or under +25 %.
    comparison
        For the guidelines: its diameters' changes are each guideline's own; its volume's keeps to ``course``.
    why
        Why it isn't comparable.
    """

    course: Course
    change: VolumeChange | None
    doubling: DoublingTime | None
    comparison: Comparison
    why: str = ""


def follow(
    before: Measured,
    now: Measured,
    interval_days: int,
    prior_category: str | None = None,
    proven_benign: bool = False,
) -> Followed:
    """Judge two measurements of one nodule.

    Raises
    ------
    UsageError
        The interval or a volume isn't positive.
    """
    comparison = compare(before, now, interval_days, prior_category, proven_benign)
    why = not_comparable(before, now)
    volumes = (before.volume_mm3, before.volume_error_mm3, now.volume_mm3, now.volume_error_mm3)
    if not why and None in volumes:
        why = "a volume or its error is missing"
    if why:
        return Followed(Course.NOT_COMPARABLE, None, None, comparison, why)
    change = volume_change(*(float(v) for v in volumes if v is not None))
    if not change.beyond_error:
        within = replace(comparison, bts=Change.STABLE, doubling_time_days=None)
        return Followed(Course.STABLE, change, None, within)
    course = Course.GROWN if change.log_ratio > 0 else Course.SHRUNK
    return Followed(course, change, doubling_time(change, interval_days), comparison)


def kernel_class(series: SeriesInfo, rules: SelectionRules) -> str | None:
    """Name of the configuration's class of the series' reconstruction kernel; None where no class holds it."""
    return next((group.name for group in rules.kernels if group.fits(series.kernel)), None)
