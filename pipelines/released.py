"""A pipeline whose reading a released model does: which version, is decided when a reading is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from imaging.codes import Code
from imaging.pipeline import Pipeline, PriorRules, Refusal, Selection
from imaging.study import StudyInfo
from models.store import ReleasedModel


@runtime_checkable
class ModelPipeline(Protocol):
    """What `pipelines.<name>.build(configuration)` gives where a released model reads.

    All but `with_model` and `model_name` is as of `imaging.pipeline.Pipeline`, and the same for every version.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def model_name(self) -> str:
        """The folder under models/."""
        ...

    @property
    def procedure(self) -> Code: ...

    @property
    def configuration(self) -> Mapping[str, Any]: ...

    @property
    def report_not_ours(self) -> bool: ...

    @property
    def priors(self) -> PriorRules | None: ...

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """By the written rules alone: what a version's limits refuse, only `with_model` knows."""
        ...

    def with_model(self, released: ReleasedModel) -> Pipeline:
        """The pipeline that reads with this version and no other.

        Raises
        ------
        EngineError
            The version isn't one that this pipeline can read with.
        """
        ...


AnyPipeline = Pipeline | ModelPipeline
