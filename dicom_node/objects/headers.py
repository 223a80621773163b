"""A mended copy of one header: decoded text, standard forms, nothing private, no pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import DataElement, Dataset, Sequence, dcmread
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag

from dicom_node.objects.text import MULTI_VALUED, TEXT_VRS, declared_sets, decode_text
from dicom_node.objects.values import MENDS, mend_sex, mend_zone
from imaging.errors import ResultError

# Attributes of Type 1 or 2 in the Patient and General Study modules: every object has them, if only empty.
REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_TOP_LEVEL = {"PatientSex": mend_sex, "TimezoneOffsetFromUTC": mend_zone}
_PIXELS = {0x00880200, 0x7FE00010}  # icon image, pixel data
_GROUPS = {0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x0032, 0x0038, 0x0040, 0x5200}

# What the writers read of an image besides the patient and the study.
IMAGE_TAGS = frozenset(
    {
        0x00080005, 0x00080016, 0x00080018, 0x00080060, 0x00180050, 0x0020000D, 0x0020000E, 0x00200011, 0x00200013,
        0x00200032, 0x00200037, 0x00200052, 0x00201040, 0x00280008, 0x00280010, 0x00280011, 0x00280030, 0x00281050,
        0x00281051, 0x00282110, 0x00282112, 0x00282114, 0x52009229, 0x52009230,
    }
)  # fmt: skip


def read_header(path: Path) -> Dataset:
    """The header of a DICOM file, undecoded; ResultError when it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd character sets are judged here, not by pydicom
            return dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise ResultError(f"a source header can't be read: {error}; is the stored file still there?") from error


def mend(header: Dataset, only: frozenset[int] | None = None) -> tuple[Dataset, list[str]]:
    """A decoded copy of a header with malformed values put right.

    Parameters
    ----------
    header
        As read from the file.
    only
        Tags to keep; None keeps all public ones.

    Returns
    -------
    tuple[Dataset, list[str]]
        The copy, whose text is str throughout, and one sentence for every value that had to be changed. The
        sentences quote the original value, so they belong in the patient's own report and nowhere else.
    """
    copy, notes = Dataset(), list[str]()
    raw = header.get_item(0x00080005)
    copier = _Copier(declared_sets(None if raw is None else raw.value), notes)
    for tag in header.keys():  # noqa: SIM118 -- iterating over elements would convert their values
        if _wanted(tag, only):
            copier.copy(header, tag, copy, top=True)
    return copy, notes


def complete(header: Dataset) -> list[str]:
    """Write the required patient and study attributes that a copy lacks as empty, and say which."""
    absent = [keyword for keyword in REQUIRED if keyword not in header]
    for keyword in absent:
        setattr(header, keyword, "")
    return [f"Absent in the source and written empty: {', '.join(absent)}"] if absent else []


def _wanted(tag: BaseTag, only: frozenset[int] | None) -> bool:
    if only is not None:
        return int(tag) in only
    return tag.group in _GROUPS and int(tag) not in _PIXELS


@dataclass(frozen=True)
class _Copier:
    """Copies elements, decoding under the ``declared`` sets and telling ``notes`` what had to be changed."""

    declared: tuple[str, ...]
    notes: list[str]

    def copy(self, source: Dataset, tag: BaseTag, target: Dataset, *, top: bool = False) -> None:
        keyword = keyword_for_tag(tag)
        if not keyword or keyword == "SpecificCharacterSet":
            return
        element = source.get_item(tag)
        vr = _vr(element)
        rule = (_TOP_LEVEL.get(keyword) if top else None) or MENDS.get(vr)
        value: Any
        try:
            if isinstance(element, RawDataElement) and (vr in TEXT_VRS or rule is not None):
                value = self._simple(element.value or b"", vr, rule, f"{keyword} {tag}")
            else:
                value = _converted(element, vr, target).value
            if vr == "SQ":
                value = Sequence([self._item(item) for item in value or ()])
            target[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
        except (ValueError, TypeError, KeyError, NotImplementedError, OverflowError) as error:
            self.notes.append(f"{keyword} {tag}: {_quote(element.value)} can't be read ({error}): left out")

    def _item(self, item: Dataset) -> Dataset:
        copy = Dataset()
        own = item.get_item(0x00080005)
        sets = self.declared if own is None else declared_sets(_converted(own, "CS", copy).value)
        for tag in item.keys():  # noqa: SIM118
            if not tag.is_private:
                _Copier(sets, self.notes).copy(item, tag, copy)
        return copy

    def _simple(self, value: bytes, vr: str, rule: Callable[[str], str] | None, name: str) -> str | list[str]:
        text, assumed = decode_text(value, self.declared)
        if assumed:
            declaration = "\\".join(self.declared) or "none"
            self.notes.append(f"{name}: not text of the declared character set ({declaration}); read as {assumed}")
        parts = text.split("\\") if vr in MULTI_VALUED or rule is not None else [text]
        written = [part.rstrip(" ") if rule is None else rule(part) for part in parts]
        for old, new in zip(parts, written, strict=True):
            if old.strip() != new.strip():
                self.notes.append(f"{name}: {old!r} is not allowed; written " + (f"as {new!r}" if new else "empty"))
        return written[0] if len(written) == 1 else written


def _vr(element: DataElement | RawDataElement) -> str:
    vr = element.VR
    if vr is None or (vr == "UN" and keyword_for_tag(element.tag)):
        vr = dictionary_VR(element.tag)
    return "US" if vr == "US or SS" else str(vr)


def _converted(element: DataElement | RawDataElement, vr: str, dataset: Dataset) -> DataElement:
    if isinstance(element, DataElement):
        return element
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_raw_data_element(element._replace(VR=vr), encoding=["iso8859"], ds=dataset)


def _quote(value: object) -> str:
    text = value.decode("latin_1") if isinstance(value, bytes) else str(value)
    return repr(text if len(text) <= 64 else text[:61] + "...")
