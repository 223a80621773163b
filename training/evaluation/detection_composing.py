"""Nodules put into a scan, far enough apart, at plausible places; and healthy lung put in like one, the shams.

The blend is `Seamless`, which training never uses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from imaging.geometry import Index
from training.evaluation.detection_targets import SHELL_MM, Target, cube, inserted_target, sham_target, size_of
from training.insertion.blend import Seamless
from training.insertion.compose import Scene
from training.insertion.ground import DENSE_HU, Ground
from training.insertion.load import KnownNodule
from training.insertion.piece import Piece, sampled
from training.insertion.place import Place, find_place

CONTROLS = 50
"""Places of the same lung with which a sham's place is compared."""
_APART_MM = (16.0, 16.0, 10.0, 6.0)  # between the outlines of two: at first far apart, nearer where none is met
_TRIES = 60  # at each
_IN_OPEN, _IN_WALL = 0.25, 0.6  # so much of the ball of a nodule's volume may be dense before
_ROUND_MM = 6.0  # of lung round the outline of a sham


def compose(ground: Ground, nodules: Sequence[KnownNodule], chance: np.random.Generator) -> tuple[Scene, Made]:
    """Put nodules into a lung, the large ones first, then a sham in the outline of each.

    One for which no place is met is left out.
    """
    z, y, x = (slice(0, n) for n in ground.hu.shape)
    scene, made = Scene.of(ground, (z, y, x)), Made(ground)
    ordered = [(known, size_of(known)) for known in sorted(nodules, key=lambda n: -n.piece.radius)]
    for known, size in ordered:
        place = made.put(scene, known.piece, chance)
        if place is not None:
            made.targets.append(inserted_target(known, size, ground, place))
    for known, size in ordered:
        healthy = healthy_piece(ground, known.piece, chance)
        place = made.put(scene, healthy, chance) if healthy is not None else None
        if healthy is not None and place is not None:
            others = itertools.islice(plausible_places(ground, healthy, chance, 2 * CONTROLS), CONTROLS)
            made.targets.append(sham_target(known, size, ground, healthy, place, others=[o.index for o in others]))
    return scene, made


class Made:
    """What was put into a lung so far.

    Parameters
    ----------
    targets
        Nodules and shams.
    where
        [slice, row, column] bool on the ground's grid: round them.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.targets: list[Target] = []
        self.where = np.zeros(ground.hu.shape, bool)
        self._places: list[tuple[Index, float]] = []

    def put(self, scene: Scene, piece: Piece, chance: np.random.Generator) -> Place | None:
        """Blend a piece in away from the others; None where no place is met."""
        for number, place in enumerate(plausible_places(self._ground, piece, chance, _TRIES * len(_APART_MM))):
            apart = _APART_MM[number // _TRIES] + piece.radius
            if self._away(place) < apart or not scene.put(piece, place, 1.0, Seamless()):
                continue
            self._places.append((place.index, piece.radius))
            reach = round((piece.radius + SHELL_MM) / self._ground.spacing)
            self.where[tuple(slice(max(i - reach, 0), i + reach + 1) for i in place.index)] = True
            return place
        return None

    def _away(self, place: Place) -> float:
        """mm from the nearest outline."""
        return min(
            (
                float(np.linalg.norm(np.subtract(place.index, index))) * self._ground.spacing - radius
                for index, radius in self._places
            ),
            default=np.inf,
        )


def plausible_places(ground: Ground, piece: Piece, chance: np.random.Generator, tries: int) -> Iterator[Place]:
    """Places where a piece isn't for the most part inside a vessel, the hilum or the wall."""
    half = int(np.ceil(piece.diameter / 2 / ground.spacing))
    ball = np.linalg.norm(np.indices((2 * half + 1,) * 3) - half, axis=0) * ground.spacing <= piece.diameter / 2
    for _ in range(tries):
        place = find_place(ground, piece, 1.0, chance)
        if place is None:
            continue
        box = cube(place.index, half, ground)
        if box is not None and (ground.hu[box][ball] > DENSE_HU).mean() <= (_IN_WALL if place.on_wall else _IN_OPEN):
            yield place


def healthy_piece(ground: Ground, piece: Piece, chance: np.random.Generator) -> Piece | None:
    """The lung at a place that would suit a nodule, in the nodule's outline; None where no such place is met."""
    for place in plausible_places(ground, piece, chance, _TRIES):
        outline = sampled(piece, ground.spacing, place.turn, 1.0, _ROUND_MM).body
        box = cube(place.index, outline.shape[0] // 2, ground)
        if box is not None and outline.any() and not ground.truth[box].any():
            step = ground.spacing
            return Piece("healthy", ground.hu[box], outline.astype(np.float32), (step, step, step))
    return None
