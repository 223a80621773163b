"""A case as a picture: slices through it, with the outlines of truth and answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicom_node.objects.fonts import load_font, require_glyphs
from dicom_node.objects.profile import Language
from imaging.errors import StorageError
from imaging.geometry import Vector
from models.transforms import turn_to
from training.cases import LabelledVolume

TRUTH, ANSWER, BOTH = (60, 220, 90), (255, 70, 200), (255, 230, 60)  # no grey
ENLARGED = 4
"""Pixels per millimetre."""
_SHARES = (0.25, 0.5, 0.75)
_GAP, _MOST = 6, 900
_ENLARGED_SLICE = 6
_VIEWS = ("axial", "coronal", "sagittal")
Bytes = NDArray[np.uint8]


def draw_case(volume: LabelledVolume, predicted: NDArray[np.uint8], path: Path, title: str) -> None:
    """Write a PNG: axial, coronal and sagittal slices at a quarter, half and three quarters of the structure.

    Parameters
    ----------
    predicted
        [slice, row, column] uint8 on the volume's grid.
    title
        Stands above; no patient's name belongs there.

    Raises
    ------
    StorageError
        The file can't be written.
    """
    turn = turn_to(volume.geometry, "SPL")  # from feet to head, rows to the back, columns to the left
    grey, truth, answer = (turn.apply(a) for a in (_grey(volume.array), volume.labels, predicted))
    spacing = turn.geometry(volume.geometry).spacing
    rows = [
        [_tile(grey, truth, answer, spacing, axis=axis, at=at) for at in _places(truth, answer, axis)]
        for axis in range(3)
    ]
    _save(_sheet(rows, title), path)


def draw_slice(array: NDArray[np.generic], path: Path, title: str) -> None:
    """Write a PNG of one slice [row, column], enlarged; errors and title as `draw_case`."""
    font = load_font(Language.EN, 12)
    require_glyphs(font, title)
    image = Image.fromarray(_grey(array))
    image = image.resize((_ENLARGED_SLICE * image.width, _ENLARGED_SLICE * image.height), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (max(image.width, int(font.getlength(title))) + 2 * _GAP, image.height + 24 + _GAP))
    ImageDraw.Draw(sheet).text((_GAP, 4), title, font=font, fill=255)
    sheet.paste(image, (_GAP, 24))
    _save(sheet, path)


def _save(sheet: Image.Image, path: Path) -> None:
    try:
        sheet.save(path, optimize=True)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror or error}") from None


def _grey(array: NDArray[np.generic]) -> Bytes:
    """Percentiles 1 and 99.5 as black and white."""
    values = array.astype(np.float32)
    low, high = np.percentile(values, (1, 99.5))
    scaled: Bytes = np.clip((values - low) / max(float(high - low), 1e-6) * 255, 0, 255).astype(np.uint8)
    return scaled


def _places(truth: Bytes, answer: Bytes, axis: int) -> list[int]:
    """Indices along an axis: of the truth's extent, else the answer's, else the volume's."""
    structure = next((labels for labels in (truth, answer) if labels.any()), np.ones_like(truth))
    where = np.flatnonzero(structure.any(axis=tuple(a for a in range(3) if a != axis)))
    return [round(where[0] + share * (where[-1] - where[0])) for share in _SHARES]


def _tile(grey: Bytes, truth: Bytes, answer: Bytes, spacing: Vector, *, axis: int, at: int) -> Image.Image:
    """One slice, enlarged; coronal and sagittal with the head upward."""
    across = [a for a in range(3) if a != axis]
    scale = min(ENLARGED, _MOST / 3 / max(grey.shape[a] * spacing[a] for a in across))
    height, width = (max(1, round(grey.shape[a] * spacing[a] * scale)) for a in across)
    plain, true, found = (np.take(a, at, axis=axis)[:: 1 if axis == 0 else -1] for a in (grey, truth, answer))
    image = Image.fromarray(np.ascontiguousarray(plain)).resize((width, height), Image.Resampling.BICUBIC)
    pixels: Bytes = np.stack([np.asarray(image)] * 3, axis=-1).copy()
    ours, theirs = (_outline(_enlarged(labels, height, width)) for labels in (found, true))
    pixels[theirs], pixels[ours], pixels[ours & theirs] = TRUTH, ANSWER, BOTH
    return Image.fromarray(pixels)


def _enlarged(labels: Bytes, height: int, width: int) -> Bytes:
    rows = np.arange(height) * labels.shape[0] // height
    columns = np.arange(width) * labels.shape[1] // width
    enlarged: Bytes = labels[rows][:, columns]
    return enlarged


def _outline(labels: Bytes) -> NDArray[np.bool_]:
    """Pixels of a label beside another one; between two labels, the pixel of the greater."""
    edge = np.zeros(labels.shape, bool)
    padded = np.pad(labels, 1)
    for beside in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= labels > beside
    return edge


def _sheet(rows: list[list[Image.Image]], title: str) -> Image.Image:
    font, small = load_font(Language.EN, 16), load_font(Language.EN, 12)
    require_glyphs(font, title)
    legend = (("truth", TRUTH), ("answer", ANSWER), ("both", BOTH))
    body = max(sum(tile.width + _GAP for tile in row) for row in rows) + _GAP
    width = max(body, int(font.getlength(title)) + 2 * _GAP, 260)
    heads = [max(tile.height for tile in row) for row in rows]
    sheet = Image.new("RGB", (width, 52 + sum(h + 18 + _GAP for h in heads) + _GAP))
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 4), title, font=font, fill=(255, 255, 255))
    x = _GAP
    for word, colour in legend:
        pen.line([(x, 38), (x + 18, 38)], fill=colour, width=2)
        pen.text((x + 24, 30), word, font=small, fill=(220, 220, 220))
        x += 40 + int(small.getlength(word))
    top = 52
    for name, row, head in zip(_VIEWS, rows, heads, strict=True):
        pen.text((_GAP, top), name, font=small, fill=(160, 160, 160))
        x = _GAP
        for tile in row:
            sheet.paste(tile, (x, top + 18))
            x += tile.width + _GAP
        top += head + 18 + _GAP
    return sheet
