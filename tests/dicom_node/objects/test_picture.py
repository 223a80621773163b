from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dicom_node.objects import fonts
from dicom_node.objects.fonts import load_font, require_glyphs
from dicom_node.objects.panels import _places, draw_picture, shown_earlier, shown_frames
from dicom_node.objects.picture import OUTLINE, TILE, Outline, Panel, Window, render
from dicom_node.objects.profile import Language, ObjectProfile
from imaging.errors import ResultError
from imaging.reading import Finding
from tests.dicom_node.objects.orders import (
    ct_geometry,
    finding,
    judged_order,
    order_for,
    reading,
    small_order,
    write_ct,
)

LUNG = Window(-600, 1500)


def drawn(*panels: Panel, language: Language = Language.EN) -> Image.Image:
    return render(panels, LUNG, "AI, research use", ["conclusion"], language)


def outlined(image: Image.Image) -> int:
    return int(np.all(np.asarray(image) == OUTLINE, axis=-1).sum())


@given(st.lists(st.floats(-5000, 5000, width=32), min_size=2, max_size=20), st.floats(1, 4000))
def test_window_keeps_order_and_ends(values: list[float], width: float) -> None:
    grey = Window(-600, width).apply(np.sort(np.array(values, np.float32)))
    assert np.all(np.diff(grey.astype(int)) >= 0)
    ends = np.array([-600 - width, -600 + width], np.float32)
    assert Window(-600, width).apply(ends).tolist() == [0, 255]


def test_a_region_is_outlined_and_not_covered() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20:30, 30:40] = True
    image = np.full((64, 64), -600, np.float32)
    plain = drawn(Panel(image, (1.0, 1.0), "t"))
    marked = drawn(Panel(image, (1.0, 1.0), "t", outlines=(Outline(1, mask),)))
    assert outlined(plain) == 0
    assert outlined(marked) > 100
    where = np.argwhere(np.all(np.asarray(marked) == OUTLINE, axis=-1))
    left = where[where[:, 1] <= where[:, 1].min() + 1]  # the left side; the number stands on the right
    assert 0 <= np.ptp(left[:, 0]) - 10 * TILE / 64 <= 4


@pytest.mark.parametrize("spacing", [(2.0, 1.0), (1.0, 2.0)])
def test_millimetres_are_square(spacing: tuple[float, float]) -> None:
    one = drawn(Panel(np.zeros((60, 60), np.float32), spacing, "t"))
    square = drawn(Panel(np.zeros((60, 60), np.float32), (1.0, 1.0), "t"))
    if spacing[0] > spacing[1]:
        assert (one.width, one.height) < (square.width, square.height + 1)
    else:
        assert one.height == square.height - TILE // 2


@given(st.floats(-20, 90), st.floats(-20, 90))
def test_the_close_up_stays_inside_the_slice(row: float, column: float) -> None:
    from dicom_node.objects.picture import _around

    panel = Panel(np.zeros((70, 60), np.float32), (0.9, 0.7), "t")
    (top, left), (bottom, right) = _around(panel, (row, column))
    assert 0 <= top < bottom <= 70
    assert 0 <= left < right <= 60


def test_words_alone_are_a_picture_too() -> None:
    assert drawn().height > 50


def test_chinese_has_its_glyphs() -> None:
    text = "人工智能 结节 长径 体积"
    require_glyphs(load_font(Language.ZH, 16), text)
    assert drawn(language=Language.ZH).size == drawn().size


def test_a_missing_glyph_is_an_error() -> None:
    with pytest.raises(ResultError, match="no glyph"):
        require_glyphs(load_font(Language.ZH, 16), "\U00012000")  # cuneiform


def test_without_a_chinese_font(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fonts, "_CJK", tmp_path / "none.ttc")
    monkeypatch.setattr(fonts, "_by_fontconfig", lambda family: None)
    with pytest.raises(ResultError, match="fonts-noto-cjk"):
        load_font(Language.ZH, 16)
    for latin in (fonts._LATIN, tmp_path / "none.ttf"):
        monkeypatch.setattr(fonts, "_LATIN", latin)
        font = load_font(Language.EN, 16)
        require_glyphs(font, "Nodule 1: 9.2 ± 0.7 mm, volume 0.81 ml · -12 HU")
        with pytest.raises(ResultError, match="no glyph"):
            require_glyphs(font, "结")


def test_no_patient_identity_in_the_pixels(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    stranger = write_ct(
        other, PatientName="Roe^Richard", PatientID="Q9", PatientBirthDate="19330303", AccessionNumber="Z"
    )
    same = order_for(stranger, ct_geometry(), [((3, 30, 20), 4.0), ((6, 20, 30), 3.0)])
    assert draw_picture(order).tobytes() == draw_picture(same).tobytes()


def test_the_window_is_the_reading_s_else_the_header_s(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    order = replace(order, key_slices={k: np.full((64, 48), -600, np.float32) for k in order.key_slices})
    pictures = {
        window: draw_picture(replace(order, reading=replace(order.reading, window=window))).tobytes()
        for window in (None, (-600.0, 1600.0), (40.0, 400.0))
    }
    assert pictures[None] == pictures[-600.0, 1600.0]
    assert pictures[None] != pictures[40.0, 400.0]


def test_languages_differ(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    chinese = replace(order, profile=ObjectProfile(language=Language.ZH))
    assert draw_picture(order).tobytes() != draw_picture(chinese).tobytes()


def test_many_findings_are_cut_and_the_rest_is_named(tmp_path: Path) -> None:
    paths, geometry = write_ct(tmp_path), ct_geometry()
    order = order_for(paths, geometry, [((k, 30, 20), 3.0) for k in range(8)])
    assert len(shown_frames(order)) == 6
    findings: tuple[Finding, ...] = order.reading.findings[:6]
    six = replace(
        order,
        reading=replace(order.reading, findings=findings),
        masks={n: m for n, m in order.masks.items() if n <= 6},
    )
    assert draw_picture(order).height > draw_picture(six).height  # one line more in the heading


def test_a_finding_without_its_slice_is_still_named(tmp_path: Path) -> None:
    paths, geometry = write_ct(tmp_path), ct_geometry()
    order = order_for(paths, geometry, [((3, 30, 20), 3.0)])
    plain = replace(order, key_slices={})
    assert draw_picture(plain).height < draw_picture(order).height
    assert shown_frames(plain) == []
    point = finding(1, None, geometry, (3, 30, 20))
    marked = replace(order, masks={}, reading=reading(order.reading.study_instance_uid, [point]))
    assert outlined(draw_picture(marked)) < outlined(draw_picture(order))


def test_before_and_after_stand_side_by_side(tmp_path: Path) -> None:
    order = judged_order(small_order(tmp_path))
    places = [(p.index, p.earlier, [f.number for f in p.findings]) for p in _places(order)]
    assert places == [(3, False, [1]), (2, True, [1]), (6, False, [2])]
    alone = replace(order, earlier_slices={})
    assert [(p.index, p.earlier) for p in _places(alone)] == [(3, False), (6, False)]
    assert draw_picture(order).size[1] > draw_picture(alone).size[1]
    assert len(shown_frames(order)) == 2 and len(shown_earlier(order)) == 1
