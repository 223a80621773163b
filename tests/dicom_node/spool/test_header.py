"""The bounded walk over a dataset."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.spool.header import INFLATED_LIMIT, STEP_LIMIT, Header, read_header
from imaging.errors import HeaderError

IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
EXPECTED = Header("1.2.3", "1.2.4", "1.2.5", "1.2.840.10008.5.1.4.1.1.2")


def encode(syntax: str, undefined: bool = False, **changes: Any) -> bytes:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = EXPECTED.sop_class_uid, EXPECTED.sop_instance_uid
    image.StudyInstanceUID, image.SeriesInstanceUID = EXPECTED.study_instance_uid, EXPECTED.series_instance_uid
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.9"
    item.PurposeOfReferenceCodeSequence = Sequence([Dataset()])
    image.ReferencedImageSequence = Sequence([item, item])
    if undefined:
        for owner in (image["ReferencedImageSequence"], item["PurposeOfReferenceCodeSequence"]):
            owner.is_undefined_length = True
            for inner in owner.value:
                inner.is_undefined_length_sequence_item = True
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    buffer = io.BytesIO()
    dcmwrite(buffer, image, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG, enforce_file_format=False)
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(buffer.getvalue()) + packer.flush()
    return buffer.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
def test_uids_behind_sequences(syntax: str, undefined: bool) -> None:
    assert read_header(encode(syntax, undefined), syntax) == EXPECTED


def test_bytes_before_the_dataset_are_passed_over() -> None:
    assert read_header(b"junk" + encode(EXPLICIT), EXPLICIT, 4) == EXPECTED


def test_unknown_sequences_of_undefined_length_are_implicit_inside() -> None:
    unknown = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + struct.pack("<HHI4s", 0x0009, 0x1002, 4, b"abcd")
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = encode(EXPLICIT)
    at = data.index(b"\x20\x00\x0d\x00UI")
    assert read_header(data[:at] + unknown + item + ends + data[at:], EXPLICIT) == EXPECTED


def test_oddities_behind_the_uids_are_let_through() -> None:
    assert read_header(encode(EXPLICIT) + b"\x21\x00\x00\x10??\x00\x00rest", EXPLICIT) == EXPECTED


def test_trailing_zeros_behind_pixel_data_are_let_through() -> None:
    data = encode(EXPLICIT) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2) + b"px" + bytes(3)
    assert read_header(data, EXPLICIT) == EXPECTED


@given(st.integers(0, 400), st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_a_cut_dataset_is_refused(keep: int, syntax: str) -> None:
    data = encode(syntax)
    with pytest.raises(HeaderError):
        read_header(data[: min(keep, len(data) - 1)], syntax)


@settings(max_examples=300)
@given(st.binary(max_size=300), st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.4.90"]))
def test_any_bytes_give_an_answer(data: bytes, syntax: str) -> None:
    with pytest.raises(HeaderError):
        read_header(data, syntax)


@settings(max_examples=300)
@given(st.data(), st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_a_flipped_byte_gives_an_answer(choose: st.DataObject, syntax: str) -> None:
    data = bytearray(encode(syntax, undefined=True))
    data[choose.draw(st.integers(0, len(data) - 1))] = choose.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(data), syntax)
    except HeaderError:
        return
    assert len(header.study_instance_uid) <= 64


def test_declared_lengths_and_bombs_allocate_nothing() -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    huge = struct.pack("<HH2sHI", 0x0008, 0x0001, b"OB", 0, 0xFFFFFF00)
    tracemalloc.start()
    for data, syntax in ((bomb, DEFLATED), (huge, EXPLICIT)):
        with pytest.raises(HeaderError):
            read_header(data, syntax)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * INFLATED_LIMIT


def test_deflated_pixel_data_past_the_limit_is_not_inflated() -> None:
    pixels = bytes(8 << 20)
    data = encode(DEFLATED, PixelData=pixels, BitsAllocated=8, Rows=1, Columns=1)
    assert read_header(data, DEFLATED) == EXPECTED


def test_the_walk_has_an_end() -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * (STEP_LIMIT + 10)
    endless = struct.pack("<HHI", 0x0008, 0x2112, 0xFFFFFFFF) + items
    data = encode(IMPLICIT)
    at = data.index(b"\x20\x00\x0d\x00")
    with pytest.raises(HeaderError, match="Study Instance UID"):
        read_header(data[:at] + endless + data[at:], IMPLICIT)
    behind = struct.pack("<HHI", 0x5200, 0x9230, 0xFFFFFFFF) + items
    assert read_header(data + behind, IMPLICIT) == EXPECTED
