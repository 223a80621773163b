"""What is sent: real CT slices, uncompressed, each under UIDs of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SLICES = 16
_UID_ROOT = 10**38  # 2.25 UIDs of 39 digits: all of one length, so that every image costs the same


@dataclass(frozen=True)
class Image:
    """One instance, explicit VR little endian: its header's bytes, and its pixel data element's (shared)."""

    sop_class_uid: str
    sop_instance_uid: str
    header: bytes
    pixels: bytes


def batches(folder: Path, senders: int, images: int) -> list[list[Image]]:
    """A study for each sender, of one series of ``images`` slices that cycle through the CT in ``folder``."""
    from pydicom import dcmread
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    sources = []
    for path in sorted(folder.glob("*.dcm"))[:SLICES]:
        dataset = dcmread(path)
        dataset.decompress()  # to explicit VR little endian
        pixels = bytes(dataset.PixelData)
        del dataset.PixelData
        sources.append((dataset, b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels))
    if not sources:
        raise SystemExit(f"no CT in {folder}; give --data or set RAYSIGHT_TEST_DATA")

    def image(sender: int, number: int) -> Image:
        dataset, pixels = sources[number % len(sources)]
        dataset.StudyInstanceUID = _uid(sender, 0, 1)
        dataset.SeriesInstanceUID = _uid(sender, 0, 2)
        dataset.SOPInstanceUID = _uid(sender, number + 1, 0)
        dataset.InstanceNumber = number + 1
        *in_plane, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [*in_plane, 2.5 * number]
        header = DicomBytesIO()
        header.is_little_endian, header.is_implicit_VR = True, False
        write_dataset(header, dataset)
        return Image(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), header.getvalue(), pixels)

    return [[image(sender, number) for number in range(images)] for sender in range(senders)]


def _uid(sender: int, number: int, kind: int) -> str:
    return f"2.25.{_UID_ROOT + sender * 10**8 + number * 10 + kind}"
