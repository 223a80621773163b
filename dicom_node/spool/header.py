"""The few UIDs that say where an instance belongs, and whether its bytes are a whole dataset at all.

A bounded walk over the top level of a dataset (PS3.5 section 7): values are skipped by their length, never read, so a
declared length allocates nothing; deflated data is inflated up to a limit. pydicom would read all values before the
UIDs, by their declared lengths.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from dataclasses import dataclass

from pydicom.uid import UID

from dicom_node.spool.names import check_uid
from imaging.errors import HeaderError

INFLATED_LIMIT = 4 << 20
STEP_LIMIT = 50_000
DEPTH_LIMIT = 32

Buffer = bytes | mmap.mmap

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_WANTED = {
    _SOP_CLASS: "SOP Class UID (0008,0016)",
    _SOP_INSTANCE: "SOP Instance UID (0008,0018)",
    _STUDY: "Study Instance UID (0020,000D)",
    _SERIES: "Series Instance UID (0020,000E)",
}
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


@dataclass(frozen=True)
class Header:
    """Where an instance belongs."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


def read_header(dataset: Buffer, transfer_syntax_uid: str, start: int = 0) -> Header:
    """Walk a dataset and return its UIDs.

    Parameters
    ----------
    dataset
        The encoded dataset, from byte ``start``.
    transfer_syntax_uid
        The syntax that it claims to have.

    Raises
    ------
    HeaderError
        When it isn't a dataset in that syntax, ends inside an element, lacks one of the UIDs, or one isn't a UID.

    Notes
    -----
    Past the UIDs only truncation and pixel data of the wrong kind are errors: real files hold other oddities there,
    and they are stored as received. At most `STEP_LIMIT` elements are looked at.
    """
    syntax = UID(transfer_syntax_uid)
    whole = True
    if syntax.is_deflated:
        dataset, whole = _inflate(dataset, start)
        start = 0
    walk = _Walk(dataset, start, "<" if syntax.is_little_endian else ">", not syntax.is_implicit_VR)
    found: dict[int, str] = {}
    try:
        _collect(walk, found, encapsulated=syntax.is_encapsulated)
    except _OddError as error:
        if len(found) < len(_WANTED):
            raise HeaderError(f"not a dataset in {syntax.name}: {error}") from None
    except _EndError:
        if whole or len(found) < len(_WANTED):
            raise HeaderError(
                "the dataset ends inside an element" if dataset else "the dataset has no bytes"
            ) from None
    for tag, name in _WANTED.items():
        check_uid(found.get(tag, ""), name)
    return Header(found[_STUDY], found[_SERIES], found[_SOP_INSTANCE], found[_SOP_CLASS])


class _OddError(Exception):
    """Bytes that the syntax doesn't allow."""


class _EndError(Exception):
    """The bytes end inside an element."""


class _Walk:
    """A position in an encoded dataset."""

    def __init__(self, data: Buffer, offset: int, order: str, explicit: bool) -> None:
        self.data = data
        self.size = len(data)
        self.offset = offset
        self.explicit = explicit
        self.steps = STEP_LIMIT
        self._tag_and_length = struct.Struct(order + "HHI").unpack_from
        self._tag_and_vr = struct.Struct(order + "HH2sH").unpack_from
        self._length = struct.Struct(order + "I").unpack_from

    def element(self) -> tuple[int, bytes, int]:
        """Tag, VR (empty when implicit) and length of the element here; moves to its value."""
        self.steps -= 1
        if self.offset + 8 > self.size:
            raise _EndError
        if not self.explicit:
            return self.tag()
        group, element, vr, length = self._tag_and_vr(self.data, self.offset)
        tag = group << 16 | element
        if group == 0xFFFE:
            return self.tag()
        self.offset += 8
        if vr in _LONG_VRS:
            if self.offset + 4 > self.size:
                raise _EndError
            (length,) = self._length(self.data, self.offset)
            self.offset += 4
        elif vr not in _SHORT_VRS:
            raise _OddError(f"({group:04X},{element:04X}) has no explicit VR")
        return tag, vr, length

    def tag(self) -> tuple[int, bytes, int]:
        """As `element` where no VR is written: implicit syntaxes, items and delimiters."""
        if self.offset + 8 > self.size:
            raise _EndError
        group, element, length = self._tag_and_length(self.data, self.offset)
        self.offset += 8
        return group << 16 | element, b"", length

    def skip(self, length: int) -> None:
        """Move past a value of known length."""
        self.offset += length
        if self.offset > self.size:
            raise _EndError

    def skip_items(self, vr: bytes, depth: int = 0) -> None:
        """Move past a sequence, or pixel data fragments, of undefined length."""
        if depth > DEPTH_LIMIT:
            raise _OddError("sequences are nested too deep")
        if vr == b"UN":  # PS3.5 section 6.2.2 note 2: its content is implicit little endian
            inner = _Walk(self.data, self.offset, "<", explicit=False)
            inner.steps = self.steps
            inner.skip_items(b"", depth + 1)
            self.offset, self.steps = inner.offset, inner.steps
            return
        while self.steps > 0:
            self.steps -= 1
            tag, _, length = self.tag()
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _OddError("a sequence holds something other than items")
            if length != _UNDEFINED:
                self.skip(length)
                continue
            self.skip_item(depth)

    def skip_item(self, depth: int) -> None:
        """Move past the elements of an item of undefined length."""
        while self.steps > 0:
            tag, vr, length = self.element()
            if tag == _ITEM_END:
                return
            if length == _UNDEFINED:
                self.skip_items(vr, depth + 1)
            else:
                self.skip(length)


def _collect(walk: _Walk, found: dict[int, str], encapsulated: bool) -> None:
    """Put the wanted UIDs into ``found`` and go on to the end of the pixel data, if the steps suffice."""
    data, previous = walk.data, 0
    if not walk.explicit and data[walk.offset + 4 : walk.offset + 6] in _SHORT_VRS | _LONG_VRS:
        raise _OddError("it has explicit VRs")
    if walk.offset >= walk.size:
        raise _EndError
    while walk.offset < walk.size and walk.steps > 0:
        tag, vr, length = walk.element()
        if len(found) < len(_WANTED) and tag <= previous:
            raise _OddError("its elements don't ascend")
        previous = tag
        if tag in _WANTED:
            if length > 64:
                raise HeaderError(f"{_WANTED[tag]} is not a UID")
            start = walk.offset
            walk.skip(length)
            found[tag] = data[start : walk.offset].decode("ascii", "replace").rstrip(" \0")
        elif length != _UNDEFINED:
            if tag in _PIXEL_DATA and encapsulated:
                raise HeaderError("pixel data isn't encapsulated as the transfer syntax says")
            walk.skip(length)
        elif tag in _PIXEL_DATA and not encapsulated:
            raise HeaderError("pixel data is encapsulated, unlike the transfer syntax says")
        else:
            walk.skip_items(vr)
        if tag in _PIXEL_DATA:
            return
        if tag > _SERIES and len(found) < len(_WANTED):
            return


def _inflate(dataset: Buffer, start: int) -> tuple[bytes, bool]:
    """At most `INFLATED_LIMIT` bytes of a deflated dataset, and whether that is all of it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    try:
        for offset in range(start, len(dataset), 1 << 16):
            inflated += inflater.decompress(dataset[offset : offset + (1 << 16)], INFLATED_LIMIT - len(inflated))
            if inflater.eof or len(inflated) >= INFLATED_LIMIT:
                break
    except zlib.error:
        raise HeaderError("the bytes aren't deflated as the transfer syntax says") from None
    if not inflater.eof and len(inflated) < INFLATED_LIMIT:
        raise HeaderError("the deflated dataset ends early")
    return bytes(inflated), inflater.eof
