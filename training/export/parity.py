"""Parity: an ONNX file under ONNX Runtime against the torch network it was made of, on real inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import logit
from torch import nn

from imaging.errors import EngineError, ExportError
from inference.backend import SCORES, Backend
from inference.session import EngineOptions
from models.provenance import Digest
from models.spec import ModelSpec, Output
from training.export.onnx_file import taken


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tolerance(_Part):
    """How much two computations may differ: ``|a - b| <= absolute + relative * |b|`` for every score, and labels."""

    absolute: float = Field(gt=0, description="In the score's own unit.")
    relative: float = Field(ge=0, description="Of the score.")
    labels: float = Field(ge=0, le=1, description="Share of voxels (of answers) that may get another label.")


# float32 sums in another order differ by about 1e-6 of the terms; instance normalisation makes more of it (2e-3 was
# seen at scores up to 40); 5e-3 of a score before the softmax changes a probability by 1.3e-3 at most
TOLERANCES: Mapping[str, Tolerance] = {
    "softmax": Tolerance(absolute=5e-3, relative=1e-3, labels=1e-4),
    "sigmoid": Tolerance(absolute=5e-3, relative=1e-3, labels=1e-4),
    "none": Tolerance(absolute=1e-4, relative=1e-4, labels=0),
}
"""By the output's activation."""


class Parity(_Part):
    """What a comparison found."""

    onnx_sha256: Digest
    provider: str = Field(description="What computed, and which graph, as `inference.backend.Backend.provider`.")
    inputs: int = Field(description="So many patches were compared.")
    max_difference: float = Field(description="Greatest absolute difference of two scores.")
    max_score: float = Field(description="Greatest absolute score of torch, for scale.")
    labels_differing: float = Field(description="Share of voxels with another label.")
    tolerance: Tolerance
    passed: bool

    @property
    def words(self) -> str:
        """One sentence."""
        return (
            f"scores differ by {self.max_difference:.1e} at most (of up to {self.max_score:.3g}), labels in "
            f"{self.labels_differing:.2%} of the voxels, on {self.inputs} inputs"
        )


def check_parity(path: Path, network: nn.Module, inputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> Parity:
    """Compare the file with the network.

    Parameters
    ----------
    path
        Of the ONNX file.
    network
        In torch, on the CPU.
    inputs
        Each as the network sees it: `training.tasks.probes.probes`.

    Raises
    ------
    ExportError
        The file can't be run, or there is no input. That it computes something else is no error here: ``passed``.
    """
    if not inputs:
        raise ExportError(f"{path}: parity needs at least one real input")
    content = path.read_bytes()
    try:
        backend = EngineOptions().make(content)
    except EngineError as error:
        raise ExportError(f"{path}: {error}") from error
    tolerance = TOLERANCES[spec.output.activation]
    close, differing, voxels, most, scale = True, 0, 0, 0.0, 0.0
    for theirs, ours in _answers(backend, network.eval(), inputs, taken(spec)[0]):
        same_shape = theirs.shape == ours.shape
        if not same_shape:
            raise ExportError(f"{path} gives {list(theirs.shape)}, the network {list(ours.shape)}")
        apart = np.abs(theirs - ours)
        # not a number is never close
        close &= bool(np.all(apart <= tolerance.absolute + tolerance.relative * np.abs(ours)))
        unequal = _labels(theirs, spec) != _labels(ours, spec)
        differing, voxels = differing + int(np.count_nonzero(unequal)), voxels + unequal.size
        most, scale = max(most, float(apart.max())), max(scale, float(np.abs(ours).max()))
    share = differing / voxels
    return Parity(
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        provider=backend.provider,
        inputs=len(inputs),
        max_difference=most if np.isfinite(most) else float(np.finfo(np.float32).max),
        max_score=scale,
        labels_differing=share,
        tolerance=tolerance,
        passed=close and share <= tolerance.labels,
    )


def _answers(
    backend: Backend, network: nn.Module, inputs: Sequence[NDArray[np.float32]], name: str
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """By input, ONNX Runtime's scores and torch's."""
    for image in inputs:
        with torch.inference_mode():
            ours = network(torch.from_numpy(image)).numpy()
        yield backend.run({name: image})[SCORES], ours


def _labels(scores: NDArray[Any], spec: ModelSpec) -> NDArray[np.int_]:
    """What the scores [1, channel, …] decide."""
    output: Output = spec.output
    if output.activation == "softmax":
        winners: NDArray[np.int_] = np.argmax(scores, axis=1)
        return winners
    if output.activation == "none":
        return np.zeros(1, int)
    cuts = logit([spec.thresholds[label.name].value for label in output.labels])  # a probability as a score
    reached: NDArray[np.int_] = (scores >= cuts.reshape(1, -1, *[1] * (scores.ndim - 2))).astype(int)
    return reached
