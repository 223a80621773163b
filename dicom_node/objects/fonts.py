"""A font that has every character it is asked to draw."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from PIL import ImageFont

from dicom_node.objects.profile import Language
from imaging.errors import ResultError

Font = ImageFont.FreeTypeFont

_CJK = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
_LATIN = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
_NO_CHARACTER = "\U0010ffff"  # never assigned, so it is drawn as the font's "missing" box


def load_font(language: Language, size: int) -> Font:
    """The font for a language's pictures.

    Parameters
    ----------
    language
        Chinese needs Noto Sans CJK (Debian: fonts-noto-cjk); English takes it too where it is installed, then
        DejaVu, then the font that Pillow carries.
    size
        Pixels.

    Raises
    ------
    ResultError
        Chinese without a Chinese font.
    """
    cjk = _CJK if _CJK.is_file() else _by_fontconfig("Noto Sans CJK SC")
    if cjk is not None:
        return _simplified_chinese(cjk, size)
    if language is Language.ZH:
        raise ResultError("Chinese pictures need the font Noto Sans CJK; install the package fonts-noto-cjk")
    if _LATIN.is_file():
        return ImageFont.truetype(_LATIN, size)
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ResultError("this Pillow was built without FreeType, so no text can be drawn")
    return font


def require_glyphs(font: Font, text: str) -> None:
    """ResultError when ``font`` lacks a character of ``text``: a box in place of a character is no result."""
    missing = _drawn(font, _NO_CHARACTER)
    lacking = sorted({c for c in text if not c.isspace() and _drawn(font, c) == missing})
    if lacking:
        name = " ".join(str(part) for part in font.getname())
        raise ResultError(f"the font {name} has no glyph for {''.join(lacking)!r}; install fonts-noto-cjk")


def _drawn(font: Font, text: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(text)
    return mask.size, bytes(mask)


def _simplified_chinese(path: Path, size: int) -> Font:
    """Of the collection's fonts the one with Simplified Chinese forms."""
    for index in range(10):
        try:
            font = ImageFont.truetype(path, size, index=index)
        except OSError:
            break
        if " SC" in str(font.getname()[0]):
            return font
    return ImageFont.truetype(path, size)


def _by_fontconfig(family: str) -> Path | None:
    program = shutil.which("fc-match")
    if program is None:
        return None
    command = [program, "--format", "%{family}\n%{file}", family]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    lines = answer.stdout.splitlines()
    # fontconfig always answers, if need be with another family
    return Path(lines[1]) if len(lines) == 2 and "CJK" in lines[0] else None
