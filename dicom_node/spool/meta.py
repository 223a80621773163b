"""The file meta (group 0002) that the node puts before the bytes it received (PS3.10 section 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@dataclass(frozen=True)
class Origin:
    """Who sent an instance, to whom.

    Parameters
    ----------
    calling_ae, called_ae
        AE titles of the association.
    peer, here
        Network addresses of the sender and of this node.
    retrieved_by
        ``C-GET`` or ``C-MOVE`` where we asked for the instance; empty where it was sent by itself.
    """

    calling_ae: str
    called_ae: str
    peer: str
    here: str
    retrieved_by: str = ""


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, origin: Origin) -> bytes:
    """Preamble, prefix and file meta group, ready to stand before the dataset bytes.

    Written by hand because it is written for every image: a pydicom dataset costs a hundred times as much.
    """
    elements = b"".join(
        (
            _long(0x0001, b"OB", b"\x00\x01"),
            _uid(0x0002, sop_class_uid),
            _uid(0x0003, sop_instance_uid),
            _uid(0x0010, transfer_syntax_uid),
            _uid(0x0012, IMPLEMENTATION_CLASS_UID),
            _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _text(0x0016, b"AE", origin.calling_ae),
            _text(0x0017, b"AE", origin.calling_ae),
            _text(0x0018, b"AE", origin.called_ae),
            _long(0x0026, b"UR", _address(origin.peer)),
            _long(0x0027, b"UR", _address(origin.peer)),
            _long(0x0028, b"UR", _address(origin.here)),
            _retrieved(origin.retrieved_by),
        )
    )
    return b"\x00" * 128 + b"DICM" + _short(0x0000, b"UL", struct.pack("<I", len(elements))) + elements


def _retrieved(by: str) -> bytes:
    """Private Information (0002,0102) with its creator, where we asked for the instance."""
    if not by:
        return b""
    value = f"retrieved {by}".encode("ascii", "replace")
    return _uid(0x0100, IMPLEMENTATION_CLASS_UID) + _long(0x0102, b"OB", value + b"\x00" * (len(value) % 2))


def _short(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _long(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sHI", 0x0002, element, vr, 0, len(value)) + value


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    return _short(element, b"UI", value + b"\x00" * (len(value) % 2))


def _text(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    return _short(element, vr, value + b" " * (len(value) % 2))


def _address(address: str) -> bytes:
    value = f"dicom://[{address}]" if ":" in address else f"dicom://{address}"
    return value.encode("ascii", "replace") + b" " * (len(value) % 2)
