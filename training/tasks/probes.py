"""Real inputs of a model, as serving prepares them, on which two computations are compared. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import UsageError
from models.intensity import map_intensity
from models.spec import ModelSpec, VolumeInput
from models.transforms import prepare
from training.cases import of_members
from training.cohort import Member


def probes(spec: ModelSpec, members: Sequence[Member], data: Path) -> list[NDArray[np.float32]]:
    """The middle patch of each whole case among the members, [1, channel, *patch].

    Raises
    ------
    CohortError
        A file was altered, or can't be read.
    UsageError
        The model takes no volumes.
    """
    if not isinstance(spec.input, VolumeInput):
        raise UsageError(f"{spec.name}: cases are volumes, and this model takes none")
    images = _scans if spec.task == "detection" else _volumes
    inputs = []
    for image in images(spec.input, members, data):
        starts = [(n - p) // 2 for n, p in zip(image.shape[1:], spec.input.patch, strict=True)]
        middle = tuple(slice(s, s + p) for s, p in zip(starts, spec.input.patch, strict=True))
        inputs.append(np.ascontiguousarray(image[(slice(None), *middle)])[None])
    return inputs


def _volumes(rules: VolumeInput, members: Sequence[Member], data: Path) -> Iterator[NDArray[Any]]:
    for files in of_members(members, data):
        volume = files.load()
        yield prepare(volume.array, volume.geometry, rules).image


def _scans(rules: VolumeInput, members: Sequence[Member], data: Path) -> Iterator[NDArray[Any]]:
    from training.insertion.load import load_grounds  # noqa: PLC0415  only lungs need it

    for ground in load_grounds(members, data, rules, lambda _share: None):
        yield np.stack([map_intensity(ground.hu, mapping) for mapping in rules.intensity])
