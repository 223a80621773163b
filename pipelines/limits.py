"""A model's limits (`models.spec.Limits`) against what the headers say."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from imaging.reasons import Reason, ReasonKind
from imaging.study import SeriesInfo
from models.spec import Limits, Range
from pipelines.rules import contains

LimitName = Literal["age_years", "body_parts", "thickness_mm", "in_plane_mm", "manufacturers"]
_ROUNDING_MM = 0.01  # headers write lengths as rounded decimals
_KINDS = {"body_parts": ReasonKind.WRONG_BODY_PART}


def outside(series: SeriesInfo, limits: Limits, age: float | None) -> dict[LimitName, str]:
    """Where a series lies outside: the limit, and why in words. What the headers don't say lies nowhere.

    Parameters
    ----------
    age
        The patient's, years.
    """
    return dict(_outside(series, limits, age))


def _outside(series: SeriesInfo, limits: Limits, age: float | None) -> Iterator[tuple[LimitName, str]]:
    if limits.age_years and age is not None and not limits.age_years.contains(age):
        yield "age_years", f"patient of {age:.0f} years, the model's evidence covers {_words(limits.age_years, '')}"
    if limits.body_parts and series.body_part and not contains(series.body_part, limits.body_parts):
        yield "body_parts", f"Body Part Examined is {series.body_part}, tested {', '.join(limits.body_parts)}"
    thickness = series.thickness if series.thickness is not None else series.spacing
    if limits.thickness_mm and thickness is not None and not _within(limits.thickness_mm, (thickness,)):
        yield "thickness_mm", f"slices {thickness:.2f} mm thick, tested {_words(limits.thickness_mm, ' mm')}"
    spacing = next((f.pixel_spacing for i in series.instances for f in i.frames if f.pixel_spacing), None)
    if limits.in_plane_mm and spacing is not None and not _within(limits.in_plane_mm, spacing):
        rows, columns = spacing
        yield "in_plane_mm", f"pixels {rows:.2f} by {columns:.2f} mm, tested {_words(limits.in_plane_mm, ' mm')}"
    seen = tuple(m.upper() for m in limits.manufacturers)
    if seen and not series.manufacturer.upper().startswith(seen):
        told = ", ".join(limits.manufacturers)
        yield "manufacturers", f"scanner of {series.manufacturer or 'unknown make'}, tested {told}"


def objection(series: SeriesInfo, limits: Limits, refuse: Collection[LimitName], age: float | None) -> Reason | None:
    """Why a series isn't read: the first of the limits that refuse outside which it lies."""
    for name, why in outside(series, limits, age).items():
        if name in refuse:
            kind = _KINDS.get(name, ReasonKind.OUTSIDE_LIMITS)
            return Reason(kind, f"{series.name}: {why}; not read", series.series_instance_uid)
    return None


def outside_notes(
    series: SeriesInfo, limits: Limits, refuse: Collection[LimitName], age: float | None
) -> tuple[str, ...]:
    """What a reading says of the limits that don't refuse."""
    found = outside(series, limits, age).items()
    return tuple(f"Outside tested range: {why}." for name, why in found if name not in refuse)


def _within(limit: Range, values: tuple[float, ...]) -> bool:
    least = None if limit.least is None else limit.least - _ROUNDING_MM
    most = None if limit.most is None else limit.most + _ROUNDING_MM
    return all(Range(least=least, most=most).contains(value) for value in values)


def _words(limit: Range, unit: str) -> str:
    if limit.least is not None and limit.most is not None:
        alike = limit.least == limit.most
        return f"{limit.least:g}{unit}" if alike else f"{limit.least:g} to {limit.most:g}{unit}"
    return f"at least {limit.least:g}{unit}" if limit.least is not None else f"at most {limit.most:g}{unit}"
