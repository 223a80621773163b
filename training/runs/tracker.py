"""What hears of a run as it goes: the bar on the screen, and a book of experiments such as MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.cohort import Cohort
from training.runs.record import RunRecord


class Tracker(Protocol):
    """A book of experiments. What it is told stands in the run's folder too: nothing is read back from it."""

    def begin(self, record: RunRecord, cohort: Cohort) -> None:
        """A run begins, or one that was cut off goes on (the same ``record.run``)."""
        ...

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """An epoch, from 1, is done; after a kill the same one may be told twice, with the same numbers."""
        ...

    def pictures(self, folder: Path) -> None:
        """PNGs of the best, median and worst validation case."""
        ...

    def end(self, record: RunRecord) -> None:
        """The run is done, failed, or was interrupted (its state is then still running)."""
        ...

    def exported(self, record: RunRecord) -> None:
        """The run's `model.onnx` is there, and its digest in the record; told after the end."""
        ...


class NoTracker:
    """Keeps nothing."""

    def begin(self, record: RunRecord, cohort: Cohort) -> None:
        """Nothing."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def pictures(self, folder: Path) -> None:
        """Nothing."""

    def end(self, record: RunRecord) -> None:
        """Nothing."""

    def exported(self, record: RunRecord) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Moment:
    """Where a run stands.

    Parameters
    ----------
    what
        In words: loading, training, validating …
    done
        Share of the whole run that is done, 0..1.
    epoch, epochs
        Which one it is, from 1, of how many; 0 before the first.
    loss
        Mean of the epoch so far; None before its first step.
    metrics
        Of an epoch that has just ended; empty else.
    """

    what: str
    done: float = 0.0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    metrics: Mapping[str, float] | None = None


Tell = Callable[[Moment], None]
