"""Nodules of LIDC-IDRI as boxes of real CT: `lidc/voi`, 990 nodules that three readers or more have outlined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from imaging.errors import CohortError
from training.lidc.folds import FoldTable, lung_folds
from training.lidc.tables import Row, read_arrays, read_index

FILES = ("index.csv", "voi.npz")
RATINGS = (
    "subtlety",
    "internal",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)
MENDED_SERIES = {"LIDC-IDRI-0332_R_1": "1.3.6.1.4.1.14519.5.2.1.6279.6001.316900421002460665752357657094"}
"""Boxes whose index names the patient's other scan: spacing and outlines are this one's (`docs/lung-data.md`)."""

_COLUMNS = (
    *("key", "patient_id", "seriesuid", "offset", "nz", "ny", "nx", "sx", "sy", "sz", "x", "y", "z"),
    *("diameter_mm", "malignant_vote", "n_readers", *RATINGS),
)


@dataclass(frozen=True)
class Ratings:
    """The set's own summary of the readers' ratings, 1 to 5 (calcification 1 to 6, internal 1 to 4).

    ``malignancy`` is the readers' opinion on a chest CT, never pathology.
    """

    subtlety: int
    internal: int
    calcification: int
    sphericity: int
    margin: int
    lobulation: int
    spiculation: int
    texture: int
    malignancy: int


@dataclass(frozen=True, eq=False)
class Voi:
    """A nodule and what lies around it.

    Parameters
    ----------
    key
        Its name in the set, such as LIDC-IDRI-0001_R_1.
    patient, series
        Patient ID and Series Instance UID of the scan.
    fold
        The patient's; None when the scan is a patient's second one, which is left out.
    hu
        [slice, row, column] int16, Hounsfield units; slices ascend to the head (z, LPS). Read-only.
    mask
        [slice, row, column] bool: the voxels that any reader holds for nodule, the union of all. Read-only. (The set
        calls it the majority; `docs/lung-data.md`.) The majority comes from `training.lidc.match`.
    spacing
        Along slice, row, column, mm.
    centre
        Of the nodule (x, y, z), mm, as the set gives it: in the scan's patient frame (LPS).
    diameter_mm
        As the set gives it: of the sphere that has the readers' volume. Axes come from `training.lidc.readers`.
    malignant_vote
        The set's binary opinion; a tie counts as malignant.
    readers
        How many outlined it, as the set counts.
    """

    key: str
    patient: str
    series: str
    fold: int | None
    hu: NDArray[np.int16]
    mask: NDArray[np.bool_]
    spacing: tuple[float, float, float]
    centre: tuple[float, float, float]
    diameter_mm: float
    ratings: Ratings
    malignant_vote: bool
    readers: int

    @cached_property
    def has_slice_below(self) -> bool:
        """Whether the box shows a slice below (towards the feet of) the nodule."""
        return not bool(self.mask[0].any())

    @cached_property
    def has_slice_above(self) -> bool:
        """Whether the box shows a slice above the nodule."""
        return not bool(self.mask[-1].any())

    @property
    def cut(self) -> bool:
        """Whether the box ends with the nodule above or below, so that its end in z isn't shown."""
        return not (self.has_slice_below and self.has_slice_above)


class VoiSet(Sequence[Voi]):
    """The nodules in the order of the index; each box is cut out when it is asked for.

    Held in memory: 2 bytes a voxel and 1 bit for the mask (43 MB for the whole set).
    """

    def __init__(self, rows: Sequence[Row], hu: NDArray[np.int16], bits: NDArray[np.uint8], table: FoldTable) -> None:
        self._rows, self._hu, self._bits, self._table = rows, hu, bits, table
        self._number = {row.text("key"): number for number, row in enumerate(rows)}

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the nodules."""
        return tuple(self._number)

    def by_key(self, key: str) -> Voi:
        """The nodule of that name; CohortError when there is none."""
        if key not in self._number:
            raise CohortError(f"the set of boxes holds no nodule {key!r}")
        return self[self._number[key]]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Voi]:
        return (self[number] for number in range(len(self)))

    @overload
    def __getitem__(self, at: int) -> Voi: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Voi]: ...
    def __getitem__(self, at: int | slice) -> Voi | Sequence[Voi]:
        if isinstance(at, slice):
            return [self[number] for number in range(len(self))[at]]
        row = self._rows[at]
        start, shape = row.count("offset"), _shape(row)
        hu = self._hu[start : start + int(np.prod(shape))].reshape(shape)
        mask = self._mask(start, shape)
        if not mask.any():
            raise CohortError(f"{row.at}: the mask is empty")
        mask.setflags(write=False)
        series = MENDED_SERIES.get(row.text("key"), row.text("seriesuid"))
        patient = row.text("patient_id")
        fold = None if self._table.fold_of_series(series) is None else self._table.fold_of(patient)
        return Voi(
            key=row.text("key"),
            patient=patient,
            series=series,
            fold=fold,
            hu=hu,
            mask=mask,
            spacing=(row.number("sz"), row.number("sy"), row.number("sx")),
            centre=(row.number("x"), row.number("y"), row.number("z")),
            diameter_mm=row.number("diameter_mm"),
            ratings=Ratings(**{name: row.count(name) for name in RATINGS}),
            malignant_vote=bool(row.count("malignant_vote")),
            readers=row.count("n_readers"),
        )

    def _mask(self, start: int, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
        voxels = int(np.prod(shape))
        first, skipped = divmod(start, 8)
        bits = np.unpackbits(self._bits[first : (start + voxels + 7) // 8], count=skipped + voxels)
        return bits[skipped:].astype(bool).reshape(shape)


def load_voi(folder: Path, table: FoldTable | None = None) -> VoiSet:
    """Open the set.

    Parameters
    ----------
    folder
        Holds `index.csv` and `voi.npz`.
    table
        Says who is in which fold; the shipped one when None.

    Raises
    ------
    CohortError
        A file is missing, or its content isn't as the packing promises.
    """
    rows = read_index(folder / FILES[0], _COLUMNS)
    packed = read_arrays(folder / FILES[1], lo="u1", hi="u1", mask_bits="u1")
    end = 0
    for row in rows:
        if row.count("offset") != end or min(_shape(row)) < 1:
            raise CohortError(f"{row.at}: the box doesn't begin where the one before it ends, or has no voxels")
        if min(row.number(s) for s in ("sx", "sy", "sz")) <= 0:
            raise CohortError(f"{row.at}: the spacing isn't positive")
        end += int(np.prod(_shape(row)))
    if len({row.values["key"] for row in rows}) < len(rows):
        raise CohortError(f"{folder / FILES[0]}: a key stands twice")
    if not len(packed["lo"]) == len(packed["hi"]) == end or len(packed["mask_bits"]) != (end + 7) // 8:
        raise CohortError(
            f"{folder / FILES[1]}: holds another number of voxels than the index, {end:,}; get it again"
        )
    return VoiSet(rows, _hu(packed["lo"], packed["hi"]), packed["mask_bits"], table or lung_folds())


def _shape(row: Row) -> tuple[int, int, int]:
    return row.count("nz"), row.count("ny"), row.count("nx")


def _hu(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Sum up zigzag-coded differences; 16 bits suffice, as sums wrap around and every value of CT fits."""
    code = high.astype(np.uint16)
    code <<= 8
    code |= low
    sign = (code & 1).astype(np.int16)
    code >>= 1
    steps = code.view(np.int16)
    steps ^= -sign
    np.cumsum(steps, dtype=np.int16, out=steps)
    steps.setflags(write=False)
    return steps
