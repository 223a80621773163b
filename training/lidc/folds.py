"""The one fold table by patient, for every lung set.

LIDC-IDRI's scans in the order of their Series Instance UIDs are cut into five blocks, as the 2-D candidates were
(`docs/lung-data.md`), and a patient belongs to one fold: that of the first of their series. A further series of such
a patient in another block is left out. `configs/folds/lung.yaml` holds the cuts, those series, and every patient.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from imaging.configuration import validated
from imaging.errors import CohortError

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "folds" / "lung.yaml"

Uid = Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
Numbers = Annotated[str, Field(pattern=r"^[0-9]{4}( [0-9]{4})*$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Collection(_Part):
    prefix: str = Field(min_length=1, description="What stands before the number in the Patient ID.")
    folds: tuple[Numbers | None, ...] = Field(min_length=2, description="Numbers of each fold's patients.")


class _Table(_Part):
    cuts: tuple[Uid, ...] = Field(description="First Series Instance UID of each fold but the first, ascending.")
    left_out: tuple[Uid, ...] = Field(description="Further series, in another block, of a patient of two scans.")
    collections: tuple[_Collection, ...]


@dataclass(frozen=True)
class FoldTable:
    """Which fold a patient is in.

    Parameters
    ----------
    patients
        Fold, from 0, of each Patient ID.
    cuts
        First Series Instance UID of folds 1, 2 …, in the order of text.
    left_out
        LIDC-IDRI series that no fold may use.
    sha256
        Of the file, in hexadecimal.
    """

    patients: Mapping[str, int]
    cuts: tuple[str, ...]
    left_out: frozenset[str]
    sha256: str

    @property
    def folds(self) -> int:
        """How many there are."""
        return len(self.cuts) + 1

    def fold_of(self, patient: str) -> int:
        """A patient's fold; CohortError when the table doesn't hold the patient."""
        if patient not in self.patients:
            raise CohortError(f"{patient} stands in no fold; add the patient to {SHIPPED.name}")
        return self.patients[patient]

    def fold_of_series(self, series: str) -> int | None:
        """Fold of an LIDC-IDRI scan by its Series Instance UID; None when the scan is left out."""
        return None if series in self.left_out else bisect_right(self.cuts, series)


def load_table(path: Path) -> FoldTable:
    """Read a table.

    Raises
    ------
    ConfigurationError
        It is no such table: one line per mistake.
    CohortError
        Cuts out of order, a patient who stands twice, or a collection with another number of folds.
    """
    table = validated(path, _Table)
    if list(table.cuts) != sorted(set(table.cuts)):
        raise CohortError(f"{path}: cuts: must ascend as text")
    patients: dict[str, int] = {}
    for collection in table.collections:
        if len(collection.folds) != len(table.cuts) + 1:
            raise CohortError(
                f"{path}: {collection.prefix}: {len(collection.folds)} folds, the cuts make {len(table.cuts) + 1}"
            )
        for fold, numbers in enumerate(collection.folds):
            for number in (numbers or "").split():
                if patients.setdefault(collection.prefix + number, fold) != fold:
                    raise CohortError(f"{path}: {collection.prefix}{number} stands in two folds")
    return FoldTable(patients, table.cuts, frozenset(table.left_out), sha256(path.read_bytes()).hexdigest())


@cache
def lung_folds() -> FoldTable:
    """The shipped table."""
    return load_table(SHIPPED)


def fold_of(patient: str) -> int:
    """Fold, 0 to 4, of a patient by Patient ID, such as LIDC-IDRI-0314; CohortError when the table lacks it."""
    return lung_folds().fold_of(patient)


def fold_of_series(series: str) -> int | None:
    """Fold, 0 to 4, of an LIDC-IDRI scan by Series Instance UID; None when the scan is left out."""
    return lung_folds().fold_of_series(series)
