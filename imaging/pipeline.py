"""The two protocols between the house's halves, with the fakes that stand for them in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imaging.codes import Code
from imaging.errors import EngineError
from imaging.images import Radiograph, Volume
from imaging.reading import ModelIdentity, PipelineResult
from imaging.reasons import Reason
from imaging.study import SeriesInfo, StudyInfo

Image = Volume | Radiograph


@dataclass(frozen=True)
class Selection:
    """What a pipeline will read of a study.

    Parameters
    ----------
    series
        The chosen series, in the order in which their images are handed to `Pipeline.read`.
    excluded
        One reason for every other series.
    """

    series: tuple[SeriesInfo, ...]
    excluded: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Why a pipeline will not read a study: the deciding reason, and one for every series that was looked at."""

    reason: Reason
    excluded: tuple[Reason, ...] = ()


class Engine(Protocol):
    """Runs models. One engine serves all pipelines of a process."""

    def infer(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run ``model`` on named arrays; EngineError when it isn't there or fails."""
        ...


class Pipeline(Protocol):
    """A clinical reading. `pipelines.<name>.build(configuration)` makes one from its validated configuration."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def model(self) -> ModelIdentity: ...

    @property
    def procedure(self) -> Code:
        """Procedure reported in the SR."""
        ...

    @property
    def configuration(self) -> Mapping[str, Any]:
        """The resolved configuration, as JSON values: part of the reading's key."""
        ...

    @property
    def report_not_ours(self) -> bool:
        """Whether a study of another modality or body part gets a not-read report instead of a state only."""
        ...

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """Choose the series to read, by headers only and by written rules; deterministic."""
        ...

    def read(self, images: Sequence[Image], selection: Selection, engine: Engine) -> PipelineResult:
        """Read the images of the selected series, one per series in that order.

        Raises
        ------
        ImageError
            The images are ours but can't be read (its reason is reported in an SR).
        EngineError
            The engine can't serve; the reading is tried again later.
        """
        ...


class NoEngine:
    """The engine of a node whose pipelines need no model."""

    def infer(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        raise EngineError(f"no engine is configured, but model {model!r} was asked for")


@dataclass(frozen=True)
class FakeEngine:
    """An engine of given answers, for tests.

    Parameters
    ----------
    answers
        By model name: a function from the named inputs to the named outputs.
    """

    answers: Mapping[str, Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]] = field(
        default_factory=dict
    )

    def infer(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        if model not in self.answers:
            raise EngineError(f"the fake engine has no answer for model {model!r}")
        return {name: np.asarray(value) for name, value in self.answers[model](inputs).items()}
