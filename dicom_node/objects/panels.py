"""A result order -> the panels and words of its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom_node.objects.order import EarlierSlice, ResultOrder
from dicom_node.objects.picture import Outline, Panel, Window, render
from dicom_node.objects.sources import Frame
from dicom_node.objects.wording import Wording, wording
from imaging import codes
from imaging.reading import Finding, Measurement

SHOWN = 6  # panels; the report has all findings


@dataclass(frozen=True)
class _Place:
    """One panel: a slice with the findings on it, or one finding beside its place in the earlier examination.

    Parameters
    ----------
    earlier
        Whether the slice is one of the earlier examination.
    """

    index: int
    findings: tuple[Finding, ...] = ()
    earlier: bool = False


def _places(order: ResultOrder) -> list[_Place]:
    """What is shown: before-and-after pairs first, side by side, then the other findings' slices."""
    findings = [f for f in order.reading.findings if f.key_slice in order.key_slices]
    if not order.reading.findings:
        return [_Place(index) for index in sorted(order.key_slices)][:SHOWN]
    paired = [f for f in findings if f.earlier is not None and f.earlier.key_slice in order.earlier_slices]
    places = []
    for finding in paired:
        places.append(_Place(finding.key_slice, (finding,)))
        assert finding.earlier is not None
        places.append(_Place(finding.earlier.key_slice, (finding,), earlier=True))
    alone = [f for f in findings if f not in paired]
    slices = dict.fromkeys(f.key_slice for f in alone)
    places += [_Place(index, tuple(f for f in alone if f.key_slice == index)) for index in slices]
    return places[:SHOWN]


def draw_picture(order: ResultOrder) -> Image.Image:
    """The picture of a reading: its findings on their key slices, each beside the earlier examination where there is
    one, or the slices handed over when it has none."""
    words, reading = wording(order.profile.language), order.reading
    places = _places(order)
    panels = [_earlier_panel(order, p, words) if p.earlier else _panel(order, p, words) for p in places]
    left_out = len(reading.findings) - len({f.number for p in places for f in p.findings})
    model = f"{reading.model.name} {reading.model.version}"
    heading = [reading.conclusion] if model in reading.conclusion else [reading.conclusion, model]
    if left_out:
        heading.append(words.more.format(count=left_out))
    if not panels:
        heading.append(words.none_shown)
    window = _window(order, [p.index for p in places if not p.earlier])
    return render(panels, window, words.research, heading, order.profile.language)


def shown_frames(order: ResultOrder) -> list[Frame]:
    """The source frames that the picture shows, for its Source Image Sequence."""
    return [order.frames[index] for index in dict.fromkeys(p.index for p in _places(order) if not p.earlier)]


def shown_earlier(order: ResultOrder) -> list[EarlierSlice]:
    """The slices of the earlier examination that the picture shows."""
    return [order.earlier_slices[index] for index in dict.fromkeys(p.index for p in _places(order) if p.earlier)]


def _window(order: ResultOrder, shown: list[int]) -> Window:
    """The reading's own window, else the image header's, else the whole range of what is shown."""
    if order.reading.window is not None:
        return Window(*order.reading.window)
    for index in shown:
        window = order.frames[index].window
        if window is not None:
            return Window(*window)
    values = [order.key_slices[index] for index in shown]
    low = min((float(v.min()) for v in values), default=0.0)
    high = max((float(v.max()) for v in values), default=1.0)
    return Window((low + high) / 2, max(high - low, 1.0))


def _panel(order: ResultOrder, place: _Place, words: Wording) -> Panel:
    index, findings = place.index, place.findings
    frame = order.frames[index]
    outlines = tuple(
        Outline(number, section)
        for number in sorted(order.masks)
        if (section := _section(order, number, index)) is not None
    )
    title = words.image.format(
        series=frame.header.get("SeriesNumber") or "?",
        image=frame.header.get("InstanceNumber") or "?" if frame.number is None else frame.number,
        slice=index + 1,
        count=len(order.frames),
    )
    return Panel(
        image=order.key_slices[index],
        spacing=_spacing(order, frame),
        title=title,
        lines=tuple(_line(finding, words) for finding in findings),
        outlines=outlines,
        focus=_focus(order, findings[0]) if findings else None,
        letters=_letters(order),
    )


def _earlier_panel(order: ResultOrder, place: _Place, words: Wording) -> Panel:
    """Where a finding lies in the earlier examination; nothing is outlined on it."""
    (finding,), shown = place.findings, order.earlier_slices[place.index]
    assert finding.earlier is not None
    made = order.prior.study_date if order.prior else None
    title = words.earlier_image.format(
        date=made.isoformat() if made else words.unknown_date, slice=place.index + 1, count=shown.count
    )
    cosines = shown.orientation
    letters = ("", "")
    if cosines is not None:
        letters = (_letter((cosines[0], cosines[1], cosines[2])), _letter((cosines[3], cosines[4], cosines[5])))
    return Panel(
        image=shown.image,
        spacing=shown.spacing,
        title=title,
        lines=(words.earlier_label.format(number=finding.number, words=finding.earlier.words),),
        focus=(finding.earlier.row, finding.earlier.column),
        letters=letters,
    )


def _section(order: ResultOrder, number: int, index: int) -> NDArray[np.bool_] | None:
    """[row, column] of one mask on one slice; None where it isn't."""
    mask = order.masks[number]
    z, y, x = mask.offset
    if not (z <= index < z + mask.array.shape[0] and mask.array[index - z].any()):
        return None
    section = np.zeros(mask.geometry.shape[1:], dtype=bool)
    section[y : y + mask.array.shape[1], x : x + mask.array.shape[2]] = mask.array[index - z]
    return section


def _spacing(order: ResultOrder, frame: Frame) -> tuple[float, float]:
    if order.geometry is not None:
        return order.geometry.spacing[1], order.geometry.spacing[2]
    rows, columns = frame.pixel_spacing or (1.0, 1.0)
    return rows, columns


def _focus(order: ResultOrder, finding: Finding) -> tuple[float, float] | None:
    if order.geometry is None:
        return None
    _, row, column = order.geometry.to_index(finding.centre)
    return float(row), float(column)


def _letters(order: ResultOrder) -> tuple[str, str]:
    """Patient directions (LPS) against which columns and rows grow: what stands at the left and at the top."""
    if order.geometry is None:
        return "", ""
    rows, columns = order.geometry.direction[1], order.geometry.direction[2]
    return _letter(columns), _letter(rows)


def _letter(direction: tuple[float, float, float]) -> str:
    axis = int(np.argmax(np.abs(direction)))
    return ("RL", "AP", "FH")[axis][0 if direction[axis] > 0 else 1]


def _line(finding: Finding, words: Wording) -> str:
    kind, place = words.term(finding.kind.meaning), finding.place or _site(finding, words)
    parts = [words.label.format(number=finding.number, kind=kind, place=place)]
    parts += [f"{_name(m, words)} {_value(m)}" for m in finding.measurements]
    parts += [f"{words.term(a.concept.meaning)} {words.term(a.value.meaning)}" for a in finding.assessments]
    if finding.confidence is not None:
        parts.append(f"{words.term(codes.CERTAINTY.meaning)} {finding.confidence * 100:.0f} %")
    return " · ".join(parts)


def _site(finding: Finding, words: Wording) -> str:
    side = f"{words.term(finding.laterality.meaning)} " if finding.laterality else ""
    return f"{side}{words.term(finding.site.meaning)}".lower()


def _name(measurement: Measurement, words: Wording) -> str:
    name = words.term(measurement.concept.meaning)
    if measurement.derivation is None:
        return name
    return words.derived.format(derivation=words.term(measurement.derivation.meaning), name=name)


def _value(measurement: Measurement) -> str:
    """With its unit, as people read it: volumes in ml, lengths to a tenth of a mm."""
    scale, digits, unit = {
        codes.MM3: (1000.0, 2, "ml"),
        codes.HU: (1.0, 0, "HU"),
    }.get(measurement.unit, (1.0, 1, measurement.unit.value))
    text = f"{measurement.value / scale:.{digits}f}"
    if measurement.error is not None:
        text += f" ± {measurement.error / scale:.{digits}f}"
    return f"{text} {unit}"
