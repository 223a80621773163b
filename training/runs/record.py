"""`run.json`: what a run was made of and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from imaging.configuration import explain
from imaging.errors import ConfigurationError, UsageError
from imaging.files import replace
from models.provenance import Digest
from models.spec import ModelSpec, Name

RunName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,99}$")]
"""A run's id is a folder's name, wherever the record comes from."""


class CohortName(BaseModel):
    """A frozen cohort by name and digest (`training.cohort.Cohort`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    digest: Digest


class RunRecord(BaseModel):
    """One run. Its folder also holds the cohort's manifest, epochs, weights, export and evaluations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: RunName = Field(description="Its id, and the name of its folder.")
    model: Name
    spec: ModelSpec = Field(description="The description as it stood when the run began.")
    configuration: Mapping[str, Any] = Field(description="Resolved, as JSON values.")
    seed: int
    fold: int | None = Field(description="The fold that was left out; null: validated on the validation split.")
    cohort: CohortName
    revision: str = Field(description="Commit of the source, with +changes where files differed; empty when unknown.")
    environment: Mapping[str, str] = Field(description="Versions of what computed, and on what device.")
    started: AwareDatetime
    ended: AwareDatetime | None = None
    state: Literal["running", "done", "failed"] = "running"
    epochs: int = Field(0, ge=0, description="Done.")
    best_epoch: int | None = None
    best_score: float | None = Field(
        None, description="Of the best epoch, on the cases validated on; more is better."
    )
    weights_sha256: Digest | None = Field(None, description="Of weights.pt, the best epoch's.")
    onnx_sha256: Digest | None = Field(None, description="Of model.onnx.")
    merged_from: Mapping[str, str] | None = Field(
        None,
        description="Trained elsewhere: sha256 of the pack, the revision that packed it, the machine in words.",
    )


def read_record(folder: Path) -> RunRecord:
    """The record in ``folder/run.json``.

    Raises
    ------
    UsageError
        There is none.
    ConfigurationError
        It was altered by hand and isn't valid, or is another folder's.
    """
    path = folder / "run.json"
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; `raysight runs` lists the runs") from None
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, RunRecord)) from None
    if record.run != folder.name:
        raise ConfigurationError(f"{path}: run: is {record.run!r}, but the folder is {folder.name}")
    return record


def write_record(folder: Path, record: RunRecord) -> None:
    """Replace ``folder/run.json`` at once; StorageError when it can't be written."""
    replace(folder / "run.json", record.model_dump_json(indent=2).encode() + b"\n")
