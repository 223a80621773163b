"""What the segmentation of one nodule is read on: the boxes with other lungs round them, and whole scans.

**Surroundings.** A box shows 10 mm beside the nodule and at most one slice past it. The field of view reaches
farther, and nothing may tell it the box's extent; so the box is put, on its own voxels, into the lung of a scan of
its own fold (`training.insertion.surround`), which the network that answers hasn't seen either. What no reader saw
isn't known: past the box the nodule ends, also where its true end is a faint slice more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imaging.geometry import Geometry, Vector
from imaging.images import Mask, SliceSource, Volume
from imaging.study import SeriesInfo
from models.spec import VolumeInput
from training.cohort.members import Member
from training.evaluation.detection_cases import Shelf
from training.evaluation.detection_targets import density_group, size_group
from training.insertion.ground import READERS_NEEDED, Ground
from training.insertion.load import KnownNodule
from training.insertion.piece import Piece
from training.insertion.place import Place
from training.insertion.surround import Seam, free_place, own_frame, surround
from training.lidc.readers import Consensus
from training.lidc.scans import LEAST_REACH_MM, NoduleTruth

REACH_MM = 50.0
"""The composed volume ends so far from the nodule: it holds the detector's patch and the coarser field of view."""
_CLEAR_MM = 8.0  # no nodule of the lung's own so near to the box's
_TRIES = 30

Kind = Literal["composed", "nodule", "tumour"]


@dataclass(frozen=True, eq=False)
class NoduleCase:
    """A nodule in a volume, and what is known of it.

    Parameters
    ----------
    kind
        ``composed``: a box with other lungs round it; in a whole scan a ``nodule`` of three readers or more, or a
        ``tumour`` of published segmentations.
    fold
        The patient's.
    majority
        Half of the readers or more.
    each
        One mask a reader or segmentation; empty ones are left out.
    sizes
        The readers', None of a tumour.
    centre
        Of what any of them holds for nodule; LPS, mm.
    texture
        The readers' median, 1 (non-solid) to 5 (solid); None where it isn't known.
    """

    case: str
    subject: str
    kind: Kind
    fold: int
    volume: Volume
    majority: Mask
    each: tuple[Mask, ...]
    sizes: Consensus | None
    centre: Vector
    texture: float | None
    groups: Mapping[str, str]

    @property
    def radius(self) -> float:
        """Of the ball of the majority's volume, mm."""
        return float(np.cbrt(0.75 * self.majority.volume / np.pi))

    def hit(self, point: ArrayLike) -> bool:
        """Whether a mark at (x, y, z), LPS, mm, is on it."""
        away = float(np.linalg.norm(np.asarray(point) - np.asarray(self.centre)))
        if away <= max(self.radius, LEAST_REACH_MM):
            return True
        index = np.rint(self.majority.geometry.to_index(point)).astype(int) - self.majority.offset
        within = np.all((index >= 0) & (index < self.majority.array.shape))
        return bool(within and self.majority.array[tuple(index)])


@dataclass(frozen=True)
class BoxFiles:
    """Implements `training.evaluation.evaluator.Case`: a box, to be put into a lung of its fold."""

    shelf: Shelf
    box: Member
    scan: Member

    @property
    def case(self) -> str:
        """The nodule's name in the set."""
        return self.box.case

    @property
    def digests(self) -> tuple[str, ...]:
        """Of every file of the set and of the scan."""
        return tuple(file.sha256 for member in (self.box, self.scan) for file in member.files)

    def load(self) -> NoduleCase:
        """CohortError when a file was altered; ImageError where the scan shows no lungs."""
        return composed(self.shelf.nodules[self.box.case], self.shelf.ground(self.scan))


@dataclass(frozen=True)
class ScanFiles:
    """Implements `training.evaluation.evaluator.Case`: a nodule of a whole scan."""

    shelf: Shelf
    scan: Member
    number: int

    @property
    def case(self) -> str:
        """Of the scan's folder, and which of its nodules."""
        return f"{self.shelf.name(self.scan)} {self.number}"

    @property
    def digests(self) -> tuple[str, ...]:
        """Of every file of the scan, and of the readers' where it has them."""
        return tuple(file.sha256 for file in self.scan.files)

    def load(self) -> NoduleCase:
        """CohortError when a file was altered."""
        truth = self.shelf.truth(self.scan)
        nodule = truth.nodules[self.number - 1]
        assert nodule.majority is not None  # `nodule_cases` takes no other
        x, y, z = (float(v) for v in nodule.centre)
        kind: Kind = "nodule" if nodule.readers else "tumour"
        return NoduleCase(
            case=self.case,
            subject=truth.patient,
            kind=kind,
            fold=truth.fold,
            volume=truth.volume,
            majority=nodule.majority,
            each=nodule.each,
            sizes=nodule.sizes,
            centre=(x, y, z),
            texture=None,
            groups={},
        )


def nodule_cases(members: Collection[Member], data: Path, rules: VolumeInput) -> list[BoxFiles | ScanFiles]:
    """Every box among the members in one of the whole scans among them, and every nodule of these."""
    shelf = Shelf(members, data, rules.model_copy(update={"spacing_mm": (1.0, 1.0, 1.0)}))
    cases: list[BoxFiles | ScanFiles] = []
    for turn, scan in enumerate(shelf.scans):
        wanted = [n for n, nodule in enumerate(shelf.truth(scan).nodules, start=1) if _wanted(nodule)]
        cases += [ScanFiles(shelf, scan, number) for number in wanted]
        cases += [BoxFiles(shelf, box, scan) for box in shelf.boxes[turn :: len(shelf.scans)]]
    return cases


def _wanted(nodule: NoduleTruth) -> bool:
    return nodule.majority is not None and (nodule.readers == 0 or nodule.readers >= READERS_NEEDED)


def composed(known: KnownNodule, ground: Ground) -> NoduleCase:
    """A box on its own voxels with a lung round it; the same box and lung give the same volume."""
    piece = known.piece
    frame, first = own_frame(piece, REACH_MM)
    seen = surround(piece, ground, _place(piece, ground), frame, Seam.plain())
    hu = np.rint(np.clip(seen.hu, -1024, 3071)).astype(np.int16)
    geometry = Geometry(
        frame.shape, frame.spacing, (0.0, 0.0, 0.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    )
    series = SeriesInfo("1.2.3", "CT", (), description="composed", thickness=frame.spacing[0])
    volume = Volume(hu, geometry, tuple(SliceSource(f"1.2.3.{k}") for k in range(frame.shape[0])), series)
    x, y, z = (float(v) for v in geometry.to_mm(np.asarray(first) + piece.centre))
    each = () if known.readers is None else known.readers.each(piece.hu.shape)
    assert known.box.fold is not None  # a cohort holds no other
    return NoduleCase(
        case=known.box.key,
        subject=known.box.patient,
        kind="composed",
        fold=known.box.fold,
        volume=volume,
        majority=_mask(piece.share >= 0.5, first, geometry),
        each=tuple(_mask(one, first, geometry) for one in each if one.any()),
        sizes=known.readers.sizes if known.readers else None,
        centre=(x, y, z),
        texture=texture_of(known),
        groups=groups_of(known),
    )


def texture_of(known: KnownNodule) -> float:
    """Median over the readers; the set's own where their outlines are unknown."""
    if known.readers is None:
        return float(known.box.ratings.texture)
    return float(np.median([annotation.ratings.texture for annotation in known.readers.nodule]))


def groups_of(known: KnownNodule) -> dict[str, str]:
    """By criterion."""
    size = known.readers.sizes.median.mean_diameter if known.readers else known.piece.diameter
    step = known.piece.spacing[0]
    return {
        "diameter": size_group(size),
        "density": density_group(known.box.ratings.texture),
        "slices": "up to 1.25 mm" if step <= 1.26 else "1.25 to 2.5 mm" if step < 2.4 else "above 2.4 mm",
        "box": "ends with the nodule" if known.box.cut else "holds it whole",
    }


def _place(piece: Piece, ground: Ground) -> Place:
    chance = np.random.default_rng(crc32(piece.name.encode()))
    for _ in range(_TRIES):
        place = free_place(ground, piece, 1.0, piece.radius + _CLEAR_MM, chance)
        if place is not None:
            return place
    deepest = np.unravel_index(int(np.argmax(np.where(ground.truth > 0, 0, ground.depth))), ground.depth.shape)
    return Place((int(deepest[0]), int(deepest[1]), int(deepest[2])), np.eye(3), on_wall=False)


def _mask(own: NDArray[np.bool_], first: tuple[int, int, int], geometry: Geometry) -> Mask:
    found = Mask.from_full(own, Geometry(own.shape, geometry.spacing, geometry.origin, geometry.direction))
    z, y, x = (a + b for a, b in zip(first, found.offset, strict=True))
    return Mask(found.array, (z, y, x), geometry)
