"""Slices with outlines and words -> a picture. Pure rendering: nothing of DICOM, nothing of the patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from dicom_node.objects.fonts import Font, load_font, require_glyphs
from dicom_node.objects.profile import Language

TILE = 448  # pixels, the longer side of a slice or a close-up
MARGIN = 12
COLUMNS = 2
CLOSE_UP = 56.0  # mm across
OUTLINE = (255, 214, 10)
LABEL = (255, 214, 10)
TEXT = (235, 235, 235)
FAINT = (165, 165, 165)
WARNING = (255, 120, 80)
BLACK = (0, 0, 0)


@dataclass(frozen=True)
class Window:
    """Centre and width of the grey scale (PS3.3 C.11.2.1.2), in the image's units."""

    centre: float
    width: float

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Values -> 0..255; same shape."""
        low = self.centre - self.width / 2
        grey: NDArray[np.uint8] = (np.clip((values - low) / self.width, 0, 1) * 255).round().astype(np.uint8)
        return grey


@dataclass(frozen=True, eq=False)
class Outline:
    """A region to be outlined and numbered: ``mask`` is [row, column] bool of the slice's shape."""

    number: int
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Panel:
    """One slice with what is said about it.

    Parameters
    ----------
    image
        [row, column], HU or the image's own units.
    spacing
        Between rows, between columns, mm.
    title
        Where it is: series and image number.
    lines
        What is said about it.
    outlines
        Regions on it.
    focus
        (row, column) of the close-up's centre; None for none.
    letters
        Patient directions at the left and the top edge (``R``, ``A`` …); empty when unknown.
    """

    image: NDArray[np.float32]
    spacing: tuple[float, float]
    title: str
    lines: tuple[str, ...] = ()
    outlines: tuple[Outline, ...] = ()
    focus: tuple[float, float] | None = None
    letters: tuple[str, str] = ("", "")


def render(
    panels: Sequence[Panel], window: Window, warning: str, heading: Sequence[str], language: Language
) -> Image.Image:
    """Draw the panels below the heading.

    Parameters
    ----------
    panels
        In reading order; none draws the words alone.
    window
        Grey scale of all slices.
    warning
        The line that says what this is; drawn first and in a colour of its own.
    heading
        Further lines: conclusion, model.

    Returns
    -------
    Image.Image
        RGB.

    Raises
    ------
    ResultError
        No font for the language, or a character that the font lacks.
    """
    font, small = load_font(language, 19), load_font(language, 15)
    require_glyphs(font, warning + "".join(heading))
    require_glyphs(small, "".join(p.title + "".join(p.lines) for p in panels) + " mm")
    drawn = [_panel(panel, window, small) for panel in panels]
    columns = min(COLUMNS, max(len(drawn), 1))
    cell = max([image.width for image in drawn] or [2 * TILE])
    width = columns * cell + (columns + 1) * MARGIN
    words = [(line, WARNING) for line in _wrap(warning, font, width - 2 * MARGIN)]
    words += [(line, TEXT) for text in heading for line in _wrap(text, font, width - 2 * MARGIN)]
    top = MARGIN + len(words) * 27 + MARGIN
    rows = [drawn[i : i + columns] for i in range(0, len(drawn), columns)]
    canvas = Image.new("RGB", (width, top + sum(max(p.height for p in row) + MARGIN for row in rows)), BLACK)
    draw = ImageDraw.Draw(canvas)
    for i, (line, colour) in enumerate(words):
        draw.text((MARGIN, MARGIN + i * 27), line, colour, font)
    for row in rows:
        for column, panel_image in enumerate(row):
            canvas.paste(panel_image, (MARGIN + column * (cell + MARGIN), top))
        top += max(p.height for p in row) + MARGIN
    return canvas


def _panel(panel: Panel, window: Window, font: Font) -> Image.Image:
    rows, columns = panel.image.shape
    images = [_slice(panel, (0, 0), (rows, columns), window, font)]
    if panel.focus is not None:
        start, stop = _around(panel, panel.focus)
        images.append(_slice(panel, start, stop, window, font))
    width = sum(image.width for image in images) + 4 * (len(images) - 1)
    height = max(image.height for image in images)
    lines = [(line, FAINT) for line in _wrap(panel.title, font, width)]
    lines += [(line, TEXT) for text in panel.lines for line in _wrap(text, font, width)]
    canvas = Image.new("RGB", (width, height + 6 + 22 * len(lines)), BLACK)
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width + 4
    draw = ImageDraw.Draw(canvas)
    for i, (line, colour) in enumerate(lines):
        draw.text((0, height + 4 + 22 * i), line, colour, font)
    return canvas


def _around(panel: Panel, focus: tuple[float, float]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Start and stop (row, column) of the square of `CLOSE_UP` mm around the focus; larger for a larger region."""
    row, column = (min(max(round(f), 0), n - 1) for f, n in zip(focus, panel.image.shape, strict=True))
    reach = CLOSE_UP / 2
    for outline in panel.outlines:
        if outline.mask[row, column]:
            sides = np.ptp(np.argwhere(outline.mask), axis=0) * panel.spacing
            reach = max(reach, float(sides.max()) / 2 * 1.3)
    ends = []
    for centre, size, step in zip((row, column), panel.image.shape, panel.spacing, strict=True):
        half = max(1, round(reach / step))
        middle = min(max(centre, half), max(size - half, half))
        ends.append((max(0, middle - half), min(size, middle + half)))
    (top, bottom), (left, right) = ends
    return (top, left), (bottom, right)


def _slice(panel: Panel, start: tuple[int, int], stop: tuple[int, int], window: Window, font: Font) -> Image.Image:
    """The part of the slice from ``start`` to ``stop`` (row, column), outlined and labelled."""
    values = panel.image[start[0] : stop[0], start[1] : stop[1]]
    rows, columns = values.shape
    high, wide = rows * panel.spacing[0], columns * panel.spacing[1]
    scale = TILE / max(high, wide)  # pixels per mm
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    grey = Image.fromarray(window.apply(values)).resize(size, Image.Resampling.BICUBIC)
    picture = np.repeat(np.asarray(grey)[..., np.newaxis], 3, axis=2)
    labels = []
    for outline in panel.outlines:
        part = outline.mask[start[0] : stop[0], start[1] : stop[1]]
        if not part.any():
            continue
        grown = np.asarray(Image.fromarray(part).resize(size, Image.Resampling.NEAREST))
        inner, outer = (ndimage.binary_dilation(grown, iterations=n) for n in (1, 2))
        picture[outer & ~inner] = OUTLINE  # around the region, not over its rim
        labels.append((str(outline.number), np.argwhere(grown)))
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for text, where in labels:
        top, right = int(where[:, 0].min()), int(where[:, 1].max())
        place = (min(right + 5, size[0] - 16), max(top - 18, 0))
        draw.text(place, text, LABEL, font, stroke_width=2, stroke_fill=BLACK)
    left, upper = panel.letters
    draw.text((4, size[1] // 2 - 10), left, TEXT, font, stroke_width=2, stroke_fill=BLACK)
    draw.text((size[0] // 2 - 5, 2), upper, TEXT, font, stroke_width=2, stroke_fill=BLACK)
    _scale_bar(draw, scale, size, font)
    return image


def _scale_bar(draw: ImageDraw.ImageDraw, scale: float, size: tuple[int, int], font: Font) -> None:
    """A bar of a round number of mm, at most a third of the width, at the lower right."""
    length = max(mm for mm in (1, 5, 10, 50, 100) if mm == 1 or mm * scale <= size[0] / 3)
    right, bottom = size[0] - 10, size[1] - 10
    left = right - round(length * scale)
    for colour, width in ((BLACK, 6), (TEXT, 2)):
        draw.line([(left, bottom), (right, bottom)], colour, width)
        for x in (left, right):
            draw.line([(x, bottom - 4), (x, bottom + 4)], colour, width)
    label = f"{length} mm"
    draw.text((right - font.getlength(label), bottom - 26), label, TEXT, font, stroke_width=2, stroke_fill=BLACK)


def _wrap(text: str, font: Font, width: float) -> list[str]:
    """Lines of at most ``width`` pixels; breaks at spaces and between Chinese characters."""
    lines, line = [], ""
    for token in re.findall(r"[⺀-￿]|[^\s⺀-￿]+|\s+", text):
        if line and font.getlength(line + token) > width:
            lines.append(line.rstrip())
            line = token.lstrip()
        else:
            line += token
    return [*lines, line.rstrip()] if line.strip() else lines
