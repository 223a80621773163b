"""Pictures of a detector's work: what is known and what was marked, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicom_node.objects.fonts import load_font, require_glyphs
from dicom_node.objects.profile import Language
from imaging.errors import StorageError
from imaging.geometry import Geometry, Vector
from imaging.images import Volume
from models.transforms import turn_to, with_spacing
from pipelines.lung_nodule.grid import sample
from training.evaluation.detection_cases import PlainScan
from training.evaluation.detection_scores import ScanFound

FALSE_SHOWN = 8
"""At most so many marks on nothing known are shown, the highest first."""
_SIDE_MM, _STEP_MM = 48, 0.75
_ENLARGED, _GAP = 3, 4
_WINDOW = (-1350.0, 150.0)  # HU
_KNOWN, _FALSE = (60, 220, 90), (255, 70, 200)


def draw_marks(case: PlainScan, marks: Sequence[tuple[Vector, float]], found: ScanFound, path: Path) -> None:
    """Write a PNG: axial, coronal and sagittal sections of everything known, then of marks on nothing known.

    Parameters
    ----------
    marks
        x, y, z (LPS, mm) and score of each, the highest first.

    Raises
    ------
    StorageError
        The file can't be written.
    """
    rows = []
    for target, truth in zip(found.targets, case.truth.nodules, strict=True):
        seen = f"marked {target.score:.2f}" if target.score else "no mark"
        rows.append((truth.centre, f"{target.kind}, {target.diameter:.0f} mm: {seen}", _KNOWN))
    what = "false mark" if case.truth.searched else "mark on what nobody searched for"
    others = [mark for mark in marks if not any(target.hit(mark[0]) for target in case.targets)]
    rows += [(np.asarray(point), f"{what} {score:.2f}", _FALSE) for point, score in others[:FALSE_SHOWN]]
    sheet = _sheet([(_sections(case.truth.volume, at), words, colour) for at, words, colour in rows], case.case)
    try:
        sheet.save(path, optimize=True)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror or error}") from None


def _sections(volume: Volume, point: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Axial, coronal and sagittal section through a point, side by side; the head is upward."""
    turn = turn_to(volume.geometry, "SPL")
    turned = turn.geometry(volume.geometry)
    half = _SIDE_MM / 2
    reach = np.ceil(half / np.asarray(turned.spacing)).astype(int) + 1
    middle = np.rint(turned.to_index(point)).astype(int)
    padded = np.pad(
        turn.apply(volume.array)[tuple(slice(max(m - r, 0), m + r + 1) for m, r in zip(middle, reach, strict=True))],
        [(max(r - m, 0), max(m + r + 1 - n, 0)) for m, r, n in zip(middle, reach, turned.shape, strict=True)],
        constant_values=-1024,
    )
    z, y, x = (int(v) for v in middle - reach)
    place: Geometry = turned.crop((z, y, x), padded.shape)
    cube = sample(padded, place, with_spacing(place, (_STEP_MM,) * 3))
    low, high = _WINDOW
    grey = np.clip((cube - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    size = round(_SIDE_MM / _STEP_MM)
    z, y, x = (n // 2 for n in grey.shape)
    views = [grey[z], grey[::-1, y], grey[::-1, :, x]]
    cut = [v[(v.shape[0] - size) // 2 :][:size, (v.shape[1] - size) // 2 :][:, :size] for v in views]
    return np.hstack([np.pad(v, ((0, 0), (0, _GAP)), constant_values=255) for v in cut])


def _sheet(rows: Sequence[tuple[NDArray[np.uint8], str, tuple[int, int, int]]], title: str) -> Image.Image:
    """Two rows of sections side by side, each with its words above."""
    font = load_font(Language.EN, 14)
    require_glyphs(font, title)
    size = round(_SIDE_MM / _STEP_MM) * _ENLARGED
    width, height = 3 * (size + _GAP * _ENLARGED), size + 24
    sheet = Image.new("RGB", (2 * width, 26 + height * -(-len(rows) // 2)))
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 4), title, font=font, fill=(255, 255, 255))
    for number, (grey, words, colour) in enumerate(rows):
        left, top = width * (number % 2), 26 + height * (number // 2)
        pen.text((left + _GAP, top + 2), words, font=font, fill=colour)
        tile = Image.fromarray(grey).resize((grey.shape[1] * _ENLARGED, size), Image.Resampling.BICUBIC)
        sheet.paste(tile, (left, top + 22))
        for view in range(3):  # arms that point at the middle and leave it free
            x, y = left + view * (size + _GAP * _ENLARGED) + size // 2, top + 22 + size // 2
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                pen.line([(x + 34 * dx, y + 34 * dy), (x + 46 * dx, y + 46 * dy)], fill=colour, width=2)
    return sheet
