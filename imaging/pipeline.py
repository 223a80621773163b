"""The two protocols between the house's halves, with the fakes that stand for them in tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imaging.codes import Code
from imaging.errors import EngineError, InferenceCancelled
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
    notes
        What the report is to say of the chosen series: limits of the model outside which it lies.
    study
        The study's headers without its series, where the reading asks for age, sex or order.
    no_earlier
        The archive was asked for an earlier examination and has none. Set by the service; where nobody asked, it
        isn't known.
    """

    series: tuple[SeriesInfo, ...]
    excluded: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    study: StudyInfo | None = None
    no_earlier: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a pipeline will not read a study: the deciding reason, and one for every series that was looked at."""

    reason: Reason
    excluded: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class PriorRules:
    """Which earlier examination of the same patient a pipeline wants beside the images that it reads: the newest one
    that it selects a series of.

    Parameters
    ----------
    least_days, most_days
        How old it may be when the study to be read is made, days.
    """

    least_days: float
    most_days: float

    def __post_init__(self) -> None:
        if not 0 <= self.least_days <= self.most_days:
            raise ValueError(f"an earlier examination can't be {self.least_days:g} to {self.most_days:g} days old")


@dataclass(frozen=True, eq=False)
class Prior:
    """An earlier examination of the patient whose study is read.

    Parameters
    ----------
    study
        Its headers, as far as they were selected: its series are those of ``selection``.
    selection
        What the pipeline's own `Pipeline.select` chose of it.
    images
        One per selected series, in that order.
    days
        How long before the study that is read it was made, days.
    result
        What this pipeline said about it when it was read, in any version, its findings with their tracking UIDs; None
        where it wasn't. Its masks lie on the grid of the series that it names.
    """

    study: StudyInfo
    selection: Selection
    images: tuple[Image, ...]
    days: float
    result: PipelineResult | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about an image, kept as the box in which it was asked.

    Parameters
    ----------
    values
        [channel, *box]. Its numbers are what was asked for: `Answer`.
    offset
        Index of the box's first voxel in the image.
    tiles_run, tiles_all
        How many patches the model ran on, and how many the whole image has.
    """

    values: NDArray[Any]
    offset: tuple[int, ...]
    tiles_run: int = 1
    tiles_all: int = 1

    def full(self, shape: tuple[int, ...], empty: Sequence[float]) -> NDArray[Any]:
        """[channel, *shape]: the box in its place, and each channel's ``empty`` value elsewhere."""
        channels = self.values.shape[0]
        whole = np.empty((channels, *shape), self.values.dtype)
        whole[:] = np.asarray(empty).reshape(-1, *[1] * len(shape))
        box = tuple(slice(o, o + n) for o, n in zip(self.offset, self.values.shape[1:], strict=True))
        whole[(slice(None), *box)] = self.values
        return whole


class Answer(StrEnum):
    """What a sliding window hands back for each voxel."""

    SCORES = "scores"
    """The network's own numbers, blended; float32, 0 where it did not run."""
    PROBABILITIES = "probabilities"
    """The spec's activation of the blended scores; float16, the background where it did not run."""
    LABELS = "labels"
    """One channel, uint8: the most probable label (softmax only), 0 where it did not run."""


Wanted = NDArray[np.bool_] | Callable[[tuple[slice, ...]], bool]
"""Where an answer is needed: a mask of the image's shape, or whether a patch (its place in the image) is."""


class OpenModel(Protocol):
    """One version of a model, held for one reading: whatever is promoted meanwhile, this one answers."""

    @property
    def identity(self) -> ModelIdentity:
        """Which version answers; it belongs into the `Reading`."""
        ...

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run once on named arrays.

        Raises
        ------
        ModelFailure
            They don't fit the model, or it fails on them.
        EngineError
            The run fails for want of something else, such as memory.
        """
        ...

    def slide(
        self,
        image: NDArray[np.float32],
        *,
        answer: Answer = Answer.PROBABILITIES,
        wanted: Wanted | None = None,
        cancelled: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """Run over an image in overlapping patches.

        Parameters
        ----------
        image
            [channel, *space], as the model's transforms make it; no axis shorter than the patch.
        wanted
            None wants all. With a mask the answer is the whole image's wherever the mask is True; elsewhere it may be
            blended of fewer patches, or empty. With a callable, only of the patches that it wants.
        cancelled
            Asked before every patch (an Event's ``is_set``).
        progress
            Told the number of patches done and to do.

        Raises
        ------
        ModelFailure
            The image doesn't fit the model, or the answer isn't a number everywhere.
        EngineError
            The run fails for want of something else, such as memory.
        InferenceCancelled
            ``cancelled`` said so.
        """
        ...


class Engine(Protocol):
    """Gives models. One engine serves all pipelines of a process, from any thread."""

    def open(self, model: str, version: str | None = None) -> OpenModel:
        """The champion of ``model``, or the named version (the one a reading's key was made with).

        Opening is cheap once a version is loaded. EngineError when it isn't there, was altered, or can't be loaded.
        """
        ...


class Described(Protocol):
    """What is known of a clinical reading whichever version of a model does it."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

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

    @property
    def priors(self) -> PriorRules | None:
        """Which earlier examination it wants; None when it wants none."""
        ...

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """Choose the series to read, by headers only and by written rules; deterministic."""
        ...


class Pipeline(Described, Protocol):
    """A clinical reading. `pipelines.<name>.build(configuration)` makes one from its validated configuration; or a
    `pipelines.released.ModelPipeline`, where a released model reads."""

    @property
    def model(self) -> ModelIdentity:
        """What reads."""
        ...

    def read(
        self, images: Sequence[Image], selection: Selection, engine: Engine, prior: Prior | None = None
    ) -> PipelineResult:
        """Read the images of the selected series, one per series in that order.

        Parameters
        ----------
        prior
            An earlier examination, where ``priors`` wants one and there is one. A finding that was there already
            takes its tracking UID from it.

        Raises
        ------
        ImageError
            The images are ours but can't be read (its reason is reported in an SR).
        ModelFailure
            A model fails on these images: the reading has failed (and an SR says so).
        EngineError
            The engine can't serve; the reading is tried again later.
        """
        ...


class NoEngine:
    """The engine of a node whose pipelines need no model."""

    def open(self, model: str, version: str | None = None) -> OpenModel:
        raise EngineError(f"no engine is configured, but model {model!r} was asked for")


Function = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True)
class FakeModel:
    """A model of given answers. ``slide`` asks once, for the whole image, under the name ``image``."""

    identity: ModelIdentity
    function: Function

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        return {name: np.asarray(value) for name, value in self.function(inputs).items()}

    def slide(
        self,
        image: NDArray[np.float32],
        *,
        answer: Answer = Answer.PROBABILITIES,
        wanted: Wanted | None = None,
        cancelled: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        if cancelled and cancelled():
            raise InferenceCancelled(f"{self.identity.name}: cancelled")
        values = self.infer({"image": image[None]})[answer.value]
        if progress:
            progress(1, 1)
        return Prediction(values[0], (0,) * (image.ndim - 1))


@dataclass(frozen=True)
class FakeEngine:
    """An engine of given answers, for tests.

    Parameters
    ----------
    answers
        By model name: a function from the named inputs to the named outputs (for ``slide``: from ``image``,
        [1, channel, *space], to ``scores``, ``probabilities`` or ``labels``, whichever is asked for).
    version
        Which version the fake says it is, unless another is asked for.
    """

    answers: Mapping[str, Function] = field(default_factory=dict)
    version: str = "1"

    def open(self, model: str, version: str | None = None) -> FakeModel:
        if model not in self.answers:
            raise EngineError(f"the fake engine has no answer for model {model!r}")
        given = version or self.version
        digest = hashlib.sha256(f"{model} {given}".encode()).hexdigest()
        return FakeModel(ModelIdentity(model, given, digest, "float32"), self.answers[model])
