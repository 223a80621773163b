"""Stored pixel values of an instance's frames, from any transfer syntax.

None of the codecs releases the interpreter's lock (measured: two threads decode 100 JPEG-LS slices in the time of
one, 0.4 s; JPEG 2000 and RLE alike), so frames are decoded one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import iter_pixels
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dicom_node.reader.files import Loaded, load
from dicom_node.reader.values import integer, tag, text
from imaging.errors import HeaderError, ImageError, StorageError
from imaging.reasons import Reason, ReasonKind
from imaging.study import InstanceInfo, SeriesInfo

# fmt: off
KEYWORDS = (
    "SpecificCharacterSet", "Modality", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope", "RescaleType",
    "ModalityLUTSequence", "PixelSpacing", "ImagerPixelSpacing", "PixelSpacingCalibrationType",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "FloatPixelData", "DoubleFloatPixelData", "PixelData",
)
# fmt: on

# the fastest decoder for each syntax that pydicom would otherwise give to another
_PLUGINS = {
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
}
_END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike
_TAIL = 16  # encoders pad behind it with 00 or FF


def load_pixels(path: Path, instance: InstanceInfo, series: SeriesInfo) -> Dataset:
    """One instance with its pixel data, checked to be monochrome and as long as its header says.

    To be called within `hostile`.

    Raises
    ------
    ImageError
        UNDECODABLE or TRUNCATED, naming the instance.
    StorageError
        The disk doesn't give the file.
    """
    try:
        loaded = load(path, (tag(k) for k in KEYWORDS), pixels=True)
    except HeaderError as error:
        raise undecodable(series, instance, str(error)) from error
    except FileNotFoundError as error:
        raise undecodable(series, instance, "its file is gone from the spool") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
    ds = loaded.dataset
    if "FloatPixelData" in ds or "DoubleFloatPixelData" in ds:
        raise undecodable(series, instance, "its pixels are floating point numbers, not stored values")
    if integer(ds, "SamplesPerPixel") != 1 or not text(ds, "PhotometricInterpretation").startswith("MONOCHROME"):
        photometric = text(ds, "PhotometricInterpretation") or "absent"
        raise undecodable(
            series, instance, f"Photometric Interpretation (0028,0004) is {photometric}, not monochrome"
        )
    if (integer(ds, "Rows"), integer(ds, "Columns")) != (instance.rows, instance.columns):
        raise undecodable(series, instance, "its file is not the one whose header was indexed")
    _check_length(loaded, instance, series)
    return ds


def stored_values(ds: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """The frames ``indices`` (from 0), each [row, column] of integers as stored, one after the other.

    To be called within `hostile`.
    """
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax == JPEGExtended12Bit and (integer(ds, "BitsStored") or 0) > 8:
        yield from _jpeg_extended_12(ds, indices)
    else:
        yield from iter_pixels(ds, raw=True, indices=list(indices), decoding_plugin=_PLUGINS.get(syntax, ""))


@contextmanager
def hostile(instance: InstanceInfo, series: SeriesInfo) -> Iterator[None]:
    """Whatever is raised while an instance's elements and pixels are followed means UNDECODABLE.

    Each codec raises its own kinds, pydicom a dozen; to the caller they all say that these pixels can't be had.
    """
    try:
        yield
    except (ImageError, StorageError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        detail = f"{UID(instance.transfer_syntax_uid).name}: {type(error).__name__}: {said}"
        raise undecodable(series, instance, detail) from error


def undecodable(series: SeriesInfo, instance: InstanceInfo, detail: str) -> ImageError:
    """The error for pixels that can't be had."""
    message = f"{series.name}, {label(instance)}: {detail}. Send the instance again, uncompressed if need be."
    return ImageError(Reason(ReasonKind.UNDECODABLE, message, series.series_instance_uid))


def label(instance: InstanceInfo) -> str:
    """How a person finds an instance in its series."""
    if instance.instance_number is not None:
        return f"instance {instance.instance_number}"
    return f"instance {instance.sop_instance_uid}"


def _check_length(loaded: Loaded, instance: InstanceInfo, series: SeriesInfo) -> None:
    ds = loaded.dataset

    def truncated(detail: str) -> ImageError:
        message = f"{series.name}, {label(instance)}: {detail}. Send the instance again; its file is not whole."
        return ImageError(Reason(ReasonKind.TRUNCATED, message, series.series_instance_uid))

    if loaded.truncated or "PixelData" not in ds:
        raise truncated("its file ends before or within the pixel data (7FE0,0010)")
    frames = max(integer(ds, "NumberOfFrames") or 1, 1)
    if frames < len(instance.frames):
        raise truncated(f"Number of Frames (0028,0008) is {frames}, but it places {len(instance.frames)}")
    syntax = UID(loaded.meta.transfer_syntax_uid)
    if not syntax.is_encapsulated:
        bits = (instance.rows or 0) * (instance.columns or 0) * (integer(ds, "BitsAllocated") or 0) * frames
        if len(ds.PixelData) < bits // 8 or not bits:
            raise truncated(f"its pixel data has {len(ds.PixelData)} of {bits // 8} bytes")
        return
    try:
        found = list(generate_frames(ds.PixelData, number_of_frames=frames))
    except Exception as error:  # hostile fragments and offset tables
        raise truncated(f"its pixel data's fragments can't be followed ({error})") from error
    if len(found) < frames:
        raise truncated(f"its pixel data has {len(found)} of {frames} frames")
    if syntax != RLELossless:
        cut = [n for n, frame in enumerate(found, 1) if _END_OF_IMAGE not in frame[-_TAIL:]]
        if cut:
            raise truncated(f"the compressed frame {cut[0]} lacks its end")


def _jpeg_extended_12(ds: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """JPEG Extended of 9 to 12 bits, which GDCM decodes (equal to DCMTK bit for bit) but pydicom doesn't hand it.

    Decoded at the codestream's own 12 bits and clipped to Bits Stored: lossy coding overshoots, and GDCM would
    wrap an overshoot round to black.
    """
    rows, columns = int(ds.Rows), int(ds.Columns)
    frames = list(generate_frames(ds.PixelData, number_of_frames=max(integer(ds, "NumberOfFrames") or 1, 1)))
    for index in indices:
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(frames[index])
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetValue(fragments.__ref__())
        image = gdcm.Image()
        image.SetNumberOfDimensions(2)
        image.SetDimensions((columns, rows, 1))
        image.SetDataElement(element)
        image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
        image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
        image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
        # SWIG hands char* out as str
        buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
        values = np.frombuffer(buffer, dtype=np.uint16).reshape(rows, columns)
        yield np.minimum(values, 2 ** int(ds.BitsStored) - 1)
