"""Opening a stored instance with bounds: nothing is loaded because a file declares it."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from imaging.errors import HeaderError

# A header inflates to at most this, pixel data to at most that: a deflate bomb is refused, not unpacked.
HEADER_LIMIT = 64 * 2**20
PIXEL_LIMIT = 4 * 2**30
_CHUNK = 2**20
_META_LIMIT = 2**16
_START = 2**16
_PIXEL_DATA = 0x7FE00010
_LONG_VRS = (b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR", b"SV", b"UV")


@dataclass(frozen=True)
class FileMeta:
    """What the file meta group (0002) says, and where the dataset starts."""

    offset: int
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Loaded:
    """The wanted elements of a file; ``truncated`` when the file ends inside one of its elements."""

    dataset: Dataset
    meta: FileMeta
    truncated: bool


class _Bounded(io.BufferedReader):
    """A file that refuses to read further than it is long, so that a false length allocates nothing."""

    def __init__(self, raw: io.FileIO, size: int) -> None:
        super().__init__(raw)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 < self._size - self.tell() < size:
            raise EOFError("an element is declared longer than the file")
        return super().read(size)


def read_meta(file: BinaryIO) -> FileMeta:
    """Walk the file meta information (PS3.10 section 7.1), which is always explicit VR little endian.

    Raises
    ------
    HeaderError
        No DICM mark, a broken element, or no Transfer Syntax UID.
    """
    file.seek(0)
    if file.read(132)[128:] != b"DICM":
        raise HeaderError("not a DICOM file: the mark DICM is absent at byte 128")
    syntax = ""
    while True:
        start = file.tell()
        head = file.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            break
        length = struct.unpack("<H", head[6:8])[0]
        if head[4:6] in _LONG_VRS:
            # the length follows two reserved bytes
            length = struct.unpack("<I", file.read(4).ljust(4, b"\xff"))[0]
        if length > _META_LIMIT:
            raise HeaderError("the file meta information declares an element longer than 64 KiB")
        value = file.read(length)
        if len(value) < length:
            raise HeaderError("the file ends inside its file meta information")
        if head[2:4] == b"\x10\x00":
            syntax = value.decode("ascii", "replace").strip(" \0")
    if not syntax:
        raise HeaderError("the file meta information has no Transfer Syntax UID (0002,0010)")
    return FileMeta(start, syntax)


def dataset_digest(path: Path) -> str:
    """sha256, hex, of the dataset's bytes after the file meta: the instance's identity, whoever sent it.

    Raises
    ------
    HeaderError
        The file isn't DICOM.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(read_meta(file).offset)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def load(path: Path, tags: Iterable[int], *, pixels: bool) -> Loaded:
    """The elements ``tags`` of a file in any transfer syntax, up to the pixel data or with it.

    Raises
    ------
    HeaderError
        Not DICOM, or its elements can't be followed.
    """
    try:
        size, wanted = path.stat().st_size, list(tags)
        with path.open("rb") as plain:
            meta = read_meta(plain)
            if not pixels and (header := _from_start(plain, meta, wanted)):
                return header
        with _Bounded(io.FileIO(path), size) as file:
            file.seek(meta.offset)
            source: BinaryIO = file
            if meta.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
                source = io.BytesIO(_inflate(file, PIXEL_LIMIT if pixels else HEADER_LIMIT, whole=pixels))
            return _elements(source, meta, wanted, None if pixels else _at_pixels)
    except (HeaderError, OSError):
        raise
    except Exception as error:  # pydicom raises a dozen kinds on hostile bytes; each means the same to the caller
        raise HeaderError(
            f"the dataset can't be followed ({type(error).__name__}: {error}); is its transfer syntax as declared?"
        ) from error


def _from_start(file: BinaryIO, meta: FileMeta, tags: list[int]) -> Loaded | None:
    """The elements up to the pixel data, when they lie in the file's first bytes: read from memory, they cost half.

    None when they don't, or the bytes are odd: then the whole file decides.
    """
    if meta.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return None
    file.seek(meta.offset)
    start = file.read(_START)
    source = io.BytesIO(start)
    try:
        loaded = _elements(source, meta, tags, _at_pixels)
    except Exception:  # noqa: BLE001 - pydicom raises a dozen kinds, and the caller meets them again
        return None
    # at or behind the last byte an element may have been cut short without a word
    return loaded if source.tell() < len(start) else None


def _elements(
    source: BinaryIO, meta: FileMeta, tags: list[int], stop: Callable[[BaseTag, str | None, int], bool] | None
) -> Loaded:
    implicit = meta.transfer_syntax_uid == ImplicitVRLittleEndian
    little = meta.transfer_syntax_uid != ExplicitVRBigEndian
    found = {}
    truncated = False
    try:
        for element in data_element_generator(source, implicit, little, stop, specific_tags=tags):
            found[element.tag] = element
            if element.tag == _PIXEL_DATA:
                break  # what trails behind is padding or a signature
    except EOFError:
        truncated = True
    dataset = Dataset(found)
    dataset.set_original_encoding(implicit, little)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = meta.transfer_syntax_uid
    return Loaded(dataset, meta, truncated)


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) >= 0x7FE00008  # (0028,…) and the functional groups (5200,…) come before


def _inflate(file: BinaryIO, limit: int, *, whole: bool) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    left = limit
    while left > 0 and not inflater.eof:
        packed = inflater.unconsumed_tail or file.read1(_CHUNK)  # type: ignore[attr-defined]
        if not packed:
            break
        parts.append(inflater.decompress(packed, min(left, _CHUNK)))
        left -= len(parts[-1])
    if left <= 0 and whole:
        raise HeaderError(f"the deflated dataset unpacks to more than {limit // 2**20} MiB")
    return b"".join(parts)
