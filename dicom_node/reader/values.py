"""Single values out of untrusted headers: what is malformed is None or empty, never an exception or a guess."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from datetime import date, time
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom_node.objects.text import declared_sets, decode_text

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}


@cache
def tag(keyword: str) -> int:
    """The tag of a standard keyword."""
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(f"{keyword} is no DICOM keyword")
    return int(number)


def text(dataset: Dataset, keyword: str) -> str:
    """The first value as text, in the dataset's own character set; empty when absent."""
    values = texts(dataset, keyword)
    return values[0] if values else ""


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values as text, without padding; empty when absent."""
    value = _value(dataset, keyword)
    if isinstance(value, bytes):
        decoded, _ = decode_text(value, declared_sets(_value(dataset, "SpecificCharacterSet")))
        # decoded first: in GBK and Shift JIS the backslash may be half a character
        value = decoded.split("\\")
    items = value if isinstance(value, (list, MultiValue)) else [value]
    stripped = tuple("" if item is None else str(item).strip(" \0\r\n\t") for item in items)
    return stripped if any(stripped) else ()


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """``count`` finite numbers, or None when they are absent, malformed or of another count."""
    element = dataset.get_item(tag(keyword))
    values: Sequence[Any]
    if isinstance(element, RawDataElement) and (code := _BINARY.get(_vr(element))):
        raw = element.value or b""
        width = struct.calcsize(code)
        order = "<" if element.is_little_endian else ">"
        values = struct.unpack(f"{order}{len(raw) // width}{code}", raw[: len(raw) // width * width])
    else:
        values = texts(dataset, keyword)
    if len(values) != count:
        return None
    try:
        found = tuple(float(v) for v in values)
    except ValueError:
        return None
    return found if all(math.isfinite(v) for v in found) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number, or None."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """One whole number, or None."""
    found = number(dataset, keyword)
    return int(found) if found is not None and found == int(found) else None


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; empty when absent."""
    element = dataset.get(tag(keyword))
    if element is None or element.VR != "SQ" or element.value is None:
        return ()
    found: Sequence[Dataset] = element.value
    return found


def da(value: str) -> date | None:
    """A DA (PS3.5 section 6.2), also as old writers put it (1998.12.24); None when it is none."""
    if not re.fullmatch(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}", value):
        return None
    plain = value.replace(".", "")
    try:
        return date(int(plain[:4]), int(plain[4:6]), int(plain[6:]))
    except ValueError:
        return None


def tm(value: str) -> time | None:
    """A TM (PS3.5 section 6.2), also as old writers put it (08:30:00); None when it is none, or has no minutes."""
    match = re.fullmatch(r"([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:\.([0-9]{1,6}))?)?", value)
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return time(int(hour), int(minute), min(int(second or 0), 59), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None


def _value(dataset: Dataset, keyword: str) -> Any:
    element = dataset.get_item(tag(keyword))
    return None if element is None else element.value


def _vr(element: RawDataElement) -> str:
    if element.VR in (None, "UN"):
        return str(dictionary_VR(element.tag)).split(" or ")[0]
    return str(element.VR)
