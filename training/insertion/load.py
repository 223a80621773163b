"""From a cohort's members to pieces and grounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging.errors import CohortError
from imaging.files import sha256_of
from models.spec import VolumeInput
from training.cohort import FileRole, Member
from training.insertion.ground import Ground
from training.insertion.piece import Piece
from training.lidc import voi
from training.lidc.annotations import Readers
from training.lidc.match import Match, match
from training.lidc.scans import ScanTruth, load_scan
from training.lidc.voi import Voi


def is_boxes(member: Member) -> bool:
    """Whether the member is a nodule cut out as a box."""
    return any(Path(file.path).name == voi.FILES[1] for file in member.files)


def is_scan(member: Member) -> bool:
    """Whether the member is a whole scan."""
    return all(file.role is not FileRole.PACK for file in member.files)


@dataclass(frozen=True, eq=False)
class KnownNodule:
    """A nodule with what is known of it.

    Parameters
    ----------
    readers
        None where no reader's outlines have the box's mask.
    """

    piece: Piece
    box: Voi
    readers: Match | None


def load_nodules(members: Sequence[Member], data: Path) -> list[KnownNodule]:
    """Every nodule among the members, in the order of their names, as its readers outlined it.

    Raises
    ------
    CohortError
        A file was altered, or can't be read.
    """
    boxes = sorted((m for m in members if is_boxes(m)), key=lambda m: m.case)
    if not boxes:
        return []
    places = {file.role: data / file.path for file in boxes[0].files}
    for file in boxes[0].files:
        unaltered(data / file.path, file.sha256)
    found, readers = voi.load_voi(places[FileRole.PACK].parent), Readers(places[FileRole.LABEL])
    nodules = []
    for member in boxes:
        box = found.by_key(member.case)
        theirs = match(box, readers)
        share = theirs.counts(box.hu.shape) / len(theirs.nodule) if theirs is not None else box.mask
        nodules.append(KnownNodule(Piece(box.key, box.hu, np.asarray(share, np.float32), box.spacing), box, theirs))
    return nodules


def load_pieces(members: Sequence[Member], data: Path) -> list[Piece]:
    """`load_nodules` without what else is known."""
    return [nodule.piece for nodule in load_nodules(members, data)]


def scans_among(members: Iterable[Member]) -> list[Member]:
    """The whole scans, in the order of their names."""
    return sorted((m for m in members if is_scan(m)), key=lambda m: m.case)


def load_truth(member: Member, data: Path, readers: Readers | None = None) -> ScanTruth:
    """A whole scan.

    Parameters
    ----------
    readers
        LIDC's, where they are open already; else the member's own file is opened where it has one.

    Raises
    ------
    CohortError
        A file was altered, or can't be read.
    """
    for file in member.files:
        unaltered(data / file.path, file.sha256)
    label = next((data / f.path for f in member.files if f.path.endswith(".xz")), None)
    if readers is None and label is not None:
        readers = Readers(label)
    return load_scan(scan_folder(member, data), readers if label is not None else None)


def scan_folder(member: Member, data: Path) -> Path:
    """Where a whole scan's images lie."""
    return (data / next(f for f in member.files if f.role is FileRole.IMAGE).path).parent


def load_grounds(
    members: Sequence[Member], data: Path, rules: VolumeInput, tell: Callable[[float], None]
) -> list[Ground]:
    """Every whole scan among the members, on the grid of ``rules``.

    Raises
    ------
    CohortError
        A file was altered, or can't be read.
    """
    scans = scans_among(members)
    readers: Readers | None = None
    grounds = []
    for done, member in enumerate(scans, start=1):
        label = next((data / f.path for f in member.files if f.path.endswith(".xz")), None)
        if readers is None and label is not None:
            readers = Readers(label)
        grounds.append(Ground.of_scan(load_truth(member, data, readers), rules))
        tell(done / len(scans))
    return grounds


def unaltered(path: Path, sha256: str) -> None:
    """CohortError when the file isn't the one that the cohort froze."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise CohortError(f"{path}: {error.strerror}") from None
    if found != sha256:
        raise CohortError(f"{path} was altered since the cohort was frozen: build the cohort anew")
