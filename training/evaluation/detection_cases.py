"""What a nodule detector is read on: whole scans as they are, and scans with nodules and shams put into them.

**Folds.** A nodule is put into a scan of its own fold, and read by the network that left this fold out: it has seen
neither the nodule nor the lung. (A scan of another fold would be one that this very network has learnt from: it would
know which lung is its own, and so what was put in.) The blend is `Seamless`, which training never uses. Nodules are
turned at random and keep their size; no scanner's look is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from imaging.geometry import Geometry, Index
from imaging.images import SliceSource, Volume
from models.spec import VolumeInput
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.lungs import Lungs, find_lungs
from pipelines.lung_nodule.network_marks import near_lungs
from training.cohort.members import Member
from training.insertion.blend import Seamless
from training.insertion.compose import Scene
from training.insertion.ground import DENSE_HU, READERS_NEEDED, Box, Ground
from training.insertion.load import KnownNodule, is_boxes, load_nodules, load_truth, scan_folder, scans_among
from training.insertion.piece import Piece, sampled
from training.insertion.place import Place, find_place, lung_voxel
from training.lidc.annotations import Readers
from training.lidc.scans import LEAST_REACH_MM, NoduleTruth, ScanTruth

AT_A_TIME = 32
"""Nodules put into one scan, and as many shams."""
CONTROLS = 100
"""Places of the same lung with which a sham's place is compared."""
_APART_MM = (16.0, 16.0, 10.0, 6.0)  # between the outlines of two: at first far apart, nearer where none is met
_TRIES = 60  # at each
_SHELL_MM = 2.0
_AT_VESSEL = 0.1  # share of the shell that is dense
_SHAM_CUBE = 41

Kind = Literal["nodule", "tumour", "unsure", "inserted", "sham"]


@dataclass(frozen=True, eq=False)
class Target:
    """A place where a mark means something.

    Parameters
    ----------
    kind
        ``nodule`` of three readers or more, ``tumour`` of published segmentations, ``unsure``: of one or two readers;
        ``inserted``; ``sham``: healthy lung inserted in a nodule's outline.
    subject
        Patient of the nodule; of a sham, of the nodule whose outline it has.
    diameter
        Mean of long and short axis as the readers' median has them, else of the ball of the volume, mm.
    hit
        Whether a mark at (x, y, z), LPS, mm, is on it.
    groups
        By criterion (size, density, place, box), the group it stands in.
    controls
        Of a sham: [n, 3] LPS mm, other places that it might have got.
    reach
        Of a sham: a mark so near to its place, or to a control, counts; mm.
    """

    name: str
    kind: Kind
    subject: str
    diameter: float
    hit: Callable[[ArrayLike], bool]
    groups: Mapping[str, str]
    controls: NDArray[np.float64] | None = None
    reach: float = 0.0


@dataclass(frozen=True, eq=False)
class PlainScan:
    """A whole scan in memory."""

    case: str
    truth: ScanTruth
    targets: tuple[Target, ...]

    @property
    def volume(self) -> Volume:
        """The CT."""
        return self.truth.volume


@dataclass(frozen=True, eq=False)
class ComposedScan:
    """A scan with nodules and shams in it, on the detector's grid.

    Parameters
    ----------
    truth, lungs
        Of the scan as it was.
    hu
        [slice, row, column] float32 on ``geometry``.
    where
        Of the same shape: round nodules and shams, the rest needn't be read.
    targets
        What was put in; the scan's own nodules aren't among them.
    """

    case: str
    truth: ScanTruth
    lungs: Lungs
    geometry: Geometry
    hu: NDArray[np.float32]
    where: NDArray[np.bool_]
    targets: tuple[Target, ...]

    @property
    def volume(self) -> Volume:
        """As a CT."""
        sources = tuple(SliceSource(str(k)) for k in range(len(self.hu)))
        return Volume(np.rint(self.hu).astype(np.int16), self.geometry, sources, self.truth.volume.series)


class Shelf:
    """A cohort's scans and nodules, each read when it is first asked for; the last scan alone is kept."""

    def __init__(self, members: Collection[Member], data: Path, rules: VolumeInput) -> None:
        self._data, self._rules = data, rules
        self.scans = scans_among(members)
        self.boxes = sorted((m for m in members if is_boxes(m)), key=lambda m: m.case)
        self._truth: tuple[str, ScanTruth] | None = None
        self._lungs: tuple[str, Lungs] | None = None
        self._ground: tuple[str, Ground] | None = None
        self._near: tuple[str, NDArray[np.bool_]] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Nothing that was read travels to another process."""
        kept = {k: v for k, v in self.__dict__.items() if k not in ("_readers", "nodules")}
        return kept | {"_truth": None, "_lungs": None, "_ground": None, "_near": None}

    @cached_property
    def _readers(self) -> Readers | None:
        paths = (self._data / f.path for member in self.scans for f in member.files if f.path.endswith(".xz"))
        return next((Readers(path) for path in paths), None)

    @cached_property
    def nodules(self) -> Mapping[str, KnownNodule]:
        """By name; CohortError when a file was altered."""
        return {known.box.key: known for known in load_nodules(self.boxes, self._data)}

    def truth(self, scan: Member) -> ScanTruth:
        """A whole scan with its nodules; CohortError when a file was altered."""
        if self._truth is None or self._truth[0] != scan.case:
            self._truth = self._lungs = self._ground = self._near = None
            self._truth = scan.case, load_truth(scan, self._data, self._readers)
        return self._truth[1]

    def lungs(self, scan: Member) -> Lungs:
        """ImageError where there are none."""
        if self._lungs is None or self._lungs[0] != scan.case:
            self._lungs = scan.case, find_lungs(self.truth(scan).volume, LungRules())
        return self._lungs[1]

    def ground(self, scan: Member) -> Ground:
        """The lungs on the detector's grid."""
        if self._ground is None or self._ground[0] != scan.case:
            self._ground = scan.case, Ground.of_scan(self.truth(scan), self._rules, self.lungs(scan))
        return self._ground[1]

    def near(self, scan: Member) -> NDArray[np.bool_]:
        """[slice, row, column] on the grid of `ground`: where marks may lie."""
        if self._near is None or self._near[0] != scan.case:
            ground = self.ground(scan)
            self._near = scan.case, near_lungs(ground.depth > 0, ground.spacing)
        return self._near[1]

    def name(self, scan: Member) -> str:
        """Of the folder that holds a scan."""
        return scan_folder(scan, self._data).name


@dataclass(frozen=True)
class PlainCase:
    """Implements `training.evaluation.evaluator.Case`: a whole scan as it is."""

    shelf: Shelf
    member: Member

    @property
    def case(self) -> str:
        """Name of its folder."""
        return self.shelf.name(self.member)

    @property
    def digests(self) -> tuple[str, ...]:
        """Of every file of the scan, and of the readers' where it has them."""
        return tuple(file.sha256 for file in self.member.files)

    def load(self) -> PlainScan:
        """CohortError when a file was altered."""
        truth = self.shelf.truth(self.member)
        return PlainScan(self.case, truth, natural_targets(truth))


@dataclass(frozen=True)
class ComposedCase:
    """Implements `training.evaluation.evaluator.Case`: a scan that some nodules are put into."""

    shelf: Shelf
    member: Member
    boxes: tuple[Member, ...]
    number: int

    @property
    def case(self) -> str:
        """Name of the scan, and which of its copies it is."""
        return f"{self.shelf.name(self.member)} with nodules {self.number:02d}"

    @property
    def digests(self) -> tuple[str, ...]:
        """Of every file of the scan, and of the set of boxes."""
        return tuple(file.sha256 for member in (self.member, self.boxes[0]) for file in member.files)

    def load(self) -> ComposedScan:
        """CohortError when a file was altered; ImageError where the scan shows no lungs."""
        shelf, scan = self.shelf, self.member
        known = [shelf.nodules[box.case] for box in self.boxes]
        chance = np.random.default_rng(crc32(self.case.encode()))
        scene, made = compose(shelf.ground(scan), known, chance)
        return ComposedScan(
            self.case,
            shelf.truth(scan),
            shelf.lungs(scan),
            shelf.ground(scan).geometry,
            scene.hu,
            made.where & shelf.near(scan),
            tuple(made.targets),
        )


def detection_cases(members: Collection[Member], data: Path, rules: VolumeInput) -> list[PlainCase | ComposedCase]:
    """Every whole scan as it is, then with the nodules among the members in it, a few at a time."""
    shelf = Shelf(members, data, rules)
    order = np.random.default_rng(0).permutation(len(shelf.boxes))  # a patient's nodules go into several copies
    batches = [
        tuple(shelf.boxes[n] for n in order[first : first + AT_A_TIME]) for first in range(0, len(order), AT_A_TIME)
    ]
    cases: list[PlainCase | ComposedCase] = []
    for turn, scan in enumerate(shelf.scans):
        cases.append(PlainCase(shelf, scan))
        own = batches[turn :: len(shelf.scans)]
        cases += [ComposedCase(shelf, scan, batch, number) for number, batch in enumerate(own, start=1)]
    return cases


def compose(ground: Ground, nodules: Sequence[KnownNodule], chance: np.random.Generator) -> tuple[Scene, Made]:
    """Put nodules into a lung, the large ones first, then a sham in the outline of each.

    One for which no place is met is left out.
    """
    z, y, x = (slice(0, n) for n in ground.hu.shape)
    scene, made = Scene.of(ground, (z, y, x)), Made(ground)
    ordered = [(known, size_of(known)) for known in sorted(nodules, key=lambda n: -n.piece.radius)]
    for known, size in ordered:
        made.put(scene, known, size, None, chance=chance)
    for known, size in ordered:
        made.put(scene, known, size, _healthy(ground, chance), chance=chance)
    return scene, made


class Made:
    """Targets that were put into a lung so far.

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

    def put(
        self, scene: Scene, known: KnownNodule, size: float, sham: Piece | None, *, chance: np.random.Generator
    ) -> None:
        """One nodule, or a sham in its outline, where a place is met."""
        piece, ground = known.piece, self._ground
        for place in self._free(piece, chance):
            at_vessel = _dense_round(ground, piece, place)
            if scene.put(piece, place, 1.0, Seamless(), sham=sham):
                break
        else:
            return
        self._places.append((place.index, piece.radius))
        reach = round((piece.radius + _SHELL_MM) / ground.spacing)
        self.where[tuple(slice(max(i - reach, 0), i + reach + 1) for i in place.index)] = True
        if sham is None:
            self.targets.append(_inserted(known, size, ground, place, at_vessel=at_vessel))
        else:
            others = [find_place(ground, piece, 1.0, chance) for _ in range(CONTROLS)]
            controls = ground.geometry.to_mm([other.index for other in others if other is not None])
            self.targets.append(_sham(known, size, ground.geometry.to_mm(place.index), controls))

    def _free(self, piece: Piece, chance: np.random.Generator) -> Iterator[Place]:
        """Places for a piece away from what is there."""
        for number in range(_TRIES * len(_APART_MM)):
            place = find_place(self._ground, piece, 1.0, chance)
            if place is None:
                continue
            away = (
                np.linalg.norm(np.subtract(place.index, index)) * self._ground.spacing - radius
                for index, radius in self._places
            )
            if all(distance >= _APART_MM[number // _TRIES] + piece.radius for distance in away):
                yield place


def natural_targets(truth: ScanTruth) -> tuple[Target, ...]:
    """What is known of a scan as it is."""
    return tuple(_natural(truth, number, nodule) for number, nodule in enumerate(truth.nodules, start=1))


def _natural(truth: ScanTruth, number: int, nodule: NoduleTruth) -> Target:
    kind: Kind = "nodule" if nodule.readers >= READERS_NEEDED else "unsure" if nodule.readers else "tumour"
    size = nodule.sizes.median.mean_diameter if nodule.sizes else 2 * nodule.radius
    return Target(f"{truth.name} {number}", kind, truth.patient, size, nodule.hit, {})


def _inserted(known: KnownNodule, size: float, ground: Ground, place: Place, *, at_vessel: bool) -> Target:
    cube = sampled(known.piece, ground.spacing, place.turn, 1.0, 1.0)
    body, first = cube.body, np.asarray(place.index) - cube.body.shape[0] // 2
    centre = first + np.argwhere(body).mean(axis=0) if body.any() else np.asarray(place.index, float)
    radius = float(np.cbrt(0.75 * np.count_nonzero(body) / np.pi)) * ground.spacing
    geometry = ground.geometry

    def hit(point: ArrayLike) -> bool:
        """As `NoduleTruth.hit` has it."""
        at = geometry.to_index(point)
        if np.linalg.norm(at - centre) * ground.spacing <= max(radius, LEAST_REACH_MM):
            return True
        index = np.rint(at).astype(int) - first
        return bool(np.all((index >= 0) & (index < body.shape)) and body[tuple(index)])

    groups = {
        "diameter": size_group(size),
        "density": density_group(known.box.ratings.texture),
        "place": "at the wall" if place.on_wall else "at a vessel" if at_vessel else "open lung",
        "box": "ends with the nodule" if known.box.cut else "holds it whole",
    }
    return Target(known.box.key, "inserted", known.box.patient, size, hit, groups)


def _sham(known: KnownNodule, size: float, centre: NDArray[np.float64], controls: NDArray[np.float64]) -> Target:
    reach = max(known.piece.diameter / 2, LEAST_REACH_MM) + _SHELL_MM  # its seam is of it

    def hit(point: ArrayLike) -> bool:
        return bool(np.linalg.norm(np.asarray(point) - centre) <= reach)

    return Target(f"{known.box.key} sham", "sham", known.box.patient, size, hit, {}, controls, reach)


def size_of(known: KnownNodule) -> float:
    """Mean of long and short axis, the readers' median, mm; the ball's diameter where their outlines are unknown."""
    return known.readers.sizes.median.mean_diameter if known.readers else known.piece.diameter


def size_group(diameter: float) -> str:
    """The guidelines' steps."""
    steps = ((4, "up to 4 mm"), (6, "4 to 6 mm"), (10, "6 to 10 mm"), (20, "10 to 20 mm"))
    return next((name for edge, name in steps if diameter < edge), "above 20 mm")


def density_group(texture: int) -> str:
    """By the readers' texture, 1 (ground glass) to 5 (solid)."""
    return {1: "non-solid", 2: "non-solid", 3: "part-solid"}.get(texture, "solid")


def _dense_round(ground: Ground, piece: Piece, place: Place) -> bool:
    """Whether the lung is dense round a place: a vessel."""
    body = sampled(piece, ground.spacing, place.turn, 1.0, _SHELL_MM + 1).body
    first = np.asarray(place.index) - body.shape[0] // 2
    if (first < 0).any() or (first + body.shape > ground.hu.shape).any():
        return False
    box = tuple(slice(f, f + n) for f, n in zip(first, body.shape, strict=True))
    away = ndimage.distance_transform_edt(~body) * ground.spacing
    shell = (away > 0) & (away <= _SHELL_MM) & (ground.depth[box] > 0)
    return bool(shell.any() and (ground.hu[box][shell] > DENSE_HU).mean() > _AT_VESSEL)


def _healthy(ground: Ground, chance: np.random.Generator) -> Piece:
    """A cube of the lung without a nodule, any such place as likely as another."""
    shape, half = np.asarray(ground.hu.shape), _SHAM_CUBE // 2
    while True:
        first = np.clip(np.asarray(lung_voxel(ground, chance)) - half, 0, shape - _SHAM_CUBE)
        z, y, x = (slice(int(f), int(f) + _SHAM_CUBE) for f in first)
        box: Box = (z, y, x)
        if not ground.truth[box].any():
            step = ground.spacing
            return Piece("sham", ground.hu[box], np.ones((_SHAM_CUBE,) * 3, np.float32), (step, step, step))
