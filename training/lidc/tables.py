"""Reading a set's `index.csv` and packed arrays: checked, and with an error that names the file."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import CohortError


@dataclass(frozen=True)
class Row:
    """A line of an index, as text.

    Parameters
    ----------
    at
        File and line, for messages.
    """

    values: dict[str, str]
    at: str

    def text(self, column: str) -> str:
        """A value that isn't empty."""
        if not (value := self.values[column].strip()):
            raise CohortError(f"{self.at}: {column} is empty")
        return value

    def number(self, column: str) -> float:
        """A finite number."""
        try:
            value = float(self.values[column])
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise CohortError(f"{self.at}: {column} is no number: {self.values[column]!r}")
        return value

    def count(self, column: str) -> int:
        """A whole number, 0 or more."""
        value = self.number(column)
        if value < 0 or value != int(value):
            raise CohortError(f"{self.at}: {column} is no whole number from 0: {self.values[column]!r}")
        return int(value)


def read_index(path: Path, columns: Collection[str]) -> list[Row]:
    """The lines of an index; CohortError when it can't be read, is empty, or lacks one of ``columns``."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [
                Row({k: v or "" for k, v in row.items() if k}, f"{path}: line {n}") for n, row in enumerate(reader, 2)
            ]
    except OSError as error:
        raise CohortError(f"{path}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise CohortError(f"{path}: is no CSV: {error}") from None
    if not rows:
        raise CohortError(f"{path}: holds no line")
    if lacking := [c for c in columns if c not in rows[0].values]:
        raise CohortError(f"{path}: the columns {', '.join(lacking)} are missing")
    return rows


def read_arrays(path: Path, **kinds: str) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz`, each of its kind.

    Parameters
    ----------
    kinds
        Name of each array, and its dtype's kind and size, such as ``u1``.

    Raises
    ------
    CohortError
        The file can't be read, lacks an array, or holds one of another kind.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in kinds}
    except OSError as error:
        raise CohortError(f"{path}: {error.strerror or error}") from None
    except KeyError as error:
        raise CohortError(f"{path}: {error.args[0]}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CohortError(f"{path}: is no whole .npz: {error}") from None
    for name, kind in kinds.items():
        if not arrays[name].dtype.str[1:].startswith(kind):
            raise CohortError(f"{path}: {name} is of type {arrays[name].dtype}, not {kind}")
    return arrays
