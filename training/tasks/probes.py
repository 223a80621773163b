"""Real inputs of a model, as serving prepares them, on which two computations are compared. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import UsageError
from imaging.geometry import Geometry
from models.intensity import map_intensity
from models.spec import ModelSpec, SliceInput, TabularInput, VolumeInput
from models.transforms import prepare
from pipelines.lung_nodule.second_look import middle_of
from training.cases import of_members
from training.cohort import FileRole, Member

_SOME = 12


def probes(spec: ModelSpec, members: Sequence[Member], data: Path) -> list[NDArray[np.float32]]:
    """Of whole cases among the members, or of some boxes, the middle patch [1, channel, *patch]; of a table rows.

    Raises
    ------
    CohortError
        A file was altered, or can't be read.
    UsageError
        The model takes radiographs.
    """
    if isinstance(spec.input, TabularInput | SliceInput):
        return _small(spec.input, members, data)
    if not isinstance(spec.input, VolumeInput):
        raise UsageError(f"{spec.name}: the cases of a cohort are no radiographs yet")
    boxes = any(file.role is FileRole.PACK for member in members for file in member.files)
    images = _scans if spec.task == "detection" else _boxes if boxes else _volumes
    inputs = []
    for image in images(spec.input, members, data):
        starts = [(n - p) // 2 for n, p in zip(image.shape[1:], spec.input.patch, strict=True)]
        middle = tuple(slice(s, s + p) for s, p in zip(starts, spec.input.patch, strict=True))
        inputs.append(np.ascontiguousarray(image[(slice(None), *middle)])[None])
    return inputs


def _small(rules: TabularInput | SliceInput, members: Sequence[Member], data: Path) -> list[NDArray[np.float32]]:
    """Some nodules' rows of numbers, or some candidates' patches."""
    from training.insertion.load import is_boxes  # noqa: PLC0415  only the lungs' cases need these
    from training.lung_cases import patches_of, rated_of  # noqa: PLC0415

    if isinstance(rules, SliceInput):
        return [middle_of(file.load().hu, rules)[None] for file in patches_of(members, data)[:_SOME]]
    boxes = [member for member in members if is_boxes(member)][:_SOME]
    return [one.rows[:1] for one in rated_of(boxes or members, data)[:_SOME]]


def _volumes(rules: VolumeInput, members: Sequence[Member], data: Path) -> Iterator[NDArray[Any]]:
    for files in of_members(members, data):
        volume = files.load()
        yield prepare(volume.array, volume.geometry, rules).image


def _boxes(rules: VolumeInput, members: Sequence[Member], data: Path) -> Iterator[NDArray[Any]]:
    from training.insertion.load import is_boxes, load_pieces  # noqa: PLC0415  only nodules need it

    for piece in load_pieces([member for member in members if is_boxes(member)][:_SOME], data):
        place = Geometry(piece.hu.shape, piece.spacing, (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
        yield prepare(piece.hu, place, rules).image


def _scans(rules: VolumeInput, members: Sequence[Member], data: Path) -> Iterator[NDArray[Any]]:
    from training.insertion.load import load_grounds  # noqa: PLC0415  only lungs need it

    for ground in load_grounds(members, data, rules, lambda _share: None):
        yield np.stack([map_intensity(ground.hu, mapping) for mapping in rules.intensity])
