"""From stored values to what a network sees: the mappings that a `spec.yaml` may name."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaging.errors import ImageError
from imaging.reasons import Reason, ReasonKind

SINGLE_VALUE = "The image holds a single value: there is nothing to read in it."


class _Mapping(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Mapping):
    """Low to high becomes 0 to 1; what lies outside is cut."""

    method: Literal["window"]
    low: float = Field(description="Becomes 0, in the image's own unit (HU for CT).")
    high: float = Field(description="Becomes 1, in the image's own unit (HU for CT).")

    @model_validator(mode="after")
    def _ascending(self) -> Window:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Fixed(_Mapping):
    """Shifted and scaled by constants of the training data, after cutting."""

    method: Literal["fixed"]
    low: float = Field(description="What is lower is cut to it, in the image's own unit.")
    high: float = Field(description="What is higher is cut to it, in the image's own unit.")
    mean: float = Field(description="Becomes 0, in the image's own unit.")
    deviation: float = Field(gt=0, description="Becomes 1, in the image's own unit.")


class ZScore(_Mapping):
    """Mean 0 and standard deviation 1 within each image."""

    method: Literal["z-score"]
    positive_only: bool = Field(
        False, description="Mean and deviation of the values above 0 only (skull-stripped MR)."
    )


class Percentiles(_Mapping):
    """Two percentiles of each image become 0 and 1; what lies outside is cut."""

    method: Literal["percentiles"]
    low: float = Field(0.5, ge=0, le=100, description="Percentile that becomes 0, %.")
    high: float = Field(99.5, ge=0, le=100, description="Percentile that becomes 1, %.")

    @model_validator(mode="after")
    def _ascending(self) -> Percentiles:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


Intensity = Annotated[Window | Fixed | ZScore | Percentiles, Field(discriminator="method")]


def map_intensity(
    array: NDArray[np.floating | np.integer], mapping: Intensity, valid: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """The mapped values.

    Parameters
    ----------
    array
        Any shape, in the image's own unit.
    valid
        Of the same shape, True where the image is (not padding): only these make an image's own statistics.

    Raises
    ------
    ImageError
        Values that are not finite, or an image of one value where its own statistics are needed.
    """
    mapped: NDArray[np.float32] = array.astype(np.float32)
    if not np.all(np.isfinite(mapped)):
        raise _unreadable("The image holds values that are not finite numbers.")
    match mapping:
        case Window(low=low, high=high):
            return _scaled(np.clip(mapped, low, high, out=mapped), low, high - low)
        case Fixed(low=low, high=high, mean=mean, deviation=deviation):
            return _scaled(np.clip(mapped, low, high, out=mapped), mean, deviation)
        case ZScore(positive_only=positive_only):
            values = mapped.ravel() if valid is None else mapped[valid]
            return _scaled(mapped, *_spread(values[values > 0] if positive_only else values))
        case Percentiles(low=low, high=high):
            low_value, high_value = _ends(mapped if valid is None else mapped[valid], low, high)
            return _scaled(np.clip(mapped, low_value, high_value, out=mapped), low_value, high_value - low_value)


def _spread(values: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation, summed in float64."""
    deviation = float(values.std(dtype=np.float64)) if values.size else 0.0
    if deviation == 0.0:
        raise _unreadable(SINGLE_VALUE)
    return float(values.mean(dtype=np.float64)), deviation


def _ends(values: NDArray[np.float32], low: float, high: float) -> tuple[float, float]:
    ends = np.percentile(values, [low, high]) if values.size else np.zeros(2)
    if ends[0] == ends[1]:
        raise _unreadable(SINGLE_VALUE)
    return float(ends[0]), float(ends[1])


def _scaled(mapped: NDArray[np.float32], zero: float, one: float) -> NDArray[np.float32]:
    mapped -= np.float32(zero)
    mapped /= np.float32(one)
    return mapped


def _unreadable(message: str) -> ImageError:
    return ImageError(Reason(ReasonKind.ANATOMY_NOT_FOUND, message))
