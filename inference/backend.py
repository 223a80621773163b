"""What a session needs of whatever computes: a loaded network with named inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

IMAGE, ROW, SCORES = "image", "row", "scores"
"""Names of the one input, image [batch, channel, *patch] or row of a table [batch, column], and of the output."""


@dataclass(frozen=True)
class Port:
    """An input or output.

    Parameters
    ----------
    shape
        By axis its length, or None where it is left open.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def fits(self, value: NDArray[Any]) -> bool:
        """Whether an array may be given here."""
        return (
            value.dtype == self.dtype
            and value.ndim == len(self.shape)
            and all(w in (None, n) for n, w in zip(value.shape, self.shape, strict=True))
        )

    def zeros(self) -> NDArray[Any]:
        """An array that fits; an open axis has one element."""
        return np.zeros([1 if n is None else n for n in self.shape], self.dtype)

    def __str__(self) -> str:
        return f"{['any' if n is None else n for n in self.shape]} {self.dtype}"


class Bound(Protocol):
    """Input and output that stay in place from run to run, for one thread at a time."""

    def run(self) -> None:
        """From what stands in the input to the output; errors as `Backend.run`."""
        ...


class Backend(Protocol):
    """A loaded network. Safe from any thread."""

    @property
    def provider(self) -> str:
        """What computes, such as CPUExecutionProvider, and which graph where that isn't the file's."""
        ...

    @property
    def inputs(self) -> dict[str, Port]: ...

    @property
    def outputs(self) -> dict[str, Port]: ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Named arrays that fit to named arrays.

        Raises
        ------
        ModelFailure
            It fails on these inputs.
        EngineError
            It fails for want of something else, such as memory.
        """
        ...

    def bind(self, image: NDArray[Any], scores: NDArray[Any]) -> Bound:
        """Runs of `IMAGE` to `SCORES` in these two arrays, which fit."""
        ...


def one_line(error: Exception) -> str:
    """The words of an error that came on several lines."""
    return " ".join(str(error).split())
