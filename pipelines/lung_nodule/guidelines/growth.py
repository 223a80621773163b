"""One nodule at two times: how its volume changed, how surely, and what each guideline calls it.

Doubling time: Schwartz's exponential model, VDT = days × ln 2 / ln(V2 / V1); there is none below +25 % of volume or
where the two CTs aren't comparable. Growth: Lung-RADS v2022 mean diameter + > 1.5 mm within 12 months; Fleischner
2017 mean diameter + ≥ 2 mm; BTS 2015 volume + ≥ 25 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from imaging.errors import UsageError
from pipelines.lung_nodule.guidelines.facts import Change, Comparison
from pipelines.lung_nodule.guidelines.lung_rads import tenths

GROWN_SHARE = 1.25
"""BTS 2015: volume + 25 %."""
YEAR_DAYS = 366
"""Within 12 months: the longest of them."""
SMALLEST_MM = 3.0
"""Fleischner: nodules under 3 mm aren't measured."""
SLICES_ACROSS = 2
"""A nodule of fewer slices has no volume worth comparing (ours; no guideline says how many)."""
SAME_THICKNESS_MM = 0.1
"""Headers give the same slice thickness in different roundings."""


@dataclass(frozen=True)
class Measured:
    """A nodule as one CT shows it.

    Parameters
    ----------
    mean_any_plane_mm, mean_largest_image_mm, solid_mean_mm, volume_mm3
        As in `facts.NoduleFacts`; ``solid_mean_mm`` is 0 where there is no solid part.
    volume_error_mm3
        Half-width of the volume's 95 % interval.
    thickness_mm
        Slice thickness.
    kernel_class
        Class of the reconstruction kernel (soft, lung …).
    """

    mean_any_plane_mm: float | None = None
    mean_largest_image_mm: float | None = None
    solid_mean_mm: float | None = None
    volume_mm3: float | None = None
    volume_error_mm3: float | None = None
    thickness_mm: float | None = None
    kernel_class: str | None = None


@dataclass(frozen=True)
class VolumeChange:
    """A change of volume on the scale on which growth is even.

    Parameters
    ----------
    log_ratio
        ln(V2 / V1).
    half_width
        Of its 95 % interval.
    """

    log_ratio: float
    half_width: float

    @property
    def percent(self) -> float:
        """Change, % of the earlier volume."""
        return 100 * math.expm1(self.log_ratio)

    @property
    def interval_percent(self) -> tuple[float, float]:
        """95 % interval of the change, %."""
        low, high = self.log_ratio - self.half_width, self.log_ratio + self.half_width
        return 100 * math.expm1(low), 100 * math.expm1(high)

    @property
    def beyond_error(self) -> bool:
        """Whether the interval excludes no change."""
        return abs(self.log_ratio) > self.half_width


@dataclass(frozen=True)
class DoublingTime:
    """Volume doubling time, days.

    Parameters
    ----------
    lower, upper
        95 % interval; ``upper`` is None where it isn't bounded: no growth at all is within the measurement error.
    """

    days: float
    lower: float
    upper: float | None


def volume_change(before_mm3: float, before_error: float, now_mm3: float, now_error: float) -> VolumeChange:
    """The change between two volumes, each with the half-width of its 95 % interval (mm3).

    The errors are independent; each is taken to first order as relative, so the logarithm's half-width is the root of
    the sum of squares of ``error / volume``.

    Raises
    ------
    UsageError
        A volume isn't positive or an error is negative.
    """
    if min(before_mm3, now_mm3) <= 0 or min(before_error, now_error) < 0:
        raise UsageError("a nodule's volume must be over 0 mm3 and its error not under 0; measure it again")
    half_width = math.hypot(before_error / before_mm3, now_error / now_mm3)
    return VolumeChange(math.log(now_mm3 / before_mm3), half_width)


def doubling_time(change: VolumeChange, interval_days: float) -> DoublingTime | None:
    """The doubling time with its 95 % interval; None where the volume grew by less than 25 %.

    Raises
    ------
    UsageError
        The interval isn't positive.
    """
    if interval_days <= 0:
        raise UsageError("the interval between the two CTs must be over 0 days; check their dates")
    if not _at_least_25_percent(change.log_ratio):
        return None
    scale = interval_days * math.log(2)
    slowest = change.log_ratio - change.half_width
    return DoublingTime(
        scale / change.log_ratio,
        scale / (change.log_ratio + change.half_width),
        scale / slowest if slowest > 0 else None,
    )


def _at_least_25_percent(log_ratio: float) -> bool:
    # 125 mm3 against 100 mm3 is 25 %, whatever the logarithm's last digit
    return log_ratio >= math.log(GROWN_SHARE) - 1e-9


def lung_rads_change(before_mm: float, now_mm: float, interval_days: float) -> Change:
    """By mean diameter, to 0.1 mm: growing is > 1.5 mm within 12 months.

    Over a longer interval more than 1.5 mm is growing where the mean rate exceeds 1.5 mm in 12 months, else slowly
    growing.
    """
    steps = round(10 * (tenths(now_mm) - tenths(before_mm)))
    if steps < -15:
        return Change.SHRUNK
    if steps <= 15:
        return Change.STABLE
    return Change.GROWING if steps * YEAR_DAYS > 15 * max(interval_days, YEAR_DAYS) else Change.SLOWLY_GROWING


def fleischner_change(before_mm: float, now_mm: float) -> Change:
    """By mean diameter, to 0.1 mm: growing is >= 2 mm. Whole mm would call 1.1 mm (5.4 to 6.5) growth."""
    steps = round(10 * (tenths(now_mm) - tenths(before_mm)))
    return Change.GROWING if steps >= 20 else Change.SHRUNK if steps <= -20 else Change.STABLE


def bts_change(change: VolumeChange) -> Change:
    """By volume: growing is +25 % or more, smaller is -25 % or less."""
    if _at_least_25_percent(change.log_ratio):
        return Change.GROWING
    return Change.SHRUNK if change.percent <= -25 + 1e-7 else Change.STABLE


def not_comparable(before: Measured, now: Measured) -> str:
    """Why the two can't be compared: thickness, kernel, or below the measurement limit; empty where they can."""
    if before.thickness_mm is None or now.thickness_mm is None:
        return "the slice thickness isn't known of both CTs"
    if abs(before.thickness_mm - now.thickness_mm) > SAME_THICKNESS_MM:
        return f"slices of {before.thickness_mm:g} and {now.thickness_mm:g} mm"
    if before.kernel_class is None or now.kernel_class is None:
        return "the kernel isn't known of both CTs"
    if before.kernel_class != now.kernel_class:
        return f"kernels of the classes {before.kernel_class} and {now.kernel_class}"
    limit = max(SMALLEST_MM, SLICES_ACROSS * max(before.thickness_mm, now.thickness_mm))
    for measured in (before, now):
        if measured.mean_any_plane_mm is None:
            return "a mean diameter is missing"
        if tenths(measured.mean_any_plane_mm) < limit:
            return f"below the measurement limit of {limit:g} mm"
    return ""


def compare(
    before: Measured,
    now: Measured,
    interval_days: int,
    prior_category: str | None = None,
    proven_benign: bool = False,
) -> Comparison:
    """What each guideline calls the change, and the doubling time; never one where the two aren't comparable.

    A part-solid nodule grows by Lung-RADS where the whole or its solid part does, and where a solid part is new.

    Raises
    ------
    UsageError
        The interval or a volume isn't positive.
    """
    if interval_days <= 0:
        raise UsageError("the interval between the two CTs must be over 0 days; check their dates")
    why = not_comparable(before, now)
    lung_rads = fleischner = bts = Change.NOT_COMPARABLE
    days = None
    if not why:
        lung_rads = _by_lung_rads(before, now, interval_days)
        if before.mean_largest_image_mm is not None and now.mean_largest_image_mm is not None:
            fleischner = fleischner_change(before.mean_largest_image_mm, now.mean_largest_image_mm)
        change = _volumes(before, now)
        if change is not None:
            bts = bts_change(change)
            doubling = doubling_time(change, interval_days)
            days = None if doubling is None else doubling.days
    return Comparison(lung_rads, fleischner, bts, interval_days, days, prior_category, proven_benign, why)


_RANK = (Change.SHRUNK, Change.STABLE, Change.SLOWLY_GROWING, Change.GROWING)


def _by_lung_rads(before: Measured, now: Measured, interval_days: int) -> Change:
    changes = []
    if before.mean_any_plane_mm is not None and now.mean_any_plane_mm is not None:
        changes.append(lung_rads_change(before.mean_any_plane_mm, now.mean_any_plane_mm, interval_days))
    if before.solid_mean_mm is not None and now.solid_mean_mm is not None:
        appeared = before.solid_mean_mm == 0 < now.solid_mean_mm
        grown = lung_rads_change(before.solid_mean_mm, now.solid_mean_mm, interval_days)
        changes.append(Change.GROWING if appeared else grown)
    return max(changes, key=_RANK.index)


def _volumes(before: Measured, now: Measured) -> VolumeChange | None:
    told = (before.volume_mm3, before.volume_error_mm3, now.volume_mm3, now.volume_error_mm3)
    if any(value is None for value in told):
        return None
    first, first_error, second, second_error = (float(value) for value in told if value is not None)
    return volume_change(first, first_error, second, second_error)
