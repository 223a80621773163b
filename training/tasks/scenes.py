"""Scenes to learn detection from: a patch of a lung, with or without a nodule put into it, seen by some scanner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Index
from training.insertion.blend import Feathered
from training.insertion.compose import Scene
from training.insertion.degrade import add_noise, change_kernel, thicken
from training.insertion.ground import Box, Ground
from training.insertion.piece import Piece
from training.insertion.place import find_place, lung_voxel
from training.tasks.settings import Look, SceneSettings


@dataclass(frozen=True, eq=False)
class Source:
    """A nodule to put in, and what it may be put into.

    Parameters
    ----------
    piece
        The nodule.
    others
        Nodules for company in the same scene.
    grounds
        Lungs, of other patients than the pieces' or not: all of the run's own side.
    """

    piece: Piece
    others: Sequence[Piece]
    grounds: Sequence[Ground]


def make_scene(source: Source, size: Index, rules: SceneSettings, chance: np.random.Generator) -> Scene:
    """A scene of ``size`` voxels, most often with the source's piece in it."""
    ground = source.grounds[int(chance.integers(len(source.grounds)))]
    if chance.random() < rules.empty_share:
        scene = Scene.of(ground, _box(ground, lung_voxel(ground, chance, dense=chance.random() < 0.5), size, chance))
    else:
        scene = _with_nodule(source, ground, size, rules, chance)
    while chance.random() < rules.company_share:
        other = source.others[int(chance.integers(len(source.others)))]
        _put(scene, other, rules, chance)
    if chance.random() < rules.sham_share:
        _put(scene, source.piece, rules, chance, sham=_healthy(source.grounds, chance))
    scene.hu = seen_by_another(scene.hu, ground.spacing, ground.thickness, rules, chance)
    return scene


def _with_nodule(
    source: Source, ground: Ground, size: Index, rules: SceneSettings, chance: np.random.Generator
) -> Scene:
    scale = _scale(rules, chance)
    place = find_place(ground, source.piece, scale, chance)
    if place is None:
        return Scene.of(ground, _box(ground, lung_voxel(ground, chance), size, chance))
    scene = Scene.of(ground, _box(ground, place.index, size, chance))
    scene.put(source.piece, place, scale, _blend(chance))
    return scene


def _put(
    scene: Scene, piece: Piece, rules: SceneSettings, chance: np.random.Generator, *, sham: Piece | None = None
) -> None:
    """Somewhere in the scene, if a place is met."""
    scale = _scale(rules, chance)
    for _ in range(10):
        place = find_place(scene.ground, piece, scale, chance, within=scene.box)
        if place is not None and scene.put(piece, place, scale, _blend(chance), sham=sham):
            return


def _scale(rules: SceneSettings, chance: np.random.Generator) -> float:
    return float(np.exp(chance.uniform(-1, 1) * np.log1p(rules.scaling)))


def _blend(chance: np.random.Generator) -> Feathered:
    return Feathered(float(chance.uniform(0.3, 1.5)), float(chance.uniform(1.0, 3.0)))


def _healthy(grounds: Sequence[Ground], chance: np.random.Generator) -> Piece:
    """A cube of lung without a nodule."""
    ground = grounds[int(chance.integers(len(grounds)))]
    box = _box(ground, lung_voxel(ground, chance, dense=chance.random() < 0.5), (41, 41, 41), chance, middle=True)
    step = ground.spacing
    return Piece("sham", ground.hu[box], np.ones((41, 41, 41), np.float32), (step, step, step))


def _box(ground: Ground, index: Index, size: Index, chance: np.random.Generator, *, middle: bool = False) -> Box:
    """A box that holds a voxel, anywhere but near its border."""
    inner = np.full(3, 0.5) if middle else chance.uniform(0.15, 0.85, 3)
    first = np.rint(np.asarray(index) - inner * size)
    first = np.clip(first, 0, np.asarray(ground.hu.shape) - size).astype(int)
    z, y, x = (slice(int(a), int(a) + n) for a, n in zip(first, size, strict=True))
    return z, y, x


def seen_by_another(
    hu: NDArray[np.float32], spacing: float, thickness: float, rules: Look, chance: np.random.Generator
) -> NDArray[np.float32]:
    """As other scanners and protocols might show what was scanned in slices of ``thickness`` mm."""
    if chance.random() < rules.thick_share:
        thicker = float(chance.uniform(thickness, max(rules.thickness_most_mm, thickness)))
        step = float(chance.uniform(0.5, 1.0)) * thicker
        hu = thicken(hu, spacing, thicker, step, float(chance.uniform(0, step)))
    if chance.random() < rules.kernel_share:
        hu = change_kernel(hu, float(chance.uniform(-0.8, 1.2)))
    if chance.random() < rules.noise_share:
        hu = add_noise(hu, float(chance.uniform(0, rules.noise_hu)), float(chance.uniform(0.3, 1.0)), chance)
    if chance.random() < rules.shift_share:
        hu = hu * np.float32(chance.uniform(0.95, 1.05)) + np.float32(chance.uniform(-30, 30))
    return hu
