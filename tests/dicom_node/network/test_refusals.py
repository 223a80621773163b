"""Bad instances: each gets a status and a comment, leaves nothing behind, and the next good one is taken."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    MRImageStorage,
)

from dicom_node.network.store import send_files

UID = "1.2.3.77"


def refused(node: Any, make_file: Callable[..., Path], path: Path) -> tuple[int | None, str]:
    """Status and comment for ``path``, after checking that it left nothing and harmed nothing."""
    good = make_file()
    bad, after = send_files(node.remote, "MODALITY", [path, good])
    assert after.status == 0x0000
    assert len(node.stored) == len(node.logged) == 1
    assert node.scratch == []
    assert node.counts["refused"] == 1
    return bad.status, bad.comment


@pytest.fixture
def good_bytes(image: Callable[..., Dataset], encode: Callable[..., bytes]) -> Callable[..., bytes]:
    def make(syntax: Any = ExplicitVRLittleEndian, **changes: Any) -> bytes:
        return encode(image(SOPInstanceUID=UID, **changes), syntax)

    return make


@pytest.mark.parametrize("keep", [40, 130, -1, -100])
def test_truncated(node: Any, make_file: Callable[..., Path], good_bytes: Callable[..., bytes], keep: int) -> None:
    path = make_file(good_bytes()[:keep], sop_instance_uid=UID)
    assert refused(node, make_file, path) == (0xC000, "the dataset ends inside an element")


@pytest.mark.parametrize(
    ("claimed", "real"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ExplicitVRBigEndian),
        (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRBigEndian),
        (ExplicitVRBigEndian, ExplicitVRLittleEndian),
        (ExplicitVRBigEndian, ImplicitVRLittleEndian),
        (JPEGLSLossless, ImplicitVRLittleEndian),
        (DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian),
        (JPEGLSLossless, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, JPEGLSLossless),
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_another_transfer_syntax_than_agreed(
    node: Any, make_file: Callable[..., Path], good_bytes: Callable[..., bytes], claimed: Any, real: Any
) -> None:
    path = make_file(good_bytes(real), syntax=claimed, sop_instance_uid=UID)
    status, comment = refused(node, make_file, path)
    assert status == 0xC000
    assert comment


def test_zero_bytes(node: Any, make_file: Callable[..., Path]) -> None:
    # A dataset of one padding element is the least that can be sent at all: pynetdicom sends no empty fragment.
    path = make_file(struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 0), sop_instance_uid=UID)
    assert refused(node, make_file, path) == (0xC000, "SOP Class UID (0008,0016) is absent")


def test_an_empty_dataset_fragment(node: Any, make_file: Callable[..., Path]) -> None:
    path = make_file(b"", sop_instance_uid=UID)
    assert refused(node, make_file, path) == (0xC000, "the dataset has no bytes")


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFE])
def test_huge_declared_length(
    node: Any, make_file: Callable[..., Path], good_bytes: Callable[..., bytes], length: int
) -> None:
    huge = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, length)
    data = good_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    path = make_file(data[:at] + huge + data[at:], sop_instance_uid=UID)
    assert refused(node, make_file, path) == (0xC000, "the dataset ends inside an element")


def test_deflate_bomb(node: Any, make_file: Callable[..., Path]) -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = struct.pack("<HH2sHI", 0x0008, 0x0001, b"OB", 0, 1 << 30)
    bomb = packer.compress(head) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    assert len(bomb) < 1 << 20
    path = make_file(bomb, syntax=DeflatedExplicitVRLittleEndian, sop_instance_uid=UID)
    assert refused(node, make_file, path) == (0xC000, "the dataset ends inside an element")


@pytest.mark.parametrize("value", ["../../etc/passwd", "1.2/3", "1..2", "..", "1.2.3a", "1" * 65, ""])
@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (b"\x20\x00\x0d\x00UI", "Study Instance UID (0020,000D)"),
        (b"\x20\x00\x0e\x00UI", "Series Instance UID (0020,000E)"),
        (b"\x08\x00\x18\x00UI", "SOP Instance UID (0008,0018)"),
    ],
)
def test_uids_that_are_none(
    node: Any,
    make_file: Callable[..., Path],
    good_bytes: Callable[..., bytes],
    tag: bytes,
    name: str,
    value: str,
) -> None:
    data = good_bytes()
    at = data.index(tag)
    length = struct.unpack_from("<H", data, at + 6)[0]
    bad = value.encode() + b"\0" * (len(value) % 2)
    data = data[: at + 6] + struct.pack("<H", len(bad)) + bad + data[at + 8 + length :]
    status, comment = refused(node, make_file, make_file(data, sop_instance_uid=UID))
    assert (status, comment) == (0xC000, f"{name} is {'not a UID' if value else 'absent'}")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_request_whose_instance_uid_has_path_parts(node: Any, make_file: Callable[..., Path]) -> None:
    path = make_file()
    data = path.read_bytes()
    meta_uid = data.index(b"\x02\x00\x03\x00UI") + 8
    evil = b"../../../evil"
    path.write_bytes(data[:meta_uid] + evil + data[meta_uid + len(evil) :])
    status, comment = refused(node, make_file, path)
    assert (status, comment) == (0xC000, "Affected SOP Instance UID (0000,1000) is not a UID")


def test_another_instance_than_requested(node: Any, make_file: Callable[..., Path]) -> None:
    path = make_file(sop_instance_uid="1.2.3.88")
    assert refused(node, make_file, path) == (0xC000, "SOP Instance UID (0008,0018) is not the request's")


def test_another_class_than_requested(node: Any, make_file: Callable[..., Path]) -> None:
    path = make_file(SOPClassUID=MRImageStorage, sop_class_uid=CTImageStorage)
    assert refused(node, make_file, path) == (0xA900, "SOP Class UID (0008,0016) is not the request's")


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_missing_uid(
    node: Any,
    make_file: Callable[..., Path],
    image: Callable[..., Dataset],
    encode: Callable[..., bytes],
    keyword: str,
) -> None:
    incomplete = image(SOPInstanceUID=UID)
    del incomplete[keyword]
    path = make_file(encode(incomplete, ExplicitVRLittleEndian), sop_instance_uid=UID)
    status, comment = refused(node, make_file, path)
    assert status == 0xC000
    assert comment.endswith("is absent")


def test_nesting_without_end(node: Any, make_file: Callable[..., Path], good_bytes: Callable[..., bytes]) -> None:
    data = good_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    nested = b"".join(
        struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        for _ in range(10_000)
    )
    path = make_file(data[:at] + nested + data[at:], sop_instance_uid=UID)
    assert refused(node, make_file, path)[0] == 0xC000


def test_a_private_sop_class_is_not_accepted(node: Any, make_file: Callable[..., Path]) -> None:
    private = make_file(SOPClassUID="1.2.826.0.1.3680043.9.7307.1.1")
    bad, good = send_files(node.remote, "MODALITY", [private, make_file()])
    assert (bad.status, good.status) == (None, 0x0000)
    assert "accepts no context" in bad.comment
    assert len(node.stored) == 1


def test_larger_than_the_limit(start_node: Callable[..., Any], make_file: Callable[..., Path]) -> None:
    node = start_node(instance_bytes=100_000)
    path = make_file(PixelData=bytes(1 << 20))
    assert refused(node, make_file, path) == (0xC000, "instance is larger than 100000 bytes")
