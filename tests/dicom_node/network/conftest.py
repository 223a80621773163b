"""A node on a free port, and files to send to it."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.archive import FakeArchive
from dicom_node.network.peers import Limits, Peer, RemoteAE
from dicom_node.network.scp import StoreSCP
from dicom_node.spool.log import Received, ReceiveLog, read_log

MODALITY = (Peer("MODALITY", ("127.0.0.1", "::1")),)


@dataclass
class Node:
    """A running storage SCP and what it wrote."""

    scp: StoreSCP
    blobs: LocalBlobStore
    home: Path
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def remote(self) -> RemoteAE:
        return RemoteAE("RAYSIGHT", *self.scp.address, answer_seconds=15)

    @property
    def stored(self) -> list[str]:
        return list(self.blobs.list())

    @property
    def logged(self) -> list[Received]:
        return [entry for entry, _ in read_log(self.home / "log") if isinstance(entry, Received)]

    @property
    def scratch(self) -> list[Path]:
        return list(self.blobs.scratch.iterdir())


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start nodes; all are stopped at the end."""
    running: list[tuple[StoreSCP, ReceiveLog]] = []

    def start(home: Path = tmp_path / "home", peers: Any = MODALITY, **limits: Any) -> Node:
        blobs, log = LocalBlobStore(home / "spool"), ReceiveLog(home / "log")
        counts: Counter[str] = Counter()
        scp = StoreSCP(
            "RAYSIGHT",
            "127.0.0.1",
            0,
            peers,
            Limits(**{"free_bytes": 0, **limits}),
            blobs,
            log,
            lambda name, /, **labels: counts.update([name]),
        )
        scp.start()
        running.append((scp, log))
        return Node(scp, blobs, home, counts)

    yield start
    for scp, log in running:
        scp.stop()
        log.close()


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node()


def dataset(**changes: Any) -> Dataset:
    """A small CT image."""
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = generate_uid()
    image.Modality = "CT"
    image.ReferencedStudySequence = [Dataset()]
    image.PatientName = "王^小东"
    image.PatientID = "P1"
    image.StudyInstanceUID = "1.2.3.4"
    image.SeriesInstanceUID = "1.2.3.4.5"
    image.Rows = image.Columns = 16
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 0, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = np.arange(256, dtype="<u2").tobytes()
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image


def encoded(image: Dataset, syntax: UID) -> bytes:
    """The dataset bytes in a transfer syntax; pixel data of compressed ones is any bytes, encapsulated."""
    if syntax.is_encapsulated:
        image.PixelData = encapsulate([b"\xff\xd8 not really compressed \xff\xd9"])
        image["PixelData"].is_undefined_length = True
        image["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    plain = syntax if not syntax.is_deflated else ExplicitVRLittleEndian
    dcmwrite(
        buffer,
        image,
        implicit_vr=plain.is_implicit_VR,
        little_endian=plain.is_little_endian,
        enforce_file_format=False,
    )
    data = buffer.getvalue()
    if syntax.is_deflated:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(data) + packer.flush()
        data += b"\0" * (len(data) % 2)
    return data


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a Part 10 file: ``raw`` dataset bytes, or an image with ``changes``, in a transfer syntax."""
    folder = tmp_path / "files"
    folder.mkdir()

    def make(
        raw: bytes | None = None,
        syntax: UID = ExplicitVRLittleEndian,
        sop_instance_uid: str | None = None,
        sop_class_uid: str | None = None,
        **changes: Any,
    ) -> Path:
        image = dataset(**changes)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = sop_class_uid or image.SOPClassUID
        meta.MediaStorageSOPInstanceUID = sop_instance_uid or image.SOPInstanceUID
        meta.TransferSyntaxUID = syntax
        head = io.BytesIO()
        head.write(b"\0" * 128 + b"DICM")  # not by dcmwrite, which would refuse some of the datasets
        write_file_meta_info(head, meta, enforce_standard=True)
        path = folder / f"{len(list(folder.iterdir())):04d}.dcm"
        path.write_bytes(head.getvalue() + (encoded(image, syntax) if raw is None else raw))
        return path

    return make


@pytest.fixture
def encode() -> Callable[[Dataset, UID], bytes]:
    """Encode a dataset in a transfer syntax."""
    return encoded


@pytest.fixture
def image() -> Callable[..., Dataset]:
    """Make a small CT image."""
    return dataset


@pytest.fixture
def raw() -> Callable[[Path], bytes]:
    """What stands after the file meta of a file."""

    def dataset_bytes(path: Path) -> bytes:
        data = path.read_bytes()
        assert data[128:132] == b"DICM"
        length = int.from_bytes(data[140:144], "little")
        return data[144 + length :]

    return dataset_bytes


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[FakeArchive]:
    """A running archive that knows no other AE yet."""
    archive = FakeArchive("ARCHIVE", tmp_path / "archive")
    archive.start()
    yield archive
    archive.stop()
