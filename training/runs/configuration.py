"""`configs/training/NAME.yaml`: how a model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imaging.configuration import explain, read_yaml
from imaging.errors import ConfigurationError
from training.runs.record import RunRecord
from training.tasks.settings import TaskSettings

Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimiser(_Part):
    """AdamW (Loshchilov and Hutter 2019); its rate rises, then falls to 0 by half a cosine."""

    learning_rate: Positive = Field(description="At its greatest.")
    warm_up: float = Field(0.0, ge=0, lt=1, description="Share of the run in which the rate rises from 0.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled from the gradient.")
    gradient_norm: Positive | None = Field(None, description="A gradient of a greater norm is shortened to it.")

    def rate(self, share: float) -> float:
        """Learning rate when ``share`` (0..1) of the run is done."""
        if share < self.warm_up:
            return self.learning_rate * (share / self.warm_up)
        left = 1 - (share - self.warm_up) / (1 - self.warm_up)
        return self.learning_rate * float(0.5 * (1 - np.cos(np.pi * left)))


class TrainingConfiguration(_Part):
    """Everything that a training file may say."""

    cohort: str = Field(min_length=1, description="Name of the cohort; the one built last is taken.")
    epochs: int = Field(ge=1, description="At most so many.")
    patience: int | None = Field(None, ge=1, description="End after so many epochs without a better score.")
    keep: Literal["best", "last"] = Field(
        "best",
        description="Which epoch's weights are kept. last: who is validated on chooses nothing, so figures on them "
        "are of unseen cases; and nobody need be validated on.",
    )
    batch_size: int = Field(ge=1, description="Samples in a step.")
    samples_per_epoch: int | None = Field(None, ge=1, description="Null: as many as there are cases.")
    optimiser: Optimiser
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay, by step, of the running mean of weights that is judged and kept; 0: none.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of all chance in a run.")
    workers: int | None = Field(
        None, ge=0, description="Processes that prepare samples. Null: none on a CPU, up to 8 beside a GPU."
    )
    mixed_precision: bool | None = Field(
        None,
        description="On a GPU compute in bfloat16, or float16 where it has none. True: in bfloat16 on a CPU, too.",
    )
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="So often, within an epoch, what is needed to go on is saved."
    )
    task: TaskSettings = Field(description="What is learnt, and how.")


def load_configuration(path: Path, changes: dict[str, Any]) -> TrainingConfiguration:
    """The file's content with ``changes`` from the command line.

    Raises
    ------
    ConfigurationError
        One line per mistake: file, key, what is wrong, the nearest known key.
    """
    values = {**read_yaml(path), **changes}
    try:
        return TrainingConfiguration.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, TrainingConfiguration)) from None


def configuration_of(record: RunRecord) -> TrainingConfiguration:
    """How a run that has begun is trained.

    Raises
    ------
    ConfigurationError
        It was begun by a revision whose training files said other things, or altered by hand.
    """
    try:
        return TrainingConfiguration.model_validate(record.configuration)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigurationError(
            f"run {record.run} was begun by revision {record.revision[:12] or 'unknown'}, and this one doesn't take "
            f"its {key}: go on with that revision, or train anew"
        ) from None
