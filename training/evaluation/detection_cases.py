"""What a nodule detector is read on: whole scans as they are, and scans with nodules and shams put into them.

**Folds.** A nodule is put into a scan of its own fold, and read by the network that left this fold out: it has seen
neither the nodule nor the lung. (A scan of another fold would be one that this very network has learnt from: it would
know which lung is its own, and so what was put in.) The blend is `Seamless`, which training never uses. Nodules are
turned at random and keep their size; no scanner's look is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Geometry
from imaging.images import SliceSource, Volume
from models.spec import VolumeInput
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.lungs import Lungs, find_lungs
from pipelines.lung_nodule.network_marks import near_lungs
from training.cohort.members import Member
from training.evaluation.detection_composing import compose
from training.evaluation.detection_targets import Target, natural_targets
from training.insertion.ground import Ground
from training.insertion.load import KnownNodule, is_boxes, load_nodules, load_truth, scan_folder, scans_among
from training.lidc.annotations import Readers
from training.lidc.scans import ScanTruth

AT_A_TIME = 32
"""Nodules put into one scan, and as many shams."""


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
